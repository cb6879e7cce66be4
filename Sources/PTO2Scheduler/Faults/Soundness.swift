internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment

/// The scheduler's own records are in the segment, where an accident may change them. What is
/// read there is compared with what is possible before it is gone by: a record that says
/// something else ends the run with error 207.
///
/// A change that is possible makes some count come out wrong later: a task is told of one
/// producer too many, or a reference is given back twice, or something is lost, which `audit`
/// finds.
extension SchedulerThread {
  /// True when an entry says of its task what the main slot says. The slot is the task's until
  /// it is RELEASED.
  @inline(__always)
  func isIntact(_ id: TaskID, _ entry: ConsumedEntry) -> Bool {
    let slot = rings[id.ring].slot(id.local)
    return entry.taskID == id && entry.activeMask == slot.activeMask && entry.flags == slot.flags
      && entry.blocks == slot.blocks
  }

  /// A task of which nothing was dispatched, and which is not READY yet.
  @inline(__always)
  func isUntouched(_ id: TaskID, _ entry: ConsumedEntry) -> Bool {
    isIntact(id, entry) && S.load(entry.state) == TaskState.pending.rawValue
      && entry.blocksStarted.value == 0 && entry.subtasksLeft.value == entry.subtaskCount
  }

  /// The first task of a queue: it has a block that is not dispatched.
  @inline(__always)
  func mayStart(_ id: TaskID, _ entry: ConsumedEntry, _ shape: TaskShape) -> Bool {
    entry.taskID == id && entry.blocksStarted.value < entry.blockCount
      && TaskShape.of(mask: entry.activeMask) == shape
      && ((entry.blockCount == 1 && !entry.flags.contains(.syncStart)) || isIntact(id, entry))
  }

  /// All blocks were dispatched, or none is to be.
  @inline(__always)
  func mayComplete(_ id: TaskID, _ entry: ConsumedEntry) -> Bool {
    let started = entry.blocksStarted.value
    let isDue =
      switch S.load(entry.state) {
      case TaskState.running.rawValue: started == entry.blockCount
      case TaskState.ready.rawValue: started == 0
      default: false
      }
    return isDue && entry.taskID == id && Self.isOutcome(S.load(entry.outcome))
  }

  @inline(__always)
  static func isOutcome(_ outcome: UInt32) -> Bool {
    outcome == 0 || outcome == PTO2_OUTCOME_CANCELLED
      || outcome == PTO2_ERROR_WORKER_DIED.rawValue
  }

  /// An edge of a task's fanout list; nil when the reference names none of that task.
  @inline(__always)
  func edge(_ reference: UInt32, of id: TaskID) -> FanoutEdge? {
    let place = EdgeReference(rawValue: reference)
    guard place.ring < rings.count else { return nil }
    let ring = rings[place.ring]
    guard place.index < ring.dependencyPool else { return nil }
    let fanin = ring.fanin(place.index)
    let edge = ring.edge(place.index)
    guard fanin.producer == id, fanin.waits, edge.consumer.ring == place.ring else { return nil }
    return edge
  }

  /// True for a task that is wired and not CONSUMED: it has its entry.
  func isCurrent(_ id: TaskID) -> Bool {
    let ring = rings[id.ring]
    let consumed = S.load(ring.consumed.position)
    return id.local &- consumed < ring.wired.value &- consumed
  }

  /// True for a subtask that was dispatched, of a task that is not COMPLETED.
  func isLost(_ subtask: Subtask) -> Bool {
    guard let entry = pendingEntry(subtask.task) else { return false }
    return subtask.index < UInt32(PTO2_SLOTS)
      && entry.activeMask >> UInt8(subtask.index) & 1 != 0
      && subtask.block < entry.blocksStarted.value
  }

  // MARK: What is said then

  @inline(never)
  mutating func entryHasChanged(_ id: TaskID) {
    violation("the scheduler's record of task \(id) is not what the scheduler has written there")
  }

  @inline(never)
  mutating func edgeHasChanged(_ id: TaskID) {
    violation("the list of the consumers of task \(id) is not what the scheduler has made")
  }

  @inline(never)
  mutating func laneHasChanged(_ core: Int, _ lane: UInt32) {
    violation(
      "lane \(lane) of core \(coreName(core)) does not say what was dispatched there")
  }
}

extension ConsumedEntry {
  /// Over all blocks.
  @inline(__always)
  var subtaskCount: UInt32 {
    // How many bits each number of three bits has.
    let kernels: UInt32 = 0x3221_2110 &>> (4 &* UInt32(activeMask & 7)) & 7
    return kernels &* blockCount
  }
}
