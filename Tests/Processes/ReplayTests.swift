import Glibc
import Harness
import Testing

/// Recorded tasks in real processes, bit for bit against an interpreter that knows of no
/// recording.
@Suite(.serialized, .elsewhereToo) struct ReplayTests {
  @Test func replaysEqualTheInterpreter() {
    let result = Command.run("pto2-random", ["--seeds", "1-10", "--replay"])
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    #expect(result.output.contains("10 sessions"))
  }

  /// Four tasks, and as much TensorMap as there could be: replays wait in their middle.
  @Test func smallWindows() {
    let result = Command.run(
      "pto2-random",
      [
        "--seeds", "50-53", "--replay", "--task-window", "4", "--dep-pool", "1024",
        "--tensor-map", "100000",
      ])
    #expect(result.status == 0, "\(result.output)\(result.errors)")
  }

  /// Workers and schedulers are killed in the middle of replays.
  @Test(arguments: [["pto2-scheduler"], ["pto2-scheduler", "pto2-worker"]])
  func processesThatDie(names: [String]) {
    let segment = freshSegment("replay-\(names.count)-\(names[0])")
    let command = Command(
      "pto2-random",
      ["--seeds", "60-61", "--replay", "--recoverable", "--repeat", "2", "--segment", segment])
    var kills = 0
    while command.isRunning {
      usleep(6_000)
      let victims = names.flatMap { processes(segment, named: $0) }
      if let victim = victims.randomElement(), kill(victim, SIGKILL) == 0 { kills += 1 }
    }
    let result = command.wait()
    #expect(result.status == 0, "\(result.output) \(result.errors)")
    #expect(kills >= 3, "not exercised")
    expectClean(segment)
  }

  @Test(
    arguments: [
      "a template handle was not filled by this session's API",
      "the end of a recording that was not begun",
      "scalar hole 0 of a task that is not recorded", "a recording in a recording",
      "1 outputs at NULL",
      "replay with 0 tensors and 0 scalars: the template has holes for 1 and 0",
      "tensor 0 is [4] of int64 with strides [1], recorded was [3] of int64",
      "was not filled by this session's API, or was freed",
    ].enumerated().map { [String($0.offset), $0.element] })
  func misuseOfTheCInterfaceIsError5(misuse: [String]) {
    let segment = freshSegment("replay-misuse-\(misuse[0])")
    let result = Command.run(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libTestProgram.so", "--quiet", "--segment",
        segment, "--", "misused-replay", misuse[0],
      ])
    #expect(result.status == 15)
    #expect(result.messages.count == 1)
    #expect(result.errors.contains(misuse[1]), "\(result.errors)")
    expectClean(segment)
  }
}
