import PTO2Protocol
import Testing

@testable import PTO2Orchestrator

/// Outputs that no scope ends: `TaskBuilder.keptOutput`. The arena has 65,536 bytes.
@Suite struct KeptOutputTests {
  private func keep(_ rig: Rig, _ elements: Int) throws -> (task: TaskID, tensor: Tensor<Float>) {
    var tensor: Tensor<Float>?
    let task = try rig.submit(aic: true) { tensor = $0.keptOutput(of: Float.self, [elements]) }
    return (task, tensor!)
  }

  private func address(_ rig: Rig, _ tensor: Tensor<Float>) -> UnsafeMutableRawPointer? {
    rig.graph.orchestrator.pointee.address(of: AnyTensor(tensor))
  }

  @Test func scopeThatEndsLeavesItAndItsOrder() throws {
    let rig = try Rig(configuration())
    let (producer, kept) = try rig.graph.scope { try keep(rig, 16) }
    let edges = rig.graph.orchestrator.pointee.counters.edges
    let consumer = try rig.submit(aic: true) { $0.input(kept) }
    #expect(rig.graph.orchestrator.pointee.counters.edges == edges + 1)
    rig.settle()
    rig.finish(producer)
    rig.settle()
    rig.finish(consumer)
    rig.settle()
    #expect(rig.failure == nil)
    try rig.graph.free(kept)
  }

  /// Where tensors order nothing, and where only that counts; nothing is held by it.
  @Test(arguments: ["manual", "after creator", "released"])
  func creatorIsWaitedForWherever(_ how: String) throws {
    let rig = try Rig(configuration())
    let counters = { rig.graph.orchestrator.pointee.counters }
    try rig.graph.scope(how == "manual" ? .manual : .automatic) {
      let (producer, kept) = try keep(rig, 16)
      if how == "released" {
        rig.settle()
        rig.finish(producer)
        rig.settle()
        rig.graph.orchestrator.pointee.refreshAll()
      }
      let edges = counters().edges
      try rig.submit(aic: true) { task in
        if how == "after creator" {
          task.unordered(kept, afterCreator: true)
        } else {
          task.input(kept)
        }
      }
      #expect(counters().edges - edges == (how == "released" ? 0 : 1))
    }
  }

  /// Many more than a consumed window has entries, in the outermost scope: a task without
  /// other outputs is held by nobody.
  @Test func noScopeHoldsItsTask() throws {
    let rig = try Rig(configuration())
    let window = Int(rig.configuration.rings[0].consumedWindow)
    for _ in 0..<2 * window {
      let (task, tensor) = try keep(rig, 16)
      try rig.graph.free(tensor)
      rig.settle()
      rig.finish(task)
      rig.settle()
    }
    #expect(rig.failure == nil)
  }

  /// Of a task that may be run again: what it overwrites is nobody's yet.
  @Test func taskMayBeRunAgain() throws {
    let rig = try Rig(configuration())
    let x = try rig.external(16)
    let orchestrator = rig.graph.orchestrator
    for mayRunAgain in [true, false] {
      try rig.submit(aic: true) { task in
        task.input(x)
        _ = task.keptOutput(of: Float.self, [16])
        if !mayRunAgain { task.overwrite(x) }
        #expect(orchestrator.pointee.staged.mayRunAgain() == mayRunAgain)
      }
    }
  }

  @Test func memoryIsGivenOutAgainWhenTasksBeforeAreReleased() throws {
    let rig = try Rig(configuration())
    let (task, kept) = try keep(rig, 8192)
    let place = address(rig, kept)
    try rig.graph.free(kept)
    let other = try keep(rig, 4096)
    #expect(address(rig, other.tensor) != place, "a task may use it still")
    rig.settle()
    rig.finish(task)
    rig.settle()
    #expect(address(rig, try keep(rig, 8192).tensor) == place)
  }

  @Test func mistakes() throws {
    let misuses: [(String, PTO2ErrorCode, (Rig) throws -> Void)] = [
      (
        "an output of the very task", .invalidArgs,
        { rig in
          try rig.submit(aic: true) { $0.input($0.keptOutput(of: Float.self, [4])) }
        }
      ),
      ("is not valid: expected 0 to 5 extents", .invalidArgs, { rig in _ = try keep(rig, -1) }),
      (
        "kept output [16385] of 65600 bytes: the arena has", .outOfMemory,
        { rig in
          _ = try keep(rig, 16385)
        }
      ),
      (
        "neither external nor a kept output, or was freed", .invalidArgs,
        { rig in
          let kept = try keep(rig, 4).tensor
          try rig.graph.free(kept)
          try rig.graph.free(kept)
        }
      ),
      (
        "which was freed", .invalidArgs,
        { rig in
          let kept = try keep(rig, 4).tensor
          try rig.graph.free(kept)
          try rig.submit(aic: true) { $0.input(kept) }
        }
      ),
    ]
    for (words, code, misuse) in misuses {
      let rig = try Rig(configuration())
      let error = #expect(throws: PTO2Error.self) { try misuse(rig) }
      #expect(error?.code == code)
      #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
    }
  }
}
