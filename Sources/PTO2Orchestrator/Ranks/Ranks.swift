internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// What this rank knows of all ranks, when several sessions run one program together:
/// which rank has which bytes, and what was submitted so far, wherever it runs. The other
/// ranks know the same, since they see the same submissions. A session by itself has one
/// rank and keeps nothing here.
struct Ranks: ~Copyable {
  /// This one, and how many there are. A test that submits transfers itself says that it is alone.
  let own: Int
  var count: Int
  /// There is no other, and no link: what others would send is taken for sent, so that the
  /// cost of being one of many can be measured.
  let isPretended: Bool

  /// By place in the buffer table: of the buffer that has the place now.
  private var holdings: [Holding] = []
  private var buffersMade: UInt64 = 0
  /// Places of tensors whose memory, if there is any, lies in this rank's arena, though
  /// their scopes end them: outputs of tasks that run elsewhere.
  private(set) var foreignOutputs: [(scope: UInt64, place: UInt32)] = []

  /// What tasks use whose order nothing here knows, since the last wait: of manual scopes, or
  /// without order.
  private var unordered: [UnorderedUse] = []

  /// Buffers of which the program keeps an address.
  private(set) var exposed: [(place: UInt32, generation: UInt32)] = []

  /// Transfers so far to each rank, and from it.
  private var sent: [UInt64]
  private var received: [UInt64]

  /// By number of the submission: the rank it runs on 63:54, 1023 for all; if it runs here, its
  /// ring 53:48 and the rest of its ordinal 47:0.
  private var tasks = PlainArray<UInt64>(capacity: 1024)
  /// What the task that is being put together waits for, of any rank.
  var dependencies: [RankedDependency] = []
  /// Where the program has said that it runs.
  var chosen: Int?
  /// The part of the program in hand that this rank goes through alone.
  var inner: RankScope?

  private let page: RankPage<OwnedWord>?
  private let records: RingTable<SubmissionPlace>?
  /// Of the submissions so far, in this session.
  private(set) var hash = FNV1a()
  private(set) var submissions: UInt64 = 0

  /// Tasks of the program in this run that run here.
  private(set) var tasksHere: UInt64 = 0
  /// What every rank had done when the run ended, by rank.
  var traffic: [Meeting.Traffic] = []

  /// - Parameter pretended: another place than the segment says.
  init(_ segment: borrowing Segment, pretended: (rank: Int, ranks: Int)?) {
    isPretended = pretended != nil
    own = pretended?.rank ?? Int(segment.configuration.rank)
    count = pretended?.ranks ?? Int(segment.configuration.ranks)
    sent = Array(repeating: 0, count: count)
    received = Array(repeating: 0, count: count)
    page = segment.configuration.hasLink ? segment.ownRankPage : nil
    records = segment.configuration.hasLink ? segment.ownSubmissions : nil
  }

  /// There is no other.
  @inline(__always)
  var isAlone: Bool { count == 1 }

  var all: RankSet { .all(count) }

  mutating func beginRun() {
    holdings = []
    foreignOutputs = []
    exposed = []
    unordered = []
    tasks.removeAll()
    dependencies = []
    chosen = nil
    inner = nil
    tasksHere = 0
    traffic = []
  }

  /// The next task: nothing is said of it yet.
  mutating func unstage() {
    if !dependencies.isEmpty { dependencies.removeAll() }
    chosen = nil
  }

  // MARK: Buffers

  /// A new buffer. Every rank makes the same ones in the same order.
  mutating func begin(
    _ place: UInt32, _ buffer: Buffer, home: Int?, holders: RankSet, writer: Int
  ) {
    var holding = Holding(
      serial: buffersMade, bytes: buffer.bytes, home: home, holders: holders, writer: writer)
    holding.isInner = inner != nil
    while holdings.count <= Int(place) { holdings.append(holding) }
    holdings[Int(place)] = holding
    // Other ranks do not see it.
    if inner == nil { buffersMade += 1 }
  }

  /// The buffer has been begun.
  subscript(place: UInt32) -> Holding {
    _read { yield holdings[Int(place)] }
    _modify { yield &holdings[Int(place)] }
  }

  mutating func expose(_ place: UInt32, _ generation: UInt32) {
    if !exposed.contains(where: { $0 == (place, generation) }) {
      exposed.append((place, generation))
    }
  }

  /// There are such tasks, on whichever rank.
  var hasUnordered: Bool { !unordered.isEmpty }

  mutating func noteUnordered(_ use: UnorderedUse) {
    holdings[Int(use.place)].isUnordered = true
    // Mostly they use the same few tensors again.
    if !unordered.suffix(16).contains(where: { $0.covers(use) }) { unordered.append(use) }
  }

  /// Another rank on which they use some of these bytes.
  func unorderedElsewhere(_ use: UnorderedUse) -> Int? {
    guard holdings[Int(use.place)].isUnordered else { return nil }
    return unordered.first { $0.overlaps(use) && $0.rank != use.rank }?.rank
  }

  /// All of them have been waited for: what one rank alone has used, it may have written. What
  /// several have is what they all read.
  mutating func settleUnordered() {
    for use in unordered where use.mayWrite && unorderedElsewhere(use) == nil {
      holdings[Int(use.place)].noteWrite(use.begin, use.end, by: use.rank)
    }
    for use in unordered { holdings[Int(use.place)].isUnordered = false }
    unordered.removeAll()
  }

  mutating func noteForeignOutput(_ place: UInt32, scope: UInt64) {
    foreignOutputs.append((scope, place))
  }

  /// Outputs of tasks elsewhere that end with a scope.
  mutating func takeForeignOutputs(of scope: UInt64) -> [UInt32] {
    var places: [UInt32] = []
    while let last = foreignOutputs.last, last.scope == scope {
      places.append(last.place)
      foreignOutputs.removeLast()
    }
    return places
  }

  // MARK: Transfers

  /// The number of the next transfer to a rank, or from it.
  mutating func nextSent(to rank: Int) -> UInt64 {
    defer { sent[rank] += 1 }
    return sent[rank]
  }
  mutating func nextReceived(from rank: Int) -> UInt64 {
    defer { received[rank] += 1 }
    return received[rank]
  }

  // MARK: Submissions

  /// The id that the next submission has on every rank: no ring has this number.
  var nextID: TaskID { TaskID(ring: Self.idRing, local: UInt32(truncatingIfNeeded: tasks.count)) }
  private static let idRing = 256

  /// Where the submission of an id runs, nil for every rank, and its ordinal if that is here;
  /// nil for an id of none.
  func task(_ id: TaskID) -> (rank: Int?, ordinal: TaskOrdinal)? {
    guard id.ring == Self.idRing, Int(id.local) < tasks.count else { return nil }
    let entry = tasks[id.local]
    let rank = Int(entry >> 54)
    guard rank == own || rank == Self.everyRank else { return (rank, .none) }
    return (
      rank == Self.everyRank ? nil : rank,
      TaskOrdinal(ring: Int(entry >> 48 & 0x3F), ordinal: entry & 0xFFFF_FFFF_FFFF)
    )
  }

  private static let everyRank = 1023

  /// A task was submitted that runs on a rank; nil: on every one.
  /// - Parameter ordinal: of the task here; none elsewhere.
  mutating func note(on rank: Int?, _ ordinal: TaskOrdinal) {
    if ordinal != .none { tasksHere += 1 }
    tasks.append(
      UInt64(rank ?? Self.everyRank) << 54 | UInt64(ordinal == .none ? 0 : ordinal.ring) << 48
        | ordinal.ordinal & 0xFFFF_FFFF_FFFF)
  }

  /// What all ranks must agree on, for whoever compares.
  mutating func record(_ kernels: KernelSet, on rank: Int, tensors: Int) {
    guard let records, let page else { return }
    let ids = kernels.ids
    func id(_ call: UInt64, _ id: UInt16) -> UInt16 { call == 0 ? .max : id }
    let calls = kernels.calls
    records[UInt32(truncatingIfNeeded: submissions)].store(
      pto2_submitted_task(
        hash: hash.value, kernel_ids: (id(calls.0, ids.0), id(calls.1, ids.1), id(calls.2, ids.2)),
        rank: UInt8(rank), tensors: UInt8(truncatingIfNeeded: tensors)))
    submissions += 1
    // Release: the record. The link acquires it.
    page.submitted.storeRelease(UInt32(truncatingIfNeeded: submissions))
  }

  mutating func addToHash(_ number: UInt64) {
    // A byte at a time is too slow for every argument of every task of every rank.
    hash.addWord(number)
  }

  // MARK: Meetings

  /// Number of the last meeting that was asked for.
  private var meetings: UInt32 = 0

  /// Asks the link to meet the others.
  /// - Returns: the number of the meeting.
  mutating func ask(_ meeting: Meeting) -> UInt32 {
    guard let page else { return 0 }
    meetings += 1
    var meeting = meeting
    meeting.number = meetings
    page.setMeeting(meeting.record)
    // Release: the meeting. The link acquires it.
    page.asked.storeRelease(meetings)
    fullFence()
    Futex.wake(page.asked.shared)
    return meetings
  }
}

/// Bytes of a buffer, used on a rank by a task whose order nothing knows.
struct UnorderedUse {
  var place: UInt32
  var begin: UInt64
  var end: UInt64
  var rank: Int
  var mayWrite: Bool

  func covers(_ other: UnorderedUse) -> Bool {
    place == other.place && rank == other.rank && begin <= other.begin && end >= other.end
      && (mayWrite || !other.mayWrite)
  }
  func overlaps(_ other: UnorderedUse) -> Bool {
    place == other.place && begin < other.end && other.begin < end
  }
}

/// A task, of any rank, that the one being put together waits for.
struct RankedDependency {
  /// Nil: every rank has run it.
  var rank: Int?
  /// If it runs here.
  var ordinal: TaskOrdinal
  var isRetained: Bool
}
