import PTO2

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
    let x = try graph.external(Shape(32), .int8)
    try graph.submit(aiv: empty) { task in
      for _ in 0..<31 { task.inout(x) }
      _ = task.output(Shape(1, 1, 1, 1, 1), .int64)
      for k in 0..<16 { task.scalar(k) }
    }
    try graph.submit(aiv: empty) { $0.blocks(1 << 20) }
    for _ in 0..<64 { try graph.beginScope() }
    let deep = try graph.submit(aiv: empty) { $0.output(Shape(4), .int64) }
    try graph.submit(aiv: empty) { $0.input(deep) }
    for _ in 0..<64 { try graph.endScope() }
    _ = try graph.fill(Shape(Int(UInt32.max)), .uint8, 1)
    try graph.wait()
  }

  /// One more than there may be; the call throws.
  func beyond(_ limit: Limit, _ graph: Graph) throws {
    let empty = try graph.kernel("t_empty")
    let x = try graph.external(Shape(8), .int64)
    func submit(_ arguments: (inout TaskArguments) -> Void) throws {
      try graph.submit(aiv: empty, arguments)
    }
    switch limit {
    case .tensors: try submit { task in for _ in 0..<33 { task.input(x) } }
    case .scalars: try submit { task in for k in 0..<17 { task.scalar(k) } }
    case .rank: _ = try graph.external([1, 1, 1, 1, 1, 1], .int8)
    case .reshapedRank: _ = try x.reshape([1, 1, 1, 1, 1, 8])
    case .elements: _ = try graph.external([1 << 16, 1 << 16], .int8)
    case .outputElements: try submit { _ = $0.output([1 << 16, 1 << 16], .int8) }
    case .extent: try submit { _ = $0.output([4, 0], .int8) }
    case .scopes: for _ in 0..<65 { try graph.beginScope() }
    case .scopeEnd: try graph.endScope()
    case .blocks: try submit { $0.blocks(1 << 20 + 1) }
    case .noBlocks: try submit { $0.blocks(0) }
    case .producers:
      let ids = try (0..<5).map { _ in try graph.submit(aiv: empty) { $0.id } }
      try submit { task in for id in ids { task.retain(id) } }
    case .outputBytes: try submit { _ = $0.output([513], .int64) }
    case .scopeBytes: for _ in 0..<5 { _ = try graph.allocate([128], .int64) }
    case .predicateIndex: try submit { $0.when(x, at: [8], .equal, 0) }
    case .predicateType: try submit { $0.when(x, at: [0], .equal, 0.5) }
    case .dependency:
      let next = try graph.submit(aiv: empty) { $0.id }
      try submit { $0.after(TaskID(rawValue: next.rawValue + 1)) }
    case .arena: _ = try graph.external([1 << 20], .int8)
    }
  }
}
