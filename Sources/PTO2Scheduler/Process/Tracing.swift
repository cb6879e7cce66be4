internal import CPTO2Segment
package import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// The same accesses, of a session that is traced. The code of one that is not has nothing of
/// it.
package enum Traced<Base: Sharing>: Sharing {
  @inline(__always)
  package static var isShared: Bool { Base.isShared }
  @inline(__always)
  package static var isTraced: Bool { true }

  @inline(__always)
  package static func load<Word: AtomicWord>(_ cell: Cell<Word>) -> Word { Base.load(cell) }
  @inline(__always)
  package static func store<Word: AtomicWord>(_ cell: Cell<Word>, _ value: Word) {
    Base.store(cell, value)
  }
  @inline(__always)
  package static func add<Word: AtomicWord>(_ cell: Cell<Word>, _ value: Word) -> Word {
    Base.add(cell, value)
  }
  @inline(__always)
  package static func exchange<Word: AtomicWord>(_ cell: Cell<Word>, _ value: Word) -> Word {
    Base.exchange(cell, value)
  }
  @inline(__always)
  package static func compareExchange<Word: AtomicWord>(
    _ cell: Cell<Word>, _ expected: Word, _ desired: Word
  ) -> Bool { Base.compareExchange(cell, expected, desired) }
  @inline(__always)
  package static func or<Word: AtomicWord>(_ cell: Cell<Word>, _ bits: Word) {
    Base.or(cell, bits)
  }
}

/// What a scheduler thread records, in a buffer of its own.
struct SchedulerTrace {
  let writer: TraceWriter
  /// With every dependency.
  let hasEdges: Bool
  /// One reading serves all that a step does for a task.
  var now: UInt64 = 0

  init(_ segment: borrowing Segment, thread: Int) {
    writer = segment.traceWriter(.scheduler(thread: thread))
    hasEdges = segment.configuration.flags.contains(.traceEdges)
  }
}

extension SchedulerThread {
  /// Reads the clock for the records that follow.
  @inline(__always)
  mutating func readTraceClock() {
    if S.isTraced { trace.now = MonotonicClock.now() }
  }

  /// Several threads see each other's tasks, so their times are read one by one.
  @inline(__always)
  mutating func note(_ event: TraceEvent, _ id: TaskID, detail: @autoclosure () -> UInt32 = 0) {
    guard S.isTraced else { return }
    if S.isShared { trace.now = MonotonicClock.now() }
    trace.writer.note(event, id, at: trace.now, detail: detail())
  }

  /// Of a core, or of this process.
  mutating func note(_ event: TraceEvent, core: Int = 0) {
    guard S.isTraced else { return }
    readTraceClock()
    trace.writer.note(
      event, TaskID(rawValue: 0), at: trace.now,
      detail: TraceRecord.place(core: core, lane: 0, subtask: 0, block: 0))
  }

  /// What a task depends on, before it is wired.
  @inline(__always)
  mutating func noteEdges(_ id: TaskID, _ task: SubmittedTask, _ ring: Ring) {
    guard S.isTraced, trace.hasEdges else { return }
    for k in 0..<task.faninCount {
      let fanin = ring.fanin(ring.poolIndex(task.faninFirst &+ k))
      if fanin.waits { trace.writer.note(.edge, id, at: fanin.producer.rawValue) }
    }
  }
}
