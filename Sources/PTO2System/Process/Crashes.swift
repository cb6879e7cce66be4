package import PTO2Protocol

#if !PTO2_SIMULATION
  internal import CPTO2Linux
#endif

/// For the calling thread: a signal it raises itself is written to `record`
/// (`pto2_crash_record`) before the process dies of it, the address as an offset if it
/// lies in the segment.
package func recordCrashes(at record: UnsafeMutableRawPointer, in segment: SegmentBytes) {
  #if !PTO2_SIMULATION
    unsafe pto2_record_crashes(
      record.assumingMemoryBound(to: pto2_crash.self), segment.base, segment.count)
  #endif
}

/// The calling thread runs no more kernels: it may end.
package func endCrashRecord() {
  #if !PTO2_SIMULATION
    pto2_end_crash_record()
  #endif
}

/// Words for what a thread left beside the signal; nil for where it stored or loaded.
/// - Parameter text: of an exception.
package func crashNote(_ access: UInt32, text: String) -> String? {
  switch access {
  case 4: "an overflow of its stack (\(coreStackBytes >> 20) MiB)"
  case 5: "pthread_exit(3), which ends the core's thread"
  case 6: "the C++ exception \(text), which nothing caught"
  default: nil
  }
}
