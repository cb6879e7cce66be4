internal import CPTO2Linux
internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2System

/// Calls a core's kernels, counts them and times some of them.
struct KernelCounters {
  private var counts = pto2_core_counters()
  /// In the core's page.
  private let record: Cell<pto2_core_counters>

  init(_ record: Cell<pto2_core_counters>) { self.record = record }

  /// Two clock readings cost as much as a small kernel: while kernels are shorter
  /// than 2 us on average, one in sixteen is timed.
  @inline(__always)
  mutating func run(_ function: UInt, _ arguments: UnsafePointer<pto2_kernel_args>) {
    counts.kernels &+= 1
    // What a worker that is killed has done is known up to here.
    if counts.kernels & 255 == 0 { publish() }
    if counts.kernels & 15 == 0
      || counts.timed_nanoseconds >= counts.timed_kernels &* Self.shortNanoseconds
    {
      let begin = MonotonicClock.now()
      unsafe pto2_call(function, arguments)
      counts.timed_nanoseconds &+= MonotonicClock.now() &- begin
      counts.timed_kernels &+= 1
    } else {
      unsafe pto2_call(function, arguments)
    }
  }

  private static var shortNanoseconds: UInt64 { 2000 }

  mutating func notePark() {
    counts.parks &+= 1
    publish()
  }

  /// Goes on counting where the worker before has published its counters.
  mutating func resume() {
    let counted = record.value
    if counted.isPlausible { counts = counted }
  }

  func publish() { record.value = counts }
}
