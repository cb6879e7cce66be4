import CPTO2Segment
import PTO2Protocol
import PTO2Segment
import PTO2System
import Testing

@testable import PTO2Scheduler

/// Workers that die while no scheduler is there to see it, or whose death a scheduler
/// did not live to deal with.
@Suite struct RestartedDeathTests {
  /// COND words that no worker stores, made from the dispatch word on the lane: ten.
  private static let garbage: [@Sendable (UInt32) -> UInt32] = [
    { $0 ^ 1 }, { $0 ^ PTO2_WORD_TOGGLE }, { ($0 ^ 1) | PTO2_COND_FIN }, { _ in PTO2_COND_FIN },
    { _ in UInt32.max }, { _ in 0 }, { $0 | PTO2_COND_FIN | 3 }, { _ in 0x8000_0003 },
    { _ in PTO2_COND_FIN | PTO2_WORD_TOGGLE }, { _ in PTO2_SCHEDULER_IDLE },
  ]

  /// Some kernel has overwritten COND, and that may have been this task's.
  @Test(arguments: 0..<10, [UInt32(1), 2])
  func garbageCountsAsBegunAfterARestart(garbage: Int, threads: UInt32) throws {
    let rig = try Rig(configuration(lanes: 1, threads: threads))
    let task = try rig.submit(aic: true) { $0.recovery = .once }
    rig.settle()
    let word = try #require(rig.queues[0].first).word.rawValue
    rig.store(Self.garbage[garbage](word), core: 0, lane: 0)
    try rig.restartScheduler()
    rig.die(core: 0, hasBegun: false)
    #expect(rig.state(task) == .consumed, "it failed, and is over")
    rig.comeAgain(core: 0)
    #expect(rig.queues[0].isEmpty, "a task that may run once only is given out again")
    rig.runAll()
    #expect(rig.failure == nil && rig.counts()[0] == 1)
  }

  /// Worker and scheduler are dead: the next scheduler decides what is on the lanes.
  @Test(arguments: 0..<10, [UInt32(1), 2])
  func garbageOnOneOfManyLanesCountsAsBegunAfterARestart(garbage: Int, threads: UInt32) throws {
    let rig = try Rig(configuration(lanes: 3, threads: threads))
    let tasks = try (0..<3).map { _ in try rig.submit(aic: true) { $0.recovery = .once } }
    rig.settle()
    rig.finish(tasks[0])
    let word = try #require(rig.queues[0].first { $0.task == tasks[1] }).word.rawValue
    rig.store(Self.garbage[garbage](word), core: 0, lane: 1)
    rig.drop(core: 0)
    try rig.restartScheduler()
    rig.die(core: 0, hasBegun: false)
    rig.comeAgain(core: 0)
    #expect(rig.queues[0].map(\.task) == [tasks[2]], "the one that nobody took, and no other")
    rig.runAll()
    #expect(rig.failure == nil && rig.counts()[0] == 3)
  }
}
