internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2System

/// What the dispatcher is about to store, in the segment: a scheduler that comes
/// after one that died while dispatching can tell which words were stored. The
/// dispatcher's.
///
/// Every store here is a release, so that they are made in this order.
@unsafe struct Intent {
  private let task: OwnedLongWord
  private let target: OwnedLongWord
  private let pending: OwnedWord

  init(_ schedulerWords: UnsafeMutableRawPointer) {
    let record = unsafe schedulerWords + Int(PTO2_SCHED_INTENT)
    unsafe task = unsafe OwnedLongWord(record)
    unsafe target = unsafe OwnedLongWord(
      record + MemoryLayout<pto2_intent>.offset(of: \.target)!)
    unsafe pending = unsafe OwnedWord(record + MemoryLayout<pto2_intent>.offset(of: \.pending)!)
  }

  /// Before the block counts as started, or is taken out of the queue.
  @inline(__always)
  func begin(_ id: TaskID, block: UInt32, slots: UInt8) {
    unsafe task.storeRelease(id.rawValue)
    unsafe target.storeRelease(0)
    unsafe pending.storeRelease(block << 3 | UInt32(slots))
  }

  /// Before the word is stored.
  @inline(__always)
  func aim(core: Int, lane: UInt32, word: UInt32) {
    let place = UInt64(truncatingIfNeeded: core) << 3 | UInt64(lane)
    unsafe target.storeRelease(place << 32 | UInt64(word))
  }

  /// After the word is stored.
  @inline(__always)
  func settle(slot: UInt32) {
    unsafe pending.storeRelease(pending.loadOwn() & ~(1 << slot))
  }

  /// What was not settled; nil when nothing was.
  func unsettled() -> Unsettled? {
    let value = unsafe pending.loadOwn()
    guard value & 7 != 0 else { return nil }
    let aimed = unsafe target.loadOwn()
    let place = UInt32(truncatingIfNeeded: aimed >> 32)
    return Unsettled(
      task: unsafe task.loadOwn(), block: value >> 3, slots: UInt8(value & 7),
      core: Int(place >> 3), lane: place & 7, word: UInt32(truncatingIfNeeded: aimed))
  }

  /// After a restart, when what was not settled is.
  func forget() { unsafe pending.storeRelease(0) }

  struct Unsettled {
    var task: UInt64
    var block: UInt32
    var slots: UInt8
    /// Where the last word went or was to go, and which; word 0: nowhere yet.
    var core: Int
    var lane: UInt32
    var word: UInt32
  }
}

/// A subtask whose worker has died: one block of one task.
struct LostSubtask: BitwiseCopyable, Equatable {
  var task: UInt64
  var slot: UInt32
  var block: UInt32
}

/// Lost subtasks that are to run again, in the segment, where they outlast the
/// scheduler. There is room for everything that can be outstanding. The
/// dispatcher's.
@unsafe struct RedoQueue {
  private let elements: UnsafeMutablePointer<pto2_lost_subtask>
  private(set) var count = 0

  static let capacity = Int(PTO2_MAX_LOST)

  init(_ schedulerWords: UnsafeMutableRawPointer) {
    unsafe elements = (schedulerWords + Int(PTO2_SCHED_REDO))
      .assumingMemoryBound(to: pto2_lost_subtask.self)
  }

  var isEmpty: Bool { unsafe count == 0 }

  private func word(_ place: Int) -> OwnedWord {
    unsafe OwnedWord(
      UnsafeMutableRawPointer(elements + place)
        + MemoryLayout<pto2_lost_subtask>.offset(of: \.subtask)!)
  }

  /// Nil for a free place.
  subscript(place: Int) -> LostSubtask? {
    let subtask = unsafe word(place).loadOwn()
    guard subtask & PTO2_LOST_USED != 0 else { return nil }
    return LostSubtask(
      task: unsafe elements[place].task_id, slot: subtask & PTO2_WORD_SLOT_MASK,
      block: subtask >> 3)
  }

  mutating func append(_ lost: LostSubtask) {
    guard let place = unsafe (0..<Self.capacity).first(where: { unsafe self[$0] == nil }) else {
      preconditionFailure("more is lost than can be outstanding")
    }
    unsafe elements[place].task_id = lost.task
    unsafe word(place).storeRelease(lost.block << 3 | PTO2_LOST_USED | lost.slot)
    unsafe count += 1
  }

  mutating func remove(at place: Int) {
    unsafe word(place).storeRelease(0)
    unsafe count -= 1
  }

  func place(of lost: LostSubtask) -> Int? {
    unsafe (0..<Self.capacity).first { unsafe self[$0] == lost }
  }

  /// After a restart: what the scheduler before has left.
  mutating func recount() {
    unsafe count = unsafe (0..<Self.capacity).count { unsafe self[$0] != nil }
  }
}
