package import PTO2Faults
package import PTO2Orchestrator
package import PTO2Protocol

/// A tensor: one of the program's own, or an output of a task.
package struct Buffer: Sendable {
  package var name: String
  package var type: DataType
  package var shape: [Int]
  /// Nil: an output.
  package var values: Values?

  package var count: Int { shape.reduce(1, *) }
}

/// Elements of a buffer. What the runtime has for this is not used: offset and strides are
/// worked out here, to be compared with.
package struct View: Sendable {
  /// As the runtime is told.
  package enum Change: Sendable {
    case slice(from: [Int], shape: [Int], steps: [Int])
    case transpose(Int, Int)
    case reshape([Int])
    case broadcast([Int])
    case strided(from: Int, shape: [Int], strides: [Int])
  }

  package var buffer: Int
  package var shape: [Int]
  package var changes: [Change] = []
  private(set) var offset = 0
  private(set) var strides: [Int]

  package init(buffer: Int, shape: [Int]) {
    self.buffer = buffer
    self.shape = shape
    strides = Self.rowMajor(shape)
  }

  package var count: Int { shape.reduce(1, *) }

  private static func rowMajor(_ shape: [Int]) -> [Int] {
    var strides = [Int](repeating: 1, count: shape.count)
    for d in shape.indices.dropLast().reversed() { strides[d] = strides[d + 1] * shape[d + 1] }
    return strides
  }

  /// Row-major without gaps.
  var isContiguous: Bool {
    let expected = Self.rowMajor(shape)
    return count == 0 || shape.indices.allSatisfy { shape[$0] == 1 || strides[$0] == expected[$0] }
  }

  /// Two indexes may lead to one element.
  var isBroadcast: Bool { shape.indices.contains { shape[$0] > 1 && strides[$0] == 0 } }

  /// - Returns: what is wrong with the change, in words.
  mutating func apply(_ change: Change) -> String? {
    switch change {
    case .slice(let from, let shape, let steps):
      for d in shape.indices where count > 0 { offset += from[d] * strides[d] }
      // One element has no next one; of more, the step lies within the extent there was.
      for d in shape.indices where shape[d] > 1 { strides[d] *= steps[d] }
      self.shape = shape
    case .transpose(let a, let b):
      guard shape.indices.contains(a), shape.indices.contains(b) else {
        return "dimensions \(a) and \(b) of a tensor \(shape)"
      }
      shape.swapAt(a, b)
      strides.swapAt(a, b)
    case .reshape(let new):
      guard new.count <= 5, new.reduce(1, *) == count else {
        return "\(shape) cannot become \(new): the counts differ"
      }
      guard isContiguous else { return "a view \(shape) with gaps cannot be reshaped" }
      (shape, strides) = (new, Self.rowMajor(new))
    case .broadcast(let new):
      let added = new.count - shape.count
      guard added >= 0, new.count <= 5,
        shape.indices.allSatisfy({ shape[$0] == new[$0 + added] || shape[$0] == 1 })
      else { return "\(shape) cannot be broadcast to \(new)" }
      strides = new.indices.map { d in
        d < added || shape[d - added] != new[d] ? 0 : strides[d - added]
      }
      shape = new
    case .strided(let from, let new, let steps):
      guard isContiguous else { return "a view \(shape) with gaps has no strides of its own" }
      let last = zip(new, steps).reduce(from) { $0 + ($1.0 - 1) * $1.1 }
      guard new.contains(0) || last < count else {
        return "element \(last) of a tensor \(shape), which has \(count)"
      }
      if !new.contains(0) { offset += from }
      (shape, strides) = (new, steps)
    }
    changes.append(change)
    return nil
  }

  /// The view of one element.
  func element(_ index: [Int]) -> View {
    var one = self
    let ones = [Int](repeating: 1, count: index.count)
    _ = one.apply(.slice(from: index, shape: ones, steps: ones))
    return one
  }

  /// Places in the buffer, in the view's row-major order.
  package var places: [Int] {
    var places: [Int] = []
    places.reserveCapacity(count)
    guard count > 0 else { return [] }
    var index = [Int](repeating: 0, count: shape.count)
    var place = offset
    while true {
      places.append(place)
      var d = shape.count - 1
      while d >= 0 {
        index[d] += 1
        place += strides[d]
        if index[d] < shape[d] { break }
        place -= shape[d] * strides[d]
        index[d] = 0
        d -= 1
      }
      if d < 0 { return places }
    }
  }
}

/// A task with everything worked out.
package struct PlannedTask: Sendable {
  package struct Argument: Sendable {
    package var access: Access
    package var view: View
  }

  package struct Kernel: Sendable {
    package var slot: SubtaskSlot
    /// In its image.
    package var name: String
    package var does: BuiltIn?
    /// Where its tensors and scalars begin.
    package var firstArgument = 0
    package var firstScalar = 0
  }

  package struct Predicate: Sendable {
    package var view: View
    package var index: [Int]
    package var comparison: Comparison
    package var value: Number
  }

  package var name: String
  /// The script says it.
  package var isNamed = false
  package var kernels: [Kernel] = []
  package var arguments: [Argument] = []
  package var scalars: [Number] = []
  /// As the kernels get them.
  package var words: [UInt64] = []
  package var blocks = 1
  /// A cluster.
  package var near: Int?
  package var startsTogether = false
  package var predicate: Predicate?
  /// Numbers of earlier tasks.
  package var after: [Int] = []
  package var retain: [Int] = []
  package var recovery = Recovery.automatic
  package var place: TextPlace
  /// Of the innermost scope, in the order in which they were begun; 0: the outermost.
  package var scope = 0
}

package enum Operation: Sendable {
  case task(PlannedTask)
  /// The name is empty for none.
  case beginScope(ScopeMode, name: String)
  case endScope
  case wait
  case get(View, index: [Int], seconds: Double)
  case set(View, index: [Int], Number, seconds: Double)
  case free(buffer: Int)
  case pause(Double)
  case fail(String)
  case print(String)
}

/// A script without loops and names: what is run, interpreted and drawn.
package struct Plan: Sendable {
  package var buffers: [Buffer] = []
  package var operations: [Operation] = []
  package var seed: Int

  package static let mostOperations = 200_000

  package var tasks: [PlannedTask] {
    operations.compactMap { if case .task(let task) = $0 { task } else { nil } }
  }

  package var externals: Range<Int> {
    0..<(buffers.firstIndex { $0.values == nil } ?? buffers.count)
  }
}
