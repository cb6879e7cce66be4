internal import CPTO2Segment
internal import PTO2Protocol

@testable internal import PTO2Orchestrator

/// Runs a plan's operations through the real graph.
struct Program {
  private let plan: Plan
  private let graph: Graph

  init(_ plan: Plan, _ graph: Graph) {
    self.plan = plan
    self.graph = graph
  }

  /// - Parameter report: called when the program reads something wrong.
  func run(_ report: (String) -> Void) throws {
    let matrix = try graph.kernel("matrix")
    let vector = try graph.kernel("vector")
    var tensors: [Tensor<UInt32>?] = Array(repeating: nil, count: plan.memories.count)
    var ids: [TaskID] = []
    for memory in plan.externals {
      tensors[memory] = try graph.externalTensor(
        of: UInt32.self, Shape(plan.memories[memory].count))
    }
    for operation in plan.operations {
      switch operation {
      case .beginScope: try graph.beginScope()
      case .endScope: try graph.endScope()
      case .submit(let index):
        let task = plan.tasks[index]
        if task.transfer != nil {
          ids.append(try transfer(index, task, &tensors))
          continue
        }
        let id = try graph.submitRaw(
          task.mask & 1 != 0 ? matrix : nil, task.mask & 2 != 0 ? vector : nil,
          task.mask & 4 != 0 ? vector : nil
        ) { (arguments: inout TaskBuilder) throws(PTO2Error) in
          try fill(&arguments, index, task, &tensors, ids)
        }
        ids.append(id)
      case .compare(let expected):
        try graph.wait()
        for (number, memory) in plan.externals.enumerated() {
          let found = try elements(tensors[memory]!)
          if found != expected[number] {
            report("the program reads \(found) in external \(number), expected \(expected[number])")
          }
        }
      case .value(let memory, let index, let expected):
        let found: UInt32 = try graph.element(of: tensors[memory]!, at: [index])
        if found != expected {
          report("the program reads \(found) in memory \(memory)[\(index)], expected \(expected)")
        }
      case .setValue(let memory, let index, let value):
        try graph.setElement(of: tensors[memory]!, at: [index], to: value)
      }
    }
  }

  /// Its number is that of the task.
  private func transfer(_ index: Int, _ task: TaskPlan, _ tensors: inout [Tensor<UInt32>?])
    throws -> TaskID
  {
    let use = task.tensors[0]
    let view = try tensors[use.memory]!.slice(
      from: [use.range.lowerBound], shape: Shape(use.range.count))
    return unsafe try graph.orchestrator.pointee.submitTransfer(
      TransferOrder(
        task.transfer!, peer: 1, sequence: UInt64(index), bytes: UInt64(4 * use.range.count)),
      tensor: AnyTensor(view))
  }

  private func fill(
    _ arguments: inout TaskBuilder, _ index: Int, _ task: TaskPlan,
    _ tensors: inout [Tensor<UInt32>?],
    _ ids: [TaskID]
  ) throws(PTO2Error) {
    for use in task.tensors {
      let view = try tensors[use.memory]!.slice(
        from: [use.range.lowerBound], shape: Shape(use.range.count))
      switch use.use {
      case .input: arguments.input(view)
      case .update: arguments.inout(view)
      case .outputExisting: arguments.overwrite(view)
      case .noDependency: arguments.unordered(view)
      }
    }
    for memory in task.outputs {
      tensors[memory] = arguments.output(of: UInt32.self, Shape(plan.memories[memory].count))
    }
    for dependency in task.dependencies {
      if dependency.isRetained {
        arguments.retain(ids[dependency.task])
      } else {
        arguments.after(ids[dependency.task])
      }
    }
    if let predicate = task.predicate {
      arguments.run(
        when: tensors[predicate.memory]!, at: [predicate.index],
        is: Condition(predicate.isEqual ? .equal : .notEqual, Int(predicate.value)))
    }
    if plan.ranks > 1 { arguments.run(on: task.rank) }
    if task.blocks > 1 { arguments.blocks(Int(task.blocks), startTogether: task.startTogether) }
    arguments.scalar(index)
    arguments.scalar(Int(task.mask))
    arguments.scalar(bits: UInt64(task.salt))
  }

  private func elements(_ tensor: Tensor<UInt32>) throws -> [UInt32] {
    try graph.array(tensor)
  }

  /// The externals as they are in memory; the first buffers there are.
  static func externals(_ plan: Plan, _ graph: Graph) -> [[UInt32]] {
    plan.externals.enumerated().map { number, memory in
      let tensor = AnyTensor(
        buffer: UInt32(number), generation: 0, shape: Shape(plan.memories[memory].count),
        dataType: .uint32)
      guard let address = unsafe graph.orchestrator.pointee.address(of: tensor) else { return [] }
      return plan.memories[memory].indices.map {
        unsafe address.assumingMemoryBound(to: UInt32.self)[$0]
      }
    }
  }
}
