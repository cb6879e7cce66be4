internal import CPTO2Segment
package import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// What the scheduler says of itself, and what it is asked.
extension SchedulerThread {
  /// Publishes that the scheduler takes part; every word before it is set up. Not when
  /// it has failed already.
  package mutating func announce(isSupervised: Bool) {
    if shared.isPageLost {
      violation("the scheduler's page says that no scheduler was there before, and there was")
    }
    if hasFailed { return }
    own.ownProcess.announce(isSupervised: isSupervised)
    own.control.storeRelease(PTO2_SCHED_ATTACHED)
    Futex.wake(own.control.shared)
  }

  /// First thread: the supervisor sees that it goes round.
  func beat(_ now: UInt64) { own.ownProcess.beat(now) }

  /// What the orchestrator asks of everybody.
  package enum Request { case run, leave, abort }

  package var request: Request {
    switch orchestrator.control.loadAcquire() {
    case PTO2_CONTROL_DONE: .leave
    case PTO2_CONTROL_FATAL: .abort
    default: .run
    }
  }

  // MARK: Progress

  /// True when every published record is wired and every task CONSUMED.
  package func isDrained() -> Bool {
    guard S.load(words.logWired) == orchestrator.submitted.loadAcquire() else { return false }
    for ring in 0..<rings.count
    where S.load(rings[ring].wired) != S.load(rings[ring].consumed.position) {
      return false
    }
    return true
  }

  /// Tasks that were published, once each of them is RELEASED; nil before.
  package func tasksDone() -> UInt64? {
    guard S.load(words.logWired) == orchestrator.submitted.loadAcquire() else { return nil }
    var count: UInt64 = 0
    for ring in 0..<rings.count {
      let released = S.load(rings[ring].released.position)
      guard S.load(rings[ring].wired) == released else { return nil }
      count += UInt64(released &- shared.segment.configuration.firstPosition)
    }
    return count
  }

  // MARK: The first error

  /// True once some thread has failed; `step` then does nothing.
  @inline(__always)
  package var hasFailed: Bool { S.load(words.failed) != 0 }

  /// The first error of all threads, once those beside this one have ended.
  package var failure: PTO2Error? {
    if let record = own.error.read() { return record.error }
    guard hasFailed else { return nil }
    return PTO2Error(
      .protocolViolation, "the scheduler failed, and what it had written about that was overwritten"
    )
  }

  /// Keeps the first error, publishes it, and wakes who waits for this role.
  package mutating func fail(_ error: PTO2Error, core: Int? = nil) {
    guard S.exchange(words.failed, 1) == 0 else { return }
    // A scheduler before this one may have died between the two stores: its error stays.
    if own.error.read() == nil { own.ownError.write(error, core: core) }
    own.control.storeRelease(PTO2_SCHED_FATAL)
    Futex.wake(own.control.shared)
    for ring in 0..<rings.count {
      Futex.wake(own.released(ring).shared)
      Futex.wake(own.consumed(ring).shared)
    }
    Futex.wake(own.wired.shared)
    ringAllBells()
  }
}
