public import CPTO2Segment

/// A place in the submission log. Writer: the orchestrator; published by `submitted`.
@safe @frozen @usableFromInline
package struct LogPlace: RecordView {
  @usableFromInline let record: UnsafeMutablePointer<pto2_log_record>

  @inlinable @inline(__always)
  package static var stride: Int { MemoryLayout<pto2_log_record>.stride }

  @inlinable @inline(__always)
  package init(at base: UnsafeRawPointer) {
    unsafe record = UnsafeMutableRawPointer(mutating: base)
      .assumingMemoryBound(to: pto2_log_record.self)
  }

  @inlinable @inline(__always)
  package var content: pto2_log_record { unsafe record.pointee }

  /// The orchestrator's: others map the log read-only.
  @inlinable @inline(__always)
  package func store(_ value: pto2_log_record) { unsafe record.pointee = value }
}
