import CPTO2ABI
import PTO2Orchestrator
import PTO2Protocol
import PTO2System
import Testing

@testable import PTO2Scheduler

/// What fuzzing found in the orchestrator: words of the scheduler that no
/// scheduler stores end the program's next call with error 207, instead of a
/// wait without end.
@Suite struct DamagedWatermarkTests {
  private func store(_ rig: Rig, _ value: UInt32, _ offset: Int32) {
    OwnedWord(rig.shared.segment.write(.schedulerWords) + Int(offset)).storeRelease(value)
  }

  private func expectViolation(
    sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
  ) {
    let error = #expect(throws: PTO2Error.self, sourceLocation: sourceLocation) { try body() }
    #expect(error?.code == .protocolViolation, sourceLocation: sourceLocation)
  }

  @Test func fatalSchedulerWithoutAnErrorIsAnError() throws {
    let rig = try Rig(configuration())
    try rig.submit(aic: true)
    store(rig, PTO2_SCHED_FATAL, PTO2_SCHED_CONTROL)
    expectViolation { try rig.graph.wait() }
    expectViolation { try rig.submit(aic: true) }
    #expect(rig.isAborted)
  }
}
