import CTaskBench
import PTO2

/// Steps of a graph that are recorded when they first come, and replayed where the pattern
/// comes again.
struct ReplayedSteps {
  /// Steps of a template; 0 for none.
  let count: UInt32
  private var recorded: (template: TaskTemplate, first: UInt32)?

  init(count: UInt32) { self.count = count }

  /// Submits so many steps.
  /// - Parameter before: what the step before has put out, by point.
  /// - Returns: what the last one puts out; nil if these steps must be submitted one by one.
  mutating func submit(
    _ graph: Graph, _ kernel: Kernel, _ options: inout taskbench_options, from step: UInt32,
    _ before: [Tensor<Int64>?]
  ) throws -> [Tensor<Int64>?]? {
    guard count > 0, step > 0, step + count <= options.graph.steps else { return nil }
    if let recorded {
      guard isSame(&options.graph, step, recorded.first) else { return nil }
      let replayed = try graph.replay(
        recorded.template, tensors: before.compactMap { $0.map { AnyTensor($0) } },
        scalars: scalars(&options, step))
      return try byPoint(replayed.outputs, &options, step + count - 1)
    }
    // Where every point is there, the pattern is likely to come again.
    guard taskbench_points(&options.graph, step - 1) == taskbench_bits(options.graph.width),
      taskbench_points(&options.graph, step + count - 1) == taskbench_bits(options.graph.width)
    else { return nil }
    let template = try record(graph, kernel, &options, step, before)
    recorded = (template, step)
    return try byPoint(template.outputs, &options, step + count - 1)
  }

  private func record(
    _ graph: Graph, _ kernel: Kernel, _ options: inout taskbench_options, _ first: UInt32,
    _ before: [Tensor<Int64>?]
  ) throws -> TaskTemplate {
    let packed = taskbench_packed(&options.graph)
    return try graph.record(
      tensors: before.compactMap { $0.map { AnyTensor($0) } }, scalars: scalars(&options, first)
    ) { outputs in
      var before = before
      var hole = 1
      for step in first..<first + count {
        var current: [Tensor<Int64>?] = Array(repeating: nil, count: before.count)
        try submitStep(graph, kernel, &options, step, before, into: &current) { task, _ in
          task.scalar(bits: packed)
          task.scalar(hole: hole)
          task.scalar(hole: 0)
          hole += 1
        }
        before = current
      }
      outputs = before.compactMap { $0.map { AnyTensor($0) } }
    }
  }

  /// The work of a task, and then step and point of each.
  private func scalars(_ options: inout taskbench_options, _ first: UInt32) -> [UInt64] {
    var scalars: [UInt64] = []
    scalars.reserveCapacity(1 + Int(count * options.graph.width))
    scalars.append(UInt64(options.graph.run) << 40 | options.iterations)
    for step in first..<first + count {
      var points = taskbench_points(&options.graph, step)
      while points != 0 { scalars.append(UInt64(step) << 32 | UInt64(taskbench_next(&points))) }
    }
    return scalars
  }

  private func byPoint(
    _ outputs: [AnyTensor], _ options: inout taskbench_options, _ step: UInt32
  ) throws -> [Tensor<Int64>?] {
    var tensors: [Tensor<Int64>?] = Array(repeating: nil, count: Int(options.graph.width))
    var points = taskbench_points(&options.graph, step)
    for output in outputs { tensors[Int(taskbench_next(&points))] = try Tensor(output) }
    return tensors
  }

  /// The pattern of the steps from one on is that of those from another on.
  private func isSame(_ graph: inout taskbench_graph, _ a: UInt32, _ b: UInt32) -> Bool {
    guard taskbench_points(&graph, a - 1) == taskbench_points(&graph, b - 1) else {
      return false
    }
    for step in 0..<count {
      var points = taskbench_points(&graph, a + step)
      guard points == taskbench_points(&graph, b + step) else { return false }
      // With one set the inputs follow from the points.
      if graph.sets == 1 { continue }
      while points != 0 {
        let point = taskbench_next(&points)
        guard
          taskbench_inputs(&graph, a + step, point) == taskbench_inputs(&graph, b + step, point)
        else { return false }
      }
    }
    return true
  }
}
