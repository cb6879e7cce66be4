internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// Bytes that a task takes of the heap, its snapshot included, and of the payload ring.
struct TaskNeeds: BitwiseCopyable {
  var outputs: UInt64
  var payload: UInt64
}

/// Room for one task, and telling a full ring that will drain from one that never can.
extension Orchestrator {
  // MARK: Watermarks

  /// Reads both watermarks of every ring and gives back what they free.
  mutating func refreshAll() {
    guard waiting.hasSeenScheduler() else { return }
    for ring in 0..<rings.count {
      let before = rings[ring].released
      // CONSUMED is read first: it is never ahead of what RELEASED says then.
      guard let consumed = rings[ring].consumedNow(), rings[ring].refreshReleased(),
        consumed <= rings[ring].released
      else {
        fault.fail(
          PTO2Error(
            .protocolViolation,
            "a watermark of ring \(ring) moved backwards or beyond the newest task. The segment was overwritten",
            ring: ring))
        return
      }
      // Counted before the failed task was RELEASED.
      if failed.isAnyCounted {
        failed.note(
          ring: ring, from: before, to: rings[ring].released, segment.consumedRing(ring))
      }
      if consumed != rings[ring].consumed { freeConsumed(ring, upTo: consumed) }
    }
  }

  /// Frees heap and buffers of the tasks that `last_task_consumed` has passed.
  private mutating func freeConsumed(_ ring: Int, upTo target: UInt64) {
    var position = rings[ring].consumed
    while position != target {
      var place = rings[ring][memory: position].firstBuffer
      while place != Buffer.none {
        let next = buffers[place].next
        buffers.free(place, &map)
        place = next
      }
      position &+= 1
    }
    rings[ring].noteConsumed(upTo: target)
  }

  // MARK: Room

  /// Where the payload and the outputs of the next task will lie.
  struct Room {
    var payload: HeapRing.Block
    var heap: HeapRing.Block
  }

  /// What a look for it has come to.
  enum Look {
    case room(Room)
    case lacks(StallReason)
  }

  /// Blocks until the TensorMap has room for the task that was looked at, the log for
  /// its record, and the ring for its main slot, payload, consumed entry, pool entries
  /// and outputs. After a wait its producers are settled.
  @inline(__always)
  mutating func waitForRoom(_ ring: Int, _ needs: TaskNeeds) throws(PTO2Error) -> Room {
    if map.count + producers.mapGrowth > map.limit { try waitForMapRoom(ring) }
    if case .room(let room) = lookForRoom(ring, needs) { return room }
    return try waitForRingRoom(ring, needs)
  }

  @inline(never)
  mutating func waitForRingRoom(_ ring: Int, _ needs: TaskNeeds) throws(PTO2Error) -> Room {
    try checkEmptyRingHasRoom(ring, outputBytes: needs.outputs)
    while true {
      switch lookForRoom(ring, needs) {
      case .room(let room):
        // Fewer producers by now, never more: the room is still there.
        producers.settle(&rings, &failed)
        return room
      case .lacks(.submissionLog): try waitForLog()
      case .lacks(let reason):
        try stall(reason, ring: ring, outputBytes: needs.outputs) { orchestrator in
          if case .lacks(reason) = orchestrator.lookForRoom(ring, needs) { return false }
          return true
        }
      }
    }
  }

  /// - Throws: error 2 or 4 for a task that has no room even in an empty ring.
  private func checkEmptyRingHasRoom(_ ring: Int, outputBytes: UInt64) throws(PTO2Error) {
    let heap = rings[ring].heap.capacity
    if outputBytes > heap {
      throw PTO2Error(
        .heapRingDeadlock,
        "the task's outputs\(staged.attributes.recovery == .snapshot ? " and snapshot" : "") need \(outputBytes) bytes, the heap of ring \(ring) has \(heap). Set PTO2_RING_HEAP to at least \(outputBytes)",
        ring: ring, needed: outputBytes, available: heap)
    }
    let pool = rings[ring].pool
    let count = UInt64(producers.count)
    if count > pool {
      throw PTO2Error(
        .depPoolOverflow,
        "the task has \(count) producers, the dependency pool of ring \(ring) has \(pool) entries. Set PTO2_RING_DEP_POOL to at least \(count), rounded up to a power of two",
        ring: ring, needed: count, available: pool)
    }
  }

  /// The task's room, or what it still lacks, by the watermarks as last read.
  @inline(__always)
  func lookForRoom(_ ring: Int, _ needs: TaskNeeds) -> Look {
    let current = rings[ring].current
    if current &- rings[ring].released >= rings[ring].window { return .lacks(.mainRing) }
    if current &- rings[ring].consumed >= rings[ring].consumedWindow {
      return .lacks(.consumedRing)
    }
    if !rings[ring].hasPool(producers.count) { return .lacks(.dependencyPool) }
    guard let payload = rings[ring].payload.place(bytes: needs.payload) else {
      return .lacks(.payload)
    }
    guard let heap = rings[ring].heap.place(bytes: needs.outputs) else { return .lacks(.heap) }
    if !log.hasRoom { return .lacks(.submissionLog) }
    return .room(Room(payload: payload, heap: heap))
  }

  /// Blocks until the log has room for a record.
  /// - Returns: false when the deadline has passed before.
  @discardableResult
  mutating func waitForLog(_ level: ErrorLevel = .run, deadline: Deadline? = nil)
    throws(PTO2Error) -> Bool
  {
    try stall(.submissionLog, ring: 0, level: level, deadline: deadline) { $0.hasLogRoom() }
  }

  /// Reads how far the scheduler has come with the log.
  private mutating func hasLogRoom() -> Bool {
    if waiting.hasSeenScheduler() && !log.refresh() {
      fault.fail(
        PTO2Error(
          .protocolViolation,
          "the wired position of the log moved backwards or beyond the newest record. The segment was overwritten"
        ))
      return false
    }
    return log.hasRoom
  }

  /// A wait that back-pressure causes; counted unless it is over at once.
  @discardableResult
  private mutating func stall(
    _ reason: StallReason, ring: Int, outputBytes: UInt64 = 0, level: ErrorLevel = .run,
    deadline: Deadline? = nil, until isSatisfied: (inout Self) -> Bool
  ) throws(PTO2Error) -> Bool {
    let watermark: Watermark =
      switch reason {
      case .submissionLog: .wired
      case .mainRing, .payload, .dependencyPool, .tensorMap: .released(ring)
      case .consumedRing, .heap: .consumed(ring)
      }
    refreshAll()
    if isSatisfied(&self) { return true }
    let begin = MonotonicClock.now()
    let isDone = try wait(
      on: watermark, for: reason, outputBytes: outputBytes, level: level, deadline: deadline,
      until: isSatisfied)
    counters.noteStall(reason, since: begin)
    return isDone
  }

  // MARK: Deadlocks

  /// A proof, never a timeout: the oldest task that is not CONSUMED has outputs, which a
  /// scope holds that is still open, and only the program, which waits here, can end it.
  func checkDeadlock(_ reason: StallReason, _ watermark: Watermark, outputBytes: UInt64)
    throws(PTO2Error)
  {
    guard reason == .consumedRing || reason == .heap, case .consumed(let ring) = watermark else {
      return
    }
    let head = rings[ring].consumed
    guard head != rings[ring].current, rings[ring][memory: head].hasOutputs,
      scopes.isOpen(rings[ring][memory: head].scope)
    else { return }
    let id = TaskOrdinal(ring: ring, ordinal: head).id
    throw reason == .heap
      ? heapDeadlock(ring, oldest: id, outputBytes: outputBytes)
      : windowDeadlock(ring, oldest: id)
  }

  private func heapDeadlock(_ ring: Int, oldest id: TaskID, outputBytes: UInt64) -> PTO2Error {
    let capacity = rings[ring].heap.capacity
    let used = rings[ring].heap.used
    let needed = HeapRing.rounded(outputBytes) + used
    return PTO2Error(
      .heapRingDeadlock,
      "ring \(ring): \(outputBytes) bytes of output do not fit beside the \(used) of \(capacity) bytes in use, and task \(id), the oldest that still holds its ring, belongs to a scope that is open. End the scope earlier, or set PTO2_RING_HEAP to at least \(needed)",
      task: id, ring: ring, needed: needed, available: capacity)
  }

  private func windowDeadlock(_ ring: Int, oldest id: TaskID) -> PTO2Error {
    let window = rings[ring].consumedWindow
    let remedy =
      "End the scope earlier, submit what follows that task in a scope of its own, or set PTO2_RING_CONSUMED_WINDOW to \(2 * window) or more (a power of two)"
    // The original's distinction: one scope that alone fills the ring, or
    // several open ones that do so together.
    let count = scopes.innermost.count
    let isAlone = count >= window
    let message =
      isAlone
      ? "ring \(ring): the consumed window of \(window) tasks is full of tasks of the scope that is open, from task \(id) on, whose outputs the scope holds. \(remedy)"
      : "ring \(ring): the consumed window of \(window) tasks is full, \(count) of them in the innermost scope, and the oldest, task \(id), has outputs that an open scope holds. \(remedy)"
    return PTO2Error(
      isAlone ? .scopeDeadlock : .flowControlDeadlock, message, task: id, ring: ring,
      needed: window + 1, available: window)
  }
}
