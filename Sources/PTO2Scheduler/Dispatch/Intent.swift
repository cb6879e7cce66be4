internal import CPTO2Segment
internal import PTO2Protocol

/// What the dispatcher is about to store, in the segment: a scheduler that comes after
/// one that died while dispatching can tell which words were stored.
///
/// Every store here is a release, so that they are made in this order.
struct Intent {
  private let record: OwnedIntent

  init(_ page: SchedulerPage<OwnedWord>) { record = page.ownIntent }

  /// Before the block counts as started, or is taken out of the queue.
  @inline(__always)
  func willDispatch(_ id: TaskID, block: UInt32, subtasks: UInt8) {
    record.task.storeRelease(id.rawValue)
    record.target.storeRelease(0)
    record.pending.storeRelease(block << 3 | UInt32(subtasks))
  }

  /// Before the word is stored.
  @inline(__always)
  func willStore(_ word: DispatchWord, core: CoreID, lane: UInt32) {
    // Core, lane and word lie as those of a gate and its position do.
    let place = Gate(core: core.index, lane: lane, position: word.rawValue)
    record.target.storeRelease(place.bits)
  }

  /// After the word is stored.
  @inline(__always)
  func didStore(subtask: UInt32) {
    record.pending.storeRelease(record.pending.loadOwn() & ~(1 << subtask))
  }

  /// What was begun and not stored; nil when there is nothing.
  func unfinished() -> Unfinished? {
    let pending = record.pending.loadOwn()
    guard pending & 7 != 0 else { return nil }
    let target = record.target.loadOwn()
    let place = Gate(bits: target)
    return Unfinished(
      task: TaskID(rawValue: record.task.loadOwn()), block: pending >> 3,
      subtasks: UInt8(pending & 7), core: place.core, lane: place.lane,
      word: DispatchWord(rawValue: UInt32(truncatingIfNeeded: target)))
  }

  /// After a restart, when what was unfinished is dealt with.
  func clear() { record.pending.storeRelease(0) }

  struct Unfinished {
    var task: TaskID
    var block: UInt32
    var subtasks: UInt8
    /// Where the last word went or was to go, and which; a word of 0: nowhere yet.
    var core: Int
    var lane: UInt32
    var word: DispatchWord
  }
}
