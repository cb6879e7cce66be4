import CTaskBench
import PTO2

/// Submits the tasks of one step: each takes what its producers of the step before have put
/// out, and puts out a tensor. On several ranks points belong to them in blocks.
/// - Parameters:
///   - before: what the step before has put out, by point.
///   - current: what this one puts out.
///   - addScalars: adds what the kernel is to know of the task at this point.
@inline(__always)
func submitStep(
  _ graph: Graph, _ kernel: Kernel, _ options: inout taskbench_options, _ step: UInt32,
  _ before: [Tensor<Int64>?], into current: inout [Tensor<Int64>?],
  addScalars: (inout TaskBuilder, UInt32) -> Void
) throws {
  let (aic, aiv) = kernel.coreType == .aic ? (kernel, nil) : (nil, kernel)
  let (isNear, workers) = (options.is_near != 0, Int(options.workers))
  var points = taskbench_points(&options.graph, step)
  while points != 0 {
    let point = taskbench_next(&points)
    var producers = taskbench_inputs(&options.graph, step, point)
    // Workers are the AIVs of clusters, two of each; points belong to them in blocks.
    let worker =
      isNear ? owner(Int(point), of: graph.ranks * workers, options) % workers : 0
    let (aiv0, aiv1) = worker & 1 == 0 ? (aiv, nil) : (nil, aiv)
    current[Int(point)] = try graph.submit(aic: aic, aiv0: aiv0, aiv1: aiv1) { task in
      if isNear { task.near(cluster: worker / 2) }
      if graph.ranks > 1 { task.run(on: owner(Int(point), of: graph.ranks, options)) }
      while producers != 0 { task.input(before[Int(taskbench_next(&producers))]!) }
      let output = task.output(of: Int64.self, Shape(2))
      addScalars(&task, point)
      return output
    }
  }
}

/// The rank, or worker, that a point belongs to.
func owner(_ point: Int, of count: Int, _ options: taskbench_options) -> Int {
  point * count / Int(options.graph.width)
}
