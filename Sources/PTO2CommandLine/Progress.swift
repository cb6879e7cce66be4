internal import PTO2System

/// Progress on standard error: one line rewritten on a terminal, a new line
/// every five seconds elsewhere.
final class Progress {
  private var line = StatusLine()
  private let isQuiet: Bool
  private var nextTime: UInt64

  init(isQuiet: Bool) {
    self.isQuiet = isQuiet
    nextTime = MonotonicClock.now() &+ 200_000_000
  }

  func show(_ text: String, _ fraction: Double) {
    guard !isQuiet else { return }
    let now = MonotonicClock.now()
    guard now >= nextTime else { return }
    nextTime = now &+ (line.isTerminal ? 200_000_000 : 5_000_000_000)
    let percent = Int((min(max(fraction, 0), 1) * 100).rounded())
    if line.isTerminal {
      line.show("\(percent) % \(text)")
    } else {
      writeError("\(percent) % \(text)")
    }
  }

  func clear() { line.clear() }
}
