internal import PTO2System

/// Who performs the next shared access.
class Strategy {
  enum Reason {
    /// The running role could go on.
    case step
    /// It has nothing to do, and says so.
    case yield
    /// It has used up its time slice.
    case slice
    /// It sleeps or has ended.
    case blocked
  }

  static var first: Strategy { Strategy() }

  /// False while what happens is of no interest: setting up, and the end.
  var isExploring = true

  func begin(roleCount: Int) {}

  /// - Parameter runnable: a bit per role that can go on; not empty.
  func next(_ current: Int, _ runnable: UInt64, _ reason: Reason) -> Int {
    reason == .step && runnable >> UInt64(current) & 1 != 0
      ? current : Self.after(current, runnable)
  }

  /// The next one in turn.
  @inline(__always)
  static func after(_ current: Int, _ runnable: UInt64) -> Int {
    let later = runnable & ~((2 << UInt64(current)) &- 1)
    return (later != 0 ? later : runnable).trailingZeroBitCount
  }

  @inline(__always)
  static func nth(_ number: Int, _ mask: UInt64) -> Int {
    var mask = mask
    for _ in 0..<number { mask &= mask &- 1 }
    return mask.trailingZeroBitCount
  }
}

/// Stays with a role for a random number of steps; how many on average is drawn
/// from the seed. For most seeds a role is now and then held up for long, as one
/// whose CPU was taken away: that is what most races need.
final class RandomWalk: Strategy {
  private var random: SplitMix64
  private var left = 0
  private let meanRun: Int
  /// One step in so many holds its role up; 0 = none.
  private let holdRate: Int
  private var held: UInt64 = 0
  private var heldUntil = 0
  private var step = 0

  init(seed: UInt64) {
    random = SplitMix64(seed: seed)
    meanRun = [1, 2, 4, 16, 64, 256][random.below(6)]
    holdRate = [0, 60, 200, 600, 2000][random.below(5)]
  }

  override func next(_ current: Int, _ runnable: UInt64, _ reason: Reason) -> Int {
    step += 1
    if step >= heldUntil {
      held = 0
      heldUntil = Int.max
    }
    if holdRate > 0 && reason == .step && random.below(holdRate) == 0 {
      held |= 1 << UInt64(current)
      heldUntil = step + random.logarithmic(30...10_000)
      left = 0
    } else if reason == .step && left > 0 {
      left -= 1
      return current
    }
    var candidates = runnable
    if reason != .step { candidates &= ~(1 << UInt64(current)) }
    candidates &= ~held
    if candidates == 0 { candidates = runnable }
    left = meanRun == 1 ? 0 : random.below(2 * meanRun)
    let count = candidates.nonzeroBitCount
    return count == 1
      ? candidates.trailingZeroBitCount : Self.nth(random.below(count), candidates)
  }
}

/// Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte
/// 2010): random priorities, which change at d - 1 random steps. A role that says
/// it has nothing to do, or has used up its time slice, falls behind all others,
/// so that every schedule is fair.
final class PCT: Strategy {
  private var random: SplitMix64
  private var priorities: [Int] = []
  private var changes: [Int] = []
  private var nextChange = 0
  private var step = 0
  private var lowest = 0

  init(seed: UInt64) { random = SplitMix64(seed: seed) }

  override func begin(roleCount: Int) {
    let depth = random.within(1...6)
    priorities = (0..<roleCount).map { $0 + depth }.shuffled(using: &random)
    // How long the run will be is not known: every order of magnitude is tried.
    let length = random.logarithmic(100...50_000)
    changes = (1..<depth).map { _ in random.within(1...length) }.sorted()
    lowest = -depth
  }

  override func next(_ current: Int, _ runnable: UInt64, _ reason: Reason) -> Int {
    step += 1
    if reason == .yield || reason == .slice {
      lowest -= 1
      priorities[current] = lowest
    }
    if nextChange < changes.count && step >= changes[nextChange] {
      priorities[current] = nextChange - changes.count + 1
      nextChange += 1
    }
    var rest = runnable
    var best = rest.trailingZeroBitCount
    rest &= rest &- 1
    while rest != 0 {
      let role = rest.trailingZeroBitCount
      rest &= rest &- 1
      if priorities[role] > priorities[best] { best = role }
    }
    return best
  }
}

/// Every schedule with at most `bound` preemptions (Musuvathi, Qadeer 2007), one
/// after the other. A switch away from a role that sleeps, yields or has ended is
/// free. With `holds` a preempted role goes on only when no other can, as one
/// whose CPU was taken away for long, and every other switch counts too.
final class DepthFirst: Strategy {
  private struct Choice {
    var step: Int
    var chosen: Int
    var usual: Int
    /// Not yet tried.
    var rest: UInt64
    /// Preemptions before this choice.
    var preemptions: Int
    var isFree: Bool
  }
  private var choices: [Choice] = []
  private var position = 0
  private var preemptions = 0
  private var step = 0
  private let bound: Int
  private let holds: Bool
  private var held: UInt64 = 0

  init(bound: Int, holds: Bool) {
    self.bound = bound
    self.holds = holds
  }

  override func begin(roleCount: Int) {
    position = 0
    preemptions = 0
    step = 0
    held = 0
  }

  override func next(_ current: Int, _ runnable: UInt64, _ reason: Reason) -> Int {
    step += 1
    let canStay = reason == .step && runnable >> UInt64(current) & 1 != 0
    // What a role spins for may be with a held one.
    if reason == .slice || reason == .yield { held = 0 }
    let runnable = runnable & ~held == 0 ? runnable : runnable & ~held
    // Slices go round, or two roles that spin could keep out a third for ever.
    if !isExploring || reason == .slice { return canStay ? current : Self.after(current, runnable) }
    let usual = canStay ? current : Self.after(current, runnable)
    if (canStay || holds) && preemptions >= bound { return usual }
    var others = runnable & ~(1 << UInt64(usual))
    if reason == .yield { others &= ~(1 << UInt64(current)) }
    if others == 0 { return usual }
    let chosen: Int
    if position < choices.count {
      chosen = choices[position].chosen
    } else {
      choices.append(
        Choice(
          step: step, chosen: usual, usual: usual, rest: others, preemptions: preemptions,
          isFree: !canStay))
      chosen = usual
    }
    position += 1
    if (canStay || holds) && chosen != usual {
      preemptions += 1
      if canStay && holds { held |= 1 << UInt64(current) }
    }
    return chosen
  }

  /// The next schedule; false when all were run.
  func advance() -> Bool {
    while let last = choices.last {
      if last.rest != 0 {
        choices[choices.count - 1].chosen = last.rest.trailingZeroBitCount
        choices[choices.count - 1].rest &= last.rest &- 1
        return true
      }
      choices.removeLast()
    }
    return false
  }

  /// Where this schedule differs from the usual one: step:role, ...; 0:0 when
  /// it does not.
  var schedule: String {
    let switches = choices.prefix(position).filter { $0.chosen != $0.usual }
      .map { "\($0.step):\($0.chosen)" }
    return switches.isEmpty ? "0:0" : switches.joined(separator: ",")
  }
}

/// A schedule that `DepthFirst` has named.
final class Replay: Strategy {
  private var switches: [Int: Int] = [:]
  private var step = 0
  private let holds: Bool
  private var held: UInt64 = 0

  /// Nil when the text is no schedule.
  init?(_ text: String, holds: Bool) {
    self.holds = holds
    for part in text.split(separator: ",") {
      let numbers = part.split(separator: ":").compactMap { Int($0) }
      guard numbers.count == 2 else { return nil }
      switches[numbers[0]] = numbers[1]
    }
  }

  override func begin(roleCount: Int) {
    step = 0
    held = 0
  }

  override func next(_ current: Int, _ runnable: UInt64, _ reason: Reason) -> Int {
    step += 1
    let canStay = reason == .step && runnable >> UInt64(current) & 1 != 0
    // What a role spins for may be with a held one.
    if reason == .slice || reason == .yield { held = 0 }
    let runnable = runnable & ~held == 0 ? runnable : runnable & ~held
    if let role = switches[step], role < 64, runnable >> UInt64(role) & 1 != 0 {
      if holds && canStay { held |= 1 << UInt64(current) }
      return role
    }
    return super.next(current, runnable, reason)
  }
}
