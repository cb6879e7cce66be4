import Glibc
import Harness
import Testing

/// One row of the table in docs/testing.md: what runs, and how it must end.
struct ConformanceCase: Sendable, CustomTestStringConvertible {
  /// As in the table.
  var id: String
  var program: [String]
  var options: [String] = []
  /// Exit status: 0, or that of the error.
  var status: Int32 = 0
  /// What the one message says.
  var message = ""
  /// A case about places has as many clusters as it is about.
  var clusters: Int?
  /// The executable; by default the conformance program is loaded.
  var executable: String?

  /// A script in Tests/Scripts, which says the same shorter than a program; `pto2 test` holds it
  /// to more than the status and the message.
  static func script(_ id: String, _ file: String, status: Int32, message: String)
    -> ConformanceCase
  {
    ConformanceCase(
      id: id, program: ["run", repositoryRoot + "Tests/Scripts/" + file + ".yaml"],
      status: status, message: message, executable: "pto2")
  }

  var testDescription: String { id }

  static let all = errors + scenes

  static let errors = [
    ConformanceCase(
      id: "error-1", program: ["outputs", "8"],
      options: ["--task-window", "4", "--consumed-window", "4"], status: 11,
      message: "error 1 SCOPE_DEADLOCK"),
    .script(
      "error-2-output", "errors/heap-output", status: 12,
      message: "Set PTO2_RING_HEAP to at least 32768"),
    .script(
      "error-2-scope", "errors/heap-scope", status: 12,
      message: "belongs to a scope that is open"),
    .script(
      "error-3", "errors/flow-deadlock", status: 13, message: "error 3 FLOW_CONTROL_DEADLOCK"),
    ConformanceCase(
      id: "error-4", program: ["fanin", "128"], options: ["--dep-pool", "4"], status: 14,
      message: "producers, the dependency pool of ring 0 has 4 entries"),
    ConformanceCase(
      id: "error-5-tensors", program: ["tensors", "33"], status: 15,
      message: "a task can have 32 tensors at most"),
    .script(
      "error-5-scalars", "errors/scalars", status: 15,
      message: "a task can have 16 scalars at most"),
    .script(
      "error-7", "errors/sync-start", status: 17,
      message: "9 blocks are to start together, but this session has "),
    ConformanceCase(
      id: "error-8", program: ["lateElement"], status: 18, message: "error 8 TENSOR_WAIT_TIMEOUT",
      executable: "pto2-api-test"),
    .script(
      "error-9", "errors/program-fails", status: 19,
      message: "error 9 EXPLICIT_ORCH_FATAL: step 42 is wrong"),
    ConformanceCase(
      id: "error-11", program: ["comb", "20"], options: ["--tensor-map", "16"], status: 21,
      message: "error 11 TENSORMAP_OVERFLOW", executable: "libTestProgram.so"),
    ConformanceCase(
      id: "error-100-running", program: ["slow", "3000"], options: ["--stall-limit", "0.5"],
      status: 30, message: "running-stalled: core aiv"),
    ConformanceCase(
      id: "error-100-starved", program: ["idle", "500"], options: ["--stall-limit", "0.1"],
      status: 30, message: "orchestrator-starved"),
    ConformanceCase(
      id: "error-101", program: ["tasks", "100"],
      options: ["--task-window", "64", "--rings", "1", "--address-space", "2K"], status: 31,
      message: "error 101 ENCODING_OVERFLOW"),
  ]

  static let scenes = [
    ConformanceCase(
      id: "dual-window", program: ["outputs", "16"], options: ["--task-window", "4"]),
    ConformanceCase(
      id: "full-pool", program: ["fanin", "128"], options: ["--dep-pool", "128"]),
    ConformanceCase(
      id: "most-arguments", program: ["tensors", "32"]),
    ConformanceCase(
      id: "slow-kernel", program: ["slow", "300"],
      options: ["--task-window", "2", "--heap", "1024", "--dep-pool", "4"]),
    ConformanceCase(
      id: "address-space", program: ["tasks", "100"],
      options: ["--task-window", "64", "--rings", "1", "--address-space", "4K"]),
    ConformanceCase(id: "barriers", program: ["barriers", "40"]),
    ConformanceCase(
      id: "predicates", program: ["predicates"], executable: "libTestProgram.so"),
    ConformanceCase(
      id: "manual-scope", program: ["manual", "48"], executable: "libTestProgram.so"),
    ConformanceCase(
      id: "tensor-map", program: ["tiles", "5000"], options: ["--tensor-map", "64"],
      executable: "libTestProgram.so"),
    ConformanceCase(
      id: "dag-64", program: ["wavefront", "64"], executable: "libTestProgram.so"),
    ConformanceCase(
      id: "heap-rebase", program: ["rebase", "12"], options: ["--heap", "1536K"]),
    ConformanceCase(
      id: "in-place", program: ["in-place", "16"],
      options: ["--task-window", "4", "--consumed-window", "8"]),
    ConformanceCase(id: "shapes", program: ["shapes", "60"]),
    ConformanceCase(id: "alternate", program: ["alternate", "150"]),
    ConformanceCase(id: "spmd-4", program: ["blocks", "4"]),
    ConformanceCase(id: "spmd-16", program: ["blocks", "16"]),
    ConformanceCase(id: "spmd-24", program: ["blocks", "24"]),
    ConformanceCase(id: "spmd-48", program: ["blocks", "48"]),
    ConformanceCase(id: "spmd-96", program: ["blocks", "96"]),
    // What is before a mixed task in the lanes of its cores is before it.
    ConformanceCase(
      id: "starvation", program: ["starvation", "2000"], options: ["--lanes", "2"], clusters: 1),
    ConformanceCase(id: "together-1", program: ["together", "1"], clusters: 1),
    ConformanceCase(id: "together-3", program: ["together", "3"], clusters: 3),
    ConformanceCase(id: "spread", program: ["spread", "8"], clusters: 4),
    ConformanceCase(
      id: "rounds", program: ["elements", "--sessions", "4"], executable: "pto2-api-test"),
    ConformanceCase(
      id: "late-consumer", program: ["late", "30"],
      options: ["--task-window", "4", "--consumed-window", "8"]),
  ]

  func run(threads: Int, clusters: Int, first: UInt32, segment: String) -> Command.Result {
    let words = command(threads: threads, clusters: clusters, first: first, segment: segment)
    return Command.run(words[0], Array(words.dropFirst()))
  }

  /// Executable and arguments.
  func command(threads: Int, clusters: Int, first: UInt32, segment: String) -> [String] {
    let session =
      [
        "--quiet", "--segment", segment, "--threads", "\(threads)", "--clusters",
        "\(self.clusters ?? clusters)", "--first-position", "\(first)",
      ] + options
    if let executable, !executable.hasSuffix(".so") {
      return [executable] + program + session
    }
    let library = Command.buildDirectory + (executable ?? "libConformanceProgram.so")
    return ["pto2-orchestrator", "--program", library] + session + ["--"] + program
  }
}

/// Every case, whatever the number of scheduler threads and of clusters, and
/// beside processes that take the CPUs. The counters start at 0 or just below
/// their wrap.
@Suite(.serialized, .elsewhereToo) struct ConformanceTests {
  private static let belowWrap: UInt32 = 4_294_967_290

  private func check(
    _ row: ConformanceCase, threads: Int, clusters: Int, first: UInt32,
    location: SourceLocation = #_sourceLocation
  ) {
    let segment = freshSegment("conformance")
    let result = row.run(threads: threads, clusters: clusters, first: first, segment: segment)
    #expect(result.status == row.status, "\(result.errors)", sourceLocation: location)
    #expect(
      result.messages.count == (row.status == 0 ? 0 : 1), "\(result.errors)",
      sourceLocation: location)
    if row.status != 0 {
      #expect(result.errors.contains(row.message), "\(result.errors)", sourceLocation: location)
    }
    // A process that was killed with a long kernel may still be on its way out.
    let deadline = time(nil) + Command.watchdogSeconds
    while Leftovers.of(segment) != .none && time(nil) < deadline { usleep(2000) }
    #expect(Leftovers.of(segment) == .none, sourceLocation: location)
  }

  @Test(arguments: ConformanceCase.all, [1, 2, 3])
  func holdsForThreads(row: ConformanceCase, threads: Int) {
    check(row, threads: threads, clusters: 1, first: threads == 2 ? 0 : Self.belowWrap)
  }

  @Test(arguments: ConformanceCase.all.filter { $0.clusters == nil }, 2...8)
  func holdsForClusters(row: ConformanceCase, clusters: Int) {
    check(
      row, threads: 1 + clusters % 3, clusters: clusters,
      first: clusters % 2 == 0 ? 0 : Self.belowWrap)
  }

  @Test(arguments: ConformanceCase.all)
  func holdsBesideTwoHogs(row: ConformanceCase) {
    let hogs = (0..<2).map { _ in Command("/bin/sh", ["-c", "while :; do :; done"]) }
    defer {
      for hog in hogs {
        hog.signal(SIGKILL)
        _ = hog.wait()
      }
    }
    check(row, threads: 2, clusters: 2, first: Self.belowWrap)
  }

  /// The table has a row for each case and no other.
  @Test func everyCaseIsDocumented() {
    let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let lines = readFile("/\(root)/docs/testing.md").split(separator: "\n")
    let rows = lines.drop { $0 != "## Conformance suite" }.dropFirst()
      .prefix { !$0.hasPrefix("## ") }
      .compactMap { line -> String? in
        guard line.hasPrefix("| `") else { return nil }
        return String(line.dropFirst(3).prefix { $0 != "`" })
      }
    #expect(rows == ConformanceCase.all.map(\.id))
  }
}
