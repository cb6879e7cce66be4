internal import PTO2System

/// Where the orchestrator can be held up.
package enum StallReason: Int, CaseIterable, Sendable {
  case submissionLog, mainRing, payload, consumedRing, heap, dependencyPool, tensorMap

  package var name: String {
    switch self {
    case .submissionLog: "submission log"
    case .mainRing: "main ring"
    case .payload: "payload ring"
    case .consumedRing: "consumed ring"
    case .heap: "heap ring"
    case .dependencyPool: "dependency pool"
    case .tensorMap: "TensorMap"
    }
  }
}

/// How often and how long back-pressure held the program up.
package struct Stall: Sendable {
  package var count: UInt64 = 0
  package var nanoseconds: UInt64 = 0
}

/// What a run has done so far.
package struct Counters: Sendable {
  package private(set) var tasks: UInt64 = 0
  package private(set) var edges: UInt64 = 0
  /// By reason.
  package private(set) var stalls = [Stall](repeating: Stall(), count: StallReason.allCases.count)
  /// Tasks were submitted since the last completed `wait`.
  package private(set) var hasUnfinished = false
  /// Sum of the periods in which tasks were unfinished, but for the one that lasts.
  package private(set) var busyNanoseconds: UInt64 = 0
  private var busySince: UInt64 = 0

  @inline(__always)
  mutating func noteSubmitted(edges count: Int) {
    if !hasUnfinished { noteBusy() }
    tasks &+= 1
    edges &+= UInt64(count)
  }

  @inline(never)
  private mutating func noteBusy() {
    busySince = MonotonicClock.now()
    hasUnfinished = true
  }

  mutating func noteFinished() {
    if hasUnfinished { busyNanoseconds += MonotonicClock.now() &- busySince }
    hasUnfinished = false
  }

  mutating func noteStall(_ reason: StallReason, since begin: UInt64) {
    stalls[reason.rawValue].count += 1
    stalls[reason.rawValue].nanoseconds += MonotonicClock.now() &- begin
  }
}
