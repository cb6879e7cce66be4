internal import PTO2Protocol
internal import PTO2System

/// A TensorMap that is full.
extension Orchestrator {
  /// Brings the TensorMap back under its limit after the task's arguments were
  /// entered: forgets what is RELEASED, or waits until everything else is.
  ///
  /// A full map is back-pressure like a full ring: tasks become RELEASED
  /// without the program's doing. So what is refused does not depend on how
  /// fast the cores are, only on what one task alone needs. A sweep that does
  /// not free an eighth is followed by the wait, which frees all; either way
  /// many tasks go by before the next one.
  /// - Throws: error 11 when the task alone needs more than there is.
  mutating func makeMapRoom(for task: TaskOrdinal) throws(PTO2Error) {
    refreshAll()
    sweepMap()
    if unsafe map.count <= mapLimit - mapLimit / 8 { return }
    let begin = MonotonicClock.now()
    try waitForAll()
    stalls[StallReason.tensorMap.rawValue].count += 1
    stalls[StallReason.tensorMap.rawValue].nanoseconds += MonotonicClock.now() &- begin
    // Others may have cut what this task uses into pieces: it is entered anew.
    for index in 0..<(unsafe buffers.count) {
      unsafe map.removeAll(&buffers.elements[index].ranges)
    }
    findProducers(of: task)
    guard unsafe map.count > mapLimit else { return }
    let needed = unsafe UInt64(map.count)
    throw PTO2Error(
      .tensorMapOverflow,
      "the tensors of task \(task.id) are \(needed) byte ranges, the TensorMap has room for \(mapLimit). Set PTO2_TENSOR_MAP_ENTRIES or --tensor-map to at least \(needed), or use views with fewer gaps",
      task: task.id, ring: task.ring, needed: needed, available: UInt64(mapLimit))
  }

  private mutating func sweepMap() {
    let collector = unsafe self.collector
    for index in 0..<(unsafe buffers.count) {
      unsafe map.sweep(&buffers.elements[index].ranges) {
        unsafe collector.pointee.isRemembered($0)
      }
    }
  }
}
