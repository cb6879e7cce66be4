public import CPTO2Segment

/// What one core is told, in lanes that are served in turn: `DispatchLanes<OwnedWord>` is
/// the scheduler's, `DispatchLanes<SharedWord>` everybody else's.
@safe @frozen @usableFromInline
package struct DispatchLanes<Word: SegmentWord>: RecordView {
  @usableFromInline let base: UnsafeRawPointer

  @usableFromInline typealias Layout = pto2_dispatch_lanes

  @inlinable
  package static var stride: Int { MemoryLayout<Layout>.stride }

  /// - Parameter base: mapped for the life of this value; writable for OwnedWord.
  @inlinable @inline(__always)
  package init(at base: UnsafeRawPointer) { unsafe self.base = base }

  /// - Parameter lane: less than PTO2_MAX_LANES.
  @inlinable @inline(__always)
  package subscript(lane: UInt32) -> Lane<Word> {
    unsafe Lane(
      at: base + MemoryLayout<Layout>.offset(of: \.lanes)! + Int(lane)
        * MemoryLayout<pto2_lane>.stride)
  }

  /// DATA_MAIN_BASE of a lane.
  @inlinable @inline(__always)
  package func word(_ lane: UInt32) -> Word { self[lane].word }

  /// Bits of the cores 32 * `index` and up: those that were ever given a gate on this one.
  /// - Parameter index: less than PTO2_WAITER_WORDS.
  @inlinable @inline(__always)
  package func waiters(_ index: Int) -> Word {
    unsafe Word(at: base + MemoryLayout<Layout>.offset(of: \.waiters)! + 4 * index)
  }

  /// `position` of the dispatch with whose FIN the core wakes a sleeping scheduler.
  @inlinable @inline(__always)
  package var wakeAt: Word {
    unsafe Word(at: base + MemoryLayout<Layout>.offset(of: \.wake_at)!)
  }

  /// The lanes without FIN as the core's last worker died: the oldest, and how many.
  /// Published by `fenced`.
  package var left: (lane: UInt32, count: UInt32) {
    let record = unsafe base.assumingMemoryBound(to: Layout.self)
    return unsafe (record.pointee.left_lane, record.pointee.left_count)
  }
}

extension DispatchLanes where Word == OwnedWord {
  package func setLeft(lane: UInt32, count: UInt32) {
    let record = unsafe UnsafeMutableRawPointer(mutating: base).assumingMemoryBound(to: Layout.self)
    unsafe record.pointee.left_lane = lane
    unsafe record.pointee.left_count = count
  }

  /// Before the word of the dispatch with the gate is stored.
  @inlinable @inline(__always)
  package func addWaiter(_ core: Int) {
    let word = waiters(core >> 5)
    let bits = word.loadOwn()
    let bit = UInt32(1) << UInt32(core & 31)
    if bits & bit == 0 { word.storeRelease(bits | bit) }
  }
}

/// One lane: DATA_MAIN_BASE, and what is said beside it.
@safe @frozen @usableFromInline
package struct Lane<Word: SegmentWord> {
  @usableFromInline let base: UnsafeRawPointer

  @usableFromInline typealias Layout = pto2_lane

  @inlinable @inline(__always)
  init(at base: UnsafeRawPointer) { unsafe self.base = base }

  @inlinable @inline(__always)
  var record: UnsafePointer<Layout> { unsafe base.assumingMemoryBound(to: Layout.self) }

  /// DATA_MAIN_BASE. Release: the rest of the lane, and what the core reads to run the
  /// subtask.
  @inlinable @inline(__always)
  package var word: Word { unsafe Word(at: base) }

  /// Number of the lane's dispatch among all to its core. Release: the dispatch before it
  /// on this lane has its FIN.
  @inlinable @inline(__always)
  package var position: Word {
    unsafe Word(at: base + MemoryLayout<Layout>.offset(of: \.position)!)
  }

  /// 1 = say FIN without running the kernel. Stored before the gates open.
  @inlinable @inline(__always)
  package var skip: Word { unsafe Word(at: base + MemoryLayout<Layout>.offset(of: \.skip)!) }

  /// The SPMD block of the lane's dispatch; published by its word.
  @inlinable @inline(__always)
  package var block: UInt32 { unsafe record.pointee.block }

  /// How many gates the dispatch has, published by its word; no more than there are places,
  /// whatever stands there.
  @inlinable @inline(__always)
  package var gateCount: Int { unsafe min(Int(record.pointee.gate_count), Int(PTO2_MAX_GATES)) }

  /// All gates and their number in one: what one word of them is changed to changes it.
  @inlinable @inline(__always)
  package var gateSum: UInt32 {
    var sum = unsafe record.pointee.gate_count
    for index in 0..<gateCount {
      sum = sum << 7 | sum >> 25
      let gate = gate(index)
      sum ^= gate.position ^ (gate.place << 16 | gate.place >> 16)
    }
    return sum
  }

  /// - Parameter index: less than PTO2_MAX_GATES.
  @inlinable @inline(__always)
  package func gate(_ index: Int) -> Gate {
    unsafe Gate(
      (base + MemoryLayout<Layout>.offset(of: \.gates)!).assumingMemoryBound(to: pto2_gate.self)[
        index])
  }
}

extension Lane where Word == OwnedWord {
  @inlinable @inline(__always)
  var ownRecord: UnsafeMutablePointer<Layout> {
    unsafe UnsafeMutableRawPointer(mutating: base).assumingMemoryBound(to: Layout.self)
  }

  /// All but the word, which publishes it. The lane is free: its last dispatch has its FIN.
  @inlinable @inline(__always)
  package func begin(_ newPosition: UInt32, block: UInt32, gates: Gates) {
    // First: a core that waits for the lane's last dispatch sees that it is over, or that
    // the lane is as it was.
    position.storeRelease(newPosition)
    skip.storeRelaxed(0)
    unsafe ownRecord.pointee.block = block
    unsafe ownRecord.pointee.gate_count = UInt32(truncatingIfNeeded: gates.count)
    let first = unsafe UnsafeMutableRawPointer(
      mutating: base + MemoryLayout<Layout>.offset(of: \.gates)!
    ).assumingMemoryBound(to: pto2_gate.self)
    for index in 0..<gates.count { unsafe first[index] = gates[index].record }
  }
}

/// What must have finished before a dispatch may begin: a dispatch to another core.
@frozen @usableFromInline
package struct Gate: BitwiseCopyable, Equatable {
  @usableFromInline package private(set) var position: UInt32
  @usableFromInline var place: UInt32

  @inlinable @inline(__always)
  package init(core: Int, lane: UInt32, position: UInt32) {
    self.position = position
    place = UInt32(truncatingIfNeeded: core) << UInt32(PTO2_PLACE_CORE_SHIFT) | lane
  }

  /// All of it in one word.
  @inlinable @inline(__always)
  package init(bits: UInt64) {
    position = UInt32(truncatingIfNeeded: bits)
    place = UInt32(truncatingIfNeeded: bits >> 32)
  }
  @inlinable @inline(__always)
  package var bits: UInt64 { UInt64(place) << 32 | UInt64(position) }

  @inlinable @inline(__always)
  init(_ record: pto2_gate) {
    position = record.position
    place = record.place
  }

  @inlinable @inline(__always)
  var record: pto2_gate { pto2_gate(position: position, place: place) }

  @inlinable @inline(__always)
  package var core: Int { Int(place >> UInt32(PTO2_PLACE_CORE_SHIFT)) }
  @inlinable @inline(__always)
  package var lane: UInt32 { place & (1 << UInt32(PTO2_PLACE_CORE_SHIFT) - 1) }

  /// What the lane's `position` is as long as the dispatch is there.
  package var awaitedPosition: UInt32 { position }

  /// What a core's `parked` says while it sleeps until this gate opens.
  @inlinable @inline(__always)
  package var parkedReason: CoreParked { CoreParked(rawValue: PTO2_CORE_PARKED_ON_GATE | place) }

  /// False for a place that no scheduler writes.
  @inlinable @inline(__always)
  package func isPlausible(cores: Int) -> Bool {
    core < cores && lane < UInt32(PTO2_MAX_LANES)
  }

  /// True when the dispatch has finished.
  /// - Parameters:
  ///   - lane: the lane it names.
  ///   - cond: COND of that lane. Acquire: what the kernel stored.
  @inlinable @inline(__always)
  package func isOpen<Word: GateWord>(_ lane: Lane<Word>, _ cond: SharedWord) -> Bool {
    // The position first. Where it has changed, the scheduler had seen the FIN before.
    // Where it has not, the lane's word is the dispatch's, or that of the next one there,
    // whose FIN comes after the first one's.
    if lane.position.loadAcquire() != position { return true }
    let word = DispatchWord(rawValue: lane.word.loadAcquire())
    return ConditionWord(rawValue: cond.loadAcquire()) == .fin(word)
  }
}

/// A word that can be loaded, whoever writes it.
@usableFromInline
package protocol GateWord: SegmentWord {
  func loadAcquire() -> UInt32
}

extension SharedWord: GateWord {}
extension OwnedWord: GateWord {
  @inlinable @inline(__always)
  package func loadAcquire() -> UInt32 { shared.loadAcquire() }
}

/// What a core's `parked` says that it sleeps on; 0 = awake.
@frozen @usableFromInline
package struct CoreParked: Equatable {
  @usableFromInline package let rawValue: UInt32

  @inlinable @inline(__always)
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable @inline(__always)
  package static func on(lane: UInt32) -> CoreParked {
    CoreParked(rawValue: PTO2_CORE_PARKED_ON_LANE | lane)
  }

  /// The lane whose DATA_MAIN_BASE it sleeps on; nil when awake, at a gate, or for what no
  /// core writes.
  @inlinable @inline(__always)
  package var lane: UInt32? {
    let lane = rawValue ^ PTO2_CORE_PARKED_ON_LANE
    return lane < UInt32(PTO2_MAX_LANES) ? lane : nil
  }

  /// The core and the lane of the gate that it sleeps at, whatever dispatch that is for; nil
  /// when awake or on a lane. Check that it is plausible.
  package var gate: Gate? {
    rawValue & PTO2_CORE_PARKED_ON_GATE == 0
      ? nil : Gate(bits: UInt64(rawValue & ~PTO2_CORE_PARKED_ON_GATE) << 32)
  }
}

/// The gates of one dispatch: at most PTO2_MAX_GATES, one per core. Copies share their
/// memory: there is one dispatch at a time.
@safe @frozen @usableFromInline
package struct Gates {
  @usableFromInline let places: UnsafeMutablePointer<Place>
  @usableFromInline package private(set) var count = 0

  /// A gate, and how many producers it stands for.
  @frozen @usableFromInline
  struct Place {
    @usableFromInline var gate: Gate
    @usableFromInline var producers: UInt32

    @inlinable @inline(__always)
    init(gate: Gate, producers: UInt32) {
      self.gate = gate
      self.producers = producers
    }
  }

  package init() {
    unsafe places = .allocate(capacity: Int(PTO2_MAX_GATES))
    let none = Place(gate: Gate(core: 0, lane: 0, position: 0), producers: 0)
    unsafe places.initialize(repeating: none, count: Int(PTO2_MAX_GATES))
  }

  package func deallocate() { unsafe places.deallocate() }

  /// - Parameter index: less than `count`.
  @inlinable @inline(__always)
  package subscript(index: Int) -> Gate { unsafe places[index].gate }

  /// How many producers the gate on a core stands for; 0 where there is none.
  @inlinable @inline(__always)
  package func producers(on core: Int) -> UInt32 {
    for index in 0..<count where self[index].core == core {
      return unsafe places[index].producers
    }
    return 0
  }

  /// What lies before a dispatch on its own core needs no gate.
  @inlinable @inline(__always)
  package mutating func remove(core: Int) {
    for index in 0..<count where self[index].core == core {
      count &-= 1
      unsafe places[index] = places[count]
      return
    }
  }

  /// Of two on one core the later one counts: it finishes later.
  /// - Returns: false when there is no place left.
  @inlinable @inline(__always)
  package mutating func add(_ gate: Gate) -> Bool {
    for index in 0..<count where self[index].core == gate.core {
      if Int32(bitPattern: gate.position &- self[index].position) > 0 {
        unsafe places[index].gate = gate
      }
      unsafe places[index].producers &+= 1
      return true
    }
    guard count < Int(PTO2_MAX_GATES) else { return false }
    unsafe places[count] = Place(gate: gate, producers: 1)
    count &+= 1
    return true
  }
}
