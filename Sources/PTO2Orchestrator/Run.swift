package import PTO2Protocol
internal import PTO2Segment
package import PTO2System

/// The graphs that one session runs, one after another, on the same rings.
///
/// `beginRun`, then the program, then `finishRun`, or `abandonRun` when the program or
/// `finishRun` has thrown. Ids and positions run on; nothing else of a run is there in
/// the next one.
extension Orchestrator {
  /// Begins a run with its root scope: no errors, no failed tasks, no tensors. Handles
  /// of earlier runs are refused. The run before is finished or abandoned.
  package mutating func beginRun() {
    precondition(rings.areEmpty, "a task of the run before is not CONSUMED")
    while scopes.depth > 0 { scopes.pop() }
    staged.reset()
    recording = nil
    buffers.freeAll(&map)
    ranks.beginRun()
    arena.reset()
    counters = Counters()
    for ring in 0..<rings.count { rings[ring].beginRun() }
    // Published by the run's first log record.
    segment.ownOrchestratorPage.failedBefore.storeRelaxed(failed.beginRun())
    fault.beginRun()
    openScope(isManual: false)
  }

  /// Ends the root scope and blocks until every task is CONSUMED. External tensors
  /// stay readable until the next run begins.
  /// - Throws: the run's first error; error 200 when a task has FAILED.
  package mutating func finishRun() throws(PTO2Error) {
    try fault.check()
    try bringExposed()
    while scopes.depth > 0 { try closeScope() }
    try waitUntilConsumed()
    endRun()
    try checkFailures()
  }

  /// Ends a run that has failed: what was submitted runs to its end.
  /// - Returns: false when that took longer than until the deadline, or the session has
  ///   failed: no other run can follow.
  package mutating func abandonRun(deadline: Deadline) -> Bool {
    unstage(keepOutputs: false)
    do throws(PTO2Error) {
      while scopes.depth > 0 {
        guard try waitForLog(.session, deadline: deadline) else { return false }
        endInnermostScope()
      }
      guard try waitUntilConsumed(.session, deadline: deadline) else { return false }
    } catch { return false }
    endRun()
    return !fault.hasFailed
  }

  /// Everything is CONSUMED: nobody needs to wait for any task of this run.
  private mutating func endRun() {
    counters.noteFinished()
    forgetAllRecords()
    fault.endRun()
  }
}
