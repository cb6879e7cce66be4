import CTaskBench
import Glibc
import PTO2

/// One graph of Task Bench in an open session, run again and again. A run takes from the
/// call of `Session.run` to its end.
@main
struct TaskBenchProgram {
  static func main() {
    var options = taskbench_options()
    let parsed = taskbench_parse(&options, "pto2", CommandLine.argc, CommandLine.unsafeArgv)
    if parsed >= 0 { exit(parsed) }
    do {
      let place = try RankEnvironment { name in getenv(name).map { String(cString: $0) } }
      if place.ranks > 1, let refusal = refusal(options) {
        if place.rank == 0 { taskbench_complain("pto2", refusal) }
        exit(64)
      }
      exit(try measure(&options, place))
    } catch {
      // Of an error that another rank has, that one speaks.
      if (error as? PTO2Error)?.isEcho != true { taskbench_complain("pto2", "\(error)") }
      exit(1)
    }
  }

  /// What cannot be on several ranks.
  private static func refusal(_ options: taskbench_options) -> String? {
    if options.runs == 0 { return "on several ranks --runs N says how often: clocks differ" }
    if options.replay > 0 { return "--replay is for one rank" }
    if options.is_explicit != 0 { return "--explicit is for one rank" }
    return nil
  }

  /// - Returns: the exit status.
  private static func measure(
    _ options: inout taskbench_options, _ place: RankEnvironment
  ) throws -> Int32 {
    let session = try Session(configuration(&options, place), images: ["TaskBenchKernels"])
    let series = UnsafeMutablePointer<taskbench_series>.allocate(capacity: 1)
    defer { series.deallocate() }
    var replayed = ReplayedSteps(count: options.replay)
    taskbench_begin(series)
    let own = tasks(of: place, &options)
    // Every task of this rank has run, in each run.
    var isWhole = true
    while taskbench_more(series, &options) != 0 {
      var isValid = false
      let begin = taskbench_seconds()
      let report = try session.run { graph in
        isValid =
          options.is_explicit != 0
          ? try runExplicit(graph, &options)
          : options.is_in_place != 0
            ? try runInPlace(graph, &options)
            : try runThroughTensors(graph, &options, &replayed)
      }
      let seconds = taskbench_seconds() - begin
      if report.kernels != own {
        taskbench_complain("pto2", "rank \(place.rank) ran \(report.kernels) tasks, not \(own)")
        (isValid, isWhole) = (false, false)
      }
      taskbench_add(series, &options, seconds, isValid ? 1 : 0)
    }
    session.close()
    // All see the same outputs. The first says what is wrong with them: mpirun would end it before
    // it has, for the status of another one.
    if place.rank != 0 { return isWhole ? 0 : 1 }
    options.workers *= place.ranks
    return taskbench_finish(series, &options, "pto2")
  }

  /// Those of a rank.
  private static func tasks(of place: RankEnvironment, _ options: inout taskbench_options) -> Int {
    var count = 0
    for step in 0..<options.graph.steps {
      var points = taskbench_points(&options.graph, step)
      while points != 0 {
        let point = Int(taskbench_next(&points))
        let owner = owner(point, of: Int(place.ranks), options)
        count += owner == Int(place.rank) ? 1 : 0
      }
    }
    return count
  }

  /// Outputs stay alive until the scope ends: all of them, 64 bytes each.
  private static func configuration(
    _ options: inout taskbench_options, _ place: RankEnvironment
  ) -> Configuration {
    var all = Int(taskbench_tasks(&options.graph))
    // What a rank sends and receives are tasks, too: at the end of the last step as well.
    if place.ranks > 1 { all = 2 * all + Int(place.ranks * options.graph.width) }
    var tasks = 64
    while tasks < all { tasks *= 2 }
    let window = min(tasks, Int(options.window))
    // Of an explicit graph the one tensor, too.
    let points = Int(options.graph.steps) * Int(options.graph.width)
    let bytes = 2 * 64 * tasks + (options.is_explicit != 0 ? 64 * points : 0)
    var configuration = Configuration()
    configuration.clusters = (Int(options.workers) + 1) / 2
    configuration.rings = [
      Configuration.Ring(
        taskWindow: window, consumedWindow: tasks, heapBytes: bytes,
        dependencyPool: 16 * window)
    ]
    // What comes from other ranks, too.
    configuration.arenaBytes = 64 << 20 + 128 * points
    configuration.lanes = Int(options.lanes)
    configuration.schedulerThreads = Int(options.threads)
    configuration.worksAhead = options.without_ahead == 0
    if options.without_moves != 0 { configuration.workerPlacement = .byKernel }
    if options.is_pinned != 0 {
      // The kernels' cores are 1 and 2 of each cluster.
      let cores = 3 * UInt32(configuration.clusters)
      configuration.workerPlacement = .pinned(
        (0..<cores).map { Int(taskbench_cpu($0 / 3 * 2 + ($0 % 3) / 2)) })
    }
    if let trace = options.trace {
      configuration.trace = Configuration.Trace(file: String(cString: trace))
    }
    return configuration
  }

  /// One worker is a cluster's AIC, two are its AIVs.
  private static func kernel(_ graph: Graph, _ options: taskbench_options) throws -> Kernel {
    try graph.kernel(options.workers == 1 ? "taskbench_aic" : "taskbench")
  }

  /// Each task puts out a tensor, and takes those of its producers.
  /// - Returns: whether the last step is right.
  private static func runThroughTensors(
    _ graph: Graph, _ options: inout taskbench_options, _ replayed: inout ReplayedSteps
  ) throws -> Bool {
    let shape = options.graph
    let packed = taskbench_packed(&options.graph)
    let work = UInt64(shape.run) << 40 | options.iterations
    let kernel = try kernel(graph, options)
    return try graph.scope {
      var before: [Tensor<Int64>?] = Array(repeating: nil, count: Int(shape.width))
      var current = before
      var step: UInt32 = 0
      while step < shape.steps {
        if let after = try replayed.submit(graph, kernel, &options, from: step, before) {
          before = after
          step += replayed.count
          continue
        }
        try submitStep(graph, kernel, &options, step, before, into: &current) { task, point in
          task.scalar(bits: packed)
          task.scalar(bits: UInt64(step) << 32 | UInt64(point))
          task.scalar(bits: work)
        }
        step += 1
        swap(&before, &current)
      }
      try graph.wait()
      return try isFinal(graph, &options, before)
    }
  }

  /// What the last step has put out is right.
  private static func isFinal(
    _ graph: Graph, _ options: inout taskbench_options, _ outputs: [Tensor<Int64>?]
  ) throws -> Bool {
    var points = taskbench_points(&options.graph, options.graph.steps - 1)
    while points != 0 {
      let point = taskbench_next(&points)
      let values = try graph.array(outputs[Int(point)]!)
      var output = taskbench_output(mark: values[0], point: values[1])
      if taskbench_is_final(&options.graph, &output, point) == 0 { return false }
    }
    return true
  }

  /// Each point has two tensors of the program's, which its tasks change in turn. So a task
  /// also waits for those that read what the one two steps before it has put out.
  /// - Returns: whether the last step is right.
  private static func runInPlace(
    _ graph: Graph, _ options: inout taskbench_options
  ) throws -> Bool {
    let shape = options.graph
    let packed = taskbench_packed(&options.graph)
    let work = UInt64(shape.run) << 40 | options.iterations
    let recovery: Recovery = options.with_snapshots != 0 ? .snapshot : .automatic
    let kernel = try kernel(graph, options)
    let (aic, aiv) = kernel.coreType == .aic ? (kernel, nil) : (nil, kernel)
    func tensors() throws -> [Tensor<Int64>] {
      try (0..<shape.width).map {
        try graph.externalTensor(
          of: Int64.self, Shape(2), on: owner(Int($0), of: graph.ranks, options))
      }
    }
    var (before, current) = (try tensors(), try tensors())
    try graph.scope {
      for step in 0..<shape.steps {
        var points = taskbench_points(&options.graph, step)
        while points != 0 {
          let point = taskbench_next(&points)
          var producers = taskbench_inputs(&options.graph, step, point)
          try graph.submit(aic: aic, aiv0: aiv) { task in
            while producers != 0 { task.input(before[Int(taskbench_next(&producers))]) }
            task.inout(current[Int(point)])
            task.scalar(bits: packed)
            task.scalar(bits: UInt64(step) << 32 | UInt64(point))
            task.scalar(bits: work)
            task.recovery = recovery
          }
        }
        swap(&before, &current)
      }
      try graph.wait()
    }
    return try isFinal(graph, &options, before)
  }

  /// All outputs are one tensor that nobody waits for; each task names its producers.
  /// - Returns: whether the last step is right.
  private static func runExplicit(
    _ graph: Graph, _ options: inout taskbench_options
  ) throws -> Bool {
    let shape = options.graph
    let packed = taskbench_packed(&options.graph)
    let work = UInt64(shape.run) << 40 | options.iterations
    let (steps, width) = (Int(shape.steps), Int(shape.width))
    let kernel = try graph.kernel("taskbench_explicit")
    let outputs = try graph.uninitializedTensor(of: Int64.self, Shape(steps, width, 2))
    try graph.scope {
      var before: [TaskID?] = Array(repeating: nil, count: width)
      var current = before
      for step in 0..<shape.steps {
        var points = taskbench_points(&options.graph, step)
        while points != 0 {
          let point = taskbench_next(&points)
          var producers = taskbench_inputs(&options.graph, step, point)
          current[Int(point)] = try graph.submit(aiv: kernel) { task in
            while producers != 0 { task.after(before[Int(taskbench_next(&producers))]!) }
            task.unordered(outputs)
            task.scalar(bits: packed)
            task.scalar(bits: UInt64(step) << 32 | UInt64(point))
            task.scalar(bits: work)
            return task.id
          }
        }
        swap(&before, &current)
      }
      try graph.wait()
    }
    return try graph.read(outputs) { outputs in
      var points = taskbench_points(&options.graph, shape.steps - 1)
      while points != 0 {
        let point = taskbench_next(&points)
        let index = ((steps - 1) * width + Int(point)) * 2
        var output = taskbench_output(mark: outputs[index], point: outputs[index + 1])
        if taskbench_is_final(&options.graph, &output, point) == 0 { return false }
      }
      return true
    }
  }
}
