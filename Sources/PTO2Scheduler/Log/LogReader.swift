internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment

/// The submission log as it is read: one thread at a time does.
@safe struct LogReader {
  private let state: UnsafeMutablePointer<State>

  @safe private struct State {
    let log: RingTable<LogPlace>
    var submitted: UInt32
    var scope = ScopeEnd()
    var isResumed = false
    let reservations: UnsafeMutablePointer<RingReservation>
    let ringCount: Int
  }

  init(_ segment: borrowing Segment) {
    let configuration = segment.configuration
    let ringCount = configuration.rings.count
    let reservations = UnsafeMutablePointer<RingReservation>.allocate(capacity: ringCount)
    for ring in 0..<ringCount {
      unsafe (reservations + ring).initialize(to: RingReservation(segment.layout, ring: ring))
    }
    unsafe state = .allocate(capacity: 1)
    unsafe state.initialize(
      to: State(
        log: segment.log, submitted: configuration.firstPosition, reservations: reservations,
        ringCount: ringCount))
  }

  func deallocate() {
    unsafe state.pointee.reservations.deinitialize(count: state.pointee.ringCount)
    unsafe state.pointee.reservations.deallocate()
    unsafe state.deinitialize(count: 1)
    unsafe state.deallocate()
  }

  @inline(__always)
  var log: RingTable<LogPlace> { unsafe state.pointee.log }
  /// The `submitted` word as last read.
  @inline(__always)
  var submitted: Cell<UInt32> { unsafe Cell(&state.pointee.submitted) }
  /// The rest of a scope end that is being worked off; its record counts as wired when
  /// nothing is left.
  @inline(__always)
  var scope: Cell<ScopeEnd> { unsafe Cell(&state.pointee.scope) }
  /// The next record is a scope end that a scheduler before this one may have worked
  /// off in part.
  @inline(__always)
  var isResumed: Cell<Bool> { unsafe Cell(&state.pointee.isResumed) }

  /// Makes sure that memory is behind what a task's wiring touches.
  /// - Returns: true when all of the ring has memory.
  func reserve(
    _ segment: borrowing Segment, _ id: TaskID, faninFirst: UInt32, faninCount: UInt32
  ) throws(SegmentError) -> Bool {
    try unsafe state.pointee.reservations[id.ring].ensure(
      segment, local: id.local, faninFirst: faninFirst, faninCount: faninCount)
    return unsafe state.pointee.reservations[id.ring].isComplete
  }
}

extension SchedulerThread {
  /// Wires new records, in order, at most `wiringBudget`. Whoever finds the lock taken
  /// leaves them to the holder, and the first thread does not sleep while there are any.
  mutating func readLog() -> Int {
    guard S.isShared else { return readRecords(log.ofOnlyThread) }
    if S.load(words.logWired) == orchestrator.submitted.loadAcquire() { return 0 }
    return log.withLock { readRecords($0) } ?? 0
  }

  @inline(__always)
  private mutating func readRecords(_ reader: LogReader) -> Int {
    let before = words.logWired.value
    if before == reader.submitted.value {
      // Acquire: pairs with the orchestrator's release of `submitted`, after the log
      // record, the main slot, the descriptor and the fanin list.
      let last = orchestrator.submitted.loadAcquire()
      guard last &- before <= reader.log.count else {
        violation("log position \(last) is said to be submitted, far beyond the wired ones")
        return 0
      }
      reader.submitted.value = last
    }
    var work = 0
    let last = reader.submitted.value
    var wired = before
    while wired != last, wired &- before < Self.wiringBudget, !hasFailed {
      let record = reader.log[wired].content
      switch record.kind {
      case PTO2_LOG_TASK where record.ring < UInt32(rings.count):
        wire(TaskID(ring: Int(record.ring), local: record.id), at: wired, reader)
      case PTO2_LOG_SCOPE_END where record.ring < UInt32(rings.count):
        work += endScope(record, reader)
      default: violation("log record \(wired) has kind \(record.kind), ring \(record.ring)")
      }
      if reader.scope.value.left > 0 { break }
      wired &+= 1
      if record.kind == PTO2_LOG_SCOPE_END { own.wired.storeRelease(wired) }
    }
    if wired != before {
      S.store(words.logWired, wired)
      advances += 1
      work += Int(wired &- before)
    }
    return work
  }
}
