internal import Glibc
internal import PTO2
internal import PTO2Protocol
internal import PTO2System
internal import Synchronization

/// The end of a process whose program, or the constructor of an object it loads, calls
/// exit(3) before its run is over, or whose objects somebody writes to while they are in use:
/// never a success, and nothing stays behind.
@safe final class ProgramEnd: @unchecked Sendable {
  // Sendable: what changes is under the lock.
  static let shared = ProgramEnd()

  private struct State {
    var program = ""
    var isJSON = false
    var doing = ""
    var processes: SessionProcesses?
  }

  private let state = Mutex(State())

  /// From now on.
  /// - Parameter doing: in words, what the process is at.
  func expectNoExit(_ program: String, json: Bool, _ doing: String) {
    state.withLock {
      $0.program = program
      $0.isJSON = json
      $0.doing = doing
    }
    ExitGuard.begin { ProgramEnd.shared.report(status: $0) }
    ObjectGuard.begin { ProgramEnd.shared.report(changedObject: $0, exitStatus: $1) }
  }

  func note(_ processes: SessionProcesses?) { state.withLock { $0.processes = processes } }

  func letExit() {
    ExitGuard.end()
    state.withLock {
      $0.processes = nil
      // Objects are used to the end of the process; the report is out then.
      $0.isJSON = false
    }
  }

  private func report(status: Int32) {
    end { doing in
      SessionFailure(
        text:
          "error: the process was ended with exit(\(status)) while \(doing): a program returns from its main function",
        exitStatus: status & 0xFF == 0 ? ExitStatus.programFailed : status & 0xFF,
        code: .explicitOrchFatal)
    }
  }

  private func report(changedObject text: String, exitStatus: Int32?) {
    // A run that has failed has said why.
    if let exitStatus, exitStatus != 0 { _exit(exitStatus) }
    end { _ in SessionFailure(PTO2Error(.imageRefused, text)) }
  }

  private func end(_ failure: (_ doing: String) -> SessionFailure) {
    let state = state.withLock { $0 }
    flushOutput()
    state.processes?.abandonProcess()
    let failure = failure(state.doing)
    failure.print(state.program, json: state.isJSON)
    _exit(failure.exitStatus)
  }
}
