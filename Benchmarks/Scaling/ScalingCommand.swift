import ArgumentParser
import BenchSupport
import CPTO2Segment
import CTaskBench
import PTO2System

@main
struct ScalingCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pto2-scaling",
    abstract: "How many cores the scheduler keeps busy, and with which kernels.",
    discussion: """
      The real orchestrator and scheduler run in one process on virtual cores: a kernel is a
      length of virtual time, and each scheduler thread's clock goes on by the CPU time of its
      steps. So two CPUs tell what 120 cores do. Every task is checked to have run once, after
      its producers. docs/benchmarks.md says what is simulated, and what is not.

      Examples:
        pto2-scaling
        pto2-scaling --pattern no_comm --clusters 40 --kernel 1us,2us,5us --threads 1
        pto2-scaling --submit                   (the program submits as fast as it can)
        pto2-scaling --json --plot scaling.svg > scaling.json
        pto2-scaling --quick                    (tiny inputs: only shows that everything runs)

      Patterns: \((0..<TASKBENCH_PATTERNS.rawValue).map {
        Figures.name(taskbench_pattern($0))
      }.joined(separator: ", ")).

      Exit status: 0, 1 when a run failed or was wrong, 64 for wrong usage.
      """)

  @Option(help: ArgumentHelp("A pattern of Task Bench.", valueName: "name"))
  var pattern = "stencil_1d"

  @Option(help: ArgumentHelp("Clusters of three cores, 1 to 40 (1,4,10,20,40).", valueName: "list"))
  var clusters: String?

  @Option(help: ArgumentHelp("Scheduler threads, 1 to 8 (1,2,4).", valueName: "list"))
  var threads: String?

  @Option(
    help: ArgumentHelp(
      "Lengths of kernels (1us,2us,5us,10us,20us,50us,100us).", valueName: "list"))
  var kernel: String?

  @Option(help: ArgumentHelp("Tasks of a graph, 100 to 1000000 (20000).", valueName: "n"))
  var tasks: Int?

  @Option(
    name: .customLong("repeat"),
    help: ArgumentHelp("Runs of each setting; the quickest counts (3).", valueName: "n"))
  var times: Int?

  @Option(
    help: ArgumentHelp("What a core takes for a task beside its kernel.", valueName: "length"))
  var core = "0.2us"

  @Option(
    help: ArgumentHelp(
      "What a cache line costs that another CPU has written: each COND, lane and log record.",
      valueName: "length"))
  var line = "0.05us"

  @Flag(help: "Submitting takes the time it takes; otherwise the window is always full.")
  var submit = false

  @Flag(help: "Tasks are dispatched when their producers are COMPLETED.")
  var noAhead = false

  @Flag(help: "No thread finds a lock taken: more than several threads can do.")
  var freeLocks = false

  @Flag(help: "Tiny inputs, one run.")
  var quick = false

  @Flag(name: .customLong("break"), help: "One core says FIN long before the ends of its kernels.")
  var isBroken = false

  @Flag(help: "Print one JSON object instead of tables.")
  var json = false

  @Option(help: ArgumentHelp("Draws utilisation over kernel length.", valueName: "file.svg"))
  var plot: String?

  var clusterCounts: [Int] { Self.numbers(clusters ?? (quick ? "1,4" : "1,4,10,20,40")) }
  var threadCounts: [Int] { Self.numbers(threads ?? (quick ? "1,2" : "1,2,4")) }
  var kernels: [Double] {
    (kernel ?? (quick ? "1us,20us" : "1us,2us,5us,10us,20us,50us,100us"))
      .split(separator: ",", omittingEmptySubsequences: false).map { microseconds($0) ?? 0 }
  }
  var taskCount: Int { tasks ?? (quick ? 500 : 20_000) }
  var repeats: Int { times ?? (quick ? 1 : 3) }
  var patternName: String { pattern }

  /// What is no number is 0.
  private static func numbers(_ list: String) -> [Int] {
    list.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
  }

  private static func pattern(_ name: String) -> taskbench_pattern? {
    (0..<TASKBENCH_PATTERNS.rawValue).map { taskbench_pattern($0) }
      .first { Figures.name($0) == name }
  }

  func validate() throws {
    if Self.pattern(pattern) == nil {
      throw ValidationError("--pattern \(pattern): expected one of those in --help")
    }
    func check(_ name: String, _ values: [Int], _ range: ClosedRange<Int>, _ text: String?) throws {
      guard !values.allSatisfy(range.contains) else { return }
      throw ValidationError(
        "--\(name) \(text ?? ""): expected \(range.lowerBound) to \(range.upperBound)")
    }
    try check("clusters", clusterCounts, 1...Int(PTO2_MAX_CLUSTERS), clusters)
    try check("threads", threadCounts, 1...Int(PTO2_MAX_SCHEDULER_THREADS), threads)
    try check("tasks", [taskCount], 100...1_000_000, tasks.map { "\($0)" })
    try check("repeat", [repeats], 1...100, times.map { "\($0)" })
    if kernels.contains(0) {
      throw ValidationError("--kernel \(kernel ?? ""): expected lengths of time, such as 1us,2.5us")
    }
    for (name, text) in [("core", core), ("line", line)]
    where text != "0" && microseconds(text[...]) == nil {
      throw ValidationError("--\(name) \(text): expected a length of time, such as 0.05us, or 0")
    }
  }

  func run() throws {
    var figures = Figures(self)
    if !json { writeOutput(figures.header) }
    for threads in threadCounts {
      for clusters in clusterCounts {
        for kernel in kernels {
          figures.outcomes.append(try simulate(clusters, threads, kernel))
        }
      }
      if !json { writeOutput(figures.text(threads: threads)) }
    }
    if json { writeOutput(figures.json) }
    if let plot { try figures.plot(to: plot) }
  }

  /// What others do to a run makes it slower: the quickest counts.
  private func simulate(_ clusters: Int, _ threads: Int, _ kernel: Double) throws -> Outcome {
    func nanoseconds(_ text: String) -> Int { Int((microseconds(text[...]) ?? 0) * 1000) }
    let setting = Setting(
      pattern: Self.pattern(pattern)!, clusters: clusters, threads: threads,
      kernel: Int(kernel * 1000), tasks: taskCount,
      costs: Setting.Costs(core: nanoseconds(core), line: nanoseconds(line)),
      isSubmitTimed: submit, worksAhead: !noAhead, hasFreeLocks: freeLocks,
      isBroken: isBroken)
    let outcomes = try (0..<repeats).map { _ in try VirtualSession(setting).run() }
    return outcomes.min { $0.elapsed < $1.elapsed }!
  }
}
