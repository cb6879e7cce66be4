/// All bytes of a mapped segment, for what records name by its offset: the elements of
/// tensors, snapshots, the place of a crash.
@safe @frozen @usableFromInline
package struct SegmentBytes {
  @usableFromInline package let base: UnsafeRawPointer
  @usableFromInline package let count: UInt64

  /// - Parameter base: so many bytes are mapped from it on, for the life of this value.
  @inlinable
  package init(at base: UnsafeRawPointer, count: UInt64) {
    unsafe self.base = base
    self.count = count
  }

  /// The byte at an offset; nil beyond the end. Whether this process may store there is
  /// the mapping's to say.
  @inlinable @inline(__always)
  package func address(_ offset: UInt64) -> UnsafeMutableRawPointer? {
    guard offset < count else { return nil }
    return unsafe UnsafeMutableRawPointer(mutating: base + Int(truncatingIfNeeded: offset))
  }
}
