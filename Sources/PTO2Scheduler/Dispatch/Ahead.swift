internal import CPTO2Segment
internal import PTO2Protocol

/// Work ahead: a task whose producers are all dispatched is dispatched too, behind gates.
///
/// What lies before it on its own core has finished when the core comes to it; for a
/// producer on another core it gets a gate, on which the core itself waits. The
/// scheduler need not be awake between a FIN and the consumer's beginning.
///
/// No wait goes round in a circle: a gate names an earlier dispatch, and a core serves its
/// lanes in the order of dispatch, so the oldest dispatch without FIN can always begin.
///
/// Only one kernel of one block is dispatched ahead, only behind such, and only by a
/// scheduler with one thread; all other tasks are dispatched when their producers are
/// COMPLETED.
@safe struct AheadQueue {
  private let state: UnsafeMutablePointer<State>

  @safe private struct State {
    let tasks: UnsafeMutablePointer<UInt64>
    let places: UnsafeMutablePointer<UInt64>
    let noGates = Gates()
    let mask: Int
    var head = 0
    var tail = 0
  }

  /// - Parameter slotCount: main slots of all rings.
  init(slotCount: Int) {
    var capacity = 1
    while capacity < slotCount { capacity *= 2 }
    let tasks = UnsafeMutablePointer<UInt64>.allocate(capacity: capacity)
    let places = UnsafeMutablePointer<UInt64>.allocate(capacity: slotCount)
    unsafe places.initialize(repeating: Self.nowhere, count: slotCount)
    unsafe state = .allocate(capacity: 1)
    unsafe state.initialize(to: State(tasks: tasks, places: places, mask: capacity - 1))
  }

  func deallocate() {
    unsafe state.pointee.tasks.deallocate()
    unsafe state.pointee.places.deallocate()
    unsafe state.pointee.noGates.deallocate()
    unsafe state.deallocate()
  }

  // MARK: Tasks that wait for producers, in the order in which they were wired

  @inline(__always)
  var isEmpty: Bool { unsafe state.pointee.head == state.pointee.tail }

  /// A task that finds no place is dispatched when its producers are COMPLETED.
  @inline(__always)
  func append(_ id: TaskID) {
    guard unsafe state.pointee.tail - state.pointee.head <= state.pointee.mask else { return }
    unsafe state.pointee.tasks[state.pointee.tail & state.pointee.mask] = id.rawValue
    unsafe state.pointee.tail += 1
  }

  @inline(__always)
  var first: TaskID? {
    if isEmpty { return nil }
    return TaskID(
      rawValue: unsafe state.pointee.tasks[state.pointee.head & state.pointee.mask])
  }

  @inline(__always)
  func removeFirst() { unsafe state.pointee.head += 1 }

  /// Where the gates of one dispatch are collected.
  @inline(__always)
  var noGates: Gates { unsafe state.pointee.noGates }

  // MARK: Where tasks of one kernel were dispatched to

  private static var nowhere: UInt64 { .max }

  @inline(__always)
  func setPlace(_ gate: Gate, slot: UInt32) {
    unsafe state.pointee.places[Int(slot)] = gate.bits
  }

  /// Nil where no task was dispatched by this process.
  @inline(__always)
  func place(slot: UInt32) -> Gate? {
    let bits = unsafe state.pointee.places[Int(slot)]
    return bits == Self.nowhere ? nil : Gate(bits: bits)
  }
}

/// How far a thread works ahead of the cores.
struct Lookahead {
  /// `AheadQueue` is used.
  let isOn: Bool
  /// So many records that are not wired may wait while every core has enough to do.
  let logPatience: UInt32
  /// Tasks that are wired, and of which nothing was dispatched. With one thread alone.
  var unstarted = 0
  /// `SchedulerCounters.dispatched` as the depths of the cores were last looked at.
  var depthsUpdated: UInt64 = 0
  /// Who is given what any core may do.
  var crowding = Crowding()

  init(isOn: Bool, logPatience: UInt32) {
    self.isOn = isOn
    self.logPatience = logPatience
  }
}

/// Where a task may be dispatched to before its producers are COMPLETED.
enum AheadPlan {
  case dispatch(CoreID)
  /// No core of its kind has room.
  case noRoom
  /// Some producer is not dispatched, or has many kernels, or there are too many.
  case no
}

extension ConsumedEntry {
  /// One kernel of one block.
  @inline(__always)
  var isSingle: Bool {
    let mask = activeMask
    return blockCount == 1 && mask & (mask &- 1) == 0 && mask != 0
  }

  /// It may be dispatched ahead: what it is to do does not depend on when it is READY.
  @inline(__always)
  var mayGoAhead: Bool {
    isSingle && outcome.value == 0 && flags.isDisjoint(with: [.predicate, .syncStart])
  }

  /// It was dispatched while it waited for producers.
  @inline(__always)
  var isDispatched: Bool { blocksStarted.value != 0 }
}

extension Dispatcher {
  /// Dispatches tasks whose producers are dispatched, in the order of submission, until
  /// one finds no room.
  @inline(__always)
  func dispatchAhead<S: Sharing>(_ thread: inout SchedulerThread<S>) -> Int {
    var work = 0
    while let id = ahead.first {
      let entry = thread.rings.entry(id)
      // Not when it has become READY meanwhile.
      if entry.belongs(to: id), entry.state.value == TaskState.pending.rawValue,
        !entry.isDispatched, entry.outcome.value == 0
      {
        guard thread.isUntouched(id, entry) else {
          thread.entryHasChanged(id)
          return work
        }
        var gates = ahead.noGates
        switch plan(id, entry, &gates, thread.rings, thread.cores) {
        case .noRoom: return work
        case .no: break
        case .dispatch(let core):
          let subtask = UInt32(entry.activeMask.trailingZeroBitCount)
          intent.willDispatch(id, block: 0, subtasks: entry.activeMask)
          // Release: after the intent.
          entry.blocksStarted.word.storeRelease(1)
          send(Subtask(task: id, index: subtask, block: 0), to: core, gates, &thread)
          intent.didStore(subtask: subtask)
          thread.lookahead.unstarted -= 1
          work += 1
        }
      }
      ahead.removeFirst()
    }
    return work
  }

  /// Where a task can go whose producers are not all COMPLETED.
  /// - Parameter gates: empty; what the dispatch has to wait for.
  func plan(
    _ id: TaskID, _ entry: ConsumedEntry, _ gates: inout Gates, _ rings: Rings, _ cores: Cores
  ) -> AheadPlan {
    let isMatrix = entry.activeMask == 0b001
    let room = table.roomAhead(isMatrix: isMatrix)
    if room.isEmpty { return .noRoom }
    let ring = rings[id.ring]
    let slot = ring.slot(id.local)
    let count = ring.slotState(id.local).faninCount &- 1
    let first = slot.faninFirst
    // When its producers are COMPLETED, this is found.
    guard count == slot.faninCount, count <= ring.dependencyPool else { return .no }
    var k: UInt32 = 0
    while k < count {
      let fanin = ring.fanin(ring.poolIndex(first &+ k))
      k &+= 1
      guard fanin.waits else { continue }
      let producer = fanin.producer
      guard producer.ring < rings.count else { return .no }
      let other = rings.entry(producer)
      guard other.belongs(to: producer), other.state.value < TaskState.completed.rawValue else {
        continue
      }
      guard other.isDispatched, other.isSingle, other.outcome.value == 0,
        let place = ahead.place(slot: rings[producer.ring].slotNumber(producer.local)),
        gates.add(place)
      else { return .no }
    }
    let core =
      nearCore(entry, in: room) ?? core(among: room, isMatrix: isMatrix, behind: gates, cores)
    gates.remove(core: core.index)
    return .dispatch(core)
  }
}

extension SchedulerThread {
  /// A task is not to run: it FAILED, or was not to begin. So it is with every consumer
  /// that was dispatched ahead. None of these has begun: a gate, or its place behind this
  /// task on the same core, holds it back until the core says FIN of this one. One that has
  /// no place waits to be dispatched once more (`RedoQueue`), which then is not done.
  mutating func skipConsumers(of id: TaskID) {
    let entry = rings.entry(id)
    var reference = entry.fanoutHead.value
    var left = rings.edgeCount
    while reference != PTO2_EDGE_NONE && reference != PTO2_EDGE_CLOSED {
      guard left > 0, let edge = edge(reference, of: id) else { return edgeHasChanged(id) }
      left -= 1
      reference = edge.next
      let consumer = edge.consumer
      let other = rings.entry(consumer)
      guard edge.needsData, other.isDispatched, other.outcome.value == 0 else { continue }
      cancel(other)
      let slot = rings[consumer.ring].slotNumber(consumer.local)
      if let place = dispatcher.ofOnlyThread.ahead.place(slot: slot) {
        cores[place.core].skip(place.lane)
      }
      skipConsumers(of: consumer)
    }
  }
}
