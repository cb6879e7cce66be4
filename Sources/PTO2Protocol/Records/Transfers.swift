public import CPTO2Segment

/// A place in the ring of transfers that the link is to begin. Writer: the scheduler;
/// published by `transfersStarted`.
@safe @frozen @usableFromInline
package struct TransferStart: RecordView {
  @usableFromInline let record: UnsafeMutablePointer<pto2_transfer_start>

  @inlinable package static var stride: Int { MemoryLayout<pto2_transfer_start>.stride }

  @inlinable
  package init(at base: UnsafeRawPointer) {
    unsafe record = UnsafeMutableRawPointer(mutating: base)
      .assumingMemoryBound(to: pto2_transfer_start.self)
  }

  @inlinable package var content: pto2_transfer_start { unsafe record.pointee }

  /// The scheduler's: others map the ring read-only.
  @inlinable
  package func store(_ value: pto2_transfer_start) { unsafe record.pointee = value }
}

/// A place in the ring of transfers that are over. Writer: the link; published by `ended`.
@safe @frozen @usableFromInline
package struct TransferEnd: RecordView {
  @usableFromInline let record: UnsafeMutablePointer<pto2_transfer_end>

  @inlinable package static var stride: Int { MemoryLayout<pto2_transfer_end>.stride }

  @inlinable
  package init(at base: UnsafeRawPointer) {
    unsafe record = UnsafeMutableRawPointer(mutating: base)
      .assumingMemoryBound(to: pto2_transfer_end.self)
  }

  @inlinable package var content: pto2_transfer_end { unsafe record.pointee }

  /// The link's.
  @inlinable
  package func store(_ value: pto2_transfer_end) { unsafe record.pointee = value }
}

/// One task that the program has submitted, on whichever rank it runs. Writer: the
/// orchestrator; published by `submitted` of its rank words.
@safe @frozen @usableFromInline
package struct SubmissionPlace: RecordView {
  @usableFromInline let record: UnsafeMutablePointer<pto2_submitted_task>

  @inlinable package static var stride: Int { MemoryLayout<pto2_submitted_task>.stride }

  @inlinable
  package init(at base: UnsafeRawPointer) {
    unsafe record = UnsafeMutableRawPointer(mutating: base)
      .assumingMemoryBound(to: pto2_submitted_task.self)
  }

  @inlinable package var content: pto2_submitted_task { unsafe record.pointee }

  /// The orchestrator's.
  @inlinable
  package func store(_ value: pto2_submitted_task) { unsafe record.pointee = value }
}

/// What a transfer is: the three scalars of its task.
package struct TransferOrder: Equatable, Sendable {
  package enum Direction: UInt32, Sendable {
    case send = 1
    case receive = 2
  }
  package var direction: Direction
  /// The other rank.
  package var peer: Int
  /// Its number among the transfers from the one rank to the other, from 0 on.
  package var sequence: UInt64
  package var bytes: UInt64

  package init(_ direction: Direction, peer: Int, sequence: UInt64, bytes: UInt64) {
    self.direction = direction
    self.peer = peer
    self.sequence = sequence
    self.bytes = bytes
  }

  package var scalars: (UInt64, UInt64, UInt64) {
    (UInt64(direction.rawValue) | UInt64(peer) << 32, sequence, bytes)
  }

  /// Nil for what no orchestrator writes.
  package init?(scalars: (UInt64, UInt64, UInt64), ranks: Int) {
    guard let direction = Direction(rawValue: UInt32(truncatingIfNeeded: scalars.0)),
      scalars.0 >> 32 < UInt64(ranks)
    else { return nil }
    self.init(
      direction, peer: Int(scalars.0 >> 32), sequence: scalars.1, bytes: scalars.2)
  }
}
