internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment

/// Going on where a scheduler was killed.
///
/// Nothing of what the dead one was doing is repaired. Truth is what single stores have
/// left: the log and the main slots of the orchestrator, the watermarks and wired
/// positions, each task's state and outcome, which scope has let go of it, the blocks
/// that were started, the words to the cores and the cores' COND. Everything else is
/// computed from these, for every task from the consumed watermark to the newest wired
/// one; docs/faults.md says why that suffices. Where two of them contradict each other, the
/// segment was overwritten. Meanwhile cores run, and the orchestrator submits.
extension SchedulerThread {
  /// First thread, before any other starts and before the scheduler is announced.
  package mutating func restart() {
    own.parked.storeRelaxed(0)
    resumeCounters()
    let isSound = log.withLock { resumeLog($0) } ?? false
    guard isSound, resumeRings() else { return }
    for ring in 0..<rings.count {
      forEach(rings[ring].consumed.position.value, ring) { $0.countOwnReferences($1, $2) }
      enterSlots(ring)
    }
    for ring in 0..<rings.count {
      forEach(rings[ring].released.position.value, ring) { $0.linkToProducers($1, $2) }
    }
    if hasFailed { return }
    _ = dispatcher.withLock { resumeDispatches($0) }
    if hasFailed { return }
    requeue()
    if hasFailed { return }
    resumeTransfers()
    for ring in 0..<rings.count {
      advanceReleased(rings[ring])
      advanceConsumed(rings[ring])
    }
    // The dead scheduler may have stored a word without waking who waits for it.
    for core in 0..<cores.count { pendingWakes.cores.insert(core) }
    pendingWakes.advances += 1
    pendingWakes.hasConsumed = true
  }

  // MARK: Positions

  /// The log from the first record that does not count as wired.
  private mutating func resumeLog(_ reader: LogReader) -> Bool {
    let wired = own.wired.loadOwn()
    words.logWired.value = wired
    reader.submitted.value = wired
    // Acquire: as in `readRecords`.
    guard orchestrator.submitted.loadAcquire() != wired else { return true }
    let record = reader.log[wired].content
    guard record.ring < UInt32(rings.count) else {
      violation("log record \(wired) has kind \(record.kind), ring \(record.ring)")
      return false
    }
    if record.kind == PTO2_LOG_SCOPE_END { reader.isResumed.value = true }
    let ring = rings[Int(record.ring)]
    if record.kind == PTO2_LOG_TASK, record.id &+ 1 == ring.wiredWord.loadOwn() {
      // Between the two stores: nobody has run it, it is wired once more.
      ring.wiredWord.storeRelaxed(record.id)
    }
    return true
  }

  private mutating func resumeRings() -> Bool {
    for index in 0..<rings.count {
      let ring = rings[index]
      let wired = ring.wiredWord.loadOwn()
      let released = ring.released.word.loadOwn()
      let consumed = ring.consumed.word.loadOwn()
      ring.wired.value = wired
      ring.released.position.value = released
      ring.consumed.position.value = consumed
      guard wired &- consumed <= ring.consumedWindow, wired &- released <= ring.taskWindow,
        released &- consumed <= wired &- consumed
      else {
        violation(
          "ring \(index) is wired to \(wired), released to \(released), consumed to \(consumed)")
        return false
      }
      if let last = entryIfKnown(TaskID(ring: index, local: wired &- 1)) {
        ring.poolHead.value = last.poolEnd
      }
      // Of the oldest task that is not RELEASED, and `enterSlots` goes on from there.
      if released != wired { ring.poolHead.value = ring.slot(released).faninFirst }
      ring.poolTail.value = ring.poolHead.value
      if let last = entryIfKnown(TaskID(ring: index, local: consumed &- 1)) {
        ring.heapTail.value = last.heapEnd
      }
    }
    return true
  }

  /// The entry that this task was wired into, unless another has it now or none ever
  /// had.
  private func entryIfKnown(_ id: TaskID) -> ConsumedEntry? {
    guard id.ring < rings.count else { return nil }
    let entry = rings.entry(id)
    return entry.belongs(to: id) ? entry : nil
  }

  /// Every wired task of a ring from a watermark on, until one is wrong: `body` says of which.
  private mutating func forEach(
    _ begin: UInt32, _ ring: Int,
    _ body: (borrowing Self, TaskID, ConsumedEntry) -> Bool
  ) {
    var local = begin
    let wired = rings[ring].wired.value
    while local != wired && !hasFailed {
      let id = TaskID(ring: ring, local: local)
      guard let entry = entryIfKnown(id) else {
        return violation("the entry of task \(id) belongs to another task")
      }
      guard body(self, id, entry) else { return entryHasChanged(id) }
      local &+= 1
    }
  }

  // MARK: References and edges

  /// The task's own reference and that of its scope. A closed list stays closed.
  private func countOwnReferences(_ id: TaskID, _ entry: ConsumedEntry) -> Bool {
    let ring = rings[id.ring]
    let released = ring.released.position.value
    guard let state = TaskState(rawValue: entry.state.value), Self.isOutcome(entry.outcome.value),
      state.rawValue >= TaskState.released.rawValue
        || id.local &- released < ring.wired.value &- released
    else { return false }
    if state == .consumed { return true }
    let own = ownReferences(entry)
    entry.fanoutCount = own.taken
    entry.fanoutRefcount = own.given
    entry.fanoutHead.value =
      state.rawValue >= TaskState.completed.rawValue ? PTO2_EDGE_CLOSED : PTO2_EDGE_NONE
    return true
  }

  /// What the main slots and fanin lists say, of every task that is not RELEASED.
  private mutating func enterSlots(_ index: Int) {
    let ring = rings[index]
    var local = ring.released.position.value
    while local != ring.wired.value && !hasFailed {
      let id = TaskID(ring: index, local: local)
      let slot = ring.slot(local)
      let task = SubmittedTask(slot)
      guard slot.taskID == id else {
        return violation("main slot of task \(id) belongs to another task")
      }
      guard isSound(task, id, ring) else { return }
      ring.entry(local).enter(task, slot)
      ring.slotState(local).faninCount = task.faninCount + 1
      for k in 0..<task.faninCount {
        let place = ring.poolIndex(task.faninFirst &+ k)
        let fanin = ring.fanin(place)
        guard fanin.producer.ring < rings.count, fanin.producer != id else {
          return violation("fanin \(k) of task \(id) names task \(fanin.producer)")
        }
        let edge = ring.edge(place)
        edge.consumer = id
        edge.flags = fanin.needsData ? PTO2_EDGE_DATA : 0
      }
      ring.poolHead.value = task.faninFirst &+ task.faninCount
      local &+= 1
    }
  }

  /// A task that is not RELEASED holds its retained producers, and waits for those that
  /// are not COMPLETED.
  private func linkToProducers(_ id: TaskID, _ entry: ConsumedEntry) -> Bool {
    let state = entry.state.value
    guard state < TaskState.released.rawValue else { return true }
    let isPending = state < TaskState.completed.rawValue
    let ring = rings[id.ring]
    let slotState = ring.slotState(id.local)
    let count = slotState.faninCount &- 1
    let first = entry.poolEnd &- count
    var satisfied: UInt32 = 1
    for k in 0..<count {
      let index = ring.poolIndex(first &+ k)
      let edge = ring.edge(index)
      let fanin = ring.fanin(index)
      let producer = entryIfKnown(fanin.producer)
      guard producer != nil || !isCurrent(fanin.producer) else { return false }
      // A producer that is CONSUMED was so before this task was wired, or this one is COMPLETED
      // and had given the reference back.
      if fanin.retains, let producer, producer.state.value < TaskState.consumed.rawValue {
        producer.fanoutCount += 1
        edge.flags |= PTO2_EDGE_RETAINED
      }
      guard isPending else { continue }
      if fanin.waits, let producer,
        EdgeList(of: producer).push(EdgeReference(ring: id.ring, index: index), edge, S.self)
      {
        continue
      }
      satisfied += 1
      if fanin.needsData, let producer, producer.outcome.value != 0,
        entry.blocksStarted.value == 0
      {
        entry.outcome.value = PTO2_OUTCOME_CANCELLED
      }
    }
    guard isPending else { return true }
    slotState.faninRefcount.value = satisfied
    if entry.flags.contains(.transfer) { takeBackTransfer(id, entry) }
    let started = entry.blocksStarted.value
    guard started <= entry.blockCount else { return false }
    entry.subtasksLeft.value =
      UInt32(entry.activeMask.nonzeroBitCount) &* (entry.blockCount &- started)
    return normalizeState(id, entry, isDispatched: started > 0)
  }

  /// RUNNING since the first block, unless the scheduler died between two stores: then the
  /// intent names the task. Nothing of it was dispatched: it is to become READY.
  private func normalizeState(_ id: TaskID, _ entry: ConsumedEntry, isDispatched: Bool) -> Bool {
    let isRunning = entry.state.value == TaskState.running.rawValue
    guard isDispatched == isRunning || (isDispatched && own.intent.task_id == id.rawValue) else {
      return false
    }
    entry.state.value = isDispatched ? TaskState.running.rawValue : TaskState.pending.rawValue
    return true
  }

  /// The entry of a task that has dispatches out; nil when the id is of none.
  func pendingEntry(_ id: TaskID) -> ConsumedEntry? {
    guard id.ring < rings.count else { return nil }
    let released = rings[id.ring].released.position.value
    guard id.local &- released < rings[id.ring].wired.value &- released,
      let entry = entryIfKnown(id), entry.state.value < TaskState.completed.rawValue
    else { return nil }
    return entry
  }

  // MARK: Queues

  /// What is to be done with a task.
  private struct Due {
    var begun: [TaskID] = []
    var waiting: [TaskID] = []
    var unstarted = 0
    var ready: [TaskID] = []
    var finished: [TaskID] = []
    var completed: [TaskID] = []
  }

  /// Takes every task on from where it stands.
  private mutating func requeue() {
    var due = Due()
    var completed: UInt64 = 0
    for ring in 0..<rings.count {
      forEach(rings[ring].consumed.position.value, ring) { scheduler, id, entry in
        if entry.state.value >= TaskState.completed.rawValue { completed += 1 }
        return scheduler.sort(id, entry, into: &due)
      }
    }
    if hasFailed { return }
    counters.completed += completed
    lookahead.unstarted = due.unstarted
    // Begun ones first: blocks that started together may wait for the rest.
    for id in due.begun { enqueue(id, as: .of(mask: rings.entry(id).activeMask)) }
    for id in due.ready { makeReady(id) }
    for id in due.finished { complete(id) }
    for id in due.completed {
      if !S.isShared { note(.released, id) }
      release(id)
    }
    if lookahead.isOn {
      for id in due.waiting { dispatcher.ofOnlyThread.ahead.append(id) }
    }
  }

  private func sort(_ id: TaskID, _ entry: ConsumedEntry, into due: inout Due) -> Bool {
    switch TaskState(rawValue: entry.state.value) {
    case .consumed: break
    case .released:
      if entry.fanoutCount == entry.fanoutRefcount {
        entry.state.value = TaskState.consumed.rawValue
      }
    case .completed: due.completed.append(id)
    default:
      guard entry.subtasksLeft.value <= entry.subtaskCount else { return false }
      if entry.blocksStarted.value == 0 { due.unstarted += 1 }
      let state = rings[id.ring].slotState(id.local)
      let started = entry.blocksStarted.value
      if state.faninRefcount.value != state.faninCount {
        // What was dispatched ahead is completed with its last producer.
        if started == 0 && entry.mayGoAhead { due.waiting.append(id) }
      } else if started == 0 {
        due.ready.append(id)
      } else if started < entry.blockCount {
        due.begun.append(id)
      } else if entry.subtasksLeft.value == 0 && !entry.flags.contains(.transfer) {
        due.finished.append(id)
      }
    }
    return true
  }
}
