internal import CPTO2Segment
package import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// The kernels of a task by subtask slot; 0 = inactive. Each is a call word
/// without arity.
package struct KernelSet {
  package var calls: (UInt64, UInt64, UInt64) = (0, 0, 0)
  package var ids: (UInt16, UInt16, UInt16) = (0, 0, 0)
  package init() {}

  var activeMask: UInt8 {
    (calls.0 != 0 ? 1 : 0) | (calls.1 != 0 ? 2 : 0) | (calls.2 != 0 ? 4 : 0)
  }
}

/// Collects the producers of the task being submitted. Stamps in each task's
/// memory tell at once whether it is in the list already.
@unsafe struct FaninCollector {
  var fanin = unsafe FaninList()
  let rings: UnsafeMutablePointer<RingProducer>
  var serial: UInt32 = 0
  /// Tasks that did not end well and are RELEASED; empty in nearly every run.
  /// Behind a pointer, so that this type is plain memory and counts no references.
  let failed: UnsafeMutablePointer<Set<UInt64>>
  var hasFailed = false
  /// The task needs the result of one of them.
  var isCancelled = false

  init(rings: UnsafeMutablePointer<RingProducer>) {
    unsafe self.rings = unsafe rings
    unsafe failed = .allocate(capacity: 1)
    unsafe failed.initialize(to: [])
  }

  func deallocate() {
    unsafe fanin.deallocate()
    unsafe failed.deinitialize(count: 1)
    unsafe failed.deallocate()
  }

  /// Empties the list.
  mutating func begin() {
    unsafe fanin.removeAll()
    unsafe isCancelled = false
    unsafe serial &+= 1
    // Serial 0 is what fresh memory holds.
    if unsafe serial == 0 { unsafe serial = 1 }
  }

  /// Not yet RELEASED as far as this process knows: still worth waiting for.
  @inline(__always)
  func isLive(_ task: TaskOrdinal) -> Bool { unsafe task.ordinal >= rings[task.ring].released }

  /// A task that is RELEASED: nothing to wait for, but is there a result?
  @inline(__always)
  mutating func passOver(_ task: TaskOrdinal, _ flags: UInt64) {
    if unsafe hasFailed && flags & PTO2_FANIN_DATA != 0 && failed.pointee.contains(task.rawValue) {
      unsafe isCancelled = true
    }
  }

  /// What the TensorMap must remember.
  func isRemembered(_ task: TaskOrdinal) -> Bool {
    unsafe isLive(task) || (hasFailed && failed.pointee.contains(task.rawValue))
  }

  @inline(__always)
  mutating func add(_ task: TaskOrdinal, _ flags: UInt64) {
    let memory = unsafe rings[task.ring].memory(of: task.ordinal)
    if unsafe memory.pointee.stamp == serial {
      unsafe fanin.addFlags(Int(memory.pointee.stampIndex), flags)
    } else {
      unsafe memory.pointee.stamp = unsafe serial
      unsafe memory.pointee.stampIndex = unsafe UInt32(fanin.append(task.id.rawValue | flags))
    }
  }
}

extension Orchestrator {
  /// Submits the staged task. Blocks while a ring it needs is full.
  package mutating func submit(_ kernels: KernelSet) throws(PTO2Error) -> TaskID {
    if let error = stagedError {
      unstage(keepOutputs: false)
      throw fault.raise(error)
    }
    do throws(PTO2Error) {
      try fault.check()
      let id = try commit(kernels)
      unstage(keepOutputs: true)
      return id
    } catch {
      unstage(keepOutputs: false)
      throw fault.raise(error)
    }
  }

  private mutating func commit(_ kernels: KernelSet) throws(PTO2Error) -> TaskID {
    try checkBlocks(kernels.activeMask)
    let ringIndex = currentRing
    let ring = unsafe rings + ringIndex
    // Fresh watermarks now and then keep fanin lists and the TensorMap small.
    if tasks & 15 == 0 { refreshAll() }
    let ordinal = unsafe ring.pointee.current
    let task = TaskOrdinal(ring: ringIndex, ordinal: ordinal)
    stagedHasKernels = kernels.activeMask != 0

    let producedBytes = findProducers(of: task)
    let snapshotBytes = stagedRecovery == .snapshot ? try snapshotBytes(kernels.activeMask) : 0
    let outputBytes = producedBytes + snapshotBytes
    if unsafe map.count > mapLimit { try makeMapRoom(for: task) }
    let faninCount = unsafe collector.pointee.fanin.count
    try waitForRoom(ringIndex, outputBytes: outputBytes, faninCount: faninCount)
    if unsafe collector.pointee.hasFailed { passOverReleased() }
    guard let block = unsafe ring.pointee.heap.place(bytes: outputBytes) else {
      preconditionFailure("waitForRoom left no room")
    }
    try reserve(ringIndex, ordinal, block, faninCount)

    // Nothing can fail from here on.
    unsafe ring.pointee.heap.take(block)
    let memory = unsafe ring.pointee.memory(of: ordinal)
    unsafe memory.pointee = TaskMemory(
      heapEnd: ring.pointee.heap.head, scope: scopes[scopeDepth - 1].serial)
    writeSlot(
      ringIndex, task, kernels, block, faninCount,
      snapshotAt: snapshotBytes == 0 ? nil : producedBytes)
    unsafe ring.pointee.current = ordinal &+ 1
    unsafe ring.pointee.currentWord.storeRelaxed(UInt32(truncatingIfNeeded: ordinal &+ 1))
    let scope = unsafe scopes + (scopeDepth - 1)
    unsafe scope.pointee.count += 1
    unsafe scope.pointee.lastLocal = task.id.local
    noteSubmitted(edges: faninCount)
    try append(
      pto2_log_record(
        kind: PTO2_LOG_TASK, ring: UInt32(truncatingIfNeeded: ringIndex), id: task.id.local,
        count: 0))
    return task.id
  }

  /// Blocks that start together need a core, or a cluster, each.
  private func checkBlocks(_ mask: UInt8) throws(PTO2Error) {
    guard stagedSyncStart else { return }
    let clusters = segment.configuration.clusters
    let isVectorOnly = mask == 0b010 || mask == 0b100
    let places = isVectorOnly ? 2 * clusters : clusters
    guard stagedBlocks <= places else {
      throw PTO2Error(
        .requireSyncStartInvalid,
        "\(stagedBlocks) blocks are to start together, but this session has \(places) places for such a task. Use fewer blocks, or --clusters \(isVectorOnly ? (stagedBlocks + 1) / 2 : stagedBlocks)",
        needed: UInt64(stagedBlocks), available: UInt64(places))
    }
  }

  /// Looks every argument up in the TensorMap and enters it there; returns the
  /// bytes that the outputs need.
  ///
  /// Read-after-write and write-after-write edges also keep the producer's
  /// output alive; write-after-read edges only wait. The owner of a tensor in
  /// the heap is always kept, done or not: its memory is in use. In a manual
  /// scope the owner is all there is; the TensorMap learns nothing.
  @discardableResult
  mutating func findProducers(of task: TaskOrdinal) -> UInt64 {
    let collector = unsafe self.collector
    unsafe collector.pointee.begin()
    var outputBytes: UInt64 = 0
    for index in 0..<stagedCount {
      let argument = unsafe staged + index
      if unsafe argument.pointee.access == Access.output.rawValue {
        outputBytes += HeapRing.rounded(unsafe argument.pointee.end)
      } else {
        unsafe findProducers(of: task, argument)
      }
    }
    if var predicate = stagedPredicate {
      unsafe findProducers(of: task, &predicate.argument)
    }
    for index in 0..<UInt32(unsafe stagedDependencies.count) {
      let dependency = unsafe stagedDependencies[index]
      let other = TaskOrdinal(rawValue: dependency.task)
      guard unsafe dependency.flags & PTO2_FANIN_RETAIN != 0 || collector.pointee.isLive(other)
      else {
        unsafe collector.pointee.passOver(other, dependency.flags)
        continue
      }
      unsafe collector.pointee.add(other, dependency.flags)
    }
    return outputBytes
  }

  /// The part of `findProducers` for one tensor that exists already.
  @inline(__always)
  private mutating func findProducers(
    of task: TaskOrdinal, _ argument: UnsafeMutablePointer<StagedArgument>
  ) {
    let collector = unsafe self.collector
    let buffer = unsafe buffers.elements + Int(argument.pointee.buffer)
    let access = unsafe argument.pointee.access
    let owner = TaskOrdinal(rawValue: unsafe buffer.pointee.owner)
    if access == Access.noDependency.rawValue {
      // Its memory alone is held.
      if owner != .none { unsafe collector.pointee.add(owner, PTO2_FANIN_RETAIN) }
      return
    }
    // What overwrites the whole needs nothing of what was there; but a task without
    // kernels, or with a predicate, may leave it as it was.
    let overwrites =
      access == Access.outputExisting.rawValue && stagedHasKernels && stagedPredicate == nil
    let data = overwrites ? 0 : PTO2_FANIN_DATA
    if owner != .none {
      unsafe collector.pointee.add(owner, PTO2_FANIN_WAIT | PTO2_FANIN_RETAIN | data)
    }
    if unsafe scopes[scopeDepth - 1].isManual { return }
    let isWrite = access != Access.input.rawValue
    let writerFlags =
      data == 0 ? PTO2_FANIN_WAIT : PTO2_FANIN_WAIT | PTO2_FANIN_RETAIN | PTO2_FANIN_DATA
    let found: (TaskOrdinal, TensorMap.Dependency) -> Void = { other, kind in
      let flags = kind == .writer ? writerFlags : PTO2_FANIN_WAIT
      if unsafe collector.pointee.isLive(other) {
        unsafe collector.pointee.add(other, flags)
      } else {
        unsafe collector.pointee.passOver(other, flags)
      }
    }
    unsafe Self.forEachRun(argument) { begin, end in
      if isWrite {
        unsafe map.write(&buffer.pointee.ranges, begin, end, task: task, found: found)
      } else {
        unsafe map.read(
          &buffer.pointee.ranges, begin, end, task: task,
          isLive: { unsafe collector.pointee.isLive($0) }, found: found)
      }
    }
  }

  /// The contiguous byte ranges of a view, in order; the whole span when there
  /// are more than `TensorMap.maximumRuns`.
  @inline(__always)
  static func forEachRun(
    _ argument: UnsafeMutablePointer<StagedArgument>, _ body: (UInt64, UInt64) -> Void
  ) {
    let argument = unsafe argument.pointee
    let shape = argument.shape
    let strides = argument.strides
    let extents = (shape.0, shape.1, shape.2, shape.3, shape.4)
    // As 32 unsigned bits: the stride of a dimension of one element can exceed
    // Int32, and is multiplied by index 0 alone.
    func stride(_ d: Int) -> UInt64 {
      UInt64(
        UInt32(
          bitPattern: d == 0
            ? strides.0 : d == 1 ? strides.1 : d == 2 ? strides.2 : d == 3 ? strides.3 : strides.4))
    }
    // A repeated dimension touches what its first index touches.
    func extent(_ d: Int) -> UInt64 {
      if stride(d) == 0 { return 1 }
      return UInt64(
        d == 0
          ? extents.0 : d == 1 ? extents.1 : d == 2 ? extents.2 : d == 3 ? extents.3 : extents.4)
    }
    let size = UInt64(DataType(rawValue: argument.dataType)!.byteCount)
    // Innermost dimensions that lie without gaps form one run.
    var run: UInt64 = 1
    var outer = Int(argument.rank)
    while outer > 0, extent(outer - 1) == 1 || stride(outer - 1) == run {
      run *= extent(outer - 1)
      outer -= 1
    }
    var runs: UInt64 = 1
    for d in 0..<outer { runs *= extent(d) }
    if unsafe runs == 1 || runs > UInt64(TensorMap.maximumRuns) {
      return body(argument.offset, argument.end)
    }
    for number in 0..<runs {
      var rest = number
      var offset = argument.offset
      var d = outer - 1
      while d >= 0 {
        let (quotient, index) = rest.quotientAndRemainder(dividingBy: extent(d))
        offset += index * stride(d) * size
        rest = quotient
        d -= 1
      }
      body(offset, offset + run * size)
    }
  }

  /// First lap only: memory for what the task's slot, descriptor, fanin list
  /// and outputs take.
  private mutating func reserve(
    _ ringIndex: Int, _ ordinal: UInt64, _ block: HeapRing.Block, _ faninCount: Int
  ) throws(PTO2Error) {
    let ring = unsafe rings + ringIndex
    guard unsafe ring.pointee.hasUnreserved else { return }
    let slot = unsafe UInt64(UInt32(truncatingIfNeeded: ordinal) & (ring.pointee.window - 1))
    let reservation = unsafe reservations + ringIndex
    do throws(SegmentError) {
      unsafe try reservation.pointee.main.ensure(
        segment, offset: slot * UInt64(PTO2_MAIN_SLOT_STRIDE), bytes: UInt64(PTO2_MAIN_SLOT_STRIDE))
      unsafe try reservation.pointee.descriptors.ensure(
        segment, offset: slot * UInt64(PTO2_DESC_STRIDE), bytes: UInt64(PTO2_DESC_STRIDE))
      let size = block.end - block.begin
      if size > 0 {
        unsafe try reservation.pointee.heap.ensure(
          segment, offset: block.offset, bytes: min(size, ring.pointee.heap.capacity - block.offset)
        )
      }
      if faninCount > 0 {
        let pool = unsafe UInt64(ring.pointee.pool)
        let first = unsafe ring.pointee.poolHead & (pool - 1)
        let untilEnd = min(UInt64(faninCount), pool - first)
        unsafe try reservation.pointee.fanin.ensure(segment, offset: first * 8, bytes: untilEnd * 8)
        unsafe try reservation.pointee.fanin.ensure(
          segment, offset: 0, bytes: (UInt64(faninCount) - untilEnd) * 8)
      }
    } catch {
      throw PTO2Error(.outOfMemory, "\(error)", ring: ringIndex)
    }
    unsafe ring.pointee.hasUnreserved = !reservation.pointee.isComplete
  }

  /// True when an attempt that was broken off leaves nothing that a second one
  /// would see: it only reads, and writes what it does not read.
  private var mayRunAgain: Bool {
    switch stagedRecovery {
    case .automatic: stagedIsPure && overwrittenInput() == nil
    case .again, .snapshot: true
    case .once: false
    }
  }

  /// Main slot, tensors, descriptor and fanin list: everything that is
  /// published by the log record.
  private mutating func writeSlot(
    _ ringIndex: Int, _ task: TaskOrdinal, _ kernels: KernelSet, _ block: HeapRing.Block,
    _ faninCount: Int, snapshotAt: UInt64?
  ) {
    let ring = unsafe rings + ringIndex
    let slot = unsafe ring.pointee.slot(of: task.ordinal)
    let scope = unsafe scopes[scopeDepth - 1]
    let heap = unsafe ring.pointee.heapOffset

    unsafe slot.pointee = pto2_main_slot(
      task_id: task.id.rawValue,
      fanin_first: UInt32(truncatingIfNeeded: ring.pointee.poolHead),
      fanin_count: UInt32(truncatingIfNeeded: faninCount), scope_previous: scope.lastLocal,
      active_mask: kernels.activeMask,
      flags: (stagedPredicate == nil ? 0 : UInt8(PTO2_SLOT_PREDICATE))
        | (stagedSyncStart ? UInt8(PTO2_SLOT_SYNC_START) : 0)
        | (mayRunAgain ? UInt8(PTO2_SLOT_RERUN) : 0)
        | (unsafe collector.pointee.isCancelled ? UInt8(PTO2_SLOT_CANCELLED) : 0)
        | (snapshotAt == nil ? 0 : UInt8(PTO2_SLOT_SNAPSHOT)),
      tensor_count: UInt8(truncatingIfNeeded: stagedCount),
      scalar_count: UInt8(truncatingIfNeeded: stagedScalarCount), kernel_ids: kernels.ids,
      scope_depth: UInt16(truncatingIfNeeded: scopeDepth - 1), block_count: stagedBlocks,
      snapshot_line: UInt32(
        truncatingIfNeeded: (snapshotAt ?? 0) / UInt64(PTO2_CACHE_LINE)),
      output_offset: block.end == block.begin ? 0 : heap + block.offset, heap_begin: block.begin,
      heap_end: ring.pointee.heap.head)

    if let predicate = stagedPredicate {
      let base = unsafe buffers[predicate.argument.buffer].offset
      unsafe (UnsafeMutableRawPointer(slot) + Int(PTO2_SLOT_PREDICATE_AT)).storeBytes(
        of: pto2_slot_predicate(
          offset: base + predicate.argument.offset, value: predicate.value,
          dtype: predicate.argument.dataType, comparison: predicate.comparison,
          reserved: (0, 0, 0, 0, 0, 0)), as: pto2_slot_predicate.self)
    }

    let index = unsafe Int(UInt32(truncatingIfNeeded: task.ordinal) & (ring.pointee.window - 1))
    let descriptor = unsafe ring.pointee.descriptors + index * Int(PTO2_DESC_STRIDE)
    let calls = unsafe descriptor.assumingMemoryBound(to: UInt64.self)
    var kind = stagedBlocks > 1 ? PTO2_CALL_SPMD : 0
    if let snapshotAt {
      kind |= PTO2_CALL_SNAPSHOT
      emptySnapshot(at: heap + block.offset + snapshotAt)
    }
    func call(_ kernel: UInt64) -> UInt64 {
      kernel == 0
        ? 0
        : CallWord(kernel: kernel | kind, tensors: stagedCount, scalars: stagedScalarCount).rawValue
    }
    unsafe calls[0] = call(kernels.calls.0)
    unsafe calls[1] = call(kernels.calls.1)
    unsafe calls[2] = call(kernels.calls.2)
    let args = unsafe calls + 3

    let tensors = unsafe UnsafeMutableRawPointer(slot + 1).assumingMemoryBound(
      to: pto2_tensor.self)
    let memory = unsafe ring.pointee.memory(of: task.ordinal)
    var outputOffset = heap + block.offset
    for position in 0..<stagedCount {
      let argument = unsafe staged + position
      let buffer = unsafe buffers.elements + Int(argument.pointee.buffer)
      if unsafe argument.pointee.access == Access.output.rawValue {
        unsafe buffer.pointee.offset = outputOffset
        unsafe buffer.pointee.state = Buffer.placed
        unsafe buffer.pointee.owner = task.rawValue
        unsafe buffer.pointee.scope = scope.serial
        unsafe buffer.pointee.next = memory.pointee.firstBuffer
        unsafe memory.pointee.firstBuffer = argument.pointee.buffer
        outputOffset += HeapRing.rounded(unsafe argument.pointee.end)
      }
      let offset = unsafe buffer.pointee.offset + argument.pointee.offset
      unsafe args[position] = offset
      unsafe tensors[position] = pto2_tensor(
        offset: offset, shape: argument.pointee.shape, strides: argument.pointee.strides,
        dtype: argument.pointee.dataType, rank: argument.pointee.rank,
        access: argument.pointee.access, reserved: 0,
        element_count: argument.pointee.elementCount, reserved2: 0)
    }
    for position in 0..<stagedScalarCount {
      unsafe args[stagedCount + position] = stagedScalars[position]
    }

    let mask = unsafe UInt64(ring.pointee.pool - 1)
    for k in 0..<faninCount {
      unsafe ring.pointee.fanin[Int((ring.pointee.poolHead &+ UInt64(k)) & mask)] =
        collector.pointee.fanin.elements[k]
    }
    unsafe ring.pointee.poolHead &+= UInt64(faninCount)
  }
}
