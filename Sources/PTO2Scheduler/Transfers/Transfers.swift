internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// The two rings that scheduler and link share. A session that is the only rank has none.
@safe struct Transfers {
  private let state: UnsafeMutablePointer<State>

  @safe private struct State {
    let link: LinkPage<SharedWord>
    let starts: RingTable<TransferStart>
    let ends: RingTable<TransferEnd>
    var started: UInt32
    var taken: UInt32 = 0
  }

  /// - Returns: nil without a link.
  init?(_ segment: borrowing Segment, _ page: SchedulerPage<OwnedWord>) {
    guard segment.configuration.hasLink else { return nil }
    unsafe state = .allocate(capacity: 1)
    unsafe state.initialize(
      to: State(
        link: segment.linkPage, starts: segment.ownTransferStarts, ends: segment.transferEnds,
        started: page.transfersStarted.loadOwn()))
  }

  func deallocate() {
    unsafe state.deinitialize(count: 1)
    unsafe state.deallocate()
  }

  var link: LinkPage<SharedWord> { unsafe state.pointee.link }
  var starts: RingTable<TransferStart> { unsafe state.pointee.starts }
  var ends: RingTable<TransferEnd> { unsafe state.pointee.ends }
  /// Given to the link so far. Writer: the dispatcher's holder.
  var started: Cell<UInt32> { unsafe Cell(&state.pointee.started) }
  /// Ends that were read. The first thread's.
  var taken: Cell<UInt32> { unsafe Cell(&state.pointee.taken) }
}

/// From READY to the link: whoever dispatches, one at a time.
extension SchedulerThread {
  /// RUNNING: the link sends or receives, however long that takes. A transfer that is CANCELLED
  /// is begun as well: the other rank waits for a message, or sends one.
  ///
  /// A scheduler that comes after this one takes what has begun for published, but for the last
  /// one, which the intent names: see `takeBackTransfer`.
  mutating func startTransfer(_ id: TaskID, _ intent: Intent) {
    let entry = rings.entry(id)
    guard let transfers, isIntact(id, entry), S.load(entry.state) == TaskState.ready.rawValue,
      entry.blocksStarted.value == 0
    else { return entryHasChanged(id) }
    intent.willDispatch(id, block: 0, subtasks: 0)
    // Release, all of them: in this order.
    entry.blocksStarted.word.storeRelease(1)
    // Before the link may say that it is over.
    entry.state.word.storeRelease(TaskState.running.rawValue)
    let position = transfers.started.value
    transfers.starts[position].store(
      pto2_transfer_start(
        task_id: id.rawValue, outcome: S.load(entry.outcome) == 0 ? 0 : PTO2_OUTCOME_CANCELLED,
        reserved: 0))
    S.store(transfers.started, position &+ 1)
    if S.isTraced { noteTransfer(id) }
    // Pairs with the link's acquire before it reads the record, the slot and the tensor.
    own.transfersStarted.storeRelease(position &+ 1)
  }

  @inline(never)
  private mutating func noteTransfer(_ id: TaskID) {
    let content = shared.segment.mainRing(id.ring)[id.local].header
    let tensors = Int(content.tensor_count)
    guard tensors <= 1, Int(content.scalar_count) == Int(PTO2_TRANSFER_SCALARS),
      let payload = shared.segment.payload(id)
    else { return }
    let words = unsafe payload.arguments(of: shared.segment.descriptors(id.ring)[id.local])
    let order = TransferOrder(
      scalars: unsafe (words[tensors], words[tensors + 1], words[tensors + 2]),
      ranks: Int(shared.segment.configuration.ranks))
    if let order { note(.transferBegun, id, detail: TraceRecord.transfer(order)) }
  }

  /// After `startTransfer`.
  func wakeLink() {
    guard let transfers else { return }
    Publisher.fence()
    if Publisher(to: transfers.link.parked).isAsleep { Futex.wake(own.transfersStarted.shared) }
  }
}

/// From the link to COMPLETED: the first thread.
extension SchedulerThread {
  /// Completes what the link says is over.
  @inline(never)
  mutating func takeEnds(_ transfers: Transfers) -> Int {
    guard index == 0 else { return 0 }
    // Acquire: pairs with the link's release, after the records and what was received.
    let last = transfers.link.ended.loadAcquire()
    let before = transfers.taken.value
    if last == before { return 0 }
    guard last &- before <= own.transfersStarted.loadOwn() &- before else {
      violation(
        "\(last) transfers are said to be over, of \(own.transfersStarted.loadOwn()) that began")
      return 0
    }
    var position = before
    while position != last, position &- before < Self.wiringBudget, !hasFailed {
      let record = transfers.ends[position].content
      let id = TaskID(rawValue: record.task_id)
      guard let entry = runningTransfer(id) else {
        violation("the link says that task \(id) is over, which is no transfer that runs")
        break
      }
      endTransfer(id, entry, record.outcome)
      position &+= 1
    }
    transfers.taken.value = position
    return Int(position &- before)
  }

  /// The entry of a transfer that the link has; nil when the id is of none.
  private func runningTransfer(_ id: TaskID) -> ConsumedEntry? {
    guard id.ring < rings.count else { return nil }
    let entry = rings.entry(id)
    return entry.belongs(to: id) && entry.flags.contains(.transfer)
      && S.load(entry.state) == TaskState.running.rawValue ? entry : nil
  }

  /// - Parameter outcome: the link's: 0, or CANCELLED: the other rank had nothing to send.
  private mutating func endTransfer(_ id: TaskID, _ entry: ConsumedEntry, _ outcome: UInt32) {
    guard outcome == 0 || outcome == PTO2_OUTCOME_CANCELLED else {
      return violation("the link says that transfer \(id) has ended with \(outcome)")
    }
    if outcome != 0 { cancel(entry) }
    complete(id)
  }

  /// First thread: transfers that the link has, whose turn or another rank's it is.
  var transfersOut: UInt32 {
    transfers.map { own.transfersStarted.loadOwn() &- $0.taken.value } ?? 0
  }
}

/// Before the only thread sleeps.
extension SchedulerThread {
  /// A core has enough before it for long, but another rank waits for one of its results: how
  /// many dispatches are outstanding from the first such one on, 0 = there is none.
  func outstandingForTransfers(_ core: Core, of outstanding: UInt32) -> UInt32 {
    guard transfers != nil else { return 0 }
    for before in 0..<outstanding {
      let lane = (core.oldestLane.value + before) % cores.laneCount
      if isAwaitedByTransfer(core.lane(lane).value.task) { return outstanding - before }
    }
    return 0
  }

  /// A list that has changed is found when the task completes.
  private func isAwaitedByTransfer(_ id: TaskID) -> Bool {
    var reference = rings.entry(id).fanoutHead.value
    var left = rings.edgeCount
    while reference != PTO2_EDGE_NONE && reference != PTO2_EDGE_CLOSED {
      guard left > 0, let edge = edge(reference, of: id) else { return true }
      if rings.entry(edge.consumer).flags.contains(.transfer) { return true }
      left -= 1
      reference = edge.next
    }
    return false
  }
}

/// After a restart.
extension SchedulerThread {
  /// The one transfer of which a scheduler may have died between saying so and giving it to the
  /// link: it has not begun. Others may have gone round the ring of starts since; this one was
  /// the last to begin, or is not there.
  func takeBackTransfer(_ id: TaskID, _ entry: ConsumedEntry) {
    guard let transfers, own.intent.task_id == id.rawValue else { return }
    let started = transfers.started.value
    // A place that was never used looks like that of task 0:0.
    let wasPublished =
      transfers.starts[started &- 1].content.task_id == id.rawValue
      && (started != 0 || id.rawValue != 0)
    if wasPublished { return }
    // In this order: the intent is asked for only of what has begun.
    entry.state.word.storeRelease(TaskState.pending.rawValue)
    entry.blocksStarted.word.storeRelease(0)
  }

  /// Ends that were not taken, and those that were: their tasks are COMPLETED. When all other
  /// tasks stand where they stood.
  mutating func resumeTransfers() {
    guard let transfers else { return }
    let ended = transfers.link.ended.loadAcquire()
    let capacity = transfers.ends.count
    var back = capacity
    while back > 0, !hasFailed {
      let record = transfers.ends[ended &- back].content
      let id = TaskID(rawValue: record.task_id)
      // As above, of a place that comes before the first.
      let isUnused = id.rawValue == 0 && back > ended
      if !isUnused, let entry = runningTransfer(id) { endTransfer(id, entry, record.outcome) }
      back -= 1
    }
    transfers.taken.value = ended
    if hasFailed { return }
    let running = countRunningTransfers()
    guard running == transfers.started.value &- ended else {
      return violation(
        "\(running) transfers run, of \(transfers.started.value) that began and \(ended) that are over"
      )
    }
    wakeLink()
  }

  private func countRunningTransfers() -> UInt32 {
    var count: UInt32 = 0
    for index in 0..<rings.count {
      let ring = rings[index]
      var local = ring.released.position.value
      while local != ring.wired.value {
        if runningTransfer(TaskID(ring: index, local: local)) != nil { count += 1 }
        local &+= 1
      }
    }
    return count
  }
}
