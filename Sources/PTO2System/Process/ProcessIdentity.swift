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

  /// What a process does, as /proc says.
  package enum Activity: String, Sendable {
    case running, stopped, traced
    case gone
    /// There is no /proc to say.
    case unknown
  }

  /// What it does, and the CPU time that it has used, in clock ticks.
  package func activity() -> (activity: Activity, ticks: UInt64) {
    guard pid > 0 else { return (.gone, 0) }
    guard let text = readWholeFile("/proc/\(pid)/stat"), let status = Self.parse(text) else {
      return (isGone ? .gone : .unknown, 0)
    }
    guard startTime == 0 || status.startTime == startTime else { return (.gone, 0) }
    return switch status.state {
    case "Z", "X": (.gone, 0)
    case "T": (.stopped, status.ticks)
    case "t": (.traced, status.ticks)
    default: (.running, status.ticks)
    }
  }

  private static func status(of pid: Int32) -> (state: Substring, startTime: UInt64)? {
    readWholeFile("/proc/\(pid)/stat").flatMap(parse).map { ($0.state, $0.startTime) }
  }

  /// The text of /proc/PID/stat.
  private static func parse(_ text: String)
    -> (state: Substring, startTime: UInt64, ticks: UInt64)?
  {
    guard let close = text.lastIndex(of: ")") else { return nil }
    // After the command name: state is field 3, CPU times are 14 and 15, the start time 22.
    let fields = text[text.index(after: close)...].split(separator: " ")
    guard fields.count > 19, let startTime = UInt64(fields[19]), let user = UInt64(fields[11]),
      let system = UInt64(fields[12])
    else { return nil }
    return (fields[0], startTime, user &+ system)
  }
}
