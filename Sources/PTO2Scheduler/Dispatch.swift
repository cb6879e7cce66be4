internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2System

/// From the ready queues to the cores.
///
/// Rules: dummies complete at once; mixed tasks are placed first, on a cluster
/// whose required cores are all free; an idle core is preferred to a free lane
/// behind a running kernel. A mixed task that finds no place reserves the least
/// loaded cluster for the step: less demanding tasks keep off it, so that the
/// cluster's load only falls while the mixed task waits. A task whose blocks
/// must start together drains the cores: nothing else is dispatched until
/// enough of them are idle.
extension Scheduler {
  /// With several threads, one at a time dispatches, to the cores of all. A thread
  /// that finds the lock taken need not wait: its tasks are on the intake and its cores
  /// in `freed` already, and the holder looks again after unlocking.
  mutating func dispatchReady() -> Int {
    guard S.isShared else { return dispatchAll() }
    var work = 0
    while hasIntake, unsafe tryLock(lines.dispatchLock) {
      unsafe dispatcher.pointee.ready.take(lines.intake, S.self)
      for slot in 0..<3 {
        var mask = unsafe S.exchange(lines.freed(slot), 0)
        while mask != 0 {
          unsafe dispatcher.pointee.cores.note(3 * mask.trailingZeroBitCount + slot, S.self)
          mask &= mask &- 1
        }
      }
      work += 1 + dispatchAll()
      unsafe S.unlock(lines.dispatchLock)
      fullFence()
    }
    return work
  }

  /// True when a task has become ready, or a core free, since a dispatcher last
  /// looked: otherwise nothing has a place that had none before.
  var hasIntake: Bool {
    unsafe S.load(lines.intake) != ReadyQueues.none
      || S.load(lines.freed(0)) | S.load(lines.freed(1)) | S.load(lines.freed(2)) != 0
  }

  @inline(__always)
  private mutating func dispatchAll() -> Int {
    var work = 0
    while let id = unsafe dispatcher.pointee.ready.first(.dummy) {
      unsafe dispatcher.pointee.ready.removeFirst(.dummy)
      complete(TaskID(rawValue: id))
      work += 1
    }
    unsafe dispatcher.pointee.cores.reservedMask = 0
    if unsafe !dispatcher.pointee.redo.isEmpty { work += dispatchRedo() }
    if let shape = unsafe dispatcher.pointee.drainingFor {
      work += dispatch(shape)
      if unsafe dispatcher.pointee.drainingFor != nil { return work }
    }
    work += dispatch(.aicAivX2)
    work += dispatch(.aicAivX1)
    work += dispatch(.aivX2)
    work += dispatch(.aicOnly)
    work += dispatch(.aivX1)
    return work
  }

  /// Starts blocks of one shape, in order of readiness, until one finds no
  /// place.
  @inline(__always)
  private mutating func dispatch(_ shape: TaskShape) -> Int {
    var work = 0
    while unsafe dispatcher.pointee.drainingFor == nil || dispatcher.pointee.drainingFor == shape,
      let raw = unsafe dispatcher.pointee.ready.first(shape)
    {
      let id = TaskID(rawValue: raw)
      let entry = unsafe rings[id.ring].entry(id.local)
      if unsafe entry.pointee.flags & UInt8(PTO2_SLOT_SYNC_START) != 0 {
        guard unsafe mayStartTogether(shape, entry) else {
          unsafe dispatcher.pointee.drainingFor = shape
          break
        }
        unsafe dispatcher.pointee.drainingFor = nil
      }
      let mask = unsafe entry.pointee.active_mask
      switch shape {
      case .aicOnly:
        guard let cluster = matrixCluster() else { return work }
        let block = unsafe takeBlock(id, shape, entry)
        start(id, core: 3 * cluster, slot: 0, block: block)
        unsafe intent.settle(slot: 0)
      case .aivX1:
        guard let core = vectorCore() else { return work }
        let block = unsafe takeBlock(id, shape, entry)
        let slot: UInt32 = mask == 0b010 ? 1 : 2
        start(id, core: core, slot: slot, block: block)
        unsafe intent.settle(slot: slot)
      default:
        guard let cluster = mixedCluster(shape) else {
          reserveCluster(shape)
          return work
        }
        let block = unsafe takeBlock(id, shape, entry)
        startMixed(id, shape, mask, cluster, block)
      }
      work += 1
    }
    return work
  }

  /// The index of a task's next block; with its last one the task leaves the
  /// queue.
  @inline(__always)
  private mutating func takeBlock(
    _ id: TaskID, _ shape: TaskShape, _ entry: UnsafeMutablePointer<pto2_consumed_entry>
  ) -> UInt32 {
    let block = unsafe entry.pointee.blocks_started
    unsafe intent.begin(id, block: block, slots: entry.pointee.active_mask)
    // Release: after the intent.
    unsafe OwnedWord(&entry.pointee.blocks_started).storeRelease(block + 1)
    if unsafe block + 1 == entry.pointee.block_count {
      unsafe dispatcher.pointee.ready.removeFirst(shape)
    }
    return block
  }

  /// True when every block of the task finds idle cores now, or its first one
  /// has started already.
  private func mayStartTogether(
    _ shape: TaskShape, _ entry: UnsafeMutablePointer<pto2_consumed_entry>
  ) -> Bool {
    if unsafe entry.pointee.blocks_started > 0 { return true }
    let idle = unsafe dispatcher.pointee.cores.idle
    let places =
      switch shape {
      case .aicOnly: idle.0.nonzeroBitCount
      case .aivX1: idle.1.nonzeroBitCount + idle.2.nonzeroBitCount
      default: clusters(shape, in: idle).nonzeroBitCount
      }
    return unsafe places >= Int(entry.pointee.block_count)
  }

  /// An unreserved cluster with an idle AIC, else one with a free lane there.
  @inline(__always)
  func matrixCluster() -> Int? {
    let open = unsafe ~dispatcher.pointee.cores.reservedMask
    let idle = unsafe dispatcher.pointee.cores.idle.0 & open
    if idle != 0 { return awake(idle, slot: 0) ?? idle.trailingZeroBitCount }
    let room = unsafe dispatcher.pointee.cores.room.0 & open
    return room != 0 ? room.trailingZeroBitCount : nil
  }

  /// Either AIV of any unreserved cluster, an idle one if there is one; among
  /// busy ones, that with the fewest dispatches.
  @inline(__always)
  func vectorCore() -> Int? {
    let open = unsafe ~dispatcher.pointee.cores.reservedMask
    let idle1 = unsafe dispatcher.pointee.cores.idle.1 & open
    let idle2 = unsafe dispatcher.pointee.cores.idle.2 & open
    if idle1 | idle2 != 0 {
      if let cluster = awake(idle1, slot: 1) { return 3 * cluster + 1 }
      if let cluster = awake(idle2, slot: 2) { return 3 * cluster + 2 }
      let cluster = (idle1 | idle2).trailingZeroBitCount
      return 3 * cluster + (idle1 >> UInt64(cluster) & 1 != 0 ? 1 : 2)
    }
    let room1 = unsafe dispatcher.pointee.cores.room.1 & open
    let room2 = unsafe dispatcher.pointee.cores.room.2 & open
    guard room1 | room2 != 0 else { return nil }
    let cluster = (room1 | room2).trailingZeroBitCount
    let first = 3 * cluster + 1
    let second = 3 * cluster + 2
    guard room1 >> UInt64(cluster) & 1 != 0 else { return second }
    guard room2 >> UInt64(cluster) & 1 != 0 else { return first }
    return outstanding(first) <= outstanding(second) ? first : second
  }

  /// The first cluster of a mask whose core of this slot is not parked: a
  /// dispatch to it wakes nobody.
  @inline(__always)
  private func awake(_ clusters: UInt64, slot: Int) -> Int? {
    var rest = clusters
    while rest != 0 {
      let cluster = rest.trailingZeroBitCount
      if unsafe cores[3 * cluster + slot].parked.loadRelaxed() == 0 { return cluster }
      rest &= rest &- 1
    }
    return nil
  }

  /// One block of a mixed task: its kernels on the cores of one cluster.
  private mutating func startMixed(
    _ id: TaskID, _ shape: TaskShape, _ mask: UInt8, _ cluster: Int, _ block: UInt32
  ) {
    for slot in 0..<UInt32(PTO2_SLOTS) where mask >> UInt8(slot) & 1 != 0 {
      var core = 3 * cluster + Int(slot)
      // The one vector kernel of AIC_AIV_X1 may run on either AIV: on an idle
      // one if there is one, else on one with a free lane.
      if shape == .aicAivX1, slot > 0, unsafe !isIn(dispatcher.pointee.cores.idle, core) {
        let other = 3 * cluster + 3 - Int(slot)
        if unsafe isIn(dispatcher.pointee.cores.idle, other)
          || !isIn(dispatcher.pointee.cores.room, core)
        {
          core = other
        }
      }
      start(id, core: core, slot: slot, block: block)
      unsafe intent.settle(slot: slot)
    }
  }

  @inline(__always)
  private func isIn(_ masks: (UInt64, UInt64, UInt64), _ core: Int) -> Bool {
    unsafe CoreTable.bits(masks, core % 3) >> UInt64(core / 3) & 1 != 0
  }

  private func mixedCluster(_ shape: TaskShape) -> Int? {
    let open = unsafe ~dispatcher.pointee.cores.reservedMask
    let idle = unsafe clusters(shape, in: dispatcher.pointee.cores.idle) & open
    if idle != 0 { return idle.trailingZeroBitCount }
    let room = unsafe clusters(shape, in: dispatcher.pointee.cores.room) & open
    return room != 0 ? room.trailingZeroBitCount : nil
  }

  /// Clusters whose masked cores suffice for a mixed shape.
  private func clusters(_ shape: TaskShape, in masks: (UInt64, UInt64, UInt64)) -> UInt64 {
    switch shape {
    case .aicAivX2: masks.0 & masks.1 & masks.2
    case .aicAivX1: masks.0 & (masks.1 | masks.2)
    default: masks.1 & masks.2
    }
  }

  /// Keeps less demanding tasks off the least loaded cluster that has the
  /// cores for this shape.
  private mutating func reserveCluster(_ shape: TaskShape) {
    guard unsafe dispatcher.pointee.cores.reservedMask == 0 else { return }
    let able = unsafe clusters(shape, in: dispatcher.pointee.cores.present)
    guard able != 0 else { return }
    var best = 0
    var fewest = UInt32.max
    for cluster in 0..<(coreCount / 3) where able >> UInt64(cluster) & 1 != 0 {
      var load: UInt32 = 0
      for core in 3 * cluster..<3 * cluster + 3 { load += outstanding(core) }
      if load < fewest {
        best = cluster
        fewest = load
      }
    }
    unsafe dispatcher.pointee.cores.reservedMask = 1 << UInt64(best)
  }

  /// Dispatch proper: one word to one core.
  @inline(__always)
  mutating func start(_ id: TaskID, core: Int, slot: UInt32, block: UInt32) {
    let ring = unsafe rings + id.ring
    let index = unsafe id.local & ring.pointee.mainMask
    let offset = unsafe ring.pointee.descriptorBase + UInt64(index) * UInt64(PTO2_DESC_STRIDE)
    unsafe S.store(&ring.pointee.entry(id.local).pointee.state, TaskState.running.rawValue)
    guard
      unsafe dispatcher.pointee.cores.dispatch(
        core: core, taskID: id.rawValue, descriptorOffset: offset, slot: slot, block: block, S.self)
    else {
      let last = unsafe UInt64(dispatcher.pointee.cores.offsetLimit) * 8 - 8
      return fail(
        PTO2Error(
          .encodingOverflow,
          "task \(id): its descriptor lies at byte \(offset), beyond the \(last) that a register word can say. Make the task windows smaller, or --address-space larger",
          task: id, ring: id.ring, needed: offset, available: last))
    }
    unsafe CoreTable.set(&toWake, core % 3, core / 3, true)
    counters.dispatched += 1
  }
}
