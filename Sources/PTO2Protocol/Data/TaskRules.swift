public import CPTO2Segment

/// What orchestrator and scheduler must agree on about a task's blocks: the one admits
/// by it, the other refuses a slot that breaks it.
@usableFromInline
package enum BlockLimits {
  /// SPMD blocks of one task at most.
  @inlinable @inline(__always)
  package static var maximum: UInt32 { 1 << 20 }

  /// How many blocks of a task can run at the same time, so that many can be asked to
  /// start together: blocks of one vector kernel have a core each, all others a
  /// cluster.
  /// - Parameter mask: the task's active mask.
  package static func startingTogether(mask: UInt8, clusters: UInt32) -> UInt32 {
    mask == 0b010 || mask == 0b100 ? 2 * clusters : clusters
  }
}

/// A ring of main slots, which is also the ring of dispatch descriptors and of slot
/// states: task window entries, a power of two.
@usableFromInline
package enum MainRing {
  /// The entry of a task.
  /// - Parameter mask: the task window less one.
  @inlinable @inline(__always)
  package static func index(of local: UInt32, mask: UInt32) -> UInt32 { local & mask }

  /// Bytes from the beginning of the section to a main slot.
  @inlinable @inline(__always)
  package static func slotOffset(_ index: UInt32) -> Int {
    Int(index) * Int(PTO2_MAIN_SLOT_STRIDE)
  }
}
