internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// One thread of the scheduler: reads the submission log, wires fanin, dispatches
/// ready tasks, and takes finished ones through COMPLETED, RELEASED and CONSUMED.
///
/// Each thread polls the cores of its own clusters; cluster c belongs to thread c
/// modulo the number of threads. Reading the log, dispatching, and moving each
/// watermark are done by whoever gets the try-lock.
///
/// `step` is one round of all that; it never blocks. `park` sleeps until some word it
/// waits for changes. The hot path allocates nothing.
@safe package struct SchedulerThread<S: Sharing>: ~Copyable {
  package let shared: SchedulerState
  /// Number of this thread, and of all.
  let index: Int
  let threads: Int
  let orchestrator: OrchestratorPage<SharedWord>
  let own: SchedulerPage<OwnedWord>

  // Parts of `shared`.
  let words: ThreadWords
  let rings: Rings
  let cores: Cores
  let log: TryLocked<LogReader, S>
  let dispatcher: TryLocked<Dispatcher, S>
  /// To the dispatcher, from any thread.
  let intake: Intake
  let transfers: Transfers?

  /// Own cores not yet seen READY, or whose worker has died.
  var absentCores = 0
  /// Of `words.deaths`, how many this thread has dealt with.
  var deathsSeen: UInt32 = 0
  var pendingWakes = PendingWakes()
  /// Rings with tasks that were RELEASED in this step, a bit each. With one thread alone.
  var dueRings: UInt32 = 0
  var counters = SchedulerCounters()
  var lookahead: Lookahead
  /// First thread: the others have nothing there.
  var health: SessionHealth
  var sleeper = Sleeper()
  /// Unused unless `S.isTraced`.
  var trace: SchedulerTrace

  /// Records wired in one step, so that finished cores are not kept waiting.
  static var wiringBudget: UInt32 { 64 }

  /// - Parameter index: 0 for the first thread, which also answers for the process: it
  ///   announces, watches the other processes, and stops the cores.
  package init(_ shared: SchedulerState, index: Int = 0) {
    let configuration = shared.segment.configuration
    self.shared = shared
    self.index = index
    threads = Int(configuration.schedulerThreads)
    orchestrator = shared.segment.orchestratorPage
    own = shared.segment.ownSchedulerPage
    words = shared.words
    rings = shared.rings
    cores = shared.cores
    let lost = words.lostLocks(index)
    log = TryLocked(shared.log, TryLock(words.logLock, lost: lost))
    dispatcher = TryLocked(shared.dispatcher, TryLock(words.dispatchLock, lost: lost))
    intake = Intake(to: shared.dispatcher.ready, head: words.intake)
    transfers = shared.transfers
    health = SessionHealth(configuration)
    trace = SchedulerTrace(shared.segment, thread: index)
    lookahead = Lookahead(
      isOn: !S.isShared && configuration.worksAhead, logPatience: configuration.logCapacity / 4)
    for core in 0..<cores.count where isOwn(core) { absentCores += 1 }
    if index == 0 && !shared.isRestart { own.wired.storeRelaxed(words.logWired.value) }
  }

  /// One round: finished kernels, new submissions, dispatch, wakes.
  /// - Returns: how much was done; 0 means that nothing can be done now.
  package mutating func step() -> Int {
    if hasFailed { return 0 }
    expireTraceClock()
    if S.load(words.deaths) != deathsSeen { fenceDeadCores() }
    var work = pollCores()
    if let transfers { work += takeEnds(transfers) }
    work += readLog()
    work += dispatchReady()
    if !S.isShared && counters.dispatched &- lookahead.depthsUpdated >= 256 {
      lookahead.depthsUpdated = counters.dispatched
      updateDepths()
    }
    if !S.isShared && dueRings != 0 { advanceDue() }
    wakePeers(isIdle: work == 0)
    return work
  }

  // MARK: Finished kernels

  /// Reads COND of every own core with something outstanding, and READY of those not
  /// yet seen.
  @inline(__always)
  private mutating func pollCores() -> Int {
    var work = absentCores > 0 ? admitCores() : 0
    var left = S.isShared ? cores.count : dispatcher.ofOnlyThread.table.busyCores
    var core = Int(PTO2_CORES_PER_CLUSTER) * index
    while left > 0 && core < cores.count {
      if outstanding(core) > 0 {
        left -= 1
        let before = work
        repeat {
          guard pollOldest(core) else { break }
          work += 1
        } while outstanding(core) > 0
        if !S.isShared && work != before { noteRetired(core) }
      }
      core += 1
      if S.isShared && core % Int(PTO2_CORES_PER_CLUSTER) == 0 {
        core += Int(PTO2_CORES_PER_CLUSTER) * (threads - 1)
      }
    }
    return work
  }

  /// True when the core's oldest dispatch has finished and was completed.
  @inline(__always)
  private mutating func pollOldest(_ index: Int) -> Bool {
    let core = cores[index]
    let laneIndex = core.oldestLane.value
    let lane = core.lane(laneIndex).value
    let cond = core.cond(laneIndex)
    guard cond == .fin(lane.word) else {
      // Not when EXITED: the worker saw the session end first; so will this process. Nor
      // of a core between two workers, whose words are the next one's to set up.
      if core.incarnation.value != 0,
        cond.progress(of: lane.word, after: lane.condBefore) == .garbage
      {
        quarantine(index, laneIndex, holding: cond)
      }
      return false
    }
    guard lane.stands(in: core.lanes[laneIndex]) else {
      laneHasChanged(index, laneIndex)
      return false
    }
    retireOldest(core)
    if S.isShared { noteRetired(index) }
    // The lane's next dispatch comes after this one's run.
    expireTraceClock()
    finishSubtask(lane.task)
    return true
  }

  /// The oldest dispatch of a core has its FIN: the lane is free again. `noteRetired` follows,
  /// before anything is dispatched.
  @inline(__always)
  func retireOldest(_ core: Core) {
    core.oldestLane.value = cores.laneAfter(core.oldestLane.value)
    S.store(core.retired, core.retired.value &+ 1)
  }

  @inline(__always)
  func noteRetired(_ index: Int) {
    if !S.isShared && outstanding(index) == 0 { dispatcher.ofOnlyThread.table.busyCores -= 1 }
    markFree(CoreID(index))
  }

  /// Tells the dispatcher of a READY or a FIN.
  @inline(__always)
  private func markFree(_ core: CoreID) {
    if S.isShared {
      S.or(words.freed(core.subtask), 1 << UInt64(core.cluster))
    } else {
      dispatcher.ofOnlyThread.table.markFree(core, cores[core], S.self)
    }
  }

  /// Looks which absent cores have announced READY.
  private mutating func admitCores() -> Int {
    var admitted = 0
    for index in 0..<cores.count where isOwn(index) {
      let core = cores[index]
      guard core.incarnation.value == 0 else { continue }
      let incarnation = core.page.ready.loadAcquire()
      guard incarnation != 0, incarnation != own.fenced(index).loadOwn() else { continue }
      // As long as no kernel has run there.
      if let process = core.page.process.read() { core.host = CoreHost(process) }
      // Before anything is dispatched there.
      own.admitted(index).storeRelease(1)
      S.store(core.incarnation, incarnation)
      markFree(CoreID(index))
      absentCores -= 1
      admitted += 1
      note(.coreReady, core: index)
    }
    return admitted
  }

  @inline(__always)
  func outstanding(_ core: Int) -> UInt32 { cores[core].outstanding(S.self) }

  /// True for the cores this thread polls.
  @inline(__always)
  func isOwn(_ core: Int) -> Bool { !S.isShared || CoreID(core).cluster % threads == index }

  /// Counts the try-locks that this thread has found taken.
  @inline(__always)
  var lostLocks: Cell<UInt64> { words.lostLocks(index) }
}
