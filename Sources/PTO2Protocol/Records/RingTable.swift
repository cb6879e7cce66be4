/// A view of one record of a ring: one pointer.
@usableFromInline
package protocol RecordView {
  /// Bytes from one record of the ring to the next.
  static var stride: Int { get }

  /// - Parameter base: the record's first byte, mapped for the life of the view; for
  ///   the writer's view, mapped writable.
  init(at base: UnsafeRawPointer)
}

/// A ring of records, addressed by free-running positions.
@safe @frozen @usableFromInline
package struct RingTable<View: RecordView> {
  @usableFromInline let base: UnsafeRawPointer
  /// Records minus one; their number is a power of two.
  @usableFromInline package let mask: UInt32

  /// - Parameters:
  ///   - base: the first record, aligned as its type asks.
  ///   - count: a power of two; so many records are mapped from `base` on.
  @inlinable
  package init(_ base: UnsafeRawPointer, count: UInt32) {
    unsafe self.base = base
    mask = count &- 1
  }

  @inlinable @inline(__always)
  package var count: UInt32 { mask &+ 1 }

  /// The record that an address in the ring lies in.
  package func index(containing address: UnsafeRawPointer) -> UInt32 {
    UInt32((unsafe address - base) / View.stride)
  }

  /// The record at a position: a local id, or a position in a pool or log.
  @inlinable @inline(__always)
  package subscript(position: UInt32) -> View {
    unsafe View(at: base + Int(position & mask) * View.stride)
  }

  /// Where a position's record lies in the ring.
  @inlinable @inline(__always)
  package func index(of position: UInt32) -> UInt32 { position & mask }

  /// The record at a place in the ring.
  /// - Parameter index: of `index(of:)`, of this table or of one with as many records.
  @inlinable @inline(__always)
  package subscript(index index: UInt32) -> View {
    unsafe View(at: base + Int(index) * View.stride)
  }
}

/// A record that another role writes, taken whole: for those who look on.
///
/// What is copied may be torn or garbage; whoever goes by it acquires the word that
/// publishes the record first, and checks what it reads.
@safe @frozen @usableFromInline
package struct SharedRecord<Record: BitwiseCopyable>: RecordView {
  @usableFromInline let base: UnsafeRawPointer

  @inlinable @inline(__always)
  package static var stride: Int { MemoryLayout<Record>.stride }

  @inlinable @inline(__always)
  package init(at base: UnsafeRawPointer) { unsafe self.base = base }

  @inlinable @inline(__always)
  package func copy() -> Record { unsafe base.load(as: Record.self) }
}
