import CPTO2Segment
import PTO2Orchestrator
import PTO2Protocol
import PTO2Segment
import Testing

@testable import PTO2Scheduler

/// Tasks that are dispatched before their producers have finished.
@Suite struct AheadTests {
  private func rig(clusters: UInt32 = 1, lanes: UInt32 = 4) throws -> Rig {
    try Rig(configuration(clusters: clusters, lanes: lanes, worksAhead: true))
  }

  private func gates(_ rig: Rig, core: Int, lane: UInt32 = 0) -> [Gate] {
    let place = rig.worker.dispatchLanes(core)[lane]
    return (0..<place.gateCount).map { place.gate($0) }
  }

  /// On one core the order of the lanes is all that is needed.
  @Test func chainOnOneCoreNeedsNoGates() throws {
    let rig = try rig()
    var tasks = [try rig.submit(aic: true)]
    for _ in 1..<4 { tasks.append(try rig.submit(aic: true) { $0.after(tasks.last!) }) }
    rig.settle()
    #expect(rig.queues[0].map(\.task) == tasks, "all are dispatched")
    #expect((0..<4).allSatisfy { gates(rig, core: 0, lane: $0).isEmpty })
    rig.runAll()
    #expect(rig.finished == tasks && rig.counts()[0] == 4 && rig.failure == nil)
  }

  @Test func consumerOnAnotherCoreWaitsAtAGate() throws {
    let rig = try rig()
    let producer = try rig.submit(aic: true)
    let consumer = try rig.submit(aiv0: true) { $0.after(producer) }
    rig.settle()
    #expect(gates(rig, core: 1) == [Gate(core: 0, lane: 0, position: 0)])
    #expect(rig.state(consumer) == .running && rig.queues[1].isEmpty)
    rig.finish(core: 0)
    rig.lookAtLanes()
    #expect(rig.queues[1].map(\.task) == [consumer], "no scheduler has seen the FIN")
    rig.runAll()
    #expect(rig.counts()[0] == 2)
  }

  /// Of two producers on one core the later one counts.
  @Test func oneGateACore() throws {
    let rig = try rig()
    let producers = try (0..<3).map { _ in try rig.submit(aic: true) }
    try rig.submit(aiv0: true) { for producer in producers { $0.after(producer) } }
    rig.settle()
    #expect(gates(rig, core: 1) == [Gate(core: 0, lane: 2, position: 2)])
    rig.runAll()
    #expect(rig.counts()[0] == 4)
  }

  /// The scheduler sees the consumer's FIN first when it polls that core first.
  @Test func finOfTheConsumerMayBeSeenFirst() throws {
    let rig = try rig()
    let producer = try rig.submit(aiv0: true)
    let consumer = try rig.submit(aic: true) { $0.after(producer) }
    rig.settle()
    rig.finish(core: 1)
    rig.lookAtLanes()
    rig.finish(core: 0)
    rig.step()
    #expect(rig.state(consumer) == .consumed && rig.state(producer) == .consumed)
    #expect(rig.counts()[0] == 2)
  }

  @Test func moreProducersThanGatesAreWaitedFor() throws {
    let rig = try rig(clusters: 3)
    let producers = try (0..<6).map { _ in try rig.submit(aiv0: true) }
    let consumer = try rig.submit(aic: true) { for producer in producers { $0.after(producer) } }
    rig.settle()
    #expect(Set(rig.running.map(\.core)).count == 6, "not exercised")
    #expect(rig.state(consumer) == .pending)
    rig.runAll()
    #expect(rig.state(consumer) == .consumed)
  }

  /// A consumer that is behind a gate is not to run when its producer FAILED, nor is its
  /// own; one that only comes after it, and needs nothing of it, is.
  @Test(arguments: [false, true])
  func consumersOfAFailedTaskAreSkipped(isRestarted: Bool) throws {
    let rig = try rig()
    let x = try rig.external(4)
    let y = try rig.external(4)
    let z = try rig.external(4)
    try rig.submit(aic: true) {
      $0.inout(x)
      $0.input(z)
      $0.recovery = .once
    }
    let consumer = try rig.submit(aiv0: true) {
      $0.input(x)
      $0.inout(y)
    }
    let last = try rig.submit(aic: true) { $0.input(y) }
    let other = try rig.submit(aiv1: true) { $0.inout(z) }
    rig.settle()
    #expect([consumer, last, other].allSatisfy { rig.state($0) == .running }, "not exercised")
    rig.ack(rig.queues[0][0])
    if isRestarted { try rig.restartScheduler() }
    rig.die(core: 0, hasBegun: false)
    rig.comeAgain(core: 0)
    rig.runAll()
    #expect(rig.finished == [other] && rig.counts()[0] == 4)
    #expect(rig.graph.orchestrator.pointee.failureCounts == (1, 2, 1))
  }

  /// A scheduler died as it was about to dispatch the consumer ahead, and no core has room
  /// for it since: it has no lane that could be told, and is not to run all the same.
  @Test func consumerWithoutALaneIsSkippedToo() throws {
    let rig = try rig()
    let x = try rig.external(4)
    let y = try rig.external(4)
    try rig.submit(aic: true) {
      $0.inout(x)
      $0.recovery = .once
    }
    rig.settle()
    rig.ack(rig.queues[0][0])
    for core in 1...2 { rig.die(core: core, hasBegun: false) }
    let consumer = try rig.submit(aiv0: true) {
      $0.input(x)
      $0.inout(y)
    }
    let last = try rig.submit(aic: true) { $0.input(y) }
    rig.step()
    let entry = rig.shared.rings.entry(consumer)
    #expect(entry.blocksStarted.value == 0, "not exercised: it had a place")
    rig.shared.dispatcher.intent.willDispatch(consumer, block: 0, subtasks: 0b010)
    entry.blocksStarted.word.storeRelease(1)
    try rig.restartScheduler()
    #expect(rig.shared.dispatcher.redo.count == 1, "not exercised")
    rig.die(core: 0, hasBegun: true)
    for core in 0...2 { rig.comeAgain(core: core) }
    rig.runAll()
    #expect(rig.finished.isEmpty && rig.counts()[0] == 3)
    #expect(rig.state(consumer) != .running && rig.state(last) != .running)
    #expect(rig.graph.orchestrator.pointee.failureCounts == (1, 2, 1))
  }

  /// What a dead worker had not begun stays in its lanes: gates on it are good still.
  @Test func gatesOutlastAWorkerAndAScheduler() throws {
    let rig = try rig()
    let producers = try (0..<2).map { _ in try rig.submit(aic: true) }
    let consumer = try rig.submit(aiv0: true) { $0.after(producers[1]) }
    rig.settle()
    rig.finish(core: 0)
    rig.die(core: 0, hasBegun: false)
    try rig.restartScheduler()
    rig.comeAgain(core: 0)
    #expect(rig.queues[0].map(\.task) == [producers[1]] && rig.queues[1].isEmpty)
    try rig.restartScheduler()
    rig.finish(core: 0)
    rig.settle()
    #expect(rig.queues[1].map(\.task) == [consumer])
    rig.runAll()
    #expect(rig.counts()[0] == 3 && rig.failure == nil)
  }

  /// A gate that a new scheduler writes names a dispatch that never was before.
  @Test func positionsGoOnAfterARestart() throws {
    let rig = try rig()
    for _ in 0..<3 { try rig.submit(aic: true) }
    rig.settle()
    rig.runAll()
    try rig.restartScheduler()
    let producer = try rig.submit(aic: true)
    try rig.submit(aiv0: true) { $0.after(producer) }
    rig.settle()
    #expect(gates(rig, core: 1) == [Gate(core: 0, lane: 3, position: 3)])
    rig.runAll()
    #expect(rig.counts()[0] == 5 && rig.failure == nil)
  }

  // MARK: Placement

  private func loads(_ rig: Rig) -> [UInt32] {
    (1...2).map { rig.shared.cores[$0].started.value }
  }

  /// A core that is behind gets its share of the next step still.
  @Test func stencilIsSpreadEvenly() throws {
    let rig = try rig(lanes: 8)
    let step = try (0..<4).map { _ in try rig.submit(aiv0: true) }
    rig.settle()
    #expect(loads(rig) == [2, 2])
    rig.finish(core: 2)
    rig.finish(core: 2)
    for point in 0..<4 {
      try rig.submit(aiv0: true) {
        for producer in step[max(0, point - 1)...min(3, point + 1)] { $0.after(producer) }
      }
    }
    rig.settle()
    #expect(loads(rig) == [4, 4])
    rig.runAll()
    #expect(rig.counts()[0] == 8 && rig.failure == nil)
  }

  /// A core that is slower may be given as much as the others: else they would be given
  /// whole steps of a stencil.
  @Test func coresOfAKindHaveOneDepth() throws {
    let rig = try rig(lanes: 64)
    func depths() -> [UInt32] { (0...2).map { rig.shared.cores[$0].depth.value } }
    #expect(depths() == [4, 4, 4])
    func counters(_ kernels: UInt64, microseconds: UInt64) -> pto2_core_counters {
      pto2_core_counters(
        kernels: kernels, timed_kernels: kernels, timed_nanoseconds: kernels * microseconds * 1000,
        parks: 0)
    }
    rig.count(counters(100, microseconds: 50), core: 1)
    #expect(depths() == [4, 40, 40])
    // Together 200 kernels of 80 us, of which 100 are new.
    rig.count(counters(100, microseconds: 80), core: 2)
    #expect(depths() == [4, 25, 25])
    rig.count(counters(.max / 2, microseconds: 0), core: 2)
    rig.count(counters(200, microseconds: 200), core: 0)
    #expect(depths() == [10, 25, 25], "a spoilt page says nothing, an AIC nothing of AIVs")
  }

  /// Whoever waits for the newest dispatch of a core goes behind it.
  @Test func chainStaysWhereItIs() throws {
    let rig = try rig(lanes: 8)
    var last = try rig.submit(aiv0: true)
    for _ in 0..<3 { last = try rig.submit(aiv0: true) { $0.after(last) } }
    rig.settle()
    #expect(loads(rig) == [4, 0])
    rig.runAll()
  }
}
