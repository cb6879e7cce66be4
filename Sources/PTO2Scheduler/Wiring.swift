internal import CPTO2ABI
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// From the submission log to the ready queues.
extension Scheduler {
  /// Wires new records, in order, at most `wiringBudget`.
  mutating func readLog() -> Int {
    var work = 0
    if scopeEnd.left > 0 { work += continueScopeEnd() }
    if wired == knownSubmitted {
      // Acquire: pairs with the orchestrator's release of `submitted`, after
      // the log record, the main slot, the descriptor and the fanin list.
      knownSubmitted = submitted.loadAcquire()
    }
    let before = wired
    while wired != knownSubmitted, wired &- before < Self.wiringBudget, scopeEnd.left == 0,
      failure == nil
    {
      let record = unsafe log[Int(wired & logMask)]
      switch record.kind {
      case PTO2_LOG_TASK where record.ring < UInt32(ringCount): wire(Int(record.ring), record.id)
      case PTO2_LOG_SCOPE_END where record.ring < UInt32(ringCount):
        scopeEnd = (Int(record.ring), record.id, record.count)
        work += continueScopeEnd()
      default: violation("log record \(wired) has kind \(record.kind), ring \(record.ring)")
      }
      wired &+= 1
    }
    if wired != before {
      // Pairs with the orchestrator's acquire before it reuses log records.
      wiredWord.storeRelease(wired)
      advances += 1
      work += Int(wired &- before)
    }
    return work
  }

  /// Enters a task: its consumed entry, its edges, its fanin counts.
  ///
  /// This is the one place where a reference on a producer is taken: an entry
  /// that carries the producer's id and is not CONSUMED is claimed; any other
  /// producer is long done and holds nothing any more.
  @inline(__always)
  mutating func wire(_ ringIndex: Int, _ local: UInt32) {
    let ring = unsafe rings + ringIndex
    let slot = unsafe ring.pointee.slot(local)
    let id = TaskID(ring: ringIndex, local: local)
    guard unsafe slot.pointee.task_id == id.rawValue, unsafe local == ring.pointee.wired else {
      return violation("main slot of task \(id) belongs to another task")
    }
    let first = unsafe slot.pointee.fanin_first
    let count = unsafe slot.pointee.fanin_count
    if unsafe ring.pointee.unreserved != 0 {
      guard reserveEntries(ringIndex, local, first, count) else { return }
    }

    let entry = unsafe ring.pointee.entry(local)
    unsafe entry.pointee.task_id = id.rawValue
    unsafe entry.pointee.state = TaskState.pending.rawValue
    unsafe entry.pointee.fanout_head = PTO2_EDGE_NONE
    unsafe entry.pointee.fanout_count = 1
    unsafe entry.pointee.fanout_refcount = 0
    unsafe entry.pointee.scope_previous = slot.pointee.scope_previous
    let mask = unsafe slot.pointee.active_mask
    unsafe entry.pointee.flags = slot.pointee.flags
    unsafe entry.pointee.active_mask = mask
    unsafe entry.pointee.block_count = slot.pointee.block_count
    unsafe entry.pointee.blocks_started = 0
    unsafe entry.pointee.subtasks_left =
      UInt32(mask.nonzeroBitCount) * slot.pointee.block_count
    unsafe entry.pointee.heap_end = slot.pointee.heap_end
    unsafe entry.pointee.outcome = 0
    unsafe entry.pointee.fanin_count = count

    var satisfied: UInt32 = 0
    let poolMask = unsafe ring.pointee.poolMask
    for k in 0..<count {
      let index = (first &+ k) & poolMask
      let fanin = unsafe ring.pointee.fanin[Int(index)]
      let edge = unsafe ring.pointee.edges + Int(index)
      unsafe edge.pointee.consumer = id.rawValue
      unsafe edge.pointee.flags = 0
      let producerID = TaskID(rawValue: fanin & PTO2_FANIN_ID_MASK)
      guard producerID.ring < ringCount else {
        return violation("fanin \(k) of task \(id) names ring \(producerID.ring)")
      }
      let producer = unsafe rings[producerID.ring].entry(producerID.local)
      let isAlive =
        unsafe producer.pointee.task_id == producerID.rawValue
        && producer.pointee.state != TaskState.consumed.rawValue
      if isAlive && fanin & PTO2_FANIN_RETAIN != 0 {
        unsafe producer.pointee.fanout_count += 1
        unsafe edge.pointee.flags = PTO2_EDGE_RETAINED
      }
      if unsafe isAlive && fanin & PTO2_FANIN_WAIT != 0
        && producer.pointee.state < TaskState.completed.rawValue
      {
        unsafe edge.pointee.next = producer.pointee.fanout_head
        unsafe producer.pointee.fanout_head =
          UInt32(truncatingIfNeeded: ringIndex) << UInt32(PTO2_EDGE_RING_SHIFT) | index
      } else {
        satisfied += 1
      }
    }
    let state = unsafe ring.pointee.state(local)
    unsafe state.pointee.fanin_refcount = satisfied
    unsafe state.pointee.fanin_count = count
    unsafe ring.pointee.wired = local &+ 1
    counters.edges += UInt64(count)
    unsafe notePeaks(ring, slot)
    if satisfied == count { makeReady(id) }
  }

  /// Use of each ring with this task in it.
  @inline(__always)
  private func notePeaks(
    _ ring: UnsafeMutablePointer<RingState>, _ slot: UnsafePointer<pto2_main_slot>
  ) {
    unsafe ring.pointee.peakMain = max(
      ring.pointee.peakMain, ring.pointee.wired &- ring.pointee.released)
    unsafe ring.pointee.peakConsumed = max(
      ring.pointee.peakConsumed, ring.pointee.wired &- ring.pointee.consumedPosition)
    unsafe ring.pointee.peakPool = max(
      ring.pointee.peakPool,
      slot.pointee.fanin_first &+ slot.pointee.fanin_count &- ring.pointee.poolTail)
    // An empty heap starts over beyond a wrap gap: then the task's own begin
    // is the tail.
    let isEmpty = unsafe ring.pointee.consumedPosition &+ 1 == ring.pointee.wired
    let tail = unsafe isEmpty ? slot.pointee.heap_begin : ring.pointee.heapTail
    unsafe ring.pointee.peakHeap = max(ring.pointee.peakHeap, slot.pointee.heap_end &- tail)
  }

  /// First lap only: memory for what the task's wiring touches.
  private mutating func reserveEntries(
    _ ring: Int, _ local: UInt32, _ faninFirst: UInt32, _ faninCount: UInt32
  ) -> Bool {
    do {
      try unsafe reservations[ring].ensure(
        segment, local: local, faninFirst: faninFirst, faninCount: faninCount)
      unsafe rings[ring].unreserved = reservations[ring].isComplete ? 0 : 1
      return true
    } catch {
      fail(PTO2Error(.outOfMemory, "\(error)", ring: ring))
      return false
    }
  }

  /// Queues a task whose fanin is complete.
  @inline(__always)
  mutating func makeReady(_ id: TaskID) {
    let ring = unsafe rings + id.ring
    let entry = unsafe ring.pointee.entry(id.local)
    unsafe entry.pointee.state = TaskState.ready.rawValue
    let index = unsafe ring.pointee.firstSlot + (id.local & ring.pointee.mainMask)
    var shape = unsafe TaskShape.of(mask: entry.pointee.active_mask)
    // A task whose predicate is false is done without running.
    if unsafe entry.pointee.flags & UInt8(PTO2_SLOT_PREDICATE) != 0,
      unsafe !isTrue(ring.pointee.slot(id.local))
    {
      shape = .dummy
    }
    unsafe ready.append(id.rawValue, slot: index, shape: shape)
  }

  /// Evaluates a task's predicate. Its tensor's writers are COMPLETED.
  private func isTrue(_ slot: UnsafePointer<pto2_main_slot>) -> Bool {
    let predicate = unsafe (UnsafeRawPointer(slot) + Int(PTO2_SLOT_PREDICATE_AT))
      .load(as: pto2_slot_predicate.self)
    // Elements are aligned, so one that begins inside ends inside.
    guard predicate.offset < segment.layout.totalBytes else { return false }
    return unsafe Predicate(predicate).isTrue(at: segment.mapping.base + Int(predicate.offset))
  }

  mutating func violation(_ what: String) {
    fail(PTO2Error(.protocolViolation, what + ". The segment was overwritten"))
  }
}
