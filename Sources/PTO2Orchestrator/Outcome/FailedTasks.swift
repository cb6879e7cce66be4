internal import CPTO2Segment
package import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// Tasks that FAILED, as the orchestrator learns of them.
extension Orchestrator {
  private var failures: UnsafePointer<pto2_failures> {
    unsafe (segment.read(.schedulerWords) + Int(PTO2_SCHED_FAILURES))
      .assumingMemoryBound(to: pto2_failures.self)
  }

  /// Tasks that FAILED, that were CANCELLED, and subtasks that lost their worker.
  package var failureCounts: (failed: UInt32, cancelled: UInt32, lost: UInt32) {
    let failed = failedWord.loadAcquire()
    return unsafe (failed, failures.pointee.cancelled, failures.pointee.lost)
  }

  /// Workers that were killed because of what stood in their COND words.
  package var quarantinedWorkers: UInt32 { unsafe failures.pointee.quarantined }

  /// The root causes that were recorded, oldest first.
  package func rootCauses() -> [PTO2Error] {
    let count = min(Int(failedWord.loadAcquire()), Int(PTO2_MAX_FAILURES))
    let first =
      unsafe UnsafeRawPointer(failures) + MemoryLayout<pto2_failures>.offset(of: \.first)!
    return (0..<count).map { index in
      unsafe cause(
        (first + index * MemoryLayout<pto2_failure>.stride).load(as: pto2_failure.self))
    }
  }

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
      code, "task \(id) failed: \(ending); \(late)\(reason)", task: id, ring: id.ring)
  }

  /// Throws when a task has FAILED: the first root cause, and how many more.
  mutating func checkFailures() throws(PTO2Error) {
    let counts = failureCounts
    guard counts.failed > 0, var error = rootCauses().first else { return }
    if counts.failed > 1 { error.message += ". \(counts.failed) tasks failed" }
    if counts.cancelled > 0 {
      error.message += ". \(counts.cancelled) tasks that depend on failed ones were cancelled"
    }
    throw fault.raise(error)
  }

  /// While this task waited for room its producers may have been RELEASED, even
  /// CONSUMED, and their entry be the one it gets: the scheduler cannot see any
  /// more how they ended.
  func passOverReleased() {
    let collector = unsafe self.collector
    for index in 0..<(unsafe collector.pointee.fanin.count) {
      let fanin = unsafe collector.pointee.fanin.elements[index]
      guard let task = submittedTask(TaskID(rawValue: fanin & PTO2_FANIN_ID_MASK)) else { continue }
      unsafe collector.pointee.passOver(task, fanin)
    }
  }

  /// Remembers which of the tasks that were RELEASED since did not end well:
  /// whoever depends on them later is to be CANCELLED. Only in a session in which
  /// a task has FAILED.
  mutating func noteOutcomes(ring index: Int, from: UInt64, to: UInt64) {
    let window = segment.configuration.rings[index].consumedWindow
    let entries = unsafe segment.read(.consumedRing, ring: index)
      .assumingMemoryBound(to: pto2_consumed_entry.self)
    var ordinal = from
    while ordinal != to {
      let entry = unsafe entries + Int(UInt32(truncatingIfNeeded: ordinal) & (window - 1))
      if unsafe entry.pointee.outcome != 0 {
        unsafe collector.pointee.failed.pointee.insert(
          TaskOrdinal(ring: index, ordinal: ordinal).rawValue)
        unsafe collector.pointee.hasFailed = true
      }
      ordinal &+= 1
    }
  }
}
