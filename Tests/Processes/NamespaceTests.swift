import Glibc
import Harness
import Testing

/// Clocks that are 12 days on, start times of processes too.
private let later = ["--time", "--monotonic", "1000000", "--boottime", "1000000"]
/// Other PIDs, and a /proc that shows them.
private let otherPIDs = ["--pid", "--fork", "--kill-child", "--mount-proc"]

/// Sessions in time and PID namespaces of unshare(1). Need root.
@Suite(.enabled(if: mayUnshare(later) && mayUnshare(otherPIDs), "no namespaces here"))
struct NamespaceTests {
  /// Deadlines and identities all are of one namespace: nobody is taken for dead or
  /// late, and who has died is started again.
  @Test func sessionWithAnotherClockRecovers() {
    let segment = freshSegment("clock")
    let directory = Command.temporaryDirectory()
    let path = directory + "/faults.json"
    let file = fopen(path, "w")!
    fputs(
      """
      {"faults": [{"after": 500, "do": "kill", "to": "worker aiv0"},
                  {"after": 1000, "do": "kill", "to": "scheduler"}]}
      """, file)
    fclose(file)
    let result = Command.run(
      "/usr/bin/unshare",
      later + [
        Command.buildDirectory + "pto2-orchestrator", "--program",
        Command.buildDirectory + "libConformanceProgram.so", "--quiet", "--json", "--segment",
        segment, "--kernel-deadline", "20", "--stall-limit", "20", "--faults", path, "--", "pure",
        "5000",
      ])
    unlink(path)
    rmdir(directory)
    #expect(result.status == 0, "\(result.errors)")
    #expect(number("worker_restarts", in: result.output) == 1)
    #expect(number("scheduler_restarts", in: result.output) == 1)
    expectClean(segment)
  }

  /// It would take everybody for dead, the live orchestrator first, and remove the
  /// segment. The session goes on.
  @Test(arguments: [("time", later), ("pid", otherPIDs)])
  func processOfAnotherNamespaceIsRefused(label: String, namespace: [String]) {
    let segment = freshSegment("namespace-\(label)")
    let orchestrator = Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libConformanceProgram.so", "--quiet", "--no-launch",
        "--segment", segment, "--", "pure", "500",
      ])
    for (process, cores) in [("pto2-scheduler", []), ("pto2-worker", ["--cores", "aiv0"])] {
      let refused = Command.run(
        "/usr/bin/unshare",
        namespace + [Command.buildDirectory + process, "--segment", segment] + cores)
      #expect(refused.status == 73, "\(refused.errors)")
      #expect(
        refused.errors.contains("in the same PID and time namespace"), "\(refused.errors)")
    }
    let scheduler = Command("pto2-scheduler", ["--segment", segment])
    let worker = Command("pto2-worker", ["--segment", segment, "--cores", "aic0,aiv0,aiv1"])
    let result = orchestrator.wait()
    #expect(result.status == 0, "\(result.errors)")
    #expect(scheduler.wait().status == 0)
    #expect(worker.wait().status == 0)
    expectClean(segment)
  }
}
