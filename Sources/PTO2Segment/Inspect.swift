internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2System

extension Segment {
  /// What a core has acknowledged and not finished, in words; nil when nothing.
  /// For messages: every value read is checked, none is trusted.
  package func runningTask(core: Int) -> String? {
    let line = unsafe read(.dataMainBase) + core * MemoryLayout<pto2_dispatch_line>.stride
    for lane in 0..<Int(configuration.lanes) {
      let word = unsafe SharedWord(line + 4 * lane).loadAcquire()
      let cond = unsafe SharedWord(readCore(core) + 4 * lane).loadAcquire()
      guard word == cond, word & PTO2_COND_FIN == 0, word < PTO2_EXIT_SIGNAL, word >> 2 != 0 else {
        continue
      }
      let field = UInt64((word >> UInt32(PTO2_WORD_OFFSET_SHIFT)) & PTO2_WORD_OFFSET_MASK)
      guard field > 0 else { continue }
      let offset = layout.dispatchBase + (field - 1) << 3
      for ring in 0..<configuration.rings.count {
        let section = layout.section(.dispatchTable, ring: ring)
        guard offset >= section.offset, offset < section.offset + section.bytes else { continue }
        let index = (offset - section.offset) / UInt64(PTO2_DESC_STRIDE)
        guard index < UInt64(configuration.rings[ring].taskWindow) else { continue }
        let slot = unsafe (read(.mainRing, ring: ring) + Int(index) * Int(PTO2_MAIN_SLOT_STRIDE))
          .load(as: pto2_main_slot.self)
        let ids = [slot.kernel_ids.0, slot.kernel_ids.1, slot.kernel_ids.2]
        let subtask = Int(word & PTO2_WORD_SLOT_MASK)
        guard subtask < 3 else { continue }
        return
          "task \(slot.task_id >> 32):\(UInt32(truncatingIfNeeded: slot.task_id)), kernel \(kernelName(Int(ids[subtask])))"
      }
    }
    return nil
  }

  /// Where in the segment the core's last worker faulted, in words; nil when it did
  /// not. For messages, as above.
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
