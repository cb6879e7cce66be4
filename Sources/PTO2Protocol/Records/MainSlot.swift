public import CPTO2Segment

/// A task's slot in the main ring, as the orchestrator fills it.
///
/// Published by `submitted`; the orchestrator's again once `last_task_released` has
/// passed the task.
@safe @frozen @usableFromInline
package struct OwnedMainSlot: RecordView {
  @usableFromInline let record: UnsafeMutablePointer<pto2_main_slot>

  @inlinable @inline(__always)
  package static var stride: Int { MemoryLayout<pto2_main_slot>.stride }

  @inlinable @inline(__always)
  package init(at base: UnsafeRawPointer) {
    unsafe record = UnsafeMutableRawPointer(mutating: base)
      .assumingMemoryBound(to: pto2_main_slot.self)
  }

  @inlinable @inline(__always)
  package var header: pto2_main_slot {
    get { unsafe record.pointee }
    nonmutating set { unsafe record.pointee = newValue }
  }

  @inlinable @inline(__always)
  package var faninFirst: UInt32 { unsafe record.pointee.fanin_first }
}

/// A task's slot in the main ring, as scheduler and workers read it.
///
/// They acquire `submitted`, or the DATA_MAIN_BASE word that names it, before.
@safe @frozen @usableFromInline
package struct MainSlot: RecordView {
  @usableFromInline let record: UnsafePointer<pto2_main_slot>

  @inlinable @inline(__always)
  package static var stride: Int { MemoryLayout<pto2_main_slot>.stride }

  @inlinable @inline(__always)
  package init(at base: UnsafeRawPointer) {
    unsafe record = base.assumingMemoryBound(to: pto2_main_slot.self)
  }

  /// All of it.
  @inlinable @inline(__always)
  package var header: pto2_main_slot { unsafe record.pointee }

  @inlinable @inline(__always)
  package var taskID: TaskID { TaskID(rawValue: unsafe record.pointee.task_id) }
  @inlinable @inline(__always)
  package var faninFirst: UInt32 { unsafe record.pointee.fanin_first }
  @inlinable @inline(__always)
  package var faninCount: UInt32 { unsafe record.pointee.fanin_count }
  @inlinable @inline(__always)
  package var scopePrevious: UInt32 { unsafe record.pointee.scope_previous }
  @inlinable @inline(__always)
  package var activeMask: UInt8 { unsafe record.pointee.active_mask }
  @inlinable @inline(__always)
  package var flags: SlotFlags { SlotFlags(rawValue: unsafe record.pointee.flags) }
  @inlinable @inline(__always)
  package var blocks: BlockWord { BlockWord(bits: unsafe record.pointee.blocks) }
  @inlinable @inline(__always)
  package var heapBegin: UInt64 { unsafe record.pointee.heap_begin }
  @inlinable @inline(__always)
  package var heapEnd: UInt64 { unsafe record.pointee.heap_end }

  /// What the task has, as the slot says; no more than PTO2_MAX_TENSORS in a sound slot.
  package var tensorCount: Int { Int(unsafe record.pointee.tensor_count) }

  /// Segment offset of the task's snapshot, of a task with `SlotFlags.snapshot`.
  package var snapshotOffset: UInt64 {
    unsafe record.pointee.output_offset
      &+ UInt64(record.pointee.snapshot_line) * UInt64(PTO2_CACHE_LINE)
  }

  /// For people.
  package var scope: ScopePlace { ScopePlace(rawValue: unsafe record.pointee.scope) }

  /// Index of a subtask's kernel among the session's, for people.
  package func kernelID(_ subtask: UInt32) -> Int {
    let ids = unsafe record.pointee.kernel_ids
    return Int(subtask == 0 ? ids.0 : subtask == 1 ? ids.1 : ids.2)
  }
}

/// PTO2_SLOT_...: what is to be known of a task beside its kernels.
@frozen @usableFromInline
package struct SlotFlags: OptionSet, Sendable {
  @usableFromInline package let rawValue: UInt8
  @inlinable @inline(__always)
  package init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Its predicate decides whether it runs.
  @inlinable package static var predicate: SlotFlags { .init(rawValue: UInt8(PTO2_SLOT_PREDICATE)) }
  /// All its blocks start together.
  @inlinable package static var syncStart: SlotFlags {
    .init(rawValue: UInt8(PTO2_SLOT_SYNC_START))
  }
  /// Running it twice gives the same.
  @inlinable package static var rerun: SlotFlags { .init(rawValue: UInt8(PTO2_SLOT_RERUN)) }
  /// It depends on a task that failed before: not to run.
  @inlinable package static var cancelled: SlotFlags { .init(rawValue: UInt8(PTO2_SLOT_CANCELLED)) }
  /// It has a snapshot.
  @inlinable package static var snapshot: SlotFlags { .init(rawValue: UInt8(PTO2_SLOT_SNAPSHOT)) }
  /// It has outputs, so its scope holds it.
  @inlinable package static var held: SlotFlags { .init(rawValue: UInt8(PTO2_SLOT_HELD)) }

  /// It has no kernel: the link sends or receives.
  @inlinable package static var transfer: SlotFlags { .init(rawValue: UInt8(PTO2_SLOT_TRANSFER)) }

  /// References on the task that are not its consumers': its scope's, if that holds it,
  /// and its own until it is RELEASED.
  @inlinable @inline(__always)
  package var ownReferences: UInt32 { contains(.held) ? 2 : 1 }
}
