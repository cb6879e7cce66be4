public import Synchronization

/// A 32-bit word of the segment as one side has it: a page of words is generic
/// over this, so that the writer's page and the readers' are one map.
@usableFromInline
package protocol SegmentWord {
  /// - Parameter address: 4-byte aligned, mapped for the life of this value; for a
  ///   word this role owns, mapped writable.
  init(at address: UnsafeRawPointer)
}

/// A 32-bit word of the segment that some other role writes.
///
/// Laid over mapped memory; loads compile to one instruction. Every
/// `loadAcquire` pairs with the writer's `OwnedWord.storeRelease`.
@safe @usableFromInline
package struct SharedWord: Equatable, SegmentWord {
  @usableFromInline package let address: UnsafePointer<UInt32>

  /// - Parameter address: 4-byte aligned, mapped for the life of this value.
  @inlinable @inline(__always)
  package init(_ address: UnsafeRawPointer) {
    unsafe self.address = address.assumingMemoryBound(to: UInt32.self)
  }

  @inlinable @inline(__always)
  package init(at address: UnsafeRawPointer) { unsafe self.init(address) }

  @usableFromInline
  package static func == (a: SharedWord, b: SharedWord) -> Bool { unsafe a.address == b.address }

  @inlinable @inline(__always)
  package func loadAcquire() -> UInt32 {
    #if PTO2_SIMULATION
      unsafe Simulation.willLoad(address)
    #endif
    return unsafe UnsafeRawPointer(address).assumingMemoryBound(to: Atomic<UInt32>.self)
      .pointee.load(ordering: .acquiring)
  }

  @inlinable @inline(__always)
  package func loadRelaxed() -> UInt32 {
    #if PTO2_SIMULATION
      unsafe Simulation.willLoad(address)
    #endif
    return unsafe UnsafeRawPointer(address).assumingMemoryBound(to: Atomic<UInt32>.self)
      .pointee.load(ordering: .relaxed)
  }
}

/// A 32-bit word of the segment that this role, and no other, writes.
@safe @usableFromInline
package struct OwnedWord: SegmentWord {
  @usableFromInline let address: UnsafeMutablePointer<UInt32>

  @inlinable @inline(__always)
  package init(at address: UnsafeRawPointer) {
    unsafe self.init(UnsafeMutableRawPointer(mutating: address))
  }

  /// - Parameter address: 4-byte aligned, mapped writable for the life of
  ///   this value.
  @inlinable @inline(__always)
  package init(_ address: UnsafeMutableRawPointer) {
    unsafe self.address = address.assumingMemoryBound(to: UInt32.self)
  }

  /// The same word for a reader, for instance a futex wait.
  @inlinable @inline(__always)
  package var shared: SharedWord { unsafe SharedWord(UnsafeRawPointer(address)) }

  /// Publishes everything stored before it to whoever acquires this value.
  @inlinable @inline(__always)
  package func storeRelease(_ value: UInt32) {
    #if PTO2_SIMULATION
      unsafe Simulation.willStore(address, value)
      defer { Simulation.didStore() }
    #endif
    unsafe UnsafeMutableRawPointer(address).assumingMemoryBound(to: Atomic<UInt32>.self)
      .pointee.store(value, ordering: .releasing)
  }

  @inlinable @inline(__always)
  package func storeRelaxed(_ value: UInt32) {
    #if PTO2_SIMULATION
      unsafe Simulation.willStore(address, value)
      defer { Simulation.didStore() }
    #endif
    unsafe UnsafeMutableRawPointer(address).assumingMemoryBound(to: Atomic<UInt32>.self)
      .pointee.store(value, ordering: .relaxed)
  }

  /// What this role stored last; no ordering is needed to read one's own word.
  @inlinable @inline(__always)
  package func loadOwn() -> UInt32 { shared.loadRelaxed() }
}

/// A full fence: no load after it is performed before a store ahead of it.
/// It stands between publishing a word and looking whether its reader is
/// parked, and between announcing a park and looking at the word again.
@inlinable @inline(__always)
package func fullFence() {
  atomicMemoryFence(ordering: .sequentiallyConsistent)
}

/// No load after it is performed before a load ahead of it: between what a word guards and
/// a second look at the word.
@inlinable @inline(__always)
package func loadFence() { atomicMemoryFence(ordering: .acquiring) }

/// A place in memory that one process writes, from one or several of its threads:
/// a field of a record that this role owns, or a variable of its own.
///
/// `Sharing` accesses it atomically where threads share it; `value` is a plain
/// access, for a place that one thread at a time has.
@safe @frozen @usableFromInline
package struct Cell<Value: BitwiseCopyable> {
  @usableFromInline package let address: UnsafeMutablePointer<Value>

  /// - Parameter address: valid for the life of this value. The field of a
  ///   `pointee` is passed in place (`&record.pointee.field`), never a copy.
  @inlinable @inline(__always)
  package init(_ address: UnsafeMutablePointer<Value>) { unsafe self.address = address }

  @inlinable @inline(__always)
  package var value: Value {
    get { unsafe address.pointee }
    nonmutating set { unsafe address.pointee = newValue }
  }
}

extension Cell where Value == UInt32 {
  /// The place as a word that others read, or a futex waits for.
  @inlinable @inline(__always)
  package var word: OwnedWord { unsafe OwnedWord(UnsafeMutableRawPointer(address)) }
}

/// A 64-bit word of the segment that this role, and no other, writes.
@safe @usableFromInline
package struct OwnedLongWord {
  @usableFromInline let address: UnsafeMutableRawPointer

  /// - Parameter address: 8-byte aligned, mapped writable for the life of
  ///   this value.
  @inlinable @inline(__always)
  package init(_ address: UnsafeMutableRawPointer) { unsafe self.address = address }

  /// Publishes everything stored before it to whoever sees this value.
  @inlinable @inline(__always)
  package func storeRelease(_ value: UInt64) {
    unsafe address.assumingMemoryBound(to: Atomic<UInt64>.self)
      .pointee.store(value, ordering: .releasing)
  }

  /// What this role stored last.
  @inlinable @inline(__always)
  package func loadOwn() -> UInt64 {
    unsafe address.assumingMemoryBound(to: Atomic<UInt64>.self).pointee.load(ordering: .relaxed)
  }
}
