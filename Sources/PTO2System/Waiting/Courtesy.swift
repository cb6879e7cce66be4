/// Turns at a CPU, for a role that has work for long: it yields every so often.
///
/// Where there are more processes than CPUs, a core that runs kernels and one that waits at a
/// gate for it are held up together while another role has the CPU of the first: by a whole
/// time slice, if that role does not yield. After a turn of 80 us the lanes still have work for
/// the core, and once they have none the core yields itself. Shorter turns give the CPU to
/// processes that only look for work. A yield to nobody costs 0.4 us. One that took a time
/// slice was to somebody who computes and gives nothing back: none follows for a while, and
/// the next time for longer.
package struct Courtesy {
  private var end: UInt64 = 0
  /// How long no yield follows one to somebody who computes.
  private var truce = Self.shortestTruce

  static let turn: UInt64 = 80_000
  /// A yield that takes longer: it was to no partner.
  static let hogNanoseconds: UInt64 = 1_000_000
  static let shortestTruce: UInt64 = 20_000_000
  /// A lost time slice in so long is three thousandths.
  static let longestTruce: UInt64 = 1_280_000_000

  package init() {}

  /// Between two pieces of work.
  @inline(__always)
  package mutating func offer() {
    #if !PTO2_SIMULATION
      let now = MonotonicClock.now()
      if isOver(at: now) { yield(at: now) }
    #endif
  }

  @inline(never)
  private mutating func yield(at begin: UInt64) {
    yieldProcessor()
    note(begin, MonotonicClock.now())
  }

  /// A yield has lasted from `begin` to `now`.
  mutating func note(_ begin: UInt64, _ now: UInt64) {
    guard now &- begin <= Self.hogNanoseconds else {
      end = now &+ truce
      truce = min(2 * truce, Self.longestTruce)
      return
    }
    end = now &+ Self.turn
    // A thousand yields without one.
    truce = max(truce &- truce / 1024, Self.shortestTruce)
  }

  /// Whether a turn is over.
  @inline(__always)
  func isOver(at now: UInt64) -> Bool { now >= end }
}
