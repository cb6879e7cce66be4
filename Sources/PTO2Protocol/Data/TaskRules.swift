public import CPTO2

/// What orchestrator and scheduler must agree on about a task's blocks: the one admits
/// by it, the other refuses a slot that breaks it.
@usableFromInline
package enum BlockLimits {
  /// SPMD blocks of one task at most.
  @inlinable @inline(__always)
  package static var maximum: UInt32 { UInt32(PTO2_MAX_BLOCKS) }

  /// How many blocks of a task can run at the same time, so that many can be asked to
  /// start together: blocks of one vector kernel have a core each, all others a
  /// cluster.
  /// - Parameter mask: the task's active mask.
  package static func startingTogether(mask: UInt8, clusters: UInt32) -> UInt32 {
    mask == 0b010 || mask == 0b100 ? 2 * clusters : clusters
  }
}
