import CPTO2Segment
import PTO2Orchestrator
import PTO2Protocol
import Testing

@testable import PTO2Scheduler

/// Tasks that the program wants near a cluster. A cluster's cores are 3c to 3c + 2.
@Suite struct NearTests {
  /// Where each task is, tasks in the order of submission.
  private func cores(_ rig: Rig, _ tasks: [TaskID]) -> [Int?] {
    tasks.map { task in
      rig.queues.indices.first { core in rig.queues[core].contains { $0.task == task } }
    }
  }

  @Test func idleCoreOfTheClusterComesFirst() throws {
    let rig = try Rig(configuration(clusters: 3, lanes: 2))
    let tasks = [
      try rig.submit(aic: true) { $0.near(cluster: 2) },
      try rig.submit(aic: true) { $0.near(cluster: 1) },
      try rig.submit(aiv1: true) { $0.near(cluster: 1) },
      try rig.submit(aiv0: true) { $0.near(cluster: 1) },
      try rig.submit(aic: true),
    ]
    rig.settle()
    #expect(cores(rig, tasks) == [6, 3, 5, 4, 0])
    rig.runAll()
    #expect(rig.counts()[0] == 5 && rig.failure == nil)
  }

  /// It is a hint: who has nothing to do takes what would wait.
  @Test(arguments: [false, true])
  func otherCoreThatIsIdleComesBeforeABusyOne(isMatrix: Bool) throws {
    let rig = try Rig(configuration(clusters: 2, lanes: 2))
    func submit() throws -> TaskID {
      try rig.submit(aic: isMatrix, aiv0: !isMatrix) { $0.near(cluster: 1) }
    }
    let tasks = try (0..<(isMatrix ? 2 : 3)).map { _ in try submit() }
    rig.settle()
    #expect(cores(rig, tasks) == (isMatrix ? [3, 0] : [4, 5, 1]))
    rig.runAll()
  }

  /// Without a hint a task goes behind the core with the fewest.
  @Test func fullCoreOfTheClusterIsPassedOver() throws {
    let rig = try Rig(configuration(clusters: 3, lanes: 3))
    _ = try (0..<3).map { _ in try rig.submit(aic: true) }
    rig.settle()
    let tasks = try (0..<3).map { _ in try rig.submit(aic: true) { $0.near(cluster: 1) } }
    rig.settle()
    #expect(cores(rig, tasks) == [3, 3, 0])
    rig.runAll()
  }

  @Test func mixedTaskTakesItsCluster() throws {
    let rig = try Rig(configuration(clusters: 3, lanes: 2))
    let tasks = try (0..<3).map { _ in
      try rig.submit(aic: true, aiv0: true, aiv1: true) { $0.near(cluster: 1) }
    }
    rig.settle()
    #expect(cores(rig, tasks) == [3, 0, 6])
    let behind = try rig.submit(aic: true, aiv1: true) { $0.near(cluster: 2) }
    rig.settle()
    #expect(cores(rig, [behind]) == [6])
    rig.runAll()
    #expect(rig.failure == nil)
  }

  @Test func blocksBeginThere() throws {
    let rig = try Rig(configuration(clusters: 3, lanes: 2))
    let task = try rig.submit(aic: true) {
      $0.near(cluster: 1)
      $0.blocks(2)
    }
    rig.settle()
    #expect([0, 3, 6].filter { core in rig.queues[core].contains { $0.task == task } } == [0, 3])
    rig.finish(core: 3)
    rig.runAll()
    #expect(rig.failure == nil && rig.counts()[0] == 1)
  }

  /// Dispatched ahead, it leaves its producer's core, and waits at a gate.
  @Test func taskIsDispatchedAheadToItsCluster() throws {
    let rig = try Rig(configuration(clusters: 3, lanes: 3, worksAhead: true))
    let producer = try rig.submit(aic: true)
    let plain = try rig.submit(aic: true) { $0.after(producer) }
    let hinted = try rig.submit(aic: true) {
      $0.after(producer)
      $0.near(cluster: 2)
    }
    let vector = try rig.submit(aiv1: true) {
      $0.after(producer)
      $0.near(cluster: 1)
    }
    rig.settle()
    #expect(cores(rig, [producer, plain]) == [0, 0], "a hint is no part of other tasks")
    for (task, core) in [(hinted, 6), (vector, 5)] {
      let lane = rig.worker.dispatchLanes(core)[0]
      #expect(rig.state(task) == .running && lane.gateCount == 1)
    }
    rig.runAll()
    #expect(rig.counts()[0] == 4 && rig.failure == nil)
  }

  /// Both ways in which a replay is submitted keep it; so does a new scheduler.
  @Test(arguments: [false, true])
  func replayKeepsTheHint(isRestarted: Bool) throws {
    let rig = try Rig(configuration(clusters: 3, lanes: 2))
    let x = try rig.external(4)
    let y = try rig.external(4)
    let template = try rig.graph.record(tensors: [AnyTensor(x), AnyTensor(y)]) { _ in
      try rig.submit(aic: true) {
        $0.input(x)
        $0.near(cluster: 2)
      }
      try rig.submit(aic: true) {
        $0.inout(y)
        $0.near(cluster: 1)
      }
    }
    rig.runAll()
    // Tensors that overlap, of which one is written, have it submitted one by one.
    for second in [y, x] {
      try rig.graph.replay(template, tensors: [AnyTensor(x), AnyTensor(second)])
      rig.step()
      if isRestarted { try rig.restartScheduler() }
      rig.settle()
      try #require(rig.queues[6].count == 1)
      rig.finish(core: 6)
      rig.settle()
      #expect(rig.queues[3].count == 1)
      rig.runAll()
    }
    #expect(rig.finished.count == 6 && rig.failure == nil)
  }

  @Test(arguments: [-1, 3, Int.max])
  func clusterThatIsNotThereIsRefused(cluster: Int) throws {
    let rig = try Rig(configuration(clusters: 3))
    let error = #expect(throws: PTO2Error.self) {
      try rig.submit(aic: true) { $0.near(cluster: cluster) }
    }
    #expect(error?.code == .invalidArgs)
    #expect(
      error?.message
        == "near cluster \(cluster): expected 0 to 2, of which there are in this session")
  }
}
