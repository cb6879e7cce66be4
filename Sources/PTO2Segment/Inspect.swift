internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2System

extension Segment {
  /// Where in the segment the core's last worker faulted, in words; nil when it did
  /// not. For messages: every value read is checked, none is trusted.
  package func crashPlace(core: Int) -> String? {
    let record = unsafe (readCore(core) + Int(PTO2_CORE_CRASH))
      .assumingMemoryBound(to: pto2_crash_record.self)
    let signal = unsafe SharedWord(UnsafeRawPointer(record)).loadAcquire()
    guard (1...31).contains(signal) else { return nil }
    let offset = unsafe record.pointee.offset
    guard offset < layout.totalBytes,
      let section = layout.sections.last(where: { $0.offset <= offset })
    else { return nil }
    let access =
      switch unsafe record.pointee.access {
      case PTO2_CRASH_LOAD: "a load from"
      case PTO2_CRASH_STORE: "a store to"
      case PTO2_CRASH_CALL: "a call into"
      default: "an access to"
      }
    var inside = offset - section.offset
    var name = layout.sectionName(at: offset)
    if section.kind == .cores {
      let page = Int(inside / layout.coreStride)
      name = page < configuration.coreCount ? "the page of core \(coreName(page))" : name
      inside %= layout.coreStride
    }
    return "\(access) \(name) (byte \(inside), segment offset \(offset))"
  }

  /// True while another process takes part.
  package func hasPeers() -> Bool { object.isLocked(byte: Place.liveness.byte) }
}
