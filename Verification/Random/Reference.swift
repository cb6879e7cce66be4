/// Interprets a description task by task, in the order of submission, on plain
/// arrays. Knows nothing of dependencies, rings or strides.
struct Reference {
  private let description: Description
  private var memory: [[UInt64]]
  /// Tasks whose predicate was false.
  private(set) var skippedTasks = 0

  init(_ description: Description) {
    self.description = description
    memory = description.tensors.map { Array(repeating: 0, count: $0.elementCount) }
  }

  /// What every check must see, in order.
  /// - Parameter skipped: a task's argument that is not written, to see that
  ///   the comparison notices.
  mutating func run(skipping skipped: (operation: Int, argument: Int)? = nil) -> [[UInt64]] {
    var seen: [[UInt64]] = []
    for (index, operation) in description.operations.enumerated() {
      switch operation {
      case .openScope, .closeScope, .wait, .record: break
      case .replay(let replay):
        for task in replay.tasks { run(task, skipping: nil) }
      case .submit(let task):
        run(task, skipping: index == skipped?.operation ? skipped?.argument : nil)
      case .check(let view): seen.append(view.elements.map { memory[view.tensor][$0] })
      case .write(let view, let salt):
        for (i, element) in view.elements.enumerated() {
          memory[view.tensor][element] =
            Self.written(i, salt) & description.tensors[view.tensor].mask
        }
      }
    }
    return seen
  }

  /// What the program writes to element `i` of a view.
  static func written(_ i: Int, _ salt: UInt64) -> UInt64 { mix(salt &+ UInt64(i)) }

  private static func mix(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  private func holds(_ predicate: PredicateDescription) -> Bool {
    let tensor = predicate.view.tensor
    let bits = memory[tensor][predicate.view.elements[predicate.place]]
    func compare<Number: Comparable>(_ a: Number, _ b: Number) -> Bool {
      switch predicate.comparison {
      case .equal: a == b
      case .notEqual: a != b
      case .greater: a > b
      case .less: a < b
      case .greaterOrEqual: a >= b
      case .lessOrEqual: a <= b
      }
    }
    switch predicate.value {
    case .real(let value):
      let element: Double =
        switch description.tensors[tensor].type {
        case .float32: Double(Float(bitPattern: UInt32(bits)))
        case .float16: Double(Float16(bitPattern: UInt16(bits)))
        default: Double(Float(bitPattern: UInt32(bits) << 16))
        }
      return compare(element, value)
    case .integer(let value):
      let element: Int128 =
        switch description.tensors[tensor].type {
        case .int8: Int128(Int8(truncatingIfNeeded: bits))
        case .int16: Int128(Int16(truncatingIfNeeded: bits))
        case .int32: Int128(Int32(truncatingIfNeeded: bits))
        case .int64: Int128(Int64(truncatingIfNeeded: bits))
        default: Int128(bits)
        }
      return compare(element, Int128(value))
    }
  }

  private mutating func run(_ task: TaskDescription, skipping skipped: Int?) {
    if let predicate = task.predicate, !holds(predicate) {
      skippedTasks += 1
      return
    }
    let active = task.kernels.indices.filter { task.kernels[$0] != nil }
    for (rank, slot) in active.enumerated() {
      for block in 0..<task.blocks {
        runPart(task, slot, block, part: rank * task.blocks + block, skipping: skipped)
      }
    }
  }

  /// One block of one kernel.
  private mutating func runPart(
    _ task: TaskDescription, _ slot: Int, _ block: Int, part: Int, skipping skipped: Int?
  ) {
    let salt = UInt64((slot == 0 ? 100 : 300) + 100 * task.kernels[slot]!)
    var hash = Self.mix(salt + UInt64(slot) + 1000 * UInt64(block))
    for argument in task.arguments where argument.isRead {
      for element in argument.view.elements {
        hash = (hash ^ memory[argument.view.tensor][element]) &* 0x100_0000_01B3
        hash ^= hash >> 29
      }
    }
    for scalar in task.scalars { hash = Self.mix(hash &+ scalar) }
    for (position, argument) in task.arguments.enumerated() where !argument.isRead {
      if position == skipped { continue }
      let tensor = argument.view.tensor
      let reads =
        argument.access == .inout && !task.overwrites || argument.access == .updatedUntracked
      let mask = description.tensors[tensor].mask
      let elements = argument.view.elements
      for i in stride(from: part, to: elements.count, by: task.parts) {
        let old = reads ? memory[tensor][elements[i]] : 0
        let new = Self.mix(hash &+ UInt64(i) &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(position))
        memory[tensor][elements[i]] = (old &* 6_364_136_223_846_793_005 &+ new) & mask
      }
    }
  }
}
