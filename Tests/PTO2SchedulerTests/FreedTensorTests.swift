import PTO2Protocol
import Testing

@testable import PTO2Orchestrator

/// External tensors that are given back: `Graph.free`. The arena has 65,536 bytes.
@Suite struct FreedTensorTests {
  private func address(_ rig: Rig, _ tensor: Tensor<Float>) -> UnsafeMutableRawPointer? {
    rig.graph.orchestrator.pointee.address(of: AnyTensor(tensor))
  }

  @Test func memoryIsUsedAgainWhenTasksBeforeAreReleased() throws {
    let rig = try Rig(configuration())
    let a = try rig.external(8192)
    let b = try rig.external(4096)
    let place = address(rig, a)
    try rig.graph.write(a) { a in for i in a.indices { a[i] = 1 } }
    // Unordered, so that no record names it.
    let task = try rig.submit(aic: true) { $0.unordered(a) }
    try rig.graph.free(a)
    let small = try rig.external(4096)
    #expect(address(rig, small) != place, "a task may use it still")
    rig.settle()
    rig.finish(task)
    let again = try rig.external(8192)
    #expect(address(rig, again) == place)
    #expect(try rig.graph.array(again).allSatisfy { $0 == 0 })
    #expect(address(rig, b) != nil)
  }

  /// There is no other memory, and the task that may use it is not done.
  @Test func memoryThatATaskMayUseIsWaitedFor() throws {
    let rig = try Rig(configuration())
    let a = try rig.external(8192)
    _ = try rig.external(4096)
    try rig.submit(aic: true) { $0.unordered(a) }
    try rig.graph.free(a)
    _ = try rig.external(4096)
    rig.graph.orchestrator.pointee.waiting.handler = { true }
    let error = #expect(throws: PTO2Error.self) { _ = try rig.external(8192) }
    #expect(error?.code == .interrupted)
  }

  /// Neighbours become one piece, in any order, and the end of the arena is free again.
  @Test(arguments: [[0, 1, 2], [2, 1, 0], [0, 2, 1], [1, 0, 2]])
  func piecesThatTouchBecomeOne(order: [Int]) throws {
    let rig = try Rig(configuration())
    let parts = try (0..<3).map { _ in try rig.external(4096) }
    let last = try rig.external(4096)
    for index in order { try rig.graph.free(parts[index]) }
    let whole = try rig.external(3 * 4096)
    #expect(address(rig, whole) != nil)
    try rig.graph.free(whole)
    try rig.graph.free(last)
    _ = try rig.external(4 * 4096)
  }

  @Test func whatIsFreedCannotBeUsed() throws {
    for use in 0..<4 {
      let rig = try Rig(configuration())
      let a = try rig.external(16)
      let view = try a.slice(from: [4], shape: [4])
      try rig.graph.free(view)
      let error = #expect(throws: PTO2Error.self) {
        switch use {
        case 0: try rig.submit(aic: true) { $0.input(a) }
        case 1: try rig.graph.free(a)
        case 2: _ = try rig.graph.array(a)
        default: _ = try rig.graph.element(of: a, at: [0])
        }
      }
      #expect(error?.code == .invalidArgs)
    }
  }

  @Test func outputIsNoExternalTensor() throws {
    let rig = try Rig(configuration())
    let output = try rig.graph.uninitializedTensor(of: Float.self, [4])
    let error = #expect(throws: PTO2Error.self) { try rig.graph.free(output) }
    #expect(error?.message.contains("freed when their scope ends") == true)
  }

  @Test func fullArenaIsAnErrorOnlyWhenNothingIsFreed() throws {
    let rig = try Rig(configuration())
    let a = try rig.external(16384)
    #expect(throws: PTO2Error.self) { try Rig(configuration()).external(16385) }
    try rig.graph.free(a)
    _ = try rig.external(16384)
    let error = #expect(throws: PTO2Error.self) { try rig.external(1) }
    #expect(error?.code == .outOfMemory)
  }

  @Test func graphSaysWhatItRunsOn() throws {
    let rig = try Rig(configuration(clusters: 3))
    #expect(rig.graph.clusterCount == 3 && rig.graph.coreCount == 9)
  }
}
