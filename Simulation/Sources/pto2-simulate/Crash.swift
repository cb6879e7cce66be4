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
  /// The core whose worker is to be started again.
  var core: Int? { get }
  func processDied(_ pid: Int32, engine: Engine, supervisor: Int)
  /// - Parameter outcome: the error that ended the session.
  /// - Returns: what is wrong with that.
  func judge(_ outcome: PTO2Error?) -> (invariant: String, detail: String)?
}

/// A worker that dies is started again, and the session ends well, or with a task
/// that FAILED because it could not be run again. The death of any other process
/// ends the session with its code.
final class Recover: CrashPolicy {
  private(set) var fault: PTO2Error?
  private var expected: PTO2ErrorCode?
  /// The core to start a worker for.
  private(set) var core: Int?
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
    default:
      expected = .workerDied
      core = Session.core(ofWorker: pid)
      engine.start(supervisor, afterNanoseconds: delay)
      return
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
