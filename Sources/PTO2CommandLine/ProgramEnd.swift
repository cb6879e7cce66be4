internal import Glibc
internal import PTO2
internal import PTO2Protocol
internal import PTO2System
internal import Synchronization

/// The end of a process whose program, or the constructor of an object it loads, calls
/// exit(3) before its run is over: never a success, and nothing stays behind.
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
  }

  func note(_ processes: SessionProcesses?) { state.withLock { $0.processes = processes } }

  func letExit() {
    ExitGuard.end()
    note(nil)
  }

  private func report(status: Int32) {
    let state = state.withLock { $0 }
    flushOutput()
    state.processes?.abandonProcess()
    let failure = SessionFailure(
      text:
        "error: the process was ended with exit(\(status)) while \(state.doing): a program returns from its main function",
      exitStatus: status & 0xFF == 0 ? ExitStatus.programFailed : status & 0xFF,
      code: .explicitOrchFatal)
    failure.print(state.program, json: state.isJSON)
    _exit(failure.exitStatus)
  }
}
