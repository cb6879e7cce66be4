import CPTO2Segment
import Harness
import PTO2Protocol
import PTO2Segment
import PTO2System
import Testing

@testable import PTO2Orchestrator
@testable import PTO2Scheduler

/// One scheduler thread, whatever it shares with others.
private protocol SchedulerThread: AnyObject {
  var failure: PTO2Error? { get }
  var isAborted: Bool { get }
  var missingCores: [String] { get }
  func step() -> Int
  func isDrained() -> Bool
  func checkStall()
  func announce()
  func noteDeath(_ core: Int)
}

private final class Stepped<S: Sharing>: SchedulerThread {
  private var scheduler: Scheduler<S>
  init(_ shared: SharedState, _ index: Int) {
    scheduler = Scheduler(shared, index: index)
    if index == 0 && shared.isRestart { scheduler.rebuild() }
  }
  var failure: PTO2Error? { scheduler.failure }
  var isAborted: Bool { scheduler.request == .abort }
  var missingCores: [String] { scheduler.missingCores() }
  func step() -> Int { scheduler.step() }
  func isDrained() -> Bool { scheduler.isDrained() }
  func checkStall() { scheduler.checkStall() }
  func announce() { scheduler.announce(isSupervised: false) }
  func noteDeath(_ core: Int) { scheduler.noteDeath(core) }
}

/// The real orchestrator and scheduler on one segment, stepped by hand, and
/// cores that are played through their raw words: a test decides when each ACK
/// and FIN is said.
final class Rig {
  let name = uniqueSegmentName()
  let graph: Graph
  private(set) var shared: SharedState!
  /// Threads of the scheduler's process, if they are to run by themselves.
  private(set) var helpers: [HelperThread] = []
  private var threads: [any SchedulerThread] = []
  private var turn = 0
  let worker: Segment
  let configuration: Configuration

  /// A word on a lane that has no FIN yet.
  struct Dispatch: Equatable {
    var core: Int
    var lane: Int
    var word: DispatchWord
    var task: TaskID
    var slot: UInt32
  }

  private var pages: [UnsafeMutableRawPointer] = []
  private var nextLane: [Int]
  private var served: [[UInt32]]
  /// Per core, the dispatches it has seen and not finished, oldest first.
  private(set) var queues: [[Dispatch]]
  /// Tasks in the order in which their first word was seen.
  private(set) var started: [TaskID] = []
  private(set) var finished: [TaskID] = []
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
      repeating: Array(repeating: PTO2_SCHEDULER_IDLE, count: 8), count: configuration.coreCount)
    queues = Array(repeating: [], count: configuration.coreCount)
    released = Array(repeating: configuration.firstPosition, count: configuration.rings.count)
    consumed = released
    graph = try Graph(Orchestrator(segment, mapLimit: mapLimit), images: [])
    try startScheduler()
    for core in 0..<configuration.coreCount {
      let page = try worker.openCore(core)
      for lane in 0..<8 { OwnedWord(page + 4 * lane).storeRelaxed(PTO2_CORE_IDLE) }
      pages.append(page)
    }
    for core in cores ?? Array(0..<configuration.coreCount) { announce(core) }
  }

  private func startScheduler() throws {
    let shared = SharedState(
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
    #expect(shared.isRestart && failure == nil)
  }

  deinit {
    graph.orchestrator.pointee.segment.unlink()
    #expect(sharedMemoryMode(name) == nil, "the name is left in /dev/shm")
  }

  var failure: PTO2Error? { threads[0].failure }
  var isAborted: Bool { threads[0].isAborted }
  var missingCores: [String] { threads[0].missingCores }
  var isDrained: Bool { threads[0].isDrained() }

  func announce(_ core: Int) { OwnedWord(pages[core] + Int(PTO2_CORE_READY)).storeRelease(1) }

  // MARK: Programs

  static let aic = Kernel(call: 1 << 56 | 0x100, id: 0, coreType: .aic)
  static let aiv = Kernel(call: 1 << 56 | 0x200, id: 1, coreType: .aiv)

  @discardableResult
  func submit(
    aic: Bool = false, aiv0: Bool = false, aiv1: Bool = false,
    _ arguments: (inout TaskArguments) -> Void = { _ in }
  ) throws -> TaskID {
    try graph.submitRaw(aic ? Self.aic : nil, aiv0 ? Self.aiv : nil, aiv1 ? Self.aiv : nil) {
      (task: inout TaskArguments) throws(PTO2Error) in
      arguments(&task)
    }
  }

  func external(_ elements: Int) throws -> Tensor {
    try graph.external(Shape(elements), .float32)
  }

  // MARK: Stepping

  /// Steps the scheduler until it has nothing to do, then lets every core look
  /// at its lanes.
  func settle() {
    step()
    for core in queues.indices { look(core) }
  }

  /// From now on the scheduler's threads run, and are not stepped any more.
  func startThreads() {
    helpers = (0..<Int(configuration.schedulerThreads)).map { HelperThread(shared, index: $0) }
    for helper in helpers { #expect(helper.start()) }
  }

  /// Ends them; returns how often one found a lock taken.
  func stopThreads() -> UInt64 {
    shared.lines.isStopping.pointee = 1
    for thread in helpers.indices {
      shared.lines.bell(thread).pointee += 1
      Futex.wake(SharedWord(shared.lines.bell(thread)))
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

  /// The look at the clock that each thread takes when it has nothing to do.
  func checkStall() { for thread in threads { thread.checkStall() } }

  private func look(_ core: Int) {
    let line = worker.read(.dataMainBase) + 64 * core
    while queues[core].count < Int(configuration.lanes) {
      let lane = nextLane[core]
      let raw = SharedWord(line + 4 * lane).loadAcquire()
      guard raw != served[core][lane],
        case .dispatch(let offset, let slot) = DispatchWord(rawValue: raw).content
      else { return }
      #expect(raw & PTO2_WORD_TOGGLE != served[core][lane] & PTO2_WORD_TOGGLE, "toggle alternates")
      served[core][lane] = raw
      nextLane[core] = (lane + 1) % Int(configuration.lanes)
      let task = taskID(descriptorOffset: offset)
      queues[core].append(
        Dispatch(
          core: core, lane: lane, word: DispatchWord(rawValue: raw), task: task, slot: slot))
      if !started.contains(task) { started.append(task) }
    }
  }

  private func taskID(descriptorOffset: UInt64) -> TaskID {
    let position = worker.dispatchBase() + descriptorOffset
    for ring in configuration.rings.indices {
      let section = worker.layout.section(.dispatchTable, ring: ring)
      guard position >= section.offset, position < section.offset + section.bytes else { continue }
      let index = Int(position - section.offset) / Int(PTO2_DESC_STRIDE)
      return TaskID(
        rawValue: (worker.read(.mainRing, ring: ring) + index * Int(PTO2_MAIN_SLOT_STRIDE))
          .load(as: UInt64.self))
    }
    Issue.record("descriptor \(descriptorOffset) lies in no ring")
    return TaskID(rawValue: UInt64.max)
  }

  /// Lets every core look at its lanes; the scheduler's threads run by
  /// themselves.
  func lookAtLanes() {
    checkWatermarks()
    for core in queues.indices { look(core) }
  }

  func store(_ value: UInt32, core: Int, lane: Int) {
    defer { Futex.wake(SharedWord(pages[core] + 4 * lane)) }
    OwnedWord(pages[core] + 4 * lane).storeRelease(value)
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
    OwnedWord(pages[core] + Int(PTO2_CORE_CRASH)).storeRelease(signal)
    if hasBegun { for dispatch in queues[core] { ack(dispatch) } }
    queues[core] = []
    threads[0].noteDeath(core)
    step()
  }

  /// The next worker of a core whose last one has died.
  func comeAgain(core: Int) {
    let ready = pages[core] + Int(PTO2_CORE_READY)
    let before = SharedWord(ready).loadAcquire()
    let fenced = worker.read(.schedulerWords) + Int(PTO2_SCHED_FENCED) + 4 * core
    #expect(SharedWord(fenced).loadAcquire() == before, "the dead worker is not fenced")
    nextLane[core] = 0
    served[core] = Array(repeating: PTO2_SCHEDULER_IDLE, count: 8)
    for lane in 0..<8 { OwnedWord(pages[core] + 4 * lane).storeRelaxed(PTO2_CORE_IDLE) }
    OwnedWord(ready).storeRelease(before &+ 1)
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
    let words = worker.read(.schedulerWords) + Int(PTO2_SCHED_RINGS) + 64 * ring
    return (
      SharedWord(words + Int(PTO2_SCHED_RELEASED)).loadAcquire(),
      SharedWord(words + Int(PTO2_SCHED_CONSUMED)).loadAcquire()
    )
  }

  /// Watermarks as counts of tasks.
  func counts(ring: Int = 0) -> [UInt32] {
    let now = watermarks(ring: ring)
    return [
      now.released &- configuration.firstPosition, now.consumed &- configuration.firstPosition,
    ]
  }

  /// Workers that were to be killed because of their COND words.
  func quarantines() -> UInt32 {
    (worker.read(.schedulerWords) + Int(PTO2_SCHED_FAILURES)).load(as: pto2_failures.self)
      .quarantined
  }

  private func checkWatermarks() {
    for ring in configuration.rings.indices {
      // First: the orchestrator may be running meanwhile.
      let submitted = SharedWord(
        worker.read(.orchestratorWords) + Int(PTO2_ORCH_RINGS) + 64 * ring
      ).loadAcquire()
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
    let window = configuration.rings[task.ring].consumedWindow
    let entry = (worker.read(.consumedRing, ring: task.ring) + 64 * Int(task.local & (window - 1)))
      .load(as: pto2_consumed_entry.self)
    return entry.task_id == task.rawValue ? TaskState(rawValue: entry.state) : nil
  }

  func slot(_ task: TaskID) -> pto2_main_slot {
    let window = configuration.rings[task.ring].taskWindow
    return
      (worker.read(.mainRing, ring: task.ring)
      + Int(task.local & (window - 1)) * Int(PTO2_MAIN_SLOT_STRIDE)).load(as: pto2_main_slot.self)
  }
}

func configuration(
  rings: Int = 1, window: UInt32 = 16, consumed: UInt32 = 64, heap: UInt64 = 4096,
  pool: UInt32 = 64, clusters: UInt32 = 1, lanes: UInt32 = 1, first: UInt32 = 0,
  threads: UInt32 = 1, stallLimitMilliseconds: UInt32 = 0
) -> Configuration {
  Configuration(
    rings: [Configuration.Ring](
      repeating: Configuration.Ring(
        taskWindow: window, consumedWindow: consumed, heapBytes: heap, dependencyPool: pool),
      count: rings),
    clusters: clusters, lanes: lanes, schedulerThreads: threads, arenaBytes: 65536,
    firstPosition: first, stallLimitMilliseconds: stallLimitMilliseconds, flags: PTO2_SESSION_QUIET)
}

extension Orchestrator {
  /// What `drain` does, without the wait: every scope is ended, and the
  /// scheduler steps until it has worked that off.
  mutating func drainByHand(_ rig: Rig) throws {
    while scopeDepth > 0 { try closeScope() }
    rig.runAll()
  }
}
