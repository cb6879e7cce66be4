internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// What the scheduler relies on in a main slot that it did not write.
extension Scheduler {
  /// True when a slot's task lies in the windows and takes the next entries of
  /// the dependency pool, so that it overwrites nothing in use, and when its
  /// kernels can be counted and placed. Fails otherwise.
  ///
  /// The watermarks are read from the words that the orchestrator goes by: they
  /// are never behind what it has seen.
  @inline(__always)
  mutating func isSound(
    _ id: TaskID, _ ring: UnsafeMutablePointer<RingState>, first: UInt32, count: UInt32,
    mask: UInt8, flags: UInt8, blocks: UInt32
  ) -> Bool {
    let isInWindows =
      unsafe id.local &- ring.pointee.releasedWord.loadOwn() <= ring.pointee.mainMask
      && id.local &- ring.pointee.consumedWord.loadOwn() <= ring.pointee.consumedMask
    let pool = unsafe ring.pointee.poolMask &+ 1
    let hasPool =
      unsafe first == ring.pointee.poolHead && count <= pool
      && first &+ count &- S.load(&ring.pointee.poolTail) <= pool
    let canRun =
      mask < 1 << UInt8(PTO2_SLOTS) && blocks &- 1 < BlockLimits.maximum
      && (flags & UInt8(PTO2_SLOT_SYNC_START) == 0
        || blocks
          <= BlockLimits.startingTogether(
            mask: mask, clusters: shared.segment.configuration.clusters))
    if isInWindows && hasPool && canRun { return true }
    if !isInWindows {
      violation("task \(id) is submitted into a slot or an entry that is in use")
    } else if !hasPool {
      violation("task \(id) has \(count) fanin entries at \(first) of the dependency pool")
    } else {
      violation(
        "task \(id) has active mask \(mask), \(blocks) blocks, flags \(flags)")
    }
    return false
  }
}
