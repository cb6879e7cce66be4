internal import PTO2Protocol
internal import PTO2Segment

/// What the orchestrator remembers of a task until it is CONSUMED; one place per
/// consumed entry.
struct TaskMemory: BitwiseCopyable {
  /// Heap position after the task's outputs.
  var heapEnd: UInt64 = 0
  /// Payload position after the task's payload.
  var payloadEnd: UInt64 = 0
  /// List of the buffers the task put out.
  var firstBuffer = Buffer.none
  /// Its scope holds it.
  var hasOutputs = false
  /// Serial of the scope the task was submitted in.
  var scope: UInt64 = 0
  /// The submission that has this task in its fanin, and where there.
  var stamp: UInt32 = 0
  var stampIndex: UInt32 = 0

}

/// One ring as the orchestrator fills it.
@safe struct RingProducer: ~Copyable {
  let main: RingTable<OwnedMainSlot>
  let descriptors: RingTable<OwnedDescriptor>
  let fanin: RingTable<FaninPlace>
  let releasedWord: SharedWord
  let consumedWord: SharedWord
  /// For tools.
  private let currentWord: OwnedWord
  private var memories: PlainArray<TaskMemory>
  var reservation: RingReservation

  /// Bytes from the segment base to the heap.
  let heapOffset: UInt64
  var heap: HeapRing
  /// First byte of the payloads, and bytes from the segment base to it.
  let payloads: UnsafeMutableRawPointer
  let payloadOffset: UInt64
  var payload: HeapRing

  /// Ordinal of the run's first task, of the next one, and of the first one not
  /// RELEASED and not CONSUMED as last read.
  private(set) var first: UInt64
  private(set) var current: UInt64
  private(set) var released: UInt64
  private(set) var consumed: UInt64
  /// Free-running positions in the dependency pool, 64-bit here.
  private(set) var poolHead: UInt64
  private(set) var poolTail: UInt64

  init(_ segment: borrowing Segment, ring: Int) {
    let configuration = segment.configuration.rings[ring]
    main = segment.ownMainRing(ring)
    descriptors = segment.ownDescriptors(ring)
    fanin = segment.ownFanin(ring)
    releasedWord = segment.schedulerPage.released(ring)
    consumedWord = segment.schedulerPage.consumed(ring)
    currentWord = segment.ownOrchestratorPage.currentTaskIndex(ring)
    memories = PlainArray(repeating: TaskMemory(), count: Int(configuration.consumedWindow))
    reservation = RingReservation(segment.layout, ring: ring)
    heapOffset = segment.layout.section(.heap, ring: ring).offset
    heap = HeapRing(capacity: configuration.heapBytes)
    unsafe payloads = segment.ownPayloads(ring)
    payloadOffset = segment.layout.section(.payload, ring: ring).offset
    payload = HeapRing(capacity: configuration.payloadBytes)
    first = UInt64(segment.configuration.firstPosition) + 1 << 32
    current = first
    released = first
    consumed = first
    poolHead = first
    poolTail = first
    currentWord.storeRelaxed(segment.configuration.firstPosition)
  }

  var window: UInt64 { UInt64(main.count) }
  var consumedWindow: UInt64 { UInt64(memories.count) }
  var pool: UInt64 { UInt64(fanin.count) }

  /// What is remembered of a task that is not CONSUMED.
  @inline(__always)
  subscript(memory ordinal: UInt64) -> TaskMemory {
    get { memories[Int(truncatingIfNeeded: ordinal) & (memories.count - 1)] }
    _modify { yield &memories[Int(truncatingIfNeeded: ordinal) & (memories.count - 1)] }
  }

  /// Every task is CONSUMED as far as this process knows.
  var isEmpty: Bool { consumed == current }

  /// As far as is known: so many more tasks have main slots and consumed entries.
  @inline(__always)
  func hasWindow(_ count: Int) -> Bool {
    current &- released &+ UInt64(count) <= window
      && current &- consumed &+ UInt64(count) <= consumedWindow
  }

  /// And so many more fanin entries.
  @inline(__always)
  func hasPool(_ count: Int) -> Bool { poolHead &- poolTail &+ UInt64(count) <= pool }

  // MARK: Runs

  /// From here on tasks belong to the next run.
  mutating func beginRun() { first = current }

  // MARK: Tasks

  /// The next task is complete, and of this many pool entries.
  @inline(__always)
  mutating func advance(pool entries: Int) {
    poolHead &+= UInt64(entries)
    current &+= 1
    currentWord.storeRelaxed(UInt32(truncatingIfNeeded: current))
  }

  // MARK: Watermarks

  /// Reads `last_task_released`. Acquire: pairs with the scheduler's release
  /// after its last look at the freed slots.
  /// - Returns: false for a value no scheduler stores: behind the last one, or
  ///   beyond the newest task.
  @inline(__always)
  mutating func refreshReleased() -> Bool {
    guard let position = Self.advance(released, releasedWord, limit: current) else {
      return false
    }
    if position != released { payload.free(upTo: self[memory: position &- 1].payloadEnd) }
    released = position
    poolTail =
      released == current
      ? poolHead
      : poolTail
        &+ UInt64(
          main[UInt32(truncatingIfNeeded: released)].faninFirst
            &- UInt32(truncatingIfNeeded: poolTail))
    return true
  }

  /// Reads `last_task_consumed`. Acquire: pairs with the scheduler's release
  /// after the last consumer's FIN.
  /// - Returns: nil for a value no scheduler stores.
  @inline(__always)
  func consumedNow() -> UInt64? { Self.advance(consumed, consumedWord, limit: current) }

  /// What the tasks up to `target` took is given back, but for their buffers.
  mutating func noteConsumed(upTo target: UInt64) {
    heap.free(upTo: self[memory: target &- 1].heapEnd)
    consumed = target
  }

  /// A watermark's new 64-bit value; nil when the word has moved backwards or
  /// beyond the limit.
  @inline(__always)
  static func advance(_ old: UInt64, _ word: SharedWord, limit: UInt64) -> UInt64? {
    let distance = Position(word.loadAcquire())
      .distance(from: Position(UInt32(truncatingIfNeeded: old)))
    guard distance >= 0, old &+ UInt64(distance) <= limit else { return nil }
    return old &+ UInt64(distance)
  }
}

/// The rings of a session, in place.
@safe struct Rings: ~Copyable {
  let count: Int
  private let rings: UnsafeMutablePointer<RingProducer>

  init(_ segment: borrowing Segment) {
    count = segment.configuration.rings.count
    unsafe rings = .allocate(capacity: count)
    for ring in 0..<count {
      unsafe (rings + ring).initialize(to: RingProducer(segment, ring: ring))
    }
  }

  deinit {
    unsafe rings.deinitialize(count: count)
    unsafe rings.deallocate()
  }

  @inline(__always)
  subscript(ring: Int) -> RingProducer {
    _read {
      assert(ring >= 0 && ring < count)
      yield unsafe rings[ring]
    }
    _modify {
      assert(ring >= 0 && ring < count)
      yield unsafe &rings[ring]
    }
  }

  /// The task is not RELEASED as far as this process knows.
  @inline(__always)
  func isLive(_ task: TaskOrdinal) -> Bool { task.ordinal >= self[task.ring].released }

  /// The task of this run with this id, by its distance from the newest one of its
  /// ring.
  func task(_ id: TaskID) -> TaskOrdinal? {
    guard id.ring < count else { return nil }
    let current = self[id.ring].current
    let distance = UInt64(UInt32(truncatingIfNeeded: current) &- id.local)
    guard distance > 0, distance <= current - self[id.ring].first else { return nil }
    return TaskOrdinal(ring: id.ring, ordinal: current - distance)
  }

  /// What is remembered of a task; nil when another one has its place by now, so it is
  /// CONSUMED.
  func memory(of task: TaskOrdinal) -> TaskMemory? {
    self[task.ring].current - task.ordinal <= self[task.ring].consumedWindow
      ? self[task.ring][memory: task.ordinal] : nil
  }

  /// Every task is CONSUMED as far as this process knows.
  var areEmpty: Bool { (0..<count).allSatisfy { self[$0].isEmpty } }
}
