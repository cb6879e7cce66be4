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
