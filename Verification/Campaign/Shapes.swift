import PTO2
import PTO2CommandLine

/// A graph of the campaign. All arithmetic is exact, so there is one result.
enum GraphShape: String, CaseIterable, ExpressibleByArgument {
  /// Each task reads what the one before has written.
  case chain
  /// No task waits for another.
  case independent
  /// One task, many that read its output, one that reads all of theirs; and again.
  case fan
  /// Tasks of a square wait for their upper and left neighbours.
  case grid
  /// A program of pto2-random: mixed and SPMD kernels, nested scopes, views.
  case random
  /// Strands of tasks that change a tensor in place, with snapshots.
  case snapshot
}

/// What one task does, and how large a graph is.
struct GraphSize {
  var tasks: Int
  var elements: Int
  var spinMicroseconds: Int
  /// Tasks beside each other in a fan, or strands.
  var width: Int
}

/// Submits a graph and compares every element with what a sequential run gives.
struct GraphRun {
  let graph: Graph
  let size: GraphSize
  private let sum: (aic: Kernel, aiv: Kernel)
  private let step: (aic: Kernel, aiv: Kernel)

  private let isSabotaged: Bool

  /// - Parameter isSabotaged: the last element is compared with a wrong one.
  init(_ graph: Graph, _ size: GraphSize, isSabotaged: Bool) throws {
    self.isSabotaged = isSabotaged
    self.graph = graph
    self.size = size
    sum = (try graph.kernel("k_sum_aic"), try graph.kernel("k_sum"))
    step = (try graph.kernel("k_step_aic"), try graph.kernel("k_step"))
  }

  func run(_ shape: GraphShape) throws {
    switch shape {
    case .chain: try rows { $0 == 0 ? [] : [$0 - 1] }
    case .independent: try rows { _ in [] }
    case .grid:
      var side = 1
      while (side + 1) * (side + 1) <= size.tasks { side += 1 }
      try rows(count: side * side) { task in
        (task >= side ? [task - side] : []) + (task % side > 0 ? [task - 1] : [])
      }
    case .fan: try fan()
    case .snapshot: try strands()
    case .random: preconditionFailure("pto2-random runs these")
    }
  }

  /// What `k_sum` computes.
  private func result(_ salt: Int, _ inputs: [[UInt64]]) -> [UInt64] {
    (0..<size.elements).map { i in
      inputs.reduce(UInt64(salt) &+ UInt64(i)) { 31 &* $0 &+ $1[i] }
    }
  }

  private func submitSum<Result>(
    _ salt: Int, _ inputs: [Tensor<UInt64>], _ output: (inout TaskBuilder) -> Result
  ) throws -> Result {
    let isMatrix = salt % 3 == 0
    return try graph.submit(aic: isMatrix ? sum.aic : nil, aiv0: isMatrix ? nil : sum.aiv) { task in
      for input in inputs { task.input(input) }
      let result = output(&task)
      task.scalar(salt)
      task.scalar(size.spinMicroseconds)
      return result
    }
  }

  /// Tasks that each write a row of a table of their own.
  private func rows(count chosen: Int? = nil, _ inputs: (Int) -> [Int]) throws {
    let count = chosen ?? size.tasks
    let table = try graph.externalTensor(of: UInt64.self, Shape(count, size.elements))
    func row(_ task: Int) throws -> Tensor<UInt64> {
      try table.slice(from: [task, 0], shape: Shape(1, size.elements))
        .reshaped(to: Shape(size.elements))
    }
    var expected: [[UInt64]] = []
    for task in 0..<count {
      let rows = inputs(task)
      let from = try rows.map(row)
      let to = try row(task)
      try graph.scope { try submitSum(task, from) { $0.overwrite(to) } }
      expected.append(result(task, rows.map { expected[$0] }))
    }
    try compare(table, expected)
  }

  private func fan() throws {
    let rounds = max(1, size.tasks / (size.width + 2))
    let table = try graph.externalTensor(of: UInt64.self, Shape(rounds, size.elements))
    let shape = Shape(size.elements)
    var expected: [[UInt64]] = []
    for round in 0..<rounds {
      func row(_ round: Int) throws -> Tensor<UInt64> {
        try table.slice(from: [round, 0], shape: Shape(1, size.elements)).reshaped(to: shape)
      }
      let before = round == 0 ? [] : [try row(round - 1)]
      let to = try row(round)
      try graph.scope {
        let root = try submitSum(round, before) { $0.output(of: UInt64.self, shape) }
        let leaves = try (0..<size.width).map { leaf in
          try submitSum(round + leaf, [root]) { $0.output(of: UInt64.self, shape) }
        }
        try submitSum(round, leaves) { $0.overwrite(to) }
      }
      let root = result(round, round == 0 ? [] : [expected[round - 1]])
      expected.append(result(round, (0..<size.width).map { result(round + $0, [root]) }))
    }
    try compare(table, expected)
  }

  /// Every other element of each strand's row changes with each of its tasks.
  private func strands() throws {
    let table = try graph.externalTensor(of: UInt64.self, Shape(size.width, 2 * size.elements))
    var expected = [[UInt64]](
      repeating: [UInt64](repeating: 0, count: 2 * size.elements), count: size.width)
    let views = try (0..<size.width).map { strand in
      try table.slice(from: [strand, 0], shape: Shape(1, 2 * size.elements))
        .reshaped(to: Shape(2 * size.elements))
        .slice(from: [1], shape: Shape(size.elements), steps: [2])
    }
    for task in 0..<size.tasks {
      let strand = task % size.width
      let isMatrix = task % 3 == 0
      try graph.scope {
        try graph.submit(aic: isMatrix ? step.aic : nil, aiv0: isMatrix ? nil : step.aiv) {
          $0.inout(views[strand])
          $0.scalar(task)
          $0.scalar(size.spinMicroseconds)
          $0.recovery = .snapshot
        }
      }
      for i in 0..<size.elements {
        let old = expected[strand][2 * i + 1]
        expected[strand][2 * i + 1] = 31 &* old &+ UInt64(task) &+ UInt64(i)
      }
    }
    try compare(table, expected)
  }

  private func compare(_ table: Tensor<UInt64>, _ expected: [[UInt64]]) throws {
    var expected = expected
    if isSabotaged { expected[expected.count - 1][expected.last!.count - 1] &+= 1 }
    try graph.read(table) { found in
      var place = 0
      for (row, values) in expected.enumerated() {
        for value in values {
          if found[place] != value {
            try graph.fail("element \(place) (row \(row)) is \(found[place]), expected \(value)")
          }
          place += 1
        }
      }
      graph.report("result", "\(place) elements equal")
    }
  }
}
