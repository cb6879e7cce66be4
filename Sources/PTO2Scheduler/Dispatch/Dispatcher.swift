internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment

/// From the ready queues to the cores: one thread at a time dispatches.
///
/// Rules: dummies complete at once, and transfers go to the link; mixed tasks are placed
/// first, on a cluster whose required cores are all free (`Placement` says which core). A
/// task whose blocks must start together drains the cores: nothing else is dispatched until
/// enough of them are idle. A task with no more blocks than there are cores for it gets an
/// idle core for each. What is READY comes before what is dispatched ahead (`AheadQueue`).
@safe struct Dispatcher {
  private let state: UnsafeMutablePointer<State>

  private struct State {
    let ready: ReadyQueues
    let ahead: AheadQueue
    let intent: Intent
    /// Largest offset field a word may have.
    let offsetLimit: UInt32
    var table: CoreTable
    var drainingFor: TaskShape?
    var redo: RedoQueue
  }

  init(_ segment: borrowing Segment, _ page: SchedulerPage<OwnedWord>) {
    let slots = segment.configuration.rings.reduce(0) { $0 + Int($1.taskWindow) }
    unsafe state = .allocate(capacity: 1)
    unsafe state.initialize(
      to: State(
        ready: ReadyQueues(slotCount: slots), ahead: AheadQueue(slotCount: slots),
        intent: Intent(page), offsetLimit: segment.configuration.offsetLimit,
        table: CoreTable(
          clusterCount: segment.configuration.coreCount / Int(PTO2_CORES_PER_CLUSTER)),
        redo: RedoQueue(page)))
  }

  func deallocate() {
    ready.deallocate()
    ahead.deallocate()
    unsafe state.deallocate()
  }

  @inline(__always)
  var ready: ReadyQueues { unsafe state.pointee.ready }
  @inline(__always)
  var ahead: AheadQueue { unsafe state.pointee.ahead }
  @inline(__always)
  var intent: Intent { unsafe state.pointee.intent }
  @inline(__always)
  var table: CoreTable {
    _read { yield unsafe state.pointee.table }
    nonmutating _modify { yield unsafe &state.pointee.table }
  }
  /// Subtasks that a scheduler before this one had begun to dispatch.
  @inline(__always)
  var redo: RedoQueue {
    get { unsafe state.pointee.redo }
    nonmutating _modify { yield unsafe &state.pointee.redo }
  }
  /// The shape whose first task waits for enough idle cores to start all its blocks
  /// together.
  @inline(__always)
  private var drainingFor: TaskShape? {
    get { unsafe state.pointee.drainingFor }
    nonmutating set { unsafe state.pointee.drainingFor = newValue }
  }

  @inline(__always)
  func dispatchAll<S: Sharing>(_ thread: inout SchedulerThread<S>) -> Int {
    var work = 0
    var isLinkDue = false
    while let id = ready.first(.dummy) {
      ready.removeFirst(.dummy)
      let entry = thread.rings.entry(id)
      if !entry.isDispatched { thread.lookahead.unstarted -= 1 }
      if entry.flags.contains(.transfer) {
        thread.startTransfer(id, intent)
        isLinkDue = true
      } else {
        thread.complete(id)
      }
      work += 1
    }
    if isLinkDue { thread.wakeLink() }
    table.reservedClusters = 0
    table.isIdleAwaited = (false, false)
    if !redo.isEmpty { work += dispatchRedo(&thread) }
    if let shape = drainingFor {
      work += dispatch(shape, &thread)
      if drainingFor != nil { return work }
    }
    work += dispatch(.aicAivX2, &thread)
    work += dispatch(.aicAivX1, &thread)
    work += dispatch(.aivX2, &thread)
    work += dispatch(.aicOnly, &thread)
    work += dispatch(.aivX1, &thread)
    if !S.isShared && drainingFor == nil { work += dispatchAhead(&thread) }
    return work
  }

  /// Starts blocks of one shape, in order of readiness, until one finds no place.
  @inline(__always)
  private func dispatch<S: Sharing>(_ shape: TaskShape, _ thread: inout SchedulerThread<S>) -> Int {
    var work = 0
    while drainingFor == nil || drainingFor == shape, let id = ready.first(shape) {
      let entry = thread.rings.entry(id)
      guard thread.mayStart(id, entry, shape) else {
        thread.entryHasChanged(id)
        return work
      }
      if entry.flags.contains(.syncStart) {
        guard mayStartTogether(shape, entry) else {
          drainingFor = shape
          break
        }
        drainingFor = nil
      }
      let mask = entry.activeMask
      let isFirst = !entry.isDispatched
      let isSpread = isSpread(entry, thread)
      switch shape {
      case .aicOnly:
        let near = nearCore(entry, place: 0, isSpread: isSpread)
        guard let core = near ?? matrixCore(isSpread: isSpread, thread) else { return work }
        start(takeBlock(id, shape, entry, subtask: 0), on: core, &thread)
      case .aivX1:
        let subtask = mask == 0b010 ? 1 : 2
        let near = nearCore(entry, place: subtask, isSpread: isSpread)
        guard let core = near ?? vectorCore(isSpread: isSpread, thread) else { return work }
        start(takeBlock(id, shape, entry, subtask: UInt32(subtask)), on: core, &thread)
      default:
        guard let cluster = mixedCluster(shape, near: entry.blocks.cluster, isSpread: isSpread)
        else {
          reserveCluster(for: shape, thread)
          return work
        }
        startMixed(takeBlock(id, shape, entry, subtask: 0), shape, mask, cluster, &thread)
      }
      if isFirst { thread.lookahead.unstarted -= 1 }
      work += 1
    }
    return work
  }

  /// A task's next block; with its last one the task leaves the queue.
  @inline(__always)
  private func takeBlock(
    _ id: TaskID, _ shape: TaskShape, _ entry: ConsumedEntry, subtask: UInt32
  ) -> Subtask {
    let block = entry.blocksStarted.value
    intent.willDispatch(id, block: block, subtasks: entry.activeMask)
    // Release: after the intent.
    entry.blocksStarted.word.storeRelease(block + 1)
    if block + 1 == entry.blockCount { ready.removeFirst(shape) }
    return Subtask(task: id, index: subtask, block: block)
  }

  /// One block of a mixed task: its kernels on the cores of one cluster.
  private func startMixed<S: Sharing>(
    _ first: Subtask, _ shape: TaskShape, _ mask: UInt8, _ cluster: Int,
    _ thread: inout SchedulerThread<S>
  ) {
    var subtask = first
    for index in 0..<Int(PTO2_SLOTS) where mask >> UInt8(index) & 1 != 0 {
      subtask.index = UInt32(index)
      let core = mixedCore(shape, cluster: cluster, subtask: index)
      start(subtask, on: core, &thread)
    }
  }

  @inline(__always)
  private func start<S: Sharing>(
    _ subtask: Subtask, on core: CoreID, _ thread: inout SchedulerThread<S>
  ) {
    send(subtask, to: core, ahead.noGates, &thread)
    intent.didStore(subtask: subtask.index)
  }

  /// RUNNING: stores a word to the core's next lane. The core must have room.
  @inline(__always)
  func send<S: Sharing>(
    _ subtask: Subtask, to id: CoreID, _ gates: Gates,
    _ thread: inout SchedulerThread<S>
  ) {
    let ring = thread.rings[subtask.task.ring]
    let offset = ring.descriptorOffset(subtask.task.local)
    S.store(ring.entry(subtask.task.local).state, TaskState.running.rawValue)
    let core = thread.cores[id]
    let laneIndex = core.nextLane.value
    let lane = core.lane(laneIndex)
    let before = lane.value.word
    let toggle = !before.toggle
    let limit = unsafe state.pointee.offsetLimit
    guard
      let word = DispatchWord(
        descriptorOffset: offset, slot: subtask.index, toggle: toggle, limit: limit)
    else { return thread.failEncoding(subtask.task, offset: offset, limit: limit) }
    intent.willStore(word, core: id, lane: laneIndex)
    let position = core.position.value
    core.position.value = position &+ 1
    core.nextLane.value = thread.cores.laneAfter(laneIndex)
    table.markUsed(id, core, S.self)
    ahead.setPlace(
      Gate(core: id.index, lane: laneIndex, position: position),
      slot: ring.slotNumber(subtask.task.local))
    for index in 0..<gates.count {
      thread.cores[gates[index].core].lanes.addWaiter(id.index)
    }
    let place = core.lanes[laneIndex]
    place.begin(position, block: subtask.block, gates: gates)
    lane.value = LaneState(
      word: word, condBefore: before == .idle ? .coreIdle : .fin(before), task: subtask.task,
      position: position, block: subtask.block, gates: place.gateSum)
    thread.note(
      .dispatched, subtask.task,
      detail: TraceRecord.place(
        core: id.index, lane: laneIndex, subtask: subtask.index, block: subtask.block))
    // Pairs with the core's acquire of this word: it sees the rest of the lane, and the
    // descriptor and slot that the scheduler acquired through `submitted`.
    place.word.storeRelease(word.rawValue)
    // Release: the polling thread sees the lane's record.
    S.store(core.started, core.started.value &+ 1)
    thread.pendingWakes.cores.insert(id.index)
    thread.counters.dispatched += 1
  }
}

extension SchedulerThread {
  /// With several threads, one at a time dispatches, to the cores of all. A thread that
  /// finds the lock taken need not wait: its tasks are on the intake and its cores in
  /// `freed` already, and the holder looks again after unlocking.
  mutating func dispatchReady() -> Int {
    guard S.isShared else { return dispatcher.ofOnlyThread.dispatchAll(&self) }
    let (words, cores) = (words, cores)
    return dispatcher.withLock {
      Self.hasIntake(words)
    } _: { dispatcher in
      dispatcher.ready.take(intake, S.self)
      for subtask in 0..<Int(PTO2_SLOTS) {
        var clusters = S.exchange(words.freed(subtask), 0)
        while clusters != 0 {
          let id = CoreID(cluster: clusters.trailingZeroBitCount, subtask: subtask)
          dispatcher.table.markFree(id, cores[id], S.self)
          clusters &= clusters &- 1
        }
      }
      return 1 + dispatcher.dispatchAll(&self)
    }
  }

  /// True when a task has become ready, or a core free, since a dispatcher last looked:
  /// otherwise nothing has a place that had none before.
  static func hasIntake(_ words: ThreadWords) -> Bool {
    S.load(words.intake) != ReadyQueues.none
      || S.load(words.freed(0)) | S.load(words.freed(1)) | S.load(words.freed(2)) != 0
  }

  mutating func failEncoding(_ id: TaskID, offset: UInt64, limit: UInt32) {
    let last = UInt64(limit) * 8 - 8
    fail(
      PTO2Error(
        .encodingOverflow,
        "task \(id): its descriptor lies at byte \(offset), beyond the \(last) that a register word can say. Make the task windows smaller, or --address-space larger",
        task: id, ring: id.ring, needed: offset, available: last))
  }
}
