internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// Workers whose COND words are neither of the two that are legal: a kernel has
/// overwritten its core's page, which it can.
///
/// Such a worker is killed, and what it had is decided as for any dead one. A core
/// on which that happens again and again ends the run.
extension Scheduler {
  /// Quarantines of one core that end the run with error 206.
  static var maximumQuarantines: UInt32 { 3 }

  /// The thread that polls the core: its COND word is garbage. The core is left
  /// alone until its worker is gone.
  @inline(never)
  mutating func garbage(_ cond: ConditionWord, _ core: Int, _ lane: UInt32) {
    guard unsafe S.load(lines.quarantine(core)) == 0 else { return }
    unsafe S.store(lines.quarantine(core), 1)
    let expected = unsafe dispatcher.pointee.cores.lane(core, lane).pointee
    let what =
      "core \(coreName(core)) lane \(lane): COND is 0x\(String(cond.rawValue, radix: 16)), expected ACK or FIN of 0x\(String(expected.word.rawValue, radix: 16)) or 0x\(String(expected.condBefore.rawValue, radix: 16)). The worker's memory was overwritten, probably by a kernel"
    _ = unsafe S.add(&failures.pointee.quarantined, 1)
    let count = unsafe S.add(lines.quarantines(core), 1)
    if count >= Self.maximumQuarantines {
      return fail(
        PTO2Error(
          .garbageWord, what + ". It is the \(count)rd time",
          task: TaskID(rawValue: expected.taskID)
        ), core: core)
    }
    if !shared.segment.configuration.isQuiet {
      writeError("pto2-scheduler: warning: \(what); it is killed")
    }
    ringAllBells()
  }

  /// First thread: true once for a core that was quarantined since.
  package mutating func takeQuarantine(_ core: Int) -> Bool {
    guard unsafe S.load(lines.quarantine(core)) == 1 else { return false }
    unsafe S.store(lines.quarantine(core), 2)
    noteKill(core, because: PTO2_FAILURE_GARBAGE)
    return true
  }
}
