internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// The submission log: the one channel from orchestrator to scheduler.
struct SubmissionLog: ~Copyable {
  private let records: RingTable<LogPlace>
  private let submittedWord: OwnedWord
  let wiredWord: SharedWord
  /// The scheduler's first thread is the one that waits for submissions.
  private let publisher: Publisher
  private let wantedWord: SharedWord
  /// The value of `wanted` for which the scheduler was woken: it does not sleep for that
  /// one again, since it looks whether it is reached.
  private var lastWake: UInt32?
  private(set) var submitted: UInt64
  /// Records known to be wired; read when the log looks full.
  private var wired: UInt64

  init(_ segment: borrowing Segment) {
    records = segment.ownLog
    submittedWord = segment.ownOrchestratorPage.submitted
    wiredWord = segment.schedulerPage.wired
    wantedWord = segment.schedulerPage.wanted
    publisher = Publisher(to: segment.schedulerPage.parked, bits: 1)
    submitted = UInt64(segment.configuration.firstPosition)
    wired = submitted
    submittedWord.storeRelaxed(segment.configuration.firstPosition)
  }

  var capacity: UInt64 { UInt64(records.count) }

  @inline(__always)
  var hasRoom: Bool { submitted &- wired < capacity }

  /// Reads how far the scheduler has come. Acquire: pairs with its release after its
  /// last look at the records.
  /// - Returns: false for a value no scheduler stores.
  mutating func refresh() -> Bool {
    guard let position = RingProducer.advance(wired, wiredWord, limit: submitted) else {
      return false
    }
    wired = position
    return true
  }

  /// Appends one record and publishes it; wakes the scheduler if it sleeps until so many
  /// are there. There is room.
  @inline(__always)
  mutating func append(_ record: pto2_log_record) {
    records[UInt32(truncatingIfNeeded: submitted)].store(record)
    submitted &+= 1
    // Release, pairs with the scheduler's acquire: it sees the record, and the slot,
    // descriptor and fanin list written before.
    let position = UInt32(truncatingIfNeeded: submitted)
    submittedWord.storeRelease(position)
    Publisher.fence()
    guard publisher.isAsleep else { return }
    let wanted = wantedWord.loadRelaxed()
    guard wanted != lastWake, Position(position).distance(from: Position(wanted)) >= 0 else {
      return
    }
    lastWake = wanted
    Futex.wake(submittedWord.shared)
  }
}
