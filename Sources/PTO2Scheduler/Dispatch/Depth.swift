internal import CPTO2Segment
internal import PTO2Protocol

/// How many dispatches a core may have without FIN.
///
/// A scheduler that works ahead need not be awake when a kernel ends. What it needs to
/// stay ahead is time, so the depth follows how long the core's kernels take: many short
/// ones, few long ones, which another core may be free for sooner.
enum Depth {
  /// What lies before a core that the scheduler has just left is to last so long.
  private static let aheadNanoseconds: UInt64 = 2_000_000

  /// Until something is known of the core's kernels. Several threads do not work ahead.
  static func first(_ lanes: UInt32, threads: UInt32) -> UInt32 {
    min(lanes, threads == 1 ? 4 : 2)
  }

  /// - Parameter nanoseconds: mean of the core's kernels of late.
  static func suiting(_ nanoseconds: UInt64, lanes: UInt32) -> UInt32 {
    let count = aheadNanoseconds / max(nanoseconds, 1)
    return min(lanes, max(2, UInt32(truncatingIfNeeded: min(count, UInt64(lanes)))))
  }

  /// Fewer behind the dispatch that a core finishes, and it wakes the scheduler. With two
  /// in all, each may be what somebody waits for.
  static func wakeBelow(_ depth: UInt32) -> UInt32 { depth <= 2 ? depth : depth / 2 }
}

/// How long a core's kernels take, from what it counts in its page.
struct KernelTimes {
  private var kernels: UInt64 = 0
  private var nanoseconds: UInt64 = 0

  /// Mean since the last look; nil when no kernel was timed meanwhile, or the page is
  /// spoilt.
  mutating func mean(_ counters: pto2_core_counters) -> UInt64? {
    let (count, time) = (counters.timed_kernels, counters.timed_nanoseconds)
    defer { (kernels, nanoseconds) = (count, time) }
    guard count > kernels, time >= nanoseconds else { return nil }
    return (time - nanoseconds) / (count - kernels)
  }
}

extension SchedulerThread {
  /// Fits the depth of every own core to what its kernels take. The dispatcher's holder.
  mutating func updateDepths() {
    guard !S.isShared else { return }
    for index in 0..<cores.count {
      let core = cores[index]
      guard let mean = core.meanKernelTime() else { continue }
      let depth = Depth.suiting(mean, lanes: cores.laneCount)
      guard depth != core.depth.value else { continue }
      core.depth.value = depth
      dispatcher.ofOnlyThread.table.updateRoom(CoreID(index), core, S.self)
    }
  }
}
