internal import PTO2System

/// How long one scheduler thread has seen no progress of what it answers for.
///
/// Only time between looks counts, and of that at most `maximumStep` a look: a
/// process that was itself stopped or starved has seen nothing.
struct StallWatch {
  /// 0 = no limit.
  let limitNanoseconds: UInt64
  private var mark: UInt64 = 0
  private var lastLook: UInt64 = 0
  private(set) var nanoseconds: UInt64 = 0

  private static let maximumStep: UInt64 = 100_000_000

  init(limitMilliseconds: UInt32) { limitNanoseconds = UInt64(limitMilliseconds) * 1_000_000 }

  var isEnabled: Bool { limitNanoseconds > 0 }

  /// Takes back what was counted since.
  mutating func rewind(to nanoseconds: UInt64) {
    self.nanoseconds = min(nanoseconds, self.nanoseconds)
  }

  /// - Parameter progress: a number that changes with every progress.
  /// - Returns: true when the limit has passed without any.
  mutating func isStalled(progress: UInt64, now: UInt64) -> Bool {
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
