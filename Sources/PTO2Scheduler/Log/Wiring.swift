internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment

/// PENDING: a submitted task gets its consumed entry, its edges, its fanin counts.
extension SchedulerThread {
  /// Enters a task. The log's holder.
  @inline(__always)
  mutating func wire(_ id: TaskID, at position: UInt32, _ reader: LogReader) {
    let ring = rings[id.ring]
    let slot = ring.slot(id.local)
    guard slot.taskID == id, id.local == ring.wired.value else {
      return violation("main slot of task \(id) belongs to another task")
    }
    let task = SubmittedTask(slot)
    guard isSound(task, id, ring), hasMemory(for: task, id, ring, reader) else { return }
    let entry = ring.entry(id.local)
    entry.begin(id, task, slot)
    let state = ring.slotState(id.local)
    state.faninRefcount.value = 0
    // A producer may complete while the others are still being looked at: the one more
    // that is expected here comes at the end.
    state.faninCount = task.faninCount + 1
    guard let satisfied = link(id, task, ring, entry) else { return }
    publish(id, task, slot, ring, at: position)
    if !S.isShared { unstarted += 1 }
    // From here on the task may run and be gone.
    if S.add(state.faninRefcount, satisfied + 1) == task.faninCount + 1 {
      makeReady(id)
    } else if worksAhead && entry.mayGoAhead {
      dispatcher.ofOnlyThread.ahead.append(id)
    }
  }

  /// Makes an edge for each producer.
  ///
  /// This is the one place where a reference on a producer is taken: an entry that
  /// carries the producer's id and is not CONSUMED is claimed; any other producer is
  /// long done and holds nothing any more. Entries are given to new tasks by `wire`
  /// alone, so an id that is right stays right meanwhile.
  /// - Returns: how many need no waiting; nil after a failure.
  @inline(__always)
  private mutating func link(
    _ id: TaskID, _ task: SubmittedTask, _ ring: Ring, _ entry: ConsumedEntry
  ) -> UInt32? {
    var satisfied: UInt32 = 0
    for k in 0..<task.faninCount {
      let index = ring.poolIndex(task.faninFirst &+ k)
      let fanin = ring.fanin(index)
      let edge = ring.edge(index)
      edge.consumer = id
      edge.flags = fanin.needsData ? PTO2_EDGE_DATA : 0
      guard fanin.producer.ring < rings.count, fanin.producer != id else {
        violation("fanin \(k) of task \(id) names task \(fanin.producer)")
        return nil
      }
      let producer = rings.entry(fanin.producer)
      let isKnown = producer.belongs(to: fanin.producer)
      if isKnown && fanin.retains && References(on: producer).claim(S.self) {
        edge.flags |= PTO2_EDGE_RETAINED
      }
      let isWaiting =
        isKnown && fanin.waits
        && EdgeList(of: producer).push(EdgeReference(ring: id.ring, index: index), edge, S.self)
      if isWaiting { continue }
      satisfied += 1
      if isKnown && fanin.needsData && S.load(producer.outcome) != 0 { cancel(entry) }
    }
    counters.edges += UInt64(task.faninCount)
    return satisfied
  }

  /// Says that the task is wired: here, to the orchestrator, and to a scheduler that
  /// comes after this one.
  @inline(__always)
  private func publish(
    _ id: TaskID, _ task: SubmittedTask, _ slot: MainSlot, _ ring: Ring, at position: UInt32
  ) {
    ring.poolHead.value = task.faninFirst &+ task.faninCount
    S.store(ring.wired, id.local &+ 1)
    recordPeaks(ring, slot)
    // Release: a scheduler that comes after this one wires the task again, or finds all
    // of what `wire` has stored; see `restart`.
    ring.wiredWord.storeRelease(id.local &+ 1)
    // Pairs with the orchestrator's acquire before it reuses log records.
    own.wired.storeRelease(position &+ 1)
  }

  /// Use of each ring with this task in it.
  @inline(__always)
  private func recordPeaks(_ ring: Ring, _ slot: MainSlot) {
    let wired = ring.wired.value
    let consumed = S.load(ring.consumed.position)
    // An empty heap starts over beyond a wrap gap: then the task's own begin is the
    // tail.
    let heapTail = consumed &+ 1 == wired ? slot.heapBegin : S.load(ring.heapTail)
    func note<Value: Comparable & BitwiseCopyable>(_ value: Value, _ peak: Cell<Value>) {
      peak.value = max(peak.value, value)
    }
    let peaks = ring.peaks
    note(wired &- S.load(ring.released.position), peaks.main)
    note(wired &- consumed, peaks.consumed)
    note(ring.poolHead.value &- S.load(ring.poolTail), peaks.pool)
    note(slot.heapEnd &- heapTail, peaks.heap)
  }

  /// First lap only: memory for what the task's wiring touches.
  @inline(__always)
  private mutating func hasMemory(
    for task: SubmittedTask, _ id: TaskID, _ ring: Ring, _ reader: LogReader
  ) -> Bool {
    if !ring.isPartlyReserved.value { return true }
    do {
      ring.isPartlyReserved.value = try !reader.reserve(
        shared.segment, id, faninFirst: task.faninFirst, faninCount: task.faninCount)
      return true
    } catch {
      fail(PTO2Error(.outOfMemory, "\(error)", ring: id.ring))
      return false
    }
  }
}

extension ConsumedEntry {
  /// Given to a task that is being wired.
  @inline(__always)
  fileprivate func begin(_ id: TaskID, _ task: SubmittedTask, _ slot: MainSlot) {
    taskID = id
    state.value = TaskState.pending.rawValue
    fanoutHead.value = PTO2_EDGE_NONE
    // One reference of the scope, one of the task itself until it is RELEASED.
    fanoutCount = 2
    fanoutRefcount = 0
    scopePrevious = slot.scopePrevious
    flags = task.flags
    activeMask = task.activeMask
    blockCount = task.blockCount
    blocksStarted.value = 0
    subtasksLeft.value = UInt32(task.activeMask.nonzeroBitCount) * task.blockCount
    heapEnd = slot.heapEnd
    outcome.value = task.flags.contains(.cancelled) ? PTO2_OUTCOME_CANCELLED : 0
    kills = 0
    crashes = 0
    poolEnd = task.faninFirst &+ task.faninCount
    scopeEnded.value = 0
  }

  /// True for the task that this entry was given to last. One that no task has had yet
  /// looks like that of task 0:0, but for its references.
  @inline(__always)
  func belongs(to id: TaskID) -> Bool {
    taskID == id && (id.rawValue != 0 || fanoutCount != 0)
  }
}
