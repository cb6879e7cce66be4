internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// One core's lanes as the scheduler drives them.
///
/// Dispatches go to the lanes in turn and the core serves them in turn, so one
/// word is polled per core: the COND of its oldest dispatch. What a dispatch
/// moves belongs to the dispatcher, what a FIN moves to the thread that polls
/// the core.
@unsafe struct CoreState {
  let words: UnsafeMutablePointer<UInt32>
  let conds: UnsafeRawPointer
  let parked: SharedWord
  let ready: SharedWord
  let process: UnsafeRawPointer
  /// Not 0 once the polling thread has seen the core READY; 0 again when its
  /// worker has died.
  var incarnation: UInt32 = 0
  /// Who hosts it, as it said when it was admitted; counts while `incarnation` does.
  var host: (identity: ProcessIdentity, isSupervised: Bool)?
  /// Dispatches so far, wrapping. Writer: the dispatcher.
  var started: UInt32 = 0
  var nextLane: UInt32 = 0
  /// Of these, how many have their FIN. Writer: the polling thread.
  var retired: UInt32 = 0
  var oldestLane: UInt32 = 0

  @inline(__always)
  func wordToCore(_ lane: UInt32) -> OwnedWord { unsafe OwnedWord(words + Int(lane)) }
  @inline(__always)
  func cond(_ lane: UInt32) -> SharedWord { unsafe SharedWord(conds + 4 * Int(lane)) }
}

/// What is outstanding on one lane.
struct LaneState {
  /// The word last stored to DATA_MAIN_BASE.
  var word = DispatchWord.idle
  /// What COND held before that dispatch: the FIN of the one before.
  var condBefore = ConditionWord.coreIdle
  var taskID: UInt64 = 0
}

/// All cores: who is idle, who has a free lane. Masks have a bit per cluster
/// and belong to the dispatcher.
@unsafe struct CoreTable {
  let cores: UnsafeMutablePointer<CoreState>
  let lanes: UnsafeMutablePointer<LaneState>
  let coreCount: Int
  let laneCount: UInt32
  /// Largest offset field a word may have.
  let offsetLimit: UInt32
  let intent: Intent
  /// By slot (AIC, AIV0, AIV1): READY cores.
  var present: (UInt64, UInt64, UInt64) = (0, 0, 0)
  /// READY cores with nothing outstanding.
  var idle: (UInt64, UInt64, UInt64) = (0, 0, 0)
  /// READY cores with at least one free lane, the idle ones included.
  var room: (UInt64, UInt64, UInt64) = (0, 0, 0)
  /// A cluster kept for a mixed task that found no place; set anew each step.
  var reservedMask: UInt64 = 0
  /// Cores with something outstanding; kept by one thread alone.
  var busyCores = 0

  /// - Parameter isFresh: no scheduler was there before, so the lanes are idle.
  init(_ segment: borrowing Segment, isFresh: Bool) {
    unsafe intent = unsafe Intent(segment.write(.schedulerWords))
    unsafe coreCount = segment.configuration.coreCount
    unsafe laneCount = segment.configuration.lanes
    unsafe offsetLimit = segment.configuration.offsetLimit
    unsafe cores = unsafe .allocate(capacity: coreCount)
    unsafe lanes = unsafe .allocate(capacity: coreCount * Int(PTO2_MAX_LANES))
    unsafe lanes.initialize(repeating: LaneState(), count: coreCount * Int(PTO2_MAX_LANES))
    let lines = unsafe segment.write(.dataMainBase)
    for core in unsafe 0..<coreCount {
      let words = unsafe (lines + core * MemoryLayout<pto2_dispatch_line>.stride)
        .assumingMemoryBound(to: UInt32.self)
      let page = unsafe segment.readCore(core)
      unsafe (cores + core).initialize(
        to: CoreState(
          words: words, conds: page + Int(PTO2_CORE_COND),
          parked: SharedWord(page + Int(PTO2_CORE_PARKED)),
          ready: SharedWord(page + Int(PTO2_CORE_READY)), process: page + Int(PTO2_CORE_PROCESS)))
      for lane in 0..<PTO2_MAX_LANES where isFresh {
        unsafe OwnedWord(words + Int(lane)).storeRelaxed(PTO2_SCHEDULER_IDLE)
      }
    }
  }

  func deallocate() {
    unsafe cores.deallocate()
    unsafe lanes.deallocate()
  }

  @inline(__always)
  func lane(_ core: Int, _ lane: UInt32) -> UnsafeMutablePointer<LaneState> {
    unsafe lanes + (core * Int(PTO2_MAX_LANES) + Int(lane))
  }

  /// Masks of one slot, by number.
  @inline(__always)
  static func bits(_ masks: (UInt64, UInt64, UInt64), _ slot: Int) -> UInt64 {
    slot == 0 ? masks.0 : slot == 1 ? masks.1 : masks.2
  }

  @inline(__always)
  static func set(_ masks: inout (UInt64, UInt64, UInt64), _ slot: Int, _ cluster: Int, _ on: Bool)
  {
    let bit = UInt64(1) << UInt64(cluster)
    switch slot {
    case 0: masks.0 = on ? masks.0 | bit : masks.0 & ~bit
    case 1: masks.1 = on ? masks.1 | bit : masks.1 & ~bit
    default: masks.2 = on ? masks.2 | bit : masks.2 & ~bit
    }
  }

  /// Dispatches without FIN.
  @inline(__always)
  func outstanding<S: Sharing>(_ core: Int, _ sharing: S.Type) -> UInt32 {
    let state = unsafe cores + core
    return unsafe S.load(&state.pointee.started) &- S.load(&state.pointee.retired)
  }

  /// A core has announced READY, or had a FIN: enters it in the masks.
  @inline(__always)
  mutating func note<S: Sharing>(_ core: Int, _ sharing: S.Type) {
    // A late note of a core that has died since.
    guard unsafe S.load(&cores[core].incarnation) != 0 else { return }
    let outstanding = unsafe outstanding(core, S.self)
    unsafe Self.set(&present, core % 3, core / 3, true)
    // With several threads the note may come late, after the lane was used.
    if unsafe outstanding < laneCount { unsafe Self.set(&room, core % 3, core / 3, true) }
    if outstanding == 0 { unsafe Self.set(&idle, core % 3, core / 3, true) }
  }

  /// The core's worker has died, and nothing is outstanding there any more:
  /// the lanes are as at the start, for the next worker.
  mutating func reset(_ core: Int) {
    let state = unsafe cores + core
    unsafe Self.set(&present, core % 3, core / 3, false)
    unsafe Self.set(&idle, core % 3, core / 3, false)
    unsafe Self.set(&room, core % 3, core / 3, false)
    unsafe state.pointee.nextLane = 0
    unsafe state.pointee.oldestLane = 0
    for laneIndex in 0..<UInt32(PTO2_MAX_LANES) {
      unsafe lane(core, laneIndex).pointee = LaneState()
      unsafe state.pointee.wordToCore(laneIndex).storeRelease(PTO2_SCHEDULER_IDLE)
    }
  }

  /// Stores a dispatch to the core's next lane. The core must have room.
  /// False: the descriptor lies beyond what a word can say.
  @inline(__always)
  mutating func dispatch<S: Sharing>(
    core: Int, taskID: UInt64, descriptorOffset: UInt64, slot: UInt32, block: UInt32,
    _ sharing: S.Type
  ) -> Bool {
    let state = unsafe cores + core
    let laneIndex = unsafe state.pointee.nextLane
    let lane = unsafe lane(core, laneIndex)
    let toggle = unsafe !lane.pointee.word.toggle
    guard
      let word = unsafe DispatchWord(
        descriptorOffset: descriptorOffset, slot: slot, toggle: toggle, limit: offsetLimit)
    else { return false }
    unsafe lane.pointee.condBefore =
      unsafe lane.pointee.word == .idle ? .coreIdle : .fin(lane.pointee.word)
    unsafe lane.pointee.word = word
    unsafe lane.pointee.taskID = taskID
    unsafe intent.aim(core: core, lane: laneIndex, word: word.rawValue)
    // The block index lies behind the words, one per lane.
    unsafe state.pointee.words[Int(PTO2_MAX_LANES) + Int(laneIndex)] = block
    unsafe state.pointee.nextLane = unsafe laneIndex + 1 == laneCount ? 0 : laneIndex + 1
    let before = unsafe outstanding(core, S.self)
    if before == 0 { unsafe Self.set(&idle, core % 3, core / 3, false) }
    // Stale at worst: a FIN that comes meanwhile enters the core once more.
    if unsafe before + 1 == laneCount { unsafe Self.set(&room, core % 3, core / 3, false) }
    if !S.isShared && before == 0 { unsafe busyCores += 1 }
    // Pairs with the core's acquire of this word: it sees the descriptor and
    // slot that the scheduler acquired through `submitted`.
    unsafe state.pointee.wordToCore(laneIndex).storeRelease(word.rawValue)
    // Release: the polling thread sees the lane's record.
    unsafe S.store(&state.pointee.started, state.pointee.started &+ 1)
    return true
  }
}
