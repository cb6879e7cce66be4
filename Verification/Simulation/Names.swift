internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment

@testable internal import PTO2Scheduler

/// What lies at an address, for people.
final class Names {
  let base: UInt
  let layout: SegmentLayout
  /// Words that scheduler threads share.
  var own: [UInt: String] = [:]

  init(base: UInt, layout: SegmentLayout) {
    self.base = base
    self.layout = layout
  }

  func name(_ address: UInt) -> String {
    let offset = address &- base
    guard offset < UInt(layout.totalBytes),
      let section = layout.sections.last(where: { $0.offset <= UInt64(offset) })
    else { return own[address] ?? "scheduler's own \(String(address, radix: 16))" }
    let place = Int(offset) - Int(section.offset)
    switch section.kind {
    case .orchestratorWords: return orchestrator(place)
    case .schedulerWords: return scheduler(place)
    case .dataMainBase: return "DATA_MAIN_BASE \(coreName(place / 64)) lane \(place % 64 / 4)"
    case .cores:
      let core = coreName(place / Int(layout.coreStride))
      let within = place % Int(layout.coreStride)
      return switch within {
      case 0..<64: "COND \(core) lane \(within / 4)"
      case Int(PTO2_CORE_PARKED): "parked of \(core)"
      case Int(PTO2_CORE_READY): "READY of \(core)"
      default: "\(core) + \(within)"
      }
    case .consumedRing:
      let fields = [0: "task_id", 8: "state", 12: "fanout_head", 16: "references"]
      let field =
        place % 64 == MemoryLayout<pto2_consumed_entry>.offset(of: \.subtasks_left)
        ? "subtasks_left" : fields[place % 64] ?? "+ \(place % 64)"
      return "entry \(section.ring)[\(place / 64)].\(field)"
    case .slotStates:
      return
        "slot \(section.ring)[\(place / 8)].\(place % 8 == 0 ? "fanin_refcount" : "fanin_count")"
    default: return "\(section.kind) \(section.ring) + \(place)"
    }
  }

  private func orchestrator(_ place: Int) -> String {
    switch place {
    case Int(PTO2_ORCH_SUBMITTED): "submitted"
    case Int(PTO2_ORCH_PARKED): "orchestrator parked"
    case Int(PTO2_ORCH_TARGET): "orchestrator target"
    case Int(PTO2_ORCH_CONTROL): "control"
    case Int(PTO2_ORCH_PROCESS): "orchestrator pid"
    case Int(PTO2_ORCH_ERROR): "orchestrator error"
    case Int(PTO2_ORCH_RINGS)...: "current_task_index \((place - Int(PTO2_ORCH_RINGS)) / 64)"
    default: "orchestrator + \(place)"
    }
  }

  private func scheduler(_ place: Int) -> String {
    switch place {
    case Int(PTO2_SCHED_WIRED): return "wired"
    case Int(PTO2_SCHED_PARKED): return "scheduler parked"
    case Int(PTO2_SCHED_CONTROL): return "scheduler control"
    case Int(PTO2_SCHED_PROCESS): return "scheduler pid"
    case Int(PTO2_SCHED_ERROR): return "scheduler error"
    case Int(PTO2_SCHED_RINGS)..<Int(PTO2_SCHED_COUNTERS):
      let ring = (place - Int(PTO2_SCHED_RINGS)) / 64
      return "\(place % 64 == 0 ? "last_task_released" : "last_task_consumed") \(ring)"
    default: return "scheduler + \(place)"
    }
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
