import PTO2Protocol
import Testing

@testable import PTO2Orchestrator

/// What is bound to a core stays there: nothing goes behind a running kernel while another
/// core may take it, or while its siblings may wait for it.
@Suite struct SpreadTests {
  /// Tasks on each AIV, oldest first.
  private func vectors(_ rig: Rig) -> [[TaskID]] {
    rig.queues.indices.filter { $0 % 3 != 0 }.map { core in rig.queues[core].map(\.task) }
  }

  /// Blocks are submitted while one core of four is up.
  @Test(arguments: [UInt32(1), 2])
  func blocksGoToTheCoresThatComeUp(threads: UInt32) throws {
    let rig = try Rig(configuration(clusters: 2, lanes: 4, threads: threads), announcing: [1])
    let task = try rig.submit(aiv0: true) { $0.blocks(4) }
    rig.settle()
    #expect(vectors(rig) == [[task], [], [], []])
    for core in [0, 2, 3, 4, 5] { rig.announce(core) }
    rig.settle()
    #expect(vectors(rig) == [[task], [task], [task], [task]])
    rig.runAll()
    #expect(rig.counts() == [1, 1])
  }

  /// More blocks than cores, and tasks of one block.
  @Test func nothingIsBoundBehindAKernelWhileACoreIsToCome() throws {
    let rig = try Rig(configuration(clusters: 1, lanes: 4), announcing: [1])
    let blocks = try rig.submit(aiv0: true) { $0.blocks(3) }
    let single = try rig.submit(aiv0: true)
    rig.settle()
    #expect(vectors(rig) == [[blocks], []])
    rig.announce(2)
    rig.settle()
    #expect(vectors(rig) == [[blocks, blocks], [blocks, single]])
  }

  /// A consumer of what runs stays off the core that is up, too, until another is there.
  @Test func nothingIsDispatchedAheadWhileACoreIsToCome() throws {
    let rig = try Rig(configuration(clusters: 1, lanes: 4, worksAhead: true), announcing: [1])
    let x = try rig.external(4)
    let producer = try rig.submit(aiv0: true) { $0.inout(x) }
    let consumers = try (0..<2).map { _ in try rig.submit(aiv0: true) { $0.input(x) } }
    rig.settle()
    #expect(vectors(rig) == [[producer], []])
    rig.announce(2)
    rig.settle()
    rig.finish(producer)
    rig.settle()
    #expect(Set(rig.runningTasks) == Set(consumers))
  }

  /// The only other core's worker has died: its next one takes the task.
  @Test func taskGoesToTheCoreWhoseWorkerIsRestarted() throws {
    let rig = try Rig(configuration(clusters: 1, lanes: 4))
    let long = try rig.submit(aiv0: true)
    rig.settle()
    rig.die(core: 2, hasBegun: false)
    let next = try rig.submit(aiv0: true)
    rig.settle()
    #expect(vectors(rig) == [[long], []])
    rig.comeAgain(core: 2)
    #expect(vectors(rig) == [[long], [next]])
  }

  /// One core has three kernels before it, the other is free: the second block waits for
  /// the first core, and not behind its sibling, which may wait for it.
  @Test func blocksThatMayWaitForEachOtherGetACoreEach() throws {
    let rig = try Rig(configuration(clusters: 1, lanes: 4))
    let before = try (0..<6).map { _ in try rig.submit(aiv0: true) }
    rig.settle()
    for _ in 0..<3 { rig.finish(core: 2) }
    rig.settle()
    #expect(vectors(rig).map(\.count) == [3, 0], "not exercised")
    let blocks = try rig.submit(aiv0: true) { $0.blocks(2) }
    rig.settle()
    #expect(vectors(rig)[1] == [blocks])
    for _ in 0..<3 { rig.finish(core: 1) }
    rig.settle()
    #expect(vectors(rig) == [[blocks], [blocks]] && rig.finished.count == before.count)
  }

  /// Work ahead would keep a core from running dry for ever.
  @Test func blockThatWaitsForAnIdleCoreHoldsWorkAheadBack() throws {
    let rig = try Rig(configuration(clusters: 1, lanes: 4, worksAhead: true))
    let x = try rig.external(4)
    for _ in 0..<2 { try rig.submit(aiv0: true) { $0.inout(x) } }
    try rig.submit(aiv0: true)
    rig.settle()
    let blocks = try rig.submit(aiv0: true) { $0.blocks(2) }
    for _ in 0..<8 { try rig.submit(aiv0: true) { $0.inout(x) } }
    var before = 0
    while !rig.started.contains(blocks) && before < 20 {
      rig.settle()
      if let core = [1, 2].first(where: { !rig.queues[$0].isEmpty }) { rig.finish(core: core) }
      before += 1
    }
    #expect(before < 6, "tasks that came later were started first")
    rig.runAll()
    #expect(rig.failure == nil && rig.counts() == [12, 12])
  }
}
