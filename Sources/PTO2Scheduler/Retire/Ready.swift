internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment

/// READY: from the last producer to a queue.
extension SchedulerThread {
  /// Queues a task whose fanin is complete.
  @inline(__always)
  mutating func makeReady(_ id: TaskID) {
    let ring = rings[id.ring]
    let entry = ring.entry(id.local)
    if !S.isShared && entry.isDispatched {
      // Ahead, and its FIN may have been seen before that of its last producer.
      if entry.subtasksLeft.value == 0 { enqueue(id, as: .dummy) }
      return
    }
    S.store(entry.state, TaskState.ready.rawValue)
    var shape = TaskShape.of(mask: entry.activeMask)
    // A task whose predicate is false is done without running.
    if entry.flags.contains(.predicate) {
      guard let isTrue = isTrue(ring.slot(id.local).predicate) else {
        return violation("the predicate of task \(id) names no element")
      }
      if !isTrue { shape = .dummy }
    }
    if S.load(entry.outcome) != 0 { shape = .dummy }
    enqueue(id, as: shape)
  }

  @inline(__always)
  mutating func enqueue(_ id: TaskID, as shape: TaskShape) {
    let index = rings[id.ring].slotNumber(id.local)
    if S.isShared {
      intake.push(id, slot: index, shape: shape, S.self)
    } else {
      dispatcher.ofOnlyThread.ready.append(id, slot: index, shape: shape)
    }
  }

  /// Evaluates a task's predicate. Its tensor's writers are COMPLETED.
  /// - Returns: nil when there is no such element.
  private func isTrue(_ predicate: pto2_slot_predicate) -> Bool? {
    // Heaps and arena come last. Elements are aligned, so one that begins inside
    // ends inside.
    guard let type = DataType(rawValue: predicate.dtype),
      predicate.offset % UInt64(type.byteCount) == 0,
      predicate.offset >= shared.segment.layout.section(.heap).offset,
      let element = unsafe shared.segment.bytes.address(predicate.offset)
    else { return nil }
    return unsafe Predicate(predicate).isTrue(at: element)
  }
}
