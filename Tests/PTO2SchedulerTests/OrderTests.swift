import CPTO2Segment
import PTO2Orchestrator
import PTO2Protocol
import Testing

@Suite struct OrderTests {
  @Test func chainRunsInOrder() throws {
    let rig = try Rig(configuration())
    let tensor = try rig.external(16)
    var tasks: [TaskID] = []
    for index in 0..<8 {
      tasks.append(
        try rig.submit(aic: index % 2 == 0, aiv0: index % 2 == 1) { $0.inout(tensor) })
    }
    rig.settle()
    for task in tasks {
      #expect(rig.running.map(\.task) == [task])
      rig.finish(task)
    }
    #expect(rig.started == tasks && rig.finished == tasks)
    #expect(rig.counts()[0] == 8)
  }

  @Test func fanOutRunsTogetherAndFanInWaitsForAll() throws {
    let rig = try Rig(configuration(clusters: 2))
    let source = try rig.external(16)
    let parts = try (0..<4).map { _ in try rig.external(16) }
    let first = try rig.submit(aic: true) { $0.inout(source) }
    var middle: [TaskID] = []
    for part in parts {
      middle.append(
        try rig.submit(aiv0: true) {
          $0.input(source)
          $0.inout(part)
        })
    }
    let last = try rig.submit(aic: true) { for part in parts { $0.input(part) } }
    rig.settle()
    #expect(rig.runningTasks == [first])
    rig.finish(first)
    #expect(Set(rig.runningTasks) == Set(middle))
    for (index, task) in [2, 0, 3, 1].map({ middle[$0] }).enumerated() {
      #expect(rig.running.count == 4 - index)
      #expect(!rig.started.contains(last))
      rig.finish(task)
    }
    #expect(rig.runningTasks == [last])
  }

  @Test func ackAloneCompletesNothing() throws {
    let rig = try Rig(configuration())
    let tensor = try rig.external(16)
    let first = try rig.submit(aic: true) { $0.inout(tensor) }
    try rig.submit(aic: true) { $0.inout(tensor) }
    rig.settle()
    rig.ack(rig.running[0])
    rig.settle()
    #expect(rig.runningTasks == [first])
    #expect(rig.state(first) == .running)
    #expect(rig.counts() == [0, 0])
  }

  @Test func writerWaitsForEveryEarlierReader() throws {
    let rig = try Rig(configuration(clusters: 2))
    let tensor = try rig.external(16)
    let readers = try (0..<3).map { _ in try rig.submit(aiv0: true) { $0.input(tensor) } }
    let writer = try rig.submit(aic: true) { $0.inout(tensor) }
    let late = try rig.submit(aiv0: true) { $0.input(tensor) }
    rig.settle()
    #expect(Set(rig.runningTasks) == Set(readers))
    for reader in readers.reversed() {
      #expect(!rig.started.contains(writer))
      rig.finish(reader)
    }
    #expect(rig.runningTasks == [writer])
    #expect(rig.state(late) == .pending)
    rig.finish(writer)
    #expect(rig.runningTasks == [late])
  }

  @Test func viewsThatOverlapDependAndThoseThatDoNotDoNot() throws {
    let rig = try Rig(configuration(clusters: 2))
    let tensor = try rig.graph.externalTensor(of: Float.self, [4, 8])
    // Columns 0 to 3 and 4 to 7 interleave in memory and share no byte.
    let left = try tensor.slice(from: [0, 0], shape: [4, 4])
    let right = try tensor.slice(from: [0, 4], shape: [4, 4])
    let row = try tensor.slice(from: [2, 0], shape: [1, 8])
    let a = try rig.submit(aiv0: true) { $0.inout(left) }
    let b = try rig.submit(aiv0: true) { $0.inout(right) }
    let c = try rig.submit(aiv0: true) { $0.input(row) }
    rig.settle()
    #expect(Set(rig.runningTasks) == [a, b])
    rig.finish(a)
    #expect(rig.runningTasks == [b])
    rig.finish(b)
    #expect(rig.runningTasks == [c])
  }

  @Test func dummyTasksCompleteWithoutACore() throws {
    let rig = try Rig(configuration(), announcing: [])
    let tensor = try rig.external(4)
    let first = try rig.submit { $0.inout(tensor) }
    let second = try rig.submit { $0.inout(tensor) }
    rig.settle()
    #expect(rig.state(first) == .consumed && rig.state(second) == .consumed)
    #expect(rig.counts()[0] == 2)
    #expect(rig.running.isEmpty)
  }

  @Test func dummyIsABarrier() throws {
    let rig = try Rig(configuration(clusters: 2))
    let parts = try (0..<3).map { _ in try rig.external(4) }
    let before = try parts.map { part in try rig.submit(aiv0: true) { $0.inout(part) } }
    let barrier = try rig.submit { task in for part in parts { task.inout(part) } }
    let after = try rig.submit(aic: true) { $0.input(parts[0]) }
    rig.settle()
    for task in before {
      #expect(rig.state(barrier) == .pending && !rig.started.contains(after))
      rig.finish(task)
    }
    #expect(rig.state(barrier) == .released)
    #expect(rig.runningTasks == [after])
  }

  @Test func dispatchWaitsUntilACoreIsReady() throws {
    let rig = try Rig(configuration(), announcing: [])
    let task = try rig.submit(aic: true)
    rig.settle()
    #expect(rig.running.isEmpty && rig.state(task) == .ready)
    #expect(rig.missingCores == ["aic0", "aiv0", "aiv1"])
    rig.announce(1)
    rig.settle()
    #expect(rig.running.isEmpty, "a matrix kernel does not run on a vector core")
    rig.announce(0)
    rig.settle()
    #expect(rig.running.map(\.core) == [0])
    #expect(rig.missingCores == ["aiv1"])
  }

  // MARK: Cores

  @Test func mixedTaskRunsOnOneClusterAndEndsWithItsLastSubtask() throws {
    let rig = try Rig(configuration(clusters: 3))
    let tensor = try rig.external(4)
    let mixed = try rig.submit(aic: true, aiv0: true, aiv1: true) { $0.inout(tensor) }
    let next = try rig.submit(aic: true) { $0.input(tensor) }
    rig.settle()
    #expect(rig.running.map(\.task) == [mixed, mixed, mixed])
    #expect(Set(rig.running.map { $0.core / 3 }).count == 1)
    #expect(rig.running.allSatisfy { CoreID($0.core).subtask == Int($0.subtask) })
    for core in [2, 0, 1].map({ rig.running[0].core / 3 * 3 + $0 }) {
      #expect(!rig.started.contains(next) && rig.state(mixed) == .running)
      rig.finish(core: core)
      rig.settle()
    }
    #expect(rig.runningTasks == [next])
  }

  @Test func mixedTaskWaitsForAFreeClusterAndIsNotOvertakenForEver() throws {
    let rig = try Rig(configuration())
    let single = try rig.submit(aiv0: true)
    rig.settle()
    let mixed = try rig.submit(aic: true, aiv0: true, aiv1: true)
    let others = try (0..<4).map { _ in try rig.submit(aiv0: true) }
    rig.settle()
    #expect(rig.runningTasks == [single], "single tasks keep off the reserved cluster")
    rig.finish(single)
    #expect(rig.runningTasks == [mixed, mixed, mixed])
    rig.finish(mixed)
    #expect(others.contains(try #require(rig.runningTasks.first)))
  }

  @Test func vectorPartOfAMixedTaskPrefersTheIdleCore() throws {
    let rig = try Rig(configuration(lanes: 4))
    let busy = try rig.submit(aiv0: true)
    rig.settle()
    #expect(rig.running.map(\.core) == [1])
    let mixed = try rig.submit(aic: true, aiv0: true)
    rig.settle()
    #expect(rig.running.filter { $0.task == mixed }.map(\.core) == [0, 2])
    rig.finish(mixed)
    #expect(rig.runningTasks == [busy])
  }

  /// As long as nothing is known of the kernels, four at most.
  @Test(arguments: [UInt32(1), 2, 3, 4])
  func lanesHoldSoManyDispatchesAndKeepTheirOrder(lanes: UInt32) throws {
    let rig = try Rig(configuration(window: 32, lanes: lanes))
    let tasks = try (0..<20).map { _ in try rig.submit(aic: true) }
    rig.settle()
    #expect(rig.running.map(\.task) == Array(tasks.prefix(Int(lanes))))
    #expect(rig.running.map(\.lane) == Array(0..<lanes))
    for index in tasks.indices {
      #expect(rig.queues[0].first?.task == tasks[index])
      #expect(rig.queues[0].count == min(Int(lanes), tasks.count - index))
      rig.finish(core: 0)
      rig.settle()
    }
    #expect(rig.started == tasks && rig.finished == tasks)
  }

  @Test func idleCoresAreUsedBeforeASecondLane() throws {
    let rig = try Rig(configuration(clusters: 2, lanes: 2))
    for _ in 0..<4 { try rig.submit(aiv0: true) }
    rig.settle()
    #expect(rig.running.map(\.core).sorted() == [1, 2, 4, 5])
    for _ in 0..<4 { try rig.submit(aiv0: true) }
    rig.settle()
    #expect(rig.queues.map(\.count) == [0, 2, 2, 0, 2, 2])
  }
}
