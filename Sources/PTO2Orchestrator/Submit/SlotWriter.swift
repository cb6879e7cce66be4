internal import CPTO2Segment
internal import PTO2Protocol

/// Writes a task's main slot, dispatch descriptor and fanin list, one part at a time.
/// The log record publishes all of it.
struct SlotWriter {
  private let task: TaskOrdinal
  private let slot: OwnedMainSlot
  private let descriptor: OwnedDescriptor

  @inline(__always)
  init(_ task: TaskOrdinal, _ ring: borrowing RingProducer) {
    self.task = task
    let local = UInt32(truncatingIfNeeded: task.ordinal)
    slot = ring.main[local]
    descriptor = ring.descriptors[local]
  }

  @inline(__always)
  func header(
    _ staged: inout StagedTask, _ scope: Scope, depth: Int,
    fanin: (first: UInt64, count: Int, isCancelled: Bool), _ block: HeapRing.Block,
    outputAt: UInt64, snapshotAt: UInt64?
  ) {
    var flags = SlotFlags()
    if staged.predicate != nil { flags.insert(.predicate) }
    if staged.attributes.startsTogether { flags.insert(.syncStart) }
    if staged.mayRunAgain() { flags.insert(.rerun) }
    if fanin.isCancelled { flags.insert(.cancelled) }
    if snapshotAt != nil { flags.insert(.snapshot) }
    slot.header = pto2_main_slot(
      task_id: task.id.rawValue, fanin_first: UInt32(truncatingIfNeeded: fanin.first),
      fanin_count: UInt32(truncatingIfNeeded: fanin.count), scope_previous: scope.lastLocal,
      active_mask: staged.attributes.kernels.activeMask, flags: flags.rawValue,
      tensor_count: UInt8(truncatingIfNeeded: staged.arguments.count),
      scalar_count: UInt8(truncatingIfNeeded: staged.scalars.count),
      kernel_ids: staged.attributes.kernels.ids, scope_depth: UInt16(truncatingIfNeeded: depth - 1),
      block_count: staged.attributes.blocks,
      snapshot_line: UInt32(truncatingIfNeeded: (snapshotAt ?? 0) / UInt64(PTO2_CACHE_LINE)),
      output_offset: block.end == block.begin ? 0 : outputAt, heap_begin: block.begin,
      heap_end: block.end)
  }

  @inline(__always)
  func predicate(_ staged: inout StagedTask, _ buffers: inout BufferTable) {
    guard let predicate = staged.predicate else { return }
    slot.predicate = pto2_slot_predicate(
      offset: buffers[predicate.argument.buffer].offset + predicate.argument.offset,
      value: predicate.value, dtype: predicate.argument.dataType.rawValue,
      comparison: predicate.comparison, reserved: (0, 0, 0, 0, 0, 0))
  }

  @inline(__always)
  func calls(_ staged: inout StagedTask, hasSnapshot: Bool) {
    let tensors = staged.arguments.count
    let scalars = staged.scalars.count
    let kind =
      (staged.attributes.blocks > 1 ? PTO2_CALL_SPMD : 0) | (hasSnapshot ? PTO2_CALL_SNAPSHOT : 0)
    func call(_ kernel: UInt64) -> CallWord {
      kernel == 0
        ? CallWord(rawValue: 0)
        : CallWord(kernel: kernel | kind, tensors: tensors, scalars: scalars)
    }
    let calls = staged.attributes.kernels.calls
    descriptor.setCalls(call(calls.0), call(calls.1), call(calls.2))
  }

  /// Tensors, and their descriptions for the kernels; then scalars.
  @inline(__always)
  func arguments(_ staged: inout StagedTask, _ buffers: inout BufferTable) {
    let count = staged.arguments.count
    for index in 0..<count {
      let argument = staged.arguments[index]
      let offset = buffers[argument.buffer].offset + argument.offset
      descriptor.setArgument(index, offset)
      slot.setTensor(
        index,
        pto2_tensor(
          offset: offset, shape: argument.shape, strides: argument.strides,
          dtype: argument.dataType.rawValue, rank: argument.rank,
          access: argument.access.rawValue, reserved: 0, element_count: argument.elementCount,
          reserved2: 0))
    }
    for index in 0..<staged.scalars.count {
      descriptor.setArgument(count + index, staged.scalars[index])
    }
  }

  @inline(__always)
  func fanin(
    _ list: borrowing PlainArray<FaninWord>, from first: UInt64,
    in pool: RingTable<FaninPlace>
  ) {
    for index in 0..<list.count {
      pool[UInt32(truncatingIfNeeded: first) &+ UInt32(truncatingIfNeeded: index)]
        .store(list[index])
    }
  }
}
