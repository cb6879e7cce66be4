import Glibc
import Harness
import Testing

/// "The dispatch path allocates nothing", counted: 13,500 more tasks add no
/// allocation per task to scheduler and workers. What differs by a few is the
/// end of a run, where liveness is looked up in /proc.
@Suite(.serialized) struct AllocationTests {
  /// Heap allocations by executable, summed over its processes.
  private func allocations(tasks: Int) throws -> [String: Int] {
    let directory = Command.temporaryDirectory()
    let log = directory + "/log"
    let result = Command.run(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libTestProgram.so", "--quiet", "--task-window",
        "64", "--heap", "64K", "--dep-pool", "256", "--", "outputs", "\(tasks)",
      ],
      environment: [
        "LD_PRELOAD": Command.buildDirectory + "libAllocationCounter.so",
        "PTO2_ALLOCATION_LOG": log,
      ])
    #expect(result.status == 0, "\(result.errors)")
    var counts: [String: Int] = [:]
    for line in readFile(log).split(separator: "\n") {
      let fields = line.split(separator: " ")
      try #require(fields.count == 3)
      counts[String(fields[0]), default: 0] += try #require(Int(fields[2]))
    }
    unlink(log)
    rmdir(directory)
    return counts
  }

  /// Unoptimised code allocates for its own reasons: release builds only.
  @Test(.enabled(if: Command.buildDirectory.contains("release")))
  func dispatchPathAllocatesNothing() throws {
    let few = try allocations(tasks: 500)
    let many = try allocations(tasks: 5000)
    for name in ["pto2-scheduler", "pto2-worker"] {
      let first = try #require(few[name], "no count from \(name)")
      let second = try #require(many[name], "no count from \(name)")
      #expect(first > 10, "the counter did not count")
      #expect(abs(second - first) < 1000, "\(name): \(first) allocations, then \(second)")
    }
  }
}
