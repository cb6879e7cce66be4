internal import PTO2Protocol

/// SIGKILL of a process when one of its roles reaches a scheduling point.
struct CrashPoint {
  var pid: Int32
  var role: Int
  var point: Int
}

/// What the rest of the session does when a process dies, and how it must end.
/// Another policy is all that recovery needs: one that starts a role again.
protocol CrashPolicy: AnyObject {
  /// True once a process was killed.
  var isFired: Bool { get }
  /// What the supervisor raises; nil when nobody is left to raise anything.
  var fault: PTO2Error? { get }
  func processDied(_ pid: Int32, engine: Engine, supervisor: Int)
  /// - Parameter outcome: the error that ended the session.
  /// - Returns: what is wrong with that.
  func judge(_ outcome: PTO2Error?) -> (invariant: String, detail: String)?
}

/// Today's runtime: the death of any process ends the session with its code.
final class EndSession: CrashPolicy {
  private(set) var fault: PTO2Error?
  private var expected: PTO2ErrorCode?
  /// From the death to the readable pidfd.
  private let delay: UInt64

  init(delay: UInt64) { self.delay = delay }

  var isFired: Bool { expected != nil }

  func processDied(_ pid: Int32, engine: Engine, supervisor: Int) {
    switch pid {
    case Session.orchestratorPid:
      // Scheduler and workers look at its pidfd themselves.
      expected = .orchestratorDied
      return
    case Session.schedulerPid: expected = .schedulerDied
    default: expected = .workerDied
    }
    fault = PTO2Error(expected!, "killed by the simulator")
    engine.start(supervisor, afterNanoseconds: delay)
  }

  func judge(_ outcome: PTO2Error?) -> (invariant: String, detail: String)? {
    // Killed when everything was done: nobody noticed.
    guard let outcome, outcome.code != expected else { return nil }
    return ("coded error", "the session ends with \(outcome.code.name): \(outcome.message)")
  }
}
