internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2System

/// A task's way out: COMPLETED, RELEASED, CONSUMED, and the watermarks.
extension Scheduler {
  /// One subtask of one block has its FIN; the last one completes the task.
  @inline(__always)
  mutating func finishSubtask(_ id: TaskID) {
    let entry = unsafe rings[id.ring].entry(id.local)
    if unsafe S.add(&entry.pointee.subtasks_left, UInt32.max) == 0 { complete(id) }
  }

  /// COMPLETED: closes the fanout list and notifies the consumers on it, then
  /// goes on to RELEASED, since the task's fanin list is not needed any more.
  @inline(__always)
  mutating func complete(_ id: TaskID) {
    let entry = unsafe rings[id.ring].entry(id.local)
    let hasFailed = unsafe S.load(&entry.pointee.outcome) != 0
    if hasFailed { unsafe countCancelled(entry) }
    unsafe S.store(&entry.pointee.state, TaskState.completed.rawValue)
    var reference = unsafe S.exchange(&entry.pointee.fanout_head, PTO2_EDGE_CLOSED)
    counters.completed += 1
    while reference != PTO2_EDGE_NONE {
      let ring = Int(reference >> UInt32(PTO2_EDGE_RING_SHIFT))
      let edge = unsafe rings[ring].edges + Int(reference & PTO2_EDGE_INDEX_MASK)
      let consumer = unsafe TaskID(rawValue: edge.pointee.consumer)
      // Before the consumer is told: from then on the edge may be reused.
      reference = unsafe edge.pointee.next
      if unsafe hasFailed && edge.pointee.flags & PTO2_EDGE_DATA != 0 {
        unsafe cancel(rings[consumer.ring].entry(consumer.local))
      }
      let state = unsafe rings[consumer.ring].state(consumer.local)
      let count = unsafe state.pointee.fanin_count
      if unsafe S.add(&state.pointee.fanin_refcount, 1) == count { makeReady(consumer) }
    }
    release(id)
  }

  /// RELEASED: gives back the references on the producers. Descriptor and
  /// payload are free once the watermark has passed the task.
  @inline(__always)
  mutating func release(_ id: TaskID) {
    let ring = unsafe rings + id.ring
    let entry = unsafe ring.pointee.entry(id.local)
    let count = unsafe ring.pointee.state(id.local).pointee.fanin_count &- 1
    if count > 0 {
      let first = unsafe ring.pointee.slot(id.local).pointee.fanin_first
      let mask = unsafe ring.pointee.poolMask
      for k in 0..<count {
        let index = Int((first &+ k) & mask)
        guard unsafe ring.pointee.edges[index].flags & PTO2_EDGE_RETAINED != 0 else { continue }
        // The orchestrator's memory, read once more since `wire`.
        let producer = unsafe TaskID(rawValue: ring.pointee.fanin[index] & PTO2_FANIN_ID_MASK)
        guard producer.ring < ringCount,
          unsafe rings[producer.ring].entry(producer.local).pointee.task_id == producer.rawValue
        else { return violation("fanin \(k) of task \(id) has changed since it was submitted") }
        dropReference(producer)
      }
    }
    // Release: the main slot, its fanin list and edges are not read any more.
    unsafe S.store(&entry.pointee.state, TaskState.released.rawValue)
    advanceReleased(id.ring)
    dropReference(id)
  }

  /// A consumer, the scope, or the task itself is done with this producer. Who
  /// drops the last reference takes it to CONSUMED; nobody else may touch the
  /// entry after this.
  @inline(__always)
  private mutating func dropReference(_ id: TaskID) {
    let ring = unsafe rings + id.ring
    let entry = unsafe ring.pointee.entry(id.local)
    let left = unsafe Fanout.drop(entry, S.self)
    if left > 0 { return }
    // The task's own reference is given back once it is RELEASED.
    guard left == 0, unsafe S.load(&entry.pointee.state) == TaskState.released.rawValue else {
      return violation("task \(id) has lost a reference that nobody had given back")
    }
    // CONSUMED: nothing refers to the output any more, and nothing will.
    unsafe S.store(&entry.pointee.state, TaskState.consumed.rawValue)
    // With several threads only the lock's exchange makes sure that its holder
    // sees the state.
    if unsafe S.isShared || id.local == ring.pointee.consumedPosition { advanceConsumed(id.ring) }
  }

  // MARK: The watermarks

  /// Moves `last_task_released` over every RELEASED task at the head. With
  /// several threads one at a time does; whoever finds the lock taken has
  /// stored its state before, and the holder looks again after unlocking.
  @inline(__always)
  mutating func advanceReleased(_ index: Int) {
    let ring = unsafe rings + index
    guard S.isShared else {
      if unsafe moveReleased(ring) && ring.pointee.consumedPosition != ring.pointee.released {
        // A task CONSUMED before its elders were RELEASED waits for them.
        unsafe moveConsumed(ring)
      }
      return
    }
    while unsafe tryLock(lines.releasedLock(index)) {
      let hasMoved = unsafe moveReleased(ring)
      unsafe S.unlock(lines.releasedLock(index))
      if hasMoved { advanceConsumed(index) }
      fullFence()
      let head = unsafe S.load(&ring.pointee.released)
      guard unsafe head != S.load(&ring.pointee.wired),
        unsafe S.load(&ring.pointee.entry(head).pointee.state) >= TaskState.released.rawValue
      else { return }
    }
  }

  /// Moves `last_task_consumed` over every CONSUMED task at the head, in the
  /// same way.
  @inline(__always)
  mutating func advanceConsumed(_ index: Int) {
    let ring = unsafe rings + index
    guard S.isShared else { return unsafe moveConsumed(ring) }
    while unsafe tryLock(lines.consumedLock(index)) {
      unsafe moveConsumed(ring)
      unsafe S.unlock(lines.consumedLock(index))
      fullFence()
      let head = unsafe S.load(&ring.pointee.consumedPosition)
      guard unsafe head != S.load(&ring.pointee.released),
        unsafe S.load(&ring.pointee.entry(head).pointee.state) == TaskState.consumed.rawValue
      else { return }
    }
  }

  @inline(__always)
  private mutating func moveReleased(_ ring: UnsafeMutablePointer<RingState>) -> Bool {
    let before = unsafe ring.pointee.released
    let wired = unsafe S.load(&ring.pointee.wired)
    var position = before
    var poolTail = unsafe ring.pointee.poolTail
    while position != wired,
      unsafe S.load(&ring.pointee.entry(position).pointee.state) >= TaskState.released.rawValue
    {
      unsafe poolTail = ring.pointee.entry(position).pointee.pool_end
      position &+= 1
    }
    guard position != before else { return false }
    unsafe S.store(&ring.pointee.poolTail, poolTail)
    // Pairs with the orchestrator's acquire before it rewrites main slots,
    // descriptors and pool entries: nothing here reads them any more.
    unsafe ring.pointee.releasedWord.storeRelease(position)
    // After the word: what `moveConsumed` goes by, so that no consumed
    // watermark is ever seen ahead of the released one.
    unsafe S.store(&ring.pointee.released, position)
    advances += 1
    return true
  }

  /// Never past `last_task_released`.
  @inline(__always)
  private mutating func moveConsumed(_ ring: UnsafeMutablePointer<RingState>) {
    let before = unsafe ring.pointee.consumedPosition
    let released = unsafe S.load(&ring.pointee.released)
    var position = before
    while position != released,
      unsafe S.load(&ring.pointee.entry(position).pointee.state) == TaskState.consumed.rawValue
    {
      position &+= 1
    }
    guard position != before else { return }
    let last = unsafe ring.pointee.entry(position &- 1)
    unsafe S.store(&ring.pointee.heapTail, last.pointee.heap_end)
    unsafe S.store(&ring.pointee.consumedPosition, position)
    // Pairs with the orchestrator's acquire before it reuses outputs and
    // expects entries to be free: every consumer's kernel is over.
    unsafe ring.pointee.consumedWord.storeRelease(position)
    advances += 1
    hasConsumed = true
  }

  /// Gives up the scope's reference on its tasks, newest first: the record
  /// names the last one, each entry the one before it. In pieces, so that a
  /// large scope does not hold up finished cores.
  mutating func endScope(_ record: pto2_log_record) -> Int {
    let state = unsafe logState
    if unsafe state.pointee.scopeEnd.left == 0 {
      unsafe state.pointee.scopeEnd = (Int(record.ring), record.id, record.count)
    }
    var work = 0
    let ring = unsafe state.pointee.scopeEnd.ring
    while unsafe state.pointee.scopeEnd.left > 0, work < 4 * Int(Self.wiringBudget) {
      let local = unsafe state.pointee.scopeEnd.local
      let id = TaskID(ring: ring, local: local)
      let entry = unsafe rings[ring].entry(local)
      let consumed = unsafe rings[ring].consumedWord.loadOwn()
      let isDone = unsafe state.pointee.isResumed && entry.pointee.scope_ended != 0
      guard unsafe entry.pointee.task_id == id.rawValue,
        unsafe isDone || local &- consumed < rings[ring].wired &- consumed
      else {
        violation("scope end names task \(id), whose entry belongs to another task")
        return work
      }
      unsafe state.pointee.scopeEnd.local = entry.pointee.scope_previous
      unsafe state.pointee.scopeEnd.left -= 1
      work += 1
      if isDone { continue }
      // Release: before the reference is given back, and for good.
      unsafe OwnedWord(&entry.pointee.scope_ended).storeRelease(1)
      dropReference(id)
    }
    if unsafe state.pointee.scopeEnd.left == 0 { unsafe state.pointee.isResumed = false }
    return work
  }
}

/// A consumed entry's references and fanout list: what `wire` does to a
/// producer that other threads complete and consume meanwhile.
enum Fanout {
  /// `fanout_count` in the lower half, `fanout_refcount` in the upper one: one
  /// word, so that no claim and no drop misses the other.
  @inline(__always)
  private static func references(_ entry: UnsafeMutablePointer<pto2_consumed_entry>)
    -> UnsafeMutablePointer<UInt64>
  {
    unsafe (UnsafeMutableRawPointer(entry)
      + MemoryLayout<pto2_consumed_entry>.offset(of: \.fanout_count)!)
      .assumingMemoryBound(to: UInt64.self)
  }

  private static func isConsumed(_ references: UInt64) -> Bool {
    UInt32(truncatingIfNeeded: references) == UInt32(truncatingIfNeeded: references >> 32)
  }

  /// One more reference; false when the task is CONSUMED.
  @inline(__always)
  static func claim<S: Sharing>(
    _ entry: UnsafeMutablePointer<pto2_consumed_entry>, _ sharing: S.Type
  ) -> Bool {
    let word = unsafe references(entry)
    while true {
      let old = unsafe S.load(word)
      if isConsumed(old) { return false }
      if unsafe S.compareExchange(word, old, old + 1) { return true }
    }
  }

  /// Gives a reference back; returns how many are left, negative when one was
  /// given back twice.
  @inline(__always)
  static func drop<S: Sharing>(
    _ entry: UnsafeMutablePointer<pto2_consumed_entry>, _ sharing: S.Type
  ) -> Int32 {
    let word = unsafe S.add(references(entry), 1 << 32)
    return Int32(
      bitPattern: UInt32(truncatingIfNeeded: word) &- UInt32(truncatingIfNeeded: word >> 32))
  }

  /// Links an edge into the producer's fanout list; false when that is closed:
  /// the producer is COMPLETED.
  @inline(__always)
  static func push<S: Sharing>(
    _ reference: UInt32, _ edge: UnsafeMutablePointer<pto2_fanout_edge>,
    on entry: UnsafeMutablePointer<pto2_consumed_entry>, _ sharing: S.Type
  ) -> Bool {
    while true {
      let head = unsafe S.load(&entry.pointee.fanout_head)
      if head == PTO2_EDGE_CLOSED { return false }
      unsafe edge.pointee.next = head
      if unsafe S.compareExchange(&entry.pointee.fanout_head, head, reference) { return true }
    }
  }
}
