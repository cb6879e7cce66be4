public import CPTO2Segment

/// An edge of a producer's fanout list. Writer: the scheduler.
@safe @frozen @usableFromInline
package struct FanoutEdge: RecordView {
  @usableFromInline let record: UnsafeMutablePointer<pto2_fanout_edge>

  @inlinable @inline(__always)
  package static var stride: Int { MemoryLayout<pto2_fanout_edge>.stride }

  @inlinable @inline(__always)
  package init(at base: UnsafeRawPointer) {
    unsafe record = UnsafeMutableRawPointer(mutating: base)
      .assumingMemoryBound(to: pto2_fanout_edge.self)
  }

  /// The task the edge was made for.
  @inlinable @inline(__always)
  package var consumer: TaskID {
    get { TaskID(rawValue: unsafe record.pointee.consumer) }
    nonmutating set { unsafe record.pointee.consumer = newValue.rawValue }
  }
  @inlinable @inline(__always)
  package var next: UInt32 {
    get { unsafe record.pointee.next }
    nonmutating set { unsafe record.pointee.next = newValue }
  }
  /// The consumer holds a reference on the producer's output.
  @inlinable @inline(__always)
  package var isRetained: Bool { unsafe record.pointee.flags & PTO2_EDGE_RETAINED != 0 }
  /// Without the producer's result there is no consumer.
  @inlinable @inline(__always)
  package var needsData: Bool { unsafe record.pointee.flags & PTO2_EDGE_DATA != 0 }
  /// PTO2_EDGE_...
  @inlinable @inline(__always)
  package var flags: UInt32 {
    get { unsafe record.pointee.flags }
    nonmutating set { unsafe record.pointee.flags = newValue }
  }
}

/// Names an edge: its ring in bits 31:29, its place in that ring's pool in 28:0.
@frozen @usableFromInline
package struct EdgeReference: Equatable {
  @usableFromInline package let rawValue: UInt32

  @inlinable @inline(__always)
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable @inline(__always)
  package init(ring: Int, index: UInt32) {
    rawValue = UInt32(truncatingIfNeeded: ring) << UInt32(PTO2_EDGE_RING_SHIFT) | index
  }

  @inlinable @inline(__always)
  package var ring: Int { Int(rawValue >> UInt32(PTO2_EDGE_RING_SHIFT)) }
  @inlinable @inline(__always)
  package var index: UInt32 { rawValue & PTO2_EDGE_INDEX_MASK }
}

/// A fanin entry in the dependency pool: a producer's task id with PTO2_FANIN_... flags.
/// Writer: the orchestrator; published and freed with the consumer's main slot.
@frozen @usableFromInline
package struct FaninWord: Equatable, BitwiseCopyable {
  @usableFromInline package var rawValue: UInt64

  @inlinable @inline(__always)
  package init(rawValue: UInt64) { self.rawValue = rawValue }

  @inlinable @inline(__always)
  package var producer: TaskID { TaskID(rawValue: rawValue & PTO2_FANIN_ID_MASK) }
  /// The consumer starts only when the producer is COMPLETED.
  @inlinable @inline(__always)
  package var waits: Bool { rawValue & PTO2_FANIN_WAIT != 0 }
  /// The producer's output stays until the consumer is RELEASED.
  @inlinable @inline(__always)
  package var retains: Bool { rawValue & PTO2_FANIN_RETAIN != 0 }
  /// Without the producer's result there is no consumer.
  @inlinable @inline(__always)
  package var needsData: Bool { rawValue & PTO2_FANIN_DATA != 0 }
}

/// The place of a fanin entry; its reader's, or its writer's alone.
@safe @frozen @usableFromInline
package struct FaninPlace: RecordView {
  @usableFromInline let place: UnsafeMutablePointer<UInt64>

  @inlinable @inline(__always)
  package static var stride: Int { MemoryLayout<UInt64>.stride }

  @inlinable @inline(__always)
  package init(at base: UnsafeRawPointer) {
    unsafe place = UnsafeMutableRawPointer(mutating: base).assumingMemoryBound(to: UInt64.self)
  }

  @inlinable @inline(__always)
  package var word: FaninWord { FaninWord(rawValue: unsafe place.pointee) }

  /// The orchestrator's: others map the pool read-only.
  @inlinable @inline(__always)
  package func store(_ word: FaninWord) { unsafe place.pointee = word.rawValue }
}
