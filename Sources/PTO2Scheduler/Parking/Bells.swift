internal import PTO2Protocol
internal import PTO2System

/// A word per thread, on which it sleeps beside the words of the segment.
extension SchedulerThread {
  /// Wakes threads that sleep without the words that have news for them.
  func ring(_ threads: UInt32) {
    var rest = threads
    while rest != 0 {
      let bell = words.bell(rest.trailingZeroBitCount)
      rest &= rest &- 1
      _ = S.add(bell, 1)
      Futex.wake(bell.word.shared)
    }
  }

  /// Wakes every thread, asleep or about to sleep.
  func ringAllBells() {
    if S.isShared { ring(1 << UInt32(threads) - 1) }
  }
}
