internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// From the submission log to the ready queues.
extension Scheduler {
  /// Wires new records, in order, at most `wiringBudget`. With several threads
  /// one at a time does; whoever finds the lock taken leaves the records to
  /// the holder, and does not sleep while there are any.
  mutating func readLog() -> Int {
    guard S.isShared else { return readRecords() }
    guard unsafe S.load(&logState.pointee.wired) != submitted.loadAcquire(),
      unsafe tryLock(lines.logLock)
    else { return 0 }
    let work = readRecords()
    unsafe S.unlock(lines.logLock)
    return work
  }

  @inline(__always)
  private mutating func readRecords() -> Int {
    let state = unsafe logState
    if unsafe state.pointee.wired == state.pointee.knownSubmitted {
      // Acquire: pairs with the orchestrator's release of `submitted`, after
      // the log record, the main slot, the descriptor and the fanin list.
      let last = submitted.loadAcquire()
      guard unsafe last &- state.pointee.wired <= logMask &+ 1 else {
        violation("log position \(last) is said to be submitted, far beyond the wired ones")
        return 0
      }
      unsafe state.pointee.knownSubmitted = last
    }
    var work = 0
    let before = unsafe state.pointee.wired
    let last = unsafe state.pointee.knownSubmitted
    var wired = before
    while wired != last, wired &- before < Self.wiringBudget, !hasFailed {
      let record = unsafe log[Int(wired & logMask)]
      switch record.kind {
      case PTO2_LOG_TASK where record.ring < UInt32(ringCount):
        wire(Int(record.ring), record.id, position: wired)
      case PTO2_LOG_SCOPE_END where record.ring < UInt32(ringCount):
        work += endScope(record)
      default: violation("log record \(wired) has kind \(record.kind), ring \(record.ring)")
      }
      if unsafe state.pointee.scopeEnd.left > 0 { break }
      wired &+= 1
      if record.kind == PTO2_LOG_SCOPE_END { wiredWord.storeRelease(wired) }
    }
    if wired != before {
      unsafe S.store(&state.pointee.wired, wired)
      advances += 1
      work += Int(wired &- before)
    }
    return work
  }

  /// Enters a task: its consumed entry, its edges, its fanin counts.
  ///
  /// This is the one place where a reference on a producer is taken: an entry
  /// that carries the producer's id and is not CONSUMED is claimed; any other
  /// producer is long done and holds nothing any more. Entries are given to new
  /// tasks here alone, so an id that is right stays right meanwhile.
  @inline(__always)
  private mutating func wire(_ ringIndex: Int, _ local: UInt32, position: UInt32) {
    let ring = unsafe rings + ringIndex
    let slot = unsafe ring.pointee.slot(local)
    let id = TaskID(ring: ringIndex, local: local)
    guard unsafe slot.pointee.task_id == id.rawValue, unsafe local == ring.pointee.wired else {
      return violation("main slot of task \(id) belongs to another task")
    }
    let first = unsafe slot.pointee.fanin_first
    let count = unsafe slot.pointee.fanin_count
    let mask = unsafe slot.pointee.active_mask
    let flags = unsafe slot.pointee.flags
    let blocks = unsafe slot.pointee.block_count
    guard
      unsafe isSound(
        id, ring, first: first, count: count, mask: mask, flags: flags, blocks: blocks)
    else { return }
    if unsafe ring.pointee.unreserved != 0 {
      guard reserveEntries(ringIndex, local, first, count) else { return }
    }

    let entry = unsafe ring.pointee.entry(local)
    unsafe entry.pointee.task_id = id.rawValue
    unsafe entry.pointee.state = TaskState.pending.rawValue
    unsafe entry.pointee.fanout_head = PTO2_EDGE_NONE
    // One reference of the scope, one of the task itself until it is RELEASED.
    unsafe entry.pointee.fanout_count = 2
    unsafe entry.pointee.fanout_refcount = 0
    unsafe entry.pointee.scope_previous = slot.pointee.scope_previous
    unsafe entry.pointee.flags = flags
    unsafe entry.pointee.active_mask = mask
    unsafe entry.pointee.block_count = blocks
    unsafe entry.pointee.blocks_started = 0
    unsafe entry.pointee.subtasks_left = UInt32(mask.nonzeroBitCount) * blocks
    unsafe entry.pointee.heap_end = slot.pointee.heap_end
    unsafe entry.pointee.outcome =
      slot.pointee.flags & UInt8(PTO2_SLOT_CANCELLED) == 0 ? 0 : PTO2_OUTCOME_CANCELLED
    unsafe entry.pointee.kills = 0
    unsafe entry.pointee.crashes = 0
    unsafe entry.pointee.pool_end = first &+ count
    unsafe entry.pointee.scope_ended = 0

    // A producer may complete while the others are still being looked at: the
    // one more that is expected here comes at the end.
    let state = unsafe ring.pointee.state(local)
    unsafe state.pointee.fanin_refcount = 0
    unsafe state.pointee.fanin_count = count + 1
    var satisfied: UInt32 = 0
    let poolMask = unsafe ring.pointee.poolMask
    for k in 0..<count {
      let index = (first &+ k) & poolMask
      let fanin = unsafe ring.pointee.fanin[Int(index)]
      let edge = unsafe ring.pointee.edges + Int(index)
      unsafe edge.pointee.consumer = id.rawValue
      unsafe edge.pointee.flags = fanin & PTO2_FANIN_DATA == 0 ? 0 : PTO2_EDGE_DATA
      let producerID = TaskID(rawValue: fanin & PTO2_FANIN_ID_MASK)
      guard producerID.ring < ringCount, producerID != id else {
        return violation("fanin \(k) of task \(id) names task \(producerID)")
      }
      let producer = unsafe rings[producerID.ring].entry(producerID.local)
      // An entry that no task has had yet looks like that of task 0:0, but for
      // its references.
      let isKnown =
        unsafe producer.pointee.task_id == producerID.rawValue
        && (producerID.rawValue != 0 || producer.pointee.fanout_count != 0)
      if unsafe isKnown && fanin & PTO2_FANIN_RETAIN != 0 && Fanout.claim(producer, S.self) {
        unsafe edge.pointee.flags |= PTO2_EDGE_RETAINED
      }
      let reference =
        UInt32(truncatingIfNeeded: ringIndex) << UInt32(PTO2_EDGE_RING_SHIFT) | index
      let waits =
        unsafe isKnown && fanin & PTO2_FANIN_WAIT != 0
        && Fanout.push(reference, edge, on: producer, S.self)
      if !waits {
        satisfied += 1
        if unsafe isKnown && fanin & PTO2_FANIN_DATA != 0 && S.load(&producer.pointee.outcome) != 0
        {
          unsafe cancel(entry)
        }
      }
    }
    counters.edges += UInt64(count)
    unsafe ring.pointee.poolHead = first &+ count
    // Before the last addition below: after it the task may run and be gone.
    unsafe S.store(&ring.pointee.wired, local &+ 1)
    unsafe notePeaks(ring, slot)
    // A scheduler that comes after this one wires the task again, or finds all of
    // the above; see `Scheduler.rebuild`.
    unsafe ring.pointee.wiredWord.storeRelease(local &+ 1)
    // Pairs with the orchestrator's acquire before it reuses log records.
    wiredWord.storeRelease(position &+ 1)
    if unsafe S.add(&state.pointee.fanin_refcount, satisfied + 1) == count + 1 { makeReady(id) }
  }

  /// Use of each ring with this task in it.
  @inline(__always)
  private func notePeaks(
    _ ring: UnsafeMutablePointer<RingState>, _ slot: UnsafePointer<pto2_main_slot>
  ) {
    let wired = unsafe ring.pointee.wired
    let consumed = unsafe S.load(&ring.pointee.consumedPosition)
    unsafe ring.pointee.peakMain = max(
      ring.pointee.peakMain, wired &- S.load(&ring.pointee.released))
    unsafe ring.pointee.peakConsumed = max(ring.pointee.peakConsumed, wired &- consumed)
    unsafe ring.pointee.peakPool = max(
      ring.pointee.peakPool,
      slot.pointee.fanin_first &+ slot.pointee.fanin_count &- S.load(&ring.pointee.poolTail))
    // An empty heap starts over beyond a wrap gap: then the task's own begin
    // is the tail.
    let tail =
      unsafe consumed &+ 1 == wired ? slot.pointee.heap_begin : S.load(&ring.pointee.heapTail)
    unsafe ring.pointee.peakHeap = max(ring.pointee.peakHeap, slot.pointee.heap_end &- tail)
  }

  /// First lap only: memory for what the task's wiring touches.
  private mutating func reserveEntries(
    _ ring: Int, _ local: UInt32, _ faninFirst: UInt32, _ faninCount: UInt32
  ) -> Bool {
    do {
      try unsafe shared.reservations[ring].ensure(
        shared.segment, local: local, faninFirst: faninFirst, faninCount: faninCount)
      unsafe rings[ring].unreserved = unsafe shared.reservations[ring].isComplete ? 0 : 1
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
    unsafe S.store(&entry.pointee.state, TaskState.ready.rawValue)
    var shape = unsafe TaskShape.of(mask: entry.pointee.active_mask)
    // A task whose predicate is false is done without running.
    if unsafe entry.pointee.flags & UInt8(PTO2_SLOT_PREDICATE) != 0 {
      guard let isTrue = unsafe isTrue(ring.pointee.slot(id.local)) else {
        return violation("the predicate of task \(id) names no element")
      }
      if !isTrue { shape = .dummy }
    }
    if unsafe S.load(&entry.pointee.outcome) != 0 { shape = .dummy }
    enqueue(id, as: shape)
  }

  @inline(__always)
  mutating func enqueue(_ id: TaskID, as shape: TaskShape) {
    let ring = unsafe rings + id.ring
    let index = unsafe ring.pointee.firstSlot + (id.local & ring.pointee.mainMask)
    if S.isShared {
      unsafe dispatcher.pointee.ready.push(
        id.rawValue, slot: index, shape: shape, on: lines.intake, S.self)
    } else {
      unsafe dispatcher.pointee.ready.append(id.rawValue, slot: index, shape: shape)
    }
  }

  /// Evaluates a task's predicate. Its tensor's writers are COMPLETED.
  /// - Returns: nil when there is no such element.
  private func isTrue(_ slot: UnsafePointer<pto2_main_slot>) -> Bool? {
    let predicate = unsafe (UnsafeRawPointer(slot) + Int(PTO2_SLOT_PREDICATE_AT))
      .load(as: pto2_slot_predicate.self)
    // Heaps and arena come last. Elements are aligned, so one that begins inside
    // ends inside.
    let layout = shared.segment.layout
    guard let type = DataType(rawValue: predicate.dtype),
      predicate.offset % UInt64(type.byteCount) == 0,
      predicate.offset >= layout.section(.heap).offset, predicate.offset < layout.totalBytes
    else { return nil }
    return unsafe Predicate(predicate).isTrue(
      at: shared.segment.mapping.base + Int(predicate.offset))
  }

  mutating func violation(_ what: String) {
    fail(PTO2Error(.protocolViolation, what + ". The segment was overwritten"))
  }
}
