internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment

/// What one scheduler thread has done.
package struct SchedulerCounters: Sendable {
  var completed: UInt64 = 0
  var edges: UInt64 = 0
  var dispatched: UInt64 = 0
  var parks: UInt64 = 0
  /// Try-locks that were found taken.
  package var lostLocks: UInt64 = 0

  mutating func add(_ other: SchedulerCounters) {
    completed += other.completed
    edges += other.edges
    dispatched += other.dispatched
    parks += other.parks
    lostLocks += other.lostLocks
  }
}

extension SchedulerThread {
  /// This thread's counters, with the locks it has found taken since they were last
  /// collected.
  mutating func collectCounters() -> SchedulerCounters {
    counters.lostLocks += lostLocks.value
    lostLocks.value = 0
    return counters
  }

  /// Goes on counting where the scheduler before has published its counters.
  mutating func resumeCounters() {
    let record = own.counters
    // Whatever stands there, counting on does not overflow.
    func sound(_ count: UInt64) -> UInt64 { min(count, 1 << 62) }
    counters.completed = sound(record.tasks_completed)
    counters.edges = sound(record.edges)
    counters.dispatched = sound(record.subtasks_dispatched)
    counters.parks = sound(record.parks)
    counters.lostLocks = sound(record.lost_locks)
  }

  package mutating func publishCounters() {
    let counted = collectCounters()
    own.setCounters(
      completed: counted.completed, edges: counted.edges, dispatched: counted.dispatched,
      parks: counted.parks, lostLocks: counted.lostLocks)
  }
}
