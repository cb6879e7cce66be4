internal import Glibc
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// The end of a session whose orchestrator has died.
extension WorkerLoop {
  /// True when nobody will dispatch any more: with --drain the scheduler does for a
  /// while.
  var isSessionDead: Bool {
    guard orchestrator?.hasEnded() ?? true else { return false }
    return !(segment.configuration.drains && segment.object.isLocked(.scheduler))
  }

  /// Time for the cores to leave by themselves.
  private static var graceNanoseconds: UInt64 { 2_000_000_000 }

  /// A supervised worker is killed when the orchestrator dies. One that was started
  /// by hand, or that is to drain, ends itself, even if a kernel does not return.
  func watchSessionEnd() {
    #if !PTO2_SIMULATION
      guard !isSupervised || !followsParent || segment.configuration.drains else { return }
      guard let thread = try? spawnThread("end of the session", { self.endWithSession() }) else {
        return
      }
      thread.detach()
      // From here on that thread answers for it.
      if isSupervised { outliveParent() }
    #endif
  }

  private func endWithSession() -> Never {
    orchestrator?.waitUntilEnded()
    while !isSessionDead { sleepNanoseconds(50_000_000) }
    sleepNanoseconds(Self.graceNanoseconds)
    segment.leaveForGood()
    exitNow(PTO2ErrorCode.orchestratorDied.exitStatus)
  }
}
