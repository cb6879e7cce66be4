import PTO2

/// A program as data: what the reference interprets and a session runs.
struct Description {
  var tensors: [TensorDescription] = []
  var operations: [Operation] = []

  var taskCount: Int { operations.count { if case .submit = $0 { true } else { false } } }
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
  case openScope
  case closeScope
  case submit(TaskDescription)
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

  /// Scalar 0, as random_kernels.c explains it.
  var control: UInt64 {
    var bits = spinMicroseconds << 8 | (overwrites ? 8 : 0)
    for (slot, kernel) in kernels.enumerated() where kernel != nil { bits |= 1 << UInt64(slot) }
    return bits
  }
}

struct Argument {
  enum Access { case input, output, `inout` }
  var access: Access
  var view: View
}

/// A view as the steps that lead to it and, independently, as the list of
/// elements it must show. The reference uses the list, the session the steps.
struct View {
  enum Step {
    case slice(offsets: [Int], shape: [Int])
    case reshape([Int])
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

  var isContiguous: Bool { elements.last! - elements.first! == elements.count - 1 }

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
      case .reshape(let shape): text + ".reshape(\(shape))"
      }
    }
  }
}

extension Operation: CustomStringConvertible {
  var description: String {
    switch self {
    case .openScope: "scope {"
    case .closeScope: "}"
    case .wait: "wait"
    case .check(let view): "check \(view)"
    case .write(let view, let salt): "write \(view) salt \(salt)"
    case .submit(let task):
      "submit \(task.kernels.map { $0.map { "\($0)" } ?? "-" }.joined())"
        + task.arguments.map { " \($0.access) \($0.view)" }.joined(separator: ",")
        + (task.overwrites ? " overwrite" : "")
        + (task.spinMicroseconds > 0 ? " spin \(task.spinMicroseconds)" : "")
    }
  }
}
