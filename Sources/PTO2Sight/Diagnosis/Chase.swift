internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// Follows what is blocked to what is responsible, a sentence a step.
///
/// Each step leads to a task, lane or core that it has not been at, so it ends.
struct Chase {
  let picture: Picture
  let movement: Movement
  var chain: [String] = []
  var advice: [String] = []
  private var seen: Set<TaskID> = []

  init(_ picture: Picture, _ movement: Movement) {
    self.picture = picture
    self.movement = movement
  }

  /// What a step comes to: the end of the chain.
  struct Finding {
    var cause: Diagnosis.Cause
    var summary: String
    var task: TaskID?
    var core: CoreID?
    var kernel: String?
    var pid: Int32?
    var peer: Int?
  }

  mutating func run() -> Diagnosis {
    let blockage = Blockage(picture)
    if let blockage { chain.append(blockage.sentence) }
    let finding = start(blockage)
    var diagnosis = Diagnosis(
      verdict: finding.cause == .unknown ? .unknown : .stuck, cause: finding.cause,
      summary: finding.summary)
    if let more = blockage?.advice(picture) { advice.append(more) }
    diagnosis.chain = chain
    diagnosis.advice = advice
    diagnosis.task = finding.task
    diagnosis.core = finding.core
    diagnosis.kernel = finding.kernel
    diagnosis.pid = finding.pid
    diagnosis.peer = finding.peer
    diagnosis.ring = blockage?.ring ?? finding.task?.ring
    return diagnosis
  }

  // MARK: Where to begin

  private mutating func start(_ blockage: Blockage?) -> Finding {
    guard let blockage else { return startAnywhere() }
    let ring = picture.rings[blockage.ring]
    switch blockage.need {
    case .log:
      return behind("the log")
    case .mainWindow, .pool, .payload, .tasks:
      guard let oldest = ring.oldestUnreleased else { return startAnywhere() }
      chain.append(
        "The oldest task of ring \(ring.index) that is not RELEASED is \(name(oldest)).")
      return follow(oldest)
    case .consumedWindow, .heap, .end, .consumption:
      guard let oldest = ring.oldestUnconsumed else { return startAnywhere() }
      chain.append(holderSentence(oldest, ring))
      return follow(oldest)
    }
  }

  /// The program does not wait for anything: the oldest tasks of any ring.
  private mutating func startAnywhere() -> Finding {
    let rings = picture.rings.filter { !$0.isDamaged }
    let oldest = rings.compactMap(\.oldestUnreleased)
    // One whose kernel runs tells most.
    let best =
      oldest.first { task in picture.cores.contains { $0.running?.task == task.id } }
      ?? oldest.first
    if let best {
      chain.append(
        "The program has submitted what it has, and is not held up (\(programText)). The oldest task of ring \(best.id.ring) that is not RELEASED is \(name(best))."
      )
      return follow(best)
    }
    if picture.rings.contains(where: \.isDamaged) {
      return Finding(cause: .unknown, summary: "a ring's watermarks contradict each other")
    }
    return idle()
  }

  /// Every task is done.
  private mutating func idle() -> Finding {
    let held = picture.rings.reduce(UInt64(0)) { $0 + UInt64($1.consumedUsed) }
    chain.append(
      held == 0
        ? "Every task that was submitted is CONSUMED."
        : "Every task that was submitted is RELEASED. Not CONSUMED: \(held), since the scopes that they were submitted in are open."
    )
    for ring in picture.rings {
      guard let id = ring.skipped.first else { continue }
      chain.append(
        "\(ring.skipped.count == 1 ? "Task \(id) was" : "Of the last tasks of ring \(ring.index), \(ring.skipped.count) (the newest is \(id)) were") done without running: the predicate was false. What such a task would have stored is not there."
      )
    }
    chain.append("The program has neither submitted another nor ended: \(programText).")
    advice.append(
      "look what the program does (process \(picture.orchestrator.process?.pid ?? 0)); --stall-limit SECONDS would end such a session with error 100"
    )
    return Finding(
      cause: .programIdle,
      summary: "every task is done, and the program does something of its own",
      pid: picture.orchestrator.process?.pid)
  }

  private var programText: String {
    guard let process = picture.orchestrator.process else { return "its process is not known" }
    let text = "process \(process.pid)"
    guard !process.isGone else { return text + ", which is gone" }
    return text + loadText(movement.load(\.orchestrator.process))
  }

  private func loadText(_ load: Double?) -> String {
    guard let load else { return "" }
    let percent = Int((100 * load).rounded())
    return percent < 3 ? ", which uses no CPU time" : ", which uses \(percent) % of a CPU"
  }

  private func holderSentence(_ task: TaskPicture, _ ring: RingPicture) -> String {
    var text = "The oldest task of ring \(ring.index) that is not CONSUMED is \(name(task))"
    if task.heapBytes > 0 {
      let outputs =
        task.outputs.isEmpty ? "" : ", its output \(task.outputs.joined(separator: ", "))"
      text += ": it holds \(task.heapBytes) bytes of the heap\(outputs), and all that came later"
    }
    return text + "."
  }

  func name(_ task: TaskPicture) -> String {
    if task.subtasks.isEmpty {
      let what =
        task.transfer?.text ?? (task.flags.contains(.transfer) ? "a transfer" : "no kernel")
      return "\(task.id)\(ownName(task))"
        + (task.scopeDepth == nil ? "" : " (\(what)\(scope(task)))")
    }
    let kernels = task.subtasks.map(\.kernel)
    let isOne = Set(kernels).count == 1
    let text = isOne ? "kernel \(kernels[0])" : "kernels \(kernels.joined(separator: ", "))"
    let blocks = task.blocks.count > 1 ? ", \(task.blocks.count) blocks" : ""
    return "\(task.id)\(ownName(task)) (\(text)\(blocks)\(scope(task)))"
  }

  private func ownName(_ task: TaskPicture) -> String { task.name.map { " \"\($0)\"" } ?? "" }

  private func scope(_ task: TaskPicture) -> String {
    task.scopeName.map { ", in scope \"\($0)\"" } ?? ""
  }

  // MARK: A task

  private mutating func follow(_ task: TaskPicture) -> Finding {
    guard seen.insert(task.id).inserted, seen.count < 1000 else {
      return Finding(
        cause: .unknown,
        summary: "the tasks wait for each other in a circle: the segment is damaged",
        task: task.id)
    }
    switch task.stage {
    case .submitted: return behind("task \(task.id)")
    case .damaged:
      return Finding(
        cause: .unknown, summary: "the records of task \(task.id) are damaged", task: task.id)
    case .at(.pending): return pending(task)
    case .at(.ready): return ready(task)
    case .at(.running): return running(task)
    case .at(.completed): return behind("the release of task \(task.id)")
    case .at(.released): return released(task)
    case .at(.consumed): return behind("the watermarks: task \(task.id) is CONSUMED")
    }
  }

  private mutating func pending(_ task: TaskPicture) -> Finding {
    // Dispatched ahead of its producers: what is before it there tells the same.
    let waiting = task.fanin.producers.filter(\.waits).compactMap { picture.task($0.producer) }
      .filter { $0.state.map { $0.rawValue < TaskState.completed.rawValue } ?? true }
    guard let first = waiting.first(where: { !seen.contains($0.id) }) ?? waiting.first else {
      let lanes = lanes(of: task.id)
      if let (core, lane) = lanes.first { return follow(core, lane) }
      return behind("task \(task.id): its producers are done")
    }
    let of = task.fanin.producers.count
    chain.append(
      "Task \(name(task)) is PENDING: it waits for \(waiting.count) of its \(of) producers, first for task \(name(first))."
    )
    notePredicate(task)
    return follow(first)
  }

  private mutating func notePredicate(_ task: TaskPicture) {
    guard let predicate = task.predicate, let isTrue = predicate.isTrue else { return }
    chain.append(
      "Task \(task.id) has a predicate: it runs if its element, now \(predicate.element ?? "gone"), \(predicate.sign) \(predicate.value); by now that is \(isTrue)."
    )
  }

  /// READY: a core is lacking.
  private mutating func ready(_ task: TaskPicture) -> Finding {
    if let (core, lane) = lanes(of: task.id).first { return follow(core, lane) }
    let needs = Set(task.subtasks.map { $0.slot == 0 })
    for isMatrix in needs.sorted(by: { $0 && !$1 }) {
      let kind = picture.cores.filter { $0.isMatrix == isMatrix }
      let there = kind.filter(isThere)
      let type = isMatrix ? "AIC" : "AIV"
      if there.isEmpty || needs.count > 1 && there.count < kind.count {
        let missing = kind.filter { !isThere($0) }
        chain.append(
          "Task \(name(task)) is READY and needs \(isMatrix ? "an AIC" : "an AIV") core, and \(there.isEmpty ? "none of them is there" : "not all of them are there"): \(missing.map(absence).joined(separator: ", "))."
        )
        return workerMissing(missing, type, task)
      }
    }
    let kind = picture.cores.filter { needs.contains($0.isMatrix) && isThere($0) }
    guard let busy = kind.first(where: { $0.running != nil }) ?? kind.first,
      let lane = busy.running ?? busy.outstanding.first
    else { return behind("the dispatch of task \(task.id), which is READY") }
    let together = task.flags.contains(.syncStart) ? ", all of its blocks at once" : ""
    chain.append(
      "Task \(name(task)) is READY, and waits for a core\(together): \(kind.count { $0.running != nil }) of \(kind.count) run a kernel."
    )
    return follow(busy, lane)
  }

  private func isThere(_ core: CorePicture) -> Bool {
    core.isServed && !(core.process?.isGone ?? true)
  }

  private func absence(_ core: CorePicture) -> String {
    guard let process = core.process else { return "\(core.id) was never started" }
    return process.isGone
      ? "the worker of \(core.id) (process \(process.pid)) is gone"
      : "the worker of \(core.id) (process \(process.pid)) is not READY yet"
  }

  private mutating func workerMissing(_ cores: [CorePicture], _ type: String, _ task: TaskPicture)
    -> Finding
  {
    let names = cores.map { "\($0.id)" }.joined(separator: ",")
    let neverStarted = cores.allSatisfy { $0.process == nil }
    let isSupervised = cores.contains { $0.process?.isSupervised ?? false }
    advice.append(
      isSupervised && !neverStarted
        ? "the launcher starts the worker again: wait a moment and look again"
        : "start it: `pto2-worker --segment \(picture.place) --cores \(names)`")
    return Finding(
      cause: neverStarted ? .workerMissing : .workerDead,
      summary: neverStarted
        ? "no worker was ever started for \(names), and task \(task.id) needs \(type == "AIC" ? "an AIC" : "an AIV") core"
        : "the workers of \(names) are gone, and task \(task.id) needs one",
      task: task.id, core: cores.first?.id, kernel: task.subtasks.first?.kernel)
  }

  /// RUNNING: it is the link's, and another rank's turn.
  private mutating func transferring(_ task: TaskPicture) -> Finding {
    let what = task.transfer?.waitText ?? "is the link's: what it sends or receives is not known"
    chain.append("Task \(task.id) \(what).")
    let peer = task.transfer.map { "rank \($0.peer)" } ?? "the other ranks"
    advice.append("look what \(peer) does: `pto2 stuck` on its machine, of its segment")
    return Finding(
      cause: .otherRank, summary: "task \(task.id) \(what)", task: task.id,
      peer: task.transfer?.peer)
  }

  private mutating func running(_ task: TaskPicture) -> Finding {
    if task.flags.contains(.transfer) { return transferring(task) }
    let lanes = lanes(of: task.id)
    // One whose kernel runs tells most.
    guard let (core, lane) = lanes.first(where: { $0.1.progress == .acknowledged }) ?? lanes.first
    else {
      if task.blocks.started < task.blocks.count { return ready(task) }
      return behind("the FIN of task \(task.id)")
    }
    if task.blocks.count > 1 {
      chain.append(
        "Of task \(name(task)), \(task.blocks.started) blocks are dispatched, and \(task.blocks.subtasksLeft) kernels have no FIN."
      )
    }
    return follow(core, lane)
  }

  /// RELEASED, and somebody still needs its outputs.
  private mutating func released(_ task: TaskPicture) -> Finding {
    let consumers = picture.rings.flatMap(\.tasks).filter { other in
      other.state != .released && other.state != .consumed
        && other.fanin.producers.contains { $0.retains && $0.producer == task.id }
    }
    let left = task.references.left
    if let consumer = consumers.first {
      chain.append(
        "Task \(task.id) is RELEASED, and \(left) of the \(task.references.taken) references on its outputs are not given back: task \(name(consumer)) needs them\(consumers.count > 1 ? ", and \(consumers.count - 1) other tasks" : "")\(task.references.hasScopeEnded ? "" : ", and the scope that it was submitted in is open")."
      )
      return follow(consumer)
    }
    if !task.references.hasScopeEnded {
      let named = task.scopeName.map { " \"\($0)\"" } ?? ""
      let inside = task.scopeName.map { "\"\($0)\", " } ?? ""
      let depth = task.scopeDepth.map {
        $0 == 0
          ? " (the outermost one)"
          : " (\(inside)\($0) deep inside the outermost one)"
      }
      chain.append(
        "Task \(task.id) is RELEASED, and the scope that it was submitted in\(depth ?? "") is open: only the program can end it, and the program \(picture.orchestrator.wait == nil ? "does not" : "waits here")."
      )
      advice.append(
        "end the scope earlier: put one around the body of the loop, so that its tasks are given up as it goes"
      )
      return Finding(
        cause: .scopeOpen,
        summary:
          "\(named.isEmpty ? "a scope" : "scope\(named)") that is open holds task \(task.id), the oldest of ring \(task.id.ring)",
        task: task.id, kernel: task.subtasks.first?.kernel,
        pid: picture.orchestrator.process?.pid)
    }
    return behind(
      "task \(task.id): nobody is known who holds the \(left) references on its outputs")
  }

  /// The scheduler has something to do, is there and not stopped, and does not do it.
  private mutating func behind(_ what: String) -> Finding {
    let pid = picture.scheduler.process?.pid
    chain.append(
      "It is the scheduler's turn with \(what): process \(pid ?? 0)\(loadText(movement.load(\.scheduler.process)))."
    )
    if movement.isUnknown {
      return Finding(
        cause: .unknown, summary: "one look does not tell whether the scheduler gets on", pid: pid)
    }
    advice.append(
      "look again with a longer --seconds; on a machine with too much to do this passes")
    return Finding(
      cause: .schedulerBehind,
      summary: "the scheduler has not got on in \(fixed(movement.seconds, 1)) s", pid: pid)
  }

  // MARK: A core

  private func lanes(of task: TaskID) -> [(CorePicture, LanePicture)] {
    picture.cores.flatMap { core in
      core.outstanding.filter { $0.task == task }.map { (core, $0) }
    }
  }

  private mutating func follow(_ core: CorePicture, _ lane: LanePicture) -> Finding {
    let id = lane.task
    let what = id.map { "task \($0)\(lane.kernel.isEmpty ? "" : " (kernel \(lane.kernel))")" }
    let who = core.process.map { "process \($0.pid)" } ?? "no process"
    func finding(_ cause: Diagnosis.Cause, _ summary: String) -> Finding {
      Finding(
        cause: cause, summary: summary, task: id, core: core.id, kernel: lane.kernel,
        pid: core.process?.pid)
    }
    if core.process?.isGone ?? true {
      chain.append(
        "Core \(core.id) has \(what ?? "a dispatch"), and its worker (\(who)) is gone.\(lane.progress == .acknowledged ? " The kernel had begun." : "")"
      )
      advice.append(
        core.process?.isSupervised ?? false
          ? "the launcher starts the worker again: wait a moment and look again"
          : "start it: `pto2-worker --segment \(picture.place) --cores \(core.id)`")
      return finding(.workerDead, "the worker of core \(core.id) is gone")
    }
    switch lane.progress {
    case .acknowledged:
      return kernelRuns(core, lane, what ?? "a task", finding)
    case .garbage:
      return finding(.unknown, "the words of core \(core.id) are damaged")
    case .notTaken:
      return notTaken(core, lane, what ?? "a dispatch", finding)
    case .finished, .exited, nil:
      return behind("the FIN of core \(core.id)")
    }
  }

  private mutating func kernelRuns(
    _ core: CorePicture, _ lane: LanePicture, _ what: String,
    _ finding: (Diagnosis.Cause, String) -> Finding
  ) -> Finding {
    let seconds = movement.running(core: core.id.index, lane: lane)
    let time = seconds > 0 ? "for at least \(fixed(seconds, 1)) s" : "when it was last seen"
    chain.append(
      "Core \(core.id) (process \(core.process?.pid ?? 0)\(loadText(movement.load(core: core.id.index)))) has run \(what) \(time), and has not said FIN."
    )
    let behind = core.outstanding.count - 1
    if behind > 0 { chain.append("\(behind) other dispatches of that core wait behind it.") }
    let deadline = picture.session.configuration.kernelDeadlineMilliseconds
    let limit =
      deadline > 0
      ? "its worker is killed after \(Double(deadline) / 1000) s (--kernel-deadline)"
      : "--kernel-deadline SECONDS ends one that runs too long"
    advice.append("look what kernel \(lane.kernel) does; \(limit)")
    return finding(.kernelRuns, "kernel \(lane.kernel) on core \(core.id) has not returned")
  }

  private mutating func notTaken(
    _ core: CorePicture, _ lane: LanePicture, _ what: String,
    _ finding: (Diagnosis.Cause, String) -> Finding
  ) -> Finding {
    if let oldest = core.outstanding.first, oldest.index != lane.index {
      chain.append(
        "Core \(core.id) has \(what), behind \(core.outstanding.count - 1) others of which \(oldest.task.map { "task \($0)" } ?? "one") is the first."
      )
      return follow(core, oldest)
    }
    if let gate = lane.gates.first(where: { !$0.isOpen }) {
      let other = picture.cores[gate.core]
      let next = other.lanes.first { $0.index == gate.lane }
      chain.append(
        "Core \(core.id) has \(what), and waits at a gate until core \(other.id) has finished \(next?.task.map { "task \($0)" } ?? "a dispatch")."
      )
      if let next, next.isOutstanding, next.task.map({ seen.insert($0).inserted }) ?? false {
        return follow(other, next)
      }
    }
    chain.append(
      "Core \(core.id) has \(what), and has not taken it: process \(core.process?.pid ?? 0)\(loadText(movement.load(core: core.id.index)))."
    )
    if movement.isUnknown {
      return finding(.unknown, "one look does not tell whether core \(core.id) gets on")
    }
    advice.append(
      "look again with a longer --seconds; on a machine with too much to do this passes")
    return finding(.workerIdle, "the worker of core \(core.id) has not taken \(what)")
  }
}
