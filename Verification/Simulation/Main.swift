internal import ArgumentParser
internal import Glibc
internal import PTO2System

@main struct Main: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pto2-simulate",
    abstract:
      "Runs orchestrator, scheduler and workers in one process, one shared access at a time.",
    discussion: """
      Without options: the set that `make simulate` runs.

      Examples:
        pto2-simulate --strategy random --config small --seeds 1-1000
        pto2-simulate --strategy pct --config tiny --crash any --seeds 1-5000
        pto2-simulate --strategy dfs --program chain --threads 2 --preemptions 2
        pto2-simulate --strategy pct --config small --seeds 17 --verbose

      Each failure is one line, with the command that replays it. Exit status 1 then.
      """)

  @Option(help: "First and last seed, or one.")
  var seeds = "1-1000"
  @Option(help: "random, pct or dfs.")
  var strategy: String?
  @Option(
    help:
      "tiny, small or large: sizes of random sessions; rank: one with transfers; ranks: two or three whole ranks."
  )
  var config = "small"
  @Option(
    help:
      "Whose process dies: none, worker, scheduler, orchestrator or any; with dfs also pair: a worker, then the scheduler."
  )
  var crash = "none"
  @Option(help: "A run of more steps than this has a livelock; for dfs, steps in all.")
  var steps = 3_000_000
  @Option(
    help:
      "One of \(Tiny.allCases.map(\.rawValue).joined(separator: ", ")) in place of random programs."
  )
  var program: String?
  @Option(help: "Scheduler threads of a tiny program, each with one core.")
  var threads = 1
  @Option(help: "dfs: preemptions in a schedule at most.")
  var preemptions = 2
  @Flag(help: "dfs: a preempted role goes on only when no other can.")
  var hold = false
  @Option(help: "dfs: the one schedule, or crash, that a failure has named.")
  var replay: String?
  @Flag(help: "Print every step.")
  var verbose = false
  @Option(help: "Processes that share the set; one for each CPU by default.")
  var jobs: Int?
  @Flag(help: "Without other options: half of the set, as `make test` runs it.")
  var short = false
  @Flag(help: "End with the first failure.")
  var stopAtFirst = false
  @Flag(help: "Print the summary as JSON.")
  var json = false

  func validate() throws {
    if let jobs, !(1...1024).contains(jobs) {
      throw ValidationError("--jobs \(jobs): expected 1 to 1024")
    }
  }

  func run() throws {
    // Images are loaded by absolute path.
    let executable = try absolutePath("/proc/self/exe")
    let directory = executable.split(separator: "/", omittingEmptySubsequences: false)
      .dropLast().joined(separator: "/")
    let campaign = Campaign(
      images: try Kernels.load(directory + "/libSimulationKernels.so"),
      stepLimit: steps, maximumFailures: stopAtFirst ? 1 : 5,
      trace: verbose ? { writeOutput($0 + "\n") } : nil,
      report: { writeError($0) })
    if let strategy {
      try runOne(campaign, try named(StrategyName.self, strategy, "--strategy"))
    } else {
      return try conclude(
        Parts.run(
          campaign, jobs: jobs ?? max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))),
          isShort: short, stopsAtFirst: stopAtFirst))
    }
    try conclude(campaign.rows)
  }

  private func conclude(_ rows: [Row]) throws {
    writeOutput(json ? Summary.json(rows) : Summary.table(rows))
    if rows.contains(where: { $0.failures > 0 }) { throw ExitCode(1) }
  }

  private func runOne(_ campaign: Campaign, _ strategy: StrategyName) throws {
    let crash = try named(CrashName.self, crash, "--crash")
    guard (1...3).contains(threads) else { throw ValidationError("--threads: expected 1 to 3") }
    guard strategy == .dfs else {
      guard crash != .pair else {
        throw ValidationError("--crash pair goes with --strategy dfs")
      }
      return try campaign.random(
        try seedRange(), size: try named(Size.self, config, "--config"), strategy: strategy,
        crash: crash,
        program: try program.map { (try named(Tiny.self, $0, "--program"), threads) })
    }
    let programs = try program.map { [try named(Tiny.self, $0, "--program")] } ?? Tiny.allCases
    for program in programs {
      if crash == .none {
        try campaign.depthFirst(
          program, threads: threads, bound: preemptions, holds: hold, budget: steps,
          replay: replay)
      } else {
        let points = try replay?.split(separator: ",").map { try crashPoint(String($0)) }
        if crash == .pair {
          try campaign.everyPair(program, threads: threads, at: points)
        } else {
          try campaign.everyCrash(program, threads: threads, crash: crash, at: points?.first)
        }
      }
    }
  }

  private func crashPoint(_ text: String) throws -> (Int, Int) {
    let numbers = text.split(separator: ":").compactMap { Int($0) }
    guard numbers.count == 2 else {
      throw ValidationError("--replay \(text): expected role:point")
    }
    return (numbers[0], numbers[1])
  }

  private func seedRange() throws -> ClosedRange<UInt64> {
    let ends = seeds.split(separator: "-").compactMap { UInt64($0) }
    guard let first = ends.first, let last = ends.last, first <= last, ends.count <= 2 else {
      throw ValidationError("--seeds \(seeds): expected first-last")
    }
    return first...last
  }

  private func named<Name: RawRepresentable<String> & CaseIterable>(
    _ type: Name.Type, _ text: String, _ option: String
  ) throws -> Name {
    guard let name = Name(rawValue: text) else {
      let all = Name.allCases.map(\.rawValue).joined(separator: ", ")
      throw ValidationError("\(option) \(text): expected one of \(all)")
    }
    return name
  }
}

private func absolutePath(_ path: String) throws -> String {
  guard let resolved = unsafe realpath(path, nil) else {
    throw ValidationError("\(path) cannot be resolved")
  }
  defer { unsafe free(resolved) }
  return unsafe String(cString: resolved)
}
