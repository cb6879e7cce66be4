internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment

/// The submission log as it is read: one thread at a time does.
@safe struct LogReader {
  private let state: UnsafeMutablePointer<State>

  @safe private struct State {
    let log: RingTable<LogPlace>
    var submitted: UInt32
    var scope = ScopeEnd()
    var isResumed = false
    let reservations: UnsafeMutablePointer<RingReservation>
    let ringCount: Int
  }

  init(_ segment: borrowing Segment) {
    let configuration = segment.configuration
    let ringCount = configuration.rings.count
    let reservations = UnsafeMutablePointer<RingReservation>.allocate(capacity: ringCount)
    for ring in 0..<ringCount {
      unsafe (reservations + ring).initialize(to: RingReservation(segment.layout, ring: ring))
    }
    unsafe state = .allocate(capacity: 1)
    unsafe state.initialize(
      to: State(
        log: segment.log, submitted: configuration.firstPosition, reservations: reservations,
        ringCount: ringCount))
  }

  func deallocate() {
    unsafe state.pointee.reservations.deinitialize(count: state.pointee.ringCount)
    unsafe state.pointee.reservations.deallocate()
    unsafe state.deinitialize(count: 1)
    unsafe state.deallocate()
  }

  @inline(__always)
  var log: RingTable<LogPlace> { unsafe state.pointee.log }
  /// The `submitted` word as last read.
  @inline(__always)
  var submitted: Cell<UInt32> { unsafe Cell(&state.pointee.submitted) }
  /// The rest of a scope end that is being worked off; its record counts as wired when
  /// nothing is left.
  @inline(__always)
  var scope: Cell<ScopeEnd> { unsafe Cell(&state.pointee.scope) }
  /// The next record is a scope end that a scheduler before this one may have worked
  /// off in part.
  @inline(__always)
  var isResumed: Cell<Bool> { unsafe Cell(&state.pointee.isResumed) }

  /// Makes sure that memory is behind what a task's wiring touches.
  /// - Returns: true when all of the ring has memory.
  func reserve(
    _ segment: borrowing Segment, _ id: TaskID, faninFirst: UInt32, faninCount: UInt32
  ) throws(SegmentError) -> Bool {
    try unsafe state.pointee.reservations[id.ring].ensure(
      segment, local: id.local, faninFirst: faninFirst, faninCount: faninCount)
    return unsafe state.pointee.reservations[id.ring].isComplete
  }
}

extension SchedulerThread {
  /// Wires new records, in order, at most `wiringBudget`. Whoever finds the lock taken
  /// leaves them to the holder, and the first thread does not sleep while there are any.
  mutating func readLog() -> Int {
    guard S.isShared else { return readRecords(log.ofOnlyThread) }
    if S.load(words.logWired) == orchestrator.submitted.loadAcquire() { return 0 }
    return log.withLock { readRecords($0) } ?? 0
  }

  @inline(__always)
  private mutating func readRecords(_ reader: LogReader) -> Int {
    let before = words.logWired.value
    if before == reader.submitted.value {
      // Acquire: pairs with the orchestrator's release of `submitted`, after the log
      // record, the main slot, the descriptor and the fanin list.
      let last = orchestrator.submitted.loadAcquire()
      guard last &- before <= reader.log.count else {
        violation("log position \(last) is said to be submitted, far beyond the wired ones")
        return 0
      }
      reader.submitted.value = last
      expireTraceClock()
    }
    var work = 0
    let last = reader.submitted.value
    var wired = before
    while wired != last, wired &- before < Self.wiringBudget, !hasFailed {
      let record = reader.log[wired].content
      switch record.kind {
      case PTO2_LOG_TASK where record.ring < UInt32(rings.count):
        wire(TaskID(ring: Int(record.ring), local: record.id), at: wired, reader)
      case PTO2_LOG_SCOPE_END where record.ring < UInt32(rings.count):
        work += endScope(record, reader)
      default: violation("log record \(wired) has kind \(record.kind), ring \(record.ring)")
      }
      if reader.scope.value.left > 0 { break }
      wired &+= 1
      if record.kind == PTO2_LOG_SCOPE_END { own.wired.storeRelease(wired) }
    }
    if wired != before {
      S.store(words.logWired, wired)
      pendingWakes.advances += 1
      work += Int(wired &- before)
    }
    return work
  }
}

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
    noteEdges(id, task, ring)
    let isReady = !S.isShared && satisfied == task.faninCount
    note(.wired, id, detail: isReady ? 1 : 0)
    if !S.isShared { lookahead.unstarted += 1 }
    // From here on the task may run and be gone.
    if S.add(state.faninRefcount, satisfied + 1) == task.faninCount + 1 {
      makeReady(id, isNoted: isReady)
    } else if lookahead.isOn && entry.mayGoAhead {
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
      guard isKnown || !isCurrent(fanin.producer) else {
        entryHasChanged(fanin.producer)
        return nil
      }
      if isKnown && fanin.retains && References(on: producer).claim(S.self) {
        edge.flags |= PTO2_EDGE_RETAINED
      }
      let isWaiting =
        isKnown && fanin.waits
        && EdgeList(of: producer).push(EdgeReference(ring: id.ring, index: index), edge, S.self)
      if isWaiting { continue }
      if isKnown && fanin.waits && S.load(producer.state) < TaskState.completed.rawValue {
        edgeHasChanged(fanin.producer)
        return nil
      }
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
    fanoutCount = task.flags.ownReferences
    fanoutRefcount = 0
    enter(task, slot)
    blocksStarted.value = 0
    subtasksLeft.value = subtaskCount
    outcome.value = task.flags.contains(.cancelled) ? PTO2_OUTCOME_CANCELLED : 0
    kills = 0
    crashes = 0
    scopeEnded.value = 0
  }

  /// What it has of the main slot.
  @inline(__always)
  func enter(_ task: SubmittedTask, _ slot: MainSlot) {
    scopePrevious = slot.scopePrevious
    flags = task.flags
    activeMask = task.activeMask
    blocks = task.blocks
    heapEnd = slot.heapEnd
    poolEnd = task.faninFirst &+ task.faninCount
  }

  /// True for the task that this entry was given to last. One that no task has had yet
  /// looks like that of task 0:0, but for its references.
  @inline(__always)
  func belongs(to id: TaskID) -> Bool {
    taskID == id && (id.rawValue != 0 || fanoutCount != 0)
  }
}
