internal import CPTO2ABI
package import PTO2Protocol
package import PTO2Segment
internal import PTO2System

/// The scheduler role: reads the submission log, wires fanin, dispatches ready
/// tasks, and takes finished ones through COMPLETED, RELEASED and CONSUMED.
///
/// `step` is one round of all that; it never blocks. `park` sleeps until some
/// word it waits for changes. The hot path allocates nothing.
@safe package struct Scheduler: ~Copyable {
  let segment: Segment
  let log: UnsafePointer<pto2_log_record>
  let logMask: UInt32
  let submitted: SharedWord
  let orchestratorParked: SharedWord
  let orchestratorTarget: SharedWord
  let control: SharedWord
  let wiredWord: OwnedWord
  let parkedWord: OwnedWord
  let controlWord: OwnedWord
  let ringCount: Int

  let rings: UnsafeMutablePointer<RingState>
  let reservations: UnsafeMutablePointer<RingReservation>
  var ready: ReadyQueues
  var cores: CoreTable

  /// Log position of the next record to wire.
  var wired: UInt32
  /// The `submitted` word as last read.
  var knownSubmitted: UInt32
  /// The rest of a scope end that is being worked off.
  var scopeEnd: (ring: Int, local: UInt32, left: UInt32) = (0, 0, 0)
  /// The shape whose first task waits for enough idle cores to start all its
  /// blocks together.
  var drainingFor: TaskShape?
  /// Watermark advances since it was last looked whether the orchestrator waits
  /// for one.
  var advances: UInt32 = 0
  /// True when `last_task_consumed` of some ring has moved since the
  /// orchestrator was last woken.
  var hasConsumed = false
  var counters = Counters()
  /// The first error; once set, `step` does nothing.
  package private(set) var failure: PTO2Error?

  var waitSet = WaitSet()

  struct Counters {
    var completed: UInt64 = 0
    var edges: UInt64 = 0
    var dispatched: UInt64 = 0
    var parks: UInt64 = 0
    var firstDispatch: UInt64 = 0
  }

  /// Records wired in one step, so that finished cores are not kept waiting.
  static let wiringBudget: UInt32 = 64

  package init(_ segment: consuming Segment) {
    let configuration = segment.configuration
    let orchestrator = unsafe segment.read(.orchestratorWords)
    let own = unsafe segment.write(.schedulerWords)
    unsafe log = segment.read(.submissionLog).assumingMemoryBound(to: pto2_log_record.self)
    logMask = configuration.logCapacity - 1
    submitted = unsafe SharedWord(orchestrator + Int(PTO2_ORCH_SUBMITTED))
    orchestratorParked = unsafe SharedWord(orchestrator + Int(PTO2_ORCH_PARKED))
    orchestratorTarget = unsafe SharedWord(orchestrator + Int(PTO2_ORCH_TARGET))
    control = unsafe SharedWord(orchestrator + Int(PTO2_ORCH_CONTROL))
    wiredWord = unsafe OwnedWord(own + Int(PTO2_SCHED_WIRED))
    parkedWord = unsafe OwnedWord(own + Int(PTO2_SCHED_PARKED))
    controlWord = unsafe OwnedWord(own + Int(PTO2_SCHED_CONTROL))
    ringCount = configuration.rings.count
    wired = configuration.firstPosition
    knownSubmitted = configuration.firstPosition

    unsafe rings = .allocate(capacity: ringCount)
    unsafe reservations = .allocate(capacity: ringCount)
    var slots: UInt32 = 0
    for ring in 0..<ringCount {
      unsafe (rings + ring).initialize(to: RingState(segment, ring: ring, firstSlot: slots))
      unsafe (reservations + ring).initialize(to: RingReservation(segment.layout, ring: ring))
      slots += configuration.rings[ring].taskWindow
      unsafe rings[ring].releasedWord.storeRelaxed(configuration.firstPosition)
      unsafe rings[ring].consumedWord.storeRelaxed(configuration.firstPosition)
    }
    unsafe ready = ReadyQueues(slotCount: Int(slots))
    unsafe cores = CoreTable(segment)
    wiredWord.storeRelaxed(configuration.firstPosition)
    self.segment = segment
  }

  deinit {
    unsafe reservations.deinitialize(count: ringCount)
    unsafe reservations.deallocate()
    unsafe rings.deallocate()
    unsafe ready.deallocate()
    unsafe cores.deallocate()
  }

  /// Publishes that the scheduler takes part; every word before it is set up.
  package func announce(isSupervised: Bool) {
    let own = unsafe segment.write(.schedulerWords)
    unsafe ProcessRecord.announce(isSupervised: isSupervised, at: own + Int(PTO2_SCHED_PROCESS))
    controlWord.storeRelease(PTO2_SCHED_ATTACHED)
    Futex.wake(controlWord.shared)
  }

  /// One round: finished kernels, new submissions, dispatch, wakes.
  /// - Returns: how much was done; 0 means that nothing can be done now.
  package mutating func step() -> Int {
    if failure != nil { return 0 }
    var work = pollCores()
    work += readLog()
    work += dispatchReady()
    wakePeers(isIdle: work == 0)
    return work
  }

  /// True when every published record is wired and every task CONSUMED.
  package mutating func isDrained() -> Bool {
    guard wired == submitted.loadAcquire(), scopeEnd.left == 0, unsafe cores.busyCores == 0 else {
      return false
    }
    for ring in 0..<ringCount {
      guard unsafe rings[ring].wired == rings[ring].consumedPosition else { return false }
    }
    return true
  }

  /// Keeps the first error, publishes it, and wakes who waits for this role.
  package mutating func fail(_ error: PTO2Error, core: Int? = nil) {
    guard failure == nil else { return }
    failure = error
    let own = unsafe segment.write(.schedulerWords)
    unsafe ErrorBlock.write(error, core: core, to: own + Int(PTO2_SCHED_ERROR))
    controlWord.storeRelease(PTO2_SCHED_FATAL)
    Futex.wake(controlWord.shared)
    for ring in 0..<ringCount {
      unsafe Futex.wake(rings[ring].releasedWord.shared)
      unsafe Futex.wake(rings[ring].consumedWord.shared)
    }
    Futex.wake(wiredWord.shared)
  }

  // MARK: Finished kernels

  /// Reads COND of every busy core, and READY of those not yet seen.
  mutating func pollCores() -> Int {
    var work = 0
    if unsafe cores.readyCores < cores.coreCount { work += admitCores() }
    var left = unsafe cores.busyCores
    var core = 0
    while left > 0 {
      if unsafe cores.cores[core].outstanding > 0 {
        left -= 1
        while unsafe cores.cores[core].outstanding > 0, pollOldest(core) { work += 1 }
      }
      core += 1
      if unsafe core == cores.coreCount { break }
    }
    return work
  }

  /// True when the core's oldest dispatch has finished and was completed.
  @inline(__always)
  mutating func pollOldest(_ core: Int) -> Bool {
    let lane = unsafe cores.cores[core].oldestLane
    let state = unsafe cores.lane(core, lane)
    // Acquire: pairs with the core's release of FIN, after the kernel's stores.
    let cond = unsafe cores.cores[core].cond(lane).loadAcquire()
    let word = unsafe state.pointee.word
    guard cond == word | PTO2_COND_FIN else {
      // EXITED: the worker saw the session end first; so will this process.
      if unsafe cond != word && cond != state.pointee.condBefore && cond != PTO2_EXITED {
        garbage(cond, core, lane)
      }
      return false
    }
    let taskID = unsafe state.pointee.taskID
    unsafe cores.retireOldest(core: core)
    finishSubtask(TaskID(rawValue: taskID))
    return true
  }

  mutating func garbage(_ cond: UInt32, _ core: Int, _ lane: UInt32) {
    let expected = unsafe cores.lane(core, lane).pointee
    fail(
      PTO2Error(
        .garbageWord,
        "core \(coreName(core)) lane \(lane): COND is 0x\(String(cond, radix: 16)), expected ACK or FIN of 0x\(String(expected.word, radix: 16)) or 0x\(String(expected.condBefore, radix: 16)). The worker's memory was overwritten, probably by a kernel",
        task: TaskID(rawValue: expected.taskID)), core: core)
  }

  mutating func admitCores() -> Int {
    var admitted = 0
    for core in 0..<(unsafe cores.coreCount) {
      let state = unsafe cores.cores + core
      guard unsafe state.pointee.incarnation == 0 else { continue }
      let incarnation = unsafe state.pointee.ready.loadAcquire()
      guard incarnation != 0 else { continue }
      unsafe cores.admit(core, incarnation: incarnation)
      admitted += 1
    }
    return admitted
  }

  // MARK: Wakes

  /// One fence for all stores of this step, then a look at who is parked.
  mutating func wakePeers(isIdle: Bool) {
    let toWake = unsafe cores.toWake
    let hasDispatched = toWake.0 | toWake.1 | toWake.2 != 0
    let isOrchestratorDue = advances > 0 && (isIdle || advances >= 16)
    guard hasDispatched || isOrchestratorDue else { return }
    // No load of a parked word may pass the stores of the words it guards;
    // pairs with the parkers' fence between `parked` and their last look.
    fullFence()
    if hasDispatched {
      for slot in 0..<3 {
        var mask = unsafe CoreTable.bits(toWake, slot)
        while mask != 0 {
          let core = 3 * mask.trailingZeroBitCount + slot
          mask &= mask &- 1
          let state = unsafe cores.cores + core
          guard unsafe state.pointee.parked.loadRelaxed() != 0 else { continue }
          // The core sleeps on the lane after its newest finished one; any of
          // its outstanding lanes may be that.
          var lane = unsafe state.pointee.oldestLane
          for _ in 0..<(unsafe state.pointee.outstanding) {
            unsafe Futex.wake(state.pointee.wordToCore(lane).shared)
            lane = unsafe lane + 1 == cores.laneCount ? 0 : lane + 1
          }
        }
      }
      unsafe cores.toWake = (0, 0, 0)
    }
    if isOrchestratorDue {
      advances = 0
      wakeOrchestrator(evenBeforeTarget: false)
    }
  }

  /// Wakes the orchestrator on the one word it says it sleeps on, once that has
  /// reached the position it says it needs.
  ///
  /// What it waits for in the consumed ring may come earlier than its target
  /// (any output may have been the one in the way), so it is also woken before
  /// this process sleeps.
  mutating func wakeOrchestrator(evenBeforeTarget: Bool) {
    let reason = orchestratorParked.loadAcquire()
    if reason == 0 { return }
    let target = Position(orchestratorTarget.loadRelaxed())
    func isReached(_ position: UInt32) -> Bool { Position(position).distance(from: target) >= 0 }
    switch reason {
    case PTO2_PARKED_ON_WIRED:
      if isReached(wired) { Futex.wake(wiredWord.shared) }
    case PTO2_PARKED_ON_RELEASED..<PTO2_PARKED_ON_RELEASED + UInt32(ringCount):
      let ring = unsafe rings + Int(reason - PTO2_PARKED_ON_RELEASED)
      if unsafe isReached(ring.pointee.released) {
        unsafe Futex.wake(ring.pointee.releasedWord.shared)
      }
    case PTO2_PARKED_ON_CONSUMED..<PTO2_PARKED_ON_CONSUMED + UInt32(ringCount):
      let ring = unsafe rings + Int(reason - PTO2_PARKED_ON_CONSUMED)
      if unsafe isReached(ring.pointee.consumedPosition) || (evenBeforeTarget && hasConsumed) {
        hasConsumed = false
        unsafe Futex.wake(ring.pointee.consumedWord.shared)
      }
    default: break
    }
  }
}
