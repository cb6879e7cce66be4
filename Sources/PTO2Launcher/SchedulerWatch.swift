internal import Glibc
internal import PTO2System

/// The scheduler's process, whoever started it.
final class SchedulerWatch {
  let identity: ProcessIdentity
  /// pidfd; nil when there is none.
  let descriptor: Int32?
  private let handle: ProcessHandle?
  private var stop: SuspensionWatch
  private var pulse: StallTimer
  private var hasSaidHeld = false
  private let say: (String) -> Void

  init(_ identity: ProcessIdentity, graceMilliseconds: UInt32, say: @escaping (String) -> Void) {
    self.identity = identity
    self.say = say
    stop = SuspensionWatch(graceMilliseconds: graceMilliseconds)
    pulse = StallTimer(stopGraceMilliseconds: graceMilliseconds)
    handle = ProcessHandle(identity)
    descriptor =
      switch handle {
      case .some(let handle): handle.descriptor >= 0 ? handle.descriptor : nil
      case .none: nil
      }
  }

  func hasEnded() -> Bool { handle?.hasEnded() ?? true }

  /// Kills it when it is stopped (SIGSTOP) for longer than --stop-grace, or runs and
  /// does not go round: what follows is as after any death of it.
  /// - Returns: true when it did not go round.
  func killIfHung(heartbeat: UInt32) -> Bool {
    if hasEnded() { return false }
    let now = MonotonicClock.now()
    let isOverdue = stop.look(at: identity, now: now) == .overdue
    let isStuck = pulse.isStalled(progress: UInt64(heartbeat), now: now)
    if isOverdue {
      kill("was stopped (SIGSTOP) for longer than --stop-grace")
    } else if stop.isStopped {
      pulse.rewind(to: 0)
    } else if isStuck, identity.isHeld() {
      pulse.rewind(to: 0)
      if !hasSaidHeld { tell("is held by a debugger, and waited for") }
      hasSaidHeld = true
    } else if isStuck {
      kill("has not gone round for \(pulse.limitText)")
      return true
    }
    return false
  }

  private func kill(_ reason: String) {
    tell(reason + ": it is killed")
    handle?.send(signal: SIGKILL)
  }

  private func tell(_ what: String) {
    say("pto2: the scheduler (process \(identity.pid)) \(what)")
  }
}
