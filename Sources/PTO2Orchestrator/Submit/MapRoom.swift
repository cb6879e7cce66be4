internal import PTO2Protocol
internal import PTO2System

/// A TensorMap that is full.
extension Orchestrator {
  /// Brings the TensorMap so far under its limit that the task that was looked at has
  /// room: forgets what is RELEASED, or waits until everything else is. Its producers
  /// are settled then.
  ///
  /// A full map is back-pressure like a full ring: tasks become RELEASED
  /// without the program's doing. So what is refused does not depend on how
  /// fast the cores are, only on what one task alone needs. A sweep that does
  /// not free an eighth is followed by the wait, which frees all; either way
  /// many tasks go by before the next one.
  /// - Throws: error 11 when the task alone needs more than there is.
  @inline(never)
  mutating func waitForMapRoom(_ ring: Int) throws(PTO2Error) {
    refreshAll()
    sweepMap()
    if map.count + producers.mapGrowthAfterSweep > map.limit - map.limit / 8 {
      let begin = MonotonicClock.now()
      try waitForAll()
      counters.noteStall(.tensorMap, since: begin)
      forgetAllRecords()
      try checkEmptyMapHasRoom(ring)
    }
    producers.settle(&rings, &failed)
  }

  private mutating func checkEmptyMapHasRoom(_ ring: Int) throws(PTO2Error) {
    let needed = staged.recordsAlone()
    guard needed > map.limit else { return }
    let id = TaskOrdinal(ring: ring, ordinal: rings[ring].current).id
    throw PTO2Error(
      .tensorMapOverflow,
      "the tensors of task \(id) are \(needed) records, the TensorMap has room for \(map.limit). Set PTO2_TENSOR_MAP_ENTRIES or --tensor-map to at least \(needed)",
      task: id, ring: ring, needed: UInt64(needed), available: UInt64(map.limit))
  }

  mutating func sweepMap() {
    for index in 0..<UInt32(buffers.count) {
      map.sweep(&buffers[index].records) { rings.isLive($0) || failed.contains($0) }
    }
  }

  /// Every task is RELEASED.
  mutating func forgetAllRecords() {
    for index in 0..<UInt32(buffers.count) { map.removeAll(&buffers[index].records) }
  }
}

extension StagedTask {
  /// Records of a TensorMap that holds this task and nothing else.
  fileprivate func recordsAlone() -> Int {
    var map = TensorMap()
    var buffers = PlainArray(repeating: BufferRecords(), count: arguments.count + 1)
    let task = TaskOrdinal(ring: 0, ordinal: 1 << 32)
    func enter(_ argument: StagedArgument, _ buffer: inout BufferRecords) {
      if argument.access == .output || argument.access == .noDependency { return }
      if argument.isEmpty { return }
      if argument.access.isWrite {
        map.enterWrite(
          &buffer, argument.extent, argument, task: task, at: nil, isLive: { _ in true })
      } else {
        map.enterRead(
          &buffer, argument.extent, argument, task: task, at: nil, isLive: { _ in true })
      }
    }
    // Tensors of one buffer share the place of the first of them.
    func place(_ argument: StagedArgument) -> Int {
      (0..<arguments.count).first { arguments[$0].buffer == argument.buffer } ?? arguments.count
    }
    map.beginEntering()
    for index in 0..<arguments.count {
      enter(arguments[index], &buffers[place(arguments[index])])
    }
    if let predicate { enter(predicate.argument, &buffers[place(predicate.argument)]) }
    return map.count
  }
}
