internal import CPTO2Segment
internal import CSimulation
internal import PTO2Protocol
internal import PTO2Segment

/// The invariants of the protocol, looked at just before each store of a word:
/// nobody stores anything between the look and the store.
final class Checks {
  private let base: UInt
  private let layout: SegmentLayout
  let names: Names
  private let configuration: Configuration
  private let plan: Plan
  /// Section of each page.
  private var pages: [UInt8] = []
  private let orchestrator: UInt
  private let scheduler: UInt
  private let lines: UInt
  private let cores: UInt
  private let first: UInt32

  /// Kernels of each task that have begun: a bit per slot and block.
  private var begun: [UInt64]
  private var kernelsLeft: [Int]
  var hasCrashed = false
  /// Tasks that may have FAILED, or come after such.
  private var mayFail: [Bool]
  /// The newest kernel of each core, until its worker dies.
  private var newest: [(task: Int, bit: UInt64, hasEnded: Bool)?]
  /// The last dispatch of each lane: EXIT may stand over it when a session is
  /// aborted.
  private var dispatched: [UInt32]
  private let fail: (String, String) -> Void

  init(
    _ scenario: Scenario, layout: SegmentLayout, base: UInt,
    fail: @escaping (String, String) -> Void
  ) {
    self.base = base
    self.layout = layout
    names = Names(base: base, layout: layout)
    configuration = scenario.configuration
    plan = scenario.plan
    self.fail = fail
    first = configuration.firstPosition
    for (index, section) in layout.sections.enumerated() {
      pages += Array(repeating: UInt8(index), count: Int(section.bytes >> 12))
    }
    func address(_ kind: SectionKind) -> UInt { base + UInt(layout.section(kind).offset) }
    orchestrator = address(.orchestratorWords)
    scheduler = address(.schedulerWords)
    lines = address(.dataMainBase)
    cores = address(.cores)
    begun = Array(repeating: 0, count: plan.tasks.count)
    dispatched = Array(
      repeating: PTO2_SCHEDULER_IDLE, count: configuration.coreCount * Int(PTO2_MAX_LANES))
    kernelsLeft = plan.tasks.map(\.kernels)
    mayFail = Array(repeating: false, count: plan.tasks.count)
    newest = Array(repeating: nil, count: configuration.coreCount)
  }

  private func require(
    _ condition: Bool, _ invariant: String, _ detail: @autoclosure () -> String
  ) { if !condition { fail(invariant, detail()) } }

  // MARK: Kernels

  func kernel(ends: Bool, task: Int, slot: UInt32, block: UInt32, core: Int) {
    guard task < plan.tasks.count else { return fail("each task once", "there is no task \(task)") }
    let what = plan.tasks[task]
    let bit = UInt64(1) << UInt64(slot + 3 * block)
    newest[core] = (task, bit, ends)
    if ends {
      kernelsLeft[task] -= 1
      return
    }
    require(
      what.runs && what.mask >> slot & 1 != 0 && block < what.blocks && begun[task] & bit == 0,
      "each task once", "task \(task) slot \(slot) block \(block) begins again, or must not")
    begun[task] |= bit
    for producer in what.producers {
      require(
        kernelsLeft[producer] == 0 || mayFail[producer], "producers first",
        "task \(task) begins before its producer \(producer) is done")
    }
  }

  /// A worker was killed: what its core had acknowledged and not finished may
  /// begin a second time. What it had finished may not.
  func workerDied(core: Int) {
    for lane in 0..<Int(configuration.lanes) {
      let word = dispatched[core * 8 + lane]
      let cond = sim_peek(cores + UInt(core) * UInt(layout.coreStride) + 4 * UInt(lane))
      guard cond == word,
        case .dispatch(let offset, let slot) = DispatchWord(rawValue: word).content
      else { continue }
      if let last = newest[core] {
        begun[last.task] &= ~last.bit
        if last.hasEnded { kernelsLeft[last.task] += 1 }
      }
      // It may FAIL now; who comes after it in any way need not wait for its end.
      let descriptor = base + UInt(layout.dispatchBase + offset)
      let call = CallWord(rawValue: sim_peek64(descriptor + 8 * UInt(slot)))
      let lost = Int(sim_peek64(descriptor + 8 * UInt(Int(PTO2_SLOTS) + call.tensors)))
      for task in plan.tasks.indices {
        mayFail[task] = task == lost || plan.tasks[task].producers.contains { mayFail[$0] }
      }
    }
    newest[core] = nil
  }

  /// Tasks with kernels that have not run.
  var unfinished: [Int] { kernelsLeft.indices.filter { kernelsLeft[$0] != 0 } }

  // MARK: Words

  private var hasScheduler: Bool {
    sim_peek(scheduler + UInt(PTO2_SCHED_CONTROL)) != PTO2_SCHED_ABSENT
  }
  private func released(_ ring: Int) -> UInt32 {
    hasScheduler
      ? sim_peek(scheduler + UInt(PTO2_SCHED_RINGS) + 64 * UInt(ring) + UInt(PTO2_SCHED_RELEASED))
      : first
  }
  private func consumed(_ ring: Int) -> UInt32 {
    hasScheduler
      ? sim_peek(scheduler + UInt(PTO2_SCHED_RINGS) + 64 * UInt(ring) + UInt(PTO2_SCHED_CONSUMED))
      : first
  }
  private func submitted(_ ring: Int) -> UInt32 {
    sim_peek(orchestrator + UInt(PTO2_ORCH_RINGS) + 64 * UInt(ring))
  }
  private func distance(_ a: UInt32, _ b: UInt32) -> Int { Int(Int32(bitPattern: a &- b)) }

  func willStore(_ role: Role, _ kind: Int32, _ address: UInt, _ value: UInt64) {
    let offset = address &- base
    guard offset < UInt(layout.totalBytes) else {
      // Words that scheduler threads share.
      return require(
        role.kind == .scheduler, "one writer", "a private word is stored by \(role.name)")
    }
    let section = layout.sections[Int(pages[Int(offset >> 12)])]
    let writer: RoleSet =
      switch role.kind {
      case .orchestrator: .orchestrator
      case .scheduler: .scheduler
      case .core: .worker
      }
    require(
      section.writers.contains(writer), "one writer",
      "\(name(address)) is stored by \(role.name)")
    let place = offset - UInt(section.offset)
    let new = UInt32(truncatingIfNeeded: value)
    switch section.kind {
    case .orchestratorWords: orchestratorWord(place, address, new)
    case .schedulerWords: schedulerWord(place, address, kind, new)
    case .dataMainBase: dispatchWord(place, address, new)
    case .cores: coreWord(place, address, new, role)
    case .consumedRing: entryWord(section.ring, place, address, kind, value)
    case .slotStates: slotState(section.ring, place, address, kind, new)
    default: break
    }
  }

  private func orchestratorWord(_ place: UInt, _ address: UInt, _ new: UInt32) {
    let old = sim_peek(address)
    switch place {
    case UInt(PTO2_ORCH_SUBMITTED):
      require(new == old &+ 1, "watermarks", "submitted goes from \(old) to \(new)")
      if hasScheduler {
        let inFlight = distance(new, sim_peek(scheduler + UInt(PTO2_SCHED_WIRED)))
        require(
          inFlight <= Int(configuration.logCapacity), "windows",
          "\(inFlight) records in a log of \(configuration.logCapacity)")
      }
    case UInt(PTO2_ORCH_CONTROL):
      require(
        old == PTO2_CONTROL_RUNNING, "first error wins", "control goes from \(old) to \(new)")
    case UInt(PTO2_ORCH_ERROR):
      require(old == 0, "first error wins", "error code goes from \(old) to \(new)")
    case UInt(PTO2_ORCH_RINGS)..<UInt(PTO2_ORCH_BYTES):
      let ring = Int(place - UInt(PTO2_ORCH_RINGS)) / 64
      let sizes = configuration.rings[ring]
      require(new == old &+ 1, "watermarks", "ring \(ring): submitted goes from \(old) to \(new)")
      // The slot of the new task has been written by now.
      require(
        distance(new, released(ring)) <= Int(sizes.taskWindow), "windows",
        "ring \(ring): main slot of task \(old) is rewritten, released is \(released(ring))")
      require(
        distance(new, consumed(ring)) <= Int(sizes.consumedWindow), "windows",
        "ring \(ring): entry of task \(old) is taken twice, consumed is \(consumed(ring))")
    default: break
    }
  }

  private func schedulerWord(_ place: UInt, _ address: UInt, _ kind: Int32, _ new: UInt32) {
    let old = sim_peek(address)
    switch place {
    case UInt(PTO2_SCHED_WIRED):
      guard hasScheduler else { return }
      let submitted = sim_peek(orchestrator + UInt(PTO2_ORCH_SUBMITTED))
      require(
        distance(new, old) > 0 && distance(submitted, new) >= 0, "watermarks",
        "wired goes from \(old) to \(new), submitted is \(submitted)")
    case UInt(PTO2_SCHED_CONTROL):
      require(
        old != PTO2_SCHED_FATAL && old != PTO2_SCHED_STOPPED, "first error wins",
        "scheduler control goes from \(old) to \(new)")
    case UInt(PTO2_SCHED_ERROR):
      require(old == 0, "first error wins", "error code goes from \(old) to \(new)")
    case UInt(PTO2_SCHED_RINGS)..<UInt(PTO2_SCHED_COUNTERS):
      guard hasScheduler else { return }
      let ring = Int(place - UInt(PTO2_SCHED_RINGS)) / 64
      let isReleased = place % 64 == UInt(PTO2_SCHED_RELEASED)
      watermark(ring, isReleased: isReleased, old, new)
    default: break
    }
  }

  private func watermark(_ ring: Int, isReleased: Bool, _ old: UInt32, _ new: UInt32) {
    let name = "ring \(ring): \(isReleased ? "released" : "consumed")"
    let limit = isReleased ? submitted(ring) : released(ring)
    require(
      distance(new, old) > 0 && distance(limit, new) >= 0, "watermarks",
      "\(name) goes from \(old) to \(new), which may be \(limit) at most")
    let window = configuration.rings[ring].consumedWindow
    let entries = base + UInt(layout.section(.consumedRing, ring: ring).offset)
    let least = isReleased ? PTO2_TASK_RELEASED : PTO2_TASK_CONSUMED
    var local = old
    while local != new && distance(new, local) <= Int(window) {
      let entry = entries + 64 * UInt(local & (window - 1))
      let state = sim_peek(entry + 8)
      require(
        sim_peek(entry) == local && Int32(state) >= least, "watermarks",
        "\(name) passes task \(local), whose entry has task \(sim_peek(entry)) in state \(state)")
      local &+= 1
    }
  }

  private func dispatchWord(_ place: UInt, _ address: UInt, _ new: UInt32) {
    guard hasScheduler, new != PTO2_EXIT_SIGNAL else { return }
    let core = place / 64
    let lane = place % 64 / 4
    let old = dispatched[Int(core * 8 + lane)]
    let cond = sim_peek(cores + core * UInt(layout.coreStride) + 4 * lane)
    if hasCrashed && new == PTO2_SCHEDULER_IDLE {
      // The fence of a dead worker: the lanes of its core are as at the start.
      dispatched[Int(core * 8 + lane)] = new
      return
    }
    guard case .dispatch = DispatchWord(rawValue: new).content else {
      return fail("dispatch words", "\(name(address)) becomes \(hex(new))")
    }
    dispatched[Int(core * 8 + lane)] = new
    require(new != old, "dispatch words", "\(name(address)) stays \(hex(new))")
    guard case .dispatch = DispatchWord(rawValue: old).content else { return }
    // EXITED: its worker has seen the session end.
    require(
      cond == old | PTO2_COND_FIN || cond == PTO2_EXITED, "dispatch words",
      "\(name(address)) becomes \(hex(new)) while COND of \(hex(old)) is \(hex(cond))")
  }

  private func coreWord(_ place: UInt, _ address: UInt, _ new: UInt32, _ role: Role) {
    let core = Int(place / UInt(layout.coreStride))
    let within = place % UInt(layout.coreStride)
    require(
      role.core == core, "one writer", "\(name(address)) is stored by \(role.name)")
    guard within < UInt(4 * PTO2_MAX_LANES), new != PTO2_EXITED, new != PTO2_CORE_IDLE else {
      return
    }
    let word = dispatched[core * 8 + Int(within / 4)]
    let old = sim_peek(address)
    // ACK: the kernel before this one has its FIN.
    if new == word { newest[core] = nil }
    require(
      new == word ? old != word : new == word | PTO2_COND_FIN && old == word, "COND words",
      "\(name(address)) goes from \(hex(old)) to \(hex(new)), its dispatch is \(hex(word))")
  }

  /// With several scheduler threads alone: one thread's accesses are plain.
  private func entryWord(
    _ ring: Int, _ place: UInt, _ address: UInt, _ kind: Int32, _ value: UInt64
  ) {
    let entry = address - place % 64
    switch place % 64 {
    case 8:
      let old = Int(sim_peek(address))
      let new = Int(value)
      let isNext =
        new == old + 1 || (old == 2 && new == 2) || (old == 1 && new == 3)
        || (hasCrashed && new == old)
      require(
        isNext, "states", "ring \(ring) task \(sim_peek(entry)) goes from \(old) to \(new)")
    case 16 where kind == SIM_ADD:
      let references = sim_peek64(address) &+ value
      require(
        UInt32(truncatingIfNeeded: references) >= UInt32(truncatingIfNeeded: references >> 32),
        "references", "ring \(ring) task \(sim_peek(entry)) loses more references than it had")
    case MemoryLayout<pto2_consumed_entry>.offset(of: \.subtasks_left).map({ UInt($0) }):
      require(
        sim_peek(address) > 0, "each task once",
        "ring \(ring) task \(sim_peek(entry)) finishes more subtasks than it has")
    default: break
    }
  }

  private func slotState(
    _ ring: Int, _ place: UInt, _ address: UInt, _ kind: Int32, _ new: UInt32
  ) {
    guard kind == SIM_ADD, place % 8 == 0 else { return }
    require(
      sim_peek(address) &+ new <= sim_peek(address + 4), "producers first",
      "ring \(ring) main slot \(place / 8) is told of more producers than it has")
  }

  // MARK: The end

  /// After a run that nothing disturbed.
  func checkEnd(_ results: [[UInt32]]) -> (String, String)? {
    if let task = unfinished.first { return ("each task once", "task \(task) has not run") }
    for ring in configuration.rings.indices {
      if submitted(ring) != released(ring) || released(ring) != consumed(ring) {
        return (
          "everything CONSUMED",
          "ring \(ring): submitted \(submitted(ring)), released \(released(ring)), consumed \(consumed(ring))"
        )
      }
    }
    for (number, memory) in plan.externals.enumerated()
    where results[number] != plan.memories[memory] {
      return (
        "the interpreter's result",
        "external tensor \(number) is \(results[number]), expected \(plan.memories[memory])"
      )
    }
    return nil
  }
}

func hex(_ value: UInt32) -> String { "0x" + String(value, radix: 16) }
