internal import Glibc

/// A child of this process, and how it has ended.
package struct ChildStatus {
  package let pid: Int32
  /// As a shell says it: its exit status, or 128 and the signal; nil while it runs. 255 when
  /// somebody else has collected it.
  package private(set) var status: Int32?

  /// - Parameter pid: not collected yet.
  package init(of pid: Int32) { self.pid = pid }

  /// False once it has ended; it is collected then. Does not block.
  package mutating func isRunning() -> Bool {
    guard status == nil else { return false }
    var value: Int32 = 0
    let result = unsafe waitpid(pid, &value, WNOHANG)
    if result == pid {
      status = value & 0x7F == 0 ? value >> 8 & 0xFF : 128 + value & 0x7F
    } else if result < 0 && errno != EINTR {
      status = 255
    }
    return status == nil
  }

  /// A child that is not collected keeps its pid, so no stranger is signalled.
  package func signal(_ number: Int32) { if status == nil { kill(pid, number) } }
}
