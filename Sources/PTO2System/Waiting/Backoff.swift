internal import CPTO2Linux
internal import Glibc

#if PTO2_SIMULATION
  internal import PTO2Protocol
#endif

/// Spin, then yield, then tell the caller to park; how much of each follows
/// from how long the yields take.
///
/// The spins catch a partner that answers from another CPU within a few
/// microseconds. With more processes than CPUs the yields let the partner run
/// on this one. What a yield took says who else is here:
///
/// - nothing much: nobody; the partner runs elsewhere, spinning pays;
/// - a few microseconds: the partner; spinning only keeps it from running;
/// - a time slice: somebody who computes. A yield would give the CPU away for
///   milliseconds, while a parked process is run again as soon as it is woken.
@usableFromInline
package struct Backoff {
  /// Rounds of `pause` before the first yield, now.
  @usableFromInline var spins = Self.mostSpins
  /// Yields before `next` says park, now.
  @usableFromInline var yields: UInt32
  @usableFromInline var round: UInt32 = 0
  /// Waits left in which a yield is not tried.
  private var crowdedWaits: UInt32 = 0
  /// The yield before took so long that the partner may have run meanwhile.
  private var hasSwitched = false

  @usableFromInline static let mostSpins: UInt32 = 150
  private static let fewestSpins: UInt32 = 4
  private let mostYields: UInt32
  private let hogNanoseconds: UInt64
  /// A yield that takes longer: somebody else has run.
  private static let switchNanoseconds: UInt64 = 1000
  /// One lost time slice in so many waits is about a microsecond a wait.
  private static let crowdedPeriod: UInt32 = 2000

  /// - Parameters:
  ///   - yields: before `next` says park; 0.4 us each where nobody else wants the CPU.
  ///   - hogNanoseconds: a yield that takes longer was to no partner.
  package init(yields: UInt32 = 4, hogNanoseconds: UInt64 = 100_000) {
    #if PTO2_SIMULATION
      spins = Simulation.spins
      mostYields = Simulation.spins
    #else
      mostYields = yields
    #endif
    self.yields = mostYields
    self.hogNanoseconds = hogNanoseconds
  }

  /// After progress: the next wait starts with spinning again.
  @inlinable @inline(__always)
  package mutating func reset() {
    if round >= spins { noteSuccess() }
    round = 0
  }

  /// After a park that ended without progress: one more round, then park again.
  @inlinable
  package mutating func resume() { round = spins &+ yields }

  /// The wait has outlasted its spins.
  package var isYielding: Bool { round > spins }

  /// One round without progress. True: park now.
  @inlinable
  package mutating func next() -> Bool {
    if round < spins {
      round &+= 1
      cpuRelax()
      return false
    }
    if round < spins &+ yields {
      round &+= 1
      yield()
      return false
    }
    return true
  }

  /// What was waited for came after a yield, or a park.
  @usableFromInline
  mutating func noteSuccess() {
    if hasSwitched { spins = Self.fewestSpins }
    hasSwitched = false
    guard yields == 0 else { return }
    crowdedWaits &-= 1
    if crowdedWaits == 0 { yields = mostYields }
  }

  @usableFromInline
  mutating func yield() {
    #if PTO2_SIMULATION
      yieldProcessor()
    #else
      let begin = MonotonicClock.now()
      yieldProcessor()
      noteYield(nanoseconds: MonotonicClock.now() &- begin)
    #endif
  }

  /// A yield has taken so long.
  package mutating func noteYield(nanoseconds: UInt64) {
    hasSwitched = nanoseconds > Self.switchNanoseconds
    if !hasSwitched { spins = Self.mostSpins }
    if nanoseconds > hogNanoseconds {
      hasSwitched = false
      spins = Self.mostSpins
      yields = 0
      crowdedWaits = Self.crowdedPeriod
    }
  }
}

/// A `pause` instruction.
@usableFromInline
package func cpuRelax() {
  #if PTO2_SIMULATION
    Simulation.pause()
  #else
    pto2_cpu_relax()
  #endif
}

/// sched_yield(2): about 0.4 us when nobody else wants the CPU.
@usableFromInline
package func yieldProcessor() {
  #if PTO2_SIMULATION
    Simulation.pause()
  #else
    _ = sched_yield()
  #endif
}
