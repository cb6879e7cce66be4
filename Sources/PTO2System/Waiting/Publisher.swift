public import PTO2Protocol

/// The side that wakes: store, fence, look, wake. Why no wake is lost: see `Sleeper`.
@safe @frozen @usableFromInline
package struct Publisher {
  /// Where its sleeper announces itself: 0 = awake.
  @usableFromInline let announcement: SharedWord
  /// Bits of the announcement that concern this publisher.
  @usableFromInline let bits: UInt32

  /// - Parameter bits: not 0; of a word with a bit per thread, those of the threads
  ///   that sleep on what is published here.
  @inlinable
  package init(to announcement: SharedWord, bits: UInt32 = .max) {
    self.announcement = announcement
    self.bits = bits
  }

  /// Publishes everything stored before, and wakes who sleeps on this word.
  @inlinable @inline(__always)
  package func publish(_ value: UInt32, in word: OwnedWord) {
    word.storeRelease(value)
    Self.fence()
    if isAsleep { Futex.wake(word.shared) }
  }

  /// For several words that were stored at once: `fence`, then `isAsleep`, then a
  /// wake per word.
  @inlinable @inline(__always)
  package static func fence() {
    // No look at an announcement may pass the stores before; pairs with the sleepers'
    // fence between their announcement and their look at the words.
    fullFence()
  }

  /// Acquire: what the sleeper has stored for its wakers to go by. The fence before orders
  /// it behind the publisher's own stores.
  @inlinable @inline(__always)
  package var isAsleep: Bool { announcement.loadAcquire() & bits != 0 }
}
