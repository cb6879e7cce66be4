/// How long somebody has seen no progress of what it answers for.
///
/// Only time between looks counts, and of that at most `maximumStep` a look: a
/// process that was itself stopped or starved has seen nothing.
package struct StallWatch {
  /// 0 = no limit.
  package let limitNanoseconds: UInt64
  private var mark: UInt64 = 0
  private var lastLook: UInt64 = 0
  package private(set) var nanoseconds: UInt64 = 0

  private static let maximumStep: UInt64 = 100_000_000

  package init(limitMilliseconds: UInt32) {
    limitNanoseconds = UInt64(limitMilliseconds) * 1_000_000
  }

  /// For a process that runs and gets nowhere: at least 5 s, for ever when a stopped
  /// one is waited for for ever.
  package init(stopGraceMilliseconds: UInt32) {
    self.init(
      limitMilliseconds: stopGraceMilliseconds == 0 ? 0 : max(stopGraceMilliseconds, 5000))
  }

  package var isEnabled: Bool { limitNanoseconds > 0 }

  /// The limit in words.
  package var limitText: String { "\(Double(limitNanoseconds) / 1e9) s" }

  /// Discards the time counted beyond `nanoseconds`.
  package mutating func rewind(to nanoseconds: UInt64) {
    self.nanoseconds = min(nanoseconds, self.nanoseconds)
  }

  /// - Parameter progress: a number that changes with every progress.
  /// - Returns: true when the limit has passed without any.
  package mutating func isStalled(progress: UInt64, now: UInt64) -> Bool {
    let step = lastLook == 0 ? 0 : min(now &- lastLook, Self.maximumStep)
    lastLook = now
    if progress != mark {
      mark = progress
      nanoseconds = 0
      return false
    }
    nanoseconds &+= step
    return isEnabled && nanoseconds >= limitNanoseconds
  }
}
