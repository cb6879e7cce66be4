import CPTO2Segment
import PTO2Protocol
import Testing

@testable import PTO2Orchestrator

/// The fanin list between the look at the arguments and the task's entry in the map.
@Suite struct ProducersTests {
  /// Three tasks beside the one that counts: the main ring is full.
  private func fill(_ rig: Rig) throws {
    for _ in 0..<3 { try rig.submit(aiv0: true) }
  }

  /// The orchestrator has not looked since: it finds the ring full, waits, and learns
  /// then how the producer has ended.
  @Test(arguments: [false, true])
  func producerThatFailsWhileTheTaskWaitsForRoomCancelsIt(isConsumed: Bool) throws {
    let rig = try Rig(configuration(rings: 2, window: 4))
    let x = try rig.external(8)
    if isConsumed { try rig.graph.beginScope() }
    let producer = try rig.submit(aic: true) { task in
      task.inout(x)
      _ = task.output(of: Float.self, [1])
    }
    try fill(rig)
    if isConsumed {
      try rig.graph.endScope()
      try rig.graph.beginScope()
    }
    rig.settle()
    rig.die(core: 0, hasBegun: true)
    rig.comeAgain(core: 0)
    rig.runAll()
    #expect(rig.counts(ring: producer.ring)[0] == 4)
    let consumer = try rig.submit(aic: true) { $0.input(x) }
    let flags = SlotFlags(rawValue: rig.slot(consumer).flags)
    #expect(flags.contains(.cancelled))
    #expect(rig.slot(consumer).fanin_count == (isConsumed ? 0 : 1))
    rig.runAll()
    #expect(!rig.started.contains(consumer) && rig.failure == nil)
  }

  @Test func readersThatEndWhileTheTaskWaitsForRoomAreNoProducers() throws {
    let rig = try Rig(configuration(window: 4))
    let x = try rig.external(8)
    try rig.submit(aic: true) { $0.input(x) }
    try fill(rig)
    rig.runAll()
    let writer = try rig.submit(aic: true) { $0.inout(x) }
    #expect(rig.slot(writer).fanin_count == 0)
    rig.runAll()
    #expect(rig.finished.contains(writer) && rig.counts()[0] == 5)
  }

  /// What the first argument changes in the map is not what the look has found for the
  /// second one.
  @Test func argumentsOfOneTaskThatOverlap() throws {
    let rig = try Rig(configuration())
    let x = try rig.external(16)
    let (low, high) = (try x.slice(from: [0], shape: [8]), try x.slice(from: [8], shape: [8]))
    try rig.submit(aic: true) { $0.inout(x) }
    let both = try rig.submit(aiv0: true) {
      $0.inout(low)
      $0.input(x)
    }
    let after = try rig.submit(aiv1: true) { $0.inout(high) }
    // The first task, which last wrote it, and the second one, which reads it.
    #expect(rig.slot(both).fanin_count == 1 && rig.slot(after).fanin_count == 2)
    rig.runAll()
    #expect(rig.counts()[0] == 3)
  }

  /// An input asks for the result of whoever wrote it, also when the same task
  /// overwrites it.
  @Test(arguments: [false, true])
  func overwrittenInputNeedsItsWriter(isInputFirst: Bool) throws {
    let rig = try Rig(configuration())
    let x = try rig.external(8)
    try rig.submit(aic: true) { $0.inout(x) }
    let task = try rig.submit(aiv0: true) {
      if isInputFirst { $0.input(x) }
      $0.overwrite(x)
      if !isInputFirst { $0.input(x) }
    }
    let first = rig.slot(task).fanin_first
    let word = rig.worker.fanin(0)[first].word
    #expect(rig.slot(task).fanin_count == 1 && word.needsData && word.retains && word.waits)
  }
}
