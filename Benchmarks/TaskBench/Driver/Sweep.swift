internal import Glibc
internal import PTO2System

/// The runs with one number of iterations.
struct Point {
  var iterations: Int
  var runs: [Run]
  /// Disturbed ones that do not count.
  var left = 0

  var seconds: Double { median(runs.map(\.seconds)) }
  var rate: Double { (runs.first?.flop ?? 0) / seconds }
  /// Wall time x CPUs / tasks, in microseconds.
  func granularity(_ plan: Plan) -> Double {
    seconds * 1e6 * Double(plan.workers) / (runs.first?.tasks ?? 1)
  }
}

/// Where an efficiency is reached, in microseconds.
enum Crossing {
  case at(Double)
  /// It is reached at the smallest size, or not even at the largest.
  case below(Double)
  case above(Double)
}

struct SystemResult {
  var system: System
  var points: [Point]
  /// One for each length that was asked for.
  var at: [Point]
  var empty: Point
  var metg50: Crossing?
  var metg75: Crossing?
  var failure: String?

  var all: [Point] { points + at + [empty] }
  var runs: [Run] { all.flatMap(\.runs) }
  /// Runs that were repeated, or left out afterwards.
  var thrownAway: Int {
    all.reduce(0) { $0 + $1.left } + runs.reduce(0) { $0 + $1.thrownAway }
  }
  /// Disturbed runs that count nevertheless.
  var disturbed = 0
}

struct CaseResult {
  var example: Case
  var systems: [SystemResult]
  /// FLOP/s: the best of any system at any size.
  var peak: Double
}

/// All systems on one graph, with kernels that get shorter: half as long each time, and
/// by the square root of 2 where the efficiency crosses 75 and 50 %.
struct Sweep {
  private let plan: Plan
  private let example: Case
  private let runner: Runner
  /// By system, then iterations; 0 are empty tasks.
  private var runs: [[Int: [Run]]]
  private var failures: [String?]
  private var iterationsAt: [Int] = []
  private var iterationsFrom = 1
  private var isLogged: Bool { !plan.isQuick && isatty(STDERR_FILENO) != 0 }

  init(_ runner: Runner, _ example: Case) {
    plan = runner.plan
    self.example = example
    self.runner = runner
    runs = Array(repeating: [:], count: plan.systems.count)
    failures = Array(repeating: nil, count: plan.systems.count)
  }

  mutating func run() -> CaseResult {
    do throws(RunFailure) {
      let iteration = try runner.calibrate()
      iterationsAt = plan.at.map { max(1, Int($0 * 1e-6 / iteration)) }
      iterationsFrom = max(16, Int(plan.from * 1e-6 / iteration))
      for index in failures.indices { measure(index, iterationsFrom) }
      descend()
      refine()
      for round in 0..<plan.rounds { repeatAll(isFirst: round == 0) }
    } catch {
      failures = failures.map { $0 ?? error.reason }
    }
    return result()
  }

  // MARK: Runs

  private mutating func measure(_ index: Int, _ iterations: Int) {
    guard failures[index] == nil else { return }
    do throws(RunFailure) {
      let run = try runner.run(plan.systems[index], example, iterations: iterations)
      runs[index][iterations, default: []].append(run)
    } catch {
      failures[index] = error.reason
    }
  }

  /// The length of step k of the ladder, of which two halve it.
  private func iterations(_ step: Int) -> Int {
    Int((Double(iterationsFrom) * exp2(-Double(step) / 2)).rounded())
  }

  /// Until each system is far below the lower of the two efficiencies.
  private mutating func descend() {
    var isDone = Array(repeating: false, count: runs.count)
    var step = 2
    while isDone.contains(false), iterations(step) >= 4, !plan.isQuick || step <= 4 {
      for index in runs.indices where !isDone[index] {
        measure(index, iterations(step))
        let rate = point(index, iterations(step))?.rate ?? 0
        isDone[index] = rate < 0.35 * peak
      }
      step += 2
    }
  }

  /// One more between the two sizes at each crossing.
  private mutating func refine() {
    for index in runs.indices {
      for step in crossings(index) where step % 2 == 0 && !plan.isQuick {
        measure(index, iterations(step + 1))
      }
    }
  }

  /// What counts, for all systems in turns: the largest size, those around the
  /// crossings, the lengths that were asked for, and empty tasks.
  private mutating func repeatAll(isFirst: Bool) {
    var lists = runs.indices.map { _ in iterationsAt + [0] }
    if !isFirst {
      for index in runs.indices {
        let steps = Set(crossings(index).flatMap { [$0, $0 + 1] })
        let known = steps.map(iterations(_:)).filter { runs[index][$0] != nil }
        lists[index] += [iterationsFrom] + known.sorted(by: >)
      }
    }
    for place in 0..<(lists.map(\.count).max() ?? 0) {
      for index in lists.indices where place < lists[index].count {
        measure(index, lists[index][place])
      }
    }
  }

  // MARK: Figures

  private func point(_ index: Int, _ iterations: Int) -> Point? {
    guard let all = runs[index][iterations] else { return nil }
    // What was disturbed counts only where there is nothing else.
    let quiet = all.filter { !runner.isDisturbed($0) }
    return Point(
      iterations: iterations, runs: quiet.isEmpty ? all : quiet,
      left: quiet.isEmpty ? 0 : all.count - quiet.count)
  }

  private var peak: Double {
    runs.flatMap { $0.values.flatMap { $0 } }.map { $0.flop / $0.seconds }.max() ?? 0
  }

  /// Those of the ladder, from the largest to the smallest.
  private func ladder(_ index: Int) -> [(step: Int, point: Point)] {
    (0..<64).compactMap { step in
      let count = iterations(step)
      return count == 0 ? nil : point(index, count).map { (step, $0) }
    }
  }

  /// The steps of the ladder above each crossing.
  private func crossings(_ index: Int) -> [Int] {
    let ladder = ladder(index)
    return [0.75, 0.5].compactMap { efficiency in
      let last = ladder.lastIndex { $0.point.rate >= efficiency * peak }
      guard let last, last + 1 < ladder.count else { return nil }
      return ladder[last].step
    }
  }

  /// The smallest granularity with this efficiency, log-linearly between two sizes.
  private func metg(_ index: Int, _ efficiency: Double) -> Crossing? {
    let points = ladder(index).map(\.point)
    guard let first = points.first, let smallest = points.last else { return nil }
    guard let last = points.lastIndex(where: { $0.rate >= efficiency * peak }) else {
      return .above(first.granularity(plan))
    }
    guard last + 1 < points.count else { return .below(smallest.granularity(plan)) }
    let (upper, lower) = (points[last], points[last + 1])
    let (high, low) = (upper.rate / peak, lower.rate / peak)
    let share = (efficiency - low) / (high - low)
    let (large, small) = (log(upper.granularity(plan)), log(lower.granularity(plan)))
    // Shorter kernels that take as long say nothing of what lies between.
    if small >= large { return .at(exp(large)) }
    return .at(exp(small + share * (large - small)))
  }

  private func result() -> CaseResult {
    let systems = runs.indices.map { index in
      var result = SystemResult(
        system: plan.systems[index], points: ladder(index).map(\.point),
        at: iterationsAt.map { point(index, $0) ?? Point(iterations: $0, runs: []) },
        empty: point(index, 0) ?? Point(iterations: 0, runs: []), metg50: metg(index, 0.5),
        metg75: metg(index, 0.75), failure: failures[index])
      result.disturbed = result.runs.count { runner.isDisturbed($0) }
      return result
    }
    return CaseResult(example: example, systems: systems, peak: peak)
  }
}
