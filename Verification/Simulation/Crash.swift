internal import PTO2Protocol

/// SIGKILL of a process when one of its roles reaches a scheduling point.
struct CrashPoint {
  var pid: Int32
  var role: Int
  var point: Int
}

/// What the launcher does about a death.
enum Remedy {
  /// Starts another worker for the core.
  case worker(core: Int)
  /// Starts another scheduler, the n-th.
  case scheduler(Int)
}

/// What the rest of the session does when processes die, and how it must end: a
/// worker or scheduler that dies is started again, and the session ends well, or
/// with a task that FAILED because it could not be run again. The death of the
/// orchestrator ends it with its code.
final class Recover {
  /// By death, in order.
  private(set) var remedies: [Remedy] = []
  /// The error that the deaths so far may end the session with.
  private var expected: PTO2ErrorCode?
  private(set) var isFired = false
  /// From the death to the readable pidfd.
  private let delay: UInt64

  init(delay: UInt64) { self.delay = delay }

  /// - Parameter supervisor: the dormant role of a rank for a death.
  func processDied(_ process: Int32, engine: Engine, supervisor: (Int, Int) -> Int) {
    isFired = true
    let (rank, pid) = process.quotientAndRemainder(dividingBy: Session.pidsOfRank)
    switch pid {
    case Session.orchestratorPid:
      // Scheduler and workers look at its pidfd themselves.
      expected = .orchestratorDied
      return
    case Session.schedulerPid..<Session.workerPid(0):
      remedies.append(.scheduler(Int(pid - Session.schedulerPid) + 1))
    default:
      expected = expected ?? .workerDied
      remedies.append(.worker(core: Session.core(ofWorker: pid)))
    }
    engine.start(supervisor(Int(rank), remedies.count - 1), afterNanoseconds: delay)
  }

  /// True when every result must be right if the session ends without an error.
  var isWhole: Bool { expected != .orchestratorDied }

  /// - Parameter outcome: the error that ended the session.
  /// - Returns: what is wrong with that.
  func judge(_ outcome: PTO2Error?) -> (invariant: String, detail: String)? {
    // Killed when everything was done: nobody noticed.
    guard let outcome, outcome.code != expected else { return nil }
    return ("coded error", "the session ends with \(outcome.code.name): \(outcome.message)")
  }
}
