internal import CPTO2Linux
internal import Glibc
internal import Synchronization

/// Nobody has read standard error lately: nothing waits for it until somebody does.
private let isErrorStuck = Atomic<Bool>(false)

/// One line to standard error. It is lost when nobody takes anything for a while.
/// - Parameter milliseconds: how long that is; less once a line was lost.
package func writeError(_ line: String, within milliseconds: Int32 = 200) {
  let bytes = [UInt8]((line + "\n").utf8)
  let limit = isErrorStuck.load(ordering: .relaxed) ? 0 : milliseconds
  let status = unsafe bytes.withUnsafeBytes {
    unsafe pto2_write_all(STDERR_FILENO, $0.baseAddress!, $0.count, limit)
  }
  isErrorStuck.store(status == -ETIMEDOUT, ordering: .relaxed)
}

/// fflush(3) of every stream.
/// - Returns: why standard output has not all been written, if it has not.
@discardableResult
package func flushOutput() -> SystemError? {
  let status = pto2_flush()
  return status == 0 ? nil : SystemError("write", "standard output", errno: -status)
}

/// Text to standard output, whole, however long its reader takes.
package func writeOutput(_ text: String) { _ = sendOutput(text) }

/// The same.
/// - Returns: why it has not all been written, if it has not.
package func sendOutput(_ text: String) -> SystemError? {
  let bytes = [UInt8](text.utf8)
  if bytes.isEmpty { return nil }
  let status = unsafe bytes.withUnsafeBytes {
    unsafe pto2_write_all(STDOUT_FILENO, $0.baseAddress!, $0.count, -1)
  }
  return status == 0 ? nil : SystemError("write", "standard output", errno: -status)
}

/// Descriptors 0, 1 and 2 are open from here on, and no other file gets such a number.
package func holdStandardDescriptors() { pto2_hold_standard() }
