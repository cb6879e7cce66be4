import PTO2Protocol
import Testing

@testable import PTO2Orchestrator

/// Tensors without elements.
@Suite struct EmptyTests {
  @Test func taskThatWritesNothingIsDoneWithoutRunning() throws {
    let rig = try Rig(configuration())
    let x = try rig.external(8)
    let none = try x.slice(from: [8], shape: [0])
    #expect(none.count == 0 && none.isContiguous)
    let writes = try rig.submit(aic: true) { task in
      task.input(x)
      task.inout(none)
    }
    let reads = try rig.submit(aiv0: true) { $0.input(none) }
    let sums = try rig.submit(aiv0: true) { task in
      task.input(none)
      task.inout(x)
    }
    let calls = try rig.submit(aic: true)
    rig.settle()
    #expect(rig.state(writes) == .consumed && rig.state(reads) == .consumed)
    #expect(rig.runningTasks == [calls, sums], "one has no tensors, one writes elements")
    rig.runAll()
    #expect(rig.counts() == [4, 4])
  }

  /// It ends when its producers have, and who comes after it begins then.
  @Test func dependenciesOrderThroughIt() throws {
    let rig = try Rig(configuration())
    let x = try rig.external(8)
    let before = try rig.submit(aic: true) { $0.inout(x) }
    var output: Tensor<Float>?
    let empty = try rig.submit(aic: true) { task in
      task.input(x)
      output = task.output(of: Float.self, [4, 0, 2])
    }
    // Of the owner, of an id, and of bytes that it has read.
    let consumer = try rig.submit(aiv0: true) { $0.input(output!) }
    let after = try rig.submit(aiv0: true) { $0.after(empty) }
    let writer = try rig.submit(aiv1: true) { $0.overwrite(x) }
    rig.settle()
    #expect(rig.runningTasks == [before])
    #expect(rig.state(empty) == .pending && rig.state(consumer) == .pending)
    rig.finish(before)
    #expect(rig.state(empty) == .released, "its scope holds an output of no bytes as well")
    #expect(rig.state(consumer) == .consumed)
    #expect(Set(rig.runningTasks) == [after, writer])
    rig.runAll()
    try rig.graph.orchestrator.pointee.drainByHand(rig)
    #expect(rig.failure == nil && rig.counts() == [5, 5])
  }

  /// Empty views share no byte, so nobody waits because of one.
  @Test func emptyViewsOverlapNothing() throws {
    let rig = try Rig(configuration())
    let x = try rig.external(8)
    let none = try x.slice(from: [3], shape: [0])
    let whole = try rig.submit(aic: true) { $0.inout(x) }
    let task = try rig.submit(aiv0: true) { task in
      task.input(none)
      _ = task.output(of: Float.self, [2])
    }
    #expect(rig.slot(task).fanin_count == 0)
    rig.settle()
    #expect(Set(rig.runningTasks) == [whole, task])
    #expect(rig.payload(task)?.tensor(0).element_count == 0)
  }

  @Test func viewsOfTensorsWithoutElements() throws {
    let rig = try Rig(configuration())
    let x = try rig.graph.externalTensor(of: Float.self, [4, 6])
    let none = try x.slice(from: [4, 1], shape: [0, 3])
    #expect(none.shape == [0, 3] && none.count == 0)
    #expect(try none.transposed(0, 1).shape == [3, 0])
    #expect(try none.reshaped(to: [7, 0]).count == 0)
    #expect(try none.slice(from: [0, 3], shape: [0, 0]).count == 0)
    #expect(try rig.graph.array(none).isEmpty)
    #expect(try rig.graph.externalTensor(of: Int8.self, [0]).count == 0)
    #expect(try rig.graph.filled([0, 3], with: Float(1)).count == 0)
    #expect(throws: PTO2Error.self) { try x.slice(from: [5, 0], shape: [0, 1]) }
    #expect(throws: PTO2Error.self) { try none.slice(from: [0, 0], shape: [1, 1]) }
    #expect(throws: PTO2Error.self) { try none.reshaped(to: [3]) }
  }

  /// Blocks, predicates, snapshots and asking to start together change nothing.
  @Test func nothingElseMakesItRun() throws {
    let rig = try Rig(configuration(clusters: 2))
    let x = try rig.external(8)
    let none = try x.slice(from: [0], shape: [0])
    try rig.submit(aiv0: true) { task in
      task.inout(none)
      task.blocks(4, startTogether: true)
    }
    try rig.submit(aic: true, aiv0: true) { task in
      task.overwrite(none)
      task.run(when: x, at: [0], is: .equal(to: 0.0))
    }
    try rig.submit(aic: true) { task in
      task.inout(none)
      task.recovery = .snapshot
    }
    rig.settle()
    #expect(rig.running.isEmpty && rig.counts() == [3, 3] && rig.failure == nil)
  }
}
