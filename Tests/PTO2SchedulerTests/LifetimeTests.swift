import CPTO2Segment
import PTO2Protocol
import PTO2System
import Testing

@testable import PTO2Orchestrator

@Suite struct LifetimeTests {
  @Test func outputIsFreeOnlyAfterItsScopeEnds() throws {
    let rig = try Rig(configuration(rings: 2))
    try rig.graph.beginScope()
    let task = try rig.submit(aic: true) { _ = $0.output(of: Float.self, [64]) }
    #expect(task.ring == 1)
    rig.settle()
    rig.finish(task)
    #expect(rig.state(task) == .released)
    #expect(rig.counts(ring: 1) == [1, 0])
    try rig.graph.endScope()
    rig.settle()
    #expect(rig.state(task) == .consumed)
    #expect(rig.counts(ring: 1) == [1, 1])
  }

  @Test func outputIsFreeOnlyAfterItsLastConsumer() throws {
    let rig = try Rig(configuration(rings: 2))
    try rig.graph.beginScope()
    var output: Tensor<Float>?
    let producer = try rig.submit(aic: true) { output = $0.output(of: Float.self, [64]) }
    let consumers = try (0..<2).map { _ in try rig.submit(aiv0: true) { $0.input(output!) } }
    try rig.graph.endScope()
    rig.settle()
    rig.finish(producer)
    #expect(rig.state(producer) == .released, "the scope is over, two consumers are not")
    rig.finish(consumers[1])
    #expect(rig.state(producer) == .released)
    #expect(rig.state(consumers[1]) == .consumed)
    #expect(rig.counts(ring: 1) == [1, 0])
    rig.finish(consumers[0])
    #expect(rig.state(producer) == .consumed)
    #expect(rig.counts(ring: 1) == [3, 3])
  }

  @Test func scopeEndBeforeTheKernelFreesNothingYet() throws {
    let rig = try Rig(configuration(rings: 2))
    try rig.graph.beginScope()
    let task = try rig.submit(aic: true) { _ = $0.output(of: Float.self, [64]) }
    try rig.graph.endScope()
    rig.settle()
    #expect(rig.state(task) == .running && rig.counts(ring: 1) == [0, 0])
    rig.finish(task)
    #expect(rig.counts(ring: 1) == [1, 1])
  }

  /// Nothing of it is in the heap, so its scope, which is open, does not hold it.
  @Test func taskWithoutOutputsIsConsumedWhenItsConsumersAreDone() throws {
    let rig = try Rig(configuration())
    let tensor = try rig.external(16)
    let producer = try rig.submit(aic: true) { $0.inout(tensor) }
    let consumer = try rig.submit(aiv0: true) { $0.inout(tensor) }
    rig.settle()
    rig.finish(producer)
    #expect(rig.state(producer) == .released, "its consumer retains it")
    rig.finish(consumer)
    #expect(rig.state(producer) == .consumed && rig.state(consumer) == .consumed)
    #expect(rig.counts() == [2, 2])
  }

  /// References to it by id are satisfied, whoever has its entry by then and however
  /// long ago that was; there is nothing to retain.
  @Test func explicitReferencesToATaskLongConsumedAreSatisfied() throws {
    let rig = try Rig(configuration(window: 4, consumed: 4, first: 0xFFFF_FFFC))
    let old = try rig.submit(aic: true)
    rig.runAll()
    for distance in 1...9 {
      // At first the orchestrator does not know that it is done.
      if distance > 1 { rig.graph.orchestrator.pointee.refreshAll() }
      let next = try rig.submit(aic: true) { task in
        task.after(old)
        if distance % 2 == 0 { task.retain(old) }
      }
      #expect(rig.slot(next).fanin_count == (distance == 1 ? 1 : 0), "\(distance)")
      rig.settle()
      #expect(rig.runningTasks == [next])
      rig.runAll()
    }
    #expect(rig.counts() == [10, 10] && rig.failure == nil)
  }

  /// A fanin list that names a task whose entry has another owner by now: that one is neither
  /// waited for nor held.
  @Test func taskThatHasTheEntryOfAProducerIsNotTheProducer() throws {
    let rig = try Rig(configuration(window: 4, consumed: 4))
    try rig.submit()
    let gone = try rig.submit(aic: true)
    rig.runAll()
    for _ in 0..<3 { try rig.submit() }
    rig.runAll()
    let owner = try rig.submit(aic: true)
    #expect(owner.local & 3 == gone.local & 3, "another entry: not exercised")
    let consumer = try rig.submit(aiv0: true) { task in
      task.after(owner)
      task.retain(owner)
    }
    rig.store(
      PTO2_FANIN_WAIT | PTO2_FANIN_RETAIN | gone.rawValue, fanin: rig.slot(consumer).fanin_first)
    rig.settle()
    try #require(Set(rig.runningTasks) == [owner, consumer])
    rig.finish(owner)
    #expect(rig.state(owner) == .consumed)
    rig.finish(consumer)
    #expect(rig.counts() == [7, 7] && rig.failure == nil)
  }

  /// One with outputs is held, also if these have been forgotten since; that its scope
  /// has ended is an error while something is remembered of it.
  @Test func retainingATaskWhoseScopeHasEndedIsRefused() throws {
    let rig = try Rig(configuration(rings: 2, window: 4, consumed: 8))
    try rig.graph.beginScope()
    let task = try rig.submit(aic: true) { _ = $0.output(of: Float.self, [1]) }
    let inPlace = try rig.submit(aic: true)
    try rig.submit { $0.retain(task) }
    rig.runAll()
    try rig.graph.endScope()
    rig.runAll()
    try rig.submit { $0.retain(inPlace) }
    let error = #expect(throws: PTO2Error.self) { try rig.submit { $0.retain(task) } }
    #expect(error?.code == .invalidArgs && error?.message.contains("scope has ended") == true)
  }

  /// The producer is CONSUMED before its consumer is wired: the reference must
  /// be neither taken nor awaited, and the counts must still match.
  @Test func lateConsumerOfAConsumedProducerRunsAtOnce() throws {
    let rig = try Rig(configuration(rings: 2))
    let tensor = try rig.external(16)
    try rig.graph.beginScope()
    let producer = try rig.submit(aic: true) { $0.inout(tensor) }
    try rig.graph.endScope()
    let before = rig.graph.orchestrator.pointee.edges
    rig.settle()
    rig.finish(producer)
    #expect(rig.state(producer) == .consumed)
    // The orchestrator has not read the watermarks since: it still sees an edge.
    let consumer = try rig.submit(aiv0: true) { $0.input(tensor) }
    #expect(rig.graph.orchestrator.pointee.edges == before + 1, "the race is not exercised")
    rig.settle()
    #expect(rig.runningTasks == [consumer])
    rig.finish(consumer)
    try rig.graph.orchestrator.pointee.closeScope()
    rig.settle()
    #expect(rig.counts(ring: 0) == [1, 1] && rig.counts(ring: 1) == [1, 1])
  }

  /// The same, and the producer's entry has a new owner when the consumer ends:
  /// that one must keep its output.
  @Test func lateConsumerOfAConsumedProducerTouchesNoLaterTask() throws {
    let rig = try Rig(configuration(rings: 2, window: 4, consumed: 4))
    let tensor = try rig.external(16)
    var producer: TaskID?
    try rig.graph.scope { producer = try rig.submit(aic: true) { $0.inout(tensor) } }
    rig.settle()
    rig.finish(producer!)
    let consumer = try rig.submit(aiv0: true) { $0.input(tensor) }
    rig.settle()
    #expect(rig.slot(consumer).fanin_count == 1, "the race is not exercised")
    try rig.graph.scope { for _ in 0..<3 { try rig.submit() } }
    rig.settle()
    try rig.graph.beginScope()
    let later = try rig.submit { _ = $0.output(of: Float.self, [16]) }
    rig.settle()
    #expect(later.local & 3 == producer!.local & 3, "another entry: not exercised")
    #expect(rig.state(later) == .released)
    rig.finish(consumer)
    #expect(rig.state(later) == .released, "its scope is open")
    try rig.graph.endScope()
    rig.settle()
    #expect(rig.counts(ring: 1) == [5, 5])
  }

  /// RELEASED and not CONSUMED: the consumer claims the output, which then
  /// outlives the end of the producer's scope.
  @Test func lateConsumerOfAReleasedProducerKeepsItsOutput() throws {
    let rig = try Rig(configuration(rings: 2))
    try rig.graph.beginScope()
    var output: Tensor<Float>?
    let producer = try rig.submit(aic: true) { output = $0.output(of: Float.self, [64]) }
    rig.settle()
    rig.finish(producer)
    #expect(rig.state(producer) == .released)
    let consumer = try rig.submit(aiv0: true) { $0.input(output!) }
    try rig.graph.endScope()
    rig.settle()
    #expect(rig.runningTasks == [consumer])
    #expect(rig.counts(ring: 1) == [1, 0])
    rig.finish(consumer)
    #expect(rig.counts(ring: 1) == [2, 2])
  }

  @Test func watermarksAdvanceInOrderOfSubmission() throws {
    let rig = try Rig(configuration(clusters: 2))
    let tasks = try (0..<4).map { _ in
      try rig.submit(aiv0: true) { _ = $0.output(of: Float.self, [1]) }
    }
    rig.settle()
    for index in [2, 1] { rig.finish(tasks[index]) }
    #expect(rig.counts() == [0, 0])
    rig.finish(tasks[0])
    #expect(rig.counts() == [3, 0], "their scope is open")
    rig.finish(tasks[3])
    #expect(rig.counts() == [4, 0])
    try rig.graph.orchestrator.pointee.closeScope()
    rig.settle()
    #expect(rig.counts() == [4, 4])
  }

  @Test func taskConsumedBeforeAnElderWaitsForIt() throws {
    let rig = try Rig(configuration(rings: 2, clusters: 2))
    try rig.graph.beginScope()
    let elder = try rig.submit(aiv0: true)
    let younger = try rig.submit(aiv0: true)
    try rig.graph.endScope()
    rig.settle()
    rig.finish(younger)
    #expect(rig.state(younger) == .consumed)
    #expect(rig.counts(ring: 1) == [0, 0])
    rig.finish(elder)
    #expect(rig.counts(ring: 1) == [2, 2])
  }

  @Test func innerScopesAreReclaimedWhileTheOuterIsOpen() throws {
    let rig = try Rig(configuration(rings: 2, window: 4, consumed: 4, heap: 256))
    let outer = try rig.submit(aic: true)
    for _ in 0..<20 {
      try rig.graph.beginScope()
      for _ in 0..<4 { try rig.submit(aiv0: true) { _ = $0.output(of: Float.self, [16]) } }
      try rig.graph.endScope()
      rig.settle()
      while let core = (1...2).first(where: { !rig.queues[$0].isEmpty }) {
        rig.finish(core: core)
        rig.settle()
      }
    }
    #expect(rig.counts(ring: 1) == [80, 80])
    #expect(rig.state(outer) == .running && rig.counts(ring: 0) == [0, 0])
  }

  @Test func scopeOfManyTasksEndsInPieces() throws {
    let rig = try Rig(configuration(rings: 2, window: 1024, consumed: 1024))
    try rig.graph.beginScope()
    for _ in 0..<1000 { try rig.submit() }
    try rig.graph.endScope()
    rig.settle()
    #expect(rig.counts(ring: 1) == [1000, 1000])
    let isDrained = rig.isDrained
    #expect(isDrained)
  }

  @Test(arguments: [UInt32(0), 0xFFFF_FFF0, 0xFFFF_FFFF, 0x7FFF_FFF8])
  func slotsAreReusedOverManyLapsAndAcrossTheWrap(first: UInt32) throws {
    let rig = try Rig(
      configuration(window: 4, consumed: 64, heap: 256, pool: 8, lanes: 2, first: first))
    let a = try rig.external(8)
    let b = try rig.external(8)
    var submitted = 0
    var random = SplitMix64(seed: UInt64(first))
    for number in 0..<60 {
      while submitted - rig.finished.count >= 4 || rig.counts()[0] + 4 <= UInt32(submitted) {
        #expect(rig.runOne(&random))
      }
      let task = try rig.submit(aic: number % 3 == 0, aiv0: number % 3 != 0) {
        $0.input(number % 2 == 0 ? a : b)
        $0.inout(number % 2 == 0 ? b : a)
      }
      #expect(task.local == first &+ UInt32(number))
      submitted += 1
      rig.settle()
    }
    rig.runAll()
    // Every task depends on the one before.
    #expect(rig.finished.map(\.local) == (0..<60).map { first &+ $0 })
    try rig.graph.orchestrator.pointee.drainByHand(rig)
    #expect(rig.counts() == [60, 60])
    #expect(rig.failure == nil)
  }
}
