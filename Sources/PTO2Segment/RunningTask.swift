package import PTO2Protocol

extension Segment {
  /// What a core has acknowledged and not finished, in words; nil when nothing.
  /// For messages: every value read is checked, none is trusted.
  package func runningTask(core: Int) -> String? {
    let line = dispatchLine(core)
    let page = corePage(core)
    for lane in 0..<configuration.lanes {
      let word = DispatchWord(rawValue: line.word(lane).loadAcquire())
      let cond = ConditionWord(rawValue: page.cond(lane).loadAcquire())
      guard case .dispatch(let offset, let subtask) = word.content,
        cond.progress(of: word, after: nil) == .acknowledged,
        let slot = mainSlot(ofDescriptor: offset)
      else { continue }
      return "task \(slot.taskID), kernel \(kernelName(slot.kernelID(subtask)))"
    }
    return nil
  }

  /// The main slot of the task whose descriptor lies so many bytes from dispatch_base;
  /// nil when no ring has one there.
  package func mainSlot(ofDescriptor offset: UInt64) -> MainSlot? {
    for ring in 0..<configuration.rings.count {
      let section = layout.section(.dispatchTable, ring: ring)
      let begin = section.offset - layout.dispatchBase
      guard offset >= begin, offset - begin < section.bytes else { continue }
      let index = (offset - begin) / UInt64(Descriptor.stride)
      guard index < UInt64(configuration.rings[ring].taskWindow) else { return nil }
      return mainRing(ring)[UInt32(index)]
    }
    return nil
  }
}
