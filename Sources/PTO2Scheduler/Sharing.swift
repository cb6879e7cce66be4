internal import Synchronization

#if PTO2_SIMULATION
  internal import PTO2Protocol
#endif

/// How scheduler threads access what they share.
///
/// A type parameter of `Scheduler`: one thread's code is compiled to plain
/// loads and stores and contains nothing of the other.
package protocol Sharing {
  /// False: every operation below is plain, and every lock is free.
  static var isShared: Bool { get }

  /// Acquire.
  static func load(_ word: UnsafeMutablePointer<UInt32>) -> UInt32
  /// Release.
  static func store(_ word: UnsafeMutablePointer<UInt32>, _ value: UInt32)
  /// Acquire and release; returns the new value, wrapped.
  static func add(_ word: UnsafeMutablePointer<UInt32>, _ value: UInt32) -> UInt32
  /// Acquire and release; returns the old value.
  static func exchange(_ word: UnsafeMutablePointer<UInt32>, _ value: UInt32) -> UInt32
  /// Acquire and release; true when the word held `expected` and holds
  /// `desired` now.
  static func compareExchange(
    _ word: UnsafeMutablePointer<UInt32>, _ expected: UInt32, _ desired: UInt32
  ) -> Bool

  static func load(_ word: UnsafeMutablePointer<UInt64>) -> UInt64
  static func store(_ word: UnsafeMutablePointer<UInt64>, _ value: UInt64)
  static func add(_ word: UnsafeMutablePointer<UInt64>, _ value: UInt64) -> UInt64
  static func exchange(_ word: UnsafeMutablePointer<UInt64>, _ value: UInt64) -> UInt64
  static func compareExchange(
    _ word: UnsafeMutablePointer<UInt64>, _ expected: UInt64, _ desired: UInt64
  ) -> Bool
  /// Sets bits.
  static func or(_ word: UnsafeMutablePointer<UInt64>, _ bits: UInt64)
}

/// The default: one thread, nothing shared.
package enum OneThread: Sharing {
  @inline(__always)
  package static var isShared: Bool { false }

  @inline(__always)
  package static func load(_ word: UnsafeMutablePointer<UInt32>) -> UInt32 { unsafe word.pointee }
  @inline(__always)
  package static func store(_ word: UnsafeMutablePointer<UInt32>, _ value: UInt32) {
    unsafe word.pointee = value
  }
  @inline(__always)
  package static func add(_ word: UnsafeMutablePointer<UInt32>, _ value: UInt32) -> UInt32 {
    unsafe word.pointee &+= value
    return unsafe word.pointee
  }
  @inline(__always)
  package static func exchange(_ word: UnsafeMutablePointer<UInt32>, _ value: UInt32) -> UInt32 {
    let old = unsafe word.pointee
    unsafe word.pointee = value
    return old
  }
  @inline(__always)
  package static func compareExchange(
    _ word: UnsafeMutablePointer<UInt32>, _ expected: UInt32, _ desired: UInt32
  ) -> Bool {
    unsafe word.pointee = desired
    return true
  }

  @inline(__always)
  package static func load(_ word: UnsafeMutablePointer<UInt64>) -> UInt64 { unsafe word.pointee }
  @inline(__always)
  package static func store(_ word: UnsafeMutablePointer<UInt64>, _ value: UInt64) {
    unsafe word.pointee = value
  }
  @inline(__always)
  package static func add(_ word: UnsafeMutablePointer<UInt64>, _ value: UInt64) -> UInt64 {
    unsafe word.pointee &+= value
    return unsafe word.pointee
  }
  @inline(__always)
  package static func exchange(_ word: UnsafeMutablePointer<UInt64>, _ value: UInt64) -> UInt64 {
    let old = unsafe word.pointee
    unsafe word.pointee = value
    return old
  }
  @inline(__always)
  package static func compareExchange(
    _ word: UnsafeMutablePointer<UInt64>, _ expected: UInt64, _ desired: UInt64
  ) -> Bool {
    unsafe word.pointee = desired
    return true
  }
  @inline(__always)
  package static func or(_ word: UnsafeMutablePointer<UInt64>, _ bits: UInt64) {
    unsafe word.pointee |= bits
  }
}

#if PTO2_SIMULATION
  /// Two threads or more, simulated: every operation is a step, at which any
  /// other role may go on first.
  package enum SeveralThreads: Sharing {
    package static var isShared: Bool { true }

    package static func load(_ word: UnsafeMutablePointer<UInt32>) -> UInt32 {
      unsafe Simulation.load(word)
    }
    package static func store(_ word: UnsafeMutablePointer<UInt32>, _ value: UInt32) {
      _ = unsafe Simulation.update(word, .store, value) { _ in value }
    }
    package static func add(_ word: UnsafeMutablePointer<UInt32>, _ value: UInt32) -> UInt32 {
      unsafe Simulation.update(word, .add, value) { $0 &+ value } &+ value
    }
    package static func exchange(_ word: UnsafeMutablePointer<UInt32>, _ value: UInt32) -> UInt32 {
      unsafe Simulation.update(word, .exchange, value) { _ in value }
    }
    package static func compareExchange(
      _ word: UnsafeMutablePointer<UInt32>, _ expected: UInt32, _ desired: UInt32
    ) -> Bool {
      unsafe Simulation.update(word, .compareExchange, desired) {
        $0 == expected ? desired : $0
      } == expected
    }

    package static func load(_ word: UnsafeMutablePointer<UInt64>) -> UInt64 {
      unsafe Simulation.load(word)
    }
    package static func store(_ word: UnsafeMutablePointer<UInt64>, _ value: UInt64) {
      _ = unsafe Simulation.update(word, .store, value) { _ in value }
    }
    package static func add(_ word: UnsafeMutablePointer<UInt64>, _ value: UInt64) -> UInt64 {
      unsafe Simulation.update(word, .add, value) { $0 &+ value } &+ value
    }
    package static func exchange(_ word: UnsafeMutablePointer<UInt64>, _ value: UInt64) -> UInt64 {
      unsafe Simulation.update(word, .exchange, value) { _ in value }
    }
    package static func compareExchange(
      _ word: UnsafeMutablePointer<UInt64>, _ expected: UInt64, _ desired: UInt64
    ) -> Bool {
      unsafe Simulation.update(word, .compareExchange, desired) {
        $0 == expected ? desired : $0
      } == expected
    }
    package static func or(_ word: UnsafeMutablePointer<UInt64>, _ bits: UInt64) {
      _ = unsafe Simulation.update(word, .or, bits) { $0 | bits }
    }
  }
#else
  /// Two threads or more.
  package enum SeveralThreads: Sharing {
    @inline(__always)
    package static var isShared: Bool { true }

    @inline(__always)
    private static func atomic(_ word: UnsafeMutablePointer<UInt32>)
      -> UnsafeMutablePointer<Atomic<UInt32>>
    {
      unsafe UnsafeMutableRawPointer(word).assumingMemoryBound(to: Atomic<UInt32>.self)
    }
    @inline(__always)
    private static func atomic(_ word: UnsafeMutablePointer<UInt64>)
      -> UnsafeMutablePointer<Atomic<UInt64>>
    {
      unsafe UnsafeMutableRawPointer(word).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    @inline(__always)
    package static func load(_ word: UnsafeMutablePointer<UInt32>) -> UInt32 {
      unsafe atomic(word).pointee.load(ordering: .acquiring)
    }
    @inline(__always)
    package static func store(_ word: UnsafeMutablePointer<UInt32>, _ value: UInt32) {
      unsafe atomic(word).pointee.store(value, ordering: .releasing)
    }
    @inline(__always)
    package static func add(_ word: UnsafeMutablePointer<UInt32>, _ value: UInt32) -> UInt32 {
      unsafe atomic(word).pointee.wrappingAdd(value, ordering: .acquiringAndReleasing).newValue
    }
    @inline(__always)
    package static func exchange(_ word: UnsafeMutablePointer<UInt32>, _ value: UInt32) -> UInt32 {
      unsafe atomic(word).pointee.exchange(value, ordering: .sequentiallyConsistent)
    }
    @inline(__always)
    package static func compareExchange(
      _ word: UnsafeMutablePointer<UInt32>, _ expected: UInt32, _ desired: UInt32
    ) -> Bool {
      unsafe atomic(word).pointee.compareExchange(
        expected: expected, desired: desired, ordering: .acquiringAndReleasing
      ).exchanged
    }

    @inline(__always)
    package static func load(_ word: UnsafeMutablePointer<UInt64>) -> UInt64 {
      unsafe atomic(word).pointee.load(ordering: .acquiring)
    }
    @inline(__always)
    package static func store(_ word: UnsafeMutablePointer<UInt64>, _ value: UInt64) {
      unsafe atomic(word).pointee.store(value, ordering: .releasing)
    }
    @inline(__always)
    package static func add(_ word: UnsafeMutablePointer<UInt64>, _ value: UInt64) -> UInt64 {
      unsafe atomic(word).pointee.wrappingAdd(value, ordering: .acquiringAndReleasing).newValue
    }
    @inline(__always)
    package static func exchange(_ word: UnsafeMutablePointer<UInt64>, _ value: UInt64) -> UInt64 {
      unsafe atomic(word).pointee.exchange(value, ordering: .sequentiallyConsistent)
    }
    @inline(__always)
    package static func compareExchange(
      _ word: UnsafeMutablePointer<UInt64>, _ expected: UInt64, _ desired: UInt64
    ) -> Bool {
      unsafe atomic(word).pointee.compareExchange(
        expected: expected, desired: desired, ordering: .acquiringAndReleasing
      ).exchanged
    }
    @inline(__always)
    package static func or(_ word: UnsafeMutablePointer<UInt64>, _ bits: UInt64) {
      unsafe atomic(word).pointee.bitwiseOr(bits, ordering: .sequentiallyConsistent)
    }
  }
#endif

extension Sharing {
  /// Takes a try-lock. Sequentially consistent: what this thread published
  /// before is seen by the holder's look after unlocking.
  @inline(__always)
  static func tryLock(_ lock: UnsafeMutablePointer<UInt32>) -> Bool {
    unsafe exchange(lock, 1) == 0
  }

  /// Gives a try-lock back. The holder must look once more, after a full
  /// fence, for work that a thread which found it taken has left behind.
  @inline(__always)
  static func unlock(_ lock: UnsafeMutablePointer<UInt32>) { unsafe store(lock, 0) }
}
