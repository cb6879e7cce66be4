import Glibc
import Harness
import Testing

/// Somebody makes the segment smaller under a run: error 210 with the byte and the
/// section, whoever touches it first, and nothing is left.
@Suite(.serialized, .elsewhereToo) struct TruncationTests {
  enum Size: String, CaseIterable {
    case none, onePage, half, allButArena
  }

  @Test(arguments: Size.allCases, ["1", "2"])
  func truncatedSegmentEndsTheRun(size: Size, threads: String) throws {
    let segment = freshSegment("truncated-\(size)-\(threads)")
    let command = Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libTestProgram.so", "--quiet", "--json", "--segment",
        segment, "--arena", "64K", "--heap", "64K", "--threads", threads, "--", "endless",
      ])
    try #require(command.waitUntil { command.output.contains("running") })
    let path = "/dev/shm/\(segment)"
    try #require(command.waitUntil { pids(holding: path).count == 5 }, "not exercised")
    var status = stat()
    try #require(stat(path, &status) == 0)
    let before = Int(status.st_size)
    let after =
      switch size {
      case .none: 0
      case .onePage: 4096
      case .half: before / 2 / 4096 * 4096
      case .allButArena: before - 65536
      }
    try #require(truncate(path, after) == 0, "not exercised")
    let result = command.wait()
    #expect(result.status == 50, "\(result.errors)")
    #expect(result.messages.count == 1, "\(result.errors)")
    #expect(
      result.errors.contains(
        "error 210 SEGMENT_TRUNCATED: segment \(segment) was truncated: byte "),
      "\(result.errors)")
    #expect(result.errors.contains(" of \(before), in the "), "\(result.errors)")
    let text = result.errors.firstRange(of: ": byte ").map { result.errors[$0.upperBound...] }
    let byte = text.flatMap { Int($0.prefix(while: \.isNumber)) } ?? -1
    #expect((after..<before).contains(byte), "\(result.errors)")
    #expect(result.output.contains("\"code\":210,\"name\":\"SEGMENT_TRUNCATED\""))
    #expect(result.output.contains("\"exit_status\":50"))
    expectClean(segment)
  }

  /// Each process of a session started by hand says it for itself.
  @Test func processesStartedByHandEndToo() throws {
    let segment = freshSegment("truncated-by-hand")
    let commands = [
      Command(
        "pto2-orchestrator",
        [
          "--program", Command.buildDirectory + "libTestProgram.so", "--quiet", "--segment",
          segment, "--no-launch", "--", "endless",
        ]), Command("pto2-scheduler", ["--segment", segment]),
      Command("pto2-worker", ["--segment", segment, "--cores", "aic0,aiv0,aiv1"]),
    ]
    try #require(commands[0].waitUntil { commands[0].output.contains("running") })
    // Until all three have it mapped.
    let path = "/dev/shm/\(segment)"
    try #require(
      commands[0].waitUntil {
        !processes(segment, named: "pto2-worker").isEmpty
          && pids(holding: path).count == commands.count
      }, "not exercised")
    try #require(truncate(path, 0) == 0)
    for command in commands {
      let result = command.wait()
      #expect(result.status == 50, "\(result.errors)")
      #expect(result.errors.contains("error 210 SEGMENT_TRUNCATED"), "\(result.errors)")
    }
    expectClean(segment)
  }

  /// Processes that have the file mapped.
  private func pids(holding path: String) -> [String] {
    let segment = path.split(separator: "/").last.map(String.init) ?? ""
    return Leftovers.of(segment).processes.filter { entry in
      let pid = entry.split(separator: " ")[0]
      return readFile("/proc/\(pid)/maps").contains(path)
    }
  }
}
