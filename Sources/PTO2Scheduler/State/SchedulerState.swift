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
  /// A scheduler was there before, and has died: see `SchedulerThread.restart`.
  package let isRestart: Bool

  package init(_ segment: consuming Segment) {
    let configuration = segment.configuration
    let page = segment.ownSchedulerPage
    isRestart = page.control.loadOwn() == PTO2_SCHED_ATTACHED
    words = ThreadWords()
    rings = Rings(segment, words)
    cores = Cores(segment, isFresh: !isRestart)
    log = LogReader(segment)
    dispatcher = Dispatcher(segment, page)
    words.logWired.value = configuration.firstPosition
    for ring in 0..<rings.count where !isRestart {
      rings[ring].released.word.storeRelaxed(configuration.firstPosition)
      rings[ring].consumed.word.storeRelaxed(configuration.firstPosition)
      rings[ring].wiredWord.storeRelaxed(configuration.firstPosition)
    }
    self.segment = segment
  }

  deinit {
    rings.deallocate()
    cores.deallocate()
    log.deallocate()
    dispatcher.deallocate()
    words.deallocate()
  }
}
