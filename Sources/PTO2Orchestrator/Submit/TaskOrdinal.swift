internal import PTO2Protocol

/// A task as the orchestrator remembers it: ring and a 64-bit ordinal, which
/// never wraps within a run. Its low 32 bits are the local id.
struct TaskOrdinal: Hashable, BitwiseCopyable {
  let rawValue: UInt64

  /// No task. Ordinals start above 2^32, so no task looks like it.
  static let none = TaskOrdinal(rawValue: 0)

  init(rawValue: UInt64) { self.rawValue = rawValue }

  @inline(__always)
  init(ring: Int, ordinal: UInt64) {
    rawValue = UInt64(truncatingIfNeeded: ring) << 56 | ordinal
  }

  @inline(__always)
  var ring: Int { Int(truncatingIfNeeded: rawValue >> 56) }
  @inline(__always)
  var ordinal: UInt64 { rawValue & 0x00FF_FFFF_FFFF_FFFF }
  @inline(__always)
  var id: TaskID { TaskID(ring: ring, local: UInt32(truncatingIfNeeded: ordinal)) }
}
