public import CPTO2Segment

/// A task's dispatch descriptor (`PTO2DispatchDesc`), as the orchestrator fills it;
/// published and freed with the task's main slot.
@safe @frozen @usableFromInline
package struct OwnedDescriptor: RecordView {
  @usableFromInline let record: UnsafeMutablePointer<PTO2DispatchDesc>

  @inlinable @inline(__always)
  package static var stride: Int { MemoryLayout<PTO2DispatchDesc>.stride }

  @inlinable @inline(__always)
  package init(at base: UnsafeRawPointer) {
    unsafe record = UnsafeMutableRawPointer(mutating: base)
      .assumingMemoryBound(to: PTO2DispatchDesc.self)
  }

  /// The calls of AIC, AIV0 and AIV1; 0 = inactive.
  @inlinable @inline(__always)
  package func setCalls(_ aic: CallWord, _ aiv0: CallWord, _ aiv1: CallWord) {
    unsafe record.pointee.function_bin_addrs = (aic.rawValue, aiv0.rawValue, aiv1.rawValue)
  }

  /// - Parameter subtask: 0 AIC, 1 AIV0, 2 AIV1.
  package func setCall(_ subtask: UInt32, _ call: CallWord) {
    unsafe UnsafeMutableRawPointer(record).assumingMemoryBound(to: UInt64.self)[Int(subtask)] =
      call.rawValue
  }

  /// Room for PTO2_INLINE_ARGS arguments.
  @inlinable @inline(__always)
  package var arguments: UnsafeMutablePointer<UInt64> {
    unsafe (UnsafeMutableRawPointer(record) + MemoryLayout<PTO2DispatchDesc>.offset(of: \.args)!)
      .assumingMemoryBound(to: UInt64.self)
  }

  /// Segment offset of the task's payload.
  @inlinable @inline(__always)
  package func setPayload(_ offset: UInt64) { unsafe record.pointee.payload = offset }
}

/// A task's dispatch descriptor, as a core reads it after acquiring the word that
/// names it.
@safe @frozen @usableFromInline
package struct Descriptor: RecordView {
  @usableFromInline let record: UnsafePointer<PTO2DispatchDesc>

  @inlinable @inline(__always)
  package static var stride: Int { MemoryLayout<PTO2DispatchDesc>.stride }

  @inlinable @inline(__always)
  package init(at base: UnsafeRawPointer) {
    unsafe record = base.assumingMemoryBound(to: PTO2DispatchDesc.self)
  }

  /// - Parameter subtask: 0 AIC, 1 AIV0, 2 AIV1.
  @inlinable @inline(__always)
  package func call(_ subtask: UInt32) -> CallWord {
    CallWord(
      rawValue: unsafe UnsafeRawPointer(record).assumingMemoryBound(to: UInt64.self)[Int(subtask)])
  }

  /// Tensors first (segment offsets of their first elements), then scalars: of a task
  /// with at most PTO2_INLINE_ARGS of both.
  @inlinable @inline(__always)
  package var arguments: UnsafePointer<UInt64> {
    unsafe (UnsafeRawPointer(record) + MemoryLayout<PTO2DispatchDesc>.offset(of: \.args)!)
      .assumingMemoryBound(to: UInt64.self)
  }

  /// Segment offset of the task's payload.
  @inlinable @inline(__always)
  package var payload: UInt64 { unsafe record.pointee.payload }
}
