import CPTO2Segment
import Harness
import PTO2Protocol
import PTO2Segment
import PTO2System
import Testing

@testable import PTO2Orchestrator
@testable import PTO2Scheduler

/// One scheduler thread, whatever it shares with others.
private protocol SteppedThread: AnyObject {
  var failure: PTO2Error? { get }
  var isAborted: Bool { get }
  var missingCores: [String] { get }
  func step() -> Int
  func isDrained() -> Bool
  func checkHealth()
  func audit(_ now: UInt64)
  func announce()
  func workerDied(_ core: Int)
  func updateDepths()
  func park()
}

private final class Stepped<S: Sharing>: SteppedThread {
  private var scheduler: SchedulerThread<S>
  init(_ shared: SchedulerState, _ index: Int) {
    scheduler = SchedulerThread(shared, index: index)
    if index == 0 && shared.isRestart { scheduler.restart() }
  }
  var failure: PTO2Error? { scheduler.failure }
  var isAborted: Bool { scheduler.request == .abort }
  var missingCores: [String] { scheduler.missingCores() }
  func step() -> Int { scheduler.step() }
  func isDrained() -> Bool { scheduler.isDrained() }
  func checkHealth() { _ = scheduler.checkHealth(MonotonicClock.now()) }
  func audit(_ now: UInt64) { scheduler.audit(now) }
  func announce() { scheduler.announce(isSupervised: false) }
  func workerDied(_ core: Int) { scheduler.workerDied(core) }
  func updateDepths() { scheduler.updateDepths() }
  func park() { scheduler.park(timeoutNanoseconds: 1) }
}

/// The real orchestrator and scheduler on one segment, stepped by hand, and
/// cores that are played through their raw words: a test decides when each ACK
/// and FIN is said.
final class Rig {
  let name = uniqueSegmentName()
  let graph: Graph
  private(set) var shared: SchedulerState!
  /// Threads of the scheduler's process, if they are to run by themselves.
  private(set) var helpers: [HelperThread<SeveralThreads>] = []
  private var threads: [any SteppedThread] = []
  private var turn = 0
  let worker: Segment
  let configuration: Configuration

  /// A word on a lane that has no FIN yet.
  struct Dispatch: Equatable {
    var core: Int
    var lane: UInt32
    var word: DispatchWord
    var task: TaskID
    var subtask: UInt32
  }

  private var pages: [CorePage<OwnedWord>] = []
  private var nextLane: [UInt32]
  private var served: [[DispatchWord]]
  /// Per core, the dispatches it has seen and not finished, oldest first.
  private(set) var queues: [[Dispatch]]
  /// Tasks in the order in which their first word was seen.
  private(set) var started: [TaskID] = []
  private(set) var finished: [TaskID] = []
  /// The scheduler's pages were damaged: what they say may be anything.
  var isDamaged = false
  /// A core has said FIN of something that it was to skip.
  private var hasSkipped = false
  /// The watermarks as last seen, to notice one that goes back.
  private var released: [UInt32]
  private var consumed: [UInt32]

  init(
    _ configuration: Configuration, announcing cores: [Int]? = nil,
    mapLimit: Int = Orchestrator.defaultMapLimit
  ) throws {
    let segment = try Segment.create(name: name, configuration: configuration, images: [])
    segment.publish()
    self.configuration = configuration
    worker = try Segment.attach(name: name, role: .worker, timeoutMilliseconds: 0)
    nextLane = Array(repeating: 0, count: configuration.coreCount)
    served = Array(
      repeating: Array(repeating: .idle, count: Int(PTO2_MAX_LANES)),
      count: configuration.coreCount)
    queues = Array(repeating: [], count: configuration.coreCount)
    released = Array(repeating: configuration.firstPosition, count: configuration.rings.count)
    consumed = released
    graph = try Graph(Orchestrator(segment, mapLimit: mapLimit), images: [])
    try startScheduler()
    for core in 0..<configuration.coreCount {
      pages.append(try worker.openCore(core))
      makeIdle(core)
    }
    for core in cores ?? Array(0..<configuration.coreCount) { announce(core) }
  }

  private func startScheduler() throws {
    let shared = SchedulerState(
      try Segment.attach(name: name, role: .scheduler, timeoutMilliseconds: 0))
    self.shared = shared
    threads =
      configuration.schedulerThreads == 1
      ? [Stepped<OneThread>(shared, 0)]
      : (0..<Int(configuration.schedulerThreads)).map { Stepped<SeveralThreads>(shared, $0) }
    threads[0].announce()
  }

  /// The scheduler's process dies, and another takes its place.
  func restartScheduler() throws {
    threads = []
    shared = nil
    try startScheduler()
    #expect(isDamaged || (shared.isRestart && failure == nil))
  }

  deinit {
    graph.orchestrator.pointee.segment.unlink()
    #expect(sharedMemoryMode(name) == nil, "the name is left in /dev/shm")
  }

  var failure: PTO2Error? { threads[0].failure }
  var isAborted: Bool { threads[0].isAborted }
  var missingCores: [String] { threads[0].missingCores }
  var isDrained: Bool { threads[0].isDrained() }

  /// The first thread sleeps, for a moment.
  func park() { threads[0].park() }

  /// What a core says of its kernels.
  func count(_ counters: pto2_core_counters, core: Int) {
    pages[core].ownCounters.whole = counters
    threads[0].updateDepths()
  }

  func announce(_ core: Int) { pages[core].ready.storeRelease(1) }

  /// COND as a worker leaves it before it is READY.
  private func makeIdle(_ core: Int) {
    for lane in 0..<UInt32(PTO2_MAX_LANES) {
      pages[core].cond(lane).storeRelaxed(ConditionWord.coreIdle.rawValue)
    }
  }

  /// The same for a worker that comes after one that has died.
  private func takeOver(_ core: Int) {
    let lanes = worker.dispatchLanes(core)
    let left = lanes.left
    nextLane[core] = left.lane
    for lane in 0..<UInt32(PTO2_MAX_LANES) {
      let word = DispatchWord(rawValue: lanes.word(lane).loadAcquire())
      let isLeft =
        (lane &+ configuration.lanes &- left.lane) % configuration.lanes < left.count
      guard case .dispatch = word.content else { continue }
      // The toggle that comes next there is that of what is left, or the other one.
      let other = DispatchWord(rawValue: word.rawValue ^ PTO2_WORD_TOGGLE)
      served[core][Int(lane)] = isLeft ? other : word
      let cond = isLeft ? ConditionWord.notTaken(word) : .fin(word)
      pages[core].cond(lane).storeRelaxed(cond.rawValue)
    }
  }

  // MARK: Programs

  static let aic = Kernel(call: 1 << 56 | 0x100, id: 0, coreType: .aic)
  static let aiv = Kernel(call: 1 << 56 | 0x200, id: 1, coreType: .aiv)

  @discardableResult
  func submit(
    aic: Bool = false, aiv0: Bool = false, aiv1: Bool = false,
    _ arguments: (inout TaskBuilder) -> Void = { _ in }
  ) throws -> TaskID {
    try graph.submitRaw(aic ? Self.aic : nil, aiv0 ? Self.aiv : nil, aiv1 ? Self.aiv : nil) {
      (task: inout TaskBuilder) throws(PTO2Error) in
      arguments(&task)
    }
  }

  func external(_ elements: Int) throws -> Tensor<Float> {
    try graph.externalTensor(of: Float.self, Shape(elements))
  }

  // MARK: Stepping

  /// Steps the scheduler until it has nothing to do, then lets every core look
  /// at its lanes.
  func settle() {
    repeat {
      hasSkipped = false
      step()
      for core in queues.indices { look(core) }
    } while hasSkipped
  }

  /// From now on the scheduler's threads run, and are not stepped any more.
  func startThreads() {
    helpers = (0..<Int(configuration.schedulerThreads)).map { HelperThread(shared, index: $0) }
    for helper in helpers { #expect(helper.start()) }
  }

  /// Ends them; returns how often one found a lock taken.
  func stopThreads() -> UInt64 {
    SeveralThreads.store(shared.words.isStopping, 1)
    for thread in helpers.indices {
      let bell = shared.words.bell(thread)
      _ = SeveralThreads.add(bell, 1)
      Futex.wake(bell.word.shared)
    }
    return helpers.reduce(0) { $0 + $1.join().lostLocks }
  }

  /// Every thread in turn, another one first each time, until none has
  /// anything to do.
  func step() {
    var idle = 0
    while idle < threads.count {
      turn += 1
      idle = threads[turn % threads.count].step() > 0 ? 0 : idle + 1
      checkWatermarks()
    }
  }

  /// The look at the clock that the first thread takes now and then.
  func checkHealth() { threads[0].checkHealth() }

  /// The looks of six seconds in which nothing moves.
  func auditForSixSeconds() {
    for look in 0..<60 where failure == nil { audit(UInt64(1 + look) * 100_000_000) }
  }

  /// What the first thread does every 20 ms.
  func audit(_ now: UInt64) { threads[0].audit(now) }

  private func look(_ core: Int) {
    let line = worker.dispatchLanes(core)
    while queues[core].count < Int(configuration.lanes) {
      let lane = nextLane[core]
      let word = DispatchWord(rawValue: line.word(lane).loadAcquire())
      let before = served[core][Int(lane)]
      guard word != before, case .dispatch(let offset, let subtask) = word.content else { return }
      let place = line[lane]
      guard (0..<place.gateCount).allSatisfy({ worker.corePeers.isOpen(place.gate($0)) }) else {
        return
      }
      #expect(isDamaged || word.toggle != before.toggle, "toggle alternates")
      served[core][Int(lane)] = word
      nextLane[core] = (lane + 1) % configuration.lanes
      if line[lane].skip.loadAcquire() != 0 && queues[core].isEmpty {
        store(ConditionWord.fin(word).rawValue, core: core, lane: lane)
        hasSkipped = true
        continue
      }
      guard let place = worker.place(ofDescriptorAt: offset) else {
        if !isDamaged { Issue.record("descriptor \(offset) lies in no ring") }
        return
      }
      let task = worker.mainRing(place.ring)[place.index].taskID
      queues[core].append(
        Dispatch(core: core, lane: lane, word: word, task: task, subtask: subtask))
      if !started.contains(task) { started.append(task) }
    }
  }

  /// Lets every core look at its lanes; the scheduler's threads run by
  /// themselves.
  func lookAtLanes() {
    checkWatermarks()
    for core in queues.indices { look(core) }
  }

  func store(_ value: UInt32, core: Int, lane: UInt32) {
    pages[core].cond(lane).storeRelease(value)
    Futex.wake(pages[core].cond(lane).shared)
  }

  func ack(_ dispatch: Dispatch) {
    store(ConditionWord.ack(dispatch.word).rawValue, core: dispatch.core, lane: dispatch.lane)
  }

  /// FIN of a core's oldest dispatch.
  func finish(core: Int) {
    let dispatch = queues[core].removeFirst()
    ack(dispatch)
    store(ConditionWord.fin(dispatch.word).rawValue, core: core, lane: dispatch.lane)
    if !running.contains(where: { $0.task == dispatch.task }) { finished.append(dispatch.task) }
  }

  /// FIN of a task's every subtask; each must be the oldest of its core.
  func finish(_ task: TaskID) {
    let cores = queues.indices.filter { queues[$0].first?.task == task }
    #expect(!cores.isEmpty, "task \(task) is not running")
    for core in cores { finish(core: core) }
    settle()
  }

  /// A core's worker ends with what it has, begun or not, and the scheduler is
  /// told; the next one comes with `comeAgain`.
  func die(core: Int, hasBegun: Bool, signal: UInt32 = 0) {
    pages[core].crashSignal.storeRelease(signal)
    if hasBegun { for dispatch in queues[core] { ack(dispatch) } }
    queues[core] = []
    threads[0].workerDied(core)
    step()
  }

  /// What a core has is forgotten: its worker is dead, and no scheduler is told.
  func drop(core: Int) { queues[core] = [] }

  /// The next worker of a core whose last one has died.
  func comeAgain(core: Int) {
    let ready = pages[core].ready
    let before = ready.loadOwn()
    let fenced = worker.schedulerPage.fenced(core).loadAcquire()
    #expect(fenced == before, "the dead worker is not fenced")
    takeOver(core)
    ready.storeRelease(before &+ 1)
    settle()
  }

  var running: [Dispatch] { queues.flatMap { $0 } }
  var runningTasks: [TaskID] { queues.compactMap(\.first?.task) }

  /// Runs one kernel, picked at random; false when none runs.
  func runOne(_ random: inout SplitMix64) -> Bool {
    if running.isEmpty { settle() }
    guard let core = queues.indices.filter({ !queues[$0].isEmpty }).randomElement(using: &random)
    else { return false }
    finish(core: core)
    settle()
    return true
  }

  /// Runs everything that can run.
  func runAll() {
    settle()
    while let core = queues.firstIndex(where: { !$0.isEmpty }) {
      finish(core: core)
      settle()
    }
  }

  // MARK: What the segment says

  func watermarks(ring: Int = 0) -> (released: UInt32, consumed: UInt32) {
    let page = worker.schedulerPage
    // `consumed` first: it never passes `released`, which may move meanwhile.
    let consumed = page.consumed(ring).loadAcquire()
    return (page.released(ring).loadAcquire(), consumed)
  }

  /// Watermarks as counts of tasks.
  func counts(ring: Int = 0) -> [UInt32] {
    let now = watermarks(ring: ring)
    return [
      now.released &- configuration.firstPosition, now.consumed &- configuration.firstPosition,
    ]
  }

  /// Workers that were to be killed because of their COND words.
  func quarantines() -> UInt32 { worker.schedulerPage.failures.counts.quarantined }

  private func checkWatermarks() {
    if isDamaged { return }
    for ring in configuration.rings.indices {
      // First: the orchestrator may be running meanwhile.
      let submitted = worker.orchestratorPage.currentTaskIndex(ring).loadAcquire()
      let now = watermarks(ring: ring)
      let windows = configuration.rings[ring]
      #expect(submitted &- now.released <= windows.taskWindow, "a main slot is taken twice")
      #expect(submitted &- now.consumed <= windows.consumedWindow, "an entry is taken twice")
      #expect(Int32(bitPattern: now.released &- released[ring]) >= 0, "released goes back")
      #expect(Int32(bitPattern: now.consumed &- consumed[ring]) >= 0, "consumed goes back")
      #expect(Int32(bitPattern: now.released &- now.consumed) >= 0, "consumed passes released")
      #expect(Int32(bitPattern: submitted &- now.released) >= 0, "released passes submitted")
      released[ring] = now.released
      consumed[ring] = now.consumed
    }
  }

  func state(_ task: TaskID) -> TaskState? {
    let entry = worker.consumedRing(task.ring)[task.local].copy()
    return entry.task_id == task.rawValue ? TaskState(rawValue: entry.state) : nil
  }

  func slot(_ task: TaskID) -> pto2_main_slot { worker.mainRing(task.ring)[task.local].header }
  func payload(_ task: TaskID) -> Payload? { worker.payload(task) }
}

func configuration(
  rings: Int = 1, window: UInt32 = 16, consumed: UInt32 = 64, heap: UInt64 = 4096,
  pool: UInt32 = 64, clusters: UInt32 = 1, lanes: UInt32 = 1, first: UInt32 = 0,
  threads: UInt32 = 1, stallLimitMilliseconds: UInt32 = 0, worksAhead: Bool = false
) -> Configuration {
  Configuration(
    rings: [Configuration.Ring](
      repeating: Configuration.Ring(
        taskWindow: window, consumedWindow: consumed, heapBytes: heap, dependencyPool: pool),
      count: rings),
    clusters: clusters, lanes: lanes, schedulerThreads: threads, arenaBytes: 65536,
    firstPosition: first, stallLimitMilliseconds: stallLimitMilliseconds,
    flags: worksAhead ? .quiet : [.quiet, .noAhead])
}

extension Orchestrator {
  /// What `drain` does, without the wait: every scope is ended, and the
  /// scheduler steps until it has worked that off.
  mutating func drainByHand(_ rig: Rig) throws {
    while scopeDepth > 0 { try closeScope() }
    rig.runAll()
  }
}
