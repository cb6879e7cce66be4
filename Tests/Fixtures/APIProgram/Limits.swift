import PTO2
import PTO2CommandLine

/// What a program may have at most: just that much, and one more.
enum Limit: String, CaseIterable, ExpressibleByArgument {
  case tensors, scalars, rank, reshapedRank, elements, outputElements, extent, scopes, scopeEnd
  case blocks, noBlocks, producers, outputBytes, scopeBytes, predicateIndex, predicateType
  case dependency, arena
}

extension APIProgram {
  /// Everything at its limit: the kernels get it and the run succeeds.
  func atTheLimits(_ graph: Graph) throws {
    let empty = try graph.kernel("t_empty")
    let x = try graph.externalTensor(of: Int8.self, Shape(32))
    try graph.submit(aiv: empty) { task in
      for _ in 0..<31 { task.inout(x) }
      _ = task.output(of: Int64.self, Shape(1, 1, 1, 1, 1))
      for k in 0..<16 { task.scalar(k) }
    }
    try graph.submit(aiv: empty) { $0.blocks(1 << 20) }
    for _ in 0..<64 { try graph.beginScope() }
    let deep = try graph.submit(aiv: empty) { $0.output(of: Int64.self, Shape(4)) }
    try graph.submit(aiv: empty) { $0.input(deep) }
    for _ in 0..<64 { try graph.endScope() }
    _ = try graph.filled(Shape(Int(UInt32.max)), with: UInt8(1))
    try graph.wait()
  }

  /// One more than there may be; the call throws.
  func beyond(_ limit: Limit, _ graph: Graph) throws {
    let empty = try graph.kernel("t_empty")
    let x = try graph.externalTensor(of: Int64.self, Shape(8))
    func submit(_ arguments: (inout TaskBuilder) -> Void) throws {
      try graph.submit(aiv: empty, arguments)
    }
    switch limit {
    case .tensors: try submit { task in for _ in 0..<33 { task.input(x) } }
    case .scalars: try submit { task in for k in 0..<17 { task.scalar(k) } }
    case .rank: _ = try graph.externalTensor(of: Int8.self, [1, 1, 1, 1, 1, 1])
    case .reshapedRank: _ = try x.reshaped(to: [1, 1, 1, 1, 1, 8])
    case .elements: _ = try graph.externalTensor(of: Int8.self, [1 << 16, 1 << 16])
    case .outputElements: try submit { _ = $0.output(of: Int8.self, [1 << 16, 1 << 16]) }
    case .extent: try submit { _ = $0.output(of: Int8.self, [4, -1]) }
    case .scopes: for _ in 0..<65 { try graph.beginScope() }
    case .scopeEnd: try graph.endScope()
    case .blocks: try submit { $0.blocks(1 << 20 + 1) }
    case .noBlocks: try submit { $0.blocks(0) }
    case .producers:
      // Retained outputs count whether or not their tasks are done.
      let ids = try (0..<5).map { _ in
        try graph.submit(aiv: empty) { task in
          _ = task.output(of: Int64.self, Shape(1))
          return task.id
        }
      }
      try submit { task in for id in ids { task.retain(id) } }
    case .outputBytes: try submit { _ = $0.output(of: Int64.self, [513]) }
    case .scopeBytes: for _ in 0..<5 { _ = try graph.uninitializedTensor(of: Int64.self, [128]) }
    case .predicateIndex: try submit { $0.run(when: x, at: [8], is: .equal(to: 0)) }
    case .predicateType: try submit { $0.run(when: AnyTensor(x), at: [0], is: .equal(to: 0.5)) }
    case .dependency:
      let next = try graph.submit(aiv: empty) { $0.id }
      try submit { $0.after(TaskID(rawValue: next.rawValue + 1)) }
    case .arena: _ = try graph.externalTensor(of: Int8.self, [1 << 20])
    }
  }
}
