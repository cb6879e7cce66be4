internal import CPTO2Linux
internal import Glibc

#if PTO2_SIMULATION
  internal import PTO2Protocol
#endif

/// A process, told apart from a later one with the same pid by its start time.
package struct ProcessIdentity: Equatable, Sendable {
  package var pid: Int32
  /// Field 22 of /proc/PID/stat: clock ticks since boot.
  package var startTime: UInt64

  package init(pid: Int32, startTime: UInt64) {
    self.pid = pid
    self.startTime = startTime
  }

  package static func current() -> ProcessIdentity {
    #if PTO2_SIMULATION
      return ProcessIdentity(pid: Simulation.pid, startTime: 1)
    #else
      let pid = getpid()
      return ProcessIdentity(pid: pid, startTime: startTime(of: pid) ?? 0)
    #endif
  }

  /// Nil when there is no such process.
  package static func startTime(of pid: Int32) -> UInt64? { status(of: pid)?.startTime }

  /// False once it has ended, and for a process that cannot be seen from here.
  package var isAlive: Bool {
    guard let handle = ProcessHandle(self) else { return false }
    return !handle.hasEnded()
  }

  /// True while the process is stopped by a signal (not by a debugger).
  package func isStopped() -> Bool { isIn("T") }

  /// True while it is stopped by a signal or a debugger.
  package func isHeld() -> Bool { isIn("Tt") }

  /// One of these states of /proc/PID/stat.
  private func isIn(_ states: String) -> Bool {
    #if PTO2_SIMULATION
      return false
    #else
      guard let status = Self.status(of: pid) else { return false }
      return states.contains(status.state) && status.startTime == startTime
    #endif
  }

  private static func status(of pid: Int32) -> (state: Substring, startTime: UInt64)? {
    guard let text = readWholeFile("/proc/\(pid)/stat"),
      let close = text.lastIndex(of: ")")
    else { return nil }
    // After the command name: state is field 3, the start time field 22.
    let fields = text[text.index(after: close)...].split(separator: " ")
    guard fields.count > 19, let startTime = UInt64(fields[19]) else { return nil }
    return (fields[0], startTime)
  }
}

/// /proc/sys/kernel/random/boot_id as 16 bytes; zeros when it cannot be read.
package func readBootID() -> [UInt8] {
  let text = readWholeFile("/proc/sys/kernel/random/boot_id") ?? ""
  let digits = text.compactMap(\.hexDigitValue)
  guard digits.count >= 32 else { return [UInt8](repeating: 0, count: 16) }
  return (0..<16).map { UInt8(digits[$0 * 2] << 4 | digits[$0 * 2 + 1]) }
}

/// Ends this process when its parent `parent` does, and at once when it has
/// done so already. prctl(2) PR_SET_PDEATHSIG.
package func followParent(_ parent: Int32) {
  _ = pto2_set_parent_death_signal(SIGKILL)
  if getppid() != parent { _exit(1) }
}

/// Undoes `followParent`.
package func outliveParent() { _ = pto2_set_parent_death_signal(0) }

/// For a supervised child: Ctrl-C in the terminal is the orchestrator's matter.
package func ignoreTerminalSignals() { pto2_ignore_terminal_signals() }

/// _exit(2): ends the process without running exit handlers.
package func exitNow(_ status: Int32) -> Never {
  #if PTO2_SIMULATION
    Simulation.exit(status)
  #else
    _exit(status)
  #endif
}
