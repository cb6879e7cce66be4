internal import CPTO2Segment
internal import CSimulation
internal import PTO2Protocol
internal import PTO2Segment

/// What is known of the program's tasks, on whichever rank they run.
final class TaskChecks {
  let plan: Plan
  /// Kernels of each task that have begun: a bit per slot and block.
  fileprivate var begun: [UInt64]
  fileprivate var kernelsLeft: [Int]
  /// Tasks that may have FAILED, or come after such.
  fileprivate var mayFail: [Bool]

  init(_ plan: Plan) {
    self.plan = plan
    begun = Array(repeating: 0, count: plan.tasks.count)
    kernelsLeft = plan.tasks.map(\.kernels)
    mayFail = Array(repeating: false, count: plan.tasks.count)
  }
}

/// The invariants of the protocol, looked at just before each store of a word:
/// nobody stores anything between the look and the store.
final class Checks {
  private let segment: SegmentReader
  private let layout: SegmentLayout
  private let orchestrator: OrchestratorPage<SharedWord>
  private let scheduler: SchedulerPage<SharedWord>
  let names: Names
  /// Of DATA_MAIN_BASE and COND words by address: 8 x core + lane.
  private var lanes: [UInt: Int] = [:]
  private let configuration: Configuration
  private let plan: Plan
  private let scopeEnds: [[Int]]?
  /// Section of each page.
  private var pages: [UInt8] = []
  private let first: UInt32

  private let tasks: TaskChecks
  var hasCrashed = false
  /// The newest kernel of each core, until its worker dies.
  private var newest: [(task: Int, bit: UInt64, hasEnded: Bool)?]
  /// The last dispatch of each lane: EXIT may stand over it when a session is
  /// aborted.
  private var dispatched: [UInt32]
  private let fail: (String, String) -> Void

  init(
    _ scenario: Scenario, _ tasks: TaskChecks, _ segment: SegmentReader,
    fail: @escaping (String, String) -> Void
  ) {
    self.tasks = tasks
    self.segment = segment
    layout = segment.layout
    orchestrator = segment.orchestratorPage
    scheduler = segment.schedulerPage
    names = Names(segment)
    configuration = scenario.configuration
    plan = scenario.plan
    // Of several ranks each has some of the tasks, and transfers.
    scopeEnds = scenario.ranks > 1 ? nil : plan.scopeEnds(rings: configuration.rings.count)
    self.fail = fail
    first = configuration.firstPosition
    for core in 0..<configuration.coreCount {
      for lane in 0..<UInt32(PTO2_MAX_LANES) {
        for word in [segment.dispatchLanes(core).word(lane), segment.corePage(core).cond(lane)] {
          lanes[UInt(bitPattern: unsafe word.address)] = core * Int(PTO2_MAX_LANES) + Int(lane)
        }
      }
    }
    for (index, section) in layout.sections.enumerated() {
      pages += Array(repeating: UInt8(index), count: Int(section.bytes >> 12))
    }
    dispatched = Array(
      repeating: PTO2_SCHEDULER_IDLE, count: configuration.coreCount * Int(PTO2_MAX_LANES))
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
      tasks.kernelsLeft[task] -= 1
      return
    }
    require(
      what.runs && what.mask >> slot & 1 != 0 && block < what.blocks
        && tasks.begun[task] & bit == 0,
      "each task once", "task \(task) slot \(slot) block \(block) begins again, or must not")
    tasks.begun[task] |= bit
    for producer in what.producers {
      require(
        tasks.kernelsLeft[producer] == 0 || tasks.mayFail[producer], "producers first",
        "task \(task) begins before its producer \(producer) is done")
    }
  }

  /// The link has read the start of a transfer, or is about to say that it is over. Both happen
  /// once, whoever dies.
  func transfer(ends: Bool, task: Int) {
    guard plan.tasks.indices.contains(task), plan.tasks[task].transfer != nil else {
      return fail("each task once", "the link is given task \(task), which is no transfer")
    }
    if ends {
      tasks.kernelsLeft[task] -= 1
      return
    }
    require(tasks.begun[task] == 0, "each task once", "transfer \(task) is given to the link again")
    tasks.begun[task] = 1
    for producer in plan.tasks[task].producers {
      require(
        tasks.kernelsLeft[producer] == 0 || tasks.mayFail[producer], "producers first",
        "transfer \(task) begins before its producer \(producer) is done")
    }
  }

  /// A worker was killed: what its core had acknowledged and not finished may
  /// begin a second time. What it had finished may not.
  func workerDied(core: Int) {
    for lane in 0..<Int(configuration.lanes) {
      let word = dispatched[core * Int(PTO2_MAX_LANES) + lane]
      guard peek(segment.corePage(core).cond(UInt32(lane))) == word,
        case .dispatch(let offset, let slot) = DispatchWord(rawValue: word).content,
        let (ring, index) = segment.place(ofDescriptorAt: offset)
      else { continue }
      if let last = newest[core] {
        tasks.begun[last.task] &= ~last.bit
        if last.hasEnded { tasks.kernelsLeft[last.task] += 1 }
      }
      // It may FAIL now; who comes after it in any way need not wait for its end.
      let descriptor = segment.descriptors(ring)[index]
      guard let payload = segment.payload(TaskID(ring: ring, local: index)) else {
        return fail("each task once", "a dispatched task has no payload")
      }
      // The first scalar of a simulated task is its number.
      let arguments = unsafe payload.arguments(of: descriptor)
      let lost = Int(unsafe arguments[descriptor.call(slot).tensors])
      for task in plan.tasks.indices {
        tasks.mayFail[task] =
          task == lost || plan.tasks[task].producers.contains { tasks.mayFail[$0] }
      }
    }
    newest[core] = nil
  }

  /// Tasks with kernels that have not run.
  var unfinished: [Int] { tasks.kernelsLeft.indices.filter { tasks.kernelsLeft[$0] != 0 } }

  // MARK: Words

  private func peek(_ word: SharedWord) -> UInt32 {
    sim_peek(UInt(bitPattern: unsafe word.address))
  }
  private func isAt(_ address: UInt, _ word: SharedWord) -> Bool {
    UInt(bitPattern: unsafe word.address) == address
  }
  private func isAt<Value>(_ address: UInt, _ cell: Cell<Value>) -> Bool {
    UInt(bitPattern: unsafe cell.address) == address
  }

  private var hasScheduler: Bool { peek(scheduler.control) != PTO2_SCHED_ABSENT }
  private func released(_ ring: Int) -> UInt32 {
    hasScheduler ? peek(scheduler.released(ring)) : first
  }
  private func consumed(_ ring: Int) -> UInt32 {
    hasScheduler ? peek(scheduler.consumed(ring)) : first
  }
  private func submitted(_ ring: Int) -> UInt32 { peek(orchestrator.currentTaskIndex(ring)) }
  private func distance(_ a: UInt32, _ b: UInt32) -> Int { Int(Int32(bitPattern: a &- b)) }

  func willStore(_ role: Role, _ kind: Int32, _ address: UInt, _ value: UInt64) {
    let offset = address &- UInt(bitPattern: unsafe segment.base)
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
      case .link: .link
      }
    require(
      section.writers.contains(writer), "one writer",
      "\(name(address)) is stored by \(role.name)")
    let new = UInt32(truncatingIfNeeded: value)
    switch section.kind {
    case .orchestratorWords: orchestratorWord(address, new)
    case .schedulerWords: schedulerWord(address, new)
    case .dataMainBase: dispatchWord(address, new)
    case .cores: coreWord(address, new, role)
    case .consumedRing: entryWord(section.ring, address, kind, value)
    case .slotStates: slotState(section.ring, address, kind, new)
    default: break
    }
  }

  private func orchestratorWord(_ address: UInt, _ new: UInt32) {
    let old = sim_peek(address)
    if isAt(address, orchestrator.submitted) {
      require(new == old &+ 1, "watermarks", "submitted goes from \(old) to \(new)")
      if hasScheduler {
        let inFlight = distance(new, peek(scheduler.wired))
        require(
          inFlight <= Int(configuration.logCapacity), "windows",
          "\(inFlight) records in a log of \(configuration.logCapacity)")
      }
    } else if isAt(address, orchestrator.control) {
      require(
        old == PTO2_CONTROL_RUNNING, "first error wins", "control goes from \(old) to \(new)")
    } else if isAt(address, orchestrator.error.code) {
      require(old == 0, "first error wins", "error code goes from \(old) to \(new)")
    }
    for (ring, sizes) in configuration.rings.enumerated()
    where isAt(address, orchestrator.currentTaskIndex(ring)) {
      require(new == old &+ 1, "watermarks", "ring \(ring): submitted goes from \(old) to \(new)")
      // The slot of the new task has been written by now.
      require(
        distance(new, released(ring)) <= Int(sizes.taskWindow), "windows",
        "ring \(ring): main slot of task \(old) is rewritten, released is \(released(ring))")
      require(
        distance(new, consumed(ring)) <= Int(sizes.consumedWindow), "windows",
        "ring \(ring): entry of task \(old) is taken twice, consumed is \(consumed(ring))")
    }
  }

  private func schedulerWord(_ address: UInt, _ new: UInt32) {
    let old = sim_peek(address)
    if isAt(address, scheduler.wired) {
      guard hasScheduler else { return }
      let submitted = peek(orchestrator.submitted)
      require(
        distance(new, old) > 0 && distance(submitted, new) >= 0, "watermarks",
        "wired goes from \(old) to \(new), submitted is \(submitted)")
    } else if isAt(address, scheduler.control) {
      require(
        old != PTO2_SCHED_FATAL && old != PTO2_SCHED_STOPPED, "first error wins",
        "scheduler control goes from \(old) to \(new)")
    } else if isAt(address, scheduler.error.code) {
      require(old == 0, "first error wins", "error code goes from \(old) to \(new)")
    }
    for ring in configuration.rings.indices {
      let isReleased = isAt(address, scheduler.released(ring))
      guard isReleased || isAt(address, scheduler.consumed(ring)), hasScheduler else { continue }
      watermark(ring, isReleased: isReleased, old, new)
    }
  }

  private func watermark(_ ring: Int, isReleased: Bool, _ old: UInt32, _ new: UInt32) {
    let name = "ring \(ring): \(isReleased ? "released" : "consumed")"
    let limit = isReleased ? submitted(ring) : released(ring)
    require(
      distance(new, old) > 0 && distance(limit, new) >= 0, "watermarks",
      "\(name) goes from \(old) to \(new), which may be \(limit) at most")
    let window = configuration.rings[ring].consumedWindow
    let entries = segment.entries(ring)
    let least = isReleased ? PTO2_TASK_RELEASED : PTO2_TASK_CONSUMED
    var local = old
    while local != new && distance(new, local) <= Int(window) {
      let entry = entries[local]
      require(
        entry.taskID.local == local && Int32(entry.state.value) >= least, "watermarks",
        "\(name) passes task \(local), whose entry has task \(entry.taskID.local) in state \(entry.state.value)"
      )
      if !isReleased { passedByConsumed(ring, local) }
      local &+= 1
    }
  }

  /// A run that a crash has failed ends its scopes early.
  private func passedByConsumed(_ ring: Int, _ local: UInt32) {
    let index = Int(local &- first)
    guard let scopeEnds, !hasCrashed, index < scopeEnds[ring].count else { return }
    let records = Int(peek(orchestrator.submitted) &- first)
    require(
      scopeEnds[ring][index] <= records, "scopes",
      "ring \(ring): task \(local) has outputs and is CONSUMED before its scope has ended")
  }

  /// The core and lane whose word lies at an address.
  private func lane(at address: UInt) -> (core: Int, lane: UInt32)? {
    lanes[address].map { ($0 / Int(PTO2_MAX_LANES), UInt32($0 % Int(PTO2_MAX_LANES))) }
  }

  private func dispatchWord(_ address: UInt, _ new: UInt32) {
    guard hasScheduler, new != PTO2_EXIT_SIGNAL,
      let (core, lane) = lane(at: address)
    else { return }
    let place = core * Int(PTO2_MAX_LANES) + Int(lane)
    let old = dispatched[place]
    let cond = peek(segment.corePage(core).cond(lane))
    guard case .dispatch = DispatchWord(rawValue: new).content else {
      return fail("dispatch words", "\(name(address)) becomes \(hex(new))")
    }
    dispatched[place] = new
    require(new != old, "dispatch words", "\(name(address)) stays \(hex(new))")
    guard case .dispatch = DispatchWord(rawValue: old).content else { return }
    // EXITED: its worker has seen the session end.
    require(
      cond == old | PTO2_COND_FIN || cond == PTO2_EXITED, "dispatch words",
      "\(name(address)) becomes \(hex(new)) while COND of \(hex(old)) is \(hex(cond))")
  }

  private func coreWord(_ address: UInt, _ new: UInt32, _ role: Role) {
    let core = max(role.core, 0)
    let page = unsafe UInt(bitPattern: segment.readCore(core))
    require(
      role.core == core && (page..<page + UInt(layout.coreStride)).contains(address),
      "one writer",
      "\(name(address)) is stored by \(role.name)")
    guard new != PTO2_EXITED, new != PTO2_CORE_IDLE,
      let (_, lane) = lane(at: address)
    else { return }
    let word = dispatched[core * Int(PTO2_MAX_LANES) + Int(lane)]
    let old = sim_peek(address)
    let dispatch = DispatchWord(rawValue: word)
    // A worker that goes on where another has died.
    if hasCrashed, [.notTaken(dispatch), .fin(dispatch)].contains(ConditionWord(rawValue: new)) {
      return
    }
    // ACK: the kernel before this one has its FIN.
    if new == word { newest[core] = nil }
    require(
      new == word ? old != word : new == word | PTO2_COND_FIN && old == word, "COND words",
      "\(name(address)) goes from \(hex(old)) to \(hex(new)), its dispatch is \(hex(word))")
  }

  /// With several scheduler threads alone: one thread's accesses are plain.
  private func entryWord(
    _ ring: Int, _ address: UInt, _ kind: Int32, _ value: UInt64
  ) {
    guard let pointer = unsafe UnsafeRawPointer(bitPattern: address) else { return }
    let entries = segment.entries(ring)
    let entry = entries[unsafe entries.index(containing: pointer)]
    let task = "ring \(ring) task \(entry.taskID.local)"
    if isAt(address, entry.state) {
      let old = Int(entry.state.value)
      let new = Int(value)
      let isNext =
        new == old + 1 || (old == 2 && new == 2) || (old == 1 && new == 3)
        // Taken back: it was not given to the link.
        || (hasCrashed && (new == old || new == 0 && old < 3))
      require(isNext, "states", "\(task) goes from \(old) to \(new)")
    } else if isAt(address, entry.references), kind == SIM_ADD {
      let references = entry.references.value &+ value
      require(
        UInt32(truncatingIfNeeded: references) >= UInt32(truncatingIfNeeded: references >> 32),
        "references", "\(task) loses more references than it had")
    } else if isAt(address, entry.subtasksLeft) {
      require(
        entry.subtasksLeft.value > 0, "each task once",
        "\(task) finishes more subtasks than it has")
    }
  }

  private func slotState(_ ring: Int, _ address: UInt, _ kind: Int32, _ new: UInt32) {
    guard kind == SIM_ADD, let pointer = unsafe UnsafeRawPointer(bitPattern: address) else {
      return
    }
    let states = segment.states(ring)
    let index = unsafe states.index(containing: pointer)
    let state = states[index]
    guard isAt(address, state.faninRefcount) else { return }
    require(
      state.faninRefcount.value &+ new <= state.faninCount, "producers first",
      "ring \(ring) main slot \(index) is told of more producers than it has")
  }

  // MARK: The end

  /// After a run that nothing disturbed.
  /// - Parameter results: nil: the program has looked itself.
  func checkEnd(_ results: [[UInt32]]?) -> (String, String)? {
    if let task = unfinished.first { return ("each task once", "task \(task) has not run") }
    for ring in configuration.rings.indices {
      if submitted(ring) != released(ring) || released(ring) != consumed(ring) {
        return (
          "everything CONSUMED",
          "ring \(ring): submitted \(submitted(ring)), released \(released(ring)), consumed \(consumed(ring))"
        )
      }
    }
    guard let results else { return nil }
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
