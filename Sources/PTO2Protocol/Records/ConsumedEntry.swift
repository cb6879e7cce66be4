public import CPTO2Segment

/// A task's entry in the consumed ring, as the scheduler keeps it. Free once
/// `last_task_consumed` has passed the task.
///
/// Fields that several scheduler threads access are cells, for `Sharing`.
@safe @frozen @usableFromInline
package struct ConsumedEntry: RecordView {
  @usableFromInline let record: UnsafeMutablePointer<pto2_consumed_entry>

  @inlinable @inline(__always)
  package static var stride: Int { MemoryLayout<pto2_consumed_entry>.stride }

  @inlinable @inline(__always)
  package init(at base: UnsafeRawPointer) {
    unsafe record = UnsafeMutableRawPointer(mutating: base)
      .assumingMemoryBound(to: pto2_consumed_entry.self)
  }

  @inlinable @inline(__always)
  package var taskID: TaskID {
    get { TaskID(rawValue: unsafe record.pointee.task_id) }
    nonmutating set { unsafe record.pointee.task_id = newValue.rawValue }
  }

  /// A `TaskState`.
  @inlinable @inline(__always)
  package var state: Cell<UInt32> { unsafe Cell(&record.pointee.state) }

  /// An edge reference, PTO2_EDGE_NONE or PTO2_EDGE_CLOSED.
  @inlinable @inline(__always)
  package var fanoutHead: Cell<UInt32> { unsafe Cell(&record.pointee.fanout_head) }

  /// `fanout_count` in the lower half, `fanout_refcount` in the upper one: one word,
  /// so that no claim and no drop misses the other.
  @inlinable @inline(__always)
  package var references: Cell<UInt64> {
    unsafe Cell(
      (UnsafeMutableRawPointer(record)
        + MemoryLayout<pto2_consumed_entry>.offset(of: \.fanout_count)!)
        .assumingMemoryBound(to: UInt64.self))
  }

  /// The two halves of `references`, for who is alone with the entry.
  @inlinable @inline(__always)
  package var fanoutCount: UInt32 {
    get { unsafe record.pointee.fanout_count }
    nonmutating set { unsafe record.pointee.fanout_count = newValue }
  }
  @inlinable @inline(__always)
  package var fanoutRefcount: UInt32 {
    get { unsafe record.pointee.fanout_refcount }
    nonmutating set { unsafe record.pointee.fanout_refcount = newValue }
  }

  /// Local id of the scope's task before this one.
  @inlinable @inline(__always)
  package var scopePrevious: UInt32 {
    get { unsafe record.pointee.scope_previous }
    nonmutating set { unsafe record.pointee.scope_previous = newValue }
  }

  @inlinable @inline(__always)
  package var flags: SlotFlags {
    get { SlotFlags(rawValue: unsafe record.pointee.flags) }
    nonmutating set { unsafe record.pointee.flags = newValue.rawValue }
  }

  /// Bit per subtask slot.
  @inlinable @inline(__always)
  package var activeMask: UInt8 {
    get { unsafe record.pointee.active_mask }
    nonmutating set { unsafe record.pointee.active_mask = newValue }
  }

  /// Workers that died while running it, and of these, of a signal they raised.
  @inlinable @inline(__always)
  package var kills: UInt8 {
    get { unsafe record.pointee.kills }
    nonmutating set { unsafe record.pointee.kills = newValue }
  }
  @inlinable @inline(__always)
  package var crashes: UInt8 {
    get { unsafe record.pointee.crashes }
    nonmutating set { unsafe record.pointee.crashes = newValue }
  }

  /// Free-running heap position, in bytes, after the task's outputs.
  @inlinable @inline(__always)
  package var heapEnd: UInt64 {
    get { unsafe record.pointee.heap_end }
    nonmutating set { unsafe record.pointee.heap_end = newValue }
  }

  /// 0 = done, PTO2_OUTCOME_CANCELLED, or the code it FAILED with. The orchestrator
  /// reads it too, after acquiring `last_task_released`.
  @inlinable @inline(__always)
  package var outcome: Cell<UInt32> { unsafe Cell(&record.pointee.outcome) }

  /// Position after its dependency-pool entries.
  @inlinable @inline(__always)
  package var poolEnd: UInt32 {
    get { unsafe record.pointee.pool_end }
    nonmutating set { unsafe record.pointee.pool_end = newValue }
  }

  @inlinable @inline(__always)
  package var blocks: BlockWord {
    get { BlockWord(bits: unsafe record.pointee.blocks) }
    nonmutating set { unsafe record.pointee.blocks = newValue.bits }
  }
  @inlinable @inline(__always)
  package var blockCount: UInt32 { blocks.count }
  /// Released after the intent that names the block.
  @inlinable @inline(__always)
  package var blocksStarted: Cell<UInt32> { unsafe Cell(&record.pointee.blocks_started) }
  /// Over all blocks, without FIN.
  @inlinable @inline(__always)
  package var subtasksLeft: Cell<UInt32> { unsafe Cell(&record.pointee.subtasks_left) }
  /// 1 = the scope has given its reference back.
  @inlinable @inline(__always)
  package var scopeEnded: Cell<UInt32> { unsafe Cell(&record.pointee.scope_ended) }

  /// The whole entry, for who is alone with it.
  @inlinable @inline(__always)
  package var whole: pto2_consumed_entry {
    get { unsafe record.pointee }
    nonmutating set { unsafe record.pointee = newValue }
  }
}

/// PTO2MainSlotState: fanin of the task in a main slot. Writer: the scheduler.
@safe @frozen @usableFromInline
package struct SlotState: RecordView {
  @usableFromInline let record: UnsafeMutablePointer<pto2_main_slot_state>

  @inlinable @inline(__always)
  package static var stride: Int { MemoryLayout<pto2_main_slot_state>.stride }

  @inlinable @inline(__always)
  package init(at base: UnsafeRawPointer) {
    unsafe record = UnsafeMutableRawPointer(mutating: base)
      .assumingMemoryBound(to: pto2_main_slot_state.self)
  }

  /// Producers that need no more waiting, + 1 once wired.
  @inlinable @inline(__always)
  package var faninRefcount: Cell<UInt32> { unsafe Cell(&record.pointee.fanin_refcount) }

  /// Producers + 1; the task is READY when the refcount reaches it.
  @inlinable @inline(__always)
  package var faninCount: UInt32 {
    get { unsafe record.pointee.fanin_count }
    nonmutating set { unsafe record.pointee.fanin_count = newValue }
  }
}
