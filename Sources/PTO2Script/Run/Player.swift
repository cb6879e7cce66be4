internal import PTO2
package import PTO2Orchestrator
package import PTO2Protocol
internal import PTO2System

/// Runs a plan as a program: what a user would write with the same graph.
package struct Player {
  private let plan: Plan
  private let graph: Graph
  private var tensors: [AnyTensor?]
  private var ids: [TaskID] = []
  private var freed: Set<Int> = []

  /// - Parameter resultsPath: where the program's tensors are written to at the end: their
  ///   bytes, one after another, those that were freed left out.
  package static func run(_ plan: Plan, in graph: Graph, resultsPath: String?) throws(PTO2Error) {
    var player = Player(plan, graph)
    try player.begin()
    for operation in plan.operations { try player.run(operation) }
    try graph.wait()
    if let resultsPath { try player.writeResults(resultsPath) }
  }

  private init(_ plan: Plan, _ graph: Graph) {
    self.plan = plan
    self.graph = graph
    tensors = [AnyTensor?](repeating: nil, count: plan.buffers.count)
  }

  // MARK: The program's tensors

  private mutating func begin() throws(PTO2Error) {
    for index in plan.externals {
      let buffer = plan.buffers[index]
      let tensor = try graph.externalTensor(of: buffer.type, Shape(buffer.shape))
      tensors[index] = tensor
      let format = ElementFormat(type: buffer.type)
      if case .constant(.whole(0)) = buffer.values { continue }
      let elements = format.elements(buffer.values ?? .zero, count: buffer.count, seed: plan.seed)
      try write(tensor, format.bytes(elements))
    }
  }

  /// Bytes: a tensor of another type has no view of them.
  private func write(_ tensor: AnyTensor, _ bytes: [UInt8]) throws(PTO2Error) {
    func write<Element: FixedWidthInteger & TensorElement>(_ type: Element.Type) throws(PTO2Error) {
      try graph.write(try tensor.bitCast(to: type)) { elements in
        let size = Element.bitWidth / 8
        for index in elements.indices {
          var bits: Element = 0
          for byte in (0..<size).reversed() {
            bits = bits << 8 | Element(truncatingIfNeeded: bytes[index * size + byte])
          }
          elements[index] = bits
        }
      }
    }
    switch tensor.dataType.byteCount {
    case 1: try write(UInt8.self)
    case 2: try write(UInt16.self)
    case 4: try write(UInt32.self)
    default: try write(UInt64.self)
    }
  }

  private func read(_ tensor: AnyTensor) throws(PTO2Error) -> [UInt8] {
    func read<Element: FixedWidthInteger & TensorElement>(_ type: Element.Type) throws(PTO2Error)
      -> [UInt8]
    {
      try graph.read(try tensor.bitCast(to: type)) { elements in
        elements.flatMap { element in
          (0..<Element.bitWidth / 8).map { UInt8(truncatingIfNeeded: element >> Element(8 * $0)) }
        }
      }
    }
    return switch tensor.dataType.byteCount {
    case 1: try graph.array(try tensor.bitCast(to: UInt8.self))
    case 2: try read(UInt16.self)
    case 4: try read(UInt32.self)
    default: try read(UInt64.self)
    }
  }

  private func writeResults(_ path: String) throws(PTO2Error) {
    var bytes: [UInt8] = []
    for index in plan.externals where !freed.contains(index) {
      if let tensor = tensors[index] { bytes += try read(tensor) }
    }
    guard let error = writeFile(bytes, path) else { return }
    try graph.fail("the results are lost: \(error)")
  }

  // MARK: Operations

  private mutating func run(_ operation: Operation) throws(PTO2Error) {
    switch operation {
    case .task(let task): try submit(task)
    case .beginScope(let mode, let name): try graph.beginScope(name, mode)
    case .endScope: try graph.endScope()
    case .wait: try graph.wait()
    case .get(let view, let index, let seconds):
      _ = unsafe try graph.place(
        of: try tensor(view), at: index, includingReaders: false,
        timeout: .nanoseconds(Int64(seconds * 1e9)))
    case .set(let view, let index, let number, let seconds):
      let format = ElementFormat(type: plan.buffers[view.buffer].type)
      let place = unsafe try graph.place(
        of: try tensor(view), at: index, includingReaders: true,
        timeout: .nanoseconds(Int64(seconds * 1e9)))
      let bytes = format.bytes([format.element(number)])
      unsafe bytes.withUnsafeBytes {
        unsafe place.copyMemory(from: $0.baseAddress!, byteCount: $0.count)
      }
    case .free(let buffer):
      guard let tensor = tensors[buffer] else { return }
      freed.insert(buffer)
      try graph.free(tensor)
    case .pause(let seconds): sleepNanoseconds(UInt64(seconds * 1e9))
    case .fail(let text): try graph.fail(text)
    case .print(let text): writeOutput(text + "\n")
    }
  }

  private func tensor(_ view: View) throws(PTO2Error) -> AnyTensor {
    guard var tensor = tensors[view.buffer] else { try graph.fail("a tensor before its task") }
    for change in view.changes {
      switch change {
      case .slice(let from, let shape, let steps):
        tensor = try tensor.slice(from: from, shape: Shape(shape), steps: steps)
      case .transpose(let a, let b): tensor = try tensor.transposed(a, b)
      case .reshape(let shape): tensor = try tensor.reshaped(to: Shape(shape))
      case .broadcast(let shape): tensor = try tensor.broadcast(to: Shape(shape))
      case .strided(let from, let shape, let strides):
        func stride(_ dimension: Int) -> Int32 {
          dimension < strides.count ? Int32(strides[dimension]) : 0
        }
        tensor = AnyTensor(
          buffer: tensor.buffer, generation: tensor.generation,
          offset: tensor.offset + UInt64(from * tensor.dataType.byteCount), shape: Shape(shape),
          strides: (stride(0), stride(1), stride(2), stride(3), stride(4)),
          dataType: tensor.dataType)
      }
    }
    return tensor
  }

  private mutating func submit(_ task: PlannedTask) throws(PTO2Error) {
    var kernels: [Kernel?] = [nil, nil, nil]
    for kernel in task.kernels {
      kernels[Int(kernel.slot.rawValue)] = try graph.kernel(kernel.name)
    }
    var inputs: [AnyTensor?] = []
    for argument in task.arguments {
      inputs.append(argument.access.isNew ? nil : try tensor(argument.view))
    }
    let predicateTensor = try task.predicate.map { (predicate) throws(PTO2Error) in
      try tensor(predicate.view)
    }
    let (after, retain) = (task.after.map { ids[$0] }, task.retain.map { ids[$0] })
    let (id, outputs) = try graph.submit(aic: kernels[0], aiv0: kernels[1], aiv1: kernels[2]) {
      builder in
      let id = builder.id
      var outputs: [(Int, AnyTensor)] = []
      for (argument, input) in zip(task.arguments, inputs) {
        if let output = Self.stage(argument, input, plan, &builder) {
          outputs.append((argument.view.buffer, output))
        }
      }
      for word in task.words { builder.scalar(bits: word) }
      for id in after { builder.after(id) }
      for id in retain { builder.retain(id) }
      if task.blocks != 1 || task.startsTogether {
        builder.blocks(task.blocks, startTogether: task.startsTogether)
      }
      if let cluster = task.near { builder.near(cluster: cluster) }
      if let predicate = task.predicate, let predicateTensor {
        Self.stage(predicate, predicateTensor, &builder)
      }
      builder.recovery = task.recovery
      if task.isNamed { builder.name(task.name) }
      return (id, outputs)
    }
    self.ids.append(id)
    for (buffer, tensor) in outputs { tensors[buffer] = tensor }
  }

  private static func stage(
    _ argument: PlannedTask.Argument, _ input: AnyTensor?, _ plan: Plan,
    _ builder: inout TaskBuilder
  ) -> AnyTensor? {
    guard let input else {
      let buffer = plan.buffers[argument.view.buffer]
      let shape = Shape(buffer.shape)
      return argument.access == .kept
        ? builder.keptOutput(of: buffer.type, shape) : builder.output(of: buffer.type, shape)
    }
    switch argument.access {
    case .input: builder.input(input)
    case .change: builder.inout(input)
    case .overwrite: builder.overwrite(input)
    case .output, .kept, .unordered: builder.unordered(input)
    }
    return nil
  }

  private static func stage(
    _ predicate: PlannedTask.Predicate, _ tensor: AnyTensor, _ builder: inout TaskBuilder
  ) {
    if case .whole(let value) = predicate.value, !tensor.dataType.isReal {
      builder.run(
        when: tensor, at: predicate.index, is: Condition<Int>(predicate.comparison, value))
    } else {
      builder.run(
        when: tensor, at: predicate.index,
        is: Condition<Double>(predicate.comparison, predicate.value.asReal))
    }
  }
}

/// A new file, or a new content of one.
/// - Returns: why it could not be written.
func writeFile(_ bytes: [UInt8], _ path: String) -> SystemError? {
  do throws(SystemError) {
    let file = try OutputFile(creating: path)
    file.write(bytes)
    return file.error
  } catch { return error }
}
