internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment

/// What a core's lanes say after a restart.
///
/// Lanes are used in turn, each with the other toggle every time, so the next one is
/// the first whose toggle differs from lane 0's; those without FIN lie before it.
struct LaneReading {
  /// A dispatch without FIN.
  struct Outstanding {
    var lane: UInt32
    var word: DispatchWord
    var condBefore: ConditionWord
    var hasBegun: Bool
  }

  private(set) var nextLane: UInt32 = 0
  private(set) var outstanding: [Outstanding] = []
  /// An idle lane has a COND that is not idle. A worker makes COND idle before it is
  /// READY: that is of a dead one, or of a live one whose kernel has spoilt its page.
  private(set) var hasStaleCond = false

  /// - Parameter lanes: word and COND of each lane in use.
  init(_ lanes: [(word: DispatchWord, cond: ConditionWord)]) {
    for (index, (word, cond)) in lanes.enumerated() {
      let laneIndex = UInt32(index)
      if word.toggle != lanes[0].word.toggle && nextLane == 0 { nextLane = laneIndex }
      if word == .idle && cond != .coreIdle && cond != .exited { hasStaleCond = true }
      // EXIT, EXITED: the session is over, and every task CONSUMED or given up.
      guard word != .idle, word != .exit else { continue }
      let progress = cond.progress(of: word, after: nil)
      guard progress != .exited, progress != .finished else { continue }
      // Of a word that was taken: COND never holds again what it held before that.
      let condBefore = progress == .notTaken ? cond : .ack(word)
      outstanding.append(
        Outstanding(
          lane: laneIndex, word: word, condBefore: condBefore, hasBegun: progress.hasBegun))
    }
    count = UInt32(lanes.count)
  }

  private let count: UInt32

  var oldestLane: UInt32 { (nextLane + count - UInt32(outstanding.count)) % count }

  /// True when the outstanding dispatches are those before the next lane.
  var isInOrder: Bool {
    outstanding.allSatisfy { ($0.lane + count - oldestLane) % count < UInt32(outstanding.count) }
  }
}

extension SchedulerThread {
  /// What was being dispatched, what is outstanding, and what is to run again.
  mutating func resumeDispatches(_ dispatcher: Dispatcher) {
    dispatcher.redo.recount()
    settleIntent(dispatcher)
    dispatcher.intent.clear()
    for core in 0..<cores.count { resumeCore(core, dispatcher) }
    resumeRedo(dispatcher)
  }

  /// The block that was being dispatched: what was not stored is lost.
  private func settleIntent(_ dispatcher: Dispatcher) {
    guard let intent = dispatcher.intent.unfinished(), let entry = pendingEntry(intent.task),
      intent.block < entry.blocksStarted.value
    else { return }
    let isStored =
      intent.word.rawValue != 0 && intent.core < cores.count
      && cores[intent.core].word(intent.lane) == intent.word
    for index in 0..<UInt32(PTO2_SLOTS) where intent.subtasks >> UInt8(index) & 1 != 0 {
      let subtask = Subtask(task: intent.task, index: index, block: intent.block)
      let place = dispatcher.redo.index(of: subtask)
      if isStored && intent.word.rawValue & PTO2_WORD_SLOT_MASK == index {
        if let place { dispatcher.redo.remove(at: place) }
      } else if place == nil {
        dispatcher.redo.append(subtask)
      }
    }
  }

  private mutating func resumeCore(_ index: Int, _ dispatcher: Dispatcher) {
    let core = cores[index]
    // Before COND is read.
    let isHosted = isHosted(index)
    let reading = LaneReading((0..<cores.laneCount).map { (core.word($0), core.cond($0)) })
    for lane in 0..<cores.laneCount { core.lane(lane).value = LaneState(word: core.word(lane)) }
    var tasks: [TaskID] = []
    for dispatch in reading.outstanding {
      guard let task = task(of: dispatch.word) else {
        return violation(
          "DATA_MAIN_BASE of \(coreName(index)) lane \(dispatch.lane) names no task that runs")
      }
      tasks.append(task)
      core.lane(dispatch.lane).value = LaneState(
        word: dispatch.word, condBefore: dispatch.condBefore, task: task)
    }
    // A live worker whose kernel has spoilt its page is quarantined later.
    let isHalfFenced = reading.hasStaleCond && isHosted && hasDied(index)
    let subtasks = zip(reading.outstanding, tasks).map { core.subtask($0.lane, of: $1) }
    let isInRedo = subtasks.contains { dispatcher.redo.index(of: $0) != nil }
    guard reading.isInOrder && !isInRedo && !isHalfFenced else {
      let left = zip(reading.outstanding, subtasks).map { ($1, $0.hasBegun) }
      return fenceAgain(index, left, dispatcher)
    }
    core.nextLane.value = reading.nextLane
    core.oldestLane.value = reading.oldestLane
    core.retired.value = 0
    core.started.value = UInt32(tasks.count)
    if !S.isShared && !tasks.isEmpty { dispatcher.table.busyCores += 1 }
    for task in tasks { countSubtask(task) }
  }

  /// The task that a word without FIN was dispatched for: it has its main slot still.
  private func task(of word: DispatchWord) -> TaskID? {
    guard case .dispatch(let offset, let subtask) = word.content else { return nil }
    for index in 0..<rings.count {
      let ring = rings[index]
      guard let slot = ring.slotIndex(ofDescriptor: offset) else { continue }
      // The one wired task, not RELEASED, that this slot can belong to.
      let released = ring.released.position.value
      let id = TaskID(ring: index, local: released &+ ring.slotDistance(from: released, to: slot))
      guard let entry = pendingEntry(id), entry.activeMask >> UInt8(subtask) & 1 != 0 else {
        return nil
      }
      return id
    }
    return nil
  }

  /// The scheduler died while it fenced this core: its worker is dead, part of its
  /// dispatches are decided.
  private mutating func fenceAgain(
    _ core: Int, _ left: [(subtask: Subtask, hasBegun: Bool)], _ dispatcher: Dispatcher
  ) {
    for (lost, hasBegun) in left where dispatcher.redo.index(of: lost) == nil {
      _ = decideLost(lost, core: core, hasBegun: hasBegun, dispatcher)
    }
    dispatcher.table.remove(CoreID(core))
    cores[core].reset()
    admitNextWorker(core, after: cores[core].page.ready.loadAcquire())
  }

  private func countSubtask(_ task: TaskID) { pendingEntry(task)?.subtasksLeft.value += 1 }

  /// What waits to run again counts as not done.
  private func resumeRedo(_ dispatcher: Dispatcher) {
    for index in 0..<RedoQueue.capacity {
      guard let lost = dispatcher.redo[index] else { continue }
      if pendingEntry(lost.task) == nil {
        dispatcher.redo.remove(at: index)
      } else {
        countSubtask(lost.task)
      }
    }
  }
}
