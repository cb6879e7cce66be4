internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment

/// What the scheduler goes by of a main slot, read once: the orchestrator wrote it.
struct SubmittedTask {
  let faninFirst: UInt32
  let faninCount: UInt32
  let activeMask: UInt8
  let flags: SlotFlags
  let blocks: BlockWord

  @inline(__always)
  init(_ slot: MainSlot) {
    faninFirst = slot.faninFirst
    faninCount = slot.faninCount
    activeMask = slot.activeMask
    flags = slot.flags
    blocks = slot.blocks
  }
}

extension SchedulerThread {
  /// True when a slot's task lies in the windows and takes the next entries of the
  /// dependency pool, so that it overwrites nothing in use, and when its kernels can be
  /// counted and placed. Fails otherwise.
  @inline(__always)
  mutating func isSound(_ task: SubmittedTask, _ id: TaskID, _ ring: Ring) -> Bool {
    let isInWindows = ring.hasRoom(for: id.local)
    let pool = ring.dependencyPool
    let hasPool =
      task.faninFirst == ring.poolHead.value && task.faninCount <= pool
      && task.faninFirst &+ task.faninCount &- S.load(ring.poolTail) <= pool
    let canRun =
      task.activeMask < 1 << UInt8(PTO2_SLOTS) && task.blocks.count &- 1 < BlockLimits.maximum
      && (task.blocks.cluster.map { $0 < cores.clusterCount } ?? true)
      && (!task.flags.contains(.syncStart)
        || task.blocks.count
          <= BlockLimits.startingTogether(
            mask: task.activeMask, clusters: shared.segment.configuration.clusters))
      && (!task.flags.contains(.transfer) || isTransfer(task, ring.slot(id.local)))
    if isInWindows && hasPool && canRun { return true }
    if !isInWindows {
      violation("task \(id) is submitted into a slot or an entry that is in use")
    } else if !hasPool {
      violation(
        "task \(id) has \(task.faninCount) fanin entries at \(task.faninFirst) of the dependency pool"
      )
    } else {
      let near = task.blocks.cluster.map { " near cluster \($0)" } ?? ""
      violation(
        "task \(id) has active mask \(task.activeMask), \(task.blocks.count) blocks\(near), flags \(task.flags.rawValue)"
      )
    }
    return false
  }

  /// One tensor that is sent or received, or none, and what a `TransferOrder` says.
  @inline(never)
  private func isTransfer(_ task: SubmittedTask, _ slot: MainSlot) -> Bool {
    let header = slot.header
    return transfers != nil && task.activeMask == 0 && task.blocks == BlockWord(count: 1, near: nil)
      && header.tensor_count <= 1 && Int(header.scalar_count) == Int(PTO2_TRANSFER_SCALARS)
      && task.flags.isDisjoint(with: [.predicate, .syncStart, .snapshot, .held])
  }
}
