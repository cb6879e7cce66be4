import PTO2
import PTO2CommandLine

/// Scenes of the Swift API in real processes; each checks its own result.
@main
struct APIProgram: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pto2-api-test",
    abstract: "Scenes of the program API, for tests: pto2-api-test views")

  enum Scene: String, CaseIterable, ExpressibleByArgument {
    case views, elements, lateElement, allocate, nestedSubmit, writtenBroadcast, endedScope
    case retainEnded, manual, fill, writtenFill, endedFill, fillBeyond, fillFraction
    case atTheLimits, beyond, manyKernels
  }

  @Argument(help: "Which scene.") var scene: Scene
  @Option(help: "For the scene \"beyond\": which limit.") var limit: Limit?
  @Option(help: "Sessions to run, one after another.") var sessions = 1
  @OptionGroup var runtime: RuntimeOptions

  /// The scene with kernels of its own names them on the command line.
  private var images: [String] { scene == .manyKernels ? [] : ["TestKernels"] }

  func run() throws {
    for _ in 0..<sessions {
      try runtime.run("pto2-api-test", images: images) { graph in
        switch scene {
        case .views: try views(graph)
        case .elements: try elements(graph)
        case .lateElement: try lateElement(graph)
        case .allocate: try allocate(graph)
        case .nestedSubmit: try nestedSubmit(graph)
        case .writtenBroadcast: try writtenBroadcast(graph)
        case .endedScope: try endedScope(graph)
        case .retainEnded: try retainEnded(graph)
        case .manual: try manual(graph)
        case .fill: try fill(graph)
        case .writtenFill:
          let view = try graph.filled(Shape(4), with: Int64(1))
          try graph.submit(aiv: try graph.kernel("t_add")) { $0.inout(view) }
        case .endedFill:
          let view = try graph.scope { try graph.filled(Shape(4), with: Int64(1)) }
          try graph.submit(aiv: try graph.kernel("t_empty")) { $0.input(view) }
        case .atTheLimits: try atTheLimits(graph)
        case .beyond: try beyond(limit!, graph)
        case .manyKernels: try manyKernels(graph)
        case .fillBeyond: _ = try graph.filled(of: .uint8, Shape(4), with: 300)
        case .fillFraction: _ = try graph.filled(of: .int64, Shape(4), with: 0.5)
        }
      }
    }
  }

  private func expect(_ graph: Graph, _ what: String, _ found: Int64, _ expected: Int64) throws {
    guard found == expected else {
      try graph.fail("\(what) is \(found), expected \(expected)")
    }
  }

  /// Sums over rows, columns, every third element, and a repeated element.
  private func views(_ graph: Graph) throws {
    let sum = try graph.kernel("t_sum")
    let x = try graph.externalTensor(of: Int64.self, Shape(6, 10))
    try graph.write(x) { x in for i in x.indices { x[i] = Int64(i) } }
    func total(_ view: Tensor<Int64>) throws -> Int64 {
      try graph.scope {
        let result = try graph.submit(aiv: sum) { task in
          task.input(view)
          return task.output(of: Int64.self, Shape(1))
        }
        return try graph.element(of: result, at: [0])
      }
    }
    let column = try x.transposed(0, 1).slice(from: [3, 0], shape: Shape(1, 6)).transposed(0, 1)
      .slice(from: [0, 0], shape: Shape(6, 1))
    try expect(graph, "a column", try total(column), 3 + 13 + 23 + 33 + 43 + 53)
    let third = try x.reshaped(to: Shape(60)).slice(from: [1], shape: Shape(20), steps: [3])
    try expect(
      graph, "every third", try total(third), (0..<20).reduce(0) { $0 + 1 + 3 * Int64($1) })
    let repeated = try x.slice(from: [2, 5], shape: Shape(1, 1)).reshaped(to: Shape(1)).broadcast(
      to: Shape(1000))
    try expect(graph, "a repeated element", try total(repeated), 25 * 1000)
  }

  /// Values read and set between tasks that are still to run.
  private func elements(_ graph: Graph) throws {
    let add = try graph.kernel("t_add")
    let copy = try graph.kernel("t_copy")
    let x = try graph.externalTensor(of: Int64.self, Shape(2))
    let y = try graph.externalTensor(of: Int64.self, Shape(1))
    let first = try x.slice(from: [0], shape: Shape(1))
    for round in 0..<20 {
      try graph.submit(aiv: add) { task in
        task.inout(first)
        task.scalar(5)
        task.scalar(200)
      }
      let value = try graph.element(of: x, at: [0])
      try expect(graph, "an element", value, Int64(105 * round + 5))
      // A slow reader must see 5 more, not the 100 more that are set after it.
      try graph.submit(aiv: copy) { task in
        task.input(first)
        task.inout(y)
        task.scalar(300)
      }
      try graph.setElement(of: x, at: [0], to: value + 100)
      try expect(graph, "what a reader saw", try graph.element(of: y, at: [0]), value)
    }
    try expect(graph, "its neighbour", try graph.element(of: x, at: [1]), 0)
  }

  /// Half a second of kernel against a limit of 50 ms.
  private func lateElement(_ graph: Graph) throws {
    let x = try graph.externalTensor(of: Int64.self, Shape(1))
    let set = try graph.kernel("t_set")
    try graph.submit(aiv: set) { task in
      task.inout(x)
      task.scalar(1)
      task.scalar(500_000)
    }
    _ = try graph.element(of: x, at: [0], timeout: .milliseconds(50))
  }

  private func allocate(_ graph: Graph) throws {
    let set = try graph.kernel("t_set")
    for round in 0..<200 {
      try graph.scope {
        let x = try graph.uninitializedTensor(of: Int64.self, Shape(1))
        try graph.submit(aiv: set) { task in
          task.overwrite(x)
          task.scalar(round)
          task.scalar(0)
        }
        let value = try graph.element(of: x, at: [0])
        try expect(graph, "an allocated element", value, Int64(round))
      }
    }
  }

  /// In and out of manual scopes: what is tracked outside and inside nested
  /// automatic ones, and the tasks that lead from one to the other.
  private func manual(_ graph: Graph) throws {
    let add = try graph.kernel("t_add")
    let copy = try graph.kernel("t_copy")
    let total = try graph.externalTensor(of: Int64.self, Shape(2))
    let seen = try graph.externalTensor(of: Int64.self, Shape(1))
    for round in 0..<50 {
      func slowly(_ task: inout TaskBuilder, add value: Int) {
        task.scalar(value)
        task.scalar(100)
      }
      try graph.submit(aiv: add) { task in
        task.inout(total)
        slowly(&task, add: 1)
      }
      // Everybody before the scope, as one id.
      let entry = try graph.submit { task in
        task.inout(total)
        return task.id
      }
      let ids = try graph.scope(.manual) {
        let halves = try (0..<2).map { half in
          let cell = try total.slice(from: [half], shape: Shape(1))
          return try graph.submit(aiv: add) { task in
            task.after(entry)
            task.inout(cell)
            slowly(&task, add: 10)
            return task.id
          }
        }
        // An output's owner is waited for, and its memory held, here too.
        let copied = try graph.submit(aiv: copy) { task in
          for id in halves { task.after(id) }
          task.input(total)
          let copied = task.output(of: Int64.self, Shape(1))
          task.scalar(200)
          return copied
        }
        let last = try graph.submit(aiv: copy) { task in
          task.input(copied)
          task.overwrite(seen)
          task.scalar(0)
          return task.id
        }
        try graph.scope {
          let own = try graph.externalTensor(of: Int64.self, Shape(1))
          for _ in 0..<3 {
            try graph.submit(aiv: add) { task in
              task.inout(own)
              slowly(&task, add: 7)
            }
          }
          try expect(graph, "inside", try graph.element(of: own, at: [0]), 21)
        }
        return [last]
      }
      // For everybody after the scope: `last` comes after all of them.
      try graph.submit { task in
        for id in ids { task.after(id) }
        task.inout(total)
        task.inout(seen)
      }
      let sum = Int64(11 * (round + 1))
      for half in 0..<2 {
        try expect(
          graph, "a half", try graph.element(of: total, at: [half]), sum)
      }
      try expect(graph, "the copy", try graph.element(of: seen, at: [0]), sum)
    }
  }

  /// A million equal elements for the price of one, of every type.
  private func fill(_ graph: Graph) throws {
    let sum = try graph.kernel("t_sum")
    let gather = try graph.kernel("t_gather")
    for round in 0..<100 {
      try graph.scope {
        let million = try graph.filled(Shape(1 << 20), with: Int64(round - 50))
        let total = try graph.submit(aiv: sum) { task in
          task.input(million)
          return task.output(of: Int64.self, Shape(1))
        }
        try expect(
          graph, "the sum", try graph.element(of: total, at: [0]),
          Int64(round - 50) << 20)
      }
    }
    func check<Element: TensorElement & Equatable>(
      _ filled: Tensor<Element>, _ expected: Element
    ) throws {
      let copy = try graph.submit(aiv: gather) { task in
        task.input(filled)
        return task.output(of: Element.self, Shape(2, 3, 5))
      }
      for (i, element) in try graph.array(copy).enumerated() where element != expected {
        try graph.fail("element \(i) of \(Element.self) is \(element), expected \(expected)")
      }
    }
    let shape = Shape(2, 3, 5)
    func checkUntyped<Element: TensorElement & Equatable>(
      _ type: DataType, _ value: Int, _ expected: Element
    ) throws {
      try check(try Tensor(try graph.filled(of: type, shape, with: value)), expected)
    }
    try check(try graph.filled(shape, with: Float(0.1)), Float(0.1))
    try check(try Tensor(try graph.filled(of: .float32, shape, with: 0.1)), Float(0.1))
    try check(try Tensor(try graph.filled(of: .float16, shape, with: -1.5)), Float16(-1.5))
    try check(try Tensor(try graph.filled(of: .bfloat16, shape, with: 1)), BFloat16(Float(1)))
    try check(try graph.filled(shape, with: BFloat16(Float(1))), BFloat16(bitPattern: 0x3F80))
    try checkUntyped(.int8, -128, Int8.min)
    try checkUntyped(.int16, -2, Int16(-2))
    try check(try Tensor(try graph.filled(of: .int32, shape, with: -3.0)), Int32(-3))
    try checkUntyped(.int64, Int.min, Int64.min)
    try checkUntyped(.uint8, 255, UInt8.max)
    try checkUntyped(.uint16, 65535, UInt16.max)
    try checkUntyped(.uint32, 7, UInt32(7))
    try check(try graph.filled(shape, with: UInt64.max), UInt64.max)
  }

  /// As many kernels as there may be: the last one can be called.
  private func manyKernels(_ graph: Graph) throws {
    let last = try graph.kernel("k4095")
    let x = try graph.externalTensor(of: Int64.self, Shape(1))
    try graph.submit(aiv: last) { task in
      task.overwrite(x)
      task.scalar(4095)
    }
    try expect(graph, "its mark", try graph.element(of: x, at: [0]), 4095)
  }

  private func nestedSubmit(_ graph: Graph) throws {
    let empty = try graph.kernel("t_empty")
    var inner: (any Error)?
    try graph.submit(aiv: empty) { _ in
      do { try graph.submit(aiv: empty) { _ in } } catch { inner = error }
    }
    if inner == nil { try graph.fail("the inner submit was taken") }
  }

  private func writtenBroadcast(_ graph: Graph) throws {
    let x = try graph.externalTensor(of: Int64.self, Shape(1))
    let view = try x.broadcast(to: Shape(4))
    try graph.submit(aiv: try graph.kernel("t_add")) { $0.inout(view) }
  }

  private func endedScope(_ graph: Graph) throws {
    let empty = try graph.kernel("t_empty")
    let late = try graph.scope {
      try graph.submit(aiv: empty) { $0.output(of: Int64.self, Shape(8)) }
    }
    try graph.submit(aiv: empty) { $0.input(late) }
  }

  private func retainEnded(_ graph: Graph) throws {
    let empty = try graph.kernel("t_empty")
    let (id, inPlace) = try graph.scope {
      let id = try graph.submit(aiv: empty) { task in
        _ = task.output(of: Int64.self, Shape(8))
        return task.id
      }
      return (id, try graph.submit(aiv: empty) { $0.id })
    }
    // Waiting for it is fine, however long it has been done; so is holding what has no
    // outputs.
    try graph.submit(aiv: empty) { task in
      task.after(id)
      task.retain(inPlace)
    }
    try graph.submit(aiv: empty) { $0.retain(id) }
  }
}
