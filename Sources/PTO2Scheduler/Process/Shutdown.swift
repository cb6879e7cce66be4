internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
package import PTO2System

/// The way out.
extension SchedulerThread {
  /// First thread: the others end.
  package func stopOthers() {
    S.store(words.isStopping, 1)
    ringAllBells()
  }

  var isStopping: Bool { S.load(words.isStopping) != 0 }

  /// First thread, after the others have ended: tells every core to leave, waits for
  /// their acknowledgement until the deadline, publishes the counters and STOPPED.
  /// - Returns: cores that have not acknowledged.
  package mutating func stop(deadline: Deadline) -> [String] {
    let lanes = cores.laneCount
    for core in 0..<cores.count {
      for lane in 0..<lanes { cores[core].lanes.word(lane).storeRelease(PTO2_EXIT_SIGNAL) }
    }
    Publisher.fence()
    for core in 0..<cores.count where Publisher(to: cores[core].page.parked).isAsleep {
      for lane in 0..<lanes { Futex.wake(cores[core].lanes.word(lane).shared) }
    }
    // Cores answer within microseconds, unless a kernel runs. Whether a worker has died
    // costs system calls: every few milliseconds.
    var backoff = Backoff()
    var rounds = 0
    var isLate = false
    while hasUnacknowledgedCore(checkingForDeath: rounds % 25 == 24) {
      isLate = deadline.hasPassed
      if isLate { break }
      guard backoff.next() else { continue }
      rounds += 1
      sleepNanoseconds(rounds < 20 ? 20_000 : 200_000)
    }
    publishCounters()
    if !hasFailed { own.control.storeRelease(PTO2_SCHED_STOPPED) }
    Futex.wake(own.control.shared)
    // Not looked at again: a core may announce READY now, to find EXIT.
    guard isLate else { return [] }
    return (0..<cores.count).filter { !hasLeft($0) && !hasDied($0) }.map(coreName)
  }

  private func hasUnacknowledgedCore(checkingForDeath: Bool) -> Bool {
    for core in 0..<cores.count where !hasLeft(core) {
      if !checkingForDeath || !hasDied(core) { return true }
    }
    return false
  }

  /// True when the core has acknowledged EXIT, or never was READY.
  private func hasLeft(_ core: Int) -> Bool {
    !isHosted(core) || cores[core].cond(0) == .exited
  }
}
