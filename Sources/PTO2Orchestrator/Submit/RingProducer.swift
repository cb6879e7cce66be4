internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// What the orchestrator remembers of a task until it is CONSUMED; one place
/// per consumed entry.
struct TaskMemory: BitwiseCopyable {
  /// Heap position after the task's outputs.
  var heapEnd: UInt64 = 0
  /// List of the buffers the task put out.
  var firstBuffer: UInt32 = UInt32.max
  /// Serial of the scope the task was submitted in.
  var scope: UInt64 = 0
  /// The submission that has this task in its fanin, and where there.
  var stamp: UInt32 = 0
  var stampIndex: UInt32 = 0
}

/// One ring as the orchestrator fills it.
@unsafe struct RingProducer {
  var main: UnsafeMutableRawPointer
  var descriptors: UnsafeMutableRawPointer
  var fanin: UnsafeMutablePointer<UInt64>
  var releasedWord: SharedWord
  var consumedWord: SharedWord
  var currentWord: OwnedWord
  var memory: UnsafeMutablePointer<TaskMemory>

  var window: UInt32
  var consumedWindow: UInt32
  var pool: UInt32
  /// Bytes from the segment base to the heap.
  var heapOffset: UInt64
  var heap: HeapRing

  /// Ordinal of the next task, and of the first one not RELEASED and not
  /// CONSUMED as last read.
  var current: UInt64
  var released: UInt64
  var consumed: UInt64
  /// Free-running positions in the dependency pool, 64-bit here.
  var poolHead: UInt64
  var poolTail: UInt64
  var hasUnreserved = true

  init(_ segment: borrowing Segment, ring: Int) {
    let configuration = segment.configuration.rings[ring]
    unsafe main = unsafe segment.write(.mainRing, ring: ring)
    unsafe descriptors = unsafe segment.write(.dispatchTable, ring: ring)
    unsafe fanin = unsafe segment.write(.fanin, ring: ring).assumingMemoryBound(to: UInt64.self)
    let words = unsafe segment.read(.schedulerWords) + Int(PTO2_SCHED_RINGS) + 64 * ring
    unsafe releasedWord = unsafe SharedWord(words + Int(PTO2_SCHED_RELEASED))
    unsafe consumedWord = unsafe SharedWord(words + Int(PTO2_SCHED_CONSUMED))
    unsafe currentWord = unsafe OwnedWord(
      segment.write(.orchestratorWords) + Int(PTO2_ORCH_RINGS) + 64 * ring)
    unsafe window = configuration.taskWindow
    unsafe consumedWindow = configuration.consumedWindow
    unsafe pool = configuration.dependencyPool
    unsafe heapOffset = segment.layout.section(.heap, ring: ring).offset
    unsafe heap = HeapRing(capacity: configuration.heapBytes)
    let first = UInt64(segment.configuration.firstPosition) + 1 << 32
    unsafe current = first
    unsafe released = first
    unsafe consumed = first
    unsafe poolHead = first
    unsafe poolTail = first
    unsafe memory = unsafe .allocate(capacity: Int(consumedWindow))
    unsafe memory.initialize(repeating: TaskMemory(), count: Int(consumedWindow))
    unsafe currentWord.storeRelaxed(segment.configuration.firstPosition)
  }

  @inline(__always)
  func memory(of ordinal: UInt64) -> UnsafeMutablePointer<TaskMemory> {
    unsafe memory + Int(UInt32(truncatingIfNeeded: ordinal) & (consumedWindow - 1))
  }

  @inline(__always)
  func slot(of ordinal: UInt64) -> UnsafeMutablePointer<pto2_main_slot> {
    unsafe (main + Int(UInt32(truncatingIfNeeded: ordinal) & (window - 1))
      * Int(PTO2_MAIN_SLOT_STRIDE))
      .assumingMemoryBound(to: pto2_main_slot.self)
  }

  /// Reads `last_task_released`. Acquire: pairs with the scheduler's release
  /// after its last look at the freed slots.
  /// - Returns: false for a value no scheduler stores: behind the last one, or
  ///   beyond the newest task.
  @inline(__always)
  mutating func refreshReleased() -> Bool {
    guard let position = unsafe Self.advance(released, releasedWord, limit: current) else {
      return false
    }
    unsafe released = position
    unsafe poolTail =
      unsafe released == current
      ? poolHead
      : poolTail
        &+ UInt64(
          slot(of: released).pointee.fanin_first &- UInt32(truncatingIfNeeded: poolTail))
    return true
  }

  /// Reads `last_task_consumed`. Acquire: pairs with the scheduler's release
  /// after the last consumer's FIN.
  /// - Returns: nil for a value no scheduler stores.
  @inline(__always)
  func consumedNow() -> UInt64? { unsafe Self.advance(consumed, consumedWord, limit: current) }

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

/// The sections the orchestrator reserves as it first uses them.
struct ProducerReservation: ~Copyable {
  var main: ChunkReserver
  var descriptors: ChunkReserver
  var fanin: ChunkReserver
  var heap: ChunkReserver

  init(_ layout: SegmentLayout, ring: Int) {
    main = ChunkReserver(layout, .mainRing, ring: ring)
    descriptors = ChunkReserver(layout, .dispatchTable, ring: ring)
    fanin = ChunkReserver(layout, .fanin, ring: ring)
    heap = ChunkReserver(
      layout, .heap, ring: ring, chunkBytes: 1 << 20, isPopulated: false)
  }

  var isComplete: Bool {
    main.remaining + descriptors.remaining + fanin.remaining + heap.remaining == 0
  }
}

/// Memory that tensors lie in: an external tensor, or one output of a task.
struct Buffer: BitwiseCopyable {
  /// Bytes from the segment base to its first byte; unknown until placed.
  var offset: UInt64 = 0
  var bytes: UInt64 = 0
  var generation: UInt32 = 0
  /// Its ranges in the TensorMap.
  var ranges: UInt32 = unsafe TensorMap.null
  /// The task that put it out; none for an external tensor.
  var owner: UInt64 = 0
  /// Serial of the owner's scope.
  var scope: UInt64 = 0
  /// Next buffer of the same owner, or next free place.
  var next: UInt32 = UInt32.max
  var state: UInt8 = Buffer.free

  static let free: UInt8 = 0
  /// Named by `output`, without memory until its task is submitted.
  static let declared: UInt8 = 1
  static let placed: UInt8 = 2
}

/// A scope that is open.
struct Scope: BitwiseCopyable {
  var serial: UInt64
  var ring: Int
  /// Its tasks are neither looked up nor entered in the TensorMap.
  var isManual: Bool
  /// Tasks submitted directly in it.
  var count: UInt32 = 0
  var lastLocal: UInt32 = 0
}
