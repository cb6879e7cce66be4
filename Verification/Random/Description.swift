import PTO2

/// A program as data: what the reference interprets and a session runs.
struct Description {
  var tensors: [TensorDescription] = []
  var operations: [Operation] = []

  var taskCount: Int { operations.reduce(0) { $0 + $1.tasks.count } }
}

/// A tensor of the program, named by its place in `Description.tensors`.
struct TensorDescription {
  var shape: [Int]
  var type: DataType
  var isExternal: Bool

  var elementCount: Int { shape.reduce(1, *) }
  /// As the heap ring rounds them.
  var heapBytes: Int { (elementCount * type.byteCount + 63) / 64 * 64 }
  /// Bits of an element.
  var mask: UInt64 { UInt64.max >> UInt64(64 - 8 * type.byteCount) }
}

enum Operation {
  case openScope(isManual: Bool)
  case closeScope
  case submit(TaskDescription)
  case record(RecordingDescription)
  case replay(ReplayDescription)
  case wait
  /// The program reads the view and compares.
  case check(View)
  /// The program writes the view: element i becomes a function of i and salt.
  case write(View, salt: UInt64)
}

struct TaskDescription {
  /// Per subtask slot, which of the two kernels for it; nil = inactive.
  var kernels: [Int?]
  var arguments: [Argument] = []
  /// Beside scalar 0.
  var scalars: [UInt64] = []
  /// INOUT tensors are written without being read.
  var overwrites = false
  var spinMicroseconds: UInt64 = 0
  /// SPMD blocks, each of which writes its own part.
  var blocks = 1
  var startTogether = false
  var predicate: PredicateDescription?
  var dependencies: [Dependency] = []

  var recovery = Recovery.automatic

  /// Changes what the task does where half a run and then a whole one would not give
  /// the same. For `--recoverable`.
  mutating func makeRecoverable() {
    for index in arguments.indices {
      switch arguments[index].access {
      case .readUntracked: arguments[index].access = .input
      case .updatedUntracked: arguments[index].access = .inout
      case .outputExisting where parts == 1:
        // The kernel reads all of its inputs before it writes. Of views with very many
        // runs the runtime does not tell which elements they share.
        let tensor = arguments[index].view.tensor
        if arguments.contains(where: { $0.isRead && $0.view.tensor == tensor }) {
          arguments[index].access = .inout
        }
      default: break
      }
    }
    if parts > 1 {
      // Parts read nothing that another one writes, so this is all there is.
      overwrites = true
      recovery = .again
    } else if arguments.contains(where: { $0.access == .inout }) {
      recovery = .snapshot
    }
  }

  /// Parts that are written at the same time.
  var parts: Int { kernels.count { $0 != nil } * blocks }

  /// Scalar 0, as random_kernels.c explains it.
  var control: UInt64 {
    let writes = arguments.contains { $0.access == .updatedUntracked }
    var bits = spinMicroseconds << 8 | (overwrites ? 8 : 0) | (writes ? 16 : 0)
    for (slot, kernel) in kernels.enumerated() where kernel != nil { bits |= 1 << UInt64(slot) }
    return bits
  }
}

struct Argument {
  /// The last two are NO_DEP: read, or written like INOUT. A task has one kind.
  enum Access { case input, output, `inout`, outputExisting, readUntracked, updatedUntracked }
  var access: Access
  var view: View

  var isRead: Bool { access == .input || access == .readUntracked }
  var isUntracked: Bool { access == .readUntracked || access == .updatedUntracked }
}

/// An explicit dependency on a task by its number.
struct Dependency {
  var task: Int
  var isRetained: Bool
}

/// Runs a task only if an element compares so.
struct PredicateDescription {
  enum Value {
    case integer(Int)
    case real(Double)
  }
  var view: View
  /// In the view, and as its place in `view.elements`.
  var index: [Int]
  var place: Int
  var comparison: Comparison
  var value: Value
}

/// A view as the steps that lead to it and, independently, as the list of
/// elements it must show. The reference uses the list, the session the steps.
struct View {
  enum Step {
    case slice(offsets: [Int], shape: [Int])
    case every(steps: [Int], offsets: [Int], shape: [Int])
    case reshape([Int])
    case transpose(Int, Int)
    case broadcast([Int])
  }
  var tensor: Int
  var steps: [Step] = []
  var shape: [Int]
  /// Elements of the tensor, in the view's row-major order.
  var elements: [Int]

  init(whole index: Int, of tensor: TensorDescription) {
    self.tensor = index
    shape = tensor.shape
    elements = Array(0..<tensor.elementCount)
  }

  var isContiguous: Bool { runs == 1 }
  /// Stretches of neighbouring elements.
  var runs: Int { 1 + zip(elements, elements.dropFirst()).count { $1 != $0 + 1 } }

  mutating func slice(_ offsets: [Int], _ extents: [Int]) {
    var chosen: [Int] = []
    for (place, element) in elements.enumerated() {
      var rest = place
      var isInside = true
      for dimension in shape.indices.reversed() {
        let index = rest % shape[dimension]
        rest /= shape[dimension]
        if index < offsets[dimension] || index >= offsets[dimension] + extents[dimension] {
          isInside = false
        }
      }
      if isInside { chosen.append(element) }
    }
    elements = chosen
    shape = extents
    steps.append(.slice(offsets: offsets, shape: extents))
  }

  /// Every `steps[d]`-th element from `offsets` on.
  mutating func every(_ steps: [Int], _ offsets: [Int], _ extents: [Int]) {
    choose(extents) { index in zip(offsets, zip(steps, index)).map { $0 + $1.0 * $1.1 } }
    self.steps.append(.every(steps: steps, offsets: offsets, shape: extents))
  }

  mutating func transpose(_ first: Int, _ second: Int) {
    var extents = shape
    extents.swapAt(first, second)
    choose(extents) { index in
      var source = index
      source.swapAt(first, second)
      return source
    }
    steps.append(.transpose(first, second))
  }

  /// Repeats dimensions of extent 1, and adds outer ones.
  mutating func broadcast(_ extents: [Int]) {
    let old = shape
    choose(extents) { index in
      zip(index.suffix(old.count), old).map { $1 == 1 ? 0 : $0 }
    }
    steps.append(.broadcast(extents))
  }

  /// A view of the given shape whose element at an index is this view's at
  /// another.
  private mutating func choose(_ extents: [Int], _ source: ([Int]) -> [Int]) {
    var chosen: [Int] = []
    for place in 0..<extents.reduce(1, *) {
      let at = source(Self.index(place, extents))
      chosen.append(elements[zip(at, shape).reduce(0) { $0 * $1.1 + $1.0 }])
    }
    elements = chosen
    shape = extents
  }

  /// The index of an element by its place in row-major order.
  static func index(_ place: Int, _ shape: [Int]) -> [Int] {
    var rest = place
    var index = shape
    for dimension in shape.indices.reversed() {
      index[dimension] = rest % shape[dimension]
      rest /= shape[dimension]
    }
    return index
  }

  mutating func reshape(_ extents: [Int]) {
    shape = extents
    steps.append(.reshape(extents))
  }

  func overlaps(_ other: View) -> Bool {
    tensor == other.tensor && !Set(elements).isDisjoint(with: other.elements)
  }
}

// MARK: Text, for --verbose

extension View: CustomStringConvertible {
  var description: String {
    steps.reduce("t\(tensor)") { text, step in
      switch step {
      case .slice(let offsets, let shape): text + ".slice(\(offsets), \(shape))"
      case .every(let steps, let offsets, let shape):
        text + ".slice(\(offsets), \(shape), steps: \(steps))"
      case .reshape(let shape): text + ".reshape(\(shape))"
      case .transpose(let first, let second): text + ".transpose(\(first), \(second))"
      case .broadcast(let shape): text + ".broadcast(\(shape))"
      }
    }
  }
}

extension Operation: CustomStringConvertible {
  var description: String {
    switch self {
    case .openScope(let isManual): isManual ? "manual scope {" : "scope {"
    case .closeScope: "}"
    case .wait: "wait"
    case .record(let recording):
      "record \(recording.count), holes \(recording.holes), returns \(recording.returned)"
    case .replay(let replay):
      "replay \(replay.recording) of \(replay.tasks.count), holes \(replay.holes), returns \(replay.returned)"
    case .check(let view): "check \(view)"
    case .write(let view, let salt): "write \(view) salt \(salt)"
    case .submit(let task): Self.text(task)
    }
  }

  private static func text(_ task: TaskDescription) -> String {
    "submit \(task.kernels.map { $0.map { "\($0)" } ?? "-" }.joined())"
      + task.arguments.map { " \($0.access) \($0.view)" }.joined(separator: ",")
      + (task.overwrites ? " overwrite" : "")
      + (task.blocks > 1 ? " blocks \(task.blocks)" : "")
      + (task.startTogether ? " together" : "")
      + (task.predicate.map { " if \($0.view)\($0.index) \($0.comparison) \($0.value)" } ?? "")
      + task.dependencies.map { " \($0.isRetained ? "retain" : "after") \($0.task)" }.joined()
      + (task.spinMicroseconds > 0 ? " spin \(task.spinMicroseconds)" : "")
  }
}
