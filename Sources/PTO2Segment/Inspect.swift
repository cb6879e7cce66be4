internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2System

/// What is going on, in words. Every value read is checked, none is trusted.
extension SegmentViews where Self: ~Copyable {
  /// What a core has acknowledged and not finished; nil when nothing.
  package func runningTask(core: Int) -> String? {
    let (line, page) = (dispatchLanes(core), corePage(core))
    for lane in 0..<configuration.lanes {
      let word = DispatchWord(rawValue: line.word(lane).loadAcquire())
      let cond = ConditionWord(rawValue: page.cond(lane).loadAcquire())
      guard case .dispatch(let offset, let subtask) = word.content,
        cond.progress(of: word, after: nil) == .acknowledged,
        let (ring, index) = place(ofDescriptorAt: offset)
      else { continue }
      let slot = mainRing(ring)[index]
      return "task \(slot.taskID), kernel \(kernelName(slot.kernelID(subtask)))"
    }
    return nil
  }

  /// A worker serves the core.
  package func isServed(core: Int) -> Bool {
    let ready = corePage(core).ready.loadAcquire()
    return ready != 0 && ready != schedulerPage.fenced(core).loadAcquire()
  }

  /// The lane whose kernel the core runs, as its COND words alone say.
  package func runningLane(core: Int) -> UInt32? {
    guard isServed(core: core) else { return nil }
    return (0..<configuration.lanes).first {
      let cond = DispatchWord(rawValue: corePage(core).cond($0).loadAcquire())
      if case .dispatch = cond.content { return true }
      return false
    }
  }

  /// The ring and the index there of the descriptor that lies so far from dispatch_base;
  /// nil where none begins.
  package func place(ofDescriptorAt offset: UInt64) -> (ring: Int, index: UInt32)? {
    guard let section = layout.section(at: layout.dispatchBase + offset),
      section.kind == .dispatchTable
    else { return nil }
    let (index, rest) = (layout.dispatchBase + offset - section.offset)
      .quotientAndRemainder(dividingBy: section.kind.spec.stride)
    guard rest == 0, index < UInt64(configuration.rings[section.ring].taskWindow) else {
      return nil
    }
    return (section.ring, UInt32(index))
  }

  /// The name of a kernel id.
  package func kernelName(_ id: Int) -> String {
    id >= 0 && id < kernelRecords.count ? kernelRecords[id].name : "kernel #\(id)"
  }

  /// Where in the segment the core's last worker faulted; nil when it did not.
  package func crashPlace(core: Int) -> String? {
    let page = corePage(core)
    guard (1...31).contains(page.crashSignal.loadAcquire()) else { return nil }
    let crash = page.crash
    if let note = crashNote(crash.access, text: crash.words) { return note }
    guard let section = layout.section(at: crash.offset) else { return nil }
    let access =
      switch crash.access {
      case PTO2_CRASH_LOAD: "a load from"
      case PTO2_CRASH_STORE: "a store to"
      case PTO2_CRASH_CALL: "a call into"
      default: "an access to"
      }
    var inside = crash.offset - section.offset
    var name = layout.sectionName(at: crash.offset)
    if section.kind == .cores {
      let core = CoreID(Int(inside / layout.coreStride))
      if core.index < configuration.coreCount { name = "the page of core \(core)" }
      inside %= layout.coreStride
    }
    return "\(access) \(name) (byte \(inside), segment offset \(crash.offset))"
  }
}

extension pto2_crash_record {
  /// `text` as far as it can be printed: a kernel may have written there.
  var words: String {
    unsafe withUnsafeBytes(of: text) { bytes in
      let known = unsafe bytes.prefix { $0 != 0 }.map { $0 < 0x20 || $0 == 0x7F ? 0x3F : $0 }
      return String(decoding: known, as: UTF8.self)
    }
  }
}

extension Segment {
  /// True while another process takes part.
  package func hasPeers() -> Bool { object.isLocked(.liveness) }
}
