internal import CPTO2Segment
internal import PTO2Protocol

/// Where a block runs.
///
/// Dispatched ahead, a task goes to the core that has had the least, of equal ones to that
/// with most of its producers. What a core has *had* counts, not what it has still to do:
/// whatever holds a core up for a moment also holds up those that wait for it at gates, and
/// a batch that goes elsewhere because of it would put a whole step of a stencil on one
/// core, and the next steps after it. A core that stays slow is full at last.
///
/// A task that the program wants near a cluster goes to a favoured core of that one if it has
/// room; a READY task only if it is idle or no other is.
///
/// An idle core is preferred to a free lane behind a running kernel. Where a core is not
/// READY, or for blocks that may have a core each, there is no other choice than an idle
/// one: what is stored to a lane stays there, and its siblings may wait for it. A mixed task that
/// finds no place reserves the least loaded cluster for the step: less demanding tasks
/// keep off it, so that the cluster's load only falls while the mixed task waits.
extension Dispatcher {
  /// True for blocks that may wait for each other: there are so few that each gets a core,
  /// or a cluster, of its own.
  @inline(__always)
  func isSpread<S: Sharing>(
    _ entry: ConsumedEntry, _ thread: borrowing SchedulerThread<S>
  ) -> Bool {
    let count = entry.blockCount
    return count != 1
      && count
        <= BlockLimits.startingTogether(
          mask: entry.activeMask, clusters: UInt32(thread.cores.clusterCount))
  }

  /// The AIC of an unreserved cluster: a favoured one if there is one, an idle one before
  /// one with a free lane.
  /// - Parameter isSpread: an idle one alone.
  @inline(__always)
  func matrixCore<S: Sharing>(
    isSpread: Bool, _ thread: borrowing SchedulerThread<S>
  ) -> CoreID? {
    let (open, favoured) = (~table.reservedClusters, table.favoured.aic)
    let core =
      matrixCore(among: open & favoured, isSpread: isSpread, thread)
      ?? matrixCore(among: open & ~favoured, isSpread: isSpread, thread)
    if core == nil, isSpread || !table.isComplete(isMatrix: true) {
      table.isIdleAwaited.matrix = true
    }
    return core
  }

  @inline(__always)
  private func matrixCore<S: Sharing>(
    among clusters: UInt64, isSpread: Bool, _ thread: borrowing SchedulerThread<S>
  ) -> CoreID? {
    let idle = table.idle.aic & clusters
    if idle != 0 {
      return CoreID(
        cluster: awake(idle, subtask: 0, thread) ?? idle.trailingZeroBitCount, subtask: 0)
    }
    if isSpread || !table.isComplete(isMatrix: true) { return nil }
    return idlest(table.room.aic & clusters, subtask: 0, thread)
  }

  /// Either AIV of any unreserved cluster: a favoured one if there is one, an idle one
  /// before busy ones, of these that with the fewest dispatches.
  /// - Parameter isSpread: an idle one alone.
  @inline(__always)
  func vectorCore<S: Sharing>(
    isSpread: Bool, _ thread: borrowing SchedulerThread<S>
  ) -> CoreID? {
    let (open, favoured) = (~table.reservedClusters, table.favoured)
    let core =
      vectorCore(among: open & favoured.aiv0, open & favoured.aiv1, isSpread: isSpread, thread)
      ?? vectorCore(
        among: open & ~favoured.aiv0, open & ~favoured.aiv1, isSpread: isSpread, thread)
    if core == nil, isSpread || !table.isComplete(isMatrix: false) {
      table.isIdleAwaited.vector = true
    }
    return core
  }

  @inline(__always)
  private func vectorCore<S: Sharing>(
    among clusters0: UInt64, _ clusters1: UInt64, isSpread: Bool,
    _ thread: borrowing SchedulerThread<S>
  ) -> CoreID? {
    let idle0 = table.idle.aiv0 & clusters0
    let idle1 = table.idle.aiv1 & clusters1
    if idle0 | idle1 != 0 {
      if let cluster = awake(idle0, subtask: 1, thread) {
        return CoreID(cluster: cluster, subtask: 1)
      }
      if let cluster = awake(idle1, subtask: 2, thread) {
        return CoreID(cluster: cluster, subtask: 2)
      }
      let cluster = (idle0 | idle1).trailingZeroBitCount
      return CoreID(cluster: cluster, subtask: idle0 >> UInt64(cluster) & 1 != 0 ? 1 : 2)
    }
    if isSpread || !table.isComplete(isMatrix: false) { return nil }
    let first = idlest(table.room.aiv0 & clusters0, subtask: 1, thread)
    let second = idlest(table.room.aiv1 & clusters1, subtask: 2, thread)
    guard let first, let second else { return first ?? second }
    return thread.outstanding(first.index) <= thread.outstanding(second.index) ? first : second
  }

  /// The core of the cluster that the program wants the task near, if there is one: an idle
  /// one, or one with a free lane where no core of its kind is idle.
  /// - Parameter place: of the kernel, 0 for AIC, 1 and 2 for AIV0 and AIV1.
  @inline(__always)
  func nearCore(_ entry: ConsumedEntry, place: Int, isSpread: Bool) -> CoreID? {
    guard let cluster = entry.blocks.cluster else { return nil }
    return nearCore(cluster, place: place, isSpread: isSpread)
  }

  @inline(never)
  private func nearCore(_ cluster: Int, place: Int, isSpread: Bool) -> CoreID? {
    let (open, idle) = (~table.reservedClusters, table.idle)
    let own = table.favoured.of(open)
    if let core = core(in: idle.intersection(own), cluster: cluster, place: place) { return core }
    let others = place == 0 ? idle.aic : idle.aiv0 | idle.aiv1
    if isSpread || others & open != 0 || !table.isComplete(isMatrix: place == 0) { return nil }
    return core(in: table.room.intersection(own), cluster: cluster, place: place)
  }

  /// The same for a task of one kernel that is dispatched ahead.
  @inline(__always)
  func nearCore(_ entry: ConsumedEntry, in room: CoreMasks) -> CoreID? {
    guard let cluster = entry.blocks.cluster else { return nil }
    return core(in: room, cluster: cluster, place: entry.activeMask.trailingZeroBitCount)
  }

  /// The core of a cluster for a kernel: that of its place, else of an AIV kernel the other AIV.
  @inline(__always)
  private func core(in masks: CoreMasks, cluster: Int, place: Int) -> CoreID? {
    let own = CoreID(cluster: cluster, subtask: place)
    if masks.contains(own) { return own }
    if place == 0 { return nil }
    let other = CoreID(cluster: cluster, subtask: 3 - place)
    return masks.contains(other) ? other : nil
  }

  /// For a task that waits at some gates: the core whose newest dispatch is one of its
  /// producers, since it would begin no sooner on another one; else that which has had the
  /// least.
  /// - Parameter room: cores to choose from, all of one kind; not empty.
  @inline(__always)
  func core(
    among room: CoreMasks, isMatrix: Bool, behind gates: Gates, _ cores: Cores
  ) -> CoreID {
    let arrears = table.leastShare(isMatrix: isMatrix)
    var (best, least, most) = (-1, UInt64.max, UInt32(0))
    for index in 0..<gates.count {
      let id = CoreID(gates[index].core)
      let core = cores[id]
      guard gates[index].position &+ 1 == core.position.value, room.contains(id) else { continue }
      let share = max(core.share.value, arrears)
      if share < least { (best, least) = (id.index, share) }
    }
    if best >= 0 { return CoreID(best) }
    var clusters = isMatrix ? room.aic : room.aiv0
    var subtask = isMatrix ? 0 : 1
    while true {
      while clusters != 0 {
        let id = CoreID(cluster: clusters.trailingZeroBitCount, subtask: subtask)
        clusters &= clusters &- 1
        let share = max(cores[id].share.value, arrears)
        if share > least { continue }
        let count = gates.producers(on: id.index)
        if share < least || count > most { (best, least, most) = (id.index, share, count) }
      }
      if subtask != 1 { break }
      (clusters, subtask) = (room.aiv1, 2)
    }
    return CoreID(max(best, 0))
  }

  /// Of some clusters' cores, that with the fewest dispatches.
  @inline(__always)
  private func idlest<S: Sharing>(
    _ clusters: UInt64, subtask: Int, _ thread: borrowing SchedulerThread<S>
  ) -> CoreID? {
    var rest = clusters
    var best: CoreID?
    var fewest = UInt32.max
    while rest != 0 {
      let id = CoreID(cluster: rest.trailingZeroBitCount, subtask: subtask)
      rest &= rest &- 1
      let load = thread.outstanding(id.index)
      if load < fewest { (best, fewest) = (id, load) }
    }
    return best
  }

  /// The first of some clusters whose core for this subtask is not parked: a dispatch
  /// to it wakes nobody.
  @inline(__always)
  private func awake<S: Sharing>(
    _ clusters: UInt64, subtask: Int, _ thread: borrowing SchedulerThread<S>
  ) -> Int? {
    var rest = clusters
    while rest != 0 {
      let cluster = rest.trailingZeroBitCount
      let core = thread.cores[CoreID(cluster: cluster, subtask: subtask)]
      if core.page.parked.loadRelaxed() == 0 { return cluster }
      rest &= rest &- 1
    }
    return nil
  }

  /// A cluster for all kernels of a block.
  /// - Parameters:
  ///   - near: the one that comes first; nil for none.
  ///   - isSpread: with idle cores alone.
  func mixedCluster(_ shape: TaskShape, near: Int?, isSpread: Bool) -> Int? {
    let open = ~table.reservedClusters
    let wanted: UInt64 = near.map { 1 << UInt64($0) } ?? 0
    let idle = table.idle.clusters(for: shape) & open
    if idle != 0 { return (idle & wanted != 0 ? wanted : idle).trailingZeroBitCount }
    let isMatrixDue = shape == .aivX2 || table.isComplete(isMatrix: true)
    if isSpread || !isMatrixDue || !table.isComplete(isMatrix: false) { return nil }
    let room = table.room.clusters(for: shape) & open
    if room == 0 { return nil }
    return (room & wanted != 0 ? wanted : room).trailingZeroBitCount
  }

  /// The core for one kernel of a mixed block. The one vector kernel of AIC_AIV_X1 may
  /// run on either AIV: on an idle one if there is one, else on one with a free lane.
  func mixedCore(_ shape: TaskShape, cluster: Int, subtask: Int) -> CoreID {
    let own = CoreID(cluster: cluster, subtask: subtask)
    guard shape == .aicAivX1, subtask > 0, !table.idle.contains(own) else { return own }
    let other = CoreID(cluster: cluster, subtask: 3 - subtask)
    return table.idle.contains(other) || !table.room.contains(own) ? other : own
  }

  /// Keeps less demanding tasks off the least loaded cluster that has the cores for
  /// this shape.
  func reserveCluster<S: Sharing>(
    for shape: TaskShape, _ thread: borrowing SchedulerThread<S>
  ) {
    guard table.reservedClusters == 0 else { return }
    let able = table.present.clusters(for: shape)
    guard able != 0 else { return }
    var best = 0
    var fewest = UInt32.max
    for cluster in 0..<thread.cores.clusterCount where able >> UInt64(cluster) & 1 != 0 {
      var load: UInt32 = 0
      for subtask in SubtaskSlot.allCases {
        load += thread.outstanding(CoreID(cluster: cluster, subtask: Int(subtask.rawValue)).index)
      }
      if load < fewest {
        best = cluster
        fewest = load
      }
    }
    table.reservedClusters = 1 << UInt64(best)
  }

  /// True when every block of the task finds idle cores now, or its first one has
  /// started already.
  func mayStartTogether(_ shape: TaskShape, _ entry: ConsumedEntry) -> Bool {
    if entry.blocksStarted.value > 0 { return true }
    let open = ~table.reservedClusters
    let places =
      switch shape {
      case .aicOnly: (table.idle.aic & open).nonzeroBitCount
      case .aivX1:
        (table.idle.aiv0 & open).nonzeroBitCount + (table.idle.aiv1 & open).nonzeroBitCount
      default: (table.idle.clusters(for: shape) & open).nonzeroBitCount
      }
    return places >= Int(entry.blockCount)
  }
}
