internal import CPTO2Linux
internal import Glibc

/// One line on standard error that is written again and again; nothing unless that is
/// a terminal.
package struct StatusLine {
  package let isTerminal = isatty(STDERR_FILENO) == 1
  private var isShown = false
  package init() {}

  package mutating func show(_ text: String) {
    guard isTerminal else { return }
    write("\r\u{1B}[K" + text)
    isShown = true
  }

  /// Before anything else is written.
  package mutating func clear() {
    if isShown { write("\r\u{1B}[K") }
    isShown = false
  }

  private func write(_ text: String) {
    let bytes = [UInt8](text.utf8)
    _ = unsafe bytes.withUnsafeBytes {
      unsafe pto2_write_all(STDERR_FILENO, $0.baseAddress!, $0.count, 0)
    }
  }
}
