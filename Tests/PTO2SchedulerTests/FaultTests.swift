import CPTO2Segment
import PTO2Protocol
import PTO2System
import Testing

@testable import PTO2Orchestrator

/// The error a call must throw.
private func graphError(_ body: () throws -> Void) -> PTO2Error? {
  #expect(throws: PTO2Error.self) { try body() }
}

@Suite struct GarbageTests {
  @Test func legalWordsOnOtherPlacesAreIgnored() throws {
    let rig = try Rig(configuration())
    let task = try rig.submit(aic: true)
    rig.settle()
    // A core with nothing outstanding is not read at all.
    rig.store(0x1234_5678, core: 1, lane: 0)
    rig.settle()
    #expect(rig.failure == nil)
    rig.finish(task)
    #expect(rig.state(task) == .consumed)
  }

  /// What is on a core with a garbage word runs again elsewhere; the third time on
  /// one core ends the session.
  @Test func coreWithGarbageIsQuarantinedAndThenTheSessionEnds() throws {
    var random = SplitMix64(seed: 206)
    for round in 0..<40 {
      let rig = try Rig(configuration())
      let task = try rig.submit(aic: true) { $0.recovery = .again }
      rig.settle()
      var last: UInt32 = 0
      for time in 1...3 {
        let word = rig.running[0].word.rawValue
        let near: [UInt32] = [
          0, word ^ 1, word ^ PTO2_WORD_TOGGLE, (word ^ 1) | PTO2_COND_FIN,
          (word ^ PTO2_WORD_TOGGLE ^ 1) | PTO2_COND_FIN, PTO2_EXIT_SIGNAL,
          PTO2_SCHEDULER_IDLE, UInt32.max, PTO2_COND_FIN,
        ]
        last =
          round < near.count ? near[round] : UInt32.random(in: 0...UInt32.max, using: &random)
        rig.store(last, core: 0, lane: 0)
        rig.settle()
        #expect(rig.quarantines() == time, "0x\(String(last, radix: 16))")
        guard time < 3 else { break }
        #expect(rig.failure == nil && rig.state(task) == .running)
        rig.die(core: 0, hasBegun: false)
        rig.comeAgain(core: 0)
        #expect(rig.queues[0].map(\.task) == [task], "it runs again")
      }
      let failure = try #require(rig.failure)
      #expect(failure.code == .garbageWord && failure.task == task)
      #expect(failure.message.contains(String(last, radix: 16)))
      // FIN comes too late: nothing moves any more.
      rig.finish(core: 0)
      rig.settle()
      #expect(rig.counts() == [0, 0] && rig.state(task) == .running)
      // The orchestrator gets this error, not one of its own.
      let error = graphError { try rig.submit(aic: true) }
      #expect(error?.code == .garbageWord)
    }
  }

  @Test func finOfTheDispatchBeforeIsNotTakenForThisOne() throws {
    let rig = try Rig(configuration())
    let tasks = try (0..<3).map { _ in try rig.submit(aic: true) }
    rig.settle()
    for index in 0..<2 {
      rig.finish(tasks[index])
      // COND still says FIN of the task before.
      rig.settle()
      #expect(rig.counts()[0] == UInt32(index + 1))
      #expect(rig.runningTasks == [tasks[index + 1]])
      #expect(rig.failure == nil)
    }
  }
}

@Suite struct DeadlockTests {
  @Test func fullConsumedWindowOfAnOpenScopeIsError1() throws {
    let rig = try Rig(configuration(window: 4, consumed: 8))
    let first = try rig.submit { _ = $0.output(of: Float.self, [1]) }
    rig.settle()
    // They have no outputs, but come after one that has.
    for _ in 1..<8 {
      try rig.submit()
      rig.settle()
    }
    #expect(rig.counts() == [8, 0])
    let error = graphError { try rig.submit() }
    #expect(error?.code == .scopeDeadlock)
    #expect(error?.needed == 9 && error?.available == 8)
    #expect(error?.task == first && error?.ring == 0)
    #expect(error?.message.contains("PTO2_RING_CONSUMED_WINDOW") == true)
  }

  /// The oldest task of the window runs, and its scope is open: no deadlock, since the
  /// scope does not hold it.
  @Test func windowFullBehindATaskWithoutOutputsIsBackPressure() throws {
    let rig = try Rig(configuration(window: 4, consumed: 4))
    let tasks = try (0..<4).map { _ in try rig.submit(aic: true) }
    rig.settle()
    let orchestrator = rig.graph.orchestrator
    #expect(throws: Never.self) {
      try orchestrator.pointee.checkDeadlock(.consumedRing, .consumed(0), outputBytes: 0)
    }
    rig.finish(tasks[0])
    try rig.submit(aic: true)
    #expect(rig.counts() == [1, 1])
  }

  @Test func outputThatCannotFitBesideThoseOfAnOpenScopeIsError2() throws {
    let rig = try Rig(configuration(heap: 1024))
    let first = try rig.submit(aic: true) { _ = $0.output(of: Float.self, [192]) }
    let error = graphError { try rig.submit(aic: true) { _ = $0.output(of: Float.self, [65]) } }
    #expect(error?.code == .heapRingDeadlock)
    #expect(error?.needed == 768 + 320 && error?.available == 1024)
    #expect(error?.task == first)
    #expect(error?.message.contains("PTO2_RING_HEAP") == true)
  }

  @Test func outputLargerThanTheHeapIsError2() throws {
    let rig = try Rig(configuration(heap: 1024))
    try rig.submit(aic: true) { _ = $0.output(of: Float.self, [256]) }
    let other = try Rig(configuration(heap: 1024))
    let error = graphError { try other.submit(aic: true) { _ = $0.output(of: Float.self, [257]) } }
    #expect(error?.code == .heapRingDeadlock)
    #expect(error?.needed == 1088 && error?.available == 1024)
  }

  @Test func moreProducersThanThePoolIsError4() throws {
    let rig = try Rig(configuration(pool: 4))
    let parts = try (0..<5).map { _ in try rig.external(4) }
    for part in parts { try rig.submit(aiv0: true) { $0.inout(part) } }
    let error = graphError { try rig.submit { task in for part in parts { task.input(part) } } }
    #expect(error?.code == .depPoolOverflow)
    #expect(error?.needed == 5 && error?.available == 4)
  }

  @Test func asManyProducersAsThePoolFit() throws {
    let rig = try Rig(configuration(pool: 4))
    let parts = try (0..<4).map { _ in try rig.external(4) }
    for part in parts { try rig.submit(aiv0: true) { $0.inout(part) } }
    let last = try rig.submit { task in for part in parts { task.input(part) } }
    rig.runAll()
    #expect(rig.state(last) == .consumed)
  }

  @Test func firstErrorStaysAndReachesTheSegment() throws {
    let rig = try Rig(configuration(heap: 64))
    let first = graphError { try rig.submit(aic: true) { _ = $0.output(of: Float.self, [100]) } }
    #expect(first?.code == .heapRingDeadlock)
    for error in [
      graphError { try rig.submit(aic: true) }, graphError { _ = try rig.external(1) },
      graphError { try rig.graph.beginScope() }, graphError { try rig.graph.wait() },
      graphError { try rig.graph.fail("later") },
    ] {
      #expect(error?.code == .heapRingDeadlock && error?.message == first?.message)
    }
    #expect(rig.worker.orchestratorPage.error.read() == nil, "it is the run's alone")
    rig.graph.orchestrator.pointee.fault.publish()
    let block = rig.worker.orchestratorPage.error.read()
    #expect(block?.error.code == .heapRingDeadlock)
    #expect(rig.isAborted)
  }
}

@Suite struct InvalidArgumentTests {
  private func expectInvalid(
    sourceLocation: SourceLocation = #_sourceLocation, _ body: (Rig) throws -> Void
  ) throws {
    let rig = try Rig(configuration(rings: 2))
    let error = graphError { try body(rig) }
    #expect(error?.code == .invalidArgs, sourceLocation: sourceLocation)
    #expect(rig.counts() == [0, 0], sourceLocation: sourceLocation)
  }

  @Test func thirtyThirdTensorIsError5() throws {
    try expectInvalid { rig in
      let tensor = try rig.external(4)
      try rig.submit(aic: true) { task in for _ in 0..<33 { task.input(tensor) } }
    }
    try expectInvalid { rig in
      try rig.submit(aic: true) { task in
        for _ in 0..<33 { _ = task.output(of: Int8.self, [1]) }
      }
    }
    let rig = try Rig(configuration())
    let tensor = try rig.external(4)
    let task = try rig.submit(aic: true) { task in for _ in 0..<32 { task.input(tensor) } }
    #expect(rig.slot(task).tensor_count == 32)
  }

  @Test func seventeenthScalarIsError5() throws {
    try expectInvalid { rig in
      try rig.submit(aic: true) { task in for number in 0..<17 { task.scalar(number) } }
    }
    let rig = try Rig(configuration())
    let task = try rig.submit(aic: true) { task in
      for number in 0..<16 { task.scalar(number) }
    }
    #expect(rig.slot(task).scalar_count == 16)
  }

  @Test func outputUsedAfterItsScopeIsError5() throws {
    try expectInvalid { rig in
      var output: Tensor<Float>?
      try rig.graph.beginScope()
      try rig.submit { output = $0.output(of: Float.self, [4]) }
      try rig.graph.endScope()
      try rig.submit(aic: true) { $0.input(output!) }
    }
  }

  /// The buffer's place has a new owner by then: the generation tells.
  @Test func outputUsedAfterItsPlaceIsReusedIsError5() throws {
    let rig = try Rig(configuration(rings: 2))
    var stale: Tensor<Float>?
    try rig.graph.scope { _ = try rig.submit { stale = $0.output(of: Float.self, [4]) } }
    rig.settle()
    #expect(rig.counts(ring: 1) == [1, 1])
    try rig.graph.wait()
    var fresh: Tensor<Float>?
    try rig.submit { fresh = $0.output(of: Float.self, [4]) }
    #expect(
      fresh?.untyped.buffer == stale?.untyped.buffer, "the place is not reused: not exercised")
    #expect(rig.graph.orchestrator.pointee.address(of: stale!.untyped) == nil)
    #expect(graphError { try rig.submit { $0.input(stale!) } }?.code == .invalidArgs)
  }

  @Test func ownOutputAsInputIsError5() throws {
    try expectInvalid { rig in
      try rig.submit(aic: true) { task in
        let output = task.output(of: Float.self, [4])
        task.input(output)
      }
    }
  }

  @Test func kernelOfTheOtherCoreTypeIsError5() throws {
    try expectInvalid { rig in try rig.graph.submit(aic: Rig.aiv) { _ in } }
    try expectInvalid { rig in try rig.graph.submit(aiv0: Rig.aic) { _ in } }
    try expectInvalid { rig in try rig.graph.submit(aiv1: Rig.aic) { _ in } }
    try expectInvalid { rig in try rig.graph.submit(aiv: Rig.aic) { _ in } }
  }

  @Test func impossibleShapesAndUnknownKernelsAreError5() throws {
    try expectInvalid { rig in try rig.submit { _ = $0.output(of: Float.self, [-1]) } }
    try expectInvalid { rig in try rig.submit { _ = $0.output(of: Int8.self, [65536, 65536]) } }
    try expectInvalid { rig in _ = try rig.graph.externalTensor(of: Int8.self, [1, 1, 1, 1, 1, 1]) }
    try expectInvalid { rig in _ = try rig.graph.kernel("nothing") }
  }

  @Test func scopesAreCounted() throws {
    try expectInvalid { rig in try rig.graph.endScope() }
    try expectInvalid { rig in for _ in 0..<65 { try rig.graph.beginScope() } }
    let rig = try Rig(configuration())
    for _ in 0..<64 { try rig.graph.beginScope() }
    for _ in 0..<64 { try rig.graph.endScope() }
  }

  @Test func scopeThatThrowsIsEndedToo() throws {
    struct Mine: Error {}
    let rig = try Rig(configuration(rings: 3))
    let error = graphError { try rig.graph.scope { () throws -> Void in throw Mine() } }
    #expect(error?.code == .explicitOrchFatal && error?.underlying is Mine)
    #expect(try rig.submit().ring == 0)
  }

  @Test func fullArenaIsError208() throws {
    let rig = try Rig(configuration())
    _ = try rig.external(8192)
    let error = graphError { _ = try rig.external(8193) }
    #expect(error?.code == .outOfMemory)
    #expect(error?.needed == 8193 * 4 + 60 && error?.available == 65536 - 32768)
  }
}
