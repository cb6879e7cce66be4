internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2System

/// Who may have to be woken for what has been stored since the last look.
struct PendingWakes {
  /// Cores that were dispatched to.
  var cores = CoreSet()
  /// Watermark advances.
  var advances: UInt32 = 0
  /// `last_task_consumed` of some ring has moved.
  var hasConsumed = false
}

/// Who is woken, and when.
extension SchedulerThread {
  /// One fence for all stores of this step, then a look at who is parked.
  @inline(__always)
  mutating func wakePeers(isIdle: Bool) {
    let hasDispatched = !pendingWakes.cores.isEmpty
    let isOrchestratorDue = pendingWakes.advances > 0 && (isIdle || pendingWakes.advances >= 16)
    guard hasDispatched || isOrchestratorDue else { return }
    Publisher.fence()
    if hasDispatched { wakeCores() }
    if isOrchestratorDue {
      pendingWakes.advances = 0
      wakeOrchestrator(evenBeforeTarget: false)
    }
  }

  /// Wakes cores that were dispatched to, and the threads that poll them.
  private mutating func wakeCores() {
    let asleep = S.isShared ? own.parked.loadOwn() & ~(1 << UInt32(index)) : 0
    var bells: UInt32 = 0
    while let core = pendingWakes.cores.removeFirst() {
      if S.isShared { bells |= 1 << UInt32(CoreID(core).cluster % threads) }
      cores[core].wakeIfParked()
    }
    if S.isShared && bells & asleep != 0 { ring(bells & asleep) }
  }

  /// Wakes the orchestrator on the one word it says it sleeps on, once that has reached
  /// the position it says it needs.
  ///
  /// What it waits for in the consumed ring may come earlier than its target (any
  /// output may have been the one in the way), so it is also woken before this process
  /// sleeps.
  mutating func wakeOrchestrator(evenBeforeTarget: Bool) {
    let reason = orchestrator.parked.loadAcquire()
    if reason == 0 { return }
    let target = Position(orchestrator.target.loadRelaxed())
    func isReached(_ word: OwnedWord) -> Bool {
      Position(word.loadOwn()).distance(from: target) >= 0
    }
    switch reason {
    case PTO2_PARKED_ON_WIRED:
      if isReached(own.wired) { Futex.wake(own.wired.shared) }
    case PTO2_PARKED_ON_RELEASED..<PTO2_PARKED_ON_RELEASED + UInt32(rings.count):
      let word = own.released(Int(reason - PTO2_PARKED_ON_RELEASED))
      if isReached(word) { Futex.wake(word.shared) }
    case PTO2_PARKED_ON_CONSUMED..<PTO2_PARKED_ON_CONSUMED + UInt32(rings.count):
      let word = own.consumed(Int(reason - PTO2_PARKED_ON_CONSUMED))
      if isReached(word) || (evenBeforeTarget && pendingWakes.hasConsumed) {
        pendingWakes.hasConsumed = false
        Futex.wake(word.shared)
      }
    default: break
    }
  }
}
