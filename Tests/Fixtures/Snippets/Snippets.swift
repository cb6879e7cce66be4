import PTO2

// What docs/programs.md and README.md show besides whole programs; TidyTests compares.

func configured() throws {
  var configuration = Configuration()
  configuration.clusters = 4
  configuration.rings = Array(repeating: Configuration.Ring(heapBytes: 64 << 20), count: 4)
  configuration.limits.stallLimit = .seconds(30)
  let session = try Session(configuration, images: ["./libsaxpy_kernel.so"])
  try session.run { _ in }
}

func caught(_ session: Session, _ build: (Graph) throws -> Void) throws {
  do {
    let report = try session.run(build)
    print(report.tasks, report.kernelSeconds)
  } catch {
    if error.code == .workerDied {
      print("a kernel has crashed: \(error.message)")
    } else if let mine = error.underlying {
      print("the program threw \(mine)")
    } else {
      throw error
    }
  }
}

func manual(_ graph: Graph, _ work: Kernel, _ x: Tensor<Float>) throws {
  let entry = try graph.submit { task in
    task.inout(x)
    return task.id
  }
  let ids = try graph.scope(.manual) {
    try (0..<8).map { tile in
      try graph.submit(aiv: work) { task in
        task.after(entry)
        task.inout(x)  // no edge between the eight
        task.scalar(tile)
        return task.id
      }
    }
  }
  try graph.submit { task in
    for id in ids { task.after(id) }
    task.inout(x)
  }
}

func predicate(_ graph: Graph, _ kernel: Kernel, _ flags: Tensor<Int32>) throws {
  try graph.submit(aiv: kernel) { task in
    task.run(when: flags, at: [7], is: .greater(than: 0))
  }
}

func first() throws {
  let session = try Session(images: ["./libmine.so"])
  try session.run { graph in
    let twice = try graph.kernel("twice")
    let x = try graph.externalTensor(of: Float.self, [1000])  // memory the program owns
    let y = try graph.externalTensor(of: Float.self, [1000])
    try graph.write(x) { x in for i in x.indices { x[i] = Float(i) } }
    try graph.scope {
      let doubled = try graph.submit(aiv: twice) { task in
        task.input(x)
        return task.output(of: Float.self, [1000])  // memory from the heap ring
      }
      try graph.submit(aiv: twice) { task in  // waits for the first by itself
        task.input(doubled)
        task.inout(y)
      }
    }
    print(try graph.array(y)[999])  // 3996.0
  }
}

func recorded(
  _ graph: Graph, _ smooth: Kernel, _ add: Kernel, _ x: Tensor<Float>, _ y: Tensor<Float>
) throws {
  func step(_ x: Tensor<Float>) throws -> Tensor<Float> {
    let smoothed = try graph.submit(aiv: smooth) { task in
      task.input(x)
      return task.output(of: Float.self, x.shape)
    }
    return try graph.submit(aiv: add) { task in
      task.input(smoothed)
      task.scalar(hole: 0)
      return task.output(of: Float.self, x.shape)
    }
  }
  try graph.scope {
    let template = try graph.record(
      tensors: [AnyTensor(x)], scalars: [UInt64(Float(1).bitPattern)]
    ) { outputs in
      outputs.append(AnyTensor(try step(x)))
    }
    var last = template.outputs
    for round in 2...100 {
      last = try graph.replay(
        template, tensors: last, scalars: [UInt64(Float(round).bitPattern)]
      ).outputs
    }
    try graph.submit(aiv: smooth) { task in
      task.input(last[0])
      task.overwrite(y)
    }
  }
}
