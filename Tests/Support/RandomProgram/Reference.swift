/// Interprets a description task by task, in the order of submission, on plain
/// arrays. Knows nothing of dependencies, rings or strides.
struct Reference {
  private let description: Description
  private var memory: [[UInt64]]

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
      case .openScope, .closeScope, .wait: break
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

  private mutating func run(_ task: TaskDescription, skipping skipped: Int?) {
    let active = task.kernels.indices.filter { task.kernels[$0] != nil }
    for (rank, slot) in active.enumerated() {
      let salt = UInt64((slot == 0 ? 100 : 300) + 100 * task.kernels[slot]!)
      var hash = Self.mix(salt + UInt64(slot))
      for argument in task.arguments where argument.access == .input {
        for element in argument.view.elements {
          hash = (hash ^ memory[argument.view.tensor][element]) &* 0x100_0000_01B3
          hash ^= hash >> 29
        }
      }
      for scalar in task.scalars { hash = Self.mix(hash &+ scalar) }
      for (position, argument) in task.arguments.enumerated() where argument.access != .input {
        if position == skipped { continue }
        let tensor = argument.view.tensor
        let reads = argument.access == .inout && !task.overwrites
        let mask = description.tensors[tensor].mask
        let elements = argument.view.elements
        for i in stride(from: rank, to: elements.count, by: active.count) {
          let old = reads ? memory[tensor][elements[i]] : 0
          let new = Self.mix(hash &+ UInt64(i) &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(position))
          memory[tensor][elements[i]] = (old &* 6_364_136_223_846_793_005 &+ new) & mask
        }
      }
    }
  }
}
