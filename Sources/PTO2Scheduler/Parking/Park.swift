internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2System

extension SchedulerThread {
  /// Sleeps until a submission (first thread), a FIN or READY of an own core, a bell or
  /// a request, or the time is over.
  package mutating func park(timeoutNanoseconds: Int64) {
    let bell = words.bell(index)
    let seenBell = S.isShared ? S.load(bell) : 0
    let bit = UInt32(1) << UInt32(index)
    _ = S.add(own.parkedBits, bit)
    sleeper.didAnnounce()
    if S.load(words.deaths) != deathsSeen || (S.isShared && (Self.hasIntake(words) || isStopping)) {
      sleeper.stayAwake()
    }
    if index == 0 { sleeper.watch(orchestrator.submitted, while: S.load(words.logWired)) }
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
      _ = sleeper.sleep(timeoutNanoseconds: timeoutNanoseconds)
    } else if S.isShared {
      // What is there may be another thread's to take: let that run.
      yieldProcessor()
    }
    _ = S.add(own.parkedBits, 0 &- bit)
  }

  /// Until the core announces READY, or says something of its oldest dispatch.
  private mutating func watch(_ index: Int) {
    let core = cores[index]
    if core.incarnation.value == 0 {
      sleeper.watch(core.page.ready, while: own.fenced(index).loadOwn())
    } else if outstanding(index) > 0 {
      let lane = core.oldestLane.value
      let cond = sleeper.watch(core.page.cond(lane))
      if ConditionWord(rawValue: cond) == .fin(core.lane(lane).value.word) { sleeper.stayAwake() }
    }
  }
}
