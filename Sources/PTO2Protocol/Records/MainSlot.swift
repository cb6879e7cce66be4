public import CPTO2Segment

/// A task's slot in the main ring, as the orchestrator fills it.
///
/// Published by `submitted`; the orchestrator's again once `last_task_released` has
/// passed the task.
@safe @frozen @usableFromInline
package struct OwnedMainSlot: RecordView {
  @usableFromInline let record: UnsafeMutablePointer<pto2_main_record>

  @inlinable @inline(__always)
  package static var stride: Int { MemoryLayout<pto2_main_record>.stride }

  @inlinable @inline(__always)
  package init(at base: UnsafeRawPointer) {
    unsafe record = UnsafeMutableRawPointer(mutating: base)
      .assumingMemoryBound(to: pto2_main_record.self)
  }

  @inlinable @inline(__always)
  package var header: pto2_main_slot {
    get { unsafe record.pointee.slot }
    nonmutating set { unsafe record.pointee.slot = newValue }
  }

  @inlinable @inline(__always)
  package var faninFirst: UInt32 { unsafe record.pointee.slot.fanin_first }

  @inlinable @inline(__always)
  package var predicate: pto2_slot_predicate {
    get { unsafe record.pointee.predicate }
    nonmutating set { unsafe record.pointee.predicate = newValue }
  }

  /// - Parameter index: less than PTO2_MAX_TENSORS.
  @inlinable @inline(__always)
  package func setTensor(_ index: Int, _ tensor: pto2_tensor) {
    unsafe (UnsafeMutableRawPointer(record) + MemoryLayout<pto2_main_record>.offset(of: \.tensors)!)
      .assumingMemoryBound(to: pto2_tensor.self)[index] = tensor
  }
}

/// A task's slot in the main ring, as scheduler and workers read it.
///
/// They acquire `submitted`, or the DATA_MAIN_BASE word that names it, before.
@safe @frozen @usableFromInline
package struct MainSlot: RecordView {
  @usableFromInline let record: UnsafePointer<pto2_main_record>

  @inlinable @inline(__always)
  package static var stride: Int { MemoryLayout<pto2_main_record>.stride }

  @inlinable @inline(__always)
  package init(at base: UnsafeRawPointer) {
    unsafe record = base.assumingMemoryBound(to: pto2_main_record.self)
  }

  /// The first line, whole.
  @inlinable @inline(__always)
  package var header: pto2_main_slot { unsafe record.pointee.slot }

  @inlinable @inline(__always)
  package var taskID: TaskID { TaskID(rawValue: unsafe record.pointee.slot.task_id) }
  @inlinable @inline(__always)
  package var faninFirst: UInt32 { unsafe record.pointee.slot.fanin_first }
  @inlinable @inline(__always)
  package var faninCount: UInt32 { unsafe record.pointee.slot.fanin_count }
  @inlinable @inline(__always)
  package var scopePrevious: UInt32 { unsafe record.pointee.slot.scope_previous }
  @inlinable @inline(__always)
  package var activeMask: UInt8 { unsafe record.pointee.slot.active_mask }
  @inlinable @inline(__always)
  package var flags: SlotFlags { SlotFlags(rawValue: unsafe record.pointee.slot.flags) }
  @inlinable @inline(__always)
  package var blockCount: UInt32 { unsafe record.pointee.slot.block_count }
  @inlinable @inline(__always)
  package var heapBegin: UInt64 { unsafe record.pointee.slot.heap_begin }
  @inlinable @inline(__always)
  package var heapEnd: UInt64 { unsafe record.pointee.slot.heap_end }
  @inlinable @inline(__always)
  package var predicate: pto2_slot_predicate { unsafe record.pointee.predicate }

  /// What the task has, as the slot says; no more than PTO2_MAX_TENSORS in a sound slot.
  package var tensorCount: Int { Int(unsafe record.pointee.slot.tensor_count) }

  /// Segment offset of the task's snapshot, of a task with `SlotFlags.snapshot`.
  package var snapshotOffset: UInt64 {
    unsafe record.pointee.slot.output_offset
      &+ UInt64(record.pointee.slot.snapshot_line) * UInt64(PTO2_CACHE_LINE)
  }

  /// Index of a subtask's kernel among the session's, for people.
  package func kernelID(_ subtask: UInt32) -> Int {
    let ids = unsafe record.pointee.slot.kernel_ids
    return Int(subtask == 0 ? ids.0 : subtask == 1 ? ids.1 : ids.2)
  }

  /// The first of the task's tensors, as kernels get them.
  @inlinable @inline(__always)
  package var tensors: UnsafePointer<pto2_tensor> {
    unsafe (UnsafeRawPointer(record) + MemoryLayout<pto2_main_record>.offset(of: \.tensors)!)
      .assumingMemoryBound(to: pto2_tensor.self)
  }

  /// - Parameter index: less than PTO2_MAX_TENSORS.
  package func tensor(_ index: Int) -> pto2_tensor { unsafe tensors[index] }
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
}
