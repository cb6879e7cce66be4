internal import CPTO2ABI
package import PTO2Protocol
internal import PTO2Segment
package import PTO2System

/// Parking, and the way out.
extension Scheduler {
  /// What the orchestrator asks of everybody.
  package enum Request { case run, leave, abort }

  package var request: Request {
    switch control.loadAcquire() {
    case PTO2_CONTROL_DONE: .leave
    case PTO2_CONTROL_FATAL: .abort
    default: .run
    }
  }

  package var hasAllCores: Bool { unsafe cores.readyCores == cores.coreCount }

  /// Cores that have not announced READY, by name.
  package func missingCores() -> [String] {
    (0..<(unsafe cores.coreCount)).filter { unsafe cores.cores[$0].incarnation == 0 }
      .map(coreName)
  }

  /// The error a worker has left in its core's page.
  package func coreError(_ core: Int) -> PTO2Error? {
    unsafe ErrorBlock(segment.readCore(core) + Int(PTO2_CORE_ERROR)).read()?.error
  }

  /// Why a worker that came did not serve, for the first missing core that has
  /// a reason.
  package func errorOfMissingCore() -> PTO2Error? {
    for core in 0..<coreCount where unsafe cores.cores[core].incarnation == 0 {
      if let error = coreError(core) { return error }
    }
    return nil
  }

  /// The process hosting a core, once announced.
  package func coreProcess(_ core: Int) -> (identity: ProcessIdentity, isSupervised: Bool)? {
    guard unsafe cores.cores[core].incarnation != 0,
      let record = unsafe ProcessRecord(cores.cores[core].process).read()
    else { return nil }
    return (record.identity, record.isSupervised)
  }

  package var coreCount: Int { unsafe cores.coreCount }

  /// Sleeps until a submission, a FIN, a READY or a request, or the time is
  /// over. The words are looked at once more after `parked` is announced.
  package mutating func park(timeoutNanoseconds: Int64) {
    parkedWord.storeRelaxed(1)
    // Orders the store of `parked` before the loads below; pairs with the
    // wakers' fence between their word and their look at `parked`.
    fullFence()
    waitSet.removeAll()
    var hasNews = submitted.loadAcquire() != knownSubmitted || wired != knownSubmitted
    waitSet.insert(submitted, while: knownSubmitted)
    waitSet.insert(control, while: PTO2_CONTROL_RUNNING)
    for core in 0..<(unsafe cores.coreCount) {
      let state = unsafe cores.cores + core
      if unsafe state.pointee.incarnation == 0 {
        unsafe waitSet.insert(state.pointee.ready, while: 0)
        if unsafe state.pointee.ready.loadAcquire() != 0 { hasNews = true }
      } else if unsafe state.pointee.outstanding > 0 {
        let lane = unsafe state.pointee.oldestLane
        let word = unsafe cores.lane(core, lane).pointee.word
        let cond = unsafe state.pointee.cond(lane).loadAcquire()
        if cond == word | PTO2_COND_FIN { hasNews = true }
        unsafe waitSet.insert(state.pointee.cond(lane), while: cond)
      }
    }
    wakeOrchestrator(evenBeforeTarget: true)
    if !hasNews && control.loadAcquire() == PTO2_CONTROL_RUNNING {
      counters.parks += 1
      waitSet.wait(timeoutNanoseconds: timeoutNanoseconds)
    }
    parkedWord.storeRelaxed(0)
  }

  /// Tells every core to leave, waits for their acknowledgement until the
  /// deadline, publishes the counters and STOPPED.
  /// - Returns: cores that have not acknowledged.
  package mutating func stop(deadline: Deadline) -> [String] {
    for core in 0..<(unsafe cores.coreCount) {
      for lane in 0..<UInt32(PTO2_MAX_LANES) {
        let word = unsafe cores.cores[core].wordToCore(lane)
        word.storeRelease(PTO2_EXIT_SIGNAL)
        Futex.wake(word.shared)
      }
    }
    // Whether a worker has died is looked up in /proc: not at every round.
    var rounds = 0
    while !deadline.hasPassed, hasUnacknowledgedCore(checkingForDeath: rounds % 50 == 49) {
      rounds += 1
      sleepNanoseconds(200_000)
    }
    publishCounters()
    if failure == nil { controlWord.storeRelease(PTO2_SCHED_STOPPED) }
    Futex.wake(controlWord.shared)
    return (0..<coreCount).filter { !hasLeft($0) && !hasDied($0) }.map(coreName)
  }

  private func hasUnacknowledgedCore(checkingForDeath: Bool) -> Bool {
    for core in 0..<coreCount where !hasLeft(core) {
      if !checkingForDeath || !hasDied(core) { return true }
    }
    return false
  }

  /// True when the core has acknowledged EXIT, or never was READY.
  private func hasLeft(_ core: Int) -> Bool {
    unsafe cores.cores[core].ready.loadAcquire() == 0
      || cores.cores[core].cond(0).loadAcquire() == PTO2_EXITED
  }

  /// True when the process that announced the core is gone.
  private func hasDied(_ core: Int) -> Bool {
    guard let process = unsafe ProcessRecord(cores.cores[core].process).read() else { return false }
    return ProcessHandle(process.identity)?.hasEnded() ?? true
  }

  func publishCounters() {
    let record = unsafe (segment.write(.schedulerWords) + Int(PTO2_SCHED_COUNTERS))
      .assumingMemoryBound(to: pto2_scheduler_counters.self)
    unsafe record.pointee.tasks_completed = counters.completed
    unsafe record.pointee.edges = counters.edges
    unsafe record.pointee.subtasks_dispatched = counters.dispatched
    unsafe record.pointee.parks = counters.parks
    unsafe record.pointee.first_dispatch_nanoseconds = counters.firstDispatch
    func store<Value>(_ value: Value, at offset: Int, _ ring: Int) {
      unsafe UnsafeMutableRawPointer(record).storeBytes(
        of: value, toByteOffset: offset + ring * MemoryLayout<Value>.stride, as: Value.self)
    }
    for ring in 0..<ringCount {
      let state = unsafe rings[ring]
      let heap = segment.configuration.rings[ring].heapBytes
      store(
        unsafe state.peakMain, at: MemoryLayout<pto2_scheduler_counters>.offset(of: \.peak_main)!,
        ring)
      store(
        unsafe state.peakConsumed,
        at: MemoryLayout<pto2_scheduler_counters>.offset(of: \.peak_consumed)!, ring)
      store(
        unsafe state.peakPool,
        at: MemoryLayout<pto2_scheduler_counters>.offset(of: \.peak_dep_pool)!, ring)
      store(
        unsafe min(state.peakHeap, heap),
        at: MemoryLayout<pto2_scheduler_counters>.offset(of: \.peak_heap_bytes)!, ring)
    }
  }
}
