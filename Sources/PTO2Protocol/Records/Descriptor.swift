public import CPTO2Segment

/// A task's dispatch descriptor (`PTO2DispatchDesc`), as the orchestrator fills it;
/// published and freed with the task's main slot.
@safe @frozen @usableFromInline
package struct OwnedDescriptor: RecordView {
  @usableFromInline let base: UnsafeMutableRawPointer

  @inlinable @inline(__always)
  package static var stride: Int { Int(PTO2_DESC_STRIDE) }

  @inlinable @inline(__always)
  package init(at base: UnsafeRawPointer) {
    unsafe self.base = UnsafeMutableRawPointer(mutating: base)
  }

  /// The calls of AIC, AIV0 and AIV1; 0 = inactive.
  @inlinable @inline(__always)
  package func setCalls(_ aic: CallWord, _ aiv0: CallWord, _ aiv1: CallWord) {
    let words = unsafe base.assumingMemoryBound(to: UInt64.self)
    unsafe words[0] = aic.rawValue
    unsafe words[1] = aiv0.rawValue
    unsafe words[2] = aiv1.rawValue
  }

  /// - Parameter subtask: 0 AIC, 1 AIV0, 2 AIV1.
  package func setCall(_ subtask: UInt32, _ call: CallWord) {
    unsafe base.assumingMemoryBound(to: UInt64.self)[Int(subtask)] = call.rawValue
  }

  /// - Parameter index: tensors first, then scalars; less than PTO2_MAX_ARGS.
  @inlinable @inline(__always)
  package func setArgument(_ index: Int, _ value: UInt64) {
    unsafe (base + MemoryLayout<PTO2DispatchDesc>.offset(of: \.args)!)
      .assumingMemoryBound(to: UInt64.self)[index] = value
  }
}

/// A task's dispatch descriptor, as a core reads it after acquiring the word that
/// names it.
@safe @frozen @usableFromInline
package struct Descriptor: RecordView {
  @usableFromInline let base: UnsafeRawPointer

  @inlinable @inline(__always)
  package static var stride: Int { Int(PTO2_DESC_STRIDE) }

  @inlinable @inline(__always)
  package init(at base: UnsafeRawPointer) { unsafe self.base = base }

  /// - Parameter subtask: 0 AIC, 1 AIV0, 2 AIV1.
  @inlinable @inline(__always)
  package func call(_ subtask: UInt32) -> CallWord {
    CallWord(rawValue: unsafe base.assumingMemoryBound(to: UInt64.self)[Int(subtask)])
  }

  /// Tensors first (segment offsets of their first elements), then scalars.
  @inlinable @inline(__always)
  package var arguments: UnsafePointer<UInt64> {
    unsafe (base + MemoryLayout<PTO2DispatchDesc>.offset(of: \.args)!)
      .assumingMemoryBound(to: UInt64.self)
  }
}
