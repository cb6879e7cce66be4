internal import CPTO2Segment
package import PTO2Protocol
internal import PTO2System

/// Waiting for the scheduler's watermarks, and telling a full ring that will
/// drain from one that never can.
extension Orchestrator {
  /// Reads both watermarks of every ring and gives back what they free.
  ///
  /// Before a scheduler has attached its words are zero, not yet the first
  /// position: they are not read.
  mutating func refreshAll() {
    guard hasSeenScheduler() else { return }
    for ring in 0..<ringCount {
      let before = unsafe rings[ring].released
      // CONSUMED is read first: it is never ahead of what RELEASED says then.
      guard let consumed = unsafe rings[ring].consumedNow(), unsafe rings[ring].refreshReleased(),
        unsafe consumed <= rings[ring].released
      else {
        fault.raise(
          PTO2Error(
            .protocolViolation,
            "a watermark of ring \(ring) moved backwards or beyond the newest task. The segment was overwritten",
            ring: ring))
        return
      }
      // Counted before the failed task was RELEASED.
      if failedWord.loadRelaxed() != 0 {
        noteOutcomes(ring: ring, from: before, to: unsafe rings[ring].released)
      }
      freeConsumed(ring, upTo: consumed)
    }
  }

  /// Acquire: pairs with the scheduler's release of ATTACHED, after it has set
  /// its words up.
  private mutating func hasSeenScheduler() -> Bool {
    if !isSchedulerAttached {
      isSchedulerAttached = schedulerControl.loadAcquire() != PTO2_SCHED_ABSENT
    }
    return isSchedulerAttached
  }

  /// Frees heap and TensorMap entries of the tasks that `last_task_consumed` has
  /// passed.
  private mutating func freeConsumed(_ index: Int, upTo target: UInt64) {
    let ring = unsafe rings + index
    var position = unsafe ring.pointee.consumed
    if position == target { return }
    var heapEnd: UInt64 = 0
    while position != target {
      let memory = unsafe ring.pointee.memory(of: position)
      heapEnd = unsafe memory.pointee.heapEnd
      var buffer = unsafe memory.pointee.firstBuffer
      while buffer != UInt32.max {
        let next = unsafe buffers[buffer].next
        freeBuffer(buffer)
        buffer = next
      }
      position &+= 1
    }
    unsafe ring.pointee.heap.free(upTo: heapEnd)
    unsafe ring.pointee.consumed = target
  }

  /// Blocks until the ring has a main slot, a consumed entry, pool entries and
  /// heap for one task.
  mutating func waitForRoom(_ index: Int, outputBytes: UInt64, faninCount: Int) throws(PTO2Error) {
    let ring = unsafe rings + index
    if unsafe outputBytes > ring.pointee.heap.capacity {
      throw PTO2Error(
        .heapRingDeadlock,
        "the task's outputs\(stagedRecovery == .snapshot ? " and snapshot" : "") need \(outputBytes) bytes, the heap of ring \(index) has \(unsafe ring.pointee.heap.capacity). Set PTO2_RING_HEAP to at least \(outputBytes)",
        ring: index, needed: outputBytes, available: unsafe ring.pointee.heap.capacity)
    }
    if unsafe faninCount > Int(ring.pointee.pool) {
      throw PTO2Error(
        .depPoolOverflow,
        "the task has \(faninCount) producers, the dependency pool of ring \(index) has \(unsafe ring.pointee.pool) entries. Set PTO2_RING_DEP_POOL to at least \(faninCount), rounded up to a power of two",
        ring: index, needed: UInt64(faninCount), available: UInt64(unsafe ring.pointee.pool))
    }
    while let reason = obstacle(index, outputBytes, faninCount) {
      try wait(reason, ring: index, outputBytes: outputBytes) { orchestrator in
        orchestrator.obstacle(index, outputBytes, faninCount) != reason
      }
    }
  }

  /// What the task still lacks, by the watermarks as last read.
  @inline(__always)
  private func obstacle(_ index: Int, _ outputBytes: UInt64, _ faninCount: Int) -> StallReason? {
    let ring = unsafe rings + index
    if unsafe ring.pointee.current &- ring.pointee.released >= UInt64(ring.pointee.window) {
      return .mainRing
    }
    if unsafe ring.pointee.current &- ring.pointee.consumed >= UInt64(ring.pointee.consumedWindow) {
      return .consumedRing
    }
    if unsafe ring.pointee.poolHead &- ring.pointee.poolTail &+ UInt64(faninCount)
      > UInt64(ring.pointee.pool)
    {
      return .dependencyPool
    }
    if unsafe outputBytes > 0 && ring.pointee.heap.place(bytes: outputBytes) == nil { return .heap }
    return nil
  }

  mutating func waitForLog() throws(PTO2Error) {
    try wait(.submissionLog, ring: 0, outputBytes: 0) { orchestrator in
      guard orchestrator.hasSeenScheduler() else { return false }
      guard
        let wired = unsafe RingProducer.advance(
          orchestrator.wiredKnown, orchestrator.wiredWord, limit: orchestrator.submitted)
      else {
        orchestrator.fault.raise(
          PTO2Error(
            .protocolViolation,
            "the wired position of the log moved backwards or beyond the newest record. The segment was overwritten"
          ))
        return false
      }
      orchestrator.wiredKnown = wired
      return orchestrator.submitted &- orchestrator.wiredKnown < UInt64(orchestrator.logCapacity)
    }
  }

  /// Blocks until every task submitted so far is RELEASED, so every kernel is
  /// over and its stores can be read.
  /// - Throws: error 200 when one of them has FAILED.
  package mutating func waitForAll() throws(PTO2Error) {
    try fault.check()
    for index in 0..<ringCount {
      try wait(nil, ring: index, word: .released) { orchestrator in
        unsafe orchestrator.rings[index].current == orchestrator.rings[index].released
      }
    }
    noteFinished()
    try checkFailures()
  }

  /// Blocks until the tasks that write the tensor, and those that read it too
  /// if `includingReaders`, are RELEASED.
  /// - Throws: error 8 when they are not within the limit.
  package mutating func waitForUsers(
    of tensor: AnyTensor, includingReaders: Bool, limitSeconds: Double
  ) throws(PTO2Error) {
    try fault.check()
    guard isInScope(tensor), let buffer = liveBuffer(tensor), buffer.state == Buffer.placed else {
      throw PTO2Error(.invalidArgs, "tensor \(tensor.shape) has no memory: its scope has ended")
    }
    refreshAll()
    let collector = unsafe self.collector
    unsafe collector.pointee.begin()
    let owner = TaskOrdinal(rawValue: buffer.owner)
    if owner != .none && isLive(owner) { unsafe collector.pointee.add(owner, PTO2_FANIN_WAIT) }
    unsafe map.peek(buffer.ranges, tensor.offset, tensor.offset + tensor.spanBytes) { task, kind in
      if unsafe (kind == .writer || includingReaders) && collector.pointee.isLive(task) {
        unsafe collector.pointee.add(task, PTO2_FANIN_WAIT)
      }
    }
    // Any double: not a number is no time, and 30 years are for ever.
    let limit = limitSeconds > 0 ? min(limitSeconds, 1e9) : 0
    let deadline = Deadline(afterMilliseconds: UInt64(limit * 1000))
    for index in 0..<(unsafe collector.pointee.fanin.count) {
      let id = TaskID(
        rawValue: unsafe collector.pointee.fanin.elements[index] & PTO2_FANIN_ID_MASK)
      guard let task = submittedTask(id) else { continue }
      var isLate = false
      try wait(nil, ring: task.ring, word: .released, goal: task.ordinal &+ 1) { orchestrator in
        if !orchestrator.isLive(task) { return true }
        isLate = deadline.hasPassed
        return isLate
      }
      if isLate {
        throw PTO2Error(
          .tensorWaitTimeout,
          "tensor \(tensor.shape) is not ready after \(limitSeconds) s: task \(id) is not done. Give a larger limit, or look what that task waits for",
          task: id, ring: id.ring)
      }
    }
    try checkFailures()
  }

  private func isLive(_ task: TaskOrdinal) -> Bool {
    unsafe task.ordinal >= rings[task.ring].released
  }

  /// Ends the outermost scope and blocks until every task is CONSUMED.
  package mutating func drain() throws(PTO2Error) {
    while scopeDepth > 0 { try closeScope() }
    for index in 0..<ringCount {
      try wait(nil, ring: index, word: .consumed) { orchestrator in
        unsafe orchestrator.rings[index].current == orchestrator.rings[index].consumed
      }
    }
    noteFinished()
    try checkFailures()
  }

  // MARK: Waiting

  enum Watermark { case wired, released, consumed }

  private mutating func wait(
    _ reason: StallReason, ring: Int, outputBytes: UInt64,
    _ isSatisfied: (inout Self) -> Bool
  ) throws(PTO2Error) {
    let word: Watermark =
      switch reason {
      case .submissionLog: .wired
      case .mainRing, .dependencyPool, .tensorMap: .released
      case .consumedRing, .heap: .consumed
      }
    refreshAll()
    if isSatisfied(&self) { return }
    let begin = MonotonicClock.now()
    try wait(reason, ring: ring, word: word, outputBytes: outputBytes, isSatisfied)
    stalls[reason.rawValue].count += 1
    stalls[reason.rawValue].nanoseconds += MonotonicClock.now() &- begin
  }

  /// Spin, yield, park on the watermark's own word. Looks at the fatal words
  /// every round, and at the clock at most every 50 ms.
  private mutating func wait(
    _ reason: StallReason?, ring: Int, word kind: Watermark, outputBytes: UInt64 = 0,
    goal: UInt64? = nil,
    _ isSatisfied: (inout Self) -> Bool
  ) throws(PTO2Error) {
    var backoff = Backoff()
    while true {
      let word = word(kind, ring)
      let seen = word.loadAcquire()
      // Before a scheduler has attached, `seen` means nothing.
      let seenControl = schedulerControl.loadAcquire()
      refreshAll()
      if isSatisfied(&self) { return }
      try fault.check()
      guard backoff.next() else { continue }
      if let reason { try checkDeadlock(reason, ring: ring, outputBytes: outputBytes) }
      targetWord.storeRelaxed(
        goal.map { UInt32(truncatingIfNeeded: $0) } ?? target(reason, kind, ring))
      // Release: whoever sees the reason sees the target.
      parkedWord.storeRelease(parkedReason(kind, ring))
      // Orders `parked` before the last look; pairs with the scheduler's fence
      // between its watermarks and its look at `parked`.
      fullFence()
      waitSet.removeAll()
      waitSet.insert(word, while: seen)
      waitSet.insert(control, while: PTO2_CONTROL_RUNNING)
      waitSet.insert(schedulerControl, while: seenControl)
      if word.loadAcquire() == seen { waitSet.wait(timeoutNanoseconds: 50_000_000) }
      parkedWord.storeRelaxed(0)
    }
  }

  /// The position at which to be woken: all that was submitted, or enough for
  /// an eighth of the window, so that a full ring does not cost a wake a task.
  /// Every submitted task gets RELEASED without this process; for CONSUMED the
  /// scheduler also wakes early, since a scope may be in the way.
  private func target(_ reason: StallReason?, _ kind: Watermark, _ ring: Int) -> UInt32 {
    if kind == .wired {
      return UInt32(truncatingIfNeeded: submitted &- UInt64(logCapacity - logCapacity / 8))
    }
    let ring = unsafe rings + ring
    let current = unsafe ring.pointee.current
    let position: UInt64 =
      switch reason {
      case .none, .submissionLog, .tensorMap: current
      case .mainRing:
        unsafe current &- UInt64(ring.pointee.window - max(1, ring.pointee.window / 8))
      case .dependencyPool:
        unsafe ring.pointee.released &+ max(1, (current &- ring.pointee.released) / 8)
      case .consumedRing:
        unsafe current
          &- UInt64(ring.pointee.consumedWindow - max(1, ring.pointee.consumedWindow / 8))
      case .heap: unsafe ring.pointee.consumed &+ max(1, (current &- ring.pointee.consumed) / 8)
      }
    return UInt32(truncatingIfNeeded: min(position, current))
  }

  private func word(_ kind: Watermark, _ ring: Int) -> SharedWord {
    switch kind {
    case .wired: wiredWord
    case .released: unsafe rings[ring].releasedWord
    case .consumed: unsafe rings[ring].consumedWord
    }
  }

  private func parkedReason(_ kind: Watermark, _ ring: Int) -> UInt32 {
    switch kind {
    case .wired: PTO2_PARKED_ON_WIRED
    case .released: PTO2_PARKED_ON_RELEASED + UInt32(ring)
    case .consumed: PTO2_PARKED_ON_CONSUMED + UInt32(ring)
    }
  }

  /// A proof, never a timeout: the oldest task that is not CONSUMED belongs to
  /// a scope that is still open, and only the program, which waits here, can
  /// end it.
  private func checkDeadlock(_ reason: StallReason, ring index: Int, outputBytes: UInt64)
    throws(PTO2Error)
  {
    guard reason == .consumedRing || reason == .heap else { return }
    let ring = unsafe rings + index
    let head = unsafe ring.pointee.consumed
    guard unsafe head != ring.pointee.current,
      isOpen(scope: unsafe ring.pointee.memory(of: head).pointee.scope)
    else { return }
    let id = TaskOrdinal(ring: index, ordinal: head).id
    if reason == .heap {
      let capacity = unsafe ring.pointee.heap.capacity
      let needed = unsafe HeapRing.rounded(outputBytes) + ring.pointee.heap.used
      throw PTO2Error(
        .heapRingDeadlock,
        "ring \(index): \(outputBytes) bytes of output do not fit beside the \(unsafe ring.pointee.heap.used) of \(capacity) bytes in use, and task \(id), the oldest that still holds its ring, belongs to a scope that is open. End the scope earlier, or set PTO2_RING_HEAP to at least \(needed)",
        task: id, ring: index, needed: needed, available: capacity)
    }
    let window = unsafe ring.pointee.consumedWindow
    let remedy =
      "End the scope earlier, or set PTO2_RING_CONSUMED_WINDOW to \(2 * UInt64(window)) or more (a power of two)"
    // The original's distinction: one scope that alone fills the ring, or
    // several open ones that do so together.
    let count = unsafe scopes[scopeDepth - 1].count
    let isAlone = count >= window
    let message =
      isAlone
      ? "ring \(index): the consumed window of \(window) tasks is full of tasks of the scope that is open, from task \(id) on. \(remedy)"
      : "ring \(index): the consumed window of \(window) tasks is full, \(count) of them in the innermost scope, and the oldest, task \(id), belongs to an outer scope that is open. \(remedy)"
    throw PTO2Error(
      isAlone ? .scopeDeadlock : .flowControlDeadlock, message, task: id, ring: index,
      needed: UInt64(window) + 1, available: UInt64(window))
  }
}
