internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// What becomes of the tasks of a worker that has died.
extension Scheduler {
  /// The `READY` value of a core's last worker that is known to be gone. The
  /// next worker touches the core's words only after this says so.
  @inline(__always)
  func fencedWord(_ core: Int) -> OwnedWord { unsafe OwnedWord(fenced + 4 * core) }

  /// 1 while a READY worker of the core is not fenced.
  @inline(__always)
  func admittedWord(_ core: Int) -> OwnedWord {
    unsafe OwnedWord(fenced - Int(PTO2_SCHED_FENCED - PTO2_SCHED_ADMITTED) + 4 * core)
  }

  /// Any thread: the process of a core has ended, every thread of it. The core's
  /// own thread deals with it in its next step.
  package mutating func noteDeath(_ core: Int) {
    unsafe S.store(lines.isDead(core), 1)
    _ = unsafe S.add(lines.deaths, 1)
    ringAllBells()
  }

  /// First thread: the core's worker is about to be killed, for a reason that is
  /// one of PTO2_FAILURE_...
  package mutating func noteKill(_ core: Int, because reason: UInt32) {
    unsafe S.store(lines.killReason(core), reason)
  }

  /// Fences own cores whose worker has died. When another thread dispatches at
  /// the moment, the next step tries again.
  mutating func fenceDeadCores() {
    let deaths = unsafe S.load(lines.deaths)
    if S.isShared {
      guard unsafe tryLock(lines.dispatchLock) else { return }
    }
    for core in 0..<coreCount where isOwn(core) {
      guard unsafe S.load(lines.isDead(core)) != 0 else { continue }
      fence(core)
      // Not before: nobody is to take this death for a second one.
      unsafe S.store(lines.isDead(core), 0)
    }
    if S.isShared {
      unsafe S.unlock(lines.dispatchLock)
      fullFence()
    }
    deathsSeen = deaths
  }

  /// Reads the dead worker's COND words for the last time and decides for each
  /// dispatch; then lets the next worker in.
  private mutating func fence(_ core: Int) {
    let state = unsafe cores + core
    let gone = unsafe state.pointee.ready.loadAcquire()
    // A kernel may have changed the word: who was admitted is fenced.
    guard unsafe state.pointee.incarnation != 0 || gone != fencedWord(core).loadOwn() else {
      return
    }
    var ended: [TaskID] = []
    while outstanding(core) > 0 {
      let laneIndex = unsafe state.pointee.oldestLane
      let lane = unsafe dispatcher.pointee.cores.lane(core, laneIndex).pointee
      // The kernel's stores and this word are there: its process has ended.
      let cond = unsafe ConditionWord(rawValue: state.pointee.cond(laneIndex).loadAcquire())
      let progress = cond.progress(of: lane.word, after: lane.condBefore)
      let lost = lostSubtask(core, laneIndex, lane.taskID)
      retireOldest(core)
      if progress == .finished || !lose(lost, core: core, hasBegun: progress.hasBegun) {
        ended.append(TaskID(rawValue: lane.taskID))
      }
    }
    unsafe S.store(lines.killReason(core), 0)
    unsafe S.store(lines.quarantine(core), 0)
    // Before anything is completed: a scheduler that comes after this one must not
    // take a dead dispatch for one of the task that has its main slot then.
    unsafe dispatcher.pointee.cores.reset(core)
    if unsafe state.pointee.incarnation != 0 { absentCores += 1 }
    unsafe S.store(&state.pointee.incarnation, 0)
    for id in ended { finishSubtask(id) }
    // Pairs with the next worker's acquire: the lanes are idle again.
    admittedWord(core).storeRelease(0)
    fencedWord(core).storeRelease(gone)
    Futex.wake(fencedWord(core).shared)
  }

  /// What was dispatched to a lane.
  func lostSubtask(_ core: Int, _ lane: UInt32, _ task: UInt64) -> LostSubtask {
    unsafe LostSubtask(
      task: task, slot: cores[core].wordToCore(lane).loadOwn() & PTO2_WORD_SLOT_MASK,
      block: cores[core].words[Int(PTO2_MAX_LANES) + Int(lane)])
  }

  /// The re-run rule. What was not acknowledged has not begun. What has begun is
  /// run once more if that gives the same, at most three times in all, and not if
  /// it has crashed two workers by itself.
  /// - Returns: false when it is not run again: the task has FAILED.
  mutating func lose(_ lost: LostSubtask, core: Int, hasBegun: Bool) -> Bool {
    let id = TaskID(rawValue: lost.task)
    let entry = unsafe rings[id.ring].entry(id.local)
    _ = unsafe S.add(&failures.pointee.lost, 1)
    if hasBegun {
      let crash = unsafe SharedWord(shared.segment.readCore(core) + Int(PTO2_CORE_CRASH))
      // Up to what decides: each of many blocks may lose its worker.
      unsafe entry.pointee.kills = min(entry.pointee.kills, UInt8.max - 1) + 1
      if (1...31).contains(crash.loadAcquire()) {
        unsafe entry.pointee.crashes = min(entry.pointee.crashes, UInt8.max - 1) + 1
      }
    }
    let mayRunAgain =
      unsafe !hasBegun
      || (entry.pointee.flags & UInt8(PTO2_SLOT_RERUN) != 0
        && entry.pointee.kills < UInt8(PTO2_MAX_KILLS)
        && entry.pointee.crashes < UInt8(PTO2_MAX_CRASHES))
    if mayRunAgain {
      unsafe dispatcher.pointee.redo.append(lost)
    } else {
      unsafe fail(id, entry, core: core, slot: lost.slot)
    }
    return mayRunAgain
  }

  /// FAILED: a root cause for the report.
  private mutating func fail(
    _ id: TaskID, _ entry: UnsafeMutablePointer<pto2_consumed_entry>, core: Int, slot: UInt32
  ) {
    guard unsafe S.load(&entry.pointee.outcome) == 0 else { return }
    // It is not RELEASED: its main slot is still its own.
    let ids = unsafe rings[id.ring].slot(id.local).pointee.kernel_ids
    let kernel = slot == 0 ? ids.0 : slot == 1 ? ids.1 : ids.2
    let index = unsafe S.load(&failures.pointee.failed)
    if index < UInt32(PTO2_MAX_FAILURES) {
      let record = pto2_failure(
        task_id: id.rawValue, core: UInt32(core), code: UInt32(PTO2_ERROR_WORKER_DIED.rawValue),
        kills: UInt32(unsafe entry.pointee.kills),
        flags: UInt32(unsafe entry.pointee.flags)
          | (unsafe S.load(lines.killReason(core))) | UInt32(kernel) << 16)
      unsafe (UnsafeMutableRawPointer(failures)
        + MemoryLayout<pto2_failures>.offset(of: \.first)!
        + Int(index) * MemoryLayout<pto2_failure>.stride)
        .storeBytes(of: record, as: pto2_failure.self)
    }
    // Release: who sees the count sees the record. Only the dispatch lock's
    // holder gets here.
    unsafe OwnedWord(&failures.pointee.failed).storeRelease(index + 1)
    unsafe S.store(&entry.pointee.outcome, UInt32(PTO2_ERROR_WORKER_DIED.rawValue))
  }

  /// CANCELLED: a producer it needs did not end well. It passes through every
  /// state without running.
  @inline(never)
  mutating func cancel(_ entry: UnsafeMutablePointer<pto2_consumed_entry>) {
    unsafe S.store(&entry.pointee.outcome, PTO2_OUTCOME_CANCELLED)
  }

  /// Counts a CANCELLED task, before it is RELEASED.
  @inline(never)
  mutating func countCancelled(_ entry: UnsafeMutablePointer<pto2_consumed_entry>) {
    if unsafe entry.pointee.outcome == PTO2_OUTCOME_CANCELLED {
      _ = unsafe S.add(&failures.pointee.cancelled, 1)
    }
  }

  /// Starts lost subtasks again, each on any core of its kind, before any other
  /// there: so what is lost and what is outstanding never exceed the lanes. Those
  /// of a kind without a place hold up no other. The dispatcher's.
  @inline(never)
  mutating func dispatchRedo() -> Int {
    var work = 0
    var left = unsafe dispatcher.pointee.redo.count
    var place = 0
    while unsafe left > 0 && place < RedoQueue.capacity {
      defer { place += 1 }
      guard let lost = unsafe dispatcher.pointee.redo[place] else { continue }
      left -= 1
      let found = lost.slot == 0 ? matrixCluster().map { 3 * $0 } : vectorCore()
      guard let core = found else { continue }
      let id = TaskID(rawValue: lost.task)
      unsafe intent.begin(id, block: lost.block, slots: 1 << UInt8(lost.slot))
      start(id, core: core, slot: lost.slot, block: lost.block)
      unsafe dispatcher.pointee.redo.remove(at: place)
      unsafe intent.settle(slot: lost.slot)
      work += 1
    }
    return work
  }
}
