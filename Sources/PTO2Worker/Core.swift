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
  private let line: DispatchLine<SharedWord>
  private let scheduler: SchedulerPage<SharedWord>
  private let orchestrator: OrchestratorPage<SharedWord>
  /// Wakes the scheduler thread that polls this core.
  private let publisher: Publisher

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

  /// What a step has come to.
  package enum Outcome: Equatable {
    /// Nothing to do on the next lane.
    case idle
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
    id = CoreID(core)
    page = try segment.openCore(core)
    line = segment.dispatchLine(core)
    scheduler = segment.schedulerPage
    orchestrator = segment.orchestratorPage
    let thread = UInt32(truncatingIfNeeded: id.cluster) % segment.configuration.schedulerThreads
    publisher = Publisher(to: scheduler.parked, bits: 1 << thread)
    laneCount = segment.configuration.lanes
    calls = CallDecoder(segment, directory)
    snapshots = Snapshots(segment)
    frame = KernelFrame(segment.bytes, core: id)
    counters = KernelCounters(page.ownCounters)
    unsafe served = .allocate(capacity: Int(PTO2_MAX_LANES))
    unsafe served.initialize(repeating: PTO2_SCHEDULER_IDLE, count: Int(PTO2_MAX_LANES))
  }

  deinit { unsafe served.deallocate() }

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

  /// Resets the COND lanes, then announces READY(incarnation): readiness is
  /// published last, so no stale FIN is ever seen.
  package mutating func announce(isSupervised: Bool) {
    for lane in 0..<UInt32(PTO2_MAX_LANES) { page.cond(lane).storeRelaxed(PTO2_CORE_IDLE) }
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

  // MARK: Serving

  /// Serves the next lane if there is a new word on it. Never blocks but in
  /// the kernel.
  package mutating func step() -> Outcome {
    // Acquire: pairs with the scheduler's release of the dispatch word; the
    // descriptor and main slot were published before it.
    let word = DispatchWord(rawValue: line.word(lane).loadAcquire())
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
        try serve(word, descriptorOffset: offset, subtask: slot)
      } catch { return .garbage(error) }
      unsafe served[Int(lane)] = word.rawValue
      lane = lane + 1 == laneCount ? 0 : lane + 1
      return .ran
    }
  }

  /// One dispatch, from its word to FIN. Everything read from the segment is checked
  /// first, so a damaged descriptor ends in an error, not in a wild call.
  @inline(__always)
  private mutating func serve(
    _ word: DispatchWord, descriptorOffset offset: UInt64, subtask: UInt32
  ) throws(Garbage) {
    let call = try calls.decode(offset, subtask: subtask)
    // Before ACK: a worker that dies here has not begun, so the task comes again.
    if call.word.hasSnapshot { try snapshots.prepare(call.slot) }
    // Release: the snapshot. The scheduler acquires it.
    page.cond(lane).storeRelease(ConditionWord.ack(word).rawValue)
    try frame.fill(call, subtask: subtask, block: line, lane)
    unsafe counters.run(call.function, frame.arguments)
    // Release: whoever sees FIN sees everything the kernel stored.
    publisher.publish(ConditionWord.fin(word).rawValue, in: page.cond(lane))
  }

  /// Sleeps until the next lane's word changes, the session ends, or the time
  /// is over.
  package mutating func park(timeoutNanoseconds: Int64) {
    let word = line.word(lane)
    let last = DispatchWord(rawValue: word.loadAcquire())
    sleeper.announce(1, in: page.parked)
    if unsafe last.rawValue != served[Int(lane)] && last.content != .idle { sleeper.stayAwake() }
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
