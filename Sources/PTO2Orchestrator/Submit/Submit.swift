internal import CPTO2Segment
package import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// From a staged task to a published one: look, wait for room, settle, then enter and
/// write. Nothing that others see is changed before the last step, which cannot fail.
extension Orchestrator {
  /// Submits the staged task; `beginStaging` came first. Blocks while a ring it needs
  /// is full.
  package mutating func submit(_ kernels: KernelSet) throws(PTO2Error) -> TaskID {
    if let error = staged.error {
      unstage(keepOutputs: false)
      throw fault.raise(error)
    }
    do throws(PTO2Error) {
      staged.attributes.kernels = kernels
      return try ranks.isAlone || staged.attributes.isTransfer ? submitHere() : submitSomewhere()
    } catch {
      unstage(keepOutputs: false)
      throw fault.raise(error)
    }
  }

  /// The task runs on this rank; whatever it reads is there.
  @inline(__always)
  mutating func submitHere() throws(PTO2Error) -> TaskID {
    let id = try commit()
    if let recording { recording.note(&staged, id, &rings) }
    if staged.attributes.hasKept { placeKeptOutputs(of: id) }
    unstage(keepOutputs: true)
    return id
  }

  private mutating func commit() throws(PTO2Error) -> TaskID {
    if staged.attributes.startsTogether { try checkBlocks() }
    if staged.isVoid { staged.becomeDummy() }
    let snapshotBytes = staged.attributes.recovery == .snapshot ? try staged.snapshotBytes() : 0
    let outputBytes = staged.attributes.outputBytes + snapshotBytes
    // Fresh watermarks now and then keep fanin lists and the TensorMap small.
    if counters.tasks & 15 == 0 {
      refreshAll()
      courtesy.offer()
    }
    let scope = scopes.innermost
    let ring = scope.ring
    // What is sent for a look in a manual scope comes after whoever has written it.
    let isManual = scope.isManual && !staged.attributes.isTransfer

    producers.look(
      at: &staged, isManual: isManual, &buffers, &map, &rings, &failed)
    let needs = TaskNeeds(outputs: outputBytes, payload: staged.payloadBytes)
    let room = try waitForRoom(ring, needs)
    let (block, payload) = (room.heap, room.payload)
    try reserve(ring, block, payload, needs)

    // Nothing can fail from here on.
    let task = TaskOrdinal(ring: ring, ordinal: rings[ring].current)
    if !isManual { producers.enter(task, &staged, &buffers, &map, &rings, &failed) }
    write(
      task, scope, block, payload,
      snapshotAt: snapshotBytes == 0 ? nil : staged.attributes.outputBytes)
    rings[ring].advance(pool: producers.count)
    scopes.noteSubmitted(task.id.local, isHeld: staged.attributes.hasOutputs)
    counters.noteSubmitted(edges: producers.count)
    if trace.isOn { noteSubmission(task, scope.place(named: staged.attributes.name)) }
    log.append(
      pto2_log_record(
        kind: PTO2_LOG_TASK, ring: UInt32(truncatingIfNeeded: ring), id: task.id.local, count: 0))
    return task.id
  }

  /// Blocks that start together need a core, or a cluster, each.
  mutating func checkBlocks() throws(PTO2Error) {
    let clusters = segment.configuration.clusters
    let blocks = staged.attributes.blocks.count
    let mask = staged.attributes.kernels.activeMask
    let places = BlockLimits.startingTogether(mask: mask, clusters: clusters)
    guard blocks <= places else {
      throw PTO2Error(
        .requireSyncStartInvalid,
        "\(blocks) blocks are to start together, but this session has \(places) places for such a task. Use fewer blocks, or --clusters \((blocks * clusters + places - 1) / places)",
        needed: UInt64(blocks), available: UInt64(places))
    }
  }

  /// Memory for what the task's slot, descriptor, payload, fanin list and outputs take.
  @inline(__always)
  mutating func reserve(
    _ ring: Int, _ block: HeapRing.Block, _ payload: HeapRing.Block, _ needs: TaskNeeds
  ) throws(PTO2Error) {
    let isComplete = rings[ring].reservation.isComplete(
      fanin: producers.count != 0, payload: payload.end != payload.begin,
      heap: block.end != block.begin)
    if isComplete { return }
    let slot = UInt32(truncatingIfNeeded: rings[ring].current) & rings[ring].main.mask
    let pool = UInt32(truncatingIfNeeded: rings[ring].poolHead) & rings[ring].fanin.mask
    let heapEnd = min(block.offset + (block.end - block.begin), rings[ring].heap.capacity)
    let places = RingReservation.Places(
      slot: slot, payload: payload.offset..<payload.offset + needs.payload,
      heap: block.offset..<heapEnd, pool: pool, poolCount: UInt32(producers.count),
      poolCapacity: rings[ring].fanin.count)
    try rings[ring].reservation.ensure(places, in: segment)
  }

  /// Everything that is published by the log record.
  @inline(__always)
  private mutating func write(
    _ task: TaskOrdinal, _ scope: Scope, _ block: HeapRing.Block, _ payload: HeapRing.Block,
    snapshotAt: UInt64?
  ) {
    let ring = task.ring
    rings[ring].heap.take(block)
    rings[ring].payload.take(payload)
    rings[ring][memory: task.ordinal] = TaskMemory(
      heapEnd: rings[ring].heap.head, payloadEnd: rings[ring].payload.head,
      hasOutputs: staged.attributes.hasOutputs, scope: scope.serial)
    let heap = rings[ring].heapOffset + block.offset
    placeOutputs(of: task, scope, from: heap)
    let writer = SlotWriter(task, rings[ring], staged.payloadShape, payloadAt: payload.offset)
    writer.header(
      &staged, scope,
      fanin: (rings[ring].poolHead, producers.count, producers.isCancelled), block,
      outputAt: heap, snapshotAt: snapshotAt)
    writer.predicate(&staged, &buffers)
    writer.calls(&staged, hasSnapshot: snapshotAt != nil)
    writer.arguments(&staged, &buffers)
    writer.fanin(producers.list, from: rings[ring].poolHead, in: rings[ring].fanin)
    if let snapshotAt { segment.markSnapshotEmpty(at: heap + snapshotAt) }
  }

  /// The outputs get their memory and their owner.
  @inline(__always)
  private mutating func placeOutputs(of task: TaskOrdinal, _ scope: Scope, from heap: UInt64) {
    if !staged.attributes.hasOutputs { return }
    var offset = heap
    var first = Buffer.none
    for index in 0..<staged.arguments.count where staged.arguments[index].access == .output {
      let place = staged.arguments[index].buffer
      buffers[place].offset = offset
      buffers[place].state = .placed
      buffers[place].owner = task
      buffers[place].scope = scope.serial
      buffers[place].next = first
      first = place
      offset += HeapRing.rounded(staged.arguments[index].end)
    }
    rings[task.ring][memory: task.ordinal].firstBuffer = first
  }
}

/// Writes a task's main slot, dispatch descriptor, payload and fanin list, one part at a time.
/// The log record publishes all of it.
@safe struct SlotWriter {
  let task: TaskOrdinal
  let slot: OwnedMainSlot
  let descriptor: OwnedDescriptor
  let payload: OwnedPayload
  let arguments: UnsafeMutablePointer<UInt64>

  /// - Parameter offset: of the payload from the first of its ring.
  @inline(__always)
  init(
    _ task: TaskOrdinal, _ ring: borrowing RingProducer, _ shape: PayloadShape,
    payloadAt offset: UInt64
  ) {
    self.task = task
    let local = UInt32(truncatingIfNeeded: task.ordinal)
    slot = ring.main[local]
    descriptor = ring.descriptors[local]
    descriptor.setPayload(ring.payloadOffset + offset)
    payload = unsafe OwnedPayload(
      at: ring.payloads + Int(truncatingIfNeeded: offset), shape)
    unsafe arguments = payload.arguments(of: descriptor)
  }

  @inline(__always)
  func header(
    _ staged: inout StagedTask, _ scope: Scope,
    fanin: (first: UInt64, count: Int, isCancelled: Bool), _ block: HeapRing.Block,
    outputAt: UInt64, snapshotAt: UInt64?
  ) {
    var flags = SlotFlags()
    if staged.predicate != nil { flags.insert(.predicate) }
    if staged.attributes.startsTogether { flags.insert(.syncStart) }
    if staged.mayRunAgain() { flags.insert(.rerun) }
    if staged.attributes.isTransfer { flags.insert(.transfer) }
    if fanin.isCancelled { flags.insert(.cancelled) }
    if snapshotAt != nil { flags.insert(.snapshot) }
    if staged.attributes.hasOutputs { flags.insert(.held) }
    slot.header = pto2_main_slot(
      task_id: task.id.rawValue, fanin_first: UInt32(truncatingIfNeeded: fanin.first),
      fanin_count: UInt32(truncatingIfNeeded: fanin.count), scope_previous: scope.lastHeld,
      active_mask: staged.attributes.kernels.activeMask, flags: flags.rawValue,
      tensor_count: UInt8(truncatingIfNeeded: staged.arguments.count),
      scalar_count: UInt8(truncatingIfNeeded: staged.scalars.count),
      kernel_ids: staged.attributes.kernels.ids,
      scope: scope.place(named: staged.attributes.name),
      blocks: staged.attributes.blocks.bits,
      snapshot_line: UInt32(truncatingIfNeeded: (snapshotAt ?? 0) / UInt64(PTO2_CACHE_LINE)),
      output_offset: block.end == block.begin ? 0 : outputAt, heap_begin: block.begin,
      heap_end: block.end)
  }

  @inline(__always)
  func predicate(_ staged: inout StagedTask, _ buffers: inout BufferTable) {
    guard let predicate = staged.predicate else { return }
    payload.setPredicate(
      pto2_slot_predicate(
        offset: buffers[predicate.argument.buffer].offset + predicate.argument.offset,
        value: predicate.value, dtype: predicate.argument.dataType.rawValue,
        comparison: predicate.comparison, reserved: (0, 0, 0, 0, 0, 0)))
  }

  @inline(__always)
  func calls(_ staged: inout StagedTask, hasSnapshot: Bool) {
    let calls = staged.calls(hasSnapshot: hasSnapshot)
    descriptor.setCalls(calls.0, calls.1, calls.2)
  }

  /// Tensors, and their descriptions for the kernels; then scalars.
  @inline(__always)
  func arguments(_ staged: inout StagedTask, _ buffers: inout BufferTable) {
    let count = staged.arguments.count
    for index in 0..<count {
      let argument = staged.arguments[index]
      let offset = buffers[argument.buffer].offset + argument.offset
      unsafe arguments[index] = offset
      payload.setTensor(index, argument.record(offset: offset))
    }
    for index in 0..<staged.scalars.count {
      unsafe arguments[count + index] = staged.scalars[index]
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

/// The submission log: the one channel from orchestrator to scheduler.
struct SubmissionLog: ~Copyable {
  private let records: RingTable<LogPlace>
  private let submittedWord: OwnedWord
  let wiredWord: SharedWord
  /// The scheduler's first thread is the one that waits for submissions.
  private let publisher: Publisher
  private let wantedWord: SharedWord
  /// The value of `wanted` for which the scheduler was woken: it does not sleep for that
  /// one again, since it looks whether it is reached.
  private let wokenWord: OwnedWord
  private(set) var submitted: UInt64
  /// Records known to be wired; read when the log looks full.
  private var wired: UInt64

  init(_ segment: borrowing Segment) {
    records = segment.ownLog
    submittedWord = segment.ownOrchestratorPage.submitted
    wiredWord = segment.schedulerPage.wired
    wokenWord = segment.ownOrchestratorPage.woken
    wantedWord = segment.schedulerPage.wanted
    publisher = Publisher(to: segment.schedulerPage.parked, bits: 1)
    submitted = UInt64(segment.configuration.firstPosition)
    wired = submitted
    submittedWord.storeRelaxed(segment.configuration.firstPosition)
    // Nobody can want what is there already.
    wokenWord.storeRelaxed(segment.configuration.firstPosition)
  }

  var capacity: UInt64 { UInt64(records.count) }

  @inline(__always)
  var hasRoom: Bool { submitted &- wired < capacity }

  /// As far as is known.
  func hasRoom(for count: Int) -> Bool { submitted &- wired &+ UInt64(count) <= capacity }

  /// Reads how far the scheduler has come. Acquire: pairs with its release after its
  /// last look at the records.
  /// - Returns: false for a value no scheduler stores.
  mutating func refresh() -> Bool {
    guard let position = RingProducer.advance(wired, wiredWord, limit: submitted) else {
      return false
    }
    wired = position
    return true
  }

  /// Appends one record and publishes it. There is room.
  @inline(__always)
  mutating func append(_ record: pto2_log_record) {
    write(record)
    publish()
  }

  /// Appends one record that nobody sees before `publish`. There is room.
  @inline(__always)
  mutating func write(_ record: pto2_log_record) {
    records[UInt32(truncatingIfNeeded: submitted)].store(record)
    submitted &+= 1
  }

  /// Publishes what was appended; wakes the scheduler if it sleeps until so many are
  /// there.
  @inline(__always)
  mutating func publish() {
    // Release, pairs with the scheduler's acquire: it sees the records, and the slots,
    // descriptors and fanin lists written before.
    let position = UInt32(truncatingIfNeeded: submitted)
    submittedWord.storeRelease(position)
    Publisher.fence()
    guard publisher.isAsleep else { return }
    let wanted = wantedWord.loadRelaxed()
    guard wanted != wokenWord.loadOwn(), Position(position).distance(from: Position(wanted)) >= 0
    else { return }
    wokenWord.storeRelease(wanted)
    Futex.wake(wokenWord.shared)
  }
}
