internal import CPTO2Linux
internal import Glibc

/// Spin, then yield, then tell the caller to park.
///
/// With more processes than CPUs the yields let the awaited process run; the
/// spins catch a partner that answers from the other CPU within a microsecond.
@usableFromInline
package struct Backoff {
  /// Rounds of `pause` before the first yield.
  @usableFromInline package var spins: UInt32
  /// Yields before `next` says park.
  @usableFromInline package var yields: UInt32
  @usableFromInline var round: UInt32 = 0

  @inlinable
  package init(spins: UInt32 = 150, yields: UInt32 = 4) {
    self.spins = spins
    self.yields = yields
  }

  /// After progress: the next wait starts with spinning again.
  @inlinable @inline(__always)
  package mutating func reset() { round = 0 }

  /// After a park that ended without progress: one more round, then park again.
  @inlinable
  package mutating func resume() { round = spins &+ yields }

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
      yieldProcessor()
      return false
    }
    return true
  }
}

/// A `pause` instruction.
@usableFromInline
package func cpuRelax() { pto2_cpu_relax() }

/// sched_yield(2): about 0.4 us when nobody else wants the CPU.
@usableFromInline
package func yieldProcessor() { _ = sched_yield() }
