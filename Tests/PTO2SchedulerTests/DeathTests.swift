import CPTO2Segment
import PTO2Protocol
import Testing

/// Workers that die, again and again.
@Suite struct DeathTests {
  /// What the AIC had waits for the next AIC; meanwhile vector cores die more
  /// often than there are lanes. Their tasks run again first, so that no more
  /// can be lost than was given out.
  @Test(arguments: [UInt32(1), 2])
  func lostTasksOfOneKindDoNotWaitForAnother(threads: UInt32) throws {
    let rig = try Rig(configuration(window: 32, lanes: 2, threads: threads))
    for _ in 0..<2 { try rig.submit(aic: true) }
    rig.settle()
    rig.die(core: 0, hasBegun: false)
    for _ in 0..<24 { try rig.submit(aiv0: true) }
    rig.settle()
    let first = rig.queues[1].map(\.task) + rig.queues[2].map(\.task)
    for _ in 0..<10 {
      for core in 1...2 {
        let had = rig.queues[core].map(\.task)
        #expect(had.count == 2, "not exercised")
        rig.die(core: core, hasBegun: false)
        rig.comeAgain(core: core)
        #expect(rig.queues[core].map(\.task) == had)
      }
    }
    #expect(Set(rig.queues[1].map(\.task) + rig.queues[2].map(\.task)) == Set(first))
    rig.runAll()
    rig.comeAgain(core: 0)
    rig.runAll()
    #expect(rig.failure == nil && rig.counts()[0] == 26)
  }

  /// A kernel that crashes on each of 300 blocks: the counts of a task have room
  /// for 255.
  @Test(arguments: [false, true])
  func moreDeathsThanATaskCanCount(hasRecovery: Bool) throws {
    let rig = try Rig(configuration())
    let task = try rig.submit(aic: true) {
      $0.blocks(300)
      if hasRecovery { $0.recovery = .again }
    }
    rig.settle()
    var deaths = 0
    while !rig.queues[0].isEmpty {
      rig.die(core: 0, hasBegun: true, signal: 11)
      deaths += 1
      rig.comeAgain(core: 0)
    }
    #expect(deaths >= 300 && rig.failure == nil && rig.state(task) == .consumed)
  }
}
