internal import CPTO2Linux
internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2System

/// Calls a core's kernels, counts them in the core's page, and times some of them.
struct KernelCounters {
  private let page: OwnedCoreCounters

  init(_ page: OwnedCoreCounters) { self.page = page }

  /// Two clock readings cost as much as a small kernel: while kernels are shorter
  /// than 2 us on average, one in sixteen is timed. A kernel may have spoilt the page:
  /// then the report has no counters of this core, and how many are timed is a guess.
  @inline(__always)
  func run(_ function: UInt, _ arguments: UnsafePointer<pto2_kernel_args>) {
    // What the kernel before has left would give this one other results than a worker
    // that was started again.
    pto2_check_floating()
    if page.kernels.value & 15 == 0
      || page.timedNanoseconds.value >= page.timedKernels.value &* Self.shortNanoseconds
    {
      let begin = MonotonicClock.now()
      unsafe pto2_call(function, arguments)
      let nanoseconds = MonotonicClock.now() &- begin
      // First: never are more timed than have run.
      page.kernels.value &+= 1
      page.timedNanoseconds.value &+= nanoseconds
      page.timedKernels.value &+= 1
    } else {
      unsafe pto2_call(function, arguments)
      page.kernels.value &+= 1
    }
  }

  /// The same, recorded; all of them are timed.
  func run(
    _ function: UInt, _ arguments: UnsafePointer<pto2_kernel_args>, _ task: TaskID,
    detail: UInt32, _ trace: TraceWriter
  ) {
    pto2_check_floating()
    let begin = MonotonicClock.now()
    trace.note(.begun, task, at: begin, detail: detail)
    unsafe pto2_call(function, arguments)
    let end = MonotonicClock.now()
    page.kernels.value &+= 1
    page.timedNanoseconds.value &+= end &- begin
    page.timedKernels.value &+= 1
    trace.note(.ended, task, at: end, detail: detail)
  }

  private static var shortNanoseconds: UInt64 { 2000 }

  func notePark() { page.parks.value &+= 1 }

  /// Goes on counting where the worker before has stopped.
  func resume() {
    if !page.whole.isPlausible { page.whole = pto2_core_counters() }
  }
}
