internal import CPTO2Segment
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

  package var hasAllCores: Bool { missing.isEmpty }

  /// Cores that have not announced READY, or not again since their worker died.
  private var missing: [Int] {
    (0..<coreCount).filter { core in
      unsafe cores[core].ready.loadAcquire() == fencedWord(core).loadOwn()
    }
  }

  /// The same by name.
  package func missingCores() -> [String] { missing.map(coreName) }

  /// The error a worker has left in its core's page.
  package func coreError(_ core: Int) -> PTO2Error? {
    unsafe ErrorBlock(shared.segment.readCore(core) + Int(PTO2_CORE_ERROR)).readOfCore()
  }

  /// Where in the segment its worker faulted, in words.
  package func crashPlace(_ core: Int) -> String? { shared.segment.crashPlace(core: core) }

  /// Why a worker that came did not serve, for the first missing core that has
  /// a reason.
  package func errorOfMissingCore() -> PTO2Error? {
    for core in missing {
      if let error = coreError(core) { return error }
    }
    return nil
  }

  /// The process hosting a core, once announced and while not known to be gone.
  package func coreProcess(_ core: Int) -> (identity: ProcessIdentity, isSupervised: Bool)? {
    if unsafe S.load(lines.isDead(core)) != 0 { return nil }
    if unsafe S.load(&cores[core].incarnation) != 0, let host = unsafe cores[core].host {
      return host
    }
    guard unsafe cores[core].ready.loadAcquire() != fencedWord(core).loadOwn(),
      let record = unsafe ProcessRecord(cores[core].process).read()
    else { return nil }
    return (record.identity, record.isSupervised)
  }

  /// Sleeps until a submission (first thread), a FIN or READY of an own core, a
  /// bell or a request, or the time is over. The words are looked at once more
  /// after `parked` is announced.
  package mutating func park(timeoutNanoseconds: Int64) {
    let bell = unsafe S.isShared ? S.load(lines.bell(index)) : 0
    let bit = UInt32(1) << UInt32(index)
    _ = unsafe S.add(parkedBits, bit)
    // Orders the store of `parked` before the loads below; pairs with the
    // wakers' fence between their word and their look at `parked`.
    fullFence()
    waitSet.removeAll()
    var hasNews =
      unsafe S.isShared && (hasIntake || isStopping) || S.load(lines.deaths) != deathsSeen
    if index == 0 {
      let seen = submitted.loadAcquire()
      if unsafe S.load(&logState.pointee.wired) != seen { hasNews = true }
      waitSet.insert(submitted, while: seen)
    }
    if S.isShared { unsafe waitSet.insert(SharedWord(lines.bell(index)), while: bell) }
    // Once the program is over, threads beside the first wait for their bell.
    let request = control.loadAcquire()
    waitSet.insert(control, while: request)
    let mayLeave =
      request == PTO2_CONTROL_FATAL || (index == 0 && request != PTO2_CONTROL_RUNNING)
    for core in 0..<coreCount where isOwn(core) {
      let state = unsafe cores + core
      if unsafe state.pointee.incarnation == 0 {
        let fenced = fencedWord(core).loadOwn()
        unsafe waitSet.insert(state.pointee.ready, while: fenced)
        if unsafe state.pointee.ready.loadAcquire() != fenced { hasNews = true }
      } else if outstanding(core) > 0 {
        let lane = unsafe state.pointee.oldestLane
        let word = unsafe dispatcher.pointee.cores.lane(core, lane).pointee.word
        let cond = unsafe state.pointee.cond(lane).loadAcquire()
        if cond == ConditionWord.fin(word).rawValue { hasNews = true }
        unsafe waitSet.insert(state.pointee.cond(lane), while: cond)
      }
    }
    wakeOrchestrator(evenBeforeTarget: true)
    if !hasNews && !hasFailed && !mayLeave {
      counters.parks += 1
      waitSet.wait(timeoutNanoseconds: timeoutNanoseconds)
    } else if S.isShared {
      // What is there may be another thread's to take: let that run.
      yieldProcessor()
    }
    _ = unsafe S.add(parkedBits, 0 &- bit)
  }

  /// First thread, after the others have ended: tells every core to leave, waits
  /// for their acknowledgement until the deadline, publishes the counters and
  /// STOPPED.
  /// - Returns: cores that have not acknowledged.
  package mutating func stop(deadline: Deadline) -> [String] {
    for core in 0..<coreCount {
      for lane in 0..<laneCount {
        unsafe cores[core].wordToCore(lane).storeRelease(PTO2_EXIT_SIGNAL)
      }
    }
    // Orders the stores before the looks at `parked`, as for any dispatch.
    fullFence()
    for core in 0..<coreCount where unsafe cores[core].parked.loadRelaxed() != 0 {
      for lane in 0..<laneCount { unsafe Futex.wake(cores[core].wordToCore(lane).shared) }
    }
    // Cores answer within microseconds, unless a kernel runs. Whether a worker
    // has died costs system calls: every few milliseconds.
    var backoff = Backoff()
    var rounds = 0
    var isLate = false
    while hasUnacknowledgedCore(checkingForDeath: rounds % 25 == 24) {
      isLate = deadline.hasPassed
      if isLate { break }
      guard backoff.next() else { continue }
      rounds += 1
      sleepNanoseconds(rounds < 20 ? 20_000 : 200_000)
    }
    publishCounters()
    if !hasFailed { controlWord.storeRelease(PTO2_SCHED_STOPPED) }
    Futex.wake(controlWord.shared)
    // Not looked at again: a core may announce READY now, to find EXIT.
    guard isLate else { return [] }
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
    unsafe cores[core].ready.loadAcquire() == fencedWord(core).loadOwn()
      || cores[core].cond(0).loadAcquire() == PTO2_EXITED
  }

  /// True when the process that announced the core is gone.
  func hasDied(_ core: Int) -> Bool {
    guard let process = unsafe ProcessRecord(cores[core].process).read() else { return false }
    return !process.identity.isAlive
  }

  /// Goes on counting where the scheduler before has published its counters.
  mutating func resumeCounters() {
    let record = unsafe (shared.segment.read(.schedulerWords) + Int(PTO2_SCHED_COUNTERS))
    let counted = unsafe record.load(as: pto2_scheduler_counters.self)
    counters.completed = counted.tasks_completed
    counters.edges = counted.edges
    counters.dispatched = counted.subtasks_dispatched
    counters.parks = counted.parks
    counters.lostLocks = counted.lost_locks
    for ring in 0..<ringCount {
      func peak(_ offset: Int) -> UInt32 {
        unsafe record.load(fromByteOffset: offset + 4 * ring, as: UInt32.self)
      }
      unsafe rings[ring].peakMain = peak(
        MemoryLayout<pto2_scheduler_counters>.offset(of: \.peak_main)!)
      unsafe rings[ring].peakConsumed = peak(
        MemoryLayout<pto2_scheduler_counters>.offset(of: \.peak_consumed)!)
      unsafe rings[ring].peakPool = peak(
        MemoryLayout<pto2_scheduler_counters>.offset(of: \.peak_dep_pool)!)
      unsafe rings[ring].peakHeap = record.load(
        fromByteOffset: MemoryLayout<pto2_scheduler_counters>.offset(of: \.peak_heap_bytes)!
          + 8 * ring, as: UInt64.self)
    }
  }

  package func publishCounters() {
    let record = unsafe (shared.segment.write(.schedulerWords) + Int(PTO2_SCHED_COUNTERS))
      .assumingMemoryBound(to: pto2_scheduler_counters.self)
    unsafe record.pointee.tasks_completed = counters.completed
    unsafe record.pointee.edges = counters.edges
    unsafe record.pointee.subtasks_dispatched = counters.dispatched
    unsafe record.pointee.parks = counters.parks
    unsafe record.pointee.lost_locks = counters.lostLocks
    func store<Value>(_ value: Value, at offset: Int, _ ring: Int) {
      unsafe UnsafeMutableRawPointer(record).storeBytes(
        of: value, toByteOffset: offset + ring * MemoryLayout<Value>.stride, as: Value.self)
    }
    for ring in 0..<ringCount {
      let state = unsafe rings[ring]
      let heap = shared.segment.configuration.rings[ring].heapBytes
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
