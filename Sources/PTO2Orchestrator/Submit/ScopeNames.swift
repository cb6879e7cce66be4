internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// How much a ring has given out so far, in positions that run free.
struct RingPosition: BitwiseCopyable {
  var tasks: UInt64 = 0
  var heap: UInt64 = 0
  var pool: UInt64 = 0

  init() {}

  init(_ ring: borrowing RingProducer) {
    tasks = ring.current
    heap = ring.heap.head
    pool = ring.poolHead
  }
}

/// The names that the program has given scopes, and what those took, as tools read them in
/// the segment. A name that finds no room is none, and counted.
struct ScopeNames: ~Copyable {
  private let page: OrchestratorPage<OwnedWord>
  private let names: RecordList<OwnedScopeName>
  private let uses: RecordList<OwnedScopeUse>
  private var numbers: [String: Int] = [:]
  /// Number of the name and ring, to the place among the uses.
  private var places: [Int: Int] = [:]
  /// Where the ring of an open scope stood as it began, by depth.
  private var begins = PlainArray<RingPosition>(
    repeating: RingPosition(), count: Int(PTO2_MAX_SCOPE_DEPTH) + 1)
  /// Nil until a name is given.
  private var isReserved: Bool?

  init(_ segment: borrowing Segment) {
    page = segment.ownOrchestratorPage
    names = segment.ownScopeNames
    uses = segment.ownScopeUses
  }

  /// The same for equal names, from 1 on; 0 when there is no room for it.
  mutating func number(of name: String, in segment: borrowing Segment) -> Int {
    if let number = numbers[name] { return number }
    guard reserve(in: segment), numbers.count < names.count else {
      count(page.unnamedScopes)
      return 0
    }
    let number = numbers.count + 1
    names[number - 1].set(name)
    numbers[name] = number
    // Release: the record.
    page.scopeNames.storeRelease(UInt32(number))
    return number
  }

  /// The sections of both tables, which take memory once there is a name.
  private mutating func reserve(in segment: borrowing Segment) -> Bool {
    if let isReserved { return isReserved }
    var isDone = true
    for kind in [SectionKind.scopeNames, .scopeUses] {
      do throws(SegmentError) {
        try segment.reserve(
          kind, from: 0, to: segment.layout.section(kind).bytes, isPopulated: false)
      } catch { isDone = false }
    }
    isReserved = isDone
    return isDone
  }

  private func count(_ word: OwnedWord) { word.storeRelaxed(word.loadOwn() &+ 1) }

  mutating func begin(at depth: Int, _ position: RingPosition) { begins[depth] = position }

  /// - Parameter position: of the scope's ring, as it stands now.
  mutating func end(_ scope: Scope, at depth: Int, _ position: RingPosition) {
    let key = scope.name << 8 | scope.ring
    let place: Int
    if let known = places[key] {
      place = known
    } else {
      guard places.count < uses.count else { return count(page.unmeasuredScopes) }
      place = places.count
      places[key] = place
      uses[place].set(name: UInt32(scope.name), ring: UInt32(scope.ring))
      // Release: whose it is.
      page.scopeUses.storeRelease(UInt32(place + 1))
    }
    let begin = begins[depth]
    uses[place].add(
      tasks: position.tasks &- begin.tasks, heap: position.heap &- begin.heap,
      pool: position.pool &- begin.pool)
  }
}

extension Orchestrator {
  /// Of a session that is traced.
  @inline(never)
  func noteSubmission(_ task: TaskOrdinal, _ scope: Scope) {
    trace.note(
      .submitted, task.id, at: MonotonicClock.now(), detail: UInt32(scope.place))
  }
}
