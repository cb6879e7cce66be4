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

  /// A thread that ends the process some seconds after its session, even if a kernel does not
  /// return. A supervised worker that is not to drain is killed when the orchestrator dies,
  /// unless a kernel has seen to it that it is not: then there may be nobody else.
  func watchSessionEnd() {
    #if !PTO2_SIMULATION
      guard
        let thread = try? spawnThread(
          "end of the session", stackBytes: Self.watchStackBytes, { self.endWithSession() })
      else { return }
      thread.detach()
      // From here on that thread answers for it.
      if isSupervised && (!followsParent || segment.configuration.drains) { outliveParent() }
    #endif
  }

  private static var watchStackBytes: Int { 256 << 10 }

  private func endWithSession() -> Never {
    orchestrator?.waitUntilEnded()
    while !isSessionDead { sleepNanoseconds(50_000_000) }
    sleepNanoseconds(Self.graceNanoseconds)
    segment.leaveForGood()
    exitNow(PTO2ErrorCode.orchestratorDied.exitStatus)
  }
}
