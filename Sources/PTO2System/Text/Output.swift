internal import Glibc

/// One line to standard error.
package func writeError(_ line: String) {
  let bytes = [UInt8]((line + "\n").utf8)
  _ = unsafe bytes.withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress!, $0.count) }
}

/// fflush(3) of every stream.
package func flushOutput() { fflush(nil) }

/// Text to standard output, whole.
package func writeOutput(_ text: String) {
  let bytes = [UInt8](text.utf8)
  var sent = 0
  while sent < bytes.count {
    let count = unsafe bytes.withUnsafeBytes {
      unsafe write(STDOUT_FILENO, $0.baseAddress! + sent, $0.count - sent)
    }
    if count <= 0 { return }
    sent += count
  }
}
