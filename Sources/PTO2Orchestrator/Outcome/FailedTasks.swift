internal import CPTO2Segment
package import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// Tasks of this run that did not end well, as the orchestrator learns of them.
struct FailedTasks: ~Copyable {
  private let table: FailureTable<SharedWord>
  /// The session's counts when the run began.
  private var before: (failed: UInt32, cancelled: UInt32, lost: UInt32, quarantined: UInt32)
  /// Those that are RELEASED, FAILED and CANCELLED alike; empty in nearly every run.
  private var tasks: Set<TaskOrdinal> = []
  private(set) var hasAny = false

  init(_ table: FailureTable<SharedWord>) {
    self.table = table
    before = table.counts
  }

  /// The next run begins: what came before is not its own.
  /// - Returns: tasks that FAILED before it.
  mutating func beginRun() -> UInt32 {
    before = table.counts
    tasks = []
    hasAny = false
    return before.failed
  }

  /// A task of this run has FAILED, or was CANCELLED since one of another rank did. Relaxed: who
  /// has seen it RELEASED sees it counted.
  @inline(__always)
  var isAnyCounted: Bool {
    table.failed.loadRelaxed() != before.failed
      || table.cancelledWord.loadRelaxed() != before.cancelled
  }

  func contains(_ task: TaskOrdinal) -> Bool { tasks.contains(task) }

  /// Remembers which of the tasks that were RELEASED since did not end well: whoever
  /// depends on them later is to be CANCELLED.
  mutating func note(
    ring: Int, from: UInt64, to: UInt64, _ entries: RingTable<SharedRecord<pto2_consumed_entry>>
  ) {
    var ordinal = from
    while ordinal != to {
      if entries[UInt32(truncatingIfNeeded: ordinal)].copy().outcome != 0 {
        tasks.insert(TaskOrdinal(ring: ring, ordinal: ordinal))
        hasAny = true
      }
      ordinal &+= 1
    }
  }

  /// Of this run: tasks that FAILED, that were CANCELLED, subtasks that lost their
  /// worker, and workers that were killed because of what stood in their COND words.
  var counts: (failed: UInt32, cancelled: UInt32, lost: UInt32, quarantined: UInt32) {
    let failed = table.failed.loadAcquire()
    let now = table.counts
    return (
      failed &- before.failed, now.cancelled &- before.cancelled, now.lost &- before.lost,
      now.quarantined &- before.quarantined
    )
  }

  /// The root causes that were recorded, oldest first.
  func records() -> [pto2_failure] {
    let count = table.failed.loadAcquire() &- before.failed
    return (0..<min(Int(count), Int(PTO2_MAX_FAILURES))).map { table.record($0) }
  }
}

extension Orchestrator {
  /// Of this run: tasks that FAILED, that were CANCELLED, and subtasks that lost their
  /// worker.
  package var failureCounts: (failed: UInt32, cancelled: UInt32, lost: UInt32) {
    let counts = failed.counts
    return (counts.failed, counts.cancelled, counts.lost)
  }

  /// Workers that were killed in this run because of what stood in their COND words.
  package var quarantinedWorkers: UInt32 { failed.counts.quarantined }

  /// The root causes of this run that were recorded, oldest first.
  package func rootCauses() -> [PTO2Error] { failed.records().map { cause($0) } }

  private func cause(_ record: pto2_failure) -> PTO2Error {
    let id = TaskID(rawValue: record.task_id)
    let code = PTO2ErrorCode(rawValue: record.code) ?? .protocolViolation
    let core = Int(record.core)
    // The supervisor may see the end of the process a little later.
    let deadline = Deadline(afterMilliseconds: 200)
    while fault.ending(core: core, task: "task \(id)") == nil, !deadline.hasPassed {
      sleepNanoseconds(1_000_000)
    }
    var ending =
      fault.ending(core: core, task: "task \(id)") ?? "the worker of \(coreName(core)) died"
    // The supervisor cannot say what ran once the scheduler has fenced the core.
    if !ending.contains(" while running ") {
      ending += " while running task \(id), kernel \(segment.kernelName(Int(record.flags >> 16)))"
    }
    let late =
      if record.flags & PTO2_FAILURE_DEADLINE != 0 {
        "its kernel ran longer than --kernel-deadline allows; "
      } else if record.flags & PTO2_FAILURE_STOPPED != 0 {
        "it was stopped (SIGSTOP) for longer than --stop-grace; "
      } else if record.flags & PTO2_FAILURE_GARBAGE != 0 {
        "it was killed because its COND words had been overwritten; "
      } else {
        ""
      }
    let reason =
      record.flags & UInt32(PTO2_SLOT_RERUN) == 0
      ? "it may have changed its tensors and is not run again"
      : "\(record.kills) workers died of it"
    return PTO2Error(
      code,
      "\(taskText(id, ScopePlace(rawValue: record.scope))) failed: \(ending); \(late)\(reason)",
      task: id, ring: id.ring)
  }

  /// Throws when a task has FAILED: the first root cause, and how many more.
  mutating func checkFailures() throws(PTO2Error) {
    guard failed.isAnyCounted, var error = rootCauses().first else {
      return try checkOtherRanks()
    }
    let counts = failureCounts
    if counts.failed > 1 { error.message += ". \(counts.failed) tasks failed" }
    if counts.cancelled > 0 {
      error.message += ". \(counts.cancelled) tasks that depend on failed ones were cancelled"
    }
    throw fault.raise(error)
  }

  /// Nothing FAILED here, and a task was CANCELLED: what it needs FAILED on another rank.
  private func checkOtherRanks() throws(PTO2Error) {
    if ranks.isAlone { return }
    let cancelled = failureCounts.cancelled
    if cancelled == 0 { return }
    var error = PTO2Error(
      .workerDied,
      "\(cancelled) tasks were cancelled on rank \(ranks.own): they need what a task on another rank has failed to compute"
    )
    error.isEcho = true
    throw fault.raise(error)
  }
}
