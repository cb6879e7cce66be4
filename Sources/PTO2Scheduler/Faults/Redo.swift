internal import CPTO2Segment
internal import PTO2Protocol

/// One kernel of one block of a task.
struct Subtask: BitwiseCopyable, Equatable {
  var task: TaskID
  /// 0 AIC, 1 AIV0, 2 AIV1.
  var index: UInt32
  var block: UInt32
}

/// Subtasks that a scheduler had begun to dispatch as it died, in the segment, where they
/// outlast the next one too. There is room for those of more than one block.
struct RedoQueue {
  private let page: SchedulerPage<OwnedWord>
  private(set) var count = 0

  static let capacity = Int(PTO2_MAX_LOST)

  init(_ page: SchedulerPage<OwnedWord>) { self.page = page }

  @inline(__always)
  var isEmpty: Bool { count == 0 }

  /// Nil for a free place.
  subscript(index: Int) -> Subtask? {
    let place = page.ownLostSubtask(index)
    let subtask = place.subtask.loadOwn()
    guard subtask & PTO2_LOST_USED != 0 else { return nil }
    return Subtask(
      task: place.taskID, index: subtask & PTO2_WORD_SLOT_MASK, block: subtask >> 3)
  }

  /// - Returns: false when there is no place: more is lost than one block has.
  mutating func append(_ lost: Subtask) -> Bool {
    guard let index = (0..<Self.capacity).first(where: { self[$0] == nil }) else { return false }
    let place = page.ownLostSubtask(index)
    place.taskID = lost.task
    place.subtask.storeRelease(lost.block << 3 | PTO2_LOST_USED | lost.index)
    count += 1
    return true
  }

  mutating func remove(at index: Int) {
    page.ownLostSubtask(index).subtask.storeRelease(0)
    count -= 1
  }

  func index(of lost: Subtask) -> Int? { (0..<Self.capacity).first { self[$0] == lost } }

  /// After a restart: what the scheduler before has left.
  mutating func recount() { count = (0..<Self.capacity).count { self[$0] != nil } }
}

extension Dispatcher {
  /// Starts lost subtasks, each on any core of its kind, before any other there. Those
  /// without a place hold up no other; one whose task has FAILED or is CANCELLED by now is
  /// done without running.
  @inline(never)
  func dispatchRedo<S: Sharing>(_ thread: inout SchedulerThread<S>) -> Int {
    var work = 0
    var left = redo.count
    var index = 0
    while left > 0 && index < RedoQueue.capacity {
      defer { index += 1 }
      guard let lost = redo[index] else { continue }
      left -= 1
      guard thread.isLost(lost) else {
        thread.violation("the list of lost subtasks names one of task \(lost.task)")
        return work
      }
      if S.load(thread.rings.entry(lost.task).outcome) != 0 {
        redo.remove(at: index)
        thread.finishSubtask(lost.task)
        work += 1
        continue
      }
      guard let (core, gates) = place(for: lost, thread) else { continue }
      intent.willDispatch(lost.task, block: lost.block, subtasks: 1 << UInt8(lost.index))
      send(lost, to: core, gates, &thread)
      redo.remove(at: index)
      intent.didStore(subtask: lost.index)
      work += 1
    }
    return work
  }

  /// One that was to be dispatched ahead still may be, or has to wait.
  private func place<S: Sharing>(
    for lost: Subtask, _ thread: borrowing SchedulerThread<S>
  ) -> (CoreID, Gates)? {
    if S.isShared || thread.hasAllProducers(lost.task) {
      let isSpread = isSpread(thread.rings.entry(lost.task), thread)
      let core =
        lost.index == 0
        ? matrixCore(isSpread: isSpread, thread) : vectorCore(isSpread: isSpread, thread)
      return core.map { ($0, ahead.noGates) }
    }
    var gates = ahead.noGates
    guard
      case .dispatch(let core) = plan(
        lost.task, thread.rings.entry(lost.task), &gates, thread.rings, thread.cores)
    else { return nil }
    return (core, gates)
  }
}
