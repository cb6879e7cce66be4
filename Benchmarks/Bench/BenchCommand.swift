import Glibc
import PTO2
import PTO2CommandLine
import PTO2Segment
import PTO2System

@main
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pto2-bench",
    abstract: "Measures what the runtime itself takes for a task, beside what the machine can do.",
    discussion: """
      Every run stands between two raw ping-pongs of two processes that spin: "near" when the
      CPUs answer each other within 0.25 us, "far" otherwise. docs/benchmarks.md explains the
      columns and each benchmark.

      Examples:
        pto2-bench
        pto2-bench --only chain --only chain-hogs --repeat 11
        pto2-bench --tasks 50000 --json > figures.json
        pto2-bench --quick        (tiny inputs: only shows that everything runs)
        pto2-bench --dual-ring    (what splitting the task ring in two gives)
        pto2-bench --unroll       (what tasks on other ranks cost a rank that sees them)
        pto2-bench --unroll --plot unrolling.svg

      Benchmarks:
      \(Benchmark.all.map { "  " + $0.name + ": " + $0.what }.joined(separator: "\n"))
      """)

  @Option(help: ArgumentHelp("Tasks of a graph, 18 to 60000.", valueName: "n"))
  var tasks: Int?

  @Option(
    name: .customLong("repeat"),
    help: ArgumentHelp("Runs of each benchmark; medians are printed.", valueName: "n"))
  var repeats: Int?

  @Option(help: ArgumentHelp("Only this benchmark; may be repeated.", valueName: "name"))
  var only: [String] = []

  @Flag(help: "64 tasks, one run.")
  var quick = false

  @Flag(
    help:
      "Instead: bytes of a single and of a dual task ring, and how far a program comes with each while an early output stays alive."
  )
  var dualRing = false

  @Flag(help: "Instead: what a task on another rank costs this one, for 2 to 256 ranks.")
  var unroll = false

  @Option(help: ArgumentHelp("Draws what --unroll measures.", valueName: "file.svg"))
  var plot: String?

  @Flag(help: "Print one JSON object instead of a table.")
  var json = false

  func validate() throws {
    if let tasks, !(18...60_000).contains(tasks) {
      throw ValidationError("--tasks \(tasks): expected 18 to 60000")
    }
    if let repeats, !(1...1000).contains(repeats) {
      throw ValidationError("--repeat \(repeats): expected 1 to 1000")
    }
    if dualRing, !only.isEmpty || tasks != nil || repeats != nil {
      throw ValidationError("--dual-ring goes with --quick and --json alone")
    }
    if unroll, !only.isEmpty || dualRing {
      throw ValidationError(
        "--unroll goes with --tasks, --repeat, --quick, --plot and --json alone")
    }
    if plot != nil, !unroll { throw ValidationError("--plot goes with --unroll alone") }
    for name in only where !Benchmark.all.contains(where: { $0.name == name }) {
      let known = Benchmark.all.map(\.name).joined(separator: ", ")
      throw ValidationError("--only \(name): expected one of \(known)")
    }
  }

  func run() throws {
    if dualRing {
      let figures = try DualRing.measure(
        window: quick ? 64 : PTO2Segment.Configuration.defaultTaskWindow)
      return writeOutput(json ? figures.json : figures.text)
    }
    if unroll {
      let figures = try Unrolling.measure(
        tasks: tasks ?? (quick ? 64 : 10_000), repeats: repeats ?? (quick ? 1 : 5))
      if let plot { try figures.plot(to: plot) }
      return writeOutput(json ? figures.json : figures.text)
    }
    let extent = Extent(
      tasks: tasks ?? (quick ? 64 : 10_000), roundTrips: quick ? 1000 : 20_000,
      hops: quick ? 1000 : 20_000)
    let repeats = repeats ?? (quick ? 1 : 5)
    let machine = Machine.current()
    if !json { writeOutput(Table.header(machine, extent, repeats: repeats)) }
    var rows: [Row] = []
    for benchmark in Benchmark.all where only.isEmpty || only.contains(benchmark.name) {
      let samples = try (0..<repeats).map { _ in try sample(benchmark, extent) }
      let new = Row.rows(benchmark, samples)
      if !json { for row in new { writeOutput(Table.text(row)) } }
      rows += new
    }
    if json { writeOutput(JSON.document(machine, extent, repeats: repeats, rows)) }
  }
}

extension Machine {
  static func current() -> Machine {
    let model = readWholeFile("/proc/cpuinfo")?.split(separator: "\n")
      .first { $0.hasPrefix("model name") }
      .flatMap { $0.split(separator: ":").last.map { String($0.drop { $0 == " " }) } }
    let release = readWholeFile("/proc/sys/kernel/osrelease")?.prefix { $0 != "\n" }
    return Machine(
      processor: model ?? "unknown processor", processors: sysconf(Int32(_SC_NPROCESSORS_ONLN)),
      kernel: release.map(String.init) ?? "unknown")
  }
}

/// C strings for a call, NULL at the end.
func withCStrings<Result>(
  _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
) -> Result {
  let copies = strings.map { strdup($0) }
  defer { for copy in copies { free(copy) } }
  return body(copies + [nil])
}
