/// How long another process has been stopped (SIGSTOP).
///
/// Looks at /proc every 100 ms at most. Of the time between two looks at most
/// 200 ms count: a process that was itself stopped has seen nothing.
package struct SuspensionWatch {
  private let graceNanoseconds: UInt64
  private var nextLook: UInt64 = 0
  private var lastLook: UInt64 = 0
  private var stoppedNanoseconds: UInt64 = 0
  package private(set) var isStopped = false

  package static let lookNanoseconds: UInt64 = 100_000_000

  /// - Parameter graceMilliseconds: 0 = for ever.
  package init(graceMilliseconds: UInt32) {
    graceNanoseconds = UInt64(graceMilliseconds) * 1_000_000
  }

  /// What a look has found.
  package enum Finding { case nothing, running, stops, stopped, overdue }

  /// - Returns: nothing when it is not yet time to look; stops once, at the first
  ///   look that finds it stopped; overdue once, when the grace is over.
  package mutating func look(at process: ProcessIdentity, now: UInt64) -> Finding {
    guard now >= nextLook else { return .nothing }
    nextLook = now &+ Self.lookNanoseconds
    let step = lastLook == 0 ? 0 : min(now &- lastLook, 2 * Self.lookNanoseconds)
    lastLook = now
    guard process.isStopped() else {
      isStopped = false
      stoppedNanoseconds = 0
      return .running
    }
    guard isStopped else {
      isStopped = true
      return .stops
    }
    let before = stoppedNanoseconds
    stoppedNanoseconds &+= step
    return graceNanoseconds > 0 && before < graceNanoseconds
      && stoppedNanoseconds >= graceNanoseconds ? .overdue : .stopped
  }

  /// It has moved meanwhile, so it is not stopped.
  package mutating func reset() {
    isStopped = false
    stoppedNanoseconds = 0
  }
}

// TEMPORARY: the scheduler's name for it.
package typealias StopWatch = SuspensionWatch
