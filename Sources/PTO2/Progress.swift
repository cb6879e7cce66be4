internal import Glibc
internal import PTO2System

/// Progress on standard error: one line rewritten on a terminal, a new line
/// every five seconds elsewhere.
final class Progress {
  private let isTerminal = isatty(STDERR_FILENO) == 1
  private let isQuiet: Bool
  private var nextTime: UInt64
  private var isShown = false

  init(isQuiet: Bool) {
    self.isQuiet = isQuiet
    nextTime = MonotonicClock.now() &+ 200_000_000
  }

  func show(_ text: String, _ fraction: Double) {
    guard !isQuiet else { return }
    let now = MonotonicClock.now()
    guard now >= nextTime else { return }
    nextTime = now &+ (isTerminal ? 200_000_000 : 5_000_000_000)
    let percent = Int((min(max(fraction, 0), 1) * 100).rounded())
    if isTerminal {
      writeRaw("\r\u{1B}[K\(percent) % \(text)")
      isShown = true
    } else {
      writeError("\(percent) % \(text)")
    }
  }

  func clear() {
    if isShown { writeRaw("\r\u{1B}[K") }
    isShown = false
  }

  private func writeRaw(_ text: String) {
    let bytes = [UInt8](text.utf8)
    _ = unsafe bytes.withUnsafeBytes {
      unsafe Glibc.write(STDERR_FILENO, $0.baseAddress!, $0.count)
    }
  }
}
