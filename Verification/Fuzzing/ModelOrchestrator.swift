import CPTO2Segment
import PTO2Protocol
import PTO2Segment

/// Writes what an orchestrator would: slots, fanin lists, log records, in the
/// order and within the windows that the scheduler may rely on.
final class ModelOrchestrator {
  private let segment: SegmentUnderTest
  private let configuration: Configuration
  private struct Ring {
    var current: UInt32
    var poolHead: UInt32
    var poolEnd: [UInt32]
    var heap: UInt64 = 0
    var scopeLast: UInt32 = 0
    var scopeCount: UInt32 = 0
  }
  private var rings: [Ring]
  private(set) var submitted: UInt32
  /// The main slot written last.
  private(set) var newest: (ring: Int, local: UInt32) = (0, 0)

  struct Task {
    var ring = 0
    var mask: UInt8 = 1
    var flags: UInt8 = 0
    var blocks: UInt32 = 1
    /// How many tasks back, in which ring, with which flags.
    var fanin: [(ring: Int, back: UInt32, flags: UInt64)] = []
    var predicate = pto2_slot_predicate()
  }

  init(_ segment: SegmentUnderTest) {
    self.segment = segment
    configuration = segment.configuration
    let first = configuration.firstPosition
    submitted = first
    rings = configuration.rings.map {
      Ring(
        current: first, poolHead: first,
        poolEnd: [UInt32](repeating: first, count: Int($0.consumedWindow)))
    }
    segment.orchestrator.submitted.storeRelease(first)
  }

  /// Writes a task and its record, if there is room; not yet published.
  @discardableResult
  func submit(_ task: Task) -> Bool {
    let windows = configuration.rings[task.ring]
    let local = rings[task.ring].current
    let released = segment.schedulerPage.released(task.ring).loadAcquire()
    let count = UInt32(task.fanin.count)
    let poolTail =
      released == local
      ? rings[task.ring].poolHead
      : rings[task.ring].poolEnd[Int((released &- 1) & (windows.consumedWindow - 1))]
    guard local &- released < windows.taskWindow,
      local &- segment.schedulerPage.consumed(task.ring).loadAcquire() < windows.consumedWindow,
      rings[task.ring].poolHead &- poolTail &+ count <= windows.dependencyPool, hasLogRoom
    else { return false }
    let first = rings[task.ring].poolHead
    for (k, producer) in task.fanin.enumerated() {
      let id = TaskID(
        ring: producer.ring,
        local: rings[producer.ring].current &- 1 &- (producer.back % windows.consumedWindow))
      segment.fanin(task.ring)[first &+ UInt32(k)]
        .store(FaninWord(rawValue: id.rawValue | producer.flags))
    }
    let begin = rings[task.ring].heap
    rings[task.ring].heap += 64
    let slot = segment.slots(task.ring)[local]
    slot.header =
      pto2_main_slot(
        task_id: TaskID(ring: task.ring, local: local).rawValue, fanin_first: first,
        fanin_count: count, scope_previous: rings[task.ring].scopeLast, active_mask: task.mask,
        flags: task.flags, tensor_count: 0, scalar_count: 0, kernel_ids: (0, 0, 0), scope: 0,
        blocks: task.blocks, snapshot_line: 0, output_offset: 0, heap_begin: begin,
        heap_end: begin + 64)
    segment.setPredicate(task.predicate, of: task.ring, local)
    rings[task.ring].current = local &+ 1
    rings[task.ring].poolHead = first &+ count
    rings[task.ring].poolEnd[Int(local & (windows.consumedWindow - 1))] = first &+ count
    if task.flags & UInt8(PTO2_SLOT_HELD) != 0 {
      rings[task.ring].scopeLast = local
      rings[task.ring].scopeCount += 1
    }
    newest = (task.ring, local)
    append(
      pto2_log_record(kind: PTO2_LOG_TASK, ring: UInt32(task.ring), id: local, count: 0))
    return true
  }

  /// Ends the scope that holds those of a ring's tasks that are HELD since the last end.
  func endScope(_ ring: Int) {
    guard rings[ring].scopeCount > 0, hasLogRoom else { return }
    append(
      pto2_log_record(
        kind: PTO2_LOG_SCOPE_END, ring: UInt32(ring), id: rings[ring].scopeLast,
        count: rings[ring].scopeCount))
    rings[ring].scopeCount = 0
  }

  private var hasLogRoom: Bool {
    submitted &- segment.schedulerPage.wired.loadAcquire() < configuration.logCapacity
  }

  func append(_ value: pto2_log_record) {
    segment.log[submitted].store(value)
    submitted &+= 1
  }

  func publish() { segment.orchestrator.submitted.storeRelease(submitted) }
}

/// Plays every core through its raw words.
final class ModelCores {
  private let segment: SegmentUnderTest
  private let lanes: Int
  private var nextLane: [Int]
  private var served: [[UInt32]]
  private var queues: [[(lane: Int, word: UInt32)]]
  private var isDead: [Bool]
  /// The input has damaged what the scheduler writes: a word may be garbage, which a
  /// core refuses.
  var mayGetGarbage = false

  init(_ segment: SegmentUnderTest) {
    self.segment = segment
    lanes = Int(segment.configuration.lanes)
    let cores = segment.configuration.coreCount
    nextLane = [Int](repeating: 0, count: cores)
    isDead = [Bool](repeating: false, count: cores)
    served = [[UInt32]](
      repeating: [UInt32](repeating: PTO2_SCHEDULER_IDLE, count: Int(PTO2_MAX_LANES)), count: cores)
    queues = [[(lane: Int, word: UInt32)]](repeating: [], count: cores)
    for core in 0..<cores {
      for lane in 0..<Int(PTO2_MAX_LANES) { store(PTO2_CORE_IDLE, core: core, lane: lane) }
    }
  }

  func announce(_ core: Int) { segment.worker(core).ready.storeRelease(1) }

  /// The worker of a core has ended; its words stay as they are.
  /// - Parameter isFar: it had acknowledged what it was given.
  func die(_ core: Int, hasCrashed: Bool, isFar: Bool) {
    look()
    if isFar { ack(core) }
    segment.worker(core).crashSignal.storeRelease(hasCrashed ? 11 : 0)
    queues[core] = []
    isDead[core] = true
  }

  /// The next worker, once the scheduler lets it in.
  func revive(_ core: Int) {
    let ready = segment.corePage(core).ready.loadAcquire()
    guard isDead[core], segment.schedulerPage.fenced(core).loadAcquire() == ready else { return }
    isDead[core] = false
    let place = segment.dispatchLanes(core)
    let left = place.left
    nextLane[core] = Int(left.lane) % lanes
    for lane in 0..<lanes {
      let word = DispatchWord(rawValue: place.word(UInt32(lane)).loadAcquire())
      guard case .dispatch = word.content else { continue }
      let isLeft = (lane + lanes - nextLane[core]) % lanes < Int(left.count)
      served[core][lane] = isLeft ? PTO2_SCHEDULER_IDLE : word.rawValue
      store(
        (isLeft ? ConditionWord.notTaken(word) : .fin(word)).rawValue, core: core, lane: lane)
    }
    segment.worker(core).ready.storeRelease(ready &+ 1)
  }

  func store(_ value: UInt32, core: Int, lane: Int) {
    segment.worker(core).cond(UInt32(lane)).storeRelease(value)
  }

  /// The word a core was given last on a lane, for words that nearly fit.
  func lastWord(core: Int, lane: Int) -> UInt32 { served[core][lane] }

  /// Takes new dispatches; each must name a descriptor.
  func look() {
    for core in queues.indices where !isDead[core] {
      while queues[core].count < lanes {
        let lane = nextLane[core]
        let raw = segment.dispatchLanes(core).word(UInt32(lane)).loadAcquire()
        if raw == served[core][lane] { break }
        guard case .dispatch(let offset, _) = DispatchWord(rawValue: raw).content else {
          if mayGetGarbage { break }
          broken("core \(core) lane \(lane) was given 0x\(String(raw, radix: 16))")
        }
        let place = segment.dispatchLanes(core)[UInt32(lane)]
        let isOpen = (0..<place.gateCount).allSatisfy {
          let gate = place.gate($0)
          let isPlausible = gate.isPlausible(cores: queues.count)
          expect(isPlausible || mayGetGarbage, "a gate names core \(gate.core)")
          return isPlausible && segment.corePeers.isOpen(gate)
        }
        guard isOpen else { break }
        guard segment.place(ofDescriptorAt: offset) != nil else {
          expect(mayGetGarbage, "descriptor offset \(offset) is none")
          break
        }
        served[core][lane] = raw
        nextLane[core] = (lane + 1) % lanes
        queues[core].append((lane, raw))
      }
    }
  }

  func ack(_ core: Int) {
    look()
    guard let first = queues[core].first else { return }
    store(first.word, core: core, lane: first.lane)
  }

  /// True when the core had something to finish.
  @discardableResult
  func finish(_ core: Int) -> Bool {
    look()
    guard !queues[core].isEmpty else { return false }
    let first = queues[core].removeFirst()
    store(first.word | PTO2_COND_FIN, core: core, lane: first.lane)
    return true
  }

  func finishAll() -> Bool {
    var hasFinished = false
    for core in queues.indices { if finish(core) { hasFinished = true } }
    return hasFinished
  }
}
