internal import CPTO2Linux
internal import Glibc
internal import PTO2System

/// A process this one has started.
package struct ChildProcess {
  /// How it was started, to start it again.
  let launch: Launch
  package let pid: Int32
  /// pidfd; stays open for the life of the launcher. -1 where Linux gives none.
  let descriptor: Int32
  private let identity: ProcessIdentity
  private(set) var end: End?

  /// How a process has ended.
  enum End {
    /// wait(2) status.
    case status(Int32)
    /// It is gone, and its status went to somebody else: SIGCHLD is ignored, or the program
    /// collects every child.
    case untold
  }

  package var name: String { launch.name }
  package var role: Launch.Role { launch.role }

  /// How it ended, in words.
  package var ending: String {
    switch end {
    case nil: return "is running"
    case .untold:
      return
        "has ended; how, only the program was told (it ignores SIGCHLD, or collects every child)"
    case .status(let status):
      let signal = status & 0x7F
      if signal == 0 { return "exited with status \(status >> 8 & 0xFF)" }
      return "was killed by signal \(signal) (\(signalName(signal)))"
    }
  }

  /// The signal it died of; nil when it is running or has exited. Where nobody says: one of
  /// its own, SIGABRT.
  package var endingSignal: Int32? {
    switch end {
    case nil: nil
    case .untold: SIGABRT
    case .status(let status): status & 0x7F == 0 ? nil : status & 0x7F
    }
  }

  /// posix_spawn(3) in a process group of its own, so that a terminal's Ctrl-C
  /// reaches the orchestrator alone.
  /// - Parameter output: where it writes; nil: to standard error.
  static func spawn(_ launch: Launch, output: Int32? = nil) throws(SystemError) -> ChildProcess {
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
    let status = unsafe pto2_spawn(executable, argv, variables, output ?? -1, &pid)
    if launch.cpu != nil { cpus.confine() }
    guard status == 0 else { throw SystemError("posix_spawn", executable, errno: -status) }
    return ChildProcess(
      launch: launch, pid: pid, descriptor: max(-1, pto2_pidfd_open(pid)),
      identity: ProcessIdentity(pid: pid, startTime: ProcessIdentity.startTime(of: pid) ?? 0))
  }

  /// The signal at which a child has stopped for its tracer, which would be this process.
  private var tracedSignal: Int32?

  private init(launch: Launch, pid: Int32, descriptor: Int32, identity: ProcessIdentity) {
    self.launch = launch
    self.pid = pid
    self.descriptor = descriptor
    self.identity = identity
  }

  /// Collects the status if the process has ended.
  mutating func reap() -> Bool {
    if end != nil { return true }
    var value: Int32 = 0
    let result = unsafe waitpid(pid, &value, WNOHANG)
    if result == pid && value & 0xFF == 0x7F {
      // Only a child that has asked to be traced by this process (PTRACE_TRACEME) is reported
      // when it stops, at any signal. Nobody here traces: it ends of that signal.
      tracedSignal = tracedSignal ?? value >> 8 & 0x7F
      signal(SIGKILL)
    } else if result == pid {
      end = .status(value == SIGKILL ? tracedSignal ?? value : value)
    } else if result < 0 && errno == ECHILD && identity.isGone {
      end = .untold
    }
    return end != nil
  }

  func signal(_ signal: Int32) {
    if end == nil { identity.send(signal: signal, through: descriptor) }
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
