internal import CPTO2Segment
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
  func learn(_ shared: SharedState) {
    func add<Word>(_ word: UnsafeMutablePointer<Word>, _ name: String) {
      own[UInt(bitPattern: word)] = name
    }
    let lines = unsafe shared.lines
    unsafe add(lines.failed, "failed")
    unsafe add(lines.isStopping, "isStopping")
    unsafe add(lines.logLock, "logLock")
    unsafe add(lines.dispatchLock, "dispatchLock")
    unsafe add(lines.intake, "intake")
    for slot in 0..<3 { unsafe add(lines.freed(slot), "freed \(slot)") }
    let configuration = shared.segment.configuration
    for thread in 0..<Int(configuration.schedulerThreads) {
      unsafe add(lines.bell(thread), "bell \(thread)")
    }
    unsafe add(&shared.log.pointee.wired, "log.wired")
    for ring in configuration.rings.indices {
      let state = unsafe shared.rings + ring
      unsafe add(lines.releasedLock(ring), "releasedLock \(ring)")
      unsafe add(lines.consumedLock(ring), "consumedLock \(ring)")
      unsafe add(&state.pointee.wired, "ring \(ring) wired")
      unsafe add(&state.pointee.released, "ring \(ring) released")
      unsafe add(&state.pointee.consumedPosition, "ring \(ring) consumed")
      unsafe add(&state.pointee.heapTail, "ring \(ring) heapTail")
      unsafe add(&state.pointee.poolTail, "ring \(ring) poolTail")
    }
    for core in 0..<configuration.coreCount {
      let state = unsafe shared.dispatcher.pointee.cores.cores + core
      unsafe add(&state.pointee.started, "started of \(coreName(core))")
      unsafe add(&state.pointee.retired, "retired of \(coreName(core))")
    }
  }
}
