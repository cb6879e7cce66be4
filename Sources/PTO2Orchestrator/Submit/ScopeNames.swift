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

/// The names that the program has given scopes and tasks, and what the scopes took, as tools
/// read them in the segment. A name that finds no room is none, and counted.
struct ScopeNames: ~Copyable {
  private let page: OrchestratorPage<OwnedWord>
  private let names: RecordList<OwnedScopeName>
  private let uses: RecordList<OwnedScopeUse>
  private var count = 0
  /// Their numbers by the hash of what they say; 0 for a free place. Less than half are in use.
  private var numbers = PlainArray<UInt16>(
    repeating: 0, count: 2 * (Int(PTO2_MAX_SCOPE_NAMES) + 1))
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

  /// Of scopes: the same for equal names, from 1 on; 0 when there is no room for it.
  mutating func number(of name: UnsafeRawBufferPointer, in segment: borrowing Segment) -> Int {
    let number = unsafe find(name, scope: UInt16(PTO2_NAME_OF_SCOPES), in: segment)
    if number == 0 { increment(page.unnamedScopes) }
    return number
  }

  /// Of tasks in the scopes of a name, 0 for none.
  mutating func number(
    of name: UnsafeRawBufferPointer, inScope scope: Int, in segment: borrowing Segment
  ) -> Int {
    let number = unsafe find(name, scope: UInt16(truncatingIfNeeded: scope), in: segment)
    if number == 0 { increment(page.unnamedTasks) }
    return number
  }

  /// Of a task that has the name of another one, in a scope of another name perhaps.
  mutating func number(
    of other: Int, inScope scope: Int, in segment: borrowing Segment
  ) -> Int {
    if Int(names[other - 1].scope) == scope { return other }
    return unsafe number(of: names[other - 1].text, inScope: scope, in: segment)
  }

  private mutating func find(
    _ name: UnsafeRawBufferPointer, scope: UInt16, in segment: borrowing Segment
  ) -> Int {
    let text = unsafe OwnedScopeName.kept(name)
    var hash = FNV1a()
    for index in text.indices { hash.add(unsafe text[index]) }
    hash.addWord(UInt64(scope))
    let mask = numbers.count - 1
    var place = Int(truncatingIfNeeded: hash.value) & mask
    while numbers[place] != 0 {
      let number = Int(numbers[place])
      if unsafe names[number - 1].isSame(text, scope: scope) { return number }
      place = (place + 1) & mask
    }
    guard reserve(in: segment), count < names.count else { return 0 }
    unsafe names[count].set(text, scope: scope)
    count += 1
    numbers[place] = UInt16(count)
    // Release: the record.
    page.scopeNames.storeRelease(UInt32(count))
    return count
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

  private func increment(_ word: OwnedWord) { word.storeRelaxed(word.loadOwn() &+ 1) }

  mutating func begin(at depth: Int, _ position: RingPosition) { begins[depth] = position }

  /// - Parameter position: of the scope's ring, as it stands now.
  mutating func end(_ scope: Scope, at depth: Int, _ position: RingPosition) {
    let key = scope.name << 8 | scope.ring
    let place: Int
    if let known = places[key] {
      place = known
    } else {
      guard places.count < uses.count else { return increment(page.unmeasuredScopes) }
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
  /// The task that is put together has a name; an empty one is none.
  @inline(never)
  mutating func stageName(_ name: UnsafeRawBufferPointer) {
    let scope = scopes.innermost.name
    let number = unsafe name.isEmpty ? 0 : scopeNames.number(of: name, inScope: scope, in: segment)
    staged.attributes.name = UInt16(number)
  }

  /// The number of a recorded task's name in the scope of its replay.
  @inline(never)
  mutating func nameOfReplay(_ name: UInt16) -> UInt16 {
    UInt16(scopeNames.number(of: Int(name), inScope: scopes.innermost.name, in: segment))
  }

  /// What failed, for messages.
  func taskText(_ id: TaskID, _ place: ScopePlace) -> String {
    let names = TaskNames(
      of: place.name, in: segment.scopeNames, count: segment.scopeNameCount)
    return names.task == 0
      ? "task \(id)" : "task \(id) \"\(segment.scopeNames[names.task - 1].text)\""
  }

  /// Of a session that is traced.
  @inline(never)
  func noteSubmission(_ task: TaskOrdinal, _ place: UInt16) {
    trace.note(
      .submitted, task.id, at: MonotonicClock.now(), detail: UInt32(place))
  }
}
