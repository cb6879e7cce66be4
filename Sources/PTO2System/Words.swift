public import Synchronization

/// A 32-bit word of the segment that some other role writes.
///
/// Laid over mapped memory; loads compile to one instruction. Every
/// `loadAcquire` pairs with the writer's `OwnedWord.storeRelease`.
@safe @usableFromInline
package struct SharedWord: Equatable {
  @usableFromInline let address: UnsafePointer<UInt32>

  /// - Parameter address: 4-byte aligned, mapped for the life of this value.
  @inlinable @inline(__always)
  package init(_ address: UnsafeRawPointer) {
    unsafe self.address = address.assumingMemoryBound(to: UInt32.self)
  }

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
package struct OwnedWord {
  @usableFromInline let address: UnsafeMutablePointer<UInt32>

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
