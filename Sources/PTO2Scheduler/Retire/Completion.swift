internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment

/// A task's way out: COMPLETED, RELEASED, CONSUMED.
extension SchedulerThread {
  /// One subtask of one block has its FIN; the last one completes the task, unless it was
  /// dispatched ahead and the FIN of a producer is still to be seen. Until then the
  /// producer's list holds an edge of this task.
  @inline(__always)
  mutating func finishSubtask(_ id: TaskID) {
    let entry = rings.entry(id)
    let left = S.add(entry.subtasksLeft, UInt32.max)
    guard left == 0 else {
      if left >= entry.subtaskCount { entryHasChanged(id) }
      return
    }
    if S.isShared || hasAllProducers(id) { complete(id) }
  }

  @inline(__always)
  func hasAllProducers(_ id: TaskID) -> Bool {
    let state = rings[id.ring].slotState(id.local)
    return state.faninRefcount.value == state.faninCount
  }

  /// COMPLETED: closes the fanout list and notifies the consumers on it, then goes on
  /// to RELEASED, since the task's fanin list is not needed any more.
  @inline(__always)
  mutating func complete(_ id: TaskID) {
    let entry = rings.entry(id)
    guard mayComplete(id, entry) else { return entryHasChanged(id) }
    expireTraceClock()
    note(.completed, id)
    let hasFailed = S.load(entry.outcome) != 0
    if hasFailed { countCancelled(entry) }
    S.store(entry.state, TaskState.completed.rawValue)
    var reference = EdgeList(of: entry).close(S.self)
    counters.completed += 1
    while reference != PTO2_EDGE_NONE {
      guard let edge = edge(reference, of: id) else { return edgeHasChanged(id) }
      let consumer = edge.consumer
      // Before the consumer is told: from then on the edge may be reused.
      reference = edge.next
      if hasFailed && edge.needsData { cancel(rings.entry(consumer)) }
      let state = rings[consumer.ring].slotState(consumer.local)
      let count = state.faninCount
      let satisfied = S.add(state.faninRefcount, 1)
      if satisfied == count {
        makeReady(consumer)
      } else if satisfied > count {
        return edgeHasChanged(id)
      }
    }
    release(id)
  }

  /// RELEASED: gives back the references on the producers. Descriptor and payload are
  /// free once the watermark has passed the task.
  @inline(__always)
  mutating func release(_ id: TaskID) {
    let ring = rings[id.ring]
    let count = ring.slotState(id.local).faninCount &- 1
    if count > 0 {
      let first = ring.slot(id.local).faninFirst
      guard count == ring.slot(id.local).faninCount, count <= ring.dependencyPool else {
        return entryHasChanged(id)
      }
      for k in 0..<count {
        let index = ring.poolIndex(first &+ k)
        guard ring.edge(index).isRetained else { continue }
        // The orchestrator's memory, read once more since `wire`.
        let producer = ring.fanin(index).producer
        guard producer.ring < rings.count, rings.entry(producer).taskID == producer else {
          return violation("fanin \(k) of task \(id) has changed since it was submitted")
        }
        dropReference(producer)
      }
    }
    // With one thread that is when it was COMPLETED.
    if S.isShared { note(.released, id) }
    // Release: the main slot, its fanin list and edges are not read any more.
    S.store(ring.entry(id.local).state, TaskState.released.rawValue)
    if S.isShared { advanceReleased(ring) } else { dueRings |= 1 &<< UInt32(id.ring) }
    dropReference(id)
  }

  /// A consumer, the scope, or the task itself is done with this producer. Who drops
  /// the last reference takes it to CONSUMED; nobody else may touch the entry after
  /// this.
  @inline(__always)
  mutating func dropReference(_ id: TaskID) {
    let ring = rings[id.ring]
    let entry = ring.entry(id.local)
    let left = References(on: entry).drop(S.self)
    if left > 0 { return }
    // The task's own reference is given back once it is RELEASED.
    guard left == 0, S.load(entry.state) == TaskState.released.rawValue else {
      return violation("task \(id) has lost a reference that nobody had given back")
    }
    note(.consumed, id)
    // CONSUMED: nothing refers to the output any more, and nothing will.
    S.store(entry.state, TaskState.consumed.rawValue)
    // With several threads only the lock's exchange makes sure that its holder sees the
    // state.
    if S.isShared || id.local == ring.consumed.position.value { advanceConsumed(ring) }
  }

  /// Moves the watermarks once for all tasks that were RELEASED in a step.
  mutating func advanceDue() {
    while dueRings != 0 {
      advanceReleased(rings[dueRings.trailingZeroBitCount])
      dueRings &= dueRings &- 1
    }
  }

  @inline(__always)
  mutating func advanceReleased(_ ring: Ring) {
    let before = ring.released.position.value
    guard ring.released.advance(in: ring, lost: lostLocks, S.self) else { return }
    pendingWakes.advances &+= S.isShared ? 1 : ring.released.position.value &- before
    // A task CONSUMED before its elders were RELEASED waits for them.
    if S.isShared || ring.consumed.position.value != ring.released.position.value {
      advanceConsumed(ring)
    }
  }

  @inline(__always)
  mutating func advanceConsumed(_ ring: Ring) {
    guard ring.consumed.advance(in: ring, lost: lostLocks, S.self) else { return }
    pendingWakes.advances += 1
    pendingWakes.hasConsumed = true
  }

  // MARK: Tasks that do not end well

  /// CANCELLED: a producer it needs did not end well. It passes through every state
  /// without running.
  @inline(never)
  mutating func cancel(_ entry: ConsumedEntry) { S.store(entry.outcome, PTO2_OUTCOME_CANCELLED) }

  /// Counts a CANCELLED task, before it is RELEASED.
  @inline(never)
  mutating func countCancelled(_ entry: ConsumedEntry) {
    if entry.outcome.value == PTO2_OUTCOME_CANCELLED {
      _ = S.add(own.failures.cancelled, 1)
    }
  }

  mutating func violation(_ what: String) {
    fail(PTO2Error(.protocolViolation, what + ". The segment was overwritten"))
  }
}

/// READY: from the last producer to a queue.
extension SchedulerThread {
  /// Queues a task whose fanin is complete.
  /// - Parameter isNoted: the trace has it already.
  @inline(__always)
  mutating func makeReady(_ id: TaskID, isNoted: Bool = false) {
    let ring = rings[id.ring]
    let entry = ring.entry(id.local)
    if !isNoted { note(.ready, id) }
    if !S.isShared && entry.isDispatched {
      guard entry.state.value == TaskState.running.rawValue else { return entryHasChanged(id) }
      // Ahead, and its FIN may have been seen before that of its last producer.
      if entry.subtasksLeft.value == 0 { enqueue(id, as: .dummy) }
      return
    }
    guard isUntouched(id, entry) else { return entryHasChanged(id) }
    S.store(entry.state, TaskState.ready.rawValue)
    var shape = TaskShape.of(mask: entry.activeMask)
    // A task whose predicate is false is done without running.
    if entry.flags.contains(.predicate) {
      guard let payload = shared.segment.payload(id), let isTrue = isTrue(payload.predicate) else {
        return violation("the predicate of task \(id) names no element")
      }
      if !isTrue { shape = .dummy }
    }
    if S.load(entry.outcome) != 0 { shape = .dummy }
    enqueue(id, as: shape)
  }

  @inline(__always)
  mutating func enqueue(_ id: TaskID, as shape: TaskShape) {
    let index = rings[id.ring].slotNumber(id.local)
    if S.isShared {
      intake.push(id, slot: index, shape: shape, S.self)
    } else {
      dispatcher.ofOnlyThread.ready.append(id, slot: index, shape: shape)
    }
  }

  /// Evaluates a task's predicate. Its tensor's writers are COMPLETED.
  /// - Returns: nil when there is no such element.
  private func isTrue(_ predicate: pto2_slot_predicate) -> Bool? {
    // Heaps and arena come last. Elements are aligned, so one that begins inside
    // ends inside.
    guard let type = DataType(rawValue: predicate.dtype),
      predicate.offset % UInt64(type.byteCount) == 0,
      predicate.offset >= shared.segment.layout.section(.heap).offset,
      let element = unsafe shared.segment.bytes.address(predicate.offset)
    else { return nil }
    return unsafe Predicate(predicate).isTrue(at: element)
  }
}

/// What is left of a scope end: tasks from `local` on, through `scopePrevious`.
struct ScopeEnd: BitwiseCopyable {
  var ring = 0
  var local: UInt32 = 0
  var left: UInt32 = 0
}

extension SchedulerThread {
  /// Gives up the scope's reference on the tasks that it holds, newest first: the record
  /// names the last one, each entry the one before it. In pieces, so that a large scope
  /// does not hold up finished cores.
  mutating func endScope(_ record: pto2_log_record, _ reader: LogReader) -> Int {
    var scope = reader.scope.value
    if scope.left == 0 {
      scope = ScopeEnd(ring: Int(record.ring), local: record.id, left: record.count)
    }
    defer { reader.scope.value = scope }
    let ring = rings[scope.ring]
    var work = 0
    while scope.left > 0, work < 4 * Int(Self.wiringBudget) {
      let id = TaskID(ring: scope.ring, local: scope.local)
      let entry = ring.entry(id.local)
      let consumed = ring.consumed.word.loadOwn()
      let isDone = reader.isResumed.value && entry.scopeEnded.value != 0
      guard entry.taskID == id, entry.flags.contains(.held),
        isDone || id.local &- consumed < ring.wired.value &- consumed
      else {
        violation("scope end names task \(id), which no scope holds")
        return work
      }
      scope.local = entry.scopePrevious
      scope.left -= 1
      work += 1
      if isDone { continue }
      guard scope.left == 0 || Int32(bitPattern: id.local &- scope.local) > 0 else {
        entryHasChanged(id)
        return work
      }
      // Release: before the reference is given back, and for good.
      entry.scopeEnded.word.storeRelease(1)
      dropReference(id)
    }
    if scope.left == 0 { reader.isResumed.value = false }
    return work
  }
}
