public import CPTO2Segment

/// The link's words: `LinkPage<OwnedWord>` is the link's, `LinkPage<SharedWord>` everybody
/// else's. A session of one rank has none.
@safe @frozen @usableFromInline
package struct LinkPage<Word: SegmentWord> {
  @usableFromInline let base: UnsafeRawPointer

  @usableFromInline typealias Layout = pto2_link_page

  /// - Parameter base: mapped for the life of this value; writable for OwnedWord.
  package init(at base: UnsafeRawPointer) { unsafe self.base = base }

  @inlinable @inline(__always)
  func word(_ offset: Int?) -> Word { unsafe Word(at: base + offset!) }

  /// Transfers that are over. Release: their records, and what was received. The scheduler
  /// acquires it.
  @inlinable package var ended: Word { word(MemoryLayout<Layout>.offset(of: \.ended)) }
  /// Starts that were read; for tools.
  @inlinable package var taken: Word { word(MemoryLayout<Layout>.offset(of: \.taken)) }
  /// 1 while the link sleeps on the scheduler's `transfersStarted` and the orchestrator's
  /// `asked`.
  @inlinable package var parked: Word { word(MemoryLayout<Layout>.offset(of: \.parked)) }
  /// PTO2_LINK_...
  @inlinable package var control: Word { word(MemoryLayout<Layout>.offset(of: \.control)) }
  /// The last meeting that all ranks came to. Release: what they said there.
  @inlinable package var answered: Word { word(MemoryLayout<Layout>.offset(of: \.answered)) }

  package var process: ProcessRecord {
    unsafe ProcessRecord(at: base + MemoryLayout<Layout>.offset(of: \.process)!)
  }
  package var error: ErrorBlock {
    unsafe ErrorBlock(at: base + MemoryLayout<Layout>.offset(of: \.error)!)
  }
  /// `error` is another rank's, which says it itself. Stored before the error's code.
  package var errorIsEcho: Word {
    word(MemoryLayout<Layout>.offset(of: \.error_is_echo))
  }

  private var trafficBase: UnsafeMutablePointer<pto2_link_traffic> {
    unsafe UnsafeMutableRawPointer(
      mutating: base + MemoryLayout<Layout>.offset(of: \.traffic)!
    ).assumingMemoryBound(to: pto2_link_traffic.self)
  }
  private var metBase: UnsafeMutablePointer<pto2_meeting> {
    unsafe UnsafeMutableRawPointer(mutating: base + MemoryLayout<Layout>.offset(of: \.met)!)
      .assumingMemoryBound(to: pto2_meeting.self)
  }

  /// With another rank so far.
  package func traffic(_ rank: Int) -> pto2_link_traffic { unsafe trafficBase[rank] }
  /// What a rank said in the meeting that `answered` says.
  package func met(_ rank: Int) -> Meeting { Meeting(unsafe metBase[rank]) }
}

extension LinkPage where Word == OwnedWord {
  package var ownProcess: OwnedProcessRecord {
    unsafe OwnedProcessRecord(at: base + MemoryLayout<Layout>.offset(of: \.process)!)
  }
  package var ownError: OwnedErrorBlock {
    unsafe OwnedErrorBlock(at: base + MemoryLayout<Layout>.offset(of: \.error)!)
  }
  package func setTraffic(_ rank: Int, _ value: pto2_link_traffic) {
    unsafe trafficBase[rank] = value
  }
  package func setMet(_ rank: Int, _ value: pto2_meeting) { unsafe metBase[rank] = value }
}

/// What the orchestrator of a rank tells its link.
@safe @frozen @usableFromInline
package struct RankPage<Word: SegmentWord> {
  @usableFromInline let base: UnsafeRawPointer

  @usableFromInline typealias Layout = pto2_rank_page

  /// - Parameter base: mapped for the life of this value; writable for OwnedWord.
  package init(at base: UnsafeRawPointer) { unsafe self.base = base }

  /// Number of the last meeting that was asked for. Release: `meeting`. The link acquires it.
  @inlinable package var asked: Word {
    unsafe Word(at: base + MemoryLayout<Layout>.offset(of: \.asked)!)
  }
  package var meeting: pto2_meeting {
    unsafe (base + MemoryLayout<Layout>.offset(of: \.meeting)!).load(as: pto2_meeting.self)
  }
  /// Tasks that the program has submitted, the lower half of their number. Release: their
  /// records.
  package var submitted: Word {
    unsafe Word(at: base + MemoryLayout<Layout>.offset(of: \.submitted)!)
  }
}

extension RankPage where Word == OwnedWord {
  package func setMeeting(_ value: pto2_meeting) {
    unsafe UnsafeMutableRawPointer(
      mutating: base + MemoryLayout<Layout>.offset(of: \.meeting)!
    ).assumingMemoryBound(to: pto2_meeting.self).pointee = value
  }
}

/// What a rank says of itself when all meet.
package struct Meeting: Equatable, Sendable {
  package var number: UInt32
  /// The number of the error with which its run ends; 0 = well.
  package var code: UInt32
  /// The error is that of another rank.
  package var isEcho: Bool
  package var submissions: UInt64
  package var hash: UInt64
  package var text: String
  /// What the rank has done; 0 at the start.
  package var traffic = Traffic()

  package struct Traffic: Equatable, Sendable {
    /// Of the program, in the run, that ran there.
    package var tasks: UInt64 = 0
    /// In the session so far.
    package var transfers: UInt64 = 0
    package var sentBytes: UInt64 = 0
    package var receivedBytes: UInt64 = 0
    package init() {}
  }

  package init(
    number: UInt32, code: UInt32 = 0, isEcho: Bool = false, submissions: UInt64 = 0,
    hash: UInt64 = 0, text: String = ""
  ) {
    self.number = number
    self.code = code
    self.isEcho = isEcho
    self.submissions = submissions
    self.hash = hash
    self.text = text
  }

  package init(_ record: pto2_meeting) {
    var record = record
    number = record.number
    code = record.code
    isEcho = record.is_echo != 0
    submissions = record.submissions
    hash = record.hash
    traffic.tasks = record.tasks
    traffic.transfers = record.transfers
    traffic.sentBytes = record.sent_bytes
    traffic.receivedBytes = record.received_bytes
    let length = Int(min(record.text_length, UInt32(PTO2_MEETING_TEXT_BYTES)))
    text = unsafe withUnsafeBytes(of: &record.text) {
      unsafe String(decoding: $0.prefix(length), as: UTF8.self)
    }
  }

  package var record: pto2_meeting {
    var record = pto2_meeting()
    record.number = number
    record.code = code
    record.is_echo = isEcho ? 1 : 0
    record.submissions = submissions
    record.hash = hash
    record.tasks = traffic.tasks
    record.transfers = traffic.transfers
    record.sent_bytes = traffic.sentBytes
    record.received_bytes = traffic.receivedBytes
    let bytes = Array(text.utf8.prefix(Int(PTO2_MEETING_TEXT_BYTES)))
    record.text_length = UInt32(bytes.count)
    unsafe withUnsafeMutableBytes(of: &record.text) { unsafe $0.copyBytes(from: bytes) }
    return record
  }
}
