internal import CPTO2Segment
internal import PTO2Protocol

/// What is left of a scope end: tasks from `local` on, through `scopePrevious`.
struct ScopeEnd: BitwiseCopyable {
  var ring = 0
  var local: UInt32 = 0
  var left: UInt32 = 0
}

extension SchedulerThread {
  /// Gives up the scope's reference on its tasks, newest first: the record names the
  /// last one, each entry the one before it. In pieces, so that a large scope does not
  /// hold up finished cores.
  mutating func endScope(_ record: pto2_log_record, _ reader: LogReader) -> Int {
    var scope = reader.scope.value
    if scope.left == 0 {
      scope = ScopeEnd(ring: Int(record.ring), local: record.id, left: record.count)
    }
    defer { reader.scope.value = scope }
    let ring = rings[scope.ring]
    var work = 0
    while scope.left > 0, work < 4 * Int(Self.wiringBudget) {
      let id = TaskID(ring: scope.ring, local: scope.local)
      let entry = ring.entry(id.local)
      let consumed = ring.consumed.word.loadOwn()
      let isDone = reader.isResumed.value && entry.scopeEnded.value != 0
      guard entry.taskID == id, isDone || id.local &- consumed < ring.wired.value &- consumed else {
        violation("scope end names task \(id), whose entry belongs to another task")
        return work
      }
      scope.local = entry.scopePrevious
      scope.left -= 1
      work += 1
      if isDone { continue }
      // Release: before the reference is given back, and for good.
      entry.scopeEnded.word.storeRelease(1)
      dropReference(id)
    }
    if scope.left == 0 { reader.isResumed.value = false }
    return work
  }
}
