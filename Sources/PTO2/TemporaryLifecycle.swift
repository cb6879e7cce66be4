internal import PTO2Orchestrator
internal import PTO2Protocol
internal import PTO2System

// TEMPORARY, until the orchestrator's own runs are merged.
extension Orchestrator {
  mutating func beginRun() {}
  mutating func finishRun() throws(PTO2Error) { try drain() }
  mutating func abandonRun(deadline: Deadline) -> Bool { false }
}
extension FirstError {
  func fail(_ error: PTO2Error) { raise(error) }
  func publish(_ error: PTO2Error) { raise(error) }
}
