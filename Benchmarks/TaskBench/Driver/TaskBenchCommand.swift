internal import ArgumentParser
internal import BenchSupport
internal import Glibc
internal import Harness
internal import PTO2System

@main
struct TaskBenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pto2-taskbench",
    abstract: "Graphs of Task Bench (SC'20) in pto2 and, beside it, in other systems.",
    discussion: """
      METG(50 %) is the smallest average granularity (wall time x CPUs / tasks) at which half of
      the best rate is reached that any system had at any size. Every task checks its inputs.
      `make peers` builds the other systems; docs/benchmarks.md explains the rest.

      Examples:
        pto2-taskbench                          (stencil_1d, width 4)
        pto2-taskbench --pattern fft --pattern tree --width 2 --width 8
        pto2-taskbench --table                  (six graphs, what `make taskbench` runs)
        pto2-taskbench --system pto2 --system pto2-explicit --rounds 9
        pto2-taskbench --ablation               (what each part of pto2 gives)
        pto2-taskbench --ranks 2 --steps 200    (under mpirun, the CPUs shared out among ranks)
        pto2-taskbench --imbalance 1 --json --plot stencil.svg > figures.json
        pto2-taskbench --quick --pattern all    (tiny inputs: only shows that everything runs)

      Patterns: \(Pattern.all.map(\.name).joined(separator: ", ")).
      Systems: \(System.all.map(\.name).joined(separator: ", ")).

      Exit status: 0, 1 when a run failed or was wrong, 64 for wrong usage.
      """)

  @Option(help: ArgumentHelp("A pattern, or all; may be repeated.", valueName: "name"))
  var pattern: [String] = []

  @Option(help: ArgumentHelp("Points of a step, 1 to 64; may be repeated.", valueName: "n"))
  var width: [Int] = []

  @Flag(help: "stencil_1d of width 2, 4 and 8, fft of 4, no_comm and random_nearest of 8.")
  var table = false

  @Option(help: ArgumentHelp("Steps of a graph (1000).", valueName: "n"))
  var steps: Int?

  @Option(help: ArgumentHelp("Of nearest, spread and random_nearest.", valueName: "n"))
  var radix = 5

  @Option(
    help: ArgumentHelp(
      "Kernels differ in length by this times the mean, 0 to 2.", valueName: "f"))
  var imbalance = 0.0

  @Option(
    help: ArgumentHelp("Cores, threads or ranks (one for each CPU it may use).", valueName: "n"))
  var workers: Int?

  @Option(help: ArgumentHelp("Under mpirun, each with its part of the workers.", valueName: "n"))
  var ranks = 1

  @Option(
    help: ArgumentHelp(
      "Only this system; may be repeated. Otherwise pto2 and the others that are built.",
      valueName: "name"))
  var system: [String] = []

  @Flag(help: "pto2, and pto2 with one part off, or on, at a time.")
  var ablation = false

  @Option(help: ArgumentHelp("Times that all systems are run in turns.", valueName: "n"))
  var rounds: Int?

  @Option(
    help: ArgumentHelp("Also the efficiency with kernels of these lengths.", valueName: "lengths"))
  var at = "30us,110us"

  @Option(help: ArgumentHelp("The longest kernel.", valueName: "length"))
  var from = "400us"

  @Option(help: ArgumentHelp("How long a program repeats its graph.", valueName: "s"))
  var seconds: Double?

  @Flag(help: "Tiny inputs, pto2 alone, one round.")
  var quick = false

  @Flag(name: .customLong("break"), help: "One task of each graph puts out something wrong.")
  var isBroken = false

  @Flag(help: "Print one JSON object instead of a table.")
  var json = false

  @Option(help: ArgumentHelp("Draws efficiency over granularity.", valueName: "file.svg"))
  var plot: String?

  func validate() throws {
    func check(_ name: String, _ value: Int?, _ range: ClosedRange<Int>) throws {
      guard let value, !range.contains(value) else { return }
      throw ValidationError(
        "--\(name) \(value): expected \(range.lowerBound) to \(range.upperBound)")
    }
    for name in pattern where name != "all" && Pattern(name) == nil {
      let known = Pattern.all.map(\.name).joined(separator: ", ")
      throw ValidationError("--pattern \(name): expected all, \(known)")
    }
    for name in system {
      guard let known = System(name) else {
        let all = System.all.map(\.name).joined(separator: ", ")
        throw ValidationError("--system \(name): expected one of \(all)")
      }
      if !known.runs(onRanks: ranks) {
        throw ValidationError("--system \(name): does not run on \(ranks) ranks")
      }
      if !known.isBuilt { throw ValidationError("--system \(name): not built, see make peers") }
    }
    for width in width { try check("width", width, 1...64) }
    try check("steps", steps, 1...100_000)
    try check("radix", radix, 1...63)
    try check("workers", workers, 1...64)
    try check("rounds", rounds, 1...1000)
    try check("ranks", ranks, 1...64)
    if let workers, workers % ranks != 0 {
      throw ValidationError("--workers \(workers): expected as many for each of \(ranks) ranks")
    }
    if !(0...2).contains(imbalance) {
      throw ValidationError("--imbalance \(imbalance): expected 0 to 2")
    }
    if let seconds, !(0...1000).contains(seconds) {
      throw ValidationError("--seconds \(seconds): expected 0 to 1000")
    }
    for text in at.split(separator: ",") + [from[...]] where microseconds(text) == nil {
      throw ValidationError("\(text): expected a length of time, such as 30us or 1.5ms")
    }
    if ablation, !system.isEmpty { throw ValidationError("--ablation says which systems") }
    if table, !pattern.isEmpty || !width.isEmpty {
      throw ValidationError("--table says which patterns and widths")
    }
  }

  func run() throws {
    let plan = Plan(self)
    let runner = Runner(plan)
    if !json { writeOutput(Report.header(plan)) }
    var results: [CaseResult] = []
    for example in cases() {
      var sweep = Sweep(runner, example)
      let result = sweep.run()
      results.append(result)
      if !json { writeOutput(Report.text(result, plan)) }
    }
    if json { writeOutput(Report.document(results, plan)) }
    if let plot { try Plot.write(results, plan, to: plot) }
    if results.contains(where: { $0.systems.contains { $0.failure != nil } }) {
      throw ExitCode(1)
    }
  }

  private func cases() -> [Case] {
    if table {
      return [
        ("stencil_1d", 2), ("stencil_1d", 4), ("stencil_1d", 8), ("fft", 4), ("no_comm", 8),
        ("random_nearest", 8),
      ].map { Case(pattern: Pattern($0.0)!, width: $0.1) }
    }
    let names = pattern.isEmpty ? ["stencil_1d"] : pattern
    let patterns = names.contains("all") ? Pattern.all : names.map { Pattern($0)! }
    return patterns.flatMap { pattern in
      (width.isEmpty ? [4] : width).map { Case(pattern: pattern, width: $0) }
    }
  }
}

/// What is the same for all graphs.
struct Plan {
  var systems: [System]
  var steps: Int
  var radix: Int
  var imbalance: Double
  var workers: Int
  var ranks: Int
  var rounds: Int
  var seconds: Double
  /// In microseconds.
  var at: [Double]
  var from: Double
  var isQuick: Bool
  var isBroken: Bool
  /// How often a run that others disturbed is repeated.
  var repeats: Int
  /// CPUs that this process, and so each of its children, may use.
  let processors = max(1, CPUSet.allowed().count)

  /// Those of one rank of several, in turns where there are fewer than workers.
  func cpus(of rank: Int) -> String {
    let allowed = CPUSet.allowed()
    let all = (0..<CPUSet.capacity).filter { allowed.contains($0) }
    if all.isEmpty { return "0" }
    let share = workers / ranks
    return (rank * share..<(rank + 1) * share).map { "\(all[$0 % all.count])" }
      .joined(separator: ",")
  }

  init(_ command: TaskBenchCommand) {
    let quick = command.quick
    let ranks = command.ranks
    let chosen =
      command.ablation ? System.ablation(ranks: ranks) : command.system.map { System($0)! }
    systems = chosen.isEmpty ? (quick ? [System("pto2")!] : System.usual(ranks: ranks)) : chosen
    steps = command.steps ?? (quick ? 20 : 1000)
    radix = command.radix
    imbalance = command.imbalance
    self.ranks = ranks
    // As many for each rank, one at least.
    workers = command.workers ?? max(1, processors / ranks) * ranks
    rounds = command.rounds ?? (quick ? 1 : 5)
    seconds = command.seconds ?? (quick ? 0 : 0.2)
    at = command.at.split(separator: ",").map { microseconds($0)! }
    from = quick ? 20 : microseconds(command.from[...])!
    isQuick = quick
    isBroken = command.isBroken
    repeats = quick ? 0 : 3
  }
}

/// A graph but for its kernels.
struct Case {
  var pattern: Pattern
  var width: Int
  var name: String { "\(pattern.name) width \(width)" }
}
