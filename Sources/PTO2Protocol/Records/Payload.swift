public import CPTO2Segment

/// What a task's payload consists of, and where each part begins: tensor records;
/// arguments, unless the descriptor has room for them; a predicate. Each from a cache line
/// on.
@frozen @usableFromInline
package struct PayloadShape: Equatable, Sendable {
  @usableFromInline let tensors: Int
  @usableFromInline let arguments: Int

  /// - Parameters:
  ///   - tensors: at most PTO2_MAX_TENSORS.
  ///   - scalars: at most PTO2_MAX_SCALARS.
  @inlinable @inline(__always)
  package init(tensors: Int, scalars: Int) {
    self.tensors = tensors
    arguments = tensors + scalars
  }

  /// The descriptor has room for all arguments.
  @inlinable @inline(__always)
  package var isInline: Bool { arguments <= Int(PTO2_INLINE_ARGS) }

  /// Bytes from the payload's start to the arguments.
  @inlinable @inline(__always)
  package var argumentsAt: Int { tensors * MemoryLayout<pto2_tensor>.stride }

  /// Bytes of tensors and arguments: where a predicate begins. Whole cache lines.
  @inlinable @inline(__always)
  package var bytes: Int {
    argumentsAt + (isInline ? 0 : Int(HeapRing.rounded(UInt64(arguments * 8))))
  }

  /// Bytes of all of it.
  @inlinable @inline(__always)
  package func bytes(hasPredicate: Bool) -> Int {
    bytes + (hasPredicate ? Int(PTO2_CACHE_LINE) : 0)
  }
}

/// A task's payload, as the orchestrator fills it; published and freed with the task's
/// main slot.
@safe @frozen @usableFromInline
package struct OwnedPayload {
  @usableFromInline let base: UnsafeMutableRawPointer
  @usableFromInline let shape: PayloadShape

  /// - Parameter base: on a cache line; so many bytes as the shape has are the task's.
  @inlinable @inline(__always)
  package init(at base: UnsafeMutableRawPointer, _ shape: PayloadShape) {
    unsafe self.base = base
    self.shape = shape
  }

  /// - Parameter index: less than the number of tensors.
  @inlinable @inline(__always)
  package func setTensor(_ index: Int, _ tensor: pto2_tensor) {
    unsafe base.assumingMemoryBound(to: pto2_tensor.self)[index] = tensor
  }

  /// The same tensor elsewhere.
  @inlinable @inline(__always)
  package func setTensor(_ index: Int, _ tensor: pto2_tensor, at offset: UInt64) {
    let record = unsafe base.assumingMemoryBound(to: pto2_tensor.self) + index
    unsafe record.initialize(to: tensor)
    unsafe record.pointee.offset = offset
  }

  /// Where the task's arguments belong: tensors first, then scalars.
  @inlinable @inline(__always)
  package func arguments(of descriptor: OwnedDescriptor) -> UnsafeMutablePointer<UInt64> {
    if shape.isInline { return unsafe descriptor.arguments }
    return unsafe (base + shape.argumentsAt).assumingMemoryBound(to: UInt64.self)
  }

  /// Of a task with `SlotFlags.predicate`.
  package func setPredicate(_ predicate: pto2_slot_predicate) {
    unsafe (base + shape.bytes).storeBytes(of: predicate, as: pto2_slot_predicate.self)
  }
}

/// A task's payload, as scheduler and workers read it.
@safe @frozen @usableFromInline
package struct Payload {
  @usableFromInline let base: UnsafeRawPointer
  @usableFromInline let shape: PayloadShape

  /// - Parameters:
  ///   - descriptor: whose `payload` names it.
  ///   - hasPredicate: the predicate will be asked for.
  /// - Returns: nil when it does not lie in the segment, on a cache line.
  @inlinable @inline(__always)
  package init?(
    of descriptor: Descriptor, _ shape: PayloadShape, hasPredicate: Bool = false,
    in memory: SegmentBytes
  ) {
    let offset = descriptor.payload
    let bytes = UInt64(truncatingIfNeeded: shape.bytes(hasPredicate: hasPredicate))
    guard offset & UInt64(PTO2_CACHE_LINE - 1) == 0, offset < memory.count,
      bytes <= memory.count - offset
    else { return nil }
    unsafe base = memory.base + Int(truncatingIfNeeded: offset)
    self.shape = shape
  }

  /// The first of the task's tensors, as kernels get them.
  @inlinable @inline(__always)
  package var tensors: UnsafePointer<pto2_tensor> {
    unsafe base.assumingMemoryBound(to: pto2_tensor.self)
  }

  /// - Parameter index: less than the number of tensors.
  package func tensor(_ index: Int) -> pto2_tensor { unsafe tensors[index] }

  /// Tensors first (segment offsets of their first elements), then scalars.
  @inlinable @inline(__always)
  package func arguments(of descriptor: Descriptor) -> UnsafePointer<UInt64> {
    if shape.isInline { return unsafe descriptor.arguments }
    return unsafe (base + shape.argumentsAt).assumingMemoryBound(to: UInt64.self)
  }

  /// Of a task with `SlotFlags.predicate`.
  package var predicate: pto2_slot_predicate {
    unsafe (base + shape.bytes).loadUnaligned(as: pto2_slot_predicate.self)
  }
}
