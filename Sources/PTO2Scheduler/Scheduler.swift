internal import CPTO2Segment
package import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// The scheduler role, one thread of it: reads the submission log, wires fanin,
/// dispatches ready tasks, and takes finished ones through COMPLETED, RELEASED
/// and CONSUMED.
///
/// Each thread polls the cores of its own clusters; cluster c belongs to thread
/// c modulo the number of threads. Reading the log, dispatching, and moving
/// each watermark are done by whoever gets the try-lock.
///
/// `step` is one round of all that; it never blocks. `park` sleeps until some
/// word it waits for changes. The hot path allocates nothing.
@safe package struct Scheduler<S: Sharing>: ~Copyable {
  package let shared: SharedState
  /// Number of this thread, and of all.
  let index: Int
  let threads: Int
  let log: UnsafePointer<pto2_log_record>
  let logMask: UInt32
  let submitted: SharedWord
  let orchestratorParked: SharedWord
  let orchestratorTarget: SharedWord
  let control: SharedWord
  let wiredWord: OwnedWord
  let parkedWord: OwnedWord
  /// The same word: a bit per thread that sleeps.
  let parkedBits: UnsafeMutablePointer<UInt32>
  let controlWord: OwnedWord
  let ringCount: Int

  // Parts of `shared`.
  let rings: UnsafeMutablePointer<RingState>
  let logState: UnsafeMutablePointer<LogState>
  let dispatcher: UnsafeMutablePointer<Dispatcher>
  let cores: UnsafeMutablePointer<CoreState>
  let coreCount: Int
  let laneCount: UInt32
  let lines: Lines
  let intent: Intent
  /// In the segment: PTO2_SCHED_FENCED and PTO2_SCHED_FAILURES.
  let fenced: UnsafeMutableRawPointer
  let failures: UnsafeMutablePointer<pto2_failures>

  /// Own cores not yet seen READY, or whose worker has died.
  var absentCores = 0
  /// Of `lines.deaths`, how many this thread has dealt with.
  var deathsSeen: UInt32 = 0
  /// Cores dispatched to since the last wake, by slot.
  var toWake: (UInt64, UInt64, UInt64) = (0, 0, 0)
  /// Watermark advances since it was last looked whether the orchestrator waits
  /// for one.
  var advances: UInt32 = 0
  /// True when `last_task_consumed` of some ring has moved since the
  /// orchestrator was last woken.
  var hasConsumed = false
  package var counters = SchedulerCounters()
  /// One per core.
  let kernelWatches: UnsafeMutablePointer<StallWatch>
  var sessionWatch: StallWatch
  var waitSet = WaitSet()

  /// Records wired in one step, so that finished cores are not kept waiting.
  static var wiringBudget: UInt32 { 64 }

  /// - Parameter index: 0 for the first thread, which also answers for the
  ///   process: it announces, watches the other processes, and stops the cores.
  package init(_ shared: SharedState, index: Int = 0) {
    let segment = shared.segment.configuration
    let orchestrator = unsafe shared.segment.read(.orchestratorWords)
    let own = unsafe shared.segment.write(.schedulerWords)
    unsafe log = shared.segment.read(.submissionLog).assumingMemoryBound(to: pto2_log_record.self)
    logMask = segment.logCapacity - 1
    submitted = unsafe SharedWord(orchestrator + Int(PTO2_ORCH_SUBMITTED))
    orchestratorParked = unsafe SharedWord(orchestrator + Int(PTO2_ORCH_PARKED))
    orchestratorTarget = unsafe SharedWord(orchestrator + Int(PTO2_ORCH_TARGET))
    control = unsafe SharedWord(orchestrator + Int(PTO2_ORCH_CONTROL))
    wiredWord = unsafe OwnedWord(own + Int(PTO2_SCHED_WIRED))
    parkedWord = unsafe OwnedWord(own + Int(PTO2_SCHED_PARKED))
    unsafe parkedBits = (own + Int(PTO2_SCHED_PARKED)).assumingMemoryBound(to: UInt32.self)
    controlWord = unsafe OwnedWord(own + Int(PTO2_SCHED_CONTROL))
    unsafe fenced = own + Int(PTO2_SCHED_FENCED)
    unsafe failures = (own + Int(PTO2_SCHED_FAILURES)).assumingMemoryBound(
      to: pto2_failures.self)
    ringCount = segment.rings.count
    unsafe rings = shared.rings
    unsafe logState = shared.log
    unsafe dispatcher = shared.dispatcher
    unsafe cores = shared.dispatcher.pointee.cores.cores
    coreCount = segment.coreCount
    laneCount = segment.lanes
    unsafe lines = shared.lines
    unsafe intent = shared.dispatcher.pointee.cores.intent
    self.index = index
    threads = Int(segment.schedulerThreads)
    sessionWatch = StallWatch(limitMilliseconds: segment.stallLimitMilliseconds)
    unsafe kernelWatches = .allocate(capacity: coreCount)
    unsafe kernelWatches.initialize(repeating: sessionWatch, count: coreCount)
    self.shared = shared
    for core in 0..<coreCount where isOwn(core) { absentCores += 1 }
    if index == 0 && !shared.isRestart {
      unsafe wiredWord.storeRelaxed(logState.pointee.wired)
    }
  }

  deinit { unsafe kernelWatches.deallocate() }

  /// Publishes that the scheduler takes part; every word before it is set up.
  /// Not when it has failed already.
  package func announce(isSupervised: Bool) {
    if hasFailed { return }
    let own = unsafe shared.segment.write(.schedulerWords)
    unsafe ProcessRecord.announce(isSupervised: isSupervised, at: own + Int(PTO2_SCHED_PROCESS))
    controlWord.storeRelease(PTO2_SCHED_ATTACHED)
    Futex.wake(controlWord.shared)
  }

  /// First thread: the supervisor sees that it goes round.
  func beat(_ now: UInt64) {
    unsafe ProcessRecord.beat(
      now, at: shared.segment.write(.schedulerWords) + Int(PTO2_SCHED_PROCESS))
  }

  /// True for the cores this thread polls.
  @inline(__always)
  func isOwn(_ core: Int) -> Bool { !S.isShared || core / 3 % threads == index }

  /// One round: finished kernels, new submissions, dispatch, wakes.
  /// - Returns: how much was done; 0 means that nothing can be done now.
  package mutating func step() -> Int {
    if hasFailed { return 0 }
    if unsafe S.load(lines.deaths) != deathsSeen { fenceDeadCores() }
    var work = pollCores()
    work += readLog()
    work += dispatchReady()
    wakePeers(isIdle: work == 0)
    return work
  }

  /// True when every published record is wired and every task CONSUMED.
  package mutating func isDrained() -> Bool {
    guard unsafe S.load(&logState.pointee.wired) == submitted.loadAcquire() else { return false }
    for ring in 0..<ringCount {
      guard
        unsafe S.load(&rings[ring].wired) == S.load(&rings[ring].consumedPosition)
      else { return false }
    }
    return true
  }

  /// Tasks that were published, once each of them is RELEASED; nil before.
  package mutating func tasksDone() -> UInt64? {
    guard unsafe S.load(&logState.pointee.wired) == submitted.loadAcquire() else { return nil }
    var count: UInt64 = 0
    for ring in 0..<ringCount {
      let released = unsafe S.load(&rings[ring].released)
      guard unsafe S.load(&rings[ring].wired) == released else { return nil }
      count += UInt64(released &- shared.segment.configuration.firstPosition)
    }
    return count
  }

  // MARK: The first error

  /// True once some thread has failed; `step` then does nothing.
  @inline(__always)
  package var hasFailed: Bool { unsafe S.load(lines.failed) != 0 }

  /// The first error of all threads.
  package var failure: PTO2Error? {
    unsafe ErrorBlock(shared.segment.write(.schedulerWords) + Int(PTO2_SCHED_ERROR)).read()?.error
  }

  /// Keeps the first error, publishes it, and wakes who waits for this role.
  package mutating func fail(_ error: PTO2Error, core: Int? = nil) {
    guard unsafe S.exchange(lines.failed, 1) == 0 else { return }
    let own = unsafe shared.segment.write(.schedulerWords)
    unsafe ErrorBlock.write(error, core: core, to: own + Int(PTO2_SCHED_ERROR))
    controlWord.storeRelease(PTO2_SCHED_FATAL)
    Futex.wake(controlWord.shared)
    for ring in 0..<ringCount {
      unsafe Futex.wake(rings[ring].releasedWord.shared)
      unsafe Futex.wake(rings[ring].consumedWord.shared)
    }
    Futex.wake(wiredWord.shared)
    ringAllBells()
  }

  /// Takes a try-lock; counts when somebody else has it.
  @inline(__always)
  mutating func tryLock(_ lock: UnsafeMutablePointer<UInt32>) -> Bool {
    if unsafe S.tryLock(lock) { return true }
    counters.lostLocks += 1
    return false
  }

  // MARK: Finished kernels

  /// Reads COND of every own core with something outstanding, and READY of
  /// those not yet seen.
  mutating func pollCores() -> Int {
    var work = absentCores > 0 ? admitCores() : 0
    var left = unsafe S.isShared ? coreCount : dispatcher.pointee.cores.busyCores
    var core = 3 * index
    while left > 0 && core < coreCount {
      if outstanding(core) > 0 {
        left -= 1
        repeat {
          guard pollOldest(core) else { break }
          work += 1
        } while outstanding(core) > 0
      }
      core += 1
      if S.isShared && core % 3 == 0 { core += 3 * (threads - 1) }
    }
    return work
  }

  @inline(__always)
  func outstanding(_ core: Int) -> UInt32 {
    unsafe dispatcher.pointee.cores.outstanding(core, S.self)
  }

  /// True when the core's oldest dispatch has finished and was completed.
  @inline(__always)
  mutating func pollOldest(_ core: Int) -> Bool {
    let lane = unsafe cores[core].oldestLane
    let state = unsafe dispatcher.pointee.cores.lane(core, lane)
    // Acquire: pairs with the core's release of FIN, after the kernel's stores.
    let cond = unsafe ConditionWord(rawValue: cores[core].cond(lane).loadAcquire())
    let word = unsafe state.pointee.word
    guard cond == .fin(word) else {
      // Not when EXITED: the worker saw the session end first; so will this process.
      if unsafe cond.progress(of: word, after: state.pointee.condBefore) == .garbage {
        garbage(cond, core, lane)
      }
      return false
    }
    let taskID = unsafe state.pointee.taskID
    retireOldest(core)
    finishSubtask(TaskID(rawValue: taskID))
    return true
  }

  /// The oldest dispatch of a core has its FIN: the lane is free again.
  @inline(__always)
  mutating func retireOldest(_ core: Int) {
    let state = unsafe cores + core
    let next = unsafe state.pointee.oldestLane + 1
    unsafe state.pointee.oldestLane = next == laneCount ? 0 : next
    unsafe S.store(&state.pointee.retired, state.pointee.retired &+ 1)
    if !S.isShared && outstanding(core) == 0 {
      unsafe dispatcher.pointee.cores.busyCores -= 1
    }
    noteFree(core)
  }

  /// Tells the dispatcher of a READY or a FIN.
  @inline(__always)
  private mutating func noteFree(_ core: Int) {
    if S.isShared {
      unsafe S.or(lines.freed(core % 3), 1 << UInt64(core / 3))
    } else {
      unsafe dispatcher.pointee.cores.note(core, S.self)
    }
  }

  mutating func admitCores() -> Int {
    var admitted = 0
    for core in 0..<coreCount where isOwn(core) {
      let state = unsafe cores + core
      guard unsafe state.pointee.incarnation == 0 else { continue }
      let incarnation = unsafe state.pointee.ready.loadAcquire()
      guard incarnation != fencedWord(core).loadOwn() else { continue }
      // As long as no kernel has run there.
      if let process = unsafe ProcessRecord(state.pointee.process).read() {
        unsafe state.pointee.host = (process.identity, process.isSupervised)
      }
      // Before anything is dispatched there.
      admittedWord(core).storeRelease(1)
      unsafe S.store(&state.pointee.incarnation, incarnation)
      noteFree(core)
      absentCores -= 1
      admitted += 1
    }
    return admitted
  }
}

/// What one scheduler thread has done.
package struct SchedulerCounters: Sendable {
  var completed: UInt64 = 0
  var edges: UInt64 = 0
  var dispatched: UInt64 = 0
  var parks: UInt64 = 0
  /// Try-locks that were found taken.
  package var lostLocks: UInt64 = 0

  mutating func add(_ other: SchedulerCounters) {
    completed += other.completed
    edges += other.edges
    dispatched += other.dispatched
    parks += other.parks
    lostLocks += other.lostLocks
  }
}
