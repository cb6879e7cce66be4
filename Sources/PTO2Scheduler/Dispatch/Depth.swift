internal import CPTO2Segment
internal import PTO2Protocol

/// How many dispatches a core may have without FIN.
///
/// A scheduler that works ahead need not be awake when a kernel ends. What it needs to
/// stay ahead is time, so the depth follows how long kernels take: many short ones, few
/// long ones, which another core may be free for sooner. All cores of a kind have the same
/// depth, though some may be slower: one that could be given more than the others would be
/// given whole steps of a stencil, for which the others then wait.
enum Depth {
  /// What lies before a core that the scheduler has just left is to last so long.
  private static let aheadNanoseconds: UInt64 = 2_000_000

  /// Until something is known of the core's kernels. Several threads do not work ahead.
  static func first(_ lanes: UInt32, threads: UInt32) -> UInt32 {
    min(lanes, threads == 1 ? 4 : 2)
  }

  /// - Parameter nanoseconds: mean of the kernels of late.
  static func suiting(_ nanoseconds: UInt64, lanes: UInt32) -> UInt32 {
    let count = aheadNanoseconds / max(nanoseconds, 1)
    return min(lanes, max(2, UInt32(truncatingIfNeeded: min(count, UInt64(lanes)))))
  }

  /// Fewer behind the dispatch that a core finishes, and it wakes the scheduler. With two
  /// in all, each may be what somebody waits for.
  static func wakeBelow(_ depth: UInt32) -> UInt32 { depth <= 2 ? depth : depth / 2 }
}

/// Kernels that were timed, and how long they took together.
struct KernelTimes {
  private var kernels: UInt64 = 0
  private var nanoseconds: UInt64 = 0

  /// Nil when there are none.
  var mean: UInt64? { kernels == 0 ? nil : nanoseconds / kernels }

  /// Adds what a core has counted in its page since the last look, `last`; nothing when a
  /// kernel has spoilt the page.
  mutating func add(_ counters: pto2_core_counters, since last: inout KernelTimes) {
    let (count, time) = (counters.timed_kernels, counters.timed_nanoseconds)
    guard counters.isPlausible else { return }
    if count > last.kernels && time >= last.nanoseconds {
      kernels += count - last.kernels
      nanoseconds += time - last.nanoseconds
    }
    (last.kernels, last.nanoseconds) = (count, time)
  }
}

extension SchedulerThread {
  /// Fits the depth of the cores to what kernels take on them. The dispatcher's holder.
  mutating func updateDepths() {
    guard !S.isShared else { return }
    updateDepths(ofMatrix: true)
    updateDepths(ofMatrix: false)
  }

  private mutating func updateDepths(ofMatrix isMatrix: Bool) {
    var times = KernelTimes()
    for index in 0..<cores.count where (CoreID(index).subtask == 0) == isMatrix {
      cores[index].addKernelTimes(to: &times)
    }
    guard let mean = times.mean else { return }
    let depth = Depth.suiting(mean, lanes: cores.laneCount)
    for index in 0..<cores.count where (CoreID(index).subtask == 0) == isMatrix {
      let core = cores[index]
      if depth == core.depth.value { continue }
      core.depth.value = depth
      dispatcher.ofOnlyThread.table.updateRoom(CoreID(index), core, S.self)
    }
  }
}
