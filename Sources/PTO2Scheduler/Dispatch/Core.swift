internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
package import PTO2System

/// One core's lanes as the scheduler drives them.
///
/// Dispatches go to the lanes in turn and the core serves them in turn, so one word is
/// polled per core: the COND of its oldest dispatch. What a dispatch moves belongs to
/// the dispatcher, what a FIN moves to the thread that polls the core.
@safe struct Core {
  private let state: UnsafeMutablePointer<State>
  private let laneStates: UnsafeMutablePointer<LaneState>

  fileprivate struct State {
    let lanes: DispatchLanes<OwnedWord>
    let page: CorePage<SharedWord>
    var incarnation: UInt32 = 0
    var host: CoreHost?
    var depth: UInt32
    var times = KernelTimes()
    var share: UInt64 = 0
    var position: UInt32 = 0
    var started: UInt32 = 0
    var nextLane: UInt32 = 0
    var retired: UInt32 = 0
    var oldestLane: UInt32 = 0
    var wakeLane: UInt32?
  }

  @inline(__always)
  fileprivate init(_ state: UnsafeMutablePointer<State>, _ lanes: UnsafeMutablePointer<LaneState>) {
    unsafe self.state = state
    unsafe laneStates = lanes
  }

  /// DATA_MAIN_BASE, and what is said beside it.
  @inline(__always)
  var lanes: DispatchLanes<OwnedWord> { unsafe state.pointee.lanes }
  /// The worker's.
  @inline(__always)
  var page: CorePage<SharedWord> { unsafe state.pointee.page }

  /// What is outstanding on a lane. Writer: the dispatcher.
  @inline(__always)
  func lane(_ lane: UInt32) -> Cell<LaneState> { unsafe Cell(laneStates + Int(lane)) }

  /// Not 0 once the polling thread has seen the core READY; 0 again when its worker has
  /// died.
  @inline(__always)
  var incarnation: Cell<UInt32> { unsafe Cell(&state.pointee.incarnation) }
  /// Who hosts it, as it said when it was admitted; counts while `incarnation` does.
  var host: CoreHost? {
    get { unsafe state.pointee.host }
    nonmutating set { unsafe state.pointee.host = newValue }
  }

  /// How many dispatches it may have without FIN; see `Depth`. Writer: the dispatcher.
  @inline(__always)
  var depth: Cell<UInt32> { unsafe Cell(&state.pointee.depth) }
  /// Adds its kernels since the last call.
  func addKernelTimes(to times: inout KernelTimes) {
    unsafe times.add(page.counters, since: &state.pointee.times)
  }
  /// Number of the next dispatch, which a gate goes by; wrapping. It goes on where a
  /// scheduler before this one has stopped. Writer: the dispatcher.
  @inline(__always)
  var position: Cell<UInt32> { unsafe Cell(&state.pointee.position) }
  /// See `CoreTable.share`. Writer: the dispatcher.
  @inline(__always)
  var share: Cell<UInt64> { unsafe Cell(&state.pointee.share) }
  /// Dispatches so far, wrapping. Writer: the dispatcher.
  @inline(__always)
  var started: Cell<UInt32> { unsafe Cell(&state.pointee.started) }
  @inline(__always)
  var nextLane: Cell<UInt32> { unsafe Cell(&state.pointee.nextLane) }
  /// Of these, how many have their FIN. Writer: the polling thread.
  @inline(__always)
  var retired: Cell<UInt32> { unsafe Cell(&state.pointee.retired) }
  @inline(__always)
  var oldestLane: Cell<UInt32> { unsafe Cell(&state.pointee.oldestLane) }
  /// The lane with whose FIN the core wakes the polling thread; nil where nothing is
  /// outstanding.
  var wakeLane: UInt32? {
    get { unsafe state.pointee.wakeLane }
    nonmutating set { unsafe state.pointee.wakeLane = newValue }
  }

  /// True when what must have finished before a dispatch begins has.
  func isOpen(_ lane: UInt32, _ cores: Cores) -> Bool {
    let lane = lanes[lane]
    return (0..<lane.gateCount).allSatisfy {
      let gate = lane.gate($0)
      guard gate.isPlausible(cores: cores.count) else { return true }
      let other = cores[gate.core]
      return gate.isOpen(other.lanes[gate.lane], other.page.cond(gate.lane))
    }
  }

  /// Dispatches without FIN.
  @inline(__always)
  func outstanding<S: Sharing>(_: S.Type) -> UInt32 { S.load(started) &- S.load(retired) }

  /// The word last stored to a lane.
  @inline(__always)
  func word(_ lane: UInt32) -> DispatchWord { DispatchWord(rawValue: lanes.word(lane).loadOwn()) }

  /// COND of a lane. Acquire: pairs with the core's release of FIN, after the kernel's
  /// stores.
  @inline(__always)
  func cond(_ lane: UInt32) -> ConditionWord {
    ConditionWord(rawValue: page.cond(lane).loadAcquire())
  }

  /// What was dispatched to a lane.
  func subtask(_ lane: UInt32, of task: TaskID) -> Subtask {
    Subtask(
      task: task, index: word(lane).rawValue & PTO2_WORD_SLOT_MASK, block: lanes[lane].block)
  }

  /// Wakes the core if it sleeps on one of its lanes. A fence stands between the store
  /// to the lane and this look.
  func wakeIfParked() {
    guard let lane = CoreParked(rawValue: page.parked.loadRelaxed()).lane else { return }
    Futex.wake(lanes.word(lane).shared)
  }
}

/// The process that hosts a core.
package struct CoreHost: Equatable {
  package var identity: ProcessIdentity
  package var isSupervised: Bool

  init(_ record: ProcessRecord.Content) {
    identity = record.identity
    isSupervised = record.isSupervised
  }
}

/// What is outstanding on one lane, and what stands in the segment of it: that must not have
/// changed when the dispatch has its FIN.
struct LaneState: BitwiseCopyable {
  /// The word last stored to DATA_MAIN_BASE.
  var word = DispatchWord.idle
  /// What COND held before that dispatch: the FIN of the one before.
  var condBefore = ConditionWord.coreIdle
  var task = TaskID(rawValue: 0)
  var position: UInt32 = 0
  var block: UInt32 = 0
  /// `Lane.gateSum`.
  var gates: UInt32 = 0
  var skip: UInt32 = 0
}

extension LaneState {
  /// True when the lane says what was dispatched.
  @inline(__always)
  func stands(in lane: Lane<OwnedWord>) -> Bool {
    (lane.word.loadOwn() ^ word.rawValue) | (lane.position.loadOwn() ^ position)
      | (lane.block ^ block) | (lane.skip.loadOwn() ^ skip) | (lane.gateSum ^ gates) == 0
  }

  /// After a restart: takes over what stands there.
  mutating func adopt(_ lane: Lane<OwnedWord>) {
    position = lane.position.loadOwn()
    block = lane.block
    gates = lane.gateSum
    skip = lane.skip.loadOwn()
  }
}

extension Core {
  /// The lane's dispatch is to end without running its kernel.
  func skip(_ index: UInt32) {
    lane(index).value.skip = 1
    lanes[index].skip.storeRelease(1)
  }
}

/// All cores.
@safe struct Cores {
  private let states: UnsafeMutablePointer<Core.State>
  private let lanes: UnsafeMutablePointer<LaneState>
  let count: Int
  /// Lanes of a core that are used.
  let laneCount: UInt32

  /// - Parameter isFresh: no scheduler was there before, so the lanes are idle.
  init(_ segment: borrowing Segment, isFresh: Bool) {
    count = segment.configuration.coreCount
    laneCount = segment.configuration.lanes
    let depth = Depth.first(laneCount, threads: segment.configuration.schedulerThreads)
    unsafe states = .allocate(capacity: count)
    unsafe lanes = .allocate(capacity: count * Int(PTO2_MAX_LANES))
    unsafe lanes.initialize(repeating: LaneState(), count: count * Int(PTO2_MAX_LANES))
    for core in 0..<count {
      let lanes = segment.ownDispatchLanes(core)
      unsafe (states + core).initialize(
        to: Core.State(lanes: lanes, page: segment.corePage(core), depth: depth))
      for lane in 0..<UInt32(PTO2_MAX_LANES) where isFresh {
        lanes.word(lane).storeRelaxed(PTO2_SCHEDULER_IDLE)
      }
    }
  }

  func deallocate() {
    unsafe states.deinitialize(count: count)
    unsafe states.deallocate()
    unsafe lanes.deallocate()
  }

  var clusterCount: Int { count / Int(PTO2_CORES_PER_CLUSTER) }

  /// - Parameter core: less than `count`.
  @inline(__always)
  subscript(core: Int) -> Core {
    unsafe Core(states + core, lanes + core * Int(PTO2_MAX_LANES))
  }
  @inline(__always)
  subscript(core: CoreID) -> Core { self[core.index] }

  @inline(__always)
  func laneAfter(_ lane: UInt32) -> UInt32 { lane + 1 == laneCount ? 0 : lane + 1 }
}
