import CBenchRaw
import PTO2

/// One thing that is measured, under the name `--only` knows.
struct Benchmark: Sendable {
  var name: String
  /// One line: what runs.
  var what: String
  var kind: Kind
  var clusters = 1
  var hogs = 0
  var hasNoKernels = false
  /// Fewer tasks than asked for, where the graph has no more.
  var maximumTasks = Int.max
  var original = OriginalFigures.none

  enum Kind: Sendable {
    /// Dispatch words and their FIN, without a graph.
    case registerHop
    /// A graph; `isWarm` is false when the memory of its tasks is new.
    case graph(GraphMaker, isWarm: Bool)
    /// A run of one task, from the segment's creation to its removal.
    case wholeRun
    /// A run of one task in a session that is open.
    case nextRun
  }
}

/// Prepares kernels and tensors; what it returns submits about so many tasks
/// and says how many it were.
typealias GraphMaker = @Sendable (Graph) throws -> (Int) throws -> Int

extension Benchmark {
  static let all = [
    Benchmark(
      name: "register-hop", what: "dispatch word to FIN and back, one worker process, no graph",
      kind: .registerHop),
    Benchmark(
      name: "submit-first-lap", what: "independent tasks in slots that were never used before",
      kind: .graph(independent, isWarm: false), original: .independent),
    Benchmark(
      name: "independent", what: "tasks without arguments, AIV",
      kind: .graph(independent, isWarm: true), original: .independent),
    Benchmark(
      name: "chain-explicit", what: "each task names the one before, no tensors, all on the AIC",
      kind: .graph(chainExplicit, isWarm: true), original: .chainExplicit),
    Benchmark(
      name: "chain", what: "each task updates one external tensor (INOUT), all on the AIC",
      kind: .graph(chain, isWarm: true), original: .chainTensor),
    Benchmark(
      name: "chain-tensor", what: "each task reads the output of the one before, AIV",
      kind: .graph(chainTensor, isWarm: true), original: .chainTensor),
    Benchmark(
      name: "fan-explicit", what: "1-16-1, each task names its producers, no tensors, AIV",
      kind: .graph(fanExplicit, isWarm: true), original: .fanExplicit),
    Benchmark(
      name: "fan", what: "1-16-1 through tensors, one fan after the other, AIV",
      kind: .graph(fan, isWarm: true), original: .fan),
    Benchmark(
      name: "no-kernel", what: "independent tasks without kernels",
      kind: .graph(noKernel, isWarm: true), hasNoKernels: true, original: .noKernel),
    Benchmark(
      name: "no-kernel-chain-explicit",
      what: "tasks without kernels or tensors, each names the one before",
      kind: .graph(noKernelChainExplicit, isWarm: true), hasNoKernels: true,
      original: .noKernelChain),
    Benchmark(
      name: "no-kernel-chain", what: "tasks without kernels that update one tensor",
      kind: .graph(noKernelChain, isWarm: true), hasNoKernels: true),
    Benchmark(
      name: "views", what: "each task updates a tile of its own, 4096 tiles of one tensor, AIV",
      kind: .graph(views, isWarm: true), maximumTasks: 4096, original: .views),
    Benchmark(
      name: "arguments", what: "7 inputs from 1024 tiles each, 1 output, 6 scalars, AIV",
      kind: .graph(arguments, isWarm: true), original: .arguments),
    Benchmark(
      name: "stencil", what: "8 steps of 8 tasks, 2 or 3 inputs and 1 output, again and again, AIV",
      kind: .graph(stencil, isWarm: true)),
    Benchmark(
      name: "replay", what: "the same, recorded once and then replayed, 64 tasks a call",
      kind: .graph(replay, isWarm: true)),
    Benchmark(
      name: "independent-hogs", what: "as independent, two other processes spin",
      kind: .graph(independent, isWarm: true), hogs: 2),
    Benchmark(
      name: "chain-hogs", what: "as chain-explicit, two other processes spin",
      kind: .graph(chainExplicit, isWarm: true), hogs: 2, original: .chainWithHogs),
    Benchmark(
      name: "independent-8", what: "as independent, 8 clusters: 24 workers",
      kind: .graph(independent, isWarm: true), clusters: 8, original: .independentStock),
    Benchmark(
      name: "chain-8", what: "as chain-explicit, 8 clusters: 24 workers, any AIC",
      kind: .graph(chainExplicit, isWarm: true), clusters: 8, original: .chainStock),
    Benchmark(
      name: "fan-8", what: "as fan, 8 clusters: 24 workers",
      kind: .graph(fan, isWarm: true), clusters: 8, original: .fanStock),
    Benchmark(
      name: "next-run", what: "a run of one task in a session that is open, per run",
      kind: .nextRun),
    Benchmark(
      name: "whole-run", what: "a run of one task, per run: processes, segment, report",
      kind: .wholeRun, original: .wholeRun),
    Benchmark(
      name: "whole-run-8", what: "as whole-run, 8 clusters: 24 workers",
      kind: .wholeRun, clusters: 8, original: .wholeRunStock),
  ]
}

// MARK: The graphs

/// Outputs are one cache line each.
private let line = Shape(16)
/// Tasks between the two ends of a fan.
private let fanWidth = 16

@Sendable private func independent(_ graph: Graph) throws -> (Int) throws -> Int {
  let kernel = try graph.kernel("empty_aiv")
  return { tasks in
    for _ in 0..<tasks { try graph.submit(aiv: kernel) { _ in } }
    return tasks
  }
}

@Sendable private func chainExplicit(_ graph: Graph) throws -> (Int) throws -> Int {
  let kernel = try graph.kernel("empty_aic")
  return { tasks in
    var last = try graph.submit(aic: kernel) { $0.id }
    for _ in 1..<tasks {
      last = try graph.submit(aic: kernel) { task in
        task.after(last)
        return task.id
      }
    }
    return tasks
  }
}

@Sendable private func chain(_ graph: Graph) throws -> (Int) throws -> Int {
  let kernel = try graph.kernel("empty_aic")
  let tensor = try graph.externalTensor(of: Float.self, line)
  return { tasks in
    for _ in 0..<tasks { try graph.submit(aic: kernel) { $0.inout(tensor) } }
    return tasks
  }
}

@Sendable private func chainTensor(_ graph: Graph) throws -> (Int) throws -> Int {
  let kernel = try graph.kernel("empty_aiv")
  return { tasks in
    var last = try graph.submit(aiv: kernel) { $0.output(of: Float.self, line) }
    for _ in 1..<tasks {
      last = try graph.submit(aiv: kernel) { task in
        task.input(last)
        return task.output(of: Float.self, line)
      }
    }
    return tasks
  }
}

@Sendable private func fanExplicit(_ graph: Graph) throws -> (Int) throws -> Int {
  let kernel = try graph.kernel("empty_aiv")
  return { tasks in
    let fans = max(1, tasks / (fanWidth + 2))
    var middle: [TaskID] = []
    middle.reserveCapacity(fanWidth)
    var join: TaskID?
    for _ in 0..<fans {
      let root = try graph.submit(aiv: kernel) { task in
        if let join { task.after(join) }
        return task.id
      }
      middle.removeAll(keepingCapacity: true)
      for _ in 0..<fanWidth {
        let id = try graph.submit(aiv: kernel) { task in
          task.after(root)
          return task.id
        }
        middle.append(id)
      }
      join = try graph.submit(aiv: kernel) { task in
        for id in middle { task.after(id) }
        return task.id
      }
    }
    return fans * (fanWidth + 2)
  }
}

@Sendable private func fan(_ graph: Graph) throws -> (Int) throws -> Int {
  let kernel = try graph.kernel("empty_aiv")
  return { tasks in
    let fans = max(1, tasks / (fanWidth + 2))
    var middle: [Tensor<Float>] = []
    middle.reserveCapacity(fanWidth)
    var join: Tensor<Float>?
    for _ in 0..<fans {
      let root = try graph.submit(aiv: kernel) { task in
        if let join { task.input(join) }
        return task.output(of: Float.self, line)
      }
      middle.removeAll(keepingCapacity: true)
      for _ in 0..<fanWidth {
        let tensor = try graph.submit(aiv: kernel) { task in
          task.input(root)
          return task.output(of: Float.self, line)
        }
        middle.append(tensor)
      }
      join = try graph.submit(aiv: kernel) { task in
        for tensor in middle { task.input(tensor) }
        return task.output(of: Float.self, line)
      }
    }
    return fans * (fanWidth + 2)
  }
}

@Sendable private func noKernel(_ graph: Graph) throws -> (Int) throws -> Int {
  return { tasks in
    for _ in 0..<tasks { try graph.submit { _ in } }
    return tasks
  }
}

@Sendable private func noKernelChainExplicit(_ graph: Graph) throws -> (Int) throws -> Int {
  return { tasks in
    var last = try graph.submit { $0.id }
    for _ in 1..<tasks {
      last = try graph.submit { task in
        task.after(last)
        return task.id
      }
    }
    return tasks
  }
}

@Sendable private func noKernelChain(_ graph: Graph) throws -> (Int) throws -> Int {
  let tensor = try graph.externalTensor(of: Float.self, line)
  return { tasks in
    for _ in 0..<tasks { try graph.submit { $0.inout(tensor) } }
    return tasks
  }
}

/// 64 x 64 square tiles of one square tensor.
@Sendable private func views(_ graph: Graph) throws -> (Int) throws -> Int {
  let kernel = try graph.kernel("empty_aiv")
  let side = 64
  let tile = 8
  let tensor = try graph.externalTensor(of: Float.self, Shape(side * tile, side * tile))
  var tiles: [Tensor<Float>] = []
  for row in 0..<side {
    for column in 0..<side {
      tiles.append(try tensor.slice(from: [row * tile, column * tile], shape: Shape(tile, tile)))
    }
  }
  return { tasks in
    for index in 0..<tasks {
      try graph.submit(aiv: kernel) { $0.inout(tiles[index % tiles.count]) }
    }
    return tasks
  }
}

@Sendable private func arguments(_ graph: Graph) throws -> (Int) throws -> Int {
  let kernel = try graph.kernel("empty_aiv")
  let tileCount = 1024
  // Tile t of input k is at 7 * t + k.
  var inputs: [Tensor<Float>] = []
  let tensors = try (0..<7).map { _ in
    try graph.externalTensor(of: Float.self, Shape(tileCount, 16))
  }
  for tile in 0..<tileCount {
    for tensor in tensors { inputs.append(try tensor.slice(from: [tile, 0], shape: Shape(1, 16))) }
  }
  return { tasks in
    for task in 0..<tasks {
      let first = 7 * (task % tileCount)
      try graph.submit(aiv: kernel) { arguments in
        for k in 0..<7 { arguments.input(inputs[first + k]) }
        _ = arguments.output(of: Float.self, line)
        for scalar in 0..<6 { arguments.scalar(task + scalar) }
      }
    }
    return tasks
  }
}

/// Tasks of a step of a stencil, and steps that are replayed together.
private let stencilWidth = 8
private let stencilSteps = 8

/// One step after another; each point has the points beside it of the step before.
private func submitStencil(_ graph: Graph, _ kernel: Kernel, _ before: inout [AnyTensor]) throws {
  for _ in 0..<stencilSteps {
    var current: [AnyTensor] = []
    current.reserveCapacity(stencilWidth)
    for point in 0..<stencilWidth {
      let inputs = max(0, point - 1)...min(stencilWidth - 1, point + 1)
      current.append(
        try graph.submit(aiv: kernel) { task in
          for input in inputs { task.input(before[input]) }
          task.scalar(point)
          return task.output(of: .float32, line)
        })
    }
    before = current
  }
}

private func stencilInputs(_ graph: Graph) throws -> [AnyTensor] {
  try (0..<stencilWidth).map { _ in try graph.externalTensor(of: .float32, line) }
}

@Sendable private func stencil(_ graph: Graph) throws -> (Int) throws -> Int {
  let kernel = try graph.kernel("empty_aiv")
  let first = try stencilInputs(graph)
  return { tasks in
    let blocks = max(1, tasks / (stencilWidth * stencilSteps))
    var tensors = first
    for _ in 0..<blocks { try submitStencil(graph, kernel, &tensors) }
    return blocks * stencilWidth * stencilSteps
  }
}

@Sendable private func replay(_ graph: Graph) throws -> (Int) throws -> Int {
  let kernel = try graph.kernel("empty_aiv")
  let first = try stencilInputs(graph)
  let template = try graph.scope {
    try graph.record(tensors: first) { outputs in
      outputs = first
      try submitStencil(graph, kernel, &outputs)
    }
  }
  return { tasks in
    let blocks = max(1, tasks / (stencilWidth * stencilSteps))
    var tensors = first
    for _ in 0..<blocks { tensors = try graph.replay(template, tensors: tensors).outputs }
    return blocks * stencilWidth * stencilSteps
  }
}
