internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment

@testable internal import PTO2Scheduler

/// What lies at an address, for people.
final class Names {
  let segment: SegmentReader
  /// Words that scheduler threads share.
  var own: [UInt: String] = [:]
  /// Words of the segment.
  private lazy var words = wordsByAddress()

  init(_ segment: SegmentReader) { self.segment = segment }

  /// It is of this segment, or of its scheduler's own words.
  func has(_ address: UInt) -> Bool {
    let offset = address &- UInt(bitPattern: unsafe segment.base)
    return offset < UInt(segment.layout.totalBytes) || own[address] != nil
  }

  func name(_ address: UInt) -> String {
    if let name = own[address] ?? words[address] { return name }
    let offset = address &- UInt(bitPattern: unsafe segment.base)
    guard let section = segment.layout.section(at: UInt64(offset)) else {
      return "scheduler's own \(String(address, radix: 16))"
    }
    let name = segment.layout.sectionName(at: UInt64(offset))
    return "\(name) + \(UInt64(offset) - section.offset)"
  }

  private func wordsByAddress() -> [UInt: String] {
    var words: [UInt: String] = [:]
    func add(_ word: SharedWord, _ name: String) {
      words[UInt(bitPattern: unsafe word.address)] = name
    }
    func add<Value>(_ cell: Cell<Value>, _ name: String) {
      words[UInt(bitPattern: unsafe cell.address)] = name
    }
    let orchestrator = segment.orchestratorPage
    add(orchestrator.submitted, "submitted")
    add(orchestrator.woken, "woken")
    add(orchestrator.parked, "orchestrator parked")
    add(orchestrator.target, "orchestrator target")
    add(orchestrator.control, "control")
    add(orchestrator.process.pidWord, "orchestrator pid")
    add(orchestrator.error.code, "orchestrator error")
    let scheduler = segment.schedulerPage
    add(scheduler.wired, "wired")
    add(scheduler.parked, "scheduler parked")
    add(scheduler.control, "scheduler control")
    add(scheduler.process.pidWord, "scheduler pid")
    add(scheduler.error.code, "scheduler error")
    if segment.configuration.hasLink {
      add(scheduler.transfersStarted, "transfers_started")
      add(segment.linkPage.ended, "ended of the link")
      add(segment.linkPage.parked, "parked of the link")
    }
    for core in (0..<segment.configuration.coreCount).map({ CoreID($0) }) {
      let (line, page) = (segment.dispatchLanes(core.index), segment.corePage(core.index))
      for lane in 0..<UInt32(PTO2_MAX_LANES) {
        add(line.word(lane), "DATA_MAIN_BASE \(core) lane \(lane)")
        add(page.cond(lane), "COND \(core) lane \(lane)")
      }
      add(page.parked, "parked of \(core)")
      add(page.ready, "READY of \(core)")
    }
    for ring in segment.configuration.rings.indices {
      add(orchestrator.currentTaskIndex(ring), "current_task_index \(ring)")
      add(scheduler.wired(ring), "wired \(ring)")
      add(scheduler.released(ring), "last_task_released \(ring)")
      add(scheduler.consumed(ring), "last_task_consumed \(ring)")
      for index in 0..<segment.entries(ring).count {
        let entry = segment.entries(ring)[index]
        add(entry.state, "entry \(ring)[\(index)].state")
        add(entry.fanoutHead, "entry \(ring)[\(index)].fanout_head")
        add(entry.references, "entry \(ring)[\(index)].references")
        add(entry.subtasksLeft, "entry \(ring)[\(index)].subtasks_left")
      }
      for index in 0..<segment.states(ring).count {
        add(segment.states(ring)[index].faninRefcount, "slot \(ring)[\(index)].fanin_refcount")
      }
    }
    return words
  }
}

extension SegmentReader {
  /// The scheduler's entries, and its fanin counts: to be looked at, not stored to.
  func entries(_ ring: Int) -> RingTable<ConsumedEntry> {
    unsafe RingTable(
      read(.consumedRing, ring: ring), count: configuration.rings[ring].consumedWindow)
  }
  func states(_ ring: Int) -> RingTable<SlotState> {
    unsafe RingTable(read(.slotStates, ring: ring), count: configuration.rings[ring].taskWindow)
  }
}

extension Checks {
  func name(_ address: UInt) -> String { names.name(address) }
}

extension Names {
  func learn(_ shared: SchedulerState) {
    func add<Word>(_ word: Cell<Word>, _ name: String) {
      own[unsafe UInt(bitPattern: word.address)] = name
    }
    let words = shared.words
    add(words.failed, "failed")
    add(words.isStopping, "isStopping")
    add(words.logLock, "logLock")
    add(words.dispatchLock, "dispatchLock")
    add(words.intake, "intake")
    add(words.logWired, "log.wired")
    for subtask in 0..<3 { add(words.freed(subtask), "freed \(subtask)") }
    let configuration = shared.segment.configuration
    for thread in 0..<Int(configuration.schedulerThreads) {
      add(words.bell(thread), "bell \(thread)")
    }
    for index in configuration.rings.indices {
      let ring = shared.rings[index]
      add(words.releasedLock(index), "releasedLock \(index)")
      add(words.consumedLock(index), "consumedLock \(index)")
      add(ring.wired, "ring \(index) wired")
      add(ring.released.position, "ring \(index) released")
      add(ring.consumed.position, "ring \(index) consumed")
      add(ring.heapTail, "ring \(index) heapTail")
      add(ring.poolTail, "ring \(index) poolTail")
    }
    for core in 0..<configuration.coreCount {
      add(shared.cores[core].started, "started of \(coreName(core))")
      add(shared.cores[core].retired, "retired of \(coreName(core))")
    }
  }
}
