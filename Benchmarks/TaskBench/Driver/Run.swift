internal import CBenchRaw
internal import Harness
internal import PTO2System

/// One start of a program, which runs its graph as often as there is time.
struct Run {
  /// Of a graph: the median.
  var seconds: Double
  var tasks: Double
  var dependencies: Double
  var flop: Double
  /// Of all processes, from their start to their end.
  var cpuSeconds: Double
  var wallSeconds: Double
  var contextSwitches: Int
  /// Tasks of all graphs that it ran.
  var allTasks: Double
  var placement: Placement
  /// The share of the machine's CPU time that others had.
  var others: Double
  var isDisturbed: Bool
  /// What the CPUs could compute together, the lesser of before and after.
  var speed: Double
  /// Runs before it that were thrown away as disturbed.
  var thrownAway = 0
}

/// A run that failed, or whose outputs were wrong.
struct RunFailure: Error {
  var reason: String
}

/// Starts programs, one at a time.
final class Runner {
  let plan: Plan
  /// The most that the CPUs were seen to compute together.
  private(set) var bestSpeed = 0.0
  private var secondsPerIteration = 0.0

  init(_ plan: Plan) { self.plan = plan }

  /// The share of CPU time from which others count as a disturbance, and what the clock
  /// of /proc/stat may be off by, in seconds.
  private static let limit = 0.05
  private static let clockError = 0.04
  /// The share of their best speed under which the CPUs are slow: two that share a core of
  /// the host come to half.
  private static let slow = 0.7

  /// Repeats a run that others disturb.
  func run(
    _ system: System, _ example: Case, iterations: Int
  ) throws(RunFailure) -> Run {
    var thrownAway = 0
    while true {
      var run = try once(system, example, iterations)
      run.thrownAway = thrownAway
      if !isDisturbed(run) || thrownAway == plan.repeats { return run }
      thrownAway += 1
    }
  }

  /// Others had CPU time, or the CPUs were slow for the host's reasons.
  func isDisturbed(_ run: Run) -> Bool {
    run.isDisturbed || run.speed < Self.slow * bestSpeed
  }

  /// Waits a while for CPUs that are not slow.
  private func speed(waiting: Bool) -> Double {
    var speed = 0.0
    for _ in 0..<(waiting ? 20 : 1) {
      speed = bench_compute_rate(Int32(plan.processors), plan.isQuick ? 0.001 : 0.004)
      bestSpeed = max(bestSpeed, speed)
      if speed >= Self.slow * bestSpeed { break }
      sleepNanoseconds(50_000_000)
    }
    return speed
  }

  /// Seconds that one iteration takes on one core.
  func calibrate() throws(RunFailure) -> Double {
    var short = self.plan
    (short.workers, short.ranks, short.steps) = (1, 1, 20)
    (short.imbalance, short.isBroken) = (0, false)
    let runner = Runner(short)
    let example = Case(pattern: Pattern("no_comm")!, width: 1)
    var iterations = 1024
    while true {
      var kernel = Double.infinity
      // A start that was held up would make every kernel of the sweep too short.
      for _ in 0..<3 where kernel > 1e-3 {
        let run = try runner.run(System("pto2")!, example, iterations: iterations)
        kernel = min(kernel, run.seconds / run.tasks)
      }
      if kernel > 1e-3 || plan.isQuick {
        secondsPerIteration = kernel / Double(iterations)
        return secondsPerIteration
      }
      iterations *= 2
    }
  }

  /// How often ranks run a graph: as often all of them, whatever their clocks say. About what
  /// fits into the time if a task takes 10 us more than its kernel, and one to warm up.
  private func count(_ example: Case, _ iterations: Int) -> Int {
    let task = 10e-6 + Double(iterations) * secondsPerIteration
    let run = task * Double(example.width * plan.steps) / Double(plan.workers)
    return plan.seconds == 0 ? 1 : 1 + max(1, min(100, Int(plan.seconds / run)))
  }

  private func once(
    _ system: System, _ example: Case, _ iterations: Int
  ) throws(RunFailure) -> Run {
    var options = [
      "--pattern", example.pattern.name, "--width", "\(example.width)",
      "--steps", "\(plan.steps)", "--radix", "\(plan.radix)", "--iter", "\(iterations)",
      "--imbalance", "\(plan.imbalance)", "--seconds", "\(plan.seconds)",
    ]
    if plan.isBroken { options.append("--break") }
    if plan.ranks > 1 { options += ["--runs", "\(count(example, iterations))"] }
    let speedBefore = speed(waiting: !plan.isQuick)
    let before = pingPong(plan)
    let begin = Usage.now()
    let result = system.start(options, plan).waitAsleep(seconds: 120)
    let end = Usage.now()
    let after = pingPong(plan)
    let speedAfter = speed(waiting: false)
    func value(_ key: String) -> Double { number(key, in: result.output) ?? .nan }
    guard result.status == 0, result.output.contains("\"valid\":true"), value("seconds") > 0
    else {
      // mpirun has its own to say.
      let own = result.messages.last { $0.hasPrefix("taskbench-") }
      let words = (own ?? result.messages.last).map(String.init) ?? "no reason given"
      throw RunFailure(
        reason: "\(example.name), \(iterations) iterations: exit status \(result.status): \(words)")
    }
    let wall = Double(end.time - begin.time) / 1e9
    let available = wall * Double(plan.processors)
    let others = max(0, (end.all - begin.all) - (end.own - begin.own))
    return Run(
      seconds: value("seconds"), tasks: value("tasks"), dependencies: value("dependencies"),
      flop: value("flop"), cpuSeconds: end.own - begin.own, wallSeconds: wall,
      contextSwitches: end.contextSwitches - begin.contextSwitches,
      allTasks: value("tasks") * value("all_runs"),
      placement: Placement(before: before, after: after), others: others / available,
      isDisturbed: others > max(Self.limit * available, Self.clockError),
      speed: min(speedBefore, speedAfter))
  }
}
