internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// Who is woken, and when.
extension Scheduler {
  /// One fence for all stores of this step, then a look at who is parked.
  mutating func wakePeers(isIdle: Bool) {
    let hasDispatched = toWake.0 | toWake.1 | toWake.2 != 0
    let isOrchestratorDue = advances > 0 && (isIdle || advances >= 16)
    guard hasDispatched || isOrchestratorDue else { return }
    // No load of a parked word may pass the stores of the words it guards;
    // pairs with the parkers' fence between `parked` and their last look.
    fullFence()
    if hasDispatched { wakeCores() }
    if isOrchestratorDue {
      advances = 0
      wakeOrchestrator(evenBeforeTarget: false)
    }
  }

  /// Wakes cores that were dispatched to, and the threads that poll them.
  private mutating func wakeCores() {
    let asleep = S.isShared ? parkedWord.loadOwn() & ~(1 << UInt32(index)) : 0
    var bells: UInt32 = 0
    for slot in 0..<3 {
      var mask = unsafe CoreTable.bits(toWake, slot)
      while mask != 0 {
        let cluster = mask.trailingZeroBitCount
        mask &= mask &- 1
        if S.isShared { bells |= 1 << UInt32(cluster % threads) }
        let core = unsafe cores + (3 * cluster + slot)
        guard unsafe core.pointee.parked.loadRelaxed() != 0 else { continue }
        // The core sleeps on the lane after its newest finished one: one of
        // those with something outstanding.
        var lane = unsafe S.isShared ? 0 : core.pointee.oldestLane
        let count = S.isShared ? laneCount : outstanding(3 * cluster + slot)
        for _ in 0..<count {
          unsafe Futex.wake(core.pointee.wordToCore(lane).shared)
          lane = lane + 1 == laneCount ? 0 : lane + 1
        }
      }
    }
    toWake = (0, 0, 0)
    if S.isShared && bells & asleep != 0 { ring(bells & asleep) }
  }

  /// Wakes threads that sleep without the words that have news for them.
  private func ring(_ threads: UInt32) {
    var rest = threads
    while rest != 0 {
      let bell = unsafe lines.bell(rest.trailingZeroBitCount)
      rest &= rest &- 1
      _ = unsafe S.add(bell, 1)
      unsafe Futex.wake(SharedWord(bell))
    }
  }

  /// Wakes every thread, asleep or about to sleep.
  func ringAllBells() {
    if S.isShared { ring(1 << UInt32(threads) - 1) }
  }

  /// First thread: the others end.
  package func stopOthers() {
    unsafe S.store(lines.isStopping, 1)
    ringAllBells()
  }

  var isStopping: Bool { unsafe S.load(lines.isStopping) != 0 }

  /// Wakes the orchestrator on the one word it says it sleeps on, once that has
  /// reached the position it says it needs.
  ///
  /// What it waits for in the consumed ring may come earlier than its target
  /// (any output may have been the one in the way), so it is also woken before
  /// this process sleeps.
  mutating func wakeOrchestrator(evenBeforeTarget: Bool) {
    let reason = orchestratorParked.loadAcquire()
    if reason == 0 { return }
    let target = Position(orchestratorTarget.loadRelaxed())
    func isReached(_ word: OwnedWord) -> Bool {
      Position(word.loadOwn()).distance(from: target) >= 0
    }
    switch reason {
    case PTO2_PARKED_ON_WIRED:
      if isReached(wiredWord) { Futex.wake(wiredWord.shared) }
    case PTO2_PARKED_ON_RELEASED..<PTO2_PARKED_ON_RELEASED + UInt32(ringCount):
      let word = unsafe rings[Int(reason - PTO2_PARKED_ON_RELEASED)].releasedWord
      if isReached(word) { Futex.wake(word.shared) }
    case PTO2_PARKED_ON_CONSUMED..<PTO2_PARKED_ON_CONSUMED + UInt32(ringCount):
      let word = unsafe rings[Int(reason - PTO2_PARKED_ON_CONSUMED)].consumedWord
      if isReached(word) || (evenBeforeTarget && hasConsumed) {
        hasConsumed = false
        Futex.wake(word.shared)
      }
    default: break
    }
  }
}
