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
  }

  private(set) var nextLane: UInt32 = 0
  private(set) var outstanding: [Outstanding] = []
  private let count: UInt32

  /// - Parameters:
  ///   - lanes: word and COND of each lane in use.
  ///   - left: of a core without a worker, how many dispatches the last one has left; its
  ///     COND words say nothing.
  init(_ lanes: [(word: DispatchWord, cond: ConditionWord)], left: UInt32?) {
    count = UInt32(lanes.count)
    if let next = lanes.firstIndex(where: { $0.word.toggle != lanes[0].word.toggle }) {
      nextLane = UInt32(next)
    }
    // From the newest back: none is behind one that has its FIN.
    var lane = nextLane
    while outstanding.count < lanes.count {
      lane = (lane + count - 1) % count
      let (word, cond) = lanes[Int(lane)]
      // EXIT, EXITED: the session is over, and every task CONSUMED or given up.
      guard case .dispatch = word.content else { break }
      if let left {
        guard outstanding.count < left else { break }
        outstanding.append(
          Outstanding(lane: lane, word: word, condBefore: .notTaken(word)))
        continue
      }
      let progress = cond.progress(of: word, after: nil)
      guard progress != .exited, progress != .finished else { break }
      // Of a word that was taken: COND never holds again what it held before that.
      let condBefore = progress == .notTaken ? cond : .ack(word)
      outstanding.append(Outstanding(lane: lane, word: word, condBefore: condBefore))
    }
    outstanding.reverse()
  }

  /// Where the newest dispatch went.
  var lastLane: UInt32 { (nextLane + count - 1) % count }
  var oldestLane: UInt32 { (nextLane + count - UInt32(outstanding.count)) % count }
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
  private mutating func settleIntent(_ dispatcher: Dispatcher) {
    guard let intent = dispatcher.intent.unfinished(), let entry = pendingEntry(intent.task),
      intent.block < entry.blocksStarted.value
    else { return }
    let isStored =
      intent.word.rawValue != 0 && intent.core < cores.count && intent.lane < cores.laneCount
      && cores[intent.core].word(intent.lane) == intent.word
    for index in 0..<UInt32(PTO2_SLOTS) where intent.subtasks >> UInt8(index) & 1 != 0 {
      let subtask = Subtask(task: intent.task, index: index, block: intent.block)
      let place = dispatcher.redo.index(of: subtask)
      if isStored && intent.word.rawValue & PTO2_WORD_SLOT_MASK == index {
        if let place { dispatcher.redo.remove(at: place) }
      } else if place == nil, !dispatcher.redo.append(subtask) {
        violation("more subtasks are said to be lost than one block has")
      }
    }
  }

  private mutating func resumeCore(_ index: Int, _ dispatcher: Dispatcher) {
    let core = cores[index]
    for lane in 0..<cores.laneCount where !wasStored(core.word(lane)) {
      return laneHasChanged(index, lane)
    }
    // Before COND is read.
    let left = isHosted(index) ? nil : core.lanes.left.count
    let reading = LaneReading(
      (0..<cores.laneCount).map { (core.word($0), core.cond($0)) }, left: left)
    for lane in 0..<cores.laneCount { core.lane(lane).value = LaneState(word: core.word(lane)) }
    for dispatch in reading.outstanding {
      guard let task = task(of: dispatch.word) else {
        return violation(
          "DATA_MAIN_BASE of \(coreName(index)) lane \(dispatch.lane) names no task that runs")
      }
      var state = LaneState(word: dispatch.word, condBefore: dispatch.condBefore, task: task)
      state.adopt(core.lanes[dispatch.lane])
      core.lane(dispatch.lane).value = state
      let position = state.position
      dispatcher.ahead.setPlace(
        Gate(core: index, lane: dispatch.lane, position: position),
        slot: rings[task.ring].slotNumber(task.local))
      countSubtask(task)
    }
    core.nextLane.value = reading.nextLane
    core.oldestLane.value = reading.oldestLane
    core.retired.value = 0
    core.started.value = UInt32(reading.outstanding.count)
    // The next number, whether or not the last one was for a word that was stored.
    if core.word(reading.lastLane) != .idle {
      core.position.value = core.lanes[reading.lastLane].position.loadOwn() &+ 1
    }
    if !S.isShared && !reading.outstanding.isEmpty { dispatcher.table.busyCores += 1 }
  }

  /// True for what a scheduler stores to a lane.
  private func wasStored(_ word: DispatchWord) -> Bool {
    switch word.content {
    case .idle: word == .idle
    case .exit: true
    case .dispatch(let offset, _):
      (0..<rings.count).contains { rings[$0].slotIndex(ofDescriptor: offset) != nil }
    case .invalid: false
    }
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

  private func countSubtask(_ task: TaskID) { pendingEntry(task)?.subtasksLeft.value += 1 }

  /// What waits to run again counts as not done.
  private func resumeRedo(_ dispatcher: Dispatcher) {
    for index in 0..<RedoQueue.capacity {
      guard let lost = dispatcher.redo[index] else { continue }
      if !isLost(lost) {
        dispatcher.redo.remove(at: index)
      } else {
        countSubtask(lost.task)
      }
    }
  }
}
