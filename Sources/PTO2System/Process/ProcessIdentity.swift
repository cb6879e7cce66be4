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
        return status.hasEnded || (startTime != 0 && status.startTime != startTime)
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
  package func isStopped() -> Bool { isIn("T", "T") }

  /// True while it is stopped by a signal or a debugger.
  package func isHeld() -> Bool { isIn("T", "t") }

  /// One of these states of /proc/PID/stat.
  private func isIn(_ one: Unicode.Scalar, _ other: Unicode.Scalar) -> Bool {
    #if PTO2_SIMULATION
      return false
    #else
      guard let status = Self.status(of: pid) else { return false }
      return status.startTime == startTime
        && (status.state == UInt8(ascii: one) || status.state == UInt8(ascii: other))
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
    guard let status = Self.status(of: pid) else { return (isGone ? .gone : .unknown, 0) }
    guard startTime == 0 || status.startTime == startTime else { return (.gone, 0) }
    if status.hasEnded { return (.gone, 0) }
    return switch status.state {
    case UInt8(ascii: "T"): (.stopped, status.ticks)
    case UInt8(ascii: "t"): (.traced, status.ticks)
    default: (.running, status.ticks)
    }
  }

  /// Of /proc/PID/stat.
  private struct Status {
    /// Field 3.
    var state: UInt8
    /// CPU time, 14 and 15.
    var ticks: UInt64 = 0
    /// Threads that have not been collected, 20.
    var threads: UInt64 = 0
    /// Field 22.
    var startTime: UInt64 = 0

    /// A zombie with other threads is a main thread that has ended before them: what the
    /// process has open stays open until the last of them is gone.
    var hasEnded: Bool {
      state == UInt8(ascii: "X") || (state == UInt8(ascii: "Z") && threads <= 1)
    }
  }

  /// Byte by byte: every process of a session asks when it starts, and splitting a string
  /// takes it 0.1 ms.
  private static func status(of pid: Int32) -> Status? {
    withStartOfFile("/proc/\(pid)/stat") { bytes in
      // After the name of the command, which may contain anything.
      guard let close = bytes.indices.last(where: { bytes[$0] == UInt8(ascii: ")") }),
        close + 2 < bytes.count
      else { return nil }
      var status = Status(state: bytes[close + 2])
      var field = 3
      var number: UInt64 = 0
      for index in close + 3..<bytes.count {
        let digit = UInt64(bytes[index] &- UInt8(ascii: "0"))
        if bytes[index] == UInt8(ascii: " ") {
          switch field {
          case 14, 15: status.ticks &+= number
          case 20: status.threads = number
          case 22:
            status.startTime = number
            return status
          default: break
          }
          field += 1
          number = 0
        } else if digit < 10 {
          number = number &* 10 &+ digit
        }
      }
      return nil
    }
  }
}
