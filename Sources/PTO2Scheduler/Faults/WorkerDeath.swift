internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// What becomes of the tasks of a worker that has died.
extension SchedulerThread {
  /// Any thread: the process of a core has ended, every thread of it. The core's own
  /// thread deals with it in its next step.
  package mutating func workerDied(_ core: Int) {
    S.store(words.isDead(core), 1)
    _ = S.add(words.deaths, 1)
    ringAllBells()
  }

  /// First thread: the core's worker is about to be killed, for a reason that is one of
  /// PTO2_FAILURE_...
  mutating func willKill(_ core: Int, because reason: UInt32) {
    S.store(words.killReason(core), reason)
  }

  /// Fences own cores whose worker has died. When another thread dispatches at the
  /// moment, the next step tries again.
  mutating func fenceDeadCores() {
    let deaths = S.load(words.deaths)
    // What is found meanwhile, the dispatch of this step looks for.
    let isDone = dispatcher.withLock { dispatcher in
      for core in 0..<cores.count where isOwn(core) && S.load(words.isDead(core)) != 0 {
        fence(core, dispatcher)
        // Not before: nobody is to take this death for a second one.
        S.store(words.isDead(core), 0)
      }
      return true
    }
    if isDone == true { deathsSeen = deaths }
  }

  /// Reads the dead worker's COND words for the last time and decides for each
  /// dispatch; then lets the next worker in, which goes on with what is left in the
  /// lanes: what is gated on these dispatches stays so.
  private mutating func fence(_ index: Int, _ dispatcher: Dispatcher) {
    let core = cores[index]
    let gone = core.page.ready.loadAcquire()
    // A kernel may have changed the word: who was admitted is fenced.
    guard core.incarnation.value != 0 || gone != own.fenced(index).loadOwn() else { return }
    note(.coreLost, core: index)
    let ended = decideOutstanding(index)
    S.store(words.killReason(index), 0)
    S.store(words.quarantine(index), 0)
    dispatcher.table.remove(CoreID(index))
    if core.incarnation.value != 0 { absentCores += 1 }
    S.store(core.incarnation, 0)
    admitNextWorker(index, after: gone)
    // After the next worker knows what is left: what these hold is free from here on.
    for id in ended { finishSubtask(id) }
  }

  /// Takes what is over off the lanes, up to the first dispatch that the next worker runs;
  /// what is over behind that, the next worker skips.
  /// - Returns: what was taken off.
  private mutating func decideOutstanding(_ index: Int) -> [TaskID] {
    let core = cores[index]
    var ended: [TaskID] = []
    var isHead = true
    var isFirst = true
    var laneIndex = core.oldestLane.value
    for _ in 0..<outstanding(index) {
      let lane = core.lane(laneIndex)
      // The kernels' stores and this word are there: the process has ended.
      let progress = core.cond(laneIndex)
        .progress(of: lane.value.word, after: lane.value.condBefore)
      var isOver = progress == .finished
      if !isOver {
        let lost = core.subtask(laneIndex, of: lane.value.task)
        isOver = !isToRun(lost, progress, isFirst, core: index)
        isFirst = false
      }
      if isOver && isHead {
        ended.append(lane.value.task)
        retireOldest(core)
        noteRetired(index)
      } else {
        isHead = false
        if isOver { core.skip(laneIndex) }
        // What the next worker makes of COND.
        lane.value.condBefore = .notTaken(lane.value.word)
      }
      laneIndex = cores.laneAfter(laneIndex)
    }
    return ended
  }

  /// The next worker may touch the core's words: it acquires `fenced`, and then it knows
  /// which lanes are without FIN.
  mutating func admitNextWorker(_ core: Int, after gone: UInt32) {
    cores[core].lanes.setLeft(lane: cores[core].oldestLane.value, count: outstanding(core))
    own.admitted(core).storeRelease(0)
    own.fenced(core).storeRelease(gone)
    Futex.wake(own.fenced(core).shared)
  }

  /// What becomes of a dispatch without FIN. It counts as lost if it had begun, or was
  /// the one that the worker would have begun with.
  /// - Returns: false when it is not run again: its task has FAILED.
  private mutating func isToRun(
    _ lost: Subtask, _ progress: ConditionWord.Progress, _ isFirst: Bool, core: Int
  ) -> Bool {
    let entry = rings.entry(lost.task)
    if progress.hasBegun || isFirst { _ = S.add(own.failures.lost, 1) }
    if progress.hasBegun {
      // Up to what decides: each of many blocks may lose its worker.
      entry.kills = min(entry.kills, UInt8.max - 1) + 1
      if (1...31).contains(cores[core].page.crashSignal.loadAcquire()) {
        entry.crashes = min(entry.crashes, UInt8.max - 1) + 1
      }
    }
    let flags = rings[lost.task.ring].slot(lost.task.local).flags
    if RerunRule.allows(
      hasBegun: progress.hasBegun, flags: flags, kills: entry.kills, crashes: entry.crashes)
    {
      return true
    }
    recordFailure(lost, entry, core: core)
    if lookahead.isOn { skipConsumers(of: lost.task) }
    return false
  }

  /// FAILED: a root cause for the report. Only the dispatcher's holder gets here.
  private mutating func recordFailure(_ lost: Subtask, _ entry: ConsumedEntry, core: Int) {
    guard S.load(entry.outcome) == 0 else { return }
    let table = own.failures
    let count = S.load(table.failedCount)
    // Each run of a session has records of its own.
    let index = count &- orchestrator.failedBefore.loadRelaxed()
    if index < UInt32(PTO2_MAX_FAILURES) {
      // It is not RELEASED: its main slot is still its own.
      let slot = rings[lost.task.ring].slot(lost.task.local)
      table.setRecord(
        Int(index),
        pto2_failure(
          task_id: lost.task.rawValue, core: UInt32(core), code: PTO2_ERROR_WORKER_DIED.rawValue,
          kills: UInt16(entry.kills), scope: slot.scope.rawValue,
          flags: UInt32(entry.flags.rawValue) | S.load(words.killReason(core))
            | UInt32(slot.kernelID(lost.index)) << 16))
    }
    // Release: who sees the count sees the record.
    table.failed.storeRelease(count &+ 1)
    S.store(entry.outcome, PTO2_ERROR_WORKER_DIED.rawValue)
  }
}

/// Which lost subtasks run again.
enum RerunRule {
  /// What was not acknowledged has not begun, and runs. What has begun is run once more
  /// if that gives the same, at most three times in all, and not if it has crashed two
  /// workers by itself.
  static func allows(hasBegun: Bool, flags: SlotFlags, kills: UInt8, crashes: UInt8) -> Bool {
    !hasBegun
      || (flags.contains(.rerun) && kills < UInt8(PTO2_MAX_KILLS)
        && crashes < UInt8(PTO2_MAX_CRASHES))
  }
}
