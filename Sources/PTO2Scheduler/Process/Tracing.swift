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
  /// One reading serves a few records: all that a step does for a task, and for some after it.
  var now: UInt64 = 0
  /// Records since that reading.
  private var age = Self.oldest

  private static var oldest: Int { 8 }

  init(_ segment: borrowing Segment, thread: Int) {
    writer = segment.traceWriter(.scheduler(thread: thread))
    hasEdges = segment.configuration.flags.contains(.traceEdges)
  }

  mutating func readClock() {
    now = MonotonicClock.now()
    age = 0
  }

  /// What is recorded next may have to do with what was just seen of another process.
  @inline(__always)
  mutating func expire() { age = Self.oldest }

  @inline(__always)
  mutating func time() -> UInt64 {
    if age >= Self.oldest { readClock() }
    age &+= 1
    return now
  }
}

extension SchedulerThread {
  /// The next record has a time of its own: something of another process was seen that must
  /// stand before it.
  @inline(__always)
  mutating func expireTraceClock() {
    if S.isTraced { trace.expire() }
  }

  /// Several threads see each other's tasks, so their times are read one by one.
  @inline(__always)
  mutating func note(_ event: TraceEvent, _ id: TaskID, detail: @autoclosure () -> UInt32 = 0) {
    guard S.isTraced else { return }
    if S.isShared { trace.expire() }
    trace.writer.note(event, id, at: trace.time(), detail: detail())
  }

  /// Of a core, or of this process.
  mutating func note(_ event: TraceEvent, core: Int = 0) {
    guard S.isTraced else { return }
    trace.expire()
    trace.writer.note(
      event, TaskID(rawValue: 0), at: trace.time(),
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
