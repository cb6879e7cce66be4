internal import CPTO2Segment
package import PTO2Protocol
internal import PTO2Segment

/// From a staged task to a published one: look, wait for room, settle, then enter and
/// write. Nothing that others see is changed before the last step, which cannot fail.
extension Orchestrator {
  /// Submits the staged task; `beginStaging` came first. Blocks while a ring it needs
  /// is full.
  package mutating func submit(_ kernels: KernelSet) throws(PTO2Error) -> TaskID {
    if let error = staged.error {
      unstage(keepOutputs: false)
      throw fault.raise(error)
    }
    do throws(PTO2Error) {
      staged.attributes.kernels = kernels
      let id = try commit()
      unstage(keepOutputs: true)
      return id
    } catch {
      unstage(keepOutputs: false)
      throw fault.raise(error)
    }
  }

  private mutating func commit() throws(PTO2Error) -> TaskID {
    if staged.attributes.startsTogether { try checkBlocks() }
    let snapshotBytes = staged.attributes.recovery == .snapshot ? try staged.snapshotBytes() : 0
    let outputBytes = staged.attributes.outputBytes + snapshotBytes
    // Fresh watermarks now and then keep fanin lists and the TensorMap small.
    if counters.tasks & 15 == 0 { refreshAll() }
    let scope = scopes.innermost
    let ring = scope.ring

    producers.look(
      at: &staged, isManual: scope.isManual, &buffers, &map, &rings, &failed)
    try waitForRoom(ring, outputBytes: outputBytes)
    guard let block = rings[ring].heap.place(bytes: outputBytes) else {
      preconditionFailure("waitForRoom left no room")
    }
    try reserve(ring, block)

    // Nothing can fail from here on.
    let task = TaskOrdinal(ring: ring, ordinal: rings[ring].current)
    if !scope.isManual { producers.enter(task, &staged, &buffers, &map, &rings) }
    write(
      task, scope, block, snapshotAt: snapshotBytes == 0 ? nil : staged.attributes.outputBytes)
    rings[ring].advance(pool: producers.count)
    scopes.noteSubmitted(task.id.local)
    counters.noteSubmitted(edges: producers.count)
    log.append(
      pto2_log_record(
        kind: PTO2_LOG_TASK, ring: UInt32(truncatingIfNeeded: ring), id: task.id.local, count: 0))
    return task.id
  }

  /// Blocks that start together need a core, or a cluster, each.
  private mutating func checkBlocks() throws(PTO2Error) {
    let clusters = segment.configuration.clusters
    let blocks = staged.attributes.blocks
    let mask = staged.attributes.kernels.activeMask
    let places = BlockLimits.startingTogether(mask: mask, clusters: clusters)
    guard blocks <= places else {
      throw PTO2Error(
        .requireSyncStartInvalid,
        "\(blocks) blocks are to start together, but this session has \(places) places for such a task. Use fewer blocks, or --clusters \((blocks * clusters + places - 1) / places)",
        needed: UInt64(blocks), available: UInt64(places))
    }
  }

  /// Memory for what the task's slot, descriptor, fanin list and outputs take.
  @inline(__always)
  private mutating func reserve(_ ring: Int, _ block: HeapRing.Block) throws(PTO2Error) {
    if rings[ring].reservation.isComplete { return }
    let slot = UInt32(truncatingIfNeeded: rings[ring].current) & rings[ring].main.mask
    let pool = UInt32(truncatingIfNeeded: rings[ring].poolHead) & rings[ring].fanin.mask
    let heapEnd = min(block.offset + (block.end - block.begin), rings[ring].heap.capacity)
    let places = RingReservation.Places(
      slot: slot, heap: block.offset..<heapEnd, pool: pool, poolCount: UInt32(producers.count),
      poolCapacity: rings[ring].fanin.count)
    try rings[ring].reservation.ensure(places, in: segment)
  }

  /// Everything that is published by the log record.
  @inline(__always)
  private mutating func write(
    _ task: TaskOrdinal, _ scope: Scope, _ block: HeapRing.Block, snapshotAt: UInt64?
  ) {
    let ring = task.ring
    rings[ring].heap.take(block)
    rings[ring][memory: task.ordinal] = TaskMemory(
      heapEnd: rings[ring].heap.head, scope: scope.serial)
    let heap = rings[ring].heapOffset + block.offset
    placeOutputs(of: task, scope, from: heap)
    let writer = SlotWriter(task, rings[ring])
    writer.header(
      &staged, scope, depth: scopes.depth,
      fanin: (rings[ring].poolHead, producers.count, producers.isCancelled), block,
      outputAt: heap, snapshotAt: snapshotAt)
    writer.predicate(&staged, &buffers)
    writer.calls(&staged, hasSnapshot: snapshotAt != nil)
    writer.arguments(&staged, &buffers)
    writer.fanin(producers.list, from: rings[ring].poolHead, in: rings[ring].fanin)
    if let snapshotAt { segment.markSnapshotEmpty(at: heap + snapshotAt) }
  }

  /// The outputs get their memory and their owner.
  @inline(__always)
  private mutating func placeOutputs(of task: TaskOrdinal, _ scope: Scope, from heap: UInt64) {
    if staged.attributes.outputBytes == 0 { return }
    var offset = heap
    var first = Buffer.none
    for index in 0..<staged.arguments.count where staged.arguments[index].access == .output {
      let place = staged.arguments[index].buffer
      buffers[place].offset = offset
      buffers[place].state = .placed
      buffers[place].owner = task
      buffers[place].scope = scope.serial
      buffers[place].next = first
      first = place
      offset += HeapRing.rounded(staged.arguments[index].end)
    }
    rings[task.ring][memory: task.ordinal].firstBuffer = first
  }
}
