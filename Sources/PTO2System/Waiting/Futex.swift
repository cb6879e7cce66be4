internal import CPTO2Linux
internal import Glibc
public import PTO2Protocol

/// futex(2) on words shared between processes. A waiter needs read access only.
@usableFromInline
package enum Futex {
  /// Wakes every sleeper on `word`; a system call even when there is none.
  @usableFromInline
  package static func wake(_ word: SharedWord) {
    #if PTO2_SIMULATION
      unsafe Simulation.wake(word.address)
    #else
      _ = unsafe pto2_futex_wake(word.address, Int32.max)
    #endif
  }
}

/// A set of words to sleep on together: futex_waitv(2).
///
/// Kernels before 5.16 lack the call, and seccomp profiles refuse it; there the wait is a
/// sleep of at most 200 us, so that callers poll.
@safe package struct WaitSet: ~Copyable {
  package static let capacity = 128

  private let words: UnsafeMutablePointer<UnsafePointer<UInt32>?>
  private let expected: UnsafeMutablePointer<UInt32>
  private var count = 0
  private var isSupported = true

  package init() {
    unsafe words = .allocate(capacity: Self.capacity)
    unsafe expected = .allocate(capacity: Self.capacity)
  }

  deinit {
    unsafe words.deallocate()
    unsafe expected.deallocate()
  }

  package mutating func removeAll() { count = 0 }

  /// Adds a word; past 128 it is left out, and the timeout bounds its delay.
  package mutating func insert(_ word: SharedWord, while value: UInt32) {
    guard count < Self.capacity else { return }
    unsafe words[count] = word.address
    unsafe expected[count] = value
    count += 1
  }

  /// Sleeps until some word differs from its value, is woken, or the time is over.
  package mutating func wait(timeoutNanoseconds: Int64) {
    #if PTO2_SIMULATION
      unsafe Simulation.wait(words, expected, count, timeoutNanoseconds)
    #else
      if isSupported {
        let result = unsafe pto2_futex_waitv(words, expected, UInt32(count), timeoutNanoseconds)
        // A seccomp profile that refuses it is as good as a kernel without it.
        if ![-ENOSYS, -EINVAL, -EPERM, -EACCES].contains(result) { return }
        isSupported = false
      }
      var pause = timespec(tv_sec: 0, tv_nsec: Int(min(timeoutNanoseconds, 200_000)))
      _ = unsafe nanosleep(&pause, nil)
    #endif
  }
}
