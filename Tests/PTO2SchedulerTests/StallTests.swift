import PTO2Protocol
import PTO2Segment
import PTO2System
import Testing

@testable import PTO2Orchestrator
@testable import PTO2Scheduler

/// Error 100: who is said to be the one that does not move, and when.
@Suite struct StallTests {
  private func rig(threads: UInt32 = 1, clusters: UInt32 = 1, announcing: [Int]? = nil) throws
    -> Rig
  {
    try Rig(
      configuration(clusters: clusters, threads: threads, stallLimitMilliseconds: 30),
      announcing: announcing)
  }

  /// The looks that a scheduler with nothing to do takes within half a second.
  private func look(_ rig: Rig, until limit: Int = 50) -> PTO2Error? {
    for _ in 0..<limit where rig.failure == nil {
      rig.checkHealth()
      sleepNanoseconds(10_000_000)
    }
    return rig.failure
  }

  @Test(arguments: [UInt32(1), 3])
  func kernelThatDoesNotReturnIsRunningStalled(threads: UInt32) throws {
    let rig = try rig(threads: threads, clusters: 2)
    let task = try rig.submit(aic: true)
    rig.settle()
    let error = look(rig)
    #expect(error?.code == .schedulerTimeout)
    #expect(error?.task == task)
    #expect(error?.message.hasPrefix("running-stalled: core aic") == true)
  }

  @Test func readyTaskWithoutItsCoreIsReadyIdle() throws {
    let rig = try rig(announcing: [1, 2])
    try rig.submit(aic: true)
    rig.settle()
    let error = look(rig)
    #expect(error?.code == .schedulerTimeout)
    #expect(error?.message.hasPrefix("ready-idle") == true)
    #expect(error?.message.contains("Start aic0") == true)
  }

  /// Such a graph cannot be submitted: a producer is made up.
  @Test func taskWithAProducerThatNeverCompletesIsDependencyDeadlock() throws {
    let rig = try rig()
    let task = try rig.submit(aic: true)
    rig.settle()
    let waiting = try rig.submit(aic: true) { $0.after(task) }
    rig.settle()
    rig.shared.rings[0].slotState(waiting.local).faninCount += 1
    rig.finish(task)
    let error = look(rig)
    #expect(error?.code == .schedulerTimeout)
    #expect(error?.task == waiting)
    #expect(error?.message.hasPrefix("dependency-deadlock") == true)
  }

  @Test func programThatDoesNothingIsOrchestratorStarved() throws {
    let rig = try rig()
    let task = try rig.submit(aic: true)
    rig.settle()
    rig.finish(task)
    let error = look(rig)
    #expect(error?.code == .schedulerTimeout)
    #expect(error?.message.hasPrefix("orchestrator-starved") == true)
  }

  /// Twice the limit, but something ends in between.
  @Test func progressStartsTheClockAgain() throws {
    let rig = try rig()
    for _ in 0..<6 {
      let task = try rig.submit(aic: true)
      rig.settle()
      #expect(look(rig, until: 1) == nil)
      rig.finish(task)
    }
    #expect(look(rig, until: 1) == nil)
  }

  /// A scheduler that was itself stopped has seen nothing.
  @Test func timeInWhichNobodyLookedDoesNotCount() {
    var watch = StallTimer(limitMilliseconds: 1000)
    // Milliseconds: a minute's gap, then looks every 100 ms.
    let stalled = ([1000, 600_000] + (1...9).map { 600_000 + 100 * $0 }).map {
      watch.isStalled(progress: 1, now: $0 * 1_000_000)
    }
    #expect(stalled == Array(repeating: false, count: 10) + [true])
  }

  @Test func withoutALimitNothingIsEverStalled() {
    var watch = StallTimer(limitMilliseconds: 0)
    let stalled = (0..<1000).map { watch.isStalled(progress: 1, now: $0 * 100_000_000) }
    #expect(!stalled.contains(true))
  }
}
