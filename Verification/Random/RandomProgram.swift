import Glibc
import PTO2
import PTO2CommandLine

/// The differential test: random programs, run in a session and interpreted.
@main
struct RandomProgram: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pto2-random",
    abstract: "Runs random programs in sessions and compares with a sequential interpreter.",
    discussion: """
      A seed makes a program and the sizes of its session. Options given here go before the \
      seed's. What is not equal bit for bit is one line, with the command that runs the seed \
      again; the exit status is then 1, or 3 when a session hangs.

      Examples:
        pto2-random --seeds 1-200
        pto2-random --seed 17 --repeat 100
        pto2-random --seed 17 --verbose
        pto2-random --seeds 1-50 --tasks 5000 --clusters 1 --lanes 1
        mpirun -n 3 pto2-random --seeds 1-100 --placed
      """)

  @Option(help: "One seed.")
  var seed: UInt64?

  @Option(help: ArgumentHelp("A range of seeds.", valueName: "first-last"))
  var seeds: String = "1-200"

  @Option(help: "Tasks of each program (default: 300 to 1000, from the seed).")
  var tasks: Int?

  @Option(help: "Sessions for each seed: its schedule is never the same twice.")
  var `repeat`: Int = 1

  @Option(help: "How long one session may take before it counts as hung.")
  var timeout: Int = 60

  @Flag(help: "Print each program, its session and its report.")
  var verbose = false

  @Flag(help: "Leave one write out of the reference: every seed must then fail.")
  var sabotage = false

  @Flag(help: "Only tasks that can be run again: for runs in which processes are killed.")
  var recoverable = false

  @Flag(help: "Record tasks, and replay them with other tensors; none has explicit dependencies.")
  var replay = false

  @Flag(
    help: """
      Tasks and tensors on random ranks: for mpirun. All seeds are one run, of one session, \
      without manual scopes and tensors without order.
      """)
  var placed = false

  @OptionGroup var runtime: RuntimeOptions

  private func range() throws -> ClosedRange<UInt64> {
    if let seed { return seed...seed }
    let ends = seeds.split(separator: "-", maxSplits: 1).map { UInt64($0) }
    guard let first = ends.first ?? nil, let last = ends.last ?? nil, first <= last else {
      throw ValidationError("--seeds: expected two numbers such as 1-200, got \(seeds)")
    }
    return first...last
  }

  func validate() throws {
    _ = try range()
    guard tasks ?? 1 > 0, `repeat` > 0, timeout > 0 else {
      throw ValidationError("--tasks, --repeat and --timeout: expected numbers above 0")
    }
  }

  func run() throws {
    Watchdog.start(replay: Self.command)
    if placed { return try runPlaced() }
    var failures = 0
    var sessions = 0
    var submitted = 0
    for seed in try range() {
      var generator = Generator(seed: seed, isRecoverable: recoverable, isReplayed: replay)
      var description = generator.run(tasks: tasks)
      if replay {
        var maker = ReplayMaker(
          seed: seed, description, isRecoverable: recoverable)
        description = maker.run()
      }
      if verbose { for (i, line) in description.operations.enumerated() { print(i, line) } }
      var reference = Reference(description)
      let skipped = sabotage ? description.lastLastingWrite : nil
      if sabotage && skipped == nil { print("seed \(seed): has no write to leave out") }
      let expected = reference.run(skipping: skipped)
      for _ in 0..<`repeat` {
        sessions += 1
        submitted += description.taskCount
        if let difference = run(seed, description, expected) {
          print("seed \(seed): \(difference); replay: \(Self.command(seed))")
          fflush(nil)
          failures += 1
          break
        }
      }
    }
    print("\(sessions) sessions, \(submitted) tasks, \(failures) failed")
    if failures > 0 { throw ExitCode(1) }
  }

  /// Every seed in one run, since a rank starts MPI once.
  private func runPlaced() throws {
    var submitted = 0
    let seeds = try range()
    try runtime.run("pto2-random", images: ["TestKernels"], printsReport: verbose || runtime.json) {
      graph in
      for seed in seeds {
        var generator = Generator(seed: seed, isRecoverable: recoverable, isPlaced: true)
        let description = generator.run(tasks: tasks)
        if verbose { for (i, line) in description.operations.enumerated() { print(i, line) } }
        var reference = Reference(description)
        let skipped = sabotage ? description.lastLastingWrite : nil
        let expected = reference.run(skipping: skipped)
        submitted += description.taskCount
        var session = SessionRun(description, expected: expected, seed: seed, isPlaced: true)
        try Watchdog.watch(seed, seconds: timeout) {
          try graph.scope { try session.run(graph) }
          try graph.wait()
        }
        if let mismatch = session.mismatch {
          try graph.fail("seed \(seed), rank \(graph.rank): \(mismatch)")
        }
        if graph.rank == 0 { graph.progress("seed \(seed)", 0) }
      }
      if graph.rank == 0 {
        print("\(seeds.count) seeds on \(graph.ranks) ranks, \(submitted) tasks, 0 failed")
      }
    }
  }

  /// Runs one session; returns what is wrong.
  private func run(_ seed: UInt64, _ description: Description, _ expected: [[UInt64]]) -> String? {
    var options = runtime
    SessionShape(
      description, seed: seed, rings: Self.isGiven("--rings") ? runtime.sizes.rings : nil
    )
    .apply(to: &options, isGiven: Self.isGiven)
    options.quiet = !verbose
    var session = SessionRun(description, expected: expected, seed: seed)
    do {
      _ = try Watchdog.watch(seed, seconds: timeout) {
        try options.run(
          "seed \(seed)", images: ["TestKernels"], printsReport: verbose || runtime.json
        ) { try session.run($0) }
      }
    } catch {
      return "the run failed with \(error), see standard error"
    }
    return session.mismatch?.description
  }

  private static func isGiven(_ option: String) -> Bool {
    CommandLine.arguments.contains { $0 == option || $0.hasPrefix(option + "=") }
  }

  /// This command line for one seed.
  private static func command(_ seed: UInt64) -> String {
    var words = [CommandLine.arguments[0], "--seed", "\(seed)"]
    var skips = false
    for word in CommandLine.arguments.dropFirst() {
      if skips {
        skips = false
      } else if word == "--seed" || word == "--seeds" {
        skips = true
      } else if !word.hasPrefix("--seed=") && !word.hasPrefix("--seeds=") {
        words.append(word)
      }
    }
    return words.joined(separator: " ")
  }
}
