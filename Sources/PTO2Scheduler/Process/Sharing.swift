package import PTO2Protocol
internal import Synchronization

/// How scheduler threads access what they share.
///
/// A type parameter of `SchedulerThread`: one thread's code is compiled to plain loads
/// and stores and contains nothing of the other.
package protocol Sharing: SendableMetatype {
  /// False: every operation below is plain, and every lock is free.
  static var isShared: Bool { get }
  /// True: what happens to tasks is recorded; see `Traced`.
  static var isTraced: Bool { get }

  /// Acquire.
  static func load<Word: AtomicWord>(_ cell: Cell<Word>) -> Word
  /// Release.
  static func store<Word: AtomicWord>(_ cell: Cell<Word>, _ value: Word)
  /// Acquire and release; returns the new value, wrapped.
  static func add<Word: AtomicWord>(_ cell: Cell<Word>, _ value: Word) -> Word
  /// Sequentially consistent; returns the old value.
  static func exchange<Word: AtomicWord>(_ cell: Cell<Word>, _ value: Word) -> Word
  /// Acquire and release; true when the cell held `expected` and holds `desired` now.
  static func compareExchange<Word: AtomicWord>(
    _ cell: Cell<Word>, _ expected: Word, _ desired: Word
  ) -> Bool
  /// Sets bits. Sequentially consistent.
  static func or<Word: AtomicWord>(_ cell: Cell<Word>, _ bits: Word)
}

extension Sharing {
  @inline(__always)
  package static var isTraced: Bool { false }
}

/// The default: one thread, nothing shared.
package enum OneThread: Sharing {
  @inline(__always)
  package static var isShared: Bool { false }

  @inline(__always)
  package static func load<Word: AtomicWord>(_ cell: Cell<Word>) -> Word { cell.value }
  @inline(__always)
  package static func store<Word: AtomicWord>(_ cell: Cell<Word>, _ value: Word) {
    cell.value = value
  }
  @inline(__always)
  package static func add<Word: AtomicWord>(_ cell: Cell<Word>, _ value: Word) -> Word {
    let new = cell.value &+ value
    cell.value = new
    return new
  }
  @inline(__always)
  package static func exchange<Word: AtomicWord>(_ cell: Cell<Word>, _ value: Word) -> Word {
    let old = cell.value
    cell.value = value
    return old
  }
  @inline(__always)
  package static func compareExchange<Word: AtomicWord>(
    _ cell: Cell<Word>, _ expected: Word, _ desired: Word
  ) -> Bool {
    cell.value = desired
    return true
  }
  @inline(__always)
  package static func or<Word: AtomicWord>(_ cell: Cell<Word>, _ bits: Word) {
    cell.value |= bits
  }
}

#if PTO2_SIMULATION
  /// The widths of the words that threads share.
  package protocol AtomicWord: FixedWidthInteger, BitwiseCopyable {}
  extension UInt32: AtomicWord {}
  extension UInt64: AtomicWord {}

  /// Two threads or more, simulated: every operation is a step, at which any
  /// other role may go on first.
  package enum SeveralThreads: Sharing {
    package static var isShared: Bool { true }

    package static func load<Word: AtomicWord>(_ cell: Cell<Word>) -> Word {
      unsafe Simulation.load(cell.address)
    }
    package static func store<Word: AtomicWord>(_ cell: Cell<Word>, _ value: Word) {
      _ = update(cell, .store, value) { _ in value }
    }
    package static func add<Word: AtomicWord>(_ cell: Cell<Word>, _ value: Word) -> Word {
      update(cell, .add, value) { $0 &+ value } &+ value
    }
    package static func exchange<Word: AtomicWord>(_ cell: Cell<Word>, _ value: Word) -> Word {
      update(cell, .exchange, value) { _ in value }
    }
    package static func compareExchange<Word: AtomicWord>(
      _ cell: Cell<Word>, _ expected: Word, _ desired: Word
    ) -> Bool {
      update(cell, .compareExchange, desired) { $0 == expected ? desired : $0 } == expected
    }
    package static func or<Word: AtomicWord>(_ cell: Cell<Word>, _ bits: Word) {
      _ = update(cell, .or, bits) { $0 | bits }
    }

    private static func update<Word: AtomicWord>(
      _ cell: Cell<Word>, _ kind: Simulation.Update, _ operand: Word, _ new: (Word) -> Word
    ) -> Word { unsafe Simulation.update(cell.address, kind, operand, new) }
  }
#else
  /// Two threads or more.
  package enum SeveralThreads: Sharing {
    @inline(__always)
    package static var isShared: Bool { true }

    @inline(__always)
    package static func load<Word: AtomicWord>(_ cell: Cell<Word>) -> Word {
      Word.atomicLoad(cell)
    }
    @inline(__always)
    package static func store<Word: AtomicWord>(_ cell: Cell<Word>, _ value: Word) {
      Word.atomicStore(cell, value)
    }
    @inline(__always)
    package static func add<Word: AtomicWord>(_ cell: Cell<Word>, _ value: Word) -> Word {
      Word.atomicAdd(cell, value)
    }
    @inline(__always)
    package static func exchange<Word: AtomicWord>(_ cell: Cell<Word>, _ value: Word) -> Word {
      Word.atomicExchange(cell, value)
    }
    @inline(__always)
    package static func compareExchange<Word: AtomicWord>(
      _ cell: Cell<Word>, _ expected: Word, _ desired: Word
    ) -> Bool { Word.atomicCompareExchange(cell, expected, desired) }
    @inline(__always)
    package static func or<Word: AtomicWord>(_ cell: Cell<Word>, _ bits: Word) {
      Word.atomicOr(cell, bits)
    }
  }

  /// The widths of the words that threads share, and their atomic operations:
  /// `Atomic` has these for each integer type by itself.
  package protocol AtomicWord: FixedWidthInteger, BitwiseCopyable {
    static func atomicLoad(_ cell: Cell<Self>) -> Self
    static func atomicStore(_ cell: Cell<Self>, _ value: Self)
    static func atomicAdd(_ cell: Cell<Self>, _ value: Self) -> Self
    static func atomicExchange(_ cell: Cell<Self>, _ value: Self) -> Self
    static func atomicCompareExchange(_ cell: Cell<Self>, _ expected: Self, _ desired: Self) -> Bool
    static func atomicOr(_ cell: Cell<Self>, _ bits: Self)
  }

  extension Cell where Value: AtomicRepresentable {
    /// The cell as an atomic of the same size.
    @inline(__always)
    fileprivate var atomic: UnsafeMutablePointer<Atomic<Value>> {
      unsafe UnsafeMutableRawPointer(address).assumingMemoryBound(to: Atomic<Value>.self)
    }
  }

  extension UInt32: AtomicWord {
    @inline(__always)
    package static func atomicLoad(_ cell: Cell<UInt32>) -> UInt32 {
      unsafe cell.atomic.pointee.load(ordering: .acquiring)
    }
    @inline(__always)
    package static func atomicStore(_ cell: Cell<UInt32>, _ value: UInt32) {
      unsafe cell.atomic.pointee.store(value, ordering: .releasing)
    }
    @inline(__always)
    package static func atomicAdd(_ cell: Cell<UInt32>, _ value: UInt32) -> UInt32 {
      unsafe cell.atomic.pointee.wrappingAdd(value, ordering: .acquiringAndReleasing).newValue
    }
    @inline(__always)
    package static func atomicExchange(_ cell: Cell<UInt32>, _ value: UInt32) -> UInt32 {
      unsafe cell.atomic.pointee.exchange(value, ordering: .sequentiallyConsistent)
    }
    @inline(__always)
    package static func atomicCompareExchange(
      _ cell: Cell<UInt32>, _ expected: UInt32, _ desired: UInt32
    ) -> Bool {
      unsafe cell.atomic.pointee.compareExchange(
        expected: expected, desired: desired, ordering: .acquiringAndReleasing
      ).exchanged
    }
    @inline(__always)
    package static func atomicOr(_ cell: Cell<UInt32>, _ bits: UInt32) {
      unsafe cell.atomic.pointee.bitwiseOr(bits, ordering: .sequentiallyConsistent)
    }
  }

  extension UInt64: AtomicWord {
    @inline(__always)
    package static func atomicLoad(_ cell: Cell<UInt64>) -> UInt64 {
      unsafe cell.atomic.pointee.load(ordering: .acquiring)
    }
    @inline(__always)
    package static func atomicStore(_ cell: Cell<UInt64>, _ value: UInt64) {
      unsafe cell.atomic.pointee.store(value, ordering: .releasing)
    }
    @inline(__always)
    package static func atomicAdd(_ cell: Cell<UInt64>, _ value: UInt64) -> UInt64 {
      unsafe cell.atomic.pointee.wrappingAdd(value, ordering: .acquiringAndReleasing).newValue
    }
    @inline(__always)
    package static func atomicExchange(_ cell: Cell<UInt64>, _ value: UInt64) -> UInt64 {
      unsafe cell.atomic.pointee.exchange(value, ordering: .sequentiallyConsistent)
    }
    @inline(__always)
    package static func atomicCompareExchange(
      _ cell: Cell<UInt64>, _ expected: UInt64, _ desired: UInt64
    ) -> Bool {
      unsafe cell.atomic.pointee.compareExchange(
        expected: expected, desired: desired, ordering: .acquiringAndReleasing
      ).exchanged
    }
    @inline(__always)
    package static func atomicOr(_ cell: Cell<UInt64>, _ bits: UInt64) {
      unsafe cell.atomic.pointee.bitwiseOr(bits, ordering: .sequentiallyConsistent)
    }
  }
#endif
