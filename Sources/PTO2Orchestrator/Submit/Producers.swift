internal import CPTO2Segment
internal import PTO2Protocol

/// The producers of the task being submitted, each once: what its fanin list will be.
///
/// `look` collects them from arguments and TensorMap and changes nothing that other
/// tasks see. While the task then waits for room some may be RELEASED: `settle` goes
/// through that once. `enter` makes the task itself known to the map.
struct Producers: ~Copyable {
  private(set) var list = PlainArray<FaninWord>(capacity: 64)
  /// The task needs the result of one that did not end well.
  private(set) var isCancelled = false
  /// Records by which the task makes the TensorMap grow at most.
  private(set) var mapGrowth = 0
  /// The same if none of the records that `look` found is there any more.
  private(set) var mapGrowthAfterSweep = 0
  /// Where `look` found each argument, in order, and the state of the map in which they
  /// are there.
  private var places = PlainArray<UInt32>(capacity: 64)
  private var placesChanges: UInt32 = 0
  /// Stamp of this submission: each task's memory tells at once whether it is in the
  /// list already.
  private var serial: UInt32 = 0

  var count: Int { list.count }

  mutating func begin() {
    list.removeAll()
    places.removeAll()
    isCancelled = false
    mapGrowth = 0
    mapGrowthAfterSweep = 0
    serial &+= 1
    // Serial 0 is what fresh memory holds.
    if serial == 0 { serial = 1 }
  }

  // MARK: Look

  /// Looks every argument up.
  ///
  /// Read-after-write and write-after-write edges also keep the producer's
  /// output alive; write-after-read edges only wait. The owner of a tensor in
  /// the heap is always retained, done or not: its memory is in use. In a manual
  /// scope the owner is all there is.
  mutating func look(
    at task: inout StagedTask, isManual: Bool, _ buffers: inout BufferTable,
    _ map: inout TensorMap, _ rings: inout Rings, _ failed: inout FailedTasks
  ) {
    begin()
    placesChanges = map.changes
    let mayOverwrite = task.overwrites
    for index in 0..<task.arguments.count {
      look(
        at: task.arguments[index], mayOverwrite: mayOverwrite, isManual: isManual, &buffers, &map,
        &rings, &failed)
    }
    if let predicate = task.predicate {
      look(
        at: predicate.argument, mayOverwrite: false, isManual: isManual, &buffers, &map, &rings,
        &failed)
    }
    for index in 0..<task.dependencies.count {
      let dependency = task.dependencies[index]
      if dependency.flags & PTO2_FANIN_RETAIN != 0 {
        add(dependency.task, dependency.flags, &rings)
      } else {
        note(dependency.task, dependency.flags, &rings, &failed)
      }
    }
  }

  @inline(__always)
  private mutating func look(
    at argument: StagedArgument, mayOverwrite: Bool, isManual: Bool,
    _ buffers: inout BufferTable, _ map: inout TensorMap, _ rings: inout Rings,
    _ failed: inout FailedTasks
  ) {
    if argument.access == .output { return }
    let (owner, isKept) = (buffers[argument.buffer].owner, buffers[argument.buffer].isKept)
    let flags = argument.faninFlags(mayOverwrite: mayOverwrite)
    if owner != .none { add(owner: owner, isKept: isKept, flags.owner, &rings, &failed) }
    if isManual || argument.access == .noDependency || argument.isEmpty { return }
    let place = map.look(buffers[argument.buffer].records, argument.extent, argument) {
      other, kind in
      note(other, kind == .writer ? flags.writer : PTO2_FANIN_WAIT, &rings, &failed)
    }
    places.append(place.record)
    mapGrowth += place.growth
    mapGrowthAfterSweep += max(place.growth, argument.hasGaps ? 1 : 2)
  }

  /// The tasks that write a tensor that somebody looks at, and those that read it too if
  /// he is to write it, and are not RELEASED.
  mutating func look(
    at argument: StagedArgument, in buffer: Buffer, _ map: inout TensorMap, _ rings: inout Rings,
    _ failed: inout FailedTasks
  ) {
    self.begin()
    if buffer.owner != .none { note(buffer.owner, PTO2_FANIN_WAIT, &rings, &failed) }
    if argument.isEmpty { return }
    _ = map.look(buffer.records, argument.extent, argument) { task, _ in
      note(task, PTO2_FANIN_WAIT, &rings, &failed)
    }
  }

  /// A producer: to be waited for unless it is RELEASED. Then there is nothing to
  /// wait for, but is there a result?
  @inline(__always)
  mutating func note(
    _ task: TaskOrdinal, _ flags: UInt64, _ rings: inout Rings, _ failed: inout FailedTasks
  ) {
    if rings.isLive(task) {
      add(task, flags, &rings)
    } else if failed.hasAny && flags & PTO2_FANIN_DATA != 0 && failed.contains(task) {
      isCancelled = true
    }
  }

  /// The task that has put a tensor out, and the heap holds for it: done or not, it must go on
  /// to do so. Of a kept one nothing is in the heap.
  @inline(__always)
  mutating func add(
    owner task: TaskOrdinal, isKept: Bool, _ flags: UInt64, _ rings: inout Rings,
    _ failed: inout FailedTasks
  ) {
    if isKept {
      note(task, flags & ~PTO2_FANIN_RETAIN, &rings, &failed)
    } else {
      add(task, flags, &rings)
    }
  }

  @inline(__always)
  mutating func add(_ task: TaskOrdinal, _ flags: UInt64, _ rings: inout Rings) {
    let memory = rings[task.ring][memory: task.ordinal]
    if memory.stamp == serial {
      list[memory.stampIndex].rawValue |= flags
    } else {
      let index = list.append(FaninWord(rawValue: task.id.rawValue | flags))
      rings[task.ring][memory: task.ordinal].stamp = serial
      rings[task.ring][memory: task.ordinal].stampIndex = UInt32(truncatingIfNeeded: index)
    }
  }

  /// A producer that no other call names for this task.
  @inline(__always)
  mutating func addOther(_ task: TaskOrdinal, _ flags: UInt64) {
    list.append(FaninWord(rawValue: task.id.rawValue | flags))
  }

  // MARK: Settle

  /// After a wait: what is RELEASED by now is waited for no more, what is CONSUMED is
  /// held no more, and whoever needs the result of one that did not end well is
  /// cancelled. The scheduler may not be able to see that: the entry of a CONSUMED
  /// producer may be the one that this task gets.
  mutating func settle(_ rings: inout Rings, _ failed: inout FailedTasks) {
    var kept = 0
    for index in 0..<list.count {
      let fanin = list[index]
      guard let task = rings.task(fanin.producer) else { continue }
      let isReleased = !rings.isLive(task)
      if isReleased && fanin.needsData && failed.contains(task) { isCancelled = true }
      if isReleased && (!fanin.retains || task.ordinal < rings[task.ring].consumed) { continue }
      list[kept] = fanin
      kept += 1
    }
    list.removeAll(from: kept)
  }

  // MARK: Enter

  /// Makes the task known to the map as a reader and writer of its tensors.
  @inline(__always)
  mutating func enter(
    _ ordinal: TaskOrdinal, _ task: inout StagedTask, _ buffers: inout BufferTable,
    _ map: inout TensorMap, _ rings: inout Rings, _ failed: inout FailedTasks
  ) {
    map.beginEntering()
    var next = 0
    for index in 0..<task.arguments.count {
      enter(ordinal, task.arguments[index], &next, &buffers, &map, &rings, &failed)
    }
    if let predicate = task.predicate {
      enter(ordinal, predicate.argument, &next, &buffers, &map, &rings, &failed)
    }
  }

  @inline(__always)
  private func enter(
    _ ordinal: TaskOrdinal, _ argument: StagedArgument, _ next: inout Int,
    _ buffers: inout BufferTable, _ map: inout TensorMap, _ rings: inout Rings,
    _ failed: inout FailedTasks
  ) {
    let access = argument.access
    if access == .output || access == .noDependency || argument.isEmpty { return }
    let place = map.changes == placesChanges ? places[next] : nil
    next += 1
    enter(ordinal, argument, at: place, &buffers, &map, &rings, &failed)
  }

  /// The task has used a tensor. `place` is as for `TensorMap.enterRead`.
  @inline(__always)
  func enter(
    _ ordinal: TaskOrdinal, _ argument: StagedArgument, at place: UInt32?,
    _ buffers: inout BufferTable, _ map: inout TensorMap, _ rings: inout Rings,
    _ failed: inout FailedTasks
  ) {
    // Whoever is to depend on a failed task later must still find it.
    func isNeeded(_ task: TaskOrdinal) -> Bool {
      rings.isLive(task) || failed.hasAny && failed.contains(task)
    }
    if argument.access.isWrite {
      map.enterWrite(
        &buffers[argument.buffer].records, argument.extent, argument, task: ordinal, at: place,
        isLive: isNeeded)
    } else {
      map.enterRead(
        &buffers[argument.buffer].records, argument.extent, argument, task: ordinal, at: place,
        isLive: isNeeded)
    }
  }
}

extension StagedArgument {
  /// Of a fanin entry, for the tensor's owner and for tasks that have written it since.
  /// - Parameter mayOverwrite: the task has kernels, and nothing keeps them from running, or
  ///   it is a transfer.
  @inline(__always)
  func faninFlags(mayOverwrite: Bool) -> (owner: UInt64, writer: UInt64) {
    let all = PTO2_FANIN_WAIT | PTO2_FANIN_RETAIN | PTO2_FANIN_DATA
    // Its memory alone is held, unless its owner is asked for.
    if access == .noDependency { return (waitsForOwner ? all : PTO2_FANIN_RETAIN, 0) }
    // What overwrites the whole needs nothing of what was there; but a task without
    // kernels, or with a predicate, may leave it as it was.
    return mayOverwrite && access == .outputExisting
      ? (PTO2_FANIN_WAIT | PTO2_FANIN_RETAIN, PTO2_FANIN_WAIT) : (all, all)
  }
}
