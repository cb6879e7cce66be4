public import CPTO2Segment

/// How often the kernels of a task run, and where they would rather: a word of its main slot
/// and of its consumed entry.
@frozen @usableFromInline
package struct BlockWord: Equatable, Sendable {
  @usableFromInline package let bits: UInt32

  @inlinable @inline(__always)
  package init(bits: UInt32) { self.bits = bits }

  /// - Parameters:
  ///   - count: 1 to `BlockLimits.maximum`.
  ///   - cluster: at most PTO2_MAX_CLUSTERS - 1.
  @inlinable @inline(__always)
  package init(count: UInt32, near cluster: Int?) {
    let number = UInt32(truncatingIfNeeded: (cluster ?? -1) &+ 1)
    bits = count | number << UInt32(PTO2_BLOCKS_NEAR_SHIFT)
  }

  /// SPMD blocks; 1 for any other task.
  @inlinable @inline(__always)
  package var count: UInt32 { bits & UInt32(PTO2_BLOCK_COUNT_MASK) }

  /// The cluster whose cores come first; nil for a task that may run anywhere.
  @inlinable @inline(__always)
  package var cluster: Int? {
    let number = Int(bits >> UInt32(PTO2_BLOCKS_NEAR_SHIFT))
    return number == 0 ? nil : number &- 1
  }
}
