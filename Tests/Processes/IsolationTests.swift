import Harness
import Testing

/// A kernel that stores into pages of another writer dies of it, in its own worker,
/// and the error says where; nothing else is touched.
@Suite(.serialized, .elsewhereToo) struct IsolationTests {
  /// PTO2_SECTION_..., and what the message calls it.
  static let sections: [(kind: Int, name: String)] = [
    (0, "the header"), (1, "the table of images"), (2, "the table of kernels"),
    (3, "the orchestrator words"), (4, "the submission log"), (5, "the main ring of ring 0"),
    (6, "the dispatch table of ring 0"), (7, "the payload ring of ring 0"),
    (8, "the fanin pool of ring 0"), (9, "the scheduler words"), (10, "the DATA_MAIN_BASE words"),
    (11, "the consumed ring of ring 0"), (12, "the slot states of ring 0"),
    (13, "the fanout pool of ring 0"), (14, "the page of core aic0"),
  ]

  @Test(arguments: sections)
  func storeIntoASectionFaultsInItsWorker(kind: Int, name: String) {
    let segment = freshSegment("section-\(kind)")
    let result = Command.run(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libTestProgram.so", "--quiet", "--segment", segment,
        "--", "section", "\(kind)",
      ])
    #expect(result.output.contains("ran 1 "), "not exercised: the kernel did not run")
    #expect(result.output.contains("sum 300"), "the rest of the graph: \(result.output)")
    #expect(result.status == 40, "\(result.errors)")
    #expect(result.messages.count == 1, "\(result.errors)")
    #expect(result.errors.contains("SIGSEGV"), "\(result.errors)")
    #expect(
      result.errors.contains("by a store to \(name) (byte 72, segment offset "),
      "\(result.errors)")
    #expect(Leftovers.of(segment) == .none)
  }

  /// What a worker can write of the protocol is its own core's page: that worker is
  /// killed, its task runs again, and nothing else is touched.
  @Test(arguments: ["0", "1", "2"], ["1", "2"])
  func workerThatSpoilsItsOwnPageIsQuarantined(how: String, threads: String) {
    let segment = freshSegment("scribble-\(how)-\(threads)")
    let result = Command.run(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libTestProgram.so", "--json", "--segment", segment,
        "--threads", threads, "--clusters", "2", "--", "scribble", how,
      ])
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("runs 2 sum 300"), "not exercised: \(result.output)")
    #expect(number("quarantined_workers", in: result.output) == 1, "not exercised")
    #expect(number("worker_restarts", in: result.output) == 1)
    #expect(
      result.errors.contains(
        "The worker's memory was overwritten, probably by a kernel; it is killed"),
      "\(result.errors)")
    #expect(Leftovers.of(segment) == .none)
  }

  @Test func coreThatIsSpoiltAgainAndAgainEndsTheRun() {
    let segment = freshSegment("scribble-again")
    let result = Command.run(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libTestProgram.so", "--quiet", "--segment", segment,
        "--", "scribble", "0", "9",
      ])
    #expect(result.status == 46, "\(result.errors)")
    #expect(result.output.contains("runs 3 "), "\(result.output)")
    #expect(result.messages.count == 1, "\(result.errors)")
    #expect(result.errors.contains("error 206 GARBAGE_WORD: core aic0"), "\(result.errors)")
    #expect(result.errors.contains("COND is 0xdeadbeef"), "\(result.errors)")
    #expect(Leftovers.of(segment) == .none)
  }
}
