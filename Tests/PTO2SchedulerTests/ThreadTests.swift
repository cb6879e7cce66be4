import CPTO2Segment
import Glibc
import PTO2Protocol
import PTO2Segment
import PTO2System
import Testing

@testable import PTO2Orchestrator
@testable import PTO2Scheduler

/// Scheduler threads as real threads on one segment: nothing is lost, whatever
/// the order in which they get their try-locks.
@Suite(.serialized) struct ThreadTests {
  /// Repeated until some thread has found a lock taken, which is for the system
  /// to decide; with two CPUs that takes a few thousand tasks.
  @Test(arguments: [UInt32(2), 3, 8])
  func everythingIsConsumedWhoeverGetsTheLocks(threads: UInt32) throws {
    for attempt in 1...20 where try lostLocks(threads: threads, seed: UInt64(attempt)) > 0 {
      return
    }
    Issue.record("no thread ever found a lock taken: not exercised")
  }

  /// A session of 6000 tasks; returns how often a thread found a lock taken.
  private func lostLocks(threads: UInt32, seed: UInt64) throws -> UInt64 {
    var random = SplitMix64(seed: seed)
    let rig = try Rig(
      configuration(
        rings: 3, window: 8, consumed: 64, heap: 1 << 16, pool: 64, clusters: 4, lanes: 2,
        first: 0xFFFF_FF00, threads: threads))
    rig.startThreads()
    let tensors = try (0..<6).map { _ in try rig.external(16) }
    let deadline = Deadline(afterMilliseconds: 60_000)
    func play() {
      rig.lookAtLanes()
      if let core = rig.queues.indices.filter({ !rig.queues[$0].isEmpty }).randomElement(
        using: &random)
      {
        rig.finish(core: core)
      } else {
        sched_yield()
      }
    }
    var depth = 1
    var submitted = 0
    while submitted < 6_000, !deadline.hasPassed, rig.failure == nil {
      if depth < 3, Int.random(in: 0..<6, using: &random) == 0 {
        try rig.graph.beginScope()
        depth += 1
      }
      // The root scope takes no tasks: it would hold them to the end.
      if depth > 1, rig.hasRoom(outputBytes: 64) {
        let mask = Int.random(in: 0..<8, using: &random)
        try rig.submit(aic: mask & 1 != 0, aiv0: mask & 2 != 0, aiv1: mask & 4 != 0) { task in
          for tensor in tensors where Int.random(in: 0..<3, using: &random) == 0 {
            if Bool.random(using: &random) { task.inout(tensor) } else { task.input(tensor) }
          }
          _ = task.output(of: Int32.self, Shape(4))
        }
        submitted += 1
      } else {
        play()
      }
      if depth > 1, Int.random(in: 0..<4, using: &random) == 0 {
        try rig.graph.endScope()
        depth -= 1
      }
      if Int.random(in: 0..<3, using: &random) == 0 { play() }
    }
    while rig.graph.orchestrator.pointee.scopeDepth > 0 {
      try rig.graph.orchestrator.pointee.closeScope()
    }
    func isDone() -> Bool {
      rig.configuration.rings.indices.allSatisfy {
        rig.counts(ring: $0) == [rig.submitted(ring: $0), rig.submitted(ring: $0)]
      }
    }
    while !isDone(), !deadline.hasPassed, rig.failure == nil { play() }
    #expect(rig.failure == nil)
    #expect(submitted == 6_000)
    #expect(
      isDone(),
      "released, consumed: \(rig.configuration.rings.indices.map { rig.counts(ring: $0) })")
    return rig.stopThreads()
  }
}
