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

  /// Nil when there is no such process, and where nobody says.
  package static func startTime(of pid: Int32) -> UInt64? { status(of: pid)?.startTime }

  /// True once it has certainly ended, or never was: what cannot be found out (no more
  /// descriptors, no /proc) is no death, and then nor is a zombie.
  package var isGone: Bool {
    #if PTO2_SIMULATION
      return Simulation.hasEnded(pid)
    #else
      if let status = Self.status(of: pid) {
        return status.state == "Z" || status.state == "X"
          || (startTime != 0 && status.startTime != startTime)
      }
      let isListed = unsafe access("/proc/\(pid)/stat", F_OK) == 0
      let isThere = unsafe access("/proc/self/stat", F_OK) == 0
      if isThere && !isListed { return true }
      return Glibc.kill(pid, 0) != 0 && errno == ESRCH
    #endif
  }

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
