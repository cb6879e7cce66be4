import CPTO2Segment
import PTO2Orchestrator
import PTO2Protocol
import PTO2System
import Testing

@testable import PTO2Scheduler

/// What fuzzing found in the orchestrator: words of the scheduler that no
/// scheduler stores end the program's next call with error 207, instead of a
/// wait without end.
@Suite struct DamagedWatermarkTests {
  private func expectViolation(
    sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
  ) {
    let error = #expect(throws: PTO2Error.self, sourceLocation: sourceLocation) { try body() }
    #expect(error?.code == .protocolViolation, sourceLocation: sourceLocation)
  }

  @Test func fatalSchedulerWithoutAnErrorIsAnError() throws {
    let rig = try Rig(configuration())
    try rig.submit(aic: true)
    rig.shared.segment.ownSchedulerPage.control.storeRelease(PTO2_SCHED_FATAL)
    expectViolation { try rig.graph.wait() }
    expectViolation { try rig.submit(aic: true) }
    #expect(rig.isAborted)
  }

  /// The log is full, and the scheduler's position in it is none.
  @Test(arguments: [-1, 1, 1 << 20])
  func wiredPositionThatIsNoneEndsTheWait(distance: Int) throws {
    let rig = try Rig(configuration())
    // Two records each: the next one finds the log full.
    for _ in 0..<rig.configuration.logCapacity / 2 {
      try rig.graph.scope { _ = try rig.submit { _ = $0.output(of: Float.self, [1]) } }
      rig.settle()
    }
    let position = distance < 0 ? UInt32.max : rig.configuration.logCapacity + UInt32(distance)
    rig.shared.segment.ownSchedulerPage.wired.storeRelease(position)
    expectViolation { try rig.submit() }
  }

  /// An output would be given away while its task can still run.
  @Test func consumedAheadOfReleasedIsAnError() throws {
    let rig = try Rig(configuration())
    for _ in 0..<4 { try rig.submit(aic: true) { _ = $0.output(of: Float.self, [4]) } }
    rig.settle()
    rig.shared.segment.ownSchedulerPage.consumed(0).storeRelease(2)
    expectViolation { try rig.graph.wait() }
  }

  // MARK: Before the scheduler says that it takes part

  /// Its page is overwritten while it attaches: it has failed, and does not know.
  @Test func errorBlockThatTheSchedulerDidNotWriteEndsTheSession() throws {
    let rig = try Rig(configuration(), announcing: [])
    rig.settle()
    rig.auditForSixSeconds()
    #expect(rig.failure == nil)
    var block = pto2_error_block()
    block.code = .max
    rig.shared.segment.ownSchedulerPage.ownError.whole = block
    rig.audit(7_000_000_000)
    #expect(rig.failure?.code == .protocolViolation)
    expectViolation { try rig.submit(aic: true) }
  }

  /// A worker that waits to be let in does not announce itself: it counts as missing,
  /// whatever the scheduler's page says of it.
  @Test func overwrittenFenceLetsNoWorkerCountAsThere() throws {
    let rig = try Rig(configuration(), announcing: [0, 2])
    rig.shared.segment.ownSchedulerPage.fenced(1).storeRelease(.max)
    rig.settle()
    #expect(rig.missingCores == ["aiv0"])
    rig.announce(1)
    rig.settle()
    #expect(rig.missingCores == [])
  }
}
