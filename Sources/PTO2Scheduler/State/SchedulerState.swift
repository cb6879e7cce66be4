internal import CPTO2Segment
internal import PTO2Protocol
package import PTO2Segment
internal import PTO2System

/// Everything that the scheduler's threads have in common, and its owner.
@safe package final class SchedulerState: @unchecked Sendable {
  // Sendable: each part says whose it is; the segment does not change.
  let segment: Segment
  let words: ThreadWords
  let rings: Rings
  let cores: Cores
  /// Each thread wraps these two into their locks.
  let log: LogReader
  let dispatcher: Dispatcher
  /// Of a session with a link.
  let transfers: Transfers?
  /// A scheduler was there before, and has died: see `SchedulerThread.restart`.
  package let isRestart: Bool
  /// There was one, by the lanes, and its own page says that there was none.
  let isPageLost: Bool

  package init(_ segment: consuming Segment) {
    let configuration = segment.configuration
    let page = segment.ownSchedulerPage
    isRestart = page.control.loadOwn() == PTO2_SCHED_ATTACHED
    isPageLost = !isRestart && Self.wasDispatchedTo(segment)
    words = ThreadWords()
    rings = Rings(segment, words)
    cores = Cores(segment, isFresh: !isRestart)
    log = LogReader(segment)
    dispatcher = Dispatcher(segment, page)
    transfers = Transfers(segment, page)
    words.logWired.value = configuration.firstPosition
    for ring in 0..<rings.count where !isRestart {
      rings[ring].released.word.storeRelaxed(configuration.firstPosition)
      rings[ring].consumed.word.storeRelaxed(configuration.firstPosition)
      rings[ring].wiredWord.storeRelaxed(configuration.firstPosition)
    }
    self.segment = segment
  }

  /// A word that a scheduler stores only after it has said that it takes part.
  private static func wasDispatchedTo(_ segment: borrowing Segment) -> Bool {
    for core in 0..<segment.configuration.coreCount {
      for lane in 0..<segment.configuration.lanes {
        let word = DispatchWord(rawValue: segment.dispatchLanes(core).word(lane).loadAcquire())
        if word.content != .idle { return true }
      }
    }
    return false
  }

  deinit {
    rings.deallocate()
    cores.deallocate()
    log.deallocate()
    dispatcher.deallocate()
    transfers?.deallocate()
    words.deallocate()
  }
}
