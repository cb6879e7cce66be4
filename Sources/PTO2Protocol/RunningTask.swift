internal import CPTO2ABI
package import PTO2Segment
internal import PTO2System

extension Segment {
  /// What a core has acknowledged and not finished, in words; nil when nothing.
  /// For messages: every value read is checked, none is trusted.
  package func runningTask(core: Int) -> String? {
    let line = unsafe read(.dataMainBase) + core * MemoryLayout<pto2_dispatch_line>.stride
    for lane in 0..<Int(configuration.lanes) {
      let word = unsafe DispatchWord(rawValue: SharedWord(line + 4 * lane).loadAcquire())
      let cond = unsafe ConditionWord(rawValue: SharedWord(readCore(core) + 4 * lane).loadAcquire())
      guard case .dispatch(let descriptor, let subtask) = word.content,
        cond.progress(of: word, after: nil) == .acknowledged
      else { continue }
      let offset = layout.dispatchBase + descriptor
      for ring in 0..<configuration.rings.count {
        let section = layout.section(.dispatchTable, ring: ring)
        guard offset >= section.offset, offset < section.offset + section.bytes else { continue }
        let index = (offset - section.offset) / UInt64(PTO2_DESC_STRIDE)
        guard index < UInt64(configuration.rings[ring].taskWindow) else { continue }
        let position = MainRing.slotOffset(UInt32(index))
        let slot = unsafe (read(.mainRing, ring: ring) + position).load(as: pto2_main_slot.self)
        let ids = [slot.kernel_ids.0, slot.kernel_ids.1, slot.kernel_ids.2]
        return
          "task \(slot.task_id >> 32):\(UInt32(truncatingIfNeeded: slot.task_id)), kernel \(kernelName(Int(ids[Int(subtask)])))"
      }
    }
    return nil
  }
}
