internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// Workers whose COND words are neither of the two that are legal: a kernel has
/// overwritten its core's page, which it can.
///
/// Such a worker is killed, and what it had is decided as for any dead one. A core on
/// which that happens again and again ends the run.
extension SchedulerThread {
  /// Quarantines of one core that end the run with error 206.
  private static var maximumQuarantines: UInt32 { 3 }

  /// The thread that polls the core: its COND word is garbage. The core is left alone
  /// until its worker is gone.
  @inline(never)
  mutating func quarantine(_ core: Int, _ lane: UInt32, holding cond: ConditionWord) {
    guard S.load(words.quarantine(core)) == 0 else { return }
    S.store(words.quarantine(core), 1)
    let expected = cores[core].lane(lane).value
    let what =
      "core \(coreName(core)) lane \(lane): COND is 0x\(String(cond.rawValue, radix: 16)), expected ACK or FIN of 0x\(String(expected.word.rawValue, radix: 16)) or 0x\(String(expected.condBefore.rawValue, radix: 16)). The worker's memory was overwritten, probably by a kernel"
    _ = S.add(own.failures.quarantined, 1)
    let count = S.add(words.quarantines(core), 1)
    if count >= Self.maximumQuarantines {
      return fail(
        PTO2Error(.garbageWord, what + ". It is the \(count)rd time", task: expected.task),
        core: core)
    }
    warn("\(what); it is killed")
    ringAllBells()
  }

  /// First thread: true once for a core that was quarantined since.
  mutating func takeQuarantine(_ core: Int) -> Bool {
    guard S.load(words.quarantine(core)) == 1 else { return false }
    S.store(words.quarantine(core), 2)
    willKill(core, because: PTO2_FAILURE_GARBAGE)
    return true
  }

  /// One line, unless the session is to be quiet.
  func warn(_ text: String) {
    if !shared.segment.configuration.isQuiet { writeError("pto2-scheduler: warning: \(text)") }
  }
}
