internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// What must be so of the scheduler's own pages, whatever the program and the kernels do. An
/// accident that nothing has stumbled over is found here; each ends the run with error 207.
extension SchedulerThread {
  /// First thread, every 20 ms: its words are what was stored there; and when nothing has
  /// moved for a while, nothing is lost.
  package mutating func audit(_ now: UInt64) {
    checkWords()
    if hasFailed || !health.quiet.isStalled(progress: progress(), now: now) { return }
    health.quiet.rewind(to: 0)
    if let lost = findLost() { violation(lost) }
  }

  // MARK: Words

  private mutating func checkWords() {
    for index in 0..<rings.count {
      let ring = rings[index]
      guard ring.released.isIntact(lost: lostLocks, S.self) ?? true,
        ring.consumed.isIntact(lost: lostLocks, S.self) ?? true
      else { return violation("a watermark of ring \(index) is not what the scheduler says") }
      // Another thread may have found a lock taken, and left its task to the holder.
      if S.isShared {
        advanceReleased(ring)
        advanceConsumed(ring)
      }
    }
    let areWired = log.withLock { _ in
      (0..<rings.count).allSatisfy { rings[$0].wiredWord.loadOwn() == rings[$0].wired.value }
        && own.wired.loadOwn() == words.logWired.value
    }
    guard areWired ?? true else {
      return violation("the wired positions are not what the scheduler says")
    }
    let areStarted = dispatcher.withLock { _ in
      transfers.map { $0.started.value == own.transfersStarted.loadOwn() } ?? true
    }
    guard areStarted ?? true else {
      return violation("the number of transfers is not what the scheduler says")
    }
    let changed = dispatcher.withLock { _ in changedLane() }
    if let changed, let (core, lane) = changed { laneHasChanged(core, lane) }
    // An error of a scheduler that died before it could say so ends the session as well.
    guard
      hasFailed
        || own.control.loadOwn() == PTO2_SCHED_ATTACHED && own.error.code.loadRelaxed() == 0
    else { return violation("the scheduler's state is not what the scheduler says") }
  }

  /// A lane that does not hold the word last stored there.
  private func changedLane() -> (Int, UInt32)? {
    for core in 0..<cores.count {
      for lane in 0..<cores.laneCount
      where cores[core].word(lane) != cores[core].lane(lane).value.word { return (core, lane) }
    }
    return nil
  }

  // MARK: What is lost

  /// A number that changes when anything is submitted, wired, dispatched or ended.
  private func progress() -> UInt64 {
    var sum = UInt64(orchestrator.submitted.loadAcquire()) &+ UInt64(S.load(words.logWired)) << 32
    for index in 0..<rings.count {
      sum = sum &* 31 &+ UInt64(S.load(rings[index].released.position))
      sum = sum &* 31 &+ UInt64(S.load(rings[index].consumed.position))
    }
    for core in 0..<cores.count {
      sum = sum &* 31 &+ UInt64(S.load(cores[core].started))
      sum = sum &* 31 &+ UInt64(S.load(cores[core].retired))
    }
    if let transfers {
      sum = sum &* 31 &+ UInt64(S.load(transfers.started))
      sum = sum &* 31 &+ UInt64(transfers.taken.value)
    }
    return sum
  }

  /// Nothing has moved: what should have, and in words why; nil when somebody else's turn it is.
  private func findLost() -> String? {
    guard S.load(words.logWired) == orchestrator.submitted.loadAcquire(), !Self.hasIntake(words),
      dispatcher.withLock({ $0.ready.hasTasks || !$0.redo.isEmpty }) == false
    else { return nil }
    var isAnyOut = false
    for core in 0..<cores.count {
      if S.load(cores[core].incarnation) == 0 || isBusy(core) { return nil }
      if outstanding(core) > 0 { isAnyOut = true }
    }
    // Another rank's turn.
    if transfersOut > 0 { return nil }
    if isAnyOut { return "what was dispatched waits for itself" }
    for index in 0..<rings.count {
      let released = S.load(rings[index].released.position)
      guard released == rings[index].wired.value else {
        return
          "task \(TaskID(ring: index, local: released)) is neither ready nor running, and nothing runs that it could wait for"
      }
    }
    for index in 0..<rings.count {
      if let lost = findHeld(rings[index], index) { return lost }
    }
    return nil
  }

  /// Every task is RELEASED: only a scope that has not ended holds one.
  private func findHeld(_ ring: Ring, _ index: Int) -> String? {
    var local = S.load(ring.consumed.position)
    let end = S.load(ring.released.position)
    while local != end {
      let id = TaskID(ring: index, local: local)
      let entry = ring.entry(local)
      let own = ownReferences(entry)
      let isHeld =
        entry.taskID == id
        && (S.load(entry.state) == TaskState.consumed.rawValue
          ? local != S.load(ring.consumed.position)
          : S.load(entry.state) == TaskState.released.rawValue && own.taken > own.given
            && entry.fanoutCount &- entry.fanoutRefcount == own.taken - own.given)
      guard isHeld else {
        return "task \(id) is not CONSUMED, although nothing is left that could hold it"
      }
      local &+= 1
    }
    return nil
  }

  /// The references that a task has by itself: its own one until it is RELEASED, and that of
  /// the scope that holds it; and how many of them were given back.
  func ownReferences(_ entry: ConsumedEntry) -> (taken: UInt32, given: UInt32) {
    let isReleased = S.load(entry.state) >= TaskState.released.rawValue
    return (entry.flags.ownReferences, (entry.scopeEnded.value != 0 ? 1 : 0) + (isReleased ? 1 : 0))
  }
}
