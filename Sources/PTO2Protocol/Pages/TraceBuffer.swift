internal import CPTO2Segment
internal import Synchronization

/// What a trace record tells.
@frozen @usableFromInline
package enum TraceEvent: UInt8, CaseIterable, Sendable {
  // The orchestrator's: before the log record is published.
  case submitted = 1
  // The scheduler's, in the order in which they happen in one of its threads: a `ready`
  // comes of the `completed` before it, unless a `wired` is between them.
  /// Detail 1: and READY, of a scheduler with one thread.
  case wired
  case ready
  case dispatched
  /// Of a scheduler with one thread also RELEASED.
  case completed
  case released
  case consumed
  // The worker's: after ACK, and before FIN.
  case begun
  case ended
  /// The task depends on the one that stands in the place of the time.
  case edge
  // The scheduler's, of a core, and of itself.
  case coreReady
  case coreLost
  case schedulerReady
  /// The link has it.
  case transferBegun
}

/// One record: an event, its time, the task, and where.
@frozen @usableFromInline
package struct TraceRecord: Equatable, Sendable, BitwiseCopyable {
  @usableFromInline package var what: UInt64
  @usableFromInline package var task: UInt64

  package init(what: UInt64, task: UInt64) {
    self.what = what
    self.task = task
  }

  /// - Parameters:
  ///   - value: nanoseconds of CLOCK_MONOTONIC, or a task's id; 56 bits of it are kept.
  ///   - detail: 28 bits.
  @inlinable @inline(__always)
  package init(_ event: TraceEvent, _ task: TaskID, _ value: UInt64, detail: UInt32) {
    what = value << 8 | UInt64(event.rawValue)
    self.task = task.rawValue & 0xF_FFFF_FFFF | UInt64(detail) << 36
  }

  /// Nil for one that nobody stores.
  package var event: TraceEvent? { TraceEvent(rawValue: UInt8(truncatingIfNeeded: what)) }
  package var value: UInt64 { what >> 8 }
  package var taskID: TaskID { TaskID(rawValue: task & 0xF_FFFF_FFFF) }
  package var detail: UInt32 { UInt32(truncatingIfNeeded: task >> 36) }

  /// Where a subtask was dispatched to.
  @inlinable @inline(__always)
  package static func place(core: Int, lane: UInt32, subtask: UInt32, block: UInt32) -> UInt32 {
    UInt32(truncatingIfNeeded: core) << 20 | lane << 14 | subtask << 12 | block & 0xFFF
  }
  /// Of `dispatched`, `coreReady`, `coreLost`.
  package var core: Int { Int(detail >> 20) }
  /// Of `dispatched`.
  package var lane: UInt32 { detail >> 14 & 63 }
  package var subtask: UInt32 { detail >> 12 & 3 }
  package var block: UInt32 { detail & 0xFFF }

  /// How many of a transfer's number are kept.
  package static var sequenceBits: UInt64 { 19 }
  /// Which transfer it is, and with which rank.
  package static func transfer(_ order: TransferOrder) -> UInt32 {
    UInt32(truncatingIfNeeded: order.sequence & (1 << sequenceBits - 1)) << 9
      | UInt32(truncatingIfNeeded: order.peer & 255) << 1 | (order.direction == .send ? 1 : 0)
  }
  /// Of `transferBegun`.
  package var isSend: Bool { detail & 1 != 0 }
  package var peer: Int { Int(detail >> 1 & 255) }
  package var sequence: UInt32 { detail >> 9 }

  /// What a core runs.
  @inlinable @inline(__always)
  package static func run(lane: UInt32, subtask: UInt32, kernel: Int) -> UInt32 {
    UInt32(truncatingIfNeeded: kernel) << 8 | lane << 2 | subtask
  }
  /// Of `begun` and `ended`.
  package var runKernel: Int { Int(detail >> 8) }
  package var runLane: UInt32 { detail >> 2 & 63 }
  package var runSubtask: UInt32 { detail & 3 }
}

/// Where the records of one thread go: its own buffer in the segment.
///
/// A record that finds the buffer full is counted and dropped. Nobody is waited for.
@safe @frozen @usableFromInline
package struct TraceWriter {
  @safe @frozen @usableFromInline
  struct State {
    @usableFromInline let written: OwnedLongWord
    @usableFromInline let dropped: OwnedLongWord
    @usableFromInline let taken: UnsafePointer<UInt64>
    @usableFromInline let records: UnsafeMutablePointer<TraceRecord>
    @usableFromInline let capacity: UInt64
    @usableFromInline var position: UInt64
    @usableFromInline var place: UInt64
    @usableFromInline var takenSeen: UInt64
  }

  @usableFromInline let state: UnsafeMutablePointer<State>?

  /// Of a session that is not traced.
  package static var off: TraceWriter { TraceWriter() }

  private init() { unsafe state = nil }

  /// Goes on where the writer before has stopped.
  /// - Parameters:
  ///   - base: of the buffer, mapped for the life of this process; writable.
  ///   - taken: the word that says how many records were read.
  package init(at base: UnsafeMutableRawPointer, bytes: UInt64, taken: UnsafeRawPointer) {
    let written = unsafe OwnedLongWord(base)
    let dropped = unsafe OwnedLongWord(
      base + MemoryLayout<pto2_trace_head>.offset(of: \.dropped)!)
    let capacity = TraceReader.capacity(bytes: bytes)
    let position = written.loadOwn()
    let new = UnsafeMutablePointer<State>.allocate(capacity: 1)
    unsafe new.initialize(
      to: State(
        written: written, dropped: dropped, taken: taken.assumingMemoryBound(to: UInt64.self),
        records: (base + MemoryLayout<pto2_trace_head>.stride)
          .assumingMemoryBound(to: TraceRecord.self),
        capacity: capacity, position: position, place: position % capacity, takenSeen: 0))
    unsafe state = new
  }

  package func deallocate() { unsafe state?.deallocate() }

  @inlinable @inline(__always)
  package var isOn: Bool { unsafe state != nil }

  /// - Parameter value: the time, or a producer's id.
  @inlinable
  package func note(
    _ event: TraceEvent, _ task: TaskID, at value: UInt64, detail: UInt32 = 0
  ) {
    guard let state = unsafe state else { return }
    if unsafe state.pointee.position &- state.pointee.takenSeen >= state.pointee.capacity {
      guard unsafe hasRoom(state) else { return }
    }
    unsafe state.pointee.records[Int(truncatingIfNeeded: state.pointee.place)] = TraceRecord(
      event, task, value, detail: detail)
    unsafe state.pointee.place &+= 1
    if unsafe state.pointee.place == state.pointee.capacity { unsafe state.pointee.place = 0 }
    unsafe state.pointee.position &+= 1
    // Release: the record. The reader acquires it.
    unsafe state.pointee.written.storeRelease(state.pointee.position)
  }

  /// Looks how far the buffer was read. Acquire: pairs with the reader's release after its
  /// copies.
  @usableFromInline @inline(never)
  func hasRoom(_ state: UnsafeMutablePointer<State>) -> Bool {
    let taken = unsafe UnsafeRawPointer(state.pointee.taken)
      .assumingMemoryBound(to: Atomic<UInt64>.self).pointee.load(ordering: .acquiring)
    unsafe state.pointee.takenSeen = taken
    if unsafe state.pointee.position &- taken < state.pointee.capacity { return true }
    let dropped = unsafe state.pointee.dropped
    dropped.storeRelease(dropped.loadOwn() &+ 1)
    return false
  }
}

/// One buffer as the orchestrator's process reads it. Nothing in it is trusted.
@safe package struct TraceReader {
  private let base: UnsafeRawPointer
  private let takenWord: OwnedLongWord
  private let capacity: UInt64
  private var taken: UInt64 = 0
  /// Records that were overwritten by something else, as far as can be told.
  package private(set) var damaged: UInt64 = 0

  package init(at base: UnsafeRawPointer, bytes: UInt64, taken: UnsafeMutableRawPointer) {
    unsafe self.base = base
    takenWord = unsafe OwnedLongWord(taken)
    capacity = Self.capacity(bytes: bytes)
  }

  /// Places among the trace positions; the orchestrator's is 0.
  package static var firstThread: Int { 1 }
  package static var firstCore: Int { firstThread + Int(PTO2_MAX_SCHEDULER_THREADS) }

  /// Records that fit a buffer behind its head.
  static func capacity(bytes: UInt64) -> UInt64 {
    (bytes - UInt64(MemoryLayout<pto2_trace_head>.stride))
      / UInt64(MemoryLayout<TraceRecord>.stride)
  }

  private func word(_ offset: Int) -> UInt64 {
    unsafe (base + offset).assumingMemoryBound(to: Atomic<UInt64>.self)
      .pointee.load(ordering: .acquiring)
  }

  package var dropped: UInt64 { word(MemoryLayout<pto2_trace_head>.offset(of: \.dropped)!) }

  /// How much of the buffer was written since the last `take`, in 64ths; more if its head was
  /// spoilt.
  package var fill: UInt64 { (word(0) &- taken) / max(1, capacity / 64) }

  /// Hands out what is new, oldest first, in one or two pieces; then the writer may reuse it.
  package mutating func take(_ body: (UnsafeRawBufferPointer) -> Void) {
    let written = word(0)
    let count = written &- taken
    guard count <= capacity else {
      damaged &+= 1
      taken = written
      return takenWord.storeRelease(taken)
    }
    guard count > 0 else { return }
    let stride = MemoryLayout<TraceRecord>.stride
    let records = unsafe base + MemoryLayout<pto2_trace_head>.stride
    let first = taken % capacity
    let untilEnd = min(count, capacity - first)
    unsafe body(
      UnsafeRawBufferPointer(start: records + Int(first) * stride, count: Int(untilEnd) * stride))
    if count > untilEnd {
      unsafe body(UnsafeRawBufferPointer(start: records, count: Int(count - untilEnd) * stride))
    }
    taken = written
    // Release: the copies.
    takenWord.storeRelease(taken)
  }
}
