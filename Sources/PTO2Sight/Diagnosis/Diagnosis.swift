package import PTO2Protocol
internal import PTO2Segment
package import PTO2System

/// Whether a session gets on, and what holds it up if it does not.
package struct Diagnosis: Equatable, Sendable {
  package enum Verdict: String, Sendable {
    /// Something has moved between two looks, or the program has ended well.
    case progress, finished
    /// Nothing has, and `cause` says why.
    case stuck
    case unknown

    /// Of `pto2 stuck`.
    package var exitStatus: Int32 {
      switch self {
      case .progress, .finished: 0
      case .stuck: 1
      case .unknown: 2
      }
    }
  }

  /// What is responsible.
  package enum Cause: String, Sendable, CaseIterable {
    case progress, finished
    case error
    case deadSession = "dead-session"
    case schedulerMissing = "scheduler-missing"
    case schedulerDead = "scheduler-dead"
    case processStopped = "process-stopped"
    case workerMissing = "worker-missing"
    case workerDead = "worker-dead"
    case kernelRuns = "kernel-runs"
    case otherRank = "other-rank"
    case scopeOpen = "scope-open"
    case programIdle = "program-idle"
    case schedulerBehind = "scheduler-behind"
    case workerIdle = "worker-idle"
    case unknown
  }

  package var verdict: Verdict
  package var cause: Cause
  /// One sentence.
  package var summary: String
  /// From what is blocked to what is responsible, a sentence each.
  package var chain: [String] = []
  /// What to change, a sentence each.
  package var advice: [String] = []
  package var task: TaskID?
  package var ring: Int?
  package var core: CoreID?
  package var kernel: String?
  package var pid: Int32?
  /// The rank that is waited for.
  package var peer: Int?
  /// The rank that all this is of, when that is not the one that was asked about.
  package var rank: Int?
  /// Contradictions in the segment.
  package var damage: [String] = []

  package init(verdict: Verdict, cause: Cause, summary: String) {
    self.verdict = verdict
    self.cause = cause
    self.summary = summary
  }

  /// Lines of text for people.
  package var lines: [String] {
    var lines = ["\(verdict.rawValue): \(summary)"]
    lines += chain.map { "  " + $0 }
    lines += advice.map { "To do: " + $0 }
    lines += damage.map { "Damaged: " + $0 }
    return lines
  }

  package var json: JSONObject {
    var object = JSONObject()
    object.add("verdict", verdict.rawValue)
    object.add("cause", cause.rawValue)
    object.add("summary", summary)
    object.add("chain", chain)
    object.add("advice", advice)
    if let task { object.add("task", "\(task)") }
    if let ring { object.add("ring", ring) }
    if let core { object.add("core", "\(core)") }
    if let kernel { object.add("kernel", kernel) }
    if let pid { object.add("pid", pid) }
    if let peer { object.add("peer", peer) }
    if let rank { object.add("rank", rank) }
    object.add("damage", damage)
    return object
  }
}

/// Says why a session stands still.
/// - Parameters:
///   - picture: as it is now.
///   - earlier: some time before, oldest first; without one, what moves cannot be told.
package func diagnose(_ picture: Picture, since earlier: [Picture] = []) -> Diagnosis {
  let movement = Movement(from: earlier, to: picture)
  var diagnosis =
    endOfSession(picture) ?? stoppedProcess(picture, movement) ?? movement.progress
    ?? missingScheduler(picture) ?? chase(picture, movement)
  if let trace = picture.trace, trace.dropped > 0 {
    diagnosis.advice.append(
      "a larger --trace-buffer: the trace has lost \(trace.dropped) of its records")
  }
  diagnosis.damage = picture.damage
  if !picture.damage.isEmpty, diagnosis.cause == .unknown {
    diagnosis.summary = "the segment is damaged: \(picture.damage[0])"
  }
  return diagnosis
}

private func chase(_ picture: Picture, _ movement: Movement) -> Diagnosis {
  var chase = Chase(picture, movement)
  return chase.run()
}

/// A session that has ended, well or not, or in which nobody lives.
private func endOfSession(_ picture: Picture) -> Diagnosis? {
  let errors = [
    (picture.orchestrator.control == .failed ? picture.orchestrator.error : nil, "orchestrator"),
    (picture.scheduler.control == .failed ? picture.scheduler.error : nil, "scheduler"),
  ].compactMap { error, role in error.map { (error: $0, role: role) } }
  if let (error, role) = errors.min(by: { $0.error.nanoseconds < $1.error.nanoseconds }) {
    var diagnosis = Diagnosis(
      verdict: .stuck, cause: .error,
      summary: "the session has ended with error \(error.number) \(error.name)")
    diagnosis.chain = ["The \(role) says: \(error.message)."]
    if let age = age(of: error, picture) { diagnosis.chain.append("That was \(age) s ago.") }
    diagnosis.advice = [error.advice]
    diagnosis.task = error.task
    diagnosis.ring = error.ring
    if !picture.session.isAttached { diagnosis.advice.append(reapAdvice(picture)) }
    return diagnosis
  }
  if picture.orchestrator.control == .done {
    var diagnosis = Diagnosis(
      verdict: .finished, cause: .finished,
      summary: "the program has ended, and every task is CONSUMED")
    let left = picture.livingWorkers
    if !left.isEmpty {
      diagnosis.chain = ["Workers that have yet to leave: \(left.joined(separator: ", "))."]
    }
    return diagnosis
  }
  return deadSession(picture)
}

private func age(of error: ErrorFacts, _ picture: Picture) -> String? {
  guard !picture.session.isOfAnotherBoot, error.nanoseconds > 0,
    picture.time >= error.nanoseconds
  else { return nil }
  return fixed(Double(picture.time - error.nanoseconds) / 1e9, 1)
}

private func deadSession(_ picture: Picture) -> Diagnosis? {
  guard let process = picture.orchestrator.process, process.isGone else { return nil }
  let others =
    [picture.scheduler.process].compactMap { $0 } + picture.cores.compactMap(\.process)
  let living = others.filter { !$0.isGone }
  var diagnosis = Diagnosis(
    verdict: .stuck, cause: .deadSession,
    summary: living.isEmpty
      ? "the session is dead: every process of it is gone"
      : "the orchestrator (process \(process.pid)) has died, and \(living.count) other processes are still there"
  )
  diagnosis.pid = process.pid
  if picture.session.isOfAnotherBoot {
    diagnosis.chain.append("The machine was started again since.")
  }
  if living.isEmpty {
    let scheduler = picture.scheduler.process.map { "scheduler \($0.pid)" } ?? "no scheduler"
    diagnosis.chain.append(
      "Gone: orchestrator \(process.pid), \(scheduler), \(picture.cores.count { $0.process != nil }) workers. Nobody has published an error: they were killed, or crashed, without a word."
    )
  } else if picture.session.configuration.drains {
    diagnosis.chain.append(
      "The session drains (--drain): the others do what was submitted, and end.")
  } else {
    diagnosis.chain.append("The others notice within a second or two, and end.")
  }
  diagnosis.chain += picture.cores.compactMap(crash)
  // What stood then; of a kernel, that it never said FIN.
  var chase = Chase(picture, Movement(from: [], to: picture))
  let before = chase.run()
  diagnosis.chain += before.chain.isEmpty ? [] : ["At that time:"] + before.chain
  diagnosis.task = before.task
  diagnosis.core = before.core
  diagnosis.kernel = before.kernel
  diagnosis.ring = before.ring
  diagnosis.advice = [reapAdvice(picture)]
  return diagnosis
}

private func crash(_ core: CorePicture) -> String? {
  guard core.crashSignal != 0 else { return nil }
  return "The worker of core \(core.id) has crashed with signal \(core.crashSignal)"
    + (core.crashPlace.map { ", in \($0)" } ?? "") + "."
}

private func reapAdvice(_ picture: Picture) -> String {
  picture.place.contains("/")
    ? "this is a file: remove it when you have seen enough"
    : "`pto2 reap \(picture.place)` removes it; so does the next run of that name"
}

/// A process that is stopped and has something to do.
private func stoppedProcess(_ picture: Picture, _ movement: Movement) -> Diagnosis? {
  func stopped(_ name: String, _ process: ProcessFacts?, _ chain: [String]) -> Diagnosis? {
    guard let process, process.activity == .stopped || process.activity == .traced else {
      return nil
    }
    let isTraced = process.activity == .traced
    var diagnosis = Diagnosis(
      verdict: .stuck, cause: .processStopped,
      summary: isTraced
        ? "\(name) (process \(process.pid)) is stopped by a debugger"
        : "\(name) (process \(process.pid)) is stopped (SIGSTOP)")
    diagnosis.chain = chain
    diagnosis.pid = process.pid
    diagnosis.advice = [
      isTraced
        ? "let the debugger go on"
        : "`kill -CONT \(process.pid)` lets it go on; --stop-grace says when a stopped worker or scheduler is killed"
    ]
    return diagnosis
  }
  if movement.progress == nil || movement.isUnknown {
    if let diagnosis = stopped(
      "the scheduler", picture.scheduler.process,
      ["Nothing is dispatched, and no watermark moves, until it goes on."])
    {
      return diagnosis
    }
    if let diagnosis = stopped(
      "the orchestrator", picture.orchestrator.process,
      ["Nothing is submitted until it goes on."])
    {
      return diagnosis
    }
    for core in picture.cores {
      guard let lane = core.outstanding.first else { continue }
      let what = lane.task.map { "task \($0) (kernel \(lane.kernel))" } ?? "a dispatch"
      if var diagnosis = stopped(
        "the worker of core \(core.id)", core.process,
        ["It has \(what), and \(core.outstanding.count) dispatches in all without FIN."])
      {
        diagnosis.core = core.id
        diagnosis.task = lane.task
        diagnosis.kernel = lane.kernel
        return diagnosis
      }
    }
  }
  return nil
}

private func missingScheduler(_ picture: Picture) -> Diagnosis? {
  let start = "start it: `pto2-scheduler --segment \(picture.place)`"
  if picture.scheduler.control == .absent || picture.scheduler.process == nil {
    var diagnosis = Diagnosis(
      verdict: .stuck, cause: .schedulerMissing, summary: "no scheduler has attached")
    let waiting = picture.rings.reduce(UInt64(0)) { $0 + UInt64($1.consumedUsed) }
    diagnosis.chain = ["Tasks that are submitted, and that nobody wires: \(waiting)."]
    diagnosis.advice = [
      start
        + "; without one the session ends with error 204 after --attach-timeout (\(picture.session.configuration.attachTimeoutMilliseconds / 1000) s)"
    ]
    return diagnosis
  }
  guard let process = picture.scheduler.process, process.isGone else { return nil }
  var diagnosis = Diagnosis(
    verdict: .stuck, cause: .schedulerDead,
    summary: "the scheduler (process \(process.pid)) has died")
  diagnosis.pid = process.pid
  diagnosis.chain = [
    process.isSupervised
      ? "The orchestrator's launcher starts another one."
      : "It was started by hand, and so must be the next one, which goes on where it was."
  ]
  diagnosis.advice = [process.isSupervised ? "wait a moment and look again" : start]
  return diagnosis
}

extension Picture {
  /// Cores whose workers are alive.
  var livingWorkers: [String] {
    cores.filter { $0.process.map { !$0.isGone } ?? false }
      .map { "\($0.id) (process \($0.process!.pid))" }
  }
}
