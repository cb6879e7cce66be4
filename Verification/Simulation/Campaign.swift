internal import PTO2Segment
internal import PTO2System

enum StrategyName: String, CaseIterable { case random, pct, dfs }
enum CrashName: String, CaseIterable { case none, worker, scheduler, orchestrator, any, pair }

/// One row of the summary.
struct Row {
  var strategy: String
  var configuration: String
  var runs = 0
  var steps = 0
  var seconds = 0.0
  var failures = 0
  /// Time slices that roles have used up.
  var slices = 0
  var note = ""

  /// More runs of the same.
  mutating func add(_ other: Row) {
    runs += other.runs
    steps += other.steps
    seconds += other.seconds
    failures += other.failures
    slices += other.slices
  }
}

/// Runs sets of sessions and says how they came out.
final class Campaign {
  private let images: [KernelImage]
  private let stepLimit: Int
  private let trace: ((String) -> Void)?
  private let report: (String) -> Void
  private(set) var rows: [Row] = []
  /// A set ends after this many failures.
  private let maximumFailures: Int

  init(
    images: [KernelImage], stepLimit: Int, maximumFailures: Int = 5,
    trace: ((String) -> Void)?, report: @escaping (String) -> Void
  ) {
    self.images = images
    self.stepLimit = stepLimit
    self.maximumFailures = maximumFailures
    self.trace = trace
    self.report = report
  }

  private func timed(_ row: Row, _ body: (inout Row) throws -> Void) rethrows {
    var row = row
    let clock = ContinuousClock()
    let begin = clock.now
    try body(&row)
    let passed = begin.duration(to: clock.now).components
    row.seconds = Double(passed.seconds) + Double(passed.attoseconds) / 1e18
    rows.append(row)
  }

  private func count(_ result: RunResult, _ row: inout Row, replay: String) {
    row.runs += 1
    row.steps += result.steps
    row.slices += result.slices
    guard let failure = result.failure else { return }
    row.failures += 1
    report(
      "FAILED \(failure.invariant): \(failure.detail); step \(failure.step), \(failure.role). Replay: pto2-simulate \(replay) --verbose"
    )
  }

  // MARK: Seeds

  /// - Parameter program: in place of the seed's own session.
  func random(
    _ seeds: ClosedRange<UInt64>, size: Size, strategy: StrategyName, crash: CrashName,
    program: (Tiny, threads: Int)? = nil
  ) throws {
    let what = program.map { "\($0.0.rawValue), \($0.threads) thread(s)" } ?? size.rawValue
    let options =
      program.map { "--program \($0.0.rawValue) --threads \($0.threads)" }
      ?? "--config \(size.rawValue)"
    let label = crash == .none ? "" : ", crash of \(crash.rawValue)"
    try timed(Row(strategy: strategy.rawValue, configuration: what + label)) { row in
      for seed in seeds {
        let replay =
          "\(options) --strategy \(strategy.rawValue) --crash \(crash.rawValue) --seeds \(seed)"
        let scenario =
          program.map { $0.0.scenario(threads: $0.threads) } ?? Scenario(seed: seed, size: size)
        let whole = try run(scenario, seed, strategy, crash == .none ? trace : nil)
        count(whole, &row, replay: replay)
        if crash != .none && whole.failure == nil {
          var random = SplitMix64(seed: seed ^ 0xDEAD)
          let delay = UInt64(random.within(300_000...30_000_000))
          let first = Self.crashPoint(crash, whole, &random)
          // One seed in two has a second death, on top of the first.
          let isOnly = random.below(2) == 0 || Self.local(first.pid) == Session.orchestratorPid
          let once = try run(scenario, seed, strategy, isOnly ? trace : nil, [first], delay)
          count(once, &row, replay: replay)
          if !isOnly && once.failure == nil {
            let isWorker = Self.local(first.pid) >= Session.workerPid(0)
            let again = Self.crashPoint(isWorker ? .scheduler : crash, once, &random)
            if again.pid != first.pid {
              count(
                try run(scenario, seed, strategy, trace, [first, again], delay), &row,
                replay: replay)
            }
          }
        }
        if row.failures >= maximumFailures { break }
      }
    }
  }

  private func run(
    _ scenario: Scenario, _ seed: UInt64, _ strategy: StrategyName, _ trace: ((String) -> Void)?,
    _ crashes: [CrashPoint] = [], _ delay: UInt64 = 0
  ) throws -> RunResult {
    var settings = Engine.Settings()
    settings.stepLimit = stepLimit
    // One seed in four also has wakes without a reason, as futex(2) allows.
    settings.spuriousRate = seed % 4 == 3 ? 200 : 0
    settings.spuriousSeed = seed
    settings.crashes = crashes
    let strategy = strategy == .random ? RandomWalk(seed: seed) : PCT(seed: seed)
    return try Session(scenario, images: images).run(
      strategy, settings, crash: crashes.isEmpty ? nil : Recover(delay: delay), trace: trace)
  }

  /// Any scheduling point of any role that may die, each as likely.
  private static func crashPoint(
    _ crash: CrashName, _ whole: RunResult, _ random: inout SplitMix64
  ) -> CrashPoint {
    let victims = whole.points.indices.filter { index in
      let process = pid(whole, index)
      let pid = local(process)
      // Ranks that are gone: MPI tells of them, and there is none here.
      if whole.ranks > 1 && pid == Session.orchestratorPid { return false }
      // A session ends with its link: there is no second one.
      if pid == Session.linkPid { return false }
      let isVictim =
        switch crash {
        case .worker: pid >= Session.workerPid(0)
        case .scheduler: (Session.schedulerPid..<Session.workerPid(0)).contains(pid)
        case .orchestrator: pid == Session.orchestratorPid
        default: true
        }
      return isVictim && whole.points[index].points > 0
    }
    let victim = random.among(victims)
    return CrashPoint(
      pid: pid(whole, victim), role: victim + 1,
      point: random.within(1...whole.points[victim].points))
  }

  private static func pid(_ result: RunResult, _ index: Int) -> Int32 {
    let words = result.points[index].role.split(separator: " ", maxSplits: 2)
    guard words[0] == "rank", let rank = Int32(words[1]) else {
      return pid(role: result.points[index].role)
    }
    return Session.pidsOfRank * rank + pid(role: String(words[2]))
  }

  /// Among the processes of its rank.
  private static func local(_ pid: Int32) -> Int32 { pid % Session.pidsOfRank }

  private static func pid(role name: String) -> Int32 {
    if name == "orchestrator" || name == "supervisor" { return Session.orchestratorPid }
    if name.hasPrefix("scheduler-") {
      return Session.schedulerPid + Int32(name.dropFirst(10).prefix(1))! - 1
    }
    if name.hasPrefix("scheduler") { return Session.schedulerPid }
    if name == "second worker" { return -1 }
    if name == "link" { return Session.linkPid }
    return Session.workerPid(coreIndex(named: name) ?? 0)
  }

  // MARK: Depth first

  /// Every schedule of a tiny program with at most `bound` preemptions, or as
  /// many as the step budget allows.
  func depthFirst(
    _ program: Tiny, threads: Int, bound: Int, holds: Bool, budget: Int, replay: String?
  )
    throws
  {
    let options =
      "--strategy dfs --program \(program.rawValue) --threads \(threads)\(holds ? " --hold" : "")"
    let configuration =
      "\(program.rawValue), \(threads) thread(s), \(bound) \(holds ? "holds" : "preemptions")"
    try timed(Row(strategy: "dfs", configuration: configuration)) { row in
      let scenario = program.scenario(threads: threads)
      if let replay {
        guard let strategy = Replay(replay, holds: holds) else {
          throw Problem("--replay \(replay): expected step:role, ...")
        }
        var settings = Self.tinySettings
        settings.hasPointsAfterStores = threads > 1
        let result = try Session(scenario, images: images).run(
          strategy, settings, crash: nil, trace: trace)
        return count(result, &row, replay: options + " --replay \(replay)")
      }
      let strategy = DepthFirst(bound: bound, holds: holds)
      var settings = Self.tinySettings
      // One thread's records are its own.
      settings.hasPointsAfterStores = threads > 1
      repeat {
        strategy.isExploring = false
        let result = try Session(scenario, images: images).run(strategy, settings, crash: nil)
        count(result, &row, replay: options + " --replay \(strategy.schedule)")
        if row.failures >= maximumFailures || row.steps >= budget {
          row.note = "budget used up"
          return
        }
      } while strategy.advance()
      row.note = "exhausted"
    }
  }

  private static var tinySettings: Engine.Settings {
    var settings = Engine.Settings()
    settings.stepLimit = 100_000
    settings.spins = 0
    return settings
  }

  /// A tiny program in the usual schedule, killed at every scheduling point of
  /// every role in turn.
  func everyCrash(_ program: Tiny, threads: Int, crash: CrashName, at only: (Int, Int)?) throws {
    let options =
      "--strategy dfs --program \(program.rawValue) --threads \(threads) --crash \(crash.rawValue)"
    try timed(
      Row(
        strategy: "dfs",
        configuration: "\(program.rawValue), \(threads) thread(s), crash at every step")
    ) { row in
      let scenario = program.scenario(threads: threads)
      let whole = try Session(scenario, images: images).run(
        Strategy(), Self.tinySettings, crash: nil)
      count(whole, &row, replay: "--strategy dfs --program \(program.rawValue) --replay 0:0")
      for index in whole.points.indices where Self.pid(whole, index) != Session.linkPid {
        for point in 1...max(1, whole.points[index].points) {
          if let only, only != (index + 1, point) { continue }
          var settings = Self.tinySettings
          settings.crashes = [
            CrashPoint(pid: Self.pid(whole, index), role: index + 1, point: point)
          ]
          let result = try Session(scenario, images: images).run(
            Strategy(), settings, crash: Recover(delay: 1_000_000),
            trace: only == nil ? nil : trace)
          count(result, &row, replay: options + " --replay \(index + 1):\(point)")
          if row.failures >= maximumFailures { return }
        }
      }
      row.note = "exhausted"
    }
  }

  /// A tiny program in the usual schedule: its worker killed at every scheduling
  /// point, and in each of these sessions the scheduler at every one of its own.
  func everyPair(_ program: Tiny, threads: Int, at only: [(Int, Int)]?) throws {
    let options =
      "--strategy dfs --program \(program.rawValue) --threads \(threads) --crash pair"
    try timed(
      Row(
        strategy: "dfs",
        configuration: "\(program.rawValue), \(threads) thread(s), every pair of crashes")
    ) { row in
      let scenario = program.scenario(threads: threads)
      func run(_ crashes: [CrashPoint], _ trace: ((String) -> Void)?) throws -> RunResult {
        var settings = Self.tinySettings
        settings.crashes = crashes
        let result = try Session(scenario, images: images).run(
          Strategy(), settings, crash: crashes.isEmpty ? nil : Recover(delay: 1_000_000),
          trace: trace)
        let places = crashes.map { "\($0.role):\($0.point)" }.joined(separator: ",")
        count(result, &row, replay: options + " --replay \(places)")
        return result
      }
      let whole = try run([], nil)
      func crash(_ role: Int, _ point: Int) -> CrashPoint {
        CrashPoint(pid: Self.pid(whole, role - 1), role: role, point: point)
      }
      if let only {
        _ = try run(only.map { crash($0.0, $0.1) }, trace)
        return
      }
      let roles = whole.points.indices
      for worker in roles where Self.pid(whole, worker) >= Session.workerPid(0) {
        for first in stride(from: 1, through: whole.points[worker].points, by: 1) {
          let once = try run([crash(worker + 1, first)], nil)
          for scheduler in roles where Self.pid(whole, scheduler) == Session.schedulerPid {
            for second in stride(from: 1, through: once.points[scheduler].points, by: 1) {
              _ = try run([crash(worker + 1, first), crash(scheduler + 1, second)], nil)
              if row.failures >= maximumFailures { return }
            }
          }
        }
      }
      row.note = "exhausted"
    }
  }
}
