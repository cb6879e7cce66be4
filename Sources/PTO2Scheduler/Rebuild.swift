internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// Going on where a scheduler was killed.
///
/// Nothing of what the dead one was doing is repaired. Truth is what single
/// stores have left: the log and the main slots of the orchestrator, the
/// watermarks and wired positions, each task's state and outcome, which scope has
/// let go of it, the blocks that were started, the words to the cores and the
/// cores' COND. Counts, lists and queues are computed from these, for every task
/// from the consumed watermark to the newest wired one; docs/faults.md says why
/// each suffices. Meanwhile cores run, and the orchestrator submits.
extension Scheduler {
  /// First thread, before any other starts and before the scheduler is announced.
  package mutating func rebuild() {
    parkedWord.storeRelaxed(0)
    resumeCounters()
    guard resumeLog(), resumeRings() else { return }
    for ring in 0..<ringCount {
      unsafe forEach(ring, from: \.consumedPosition) { unsafe $0.countOwnReferences($1, $2) }
    }
    for ring in 0..<ringCount {
      unsafe forEach(ring, from: \.released) { unsafe $0.linkToProducers($1, $2) }
    }
    if hasFailed { return }
    unsafe dispatcher.pointee.redo.recount()
    settleIntent()
    unsafe intent.forget()
    for core in 0..<coreCount { resumeCore(core) }
    resumeRedo()
    if hasFailed { return }
    requeue()
    for ring in 0..<ringCount {
      advanceReleased(ring)
      advanceConsumed(ring)
    }
    // The dead scheduler may have stored a word without waking who waits for it.
    let all = UInt64.max >> UInt64(64 - coreCount / 3)
    toWake = (all, all, all)
    advances += 1
    hasConsumed = true
  }

  // MARK: Positions

  /// The log from the first record that does not count as wired.
  private mutating func resumeLog() -> Bool {
    let wired = wiredWord.loadOwn()
    unsafe logState.pointee.wired = wired
    unsafe logState.pointee.knownSubmitted = wired
    // Acquire: as in `readRecords`.
    guard submitted.loadAcquire() != wired else { return true }
    let record = unsafe log[Int(wired & logMask)]
    guard record.ring < UInt32(ringCount) else {
      violation("log record \(wired) has kind \(record.kind), ring \(record.ring)")
      return false
    }
    if record.kind == PTO2_LOG_SCOPE_END { unsafe logState.pointee.isResumed = true }
    let ring = unsafe rings + Int(record.ring)
    if record.kind == PTO2_LOG_TASK, unsafe record.id &+ 1 == ring.pointee.wiredWord.loadOwn() {
      // Between the two stores: nobody has run it, it is wired once more.
      unsafe ring.pointee.wiredWord.storeRelaxed(record.id)
    }
    return true
  }

  private mutating func resumeRings() -> Bool {
    for index in 0..<ringCount {
      let ring = unsafe rings + index
      unsafe ring.pointee.wired = ring.pointee.wiredWord.loadOwn()
      unsafe ring.pointee.released = ring.pointee.releasedWord.loadOwn()
      unsafe ring.pointee.consumedPosition = ring.pointee.consumedWord.loadOwn()
      let wired = unsafe ring.pointee.wired
      let released = unsafe ring.pointee.released
      let consumed = unsafe ring.pointee.consumedPosition
      guard unsafe wired &- consumed <= ring.pointee.consumedMask &+ 1,
        unsafe wired &- released <= ring.pointee.mainMask &+ 1,
        released &- consumed <= wired &- consumed
      else {
        violation(
          "ring \(index) is wired to \(wired), released to \(released), consumed to \(consumed)")
        return false
      }
      if let last = unsafe entryIfKnown(index, wired &- 1) {
        unsafe ring.pointee.poolHead = last.pointee.pool_end
      }
      unsafe ring.pointee.poolTail = ring.pointee.poolHead
      if released != wired {
        unsafe ring.pointee.poolTail =
          ring.pointee.entry(released).pointee.pool_end
          &- (ring.pointee.state(released).pointee.fanin_count &- 1)
      }
      if let last = unsafe entryIfKnown(index, consumed &- 1) {
        unsafe ring.pointee.heapTail = last.pointee.heap_end
      }
    }
    return true
  }

  /// The entry that this task was wired into, unless another has it now or none
  /// ever had.
  private func entryIfKnown(_ ring: Int, _ local: UInt32)
    -> UnsafeMutablePointer<pto2_consumed_entry>?
  {
    let entry = unsafe rings[ring].entry(local)
    let id = TaskID(ring: ring, local: local).rawValue
    guard unsafe entry.pointee.task_id == id, unsafe id != 0 || entry.pointee.fanout_count != 0
    else { return nil }
    return unsafe entry
  }

  /// Every wired task of a ring from a watermark on.
  private mutating func forEach(
    _ ring: Int, from begin: KeyPath<RingState, UInt32>,
    _ body: (inout Self, TaskID, UnsafeMutablePointer<pto2_consumed_entry>) -> Void
  ) {
    var local = unsafe rings[ring][keyPath: begin]
    let wired = unsafe rings[ring].wired
    while local != wired && !hasFailed {
      let id = TaskID(ring: ring, local: local)
      guard let entry = unsafe entryIfKnown(ring, local) else {
        return violation("the entry of task \(id) belongs to another task")
      }
      unsafe body(&self, id, entry)
      local &+= 1
    }
  }

  // MARK: References and edges

  /// The task's own reference and its scope's. A closed list stays closed.
  private func countOwnReferences(
    _ id: TaskID, _ entry: UnsafeMutablePointer<pto2_consumed_entry>
  ) {
    let state = unsafe entry.pointee.state
    guard state != TaskState.consumed.rawValue else { return }
    unsafe entry.pointee.fanout_count = 2
    unsafe entry.pointee.fanout_refcount =
      (entry.pointee.scope_ended != 0 ? 1 : 0) + (state >= TaskState.released.rawValue ? 1 : 0)
    unsafe entry.pointee.fanout_head =
      state >= TaskState.completed.rawValue ? PTO2_EDGE_CLOSED : PTO2_EDGE_NONE
  }

  /// A task that is not RELEASED holds its retained producers, and waits for
  /// those that are not COMPLETED.
  private func linkToProducers(
    _ id: TaskID, _ entry: UnsafeMutablePointer<pto2_consumed_entry>
  ) {
    let state = unsafe entry.pointee.state
    guard state < TaskState.released.rawValue else { return }
    let isPending = state < TaskState.completed.rawValue
    let ring = unsafe rings + id.ring
    let slotState = unsafe ring.pointee.state(id.local)
    let count = unsafe slotState.pointee.fanin_count &- 1
    let first = unsafe entry.pointee.pool_end &- count
    var satisfied: UInt32 = 1
    for k in 0..<count {
      let index = unsafe (first &+ k) & ring.pointee.poolMask
      let edge = unsafe ring.pointee.edges + Int(index)
      let fanin = unsafe ring.pointee.fanin[Int(index)]
      let producerID = TaskID(rawValue: fanin & PTO2_FANIN_ID_MASK)
      let producer =
        producerID.ring < ringCount
        ? unsafe entryIfKnown(producerID.ring, producerID.local) : nil
      let isHeld = unsafe producer.map { unsafe $0.pointee.state < TaskState.consumed.rawValue }
      if unsafe edge.pointee.flags & PTO2_EDGE_RETAINED != 0 {
        if isHeld == true {
          unsafe producer!.pointee.fanout_count += 1
        } else {
          // This task is COMPLETED and had given the reference back.
          unsafe edge.pointee.flags &= ~PTO2_EDGE_RETAINED
        }
      }
      guard isPending else { continue }
      if fanin & PTO2_FANIN_WAIT != 0, let producer = unsafe producer,
        unsafe Fanout.push(
          UInt32(truncatingIfNeeded: id.ring) << UInt32(PTO2_EDGE_RING_SHIFT) | index, edge,
          on: producer, S.self)
      {
        continue
      }
      satisfied += 1
      if fanin & PTO2_FANIN_DATA != 0, let producer = unsafe producer,
        unsafe producer.pointee.outcome != 0 && entry.pointee.blocks_started == 0
      {
        unsafe entry.pointee.outcome = PTO2_OUTCOME_CANCELLED
      }
    }
    guard isPending else { return }
    unsafe slotState.pointee.fanin_refcount = satisfied
    unsafe entry.pointee.subtasks_left =
      UInt32(entry.pointee.active_mask.nonzeroBitCount)
      &* (entry.pointee.block_count &- entry.pointee.blocks_started)
  }

  // MARK: Dispatches

  /// The entry of a task that has dispatches out; nil when the id is of none.
  private func pendingEntry(_ raw: UInt64) -> UnsafeMutablePointer<pto2_consumed_entry>? {
    let id = TaskID(rawValue: raw)
    guard id.ring < ringCount,
      unsafe id.local &- rings[id.ring].released < rings[id.ring].wired &- rings[id.ring].released,
      let entry = unsafe entryIfKnown(id.ring, id.local),
      unsafe entry.pointee.state < TaskState.completed.rawValue
    else { return nil }
    return unsafe entry
  }

  /// The block that was being dispatched: what was not stored is lost.
  private mutating func settleIntent() {
    guard let intent = unsafe intent.unsettled(), let entry = unsafe pendingEntry(intent.task),
      unsafe intent.block < entry.pointee.blocks_started
    else { return }
    let isStored =
      unsafe intent.word != 0 && intent.core < coreCount
      && cores[intent.core].wordToCore(intent.lane).loadOwn() == intent.word
    for slot in 0..<UInt32(PTO2_SLOTS) where intent.slots >> UInt8(slot) & 1 != 0 {
      let subtask = LostSubtask(task: intent.task, slot: slot, block: intent.block)
      let place = unsafe dispatcher.pointee.redo.place(of: subtask)
      if isStored && intent.word & PTO2_WORD_SLOT_MASK == slot {
        if let place { unsafe dispatcher.pointee.redo.remove(at: place) }
      } else if place == nil {
        unsafe dispatcher.pointee.redo.append(subtask)
      }
    }
  }

  /// A core's lanes, from its words and COND. Lanes are used in turn, each with
  /// the other toggle every time, so the next one is the first whose toggle
  /// differs from lane 0's; those without FIN lie before it.
  private mutating func resumeCore(_ core: Int) {
    let state = unsafe cores + core
    var outstanding: [Outstanding] = []
    // A worker makes COND idle before it is READY: what says otherwise of an idle
    // lane is a dead one's.
    var isHalfFenced = false
    let isHosted = unsafe state.pointee.ready.loadAcquire() != fencedWord(core).loadOwn()
    unsafe state.pointee.nextLane = 0
    let toggle = unsafe DispatchWord(rawValue: state.pointee.wordToCore(0).loadOwn()).toggle
    for laneIndex in 0..<laneCount {
      let word = unsafe DispatchWord(rawValue: state.pointee.wordToCore(laneIndex).loadOwn())
      // Acquire: as in `pollOldest`.
      let cond = unsafe ConditionWord(rawValue: state.pointee.cond(laneIndex).loadAcquire())
      let lane = unsafe dispatcher.pointee.cores.lane(core, laneIndex)
      unsafe lane.pointee = LaneState(word: word)
      if unsafe word.toggle != toggle && state.pointee.nextLane == 0 {
        unsafe state.pointee.nextLane = laneIndex
      }
      if word == .idle && cond != .coreIdle && cond != .exited {
        // Or a live one whose kernel has spoilt its page: that is quarantined later.
        isHalfFenced = isHosted && hasDied(core)
      }
      // EXIT, EXITED: the session is over, and every task CONSUMED or given up.
      guard word != .idle, word != .exit else { continue }
      let progress = cond.progress(of: word, after: nil)
      guard progress != .exited, progress != .finished else { continue }
      guard let task = task(of: word) else {
        return violation(
          "DATA_MAIN_BASE of \(coreName(core)) lane \(laneIndex) names no task that runs")
      }
      unsafe lane.pointee.taskID = task
      // Of a word that was taken: COND never holds again what it held before that.
      unsafe lane.pointee.condBefore = progress == .notTaken ? cond : .ack(word)
      outstanding.append(
        Outstanding(lane: laneIndex, task: task, hasBegun: progress.hasBegun))
    }
    let count = UInt32(outstanding.count)
    let oldest = unsafe (state.pointee.nextLane + laneCount - count) % laneCount
    let isRun = outstanding.allSatisfy { ($0.lane + laneCount - oldest) % laneCount < count }
    let isInRedo = outstanding.contains {
      unsafe dispatcher.pointee.redo.place(of: lostSubtask(core, $0.lane, $0.task)) != nil
    }
    guard isRun && !isInRedo && !isHalfFenced else { return fenceAgain(core, outstanding) }
    unsafe state.pointee.oldestLane = oldest
    unsafe state.pointee.retired = 0
    unsafe state.pointee.started = count
    if !S.isShared && count > 0 { unsafe dispatcher.pointee.cores.busyCores += 1 }
    for dispatch in outstanding { countSubtask(dispatch.task) }
  }

  /// The task that a word without FIN was dispatched for: it has its main slot
  /// still.
  private func task(of word: DispatchWord) -> UInt64? {
    guard case .dispatch(let offset, let slot) = word.content else { return nil }
    for index in 0..<ringCount {
      let ring = unsafe rings + index
      let (place, rest) = unsafe (offset &- ring.pointee.descriptorBase)
        .quotientAndRemainder(dividingBy: UInt64(PTO2_DESC_STRIDE))
      guard rest == 0, unsafe place <= UInt64(ring.pointee.mainMask) else { continue }
      // The one wired task, not RELEASED, that this slot can belong to.
      let released = unsafe ring.pointee.released
      let mask = unsafe ring.pointee.mainMask
      let local = released &+ ((UInt32(truncatingIfNeeded: place) &- released) & mask)
      let id = TaskID(ring: index, local: local).rawValue
      guard let entry = unsafe pendingEntry(id),
        unsafe entry.pointee.active_mask >> UInt8(slot) & 1 != 0
      else { return nil }
      return id
    }
    return nil
  }

  /// The scheduler died while it fenced this core: its worker is dead, part of
  /// its dispatches are decided.
  private mutating func fenceAgain(_ core: Int, _ left: [Outstanding]) {
    for dispatch in left {
      let lost = lostSubtask(core, dispatch.lane, dispatch.task)
      guard unsafe dispatcher.pointee.redo.place(of: lost) == nil else { continue }
      _ = lose(lost, core: core, hasBegun: dispatch.hasBegun)
    }
    unsafe dispatcher.pointee.cores.reset(core)
    let gone = unsafe cores[core].ready.loadAcquire()
    admittedWord(core).storeRelease(0)
    fencedWord(core).storeRelease(gone)
    Futex.wake(fencedWord(core).shared)
  }

  private func countSubtask(_ task: UInt64) {
    if let entry = unsafe pendingEntry(task) { unsafe entry.pointee.subtasks_left += 1 }
  }

  /// What waits to run again counts as not done.
  private mutating func resumeRedo() {
    for place in unsafe 0..<RedoQueue.capacity {
      guard let lost = unsafe dispatcher.pointee.redo[place] else { continue }
      if unsafe pendingEntry(lost.task) == nil {
        unsafe dispatcher.pointee.redo.remove(at: place)
      } else {
        countSubtask(lost.task)
      }
    }
  }

  // MARK: Queues

  /// Takes every task on from where it stands.
  private mutating func requeue() {
    var completed: [TaskID] = []
    var finished: [TaskID] = []
    var begun: [TaskID] = []
    var ready: [TaskID] = []
    for ring in 0..<ringCount {
      unsafe forEach(ring, from: \.consumedPosition) { scheduler, id, entry in
        if unsafe entry.pointee.state >= TaskState.completed.rawValue {
          scheduler.counters.completed += 1
        }
        switch unsafe TaskState(rawValue: entry.pointee.state) {
        case .consumed: break
        case .released:
          if unsafe entry.pointee.fanout_count == entry.pointee.fanout_refcount {
            unsafe entry.pointee.state = TaskState.consumed.rawValue
          }
        case .completed: completed.append(id)
        default:
          let state = unsafe scheduler.rings[id.ring].state(id.local)
          if unsafe state.pointee.fanin_refcount != state.pointee.fanin_count {
            unsafe entry.pointee.state = TaskState.pending.rawValue
          } else if unsafe entry.pointee.blocks_started == 0 {
            ready.append(id)
          } else if unsafe entry.pointee.blocks_started < entry.pointee.block_count {
            begun.append(id)
          } else if unsafe entry.pointee.subtasks_left == 0 {
            finished.append(id)
          }
        }
      }
    }
    // Begun ones first: blocks that started together may wait for the rest.
    for id in begun { enqueue(id, as: shape(of: id)) }
    for id in ready { makeReady(id) }
    for id in finished { complete(id) }
    for id in completed { release(id) }
  }

  private func shape(of id: TaskID) -> TaskShape {
    unsafe TaskShape.of(mask: rings[id.ring].entry(id.local).pointee.active_mask)
  }
}

/// A dispatch without FIN that a scheduler's restart has found on a lane.
private struct Outstanding {
  var lane: UInt32
  var task: UInt64
  var hasBegun: Bool
}
