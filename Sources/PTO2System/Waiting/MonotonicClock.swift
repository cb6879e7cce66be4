internal import CPTO2Linux
internal import Glibc

#if PTO2_SIMULATION
  internal import PTO2Protocol
#endif

/// CLOCK_MONOTONIC, in nanoseconds. A reading costs about 20 ns.
package enum MonotonicClock {
  package static func now() -> UInt64 {
    #if PTO2_SIMULATION
      return Simulation.now
    #else
      return pto2_monotonic_nanoseconds()
    #endif
  }
}

/// A point in time after which a wait gives up.
package struct Deadline: Sendable {
  package let nanoseconds: UInt64

  package init(at nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  package init(afterMilliseconds milliseconds: UInt64) {
    nanoseconds = MonotonicClock.now() &+ milliseconds &* 1_000_000
  }

  package var hasPassed: Bool { MonotonicClock.now() >= nanoseconds }
}

/// nanosleep(2), for waits that have no word to park on.
package func sleepNanoseconds(_ nanoseconds: UInt64) {
  #if PTO2_SIMULATION
    Simulation.sleep(nanoseconds)
  #else
    var pause = timespec(
      tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
    _ = unsafe nanosleep(&pause, nil)
  #endif
}
