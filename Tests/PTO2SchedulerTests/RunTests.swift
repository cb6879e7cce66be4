import CPTO2Segment
import PTO2Protocol
import PTO2System
import Testing

@testable import PTO2Orchestrator

/// Graphs that one session runs one after another: nothing of a run is there in the
/// next one.
@Suite struct RunTests {
  /// Ends the scopes, plays the cores, and finishes the run.
  private func finish(_ rig: Rig) throws {
    while rig.orchestrator.pointee.scopeDepth > 0 {
      try rig.orchestrator.pointee.closeScope()
    }
    rig.runAll()
    try rig.orchestrator.pointee.finishRun()
  }

  private func expectEmpty(_ rig: Rig, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(rig.orchestrator.pointee.map.count == 0, sourceLocation: sourceLocation)
    for ring in rig.configuration.rings.indices {
      #expect(
        rig.orchestrator.pointee.rings[ring].heap.used == 0, sourceLocation: sourceLocation)
      #expect(
        rig.orchestrator.pointee.rings[ring].poolHead
          == rig.orchestrator.pointee.rings[ring].poolTail, sourceLocation: sourceLocation)
    }
  }

  /// A writer and a reader of an output, and a writer of an external tensor.
  private func submitThree(_ rig: Rig) throws -> (
    output: Tensor<Float>, external: Tensor<Float>, last: TaskID
  ) {
    let external = try rig.external(16)
    var output: Tensor<Float>?
    try rig.submit(aic: true) { output = $0.output(of: Float.self, [8]) }
    try rig.submit(aiv0: true) { $0.input(output!) }
    let last = try rig.submit(aiv1: true) { $0.inout(external) }
    return (output!, external, last)
  }

  @Test func twoRunsOneAfterAnother() throws {
    let rig = try Rig(configuration(rings: 2))
    for run in 1...3 {
      let (_, external, last) = try submitThree(rig)
      try rig.graph.scope { _ = try submitThree(rig) }
      let reader = try rig.submit(aiv0: true) { $0.input(external) }
      rig.settle()
      #expect(rig.slot(reader).fanin_count == 1, "run \(run)")
      try finish(rig)
      #expect(rig.orchestrator.pointee.counts(ring: 0) == (4, 4, 4))
      #expect(rig.orchestrator.pointee.tasks == 7 && rig.orchestrator.pointee.edges == 3)
      #expect(Int(last.local) == 4 * (run - 1) + 2)
      #expect(rig.counts() == [UInt32(4 * run), UInt32(4 * run)] && rig.failure == nil)
      expectEmpty(rig)
      rig.orchestrator.pointee.beginRun()
      #expect(rig.orchestrator.pointee.tasks == 0 && rig.orchestrator.pointee.edges == 0)
    }
  }

  @Test func nothingIsSubmittedBetweenRuns() throws {
    let rig = try Rig(configuration())
    try rig.submit(aic: true)
    try finish(rig)
    #expect(graphError { try rig.submit(aic: true) }?.code == .invalidArgs)
    #expect(graphError { _ = try rig.external(4) }?.code == .invalidArgs)
    #expect(graphError { try rig.graph.beginScope() }?.code == .invalidArgs)
    rig.orchestrator.pointee.beginRun()
    try rig.submit(aic: true)
    try finish(rig)
    #expect(rig.counts() == [2, 2])
  }

  @Test func handlesOfTheRunBeforeAreRefused() throws {
    for isOutput in [false, true] {
      let rig = try Rig(configuration())
      let old = try submitThree(rig)
      try finish(rig)
      rig.orchestrator.pointee.beginRun()
      // Their places are taken again, by tensors of the same shape.
      let new = try submitThree(rig)
      #expect(
        new.external.untyped.buffer == old.external.untyped.buffer
          || new.output.untyped.buffer == old.output.untyped.buffer)
      let stale = isOutput ? old.output : old.external
      #expect(rig.orchestrator.pointee.address(of: stale.untyped) == nil)
      let error = graphError { try rig.submit(aic: true) { $0.input(stale) } }
      #expect(error?.code == .invalidArgs)
    }
  }

  @Test func tasksOfTheRunBeforeAreNoDependencies() throws {
    let rig = try Rig(configuration())
    let old = try submitThree(rig).last
    try finish(rig)
    rig.orchestrator.pointee.beginRun()
    try rig.submit(aic: true)
    let error = graphError { try rig.submit(aic: true) { $0.after(old) } }
    #expect(error?.code == .invalidArgs && error?.task == old)
  }

  @Test func externalTensorsOfTheNextRunAreZero() throws {
    let rig = try Rig(configuration())
    func fill(_ elements: Int, _ value: Float) throws -> Bool {
      let tensor = try rig.external(elements)
      return try rig.graph.write(tensor) { span in
        var isZero = true
        for index in span.indices {
          isZero = isZero && span[index] == 0
          span[index] = value
        }
        return isZero
      }
    }
    // Shorter, longer and as long as before.
    for elements in [[100, 20], [30, 300], [16], [7, 7, 7, 500]] {
      for count in elements { #expect(try fill(count, 1), "\(count) of \(elements)") }
      try finish(rig)
      rig.orchestrator.pointee.beginRun()
    }
  }

  @Test func fullArenaIsEmptyInTheNextRun() throws {
    let rig = try Rig(configuration())
    for _ in 0..<3 {
      _ = try rig.external(16384)
      #expect(graphError { _ = try rig.external(1) }?.code == .outOfMemory)
      let isOver = rig.orchestrator.pointee.abandonRun(deadline: Deadline(afterMilliseconds: 5000))
      #expect(isOver)
      rig.orchestrator.pointee.beginRun()
    }
  }

  @Test func errorOfARunDoesNotSpoilTheNext() throws {
    let rig = try Rig(configuration(rings: 2))
    var open: Tensor<Float>?
    try rig.graph.beginScope()
    try rig.submit(aic: true) { open = $0.output(of: Float.self, [8]) }
    rig.runAll()
    let error = graphError {
      try rig.submit(aic: true) {
        _ = $0.output(of: Float.self, [-1])
        $0.input(open!)
      }
    }
    #expect(error?.code == .invalidArgs)
    #expect(graphError { try rig.graph.wait() }?.message == error?.message, "sticky")
    #expect(
      graphError { try rig.orchestrator.pointee.finishRun() }?.message == error?.message)
    // Nobody else has learnt of it.
    #expect(rig.worker.orchestratorPage.error.read() == nil)
    #expect(rig.worker.orchestratorPage.control.loadAcquire() == PTO2_CONTROL_RUNNING)
    // Two scopes are open: the deadline is over before the scheduler has seen their end.
    let isOver = rig.orchestrator.pointee.abandonRun(deadline: Deadline(afterMilliseconds: 0))
    #expect(!isOver)
    rig.runAll()
    let isOverNow = rig.orchestrator.pointee.abandonRun(deadline: Deadline(afterMilliseconds: 5000))
    #expect(isOverNow)
    expectEmpty(rig)
    rig.orchestrator.pointee.beginRun()
    _ = try submitThree(rig)
    try finish(rig)
    #expect(rig.counts() == [3, 3] && rig.counts(ring: 1) == [1, 1] && rig.failure == nil)
  }

  @Test func sessionThatHasFailedHasNoNextRun() throws {
    let rig = try Rig(configuration())
    try rig.submit(aic: true)
    try rig.append(pto2_log_record(kind: 9, ring: 0, id: 0, count: 0))
    rig.settle()
    #expect(rig.failure?.code == .protocolViolation)
    let isOver = rig.orchestrator.pointee.abandonRun(deadline: Deadline(afterMilliseconds: 5000))
    #expect(!isOver)
  }

  @Test func publishedErrorOfARunEndsTheSession() throws {
    let rig = try Rig(configuration())
    let error = graphError { _ = try rig.graph.kernel("nothing") }
    #expect(!rig.orchestrator.pointee.fault.hasFailed)
    rig.orchestrator.pointee.fault.publish()
    #expect(rig.orchestrator.pointee.fault.hasFailed)
    #expect(rig.worker.orchestratorPage.error.read()?.error.message == error?.message)
    #expect(rig.worker.orchestratorPage.control.loadAcquire() == PTO2_CONTROL_FATAL)
    let isOver = rig.orchestrator.pointee.abandonRun(deadline: Deadline(afterMilliseconds: 5000))
    #expect(!isOver)
  }

  @Test func failedTaskIsReportedInItsRunAlone() throws {
    let rig = try Rig(configuration(clusters: 2))
    for run in 1...2 {
      let x = try rig.external(8)
      let writer = try rig.submit(aiv0: true) { $0.inout(x) }
      rig.settle()
      rig.die(core: rig.running[0].core, hasBegun: true)
      let error = graphError { try finish(rig) }
      #expect(error?.code == .workerDied && error?.task == writer, "run \(run)")
      #expect(rig.orchestrator.pointee.failureCounts == (1, 0, 1))
      #expect(rig.orchestrator.pointee.rootCauses().map(\.task) == [writer])
      let isOver = rig.orchestrator.pointee.abandonRun(deadline: Deadline(afterMilliseconds: 5000))
      #expect(isOver)
      expectEmpty(rig)
      rig.orchestrator.pointee.beginRun()
      #expect(rig.orchestrator.pointee.failureCounts == (0, 0, 0))
      // A task in the same place, which needs no result of it, goes well.
      let y = try rig.external(8)
      let next = try rig.submit(aic: true) { $0.inout(y) }
      rig.runAll()
      #expect(rig.finished.contains(next))
      try finish(rig)
      #expect(rig.orchestrator.pointee.rootCauses().isEmpty)
      rig.orchestrator.pointee.beginRun()
    }
  }

  /// The 32 records are each run's own.
  @Test func recordsOfFailuresStartAnew() throws {
    let rig = try Rig(configuration(window: 64, consumed: 128, clusters: 1))
    for _ in 0..<3 {
      var tasks: [TaskID] = []
      for _ in 0..<20 {
        let x = try rig.external(1)
        tasks.append(try rig.submit(aic: true) { $0.inout(x) })
        rig.settle()
        rig.die(core: 0, hasBegun: true)
        rig.comeAgain(core: 0)
      }
      let error = graphError { try finish(rig) }
      #expect(error?.task == tasks[0])
      #expect(rig.orchestrator.pointee.rootCauses().map(\.task) == tasks)
      #expect(rig.orchestrator.pointee.failureCounts.failed == 20)
      rig.orchestrator.pointee.beginRun()
    }
  }

  /// Local ids, log positions and pool positions wrap within a run and between two.
  @Test(arguments: [UInt32.max, UInt32.max - 2, UInt32.max - 5])
  func positionsWrapBetweenRuns(first: UInt32) throws {
    let rig = try Rig(configuration(rings: 2, window: 4, consumed: 8, pool: 4, first: first))
    for run in 1...6 {
      let (_, external, _) = try submitThree(rig)
      rig.runAll()
      let reader = try rig.submit(aiv0: true) { $0.input(external) }
      rig.runAll()
      try rig.graph.scope { _ = try rig.submit(aic: true) { _ = $0.output(of: Float.self, [4]) } }
      try finish(rig)
      #expect(rig.counts() == [UInt32(4 * run), UInt32(4 * run)])
      #expect(rig.counts(ring: 1) == [UInt32(run), UInt32(run)])
      #expect(reader.local == first &+ UInt32(4 * run) &- 1)
      expectEmpty(rig)
      rig.orchestrator.pointee.beginRun()
    }
  }
}

extension Rig {
  fileprivate var orchestrator: UnsafeMutablePointer<Orchestrator> { graph.orchestrator }
}

private func graphError(_ body: () throws -> Void) -> PTO2Error? {
  #expect(throws: PTO2Error.self) { try body() }
}
