package import PTO2Protocol

/// A core: who serves it, and what its words say.
package struct CorePicture: Equatable, Sendable {
  package enum Parked: Equatable, Sendable {
    case awake
    case lane(UInt32)
    case gate(core: Int, lane: UInt32)
    case unknown(UInt32)
  }

  package var id: CoreID
  /// The last worker that has announced itself.
  package var process: ProcessFacts?
  /// A worker is READY there and was not given up.
  package var isServed = false
  package var parked = Parked.awake
  /// On which CPU it ran its last kernel.
  package var cpu: Int?
  package var kernels: UInt64 = 0
  package var parks: UInt64 = 0
  /// The signal of which its last worker died.
  package var crashSignal: UInt32 = 0
  package var crashPlace: String?
  package var error: ErrorFacts?
  /// All of the session's lanes.
  package var lanes: [LanePicture] = []

  package init(_ id: CoreID) { self.id = id }

  package var isMatrix: Bool { id.subtask == 0 }

  /// Without FIN, in the order in which they are served.
  package var outstanding: [LanePicture] {
    guard let first = lanes.first(where: \.isOutstanding) else { return [] }
    return lanes.filter(\.isOutstanding).sorted {
      Int32(bitPattern: $0.position &- first.position)
        < Int32(bitPattern: $1.position &- first.position)
    }
  }

  /// What it has acknowledged and not finished.
  package var running: LanePicture? { lanes.first { $0.progress == .acknowledged } }
}

/// A lane: what it was told, and what it has said.
package struct LanePicture: Equatable, Sendable {
  /// A dispatch of another core that must be finished before.
  package struct Gate: Equatable, Sendable {
    package var core: Int
    package var lane: UInt32
    package var isOpen: Bool
    package init(core: Int, lane: UInt32, isOpen: Bool) {
      self.core = core
      self.lane = lane
      self.isOpen = isOpen
    }
  }

  package var index: UInt32
  package var word: DispatchWord
  package var condition: ConditionWord
  /// Number of the dispatch among all to its core.
  package var position: UInt32 = 0
  package var block: UInt32 = 0
  package var isSkipped = false
  package var gates: [Gate] = []
  /// Whose descriptor the word names; nil where none begins, and for one that is done.
  package var task: TaskID?
  package var kernel = ""

  package init(index: UInt32, word: DispatchWord, condition: ConditionWord) {
    self.index = index
    self.word = word
    self.condition = condition
  }

  /// Nil while there is nothing to do.
  package var progress: ConditionWord.Progress? {
    guard case .dispatch = word.content else { return nil }
    return condition.progress(of: word, after: nil)
  }

  package var isOutstanding: Bool { progress.map { $0 != .finished && $0 != .exited } ?? false }
}
