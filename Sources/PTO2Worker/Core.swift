internal import CPTO2Segment
package import PTO2Protocol
package import PTO2Segment
internal import PTO2System

/// One AICore: reads its DATA_MAIN_BASE lanes in turn, acknowledges, runs the kernel,
/// says FIN. Nothing else, and no allocation while doing so.
@safe package struct Core: ~Copyable {
  package let id: CoreID
  /// This worker's, since it took the core.
  private let page: CorePage<OwnedWord>
  private let lanes: DispatchLanes<SharedWord>
  private let peers: CorePeers
  private let scheduler: SchedulerPage<SharedWord>
  private let orchestrator: OrchestratorPage<SharedWord>
  /// Wakes the scheduler thread that polls this core.
  private let publisher: Publisher
  /// Gates of the next dispatch that were found open.
  private var openGates = 0

  private let laneCount: UInt32
  /// The lane whose word comes next.
  private var lane: UInt32 = 0
  /// The last word served on each lane.
  private let served: UnsafeMutablePointer<UInt32>

  private let calls: CallDecoder
  private let snapshots: Snapshots
  private var frame: KernelFrame
  private let counters: KernelCounters
  private var sleeper = Sleeper()
  private var seat: Seat
  private let trace: TraceWriter

  /// What a step has come to.
  package enum Outcome: Equatable {
    /// Nothing to do on the next lane.
    case idle
    /// A gate before the next lane's dispatch is closed.
    case gated
    case ran
    /// EXIT was read and acknowledged.
    case exited
    /// A word or descriptor that no scheduler or orchestrator writes.
    case garbage(Garbage)
  }

  /// Takes the core: its lock, its page. Throws when a live process hosts it.
  package init(_ segment: borrowing Segment, core: Int, directory: KernelDirectory)
    throws(SegmentError)
  {
    self.init(segment, core: core, page: try segment.openCore(core), directory: directory)
  }

  /// - Parameter page: the core's, which this process has taken.
  init(
    _ segment: borrowing Segment, core: Int, page: CorePage<OwnedWord>, directory: KernelDirectory
  ) {
    id = CoreID(core)
    self.page = page
    lanes = segment.dispatchLanes(core)
    peers = segment.corePeers
    scheduler = segment.schedulerPage
    orchestrator = segment.orchestratorPage
    let thread = UInt32(truncatingIfNeeded: id.cluster) % segment.configuration.schedulerThreads
    publisher = Publisher(to: scheduler.parked, bits: 1 << thread)
    laneCount = segment.configuration.lanes
    calls = CallDecoder(segment, directory)
    snapshots = Snapshots(segment)
    frame = KernelFrame(
      segment.bytes, core: id, clusters: segment.configuration.clusters)
    counters = KernelCounters(page.ownCounters)
    trace = segment.traceWriter(.core(core))
    seat = Seat(id, page.cpu, peers, moves: segment.configuration.movesCores)
    unsafe served = .allocate(capacity: Int(PTO2_MAX_LANES))
    unsafe served.initialize(repeating: PTO2_SCHEDULER_IDLE, count: Int(PTO2_MAX_LANES))
  }

  deinit {
    unsafe served.deallocate()
    trace.deallocate()
  }

  // MARK: The beginning

  /// Waits until the scheduler has read the words of the worker that hosted this
  /// core before, if there was one: from then on they are this process's.
  /// - Returns: false when the session is over first.
  package func awaitFence() -> Bool {
    let before = page.ready.loadOwn()
    // The READY value that the scheduler knows to be gone, and whether it still counts
    // on the worker before. A kernel of that worker may have overwritten READY.
    let (gone, counted) = (scheduler.fenced(id.index), scheduler.admitted(id.index))
    var words = WaitSet()
    while true {
      // Acquire: pairs with the scheduler's release after it made the lanes idle.
      let admitted = counted.loadAcquire()
      let fenced = gone.loadAcquire()
      if fenced == before && admitted == 0 { return true }
      if !isSessionRunning { return false }
      words.removeAll()
      words.insert(gone, while: fenced)
      words.insert(counted, while: admitted)
      words.insert(orchestrator.control, while: PTO2_CONTROL_RUNNING)
      words.wait(timeoutNanoseconds: 100_000_000)
    }
  }

  /// Sets the COND lanes up, then announces READY(incarnation): readiness is published
  /// last, so no stale FIN is ever seen.
  package mutating func announce(isSupervised: Bool) {
    takeOver()
    page.parked.storeRelaxed(0)
    page.ownError.clear()
    page.crashSignal.storeRelaxed(0)
    unsafe recordCrashes(at: page.ownCrash, in: frame.memory)
    counters.resume()
    // One more than what the scheduler knows to be gone, and not 0, whatever a kernel
    // has left here.
    let gone = scheduler.fenced(id.index).loadRelaxed()
    page.ownProcess.incarnation = gone == UInt32.max ? 0 : gone
    let incarnation = page.ownProcess.announce(isSupervised: isSupervised)
    publisher.publish(incarnation, in: page.ready)
  }

  /// Goes on where the core's last worker has stopped: what that has left in the lanes is
  /// not taken, everything else is over. `awaitFence` has acquired what is left.
  private mutating func takeOver() {
    let left = lanes.left
    lane = left.lane % laneCount
    for index in 0..<UInt32(PTO2_MAX_LANES) {
      let word = DispatchWord(rawValue: lanes.word(index).loadAcquire())
      guard case .dispatch = word.content else {
        page.cond(index).storeRelaxed(PTO2_CORE_IDLE)
        continue
      }
      let isLeft = (index &+ laneCount &- lane) % laneCount < left.count
      unsafe served[Int(index)] = isLeft ? PTO2_SCHEDULER_IDLE : word.rawValue
      let cond = isLeft ? ConditionWord.notTaken(word) : .fin(word)
      page.cond(index).storeRelease(cond.rawValue)
    }
    // The worker before may have died between a FIN and the wake that belongs to it.
    Publisher.fence()
    for index in 0..<laneCount { wakeWaiters(index) }
  }

  // MARK: Serving

  /// Serves the next lane if there is a new word on it. Never blocks but in
  /// the kernel.
  package mutating func step() -> Outcome {
    // Acquire: pairs with the scheduler's release of the dispatch word; the
    // descriptor and main slot were published before it.
    let word = DispatchWord(rawValue: lanes.word(lane).loadAcquire())
    if unsafe word.rawValue == served[Int(lane)] { return .idle }
    switch word.content {
    case .idle: return .idle
    case .exit:
      leave()
      return .exited
    case .invalid:
      let bits = String(word.rawValue, radix: 16)
      return .garbage(Garbage("DATA_MAIN_BASE lane \(lane) is 0x\(bits)"))
    case .dispatch(let offset, let slot):
      do throws(Garbage) {
        if try closedGate() != nil { return .gated }
        // Acquired with the gates, or published by the word.
        if lanes[lane].skip.loadAcquire() == 0 {
          try run(word, descriptorOffset: offset, subtask: slot)
        }
      } catch { return .garbage(error) }
      unsafe served[Int(lane)] = word.rawValue
      openGates = 0
      let finished = lane
      lane = lane + 1 == laneCount ? 0 : lane + 1
      finish(word, finished)
      return .ran
    }
  }

  /// The first gate of the next lane's dispatch that is closed; nil when all are open.
  @inline(__always)
  private mutating func closedGate() throws(Garbage) -> Gate? {
    let next = lanes[lane]
    let count = next.gateCount
    while openGates < count {
      let gate = next.gate(openGates)
      guard gate.isPlausible(cores: peers.count) else {
        throw Garbage("gate \(openGates) of lane \(lane) names core \(gate.core)")
      }
      guard peers.isOpen(gate) else { return gate }
      openGates += 1
    }
    return nil
  }

  /// FIN, and who is to know of it.
  @inline(__always)
  private func finish(_ word: DispatchWord, _ finished: UInt32) {
    // Release: whoever sees FIN sees everything the kernel stored.
    page.cond(finished).storeRelease(ConditionWord.fin(word).rawValue)
    Publisher.fence()
    if publisher.isAsleep,
      lanes[finished].position.loadRelaxed() == lanes.wakeAt.loadRelaxed()
    {
      Futex.wake(page.cond(finished).shared)
    }
    wakeWaiters(finished)
  }

  /// Wakes the cores that sleep until this lane has its FIN. After a fence.
  @inline(__always)
  private func wakeWaiters(_ finished: UInt32) {
    var isAwaited = false
    let reason = Gate(core: id.index, lane: finished, position: 0).parkedReason
    for index in 0..<Int(PTO2_WAITER_WORDS) {
      var bits = lanes.waiters(index).loadRelaxed()
      while bits != 0 {
        let core = index * 32 + bits.trailingZeroBitCount
        bits &= bits &- 1
        if core < peers.count,
          CoreParked(rawValue: peers.page(core).parked.loadRelaxed()) == reason
        {
          isAwaited = true
        }
      }
    }
    if isAwaited { Futex.wake(page.cond(finished).shared) }
  }

  /// One dispatch, from its word to the end of its kernel. Everything read from the
  /// segment is checked first, so a damaged descriptor ends in an error, not in a wild
  /// call.
  @inline(__always)
  private mutating func run(
    _ word: DispatchWord, descriptorOffset offset: UInt64, subtask: UInt32
  ) throws(Garbage) {
    let call = try calls.decode(offset, subtask: subtask)
    // Before ACK: a worker that dies here has not begun, so the task comes again.
    if call.word.hasSnapshot { try snapshots.prepare(call) }
    // Release: the snapshot. The scheduler acquires it.
    page.cond(lane).storeRelease(ConditionWord.ack(word).rawValue)
    try frame.fill(call, subtask: subtask, lane: lanes[lane])
    seat.note()
    if trace.isOn {
      unsafe counters.run(
        call.function, frame.arguments, call.slot.taskID,
        detail: TraceRecord.run(
          lane: lane, subtask: subtask, kernel: call.slot.kernelID(subtask)), trace)
    } else {
      unsafe counters.run(call.function, frame.arguments)
    }
  }

  /// While `step` finds nothing to do: to a CPU that no other core uses, if there is one.
  /// - Returns: true when it has moved.
  package mutating func leaveCrowd() -> Bool { seat.leaveCrowd() }

  /// Sleeps until the next lane's word changes or a gate before it opens, the session
  /// ends, or the time is over.
  package mutating func park(timeoutNanoseconds: Int64) {
    let word = lanes.word(lane)
    let last = DispatchWord(rawValue: word.loadAcquire())
    let hasWork = unsafe last.rawValue != served[Int(lane)] && last.content != .idle
    // What is wrong with a gate is found by `step`.
    let gate = hasWork ? (try? closedGate()) ?? nil : nil
    let reason = gate?.parkedReason ?? .on(lane: lane)
    sleeper.announce(reason.rawValue, in: page.parked)
    if let gate {
      // In this order: a lane's position never comes again, so while it is the gate's after
      // COND was compared, the FIN and its wake are still to come. COND alone may come back
      // to the same value (Verification/Models/gates.pml, COND_ALONE).
      _ = sleeper.watch(peers.page(gate.core).cond(gate.lane))
      sleeper.watch(peers.position(gate), while: gate.awaitedPosition)
      if peers.isOpen(gate) { sleeper.stayAwake() }
    } else if hasWork {
      sleeper.stayAwake()
    }
    sleeper.watch(word, while: last.rawValue)
    sleeper.watch(orchestrator.control, while: PTO2_CONTROL_RUNNING)
    if !sleeper.hasNews { counters.notePark() }
    _ = sleeper.sleep(timeoutNanoseconds: timeoutNanoseconds)
    sleeper.withdraw(from: page.parked)
  }

  // MARK: The end

  /// True while the orchestrator has neither ended nor failed.
  package var isSessionRunning: Bool {
    orchestrator.control.loadAcquire() == PTO2_CONTROL_RUNNING
  }

  /// Acknowledges EXIT, or the end of the session, on every lane.
  package func leave() {
    for lane in 0..<UInt32(PTO2_MAX_LANES) { page.cond(lane).storeRelease(PTO2_EXITED) }
  }

  /// Publishes this core's error; the process then ends.
  package func publish(_ error: PTO2Error) { page.ownError.write(error, core: id.index) }
}

/// What is wrong with a word, descriptor or slot, for the error's text.
package struct Garbage: Error, Equatable {
  package var text: String

  init(_ text: String) { self.text = text }
}
