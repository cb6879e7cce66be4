internal import CPTO2Linux
internal import Glibc
internal import PTO2System

/// A process this one has started.
package struct ChildProcess {
  /// How it was started, to start it again.
  let launch: Launch
  package let pid: Int32
  /// pidfd; stays open for the life of the launcher.
  let descriptor: Int32
  /// wait(2) status once it has ended.
  package internal(set) var status: Int32?

  package var name: String { launch.name }
  package var core: Int? { launch.core }

  /// How it ended, in words.
  package var ending: String {
    guard let status else { return "is running" }
    let signal = status & 0x7F
    if signal == 0 { return "exited with status \(status >> 8 & 0xFF)" }
    return "was killed by signal \(signal) (\(signalName(signal)))"
  }

  /// The signal it died of; nil when it is running or has exited.
  package var endingSignal: Int32? {
    guard let status, status & 0x7F != 0 else { return nil }
    return status & 0x7F
  }

  /// posix_spawn(3) in a process group of its own, so that a terminal's Ctrl-C
  /// reaches the orchestrator alone.
  static func spawn(_ launch: Launch) throws(SystemError) -> ChildProcess {
    let executable = launch.executable
    var argv: [UnsafeMutablePointer<CChar>?] = unsafe ([executable] + launch.arguments).map {
      unsafe strdup($0)
    }
    unsafe argv.append(nil)
    defer { for index in unsafe argv.indices { unsafe free(argv[index]) } }
    // A kernel that crashes is the launcher's to report, at once; Swift's own
    // backtracer would hold the dead worker for a second. The user may ask for it.
    let noBacktrace = unsafe strdup("SWIFT_BACKTRACE=enable=no")
    defer { unsafe free(noBacktrace) }
    var variables = unsafe currentEnvironment()
    if unsafe getenv("SWIFT_BACKTRACE") == nil { unsafe variables.append(noBacktrace) }
    unsafe variables.append(nil)
    // A child inherits where the thread that starts it may run.
    let cpus = CPUSet.allowed()
    if let cpu = launch.cpu { CPUSet(CollectionOfOne(cpu)).confine() }
    var pid: Int32 = 0
    let status = unsafe pto2_spawn(executable, argv, variables, &pid)
    if launch.cpu != nil { cpus.confine() }
    guard status == 0 else { throw SystemError("posix_spawn", executable, errno: -status) }
    let descriptor = pto2_pidfd_open(pid)
    guard descriptor >= 0 else {
      kill(pid, SIGKILL)
      throw SystemError("pidfd_open", "\(pid)", errno: -descriptor)
    }
    return ChildProcess(launch: launch, pid: pid, descriptor: descriptor, status: nil)
  }

  /// Collects the status if the process has ended.
  mutating func reap() -> Bool {
    if status != nil { return true }
    var value: Int32 = 0
    guard unsafe waitpid(pid, &value, WNOHANG) == pid else { return false }
    status = value
    return true
  }

  func signal(_ signal: Int32) {
    if status == nil { _ = pto2_pidfd_send_signal(descriptor, signal) }
  }
}

/// The variables of this process, which keeps them.
private func currentEnvironment() -> [UnsafeMutablePointer<CChar>?] {
  var variables: [UnsafeMutablePointer<CChar>?] = unsafe []
  var entry = unsafe environ
  while let text = unsafe entry.pointee {
    unsafe variables.append(text)
    unsafe entry += 1
  }
  return unsafe variables
}

/// `SIGSEGV` for 11.
package func signalName(_ signal: Int32) -> String {
  switch signal {
  case SIGHUP: "SIGHUP"
  case SIGINT: "SIGINT"
  case SIGQUIT: "SIGQUIT"
  case SIGILL: "SIGILL"
  case SIGABRT: "SIGABRT"
  case SIGBUS: "SIGBUS"
  case SIGFPE: "SIGFPE"
  case SIGKILL: "SIGKILL"
  case SIGSEGV: "SIGSEGV"
  case SIGTERM: "SIGTERM"
  case SIGTRAP: "SIGTRAP"
  default: "signal \(signal)"
  }
}
