package import PTO2Protocol
package import PTO2Segment

/// A ring: its watermarks, how full its parts are, and its oldest tasks.
package struct RingPicture: Equatable, Sendable {
  package var index: Int
  package var sizes: Configuration.Ring
  /// Local ids: of the next task; one past the wired, the RELEASED and the CONSUMED prefix.
  package var current: UInt32 = 0
  package var wired: UInt32 = 0
  package var released: UInt32 = 0
  package var consumed: UInt32 = 0
  /// In use, as the newest and the oldest task say; nil when they cannot.
  package var heapUsed: UInt64?
  package var poolUsed: UInt32?
  package var payloadUsed: UInt64?
  package var peaks = Peaks()
  /// Not CONSUMED: the oldest of those that are RELEASED, the oldest of those that are not,
  /// and those that cores have. By position.
  package var tasks: [TaskPicture] = []
  /// Tasks with a predicate that were done without running, newest first, as far as their
  /// entries are still there.
  package var skipped: [TaskID] = []
  /// Its watermarks contradict each other: nothing else was read.
  package var isDamaged = false

  /// The most that was in use since the session began.
  package struct Peaks: Equatable, Sendable {
    package var main: UInt32 = 0
    package var consumed: UInt32 = 0
    package var pool: UInt32 = 0
    package var heap: UInt64 = 0
    package init() {}
  }

  package init(index: Int, sizes: Configuration.Ring) {
    self.index = index
    self.sizes = sizes
  }

  /// Tasks between submit and RELEASED, and between submit and CONSUMED.
  package var mainUsed: UInt32 { current &- released }
  package var consumedUsed: UInt32 { current &- consumed }

  package func task(_ local: UInt32) -> TaskPicture? {
    // Sorted by distance from the oldest.
    var (low, high) = (0, tasks.count)
    let wanted = local &- consumed
    while low < high {
      let middle = (low + high) / 2
      if tasks[middle].id.local &- consumed < wanted { low = middle + 1 } else { high = middle }
    }
    return low < tasks.count && tasks[low].id.local == local ? tasks[low] : nil
  }

  package var oldestUnconsumed: TaskPicture? { consumedUsed == 0 ? nil : task(consumed) }
  package var oldestUnreleased: TaskPicture? { mainUsed == 0 ? nil : task(released) }
}

/// A task that is not CONSUMED.
package struct TaskPicture: Equatable, Sendable {
  package enum Stage: Equatable, Sendable {
    /// Not wired yet.
    case submitted
    case at(TaskState)
    /// A state that there is none of, or an entry of another task.
    case damaged
  }

  /// A kernel of it, and on which core of a cluster: 0 AIC, 1 AIV0, 2 AIV1.
  package struct Subtask: Equatable, Sendable {
    package var slot: UInt32
    package var kernel: String
    package init(slot: UInt32, kernel: String) {
      self.slot = slot
      self.kernel = kernel
    }
  }

  /// What it waits for; gone with RELEASED.
  package struct Fanin: Equatable, Sendable {
    package var producers: [FaninWord] = []
    /// As the scheduler counts: done, and with one more for itself, of how many.
    package var done: UInt32 = 0
    package var count: UInt32 = 0
    package init() {}
  }

  /// References on its outputs.
  package struct References: Equatable, Sendable {
    package var taken: UInt32 = 0
    package var given: UInt32 = 0
    package var hasScopeEnded = false
    package init() {}
    package var left: UInt32 { taken &- given }
  }

  package struct Blocks: Equatable, Sendable {
    package var count: UInt32 = 1
    package var started: UInt32 = 0
    package var subtasksLeft: UInt32 = 0
    package init() {}
  }

  package var id: TaskID
  package var stage: Stage
  /// Empty: a task without kernels, or one whose slot is given to another by now.
  package var subtasks: [Subtask] = []
  package var flags: SlotFlags = []
  package var blocks = Blocks()
  /// The cluster that the program has it run on rather than on others.
  package var near: Int?
  package var fanin = Fanin()
  package var references = References()
  /// Scopes around it, the outermost not counted; nil once its slot is given to another.
  package var scopeDepth: Int?
  /// Of its scope, or of the innermost one around it that has a name.
  package var scopeName: String?
  /// That the program has given it.
  package var name: String?
  /// 0 done, or not yet; else `PTO2_OUTCOME_CANCELLED` or the code it FAILED with.
  package var outcome: UInt32 = 0
  package var kills: UInt32 = 0
  /// Bytes of the heap that are free only after it.
  package var heapBytes: UInt64 = 0
  /// Its outputs, such as `int64[128]`, and its predicate, where the payload is still there.
  package var outputs: [String] = []
  package var predicate: PredicatePicture?
  /// Of a transfer, where the payload is still there.
  package var transfer: TransferOrder?

  package init(id: TaskID, stage: Stage) {
    self.id = id
    self.stage = stage
  }

  package var state: TaskState? { if case .at(let state) = stage { state } else { nil } }
}

/// Whether a task runs: an element compared with a value.
package struct PredicatePicture: Equatable, Sendable {
  package var type: DataType
  package var comparison: Comparison
  /// The element as it is now, as it is printed; nil when it is gone.
  package var element: String?
  package var value: String
  /// By the element as it is now.
  package var isTrue: Bool?

  package init(
    type: DataType, comparison: Comparison, element: String?, value: String, isTrue: Bool?
  ) {
    self.type = type
    self.comparison = comparison
    self.element = element
    self.value = value
    self.isTrue = isTrue
  }

  package var sign: String {
    switch comparison {
    case .equal: "=="
    case .notEqual: "!="
    case .greater: ">"
    case .less: "<"
    case .greaterOrEqual: ">="
    case .lessOrEqual: "<="
    }
  }
}
