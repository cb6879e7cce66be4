internal import CPTO2ABI
internal import PTO2Protocol
internal import PTO2System

/// A task's way out: COMPLETED, RELEASED, CONSUMED, and the watermarks.
extension Scheduler {
  /// One subtask of one block has its FIN; the last one completes the task.
  @inline(__always)
  mutating func finishSubtask(_ id: TaskID) {
    let entry = unsafe rings[id.ring].entry(id.local)
    unsafe entry.pointee.subtasks_left &-= 1
    if unsafe entry.pointee.subtasks_left == 0 { complete(id) }
  }

  /// COMPLETED: closes the fanout list and notifies the consumers on it, then
  /// goes on to RELEASED, since the task's fanin list is not needed any more.
  @inline(__always)
  mutating func complete(_ id: TaskID) {
    let entry = unsafe rings[id.ring].entry(id.local)
    unsafe entry.pointee.state = TaskState.completed.rawValue
    var reference = unsafe entry.pointee.fanout_head
    unsafe entry.pointee.fanout_head = PTO2_EDGE_CLOSED
    counters.completed += 1
    while reference != PTO2_EDGE_NONE {
      let ring = Int(reference >> UInt32(PTO2_EDGE_RING_SHIFT))
      let edge = unsafe rings[ring].edges + Int(reference & PTO2_EDGE_INDEX_MASK)
      let consumer = unsafe TaskID(rawValue: edge.pointee.consumer)
      reference = unsafe edge.pointee.next
      let state = unsafe rings[consumer.ring].state(consumer.local)
      unsafe state.pointee.fanin_refcount += 1
      if unsafe state.pointee.fanin_refcount == state.pointee.fanin_count { makeReady(consumer) }
    }
    release(id)
  }

  /// RELEASED: gives back the references on the producers. Descriptor and
  /// payload are free once the watermark has passed the task.
  @inline(__always)
  mutating func release(_ id: TaskID) {
    let ring = unsafe rings + id.ring
    let entry = unsafe ring.pointee.entry(id.local)
    let count = unsafe entry.pointee.fanin_count
    if count > 0 {
      let first = unsafe ring.pointee.slot(id.local).pointee.fanin_first
      let mask = unsafe ring.pointee.poolMask
      for k in 0..<count {
        let index = Int((first &+ k) & mask)
        guard unsafe ring.pointee.edges[index].flags & PTO2_EDGE_RETAINED != 0 else { continue }
        dropReference(
          unsafe TaskID(rawValue: ring.pointee.fanin[index] & PTO2_FANIN_ID_MASK))
      }
    }
    unsafe entry.pointee.state = TaskState.released.rawValue
    if unsafe entry.pointee.fanout_refcount == entry.pointee.fanout_count { consume(id) }
    unsafe advanceReleased(ring)
  }

  /// A consumer, or the scope, is done with this producer.
  @inline(__always)
  mutating func dropReference(_ id: TaskID) {
    let entry = unsafe rings[id.ring].entry(id.local)
    unsafe entry.pointee.fanout_refcount += 1
    if unsafe entry.pointee.fanout_refcount == entry.pointee.fanout_count
      && entry.pointee.state == TaskState.released.rawValue
    {
      consume(id)
    }
  }

  /// CONSUMED: nothing refers to the output any more, and nothing will.
  @inline(__always)
  mutating func consume(_ id: TaskID) {
    let ring = unsafe rings + id.ring
    unsafe ring.pointee.entry(id.local).pointee.state = TaskState.consumed.rawValue
    if unsafe id.local == ring.pointee.consumedPosition { unsafe advanceConsumed(ring) }
  }

  /// Moves `last_task_released` over every RELEASED task at the head.
  @inline(__always)
  mutating func advanceReleased(_ ring: UnsafeMutablePointer<RingState>) {
    var position = unsafe ring.pointee.released
    while unsafe position != ring.pointee.wired,
      unsafe ring.pointee.entry(position).pointee.state >= TaskState.released.rawValue
    {
      let slot = unsafe ring.pointee.slot(position)
      unsafe ring.pointee.poolTail = slot.pointee.fanin_first &+ slot.pointee.fanin_count
      position &+= 1
    }
    if unsafe position != ring.pointee.released {
      unsafe ring.pointee.released = position
      // Pairs with the orchestrator's acquire before it rewrites main slots,
      // descriptors and pool entries: nothing here reads them any more.
      unsafe ring.pointee.releasedWord.storeRelease(position)
      advances += 1
      // A task CONSUMED before its elders were RELEASED waits for them.
      if unsafe ring.pointee.consumedPosition != position { unsafe advanceConsumed(ring) }
    }
  }

  /// Moves `last_task_consumed` over every CONSUMED task at the head, never
  /// past `last_task_released`.
  @inline(__always)
  mutating func advanceConsumed(_ ring: UnsafeMutablePointer<RingState>) {
    var position = unsafe ring.pointee.consumedPosition
    while unsafe position != ring.pointee.released,
      unsafe ring.pointee.entry(position).pointee.state == TaskState.consumed.rawValue
    {
      unsafe ring.pointee.heapTail = ring.pointee.entry(position).pointee.heap_end
      position &+= 1
    }
    if unsafe position != ring.pointee.consumedPosition {
      unsafe ring.pointee.consumedPosition = position
      // Pairs with the orchestrator's acquire before it reuses outputs and
      // expects entries to be free: every consumer's kernel is over.
      unsafe ring.pointee.consumedWord.storeRelease(position)
      advances += 1
      hasConsumed = true
    }
  }

  /// Gives up the scope's reference on its tasks, newest first: the record
  /// names the last one, each entry the one before it. In pieces, so that a
  /// large scope does not hold up finished cores.
  mutating func continueScopeEnd() -> Int {
    var work = 0
    let ring = unsafe rings + scopeEnd.ring
    while scopeEnd.left > 0, work < 4 * Int(Self.wiringBudget) {
      let id = TaskID(ring: scopeEnd.ring, local: scopeEnd.local)
      let entry = unsafe ring.pointee.entry(scopeEnd.local)
      guard unsafe entry.pointee.task_id == id.rawValue else {
        violation("scope end names task \(id), whose entry belongs to another task")
        return work
      }
      scopeEnd.local = unsafe entry.pointee.scope_previous
      scopeEnd.left -= 1
      dropReference(id)
      work += 1
    }
    return work
  }
}
