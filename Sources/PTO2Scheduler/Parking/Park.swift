internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2System

extension SchedulerThread {
  /// Sleeps until enough is submitted or a transfer is over (first thread), a FIN or READY of
  /// an own core, a bell or a request, or the time is over.
  package mutating func park(timeoutNanoseconds: Int64) {
    if index == 0 && !S.isShared { updateDepths() }
    let hunger = setWakes()
    let wanted = S.load(words.logWired) &+ hunger.patience
    // Before `parked`: a wake for what is announced here changes it.
    let woken = index == 0 ? orchestrator.woken.loadAcquire() : 0
    if index == 0 { own.wanted.storeRelaxed(wanted) }
    let bell = words.bell(index)
    let seenBell = S.isShared ? S.load(bell) : 0
    let bit = UInt32(1) << UInt32(index)
    // Released: `wanted` and `wakeAt`.
    if S.isShared { _ = S.add(own.parkedBits, bit) } else { own.parked.storeRelease(bit) }
    sleeper.didAnnounce()
    if S.load(words.deaths) != deathsSeen || (S.isShared && (Self.hasIntake(words) || isStopping)) {
      sleeper.stayAwake()
    }
    if index == 0 {
      // By `wanted`, although another thread may have wired more since: the orchestrator
      // wakes once for each value of it.
      let submitted = Position(orchestrator.submitted.loadAcquire())
      if submitted.distance(from: Position(wanted)) >= 0 { sleeper.stayAwake() }
      sleeper.watch(orchestrator.woken, while: woken)
    }
    if index == 0, let transfers {
      sleeper.watch(transfers.link.ended, while: transfers.taken.value)
    }
    if S.isShared { sleeper.watch(bell.word.shared, while: seenBell) }
    // Once the program is over, threads beside the first wait for their bell.
    let request = sleeper.watch(orchestrator.control)
    if request == PTO2_CONTROL_FATAL || (index == 0 && request != PTO2_CONTROL_RUNNING) {
      sleeper.stayAwake()
    }
    for core in 0..<cores.count where isOwn(core) { watch(core) }
    wakeOrchestrator(evenBeforeTarget: true)
    if hasFailed { sleeper.stayAwake() }
    if !sleeper.hasNews {
      counters.parks += 1
      _ = sleeper.sleep(timeoutNanoseconds: min(timeoutNanoseconds, hunger.nanoseconds))
    } else if S.isShared {
      // What is there may be another thread's to take: let that run.
      yieldProcessor()
    }
    if S.isShared { _ = S.add(own.parkedBits, 0 &- bit) } else { own.parked.storeRelaxed(0) }
  }

  /// Every core that is in use has enough before it.
  var isStocked: Bool {
    guard !S.isShared, dispatcher.ofOnlyThread.table.busyCores > 0 else { return false }
    for index in 0..<cores.count where isInUse(index) {
      if outstanding(index) < enough(index) { return false }
    }
    return true
  }

  /// What the thread sleeps for.
  private struct Hunger {
    /// So many records that are not wired end the sleep.
    var patience: UInt32
    /// The longest sleep.
    var nanoseconds: Int64
  }

  /// Tells every own core when to wake this thread, and finds out when the orchestrator
  /// is to.
  ///
  /// A core that has enough before it says nothing, but of what a transfer waits for. Once all
  /// that are in use have enough, records may gather in the log; a core of a kind that was not
  /// used so far may be what they are for, so the sleep is short then.
  private mutating func setWakes() -> Hunger {
    var (isHungry, isBusy, isIdle) = (false, false, false)
    for index in 0..<cores.count where isOwn(index) {
      let outstanding = outstanding(index)
      if outstanding > 0 { isBusy = true } else { isIdle = true }
      if outstanding < enough(index) && isInUse(index) { isHungry = true }
    }
    let isEager = S.isShared || (isHungry && lookahead.unstarted > 0)
    for index in 0..<cores.count where isOwn(index) {
      let core = cores[index]
      let outstanding = outstanding(index)
      core.wakeLane = nil
      guard outstanding > 0 else { continue }
      let behind =
        isEager
        ? outstanding
        : max(min(enough(index), outstanding), outstandingForTransfers(core, of: outstanding))
      let lane = (core.oldestLane.value + outstanding - behind) % cores.laneCount
      core.wakeLane = lane
      core.lanes.wakeAt.storeRelaxed(core.lanes[lane].position.loadOwn())
    }
    if S.isShared || isHungry || !isBusy { return Hunger(patience: 1, nanoseconds: .max) }
    return Hunger(patience: lookahead.logPatience, nanoseconds: isIdle ? 1_000_000 : .max)
  }

  /// So many dispatches are enough for the core.
  private func enough(_ core: Int) -> UInt32 { Depth.wakeBelow(cores[core].depth.value) }

  /// Until the core announces READY, or says FIN of the dispatch with which it wakes this
  /// thread.
  private mutating func watch(_ index: Int) {
    let core = cores[index]
    if core.incarnation.value == 0 {
      sleeper.watch(core.page.ready, while: own.fenced(index).loadOwn())
      return
    }
    guard let lane = core.wakeLane else {
      // Another thread has dispatched to it since `setWakes`.
      if outstanding(index) > 0 { sleeper.stayAwake() }
      return
    }
    let cond = sleeper.watch(core.page.cond(lane))
    if ConditionWord(rawValue: cond) == .fin(core.lane(lane).value.word) { sleeper.stayAwake() }
  }
}
