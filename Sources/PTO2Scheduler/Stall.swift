internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// Error 100: the session's stall limit has passed without any progress. Each
/// thread answers for the kernels on its own cores; the first one also for a
/// session in which no kernel runs.
extension Scheduler {
  /// Looks at the clock; not for the hot path.
  package mutating func checkStall() {
    guard unsafe kernelWatches[0].isEnabled else { return }
    let now = MonotonicClock.now()
    var isRunning = false
    for core in 0..<coreCount {
      let outstanding = outstanding(core)
      if outstanding > 0 { isRunning = true }
      guard isOwn(core) else { continue }
      let retired = unsafe UInt64(S.load(&cores[core].retired))
      let progress = retired << 1 | (outstanding > 0 ? 1 : 0)
      if unsafe kernelWatches[core].isStalled(progress: progress, now: now), outstanding > 0 {
        return failRunning(core)
      }
    }
    guard index == 0 else { return }
    var progress = UInt64(submitted.loadAcquire())
    for ring in 0..<ringCount { unsafe progress &+= UInt64(S.load(&rings[ring].released)) }
    progress = progress << 1 | (isRunning ? 1 : 0)
    if sessionWatch.isStalled(progress: progress, now: now), !isRunning { failIdle() }
  }

  /// Changes with every FIN of a core, and with a dispatch to it when idle.
  package func dispatchProgress(_ core: Int) -> UInt64 {
    unsafe UInt64(S.load(&cores[core].retired)) << 1 | (outstanding(core) > 0 ? 1 : 0)
  }

  /// Changes with every kernel that begins or ends on a core.
  package func kernelProgress(_ core: Int) -> UInt64 {
    let retired = unsafe UInt64(S.load(&cores[core].retired))
    return retired << 1 | (isKernelRunning(core) ? 1 : 0)
  }

  /// True while the core has acknowledged a dispatch and not finished it: what
  /// waits behind a kernel has not begun.
  package func isKernelRunning(_ core: Int) -> Bool {
    for lane in 0..<laneCount {
      let word = unsafe DispatchWord(rawValue: cores[core].wordToCore(lane).loadOwn())
      guard case .dispatch = word.content else { continue }
      let cond = unsafe ConditionWord(rawValue: cores[core].cond(lane).loadAcquire())
      if cond.progress(of: word, after: nil) == .acknowledged { return true }
    }
    return false
  }

  private var limitText: String {
    let milliseconds = shared.segment.configuration.stallLimitMilliseconds
    return "\(Double(milliseconds) / 1000) s (--stall-limit)"
  }

  private mutating func failRunning(_ core: Int) {
    let lane = unsafe dispatcher.pointee.cores.lane(core, cores[core].oldestLane).pointee
    let id = TaskID(rawValue: lane.taskID)
    let what = shared.segment.runningTask(core: core) ?? "task \(id)"
    fail(
      PTO2Error(
        .schedulerTimeout,
        "running-stalled: core \(coreName(core)) has been running \(what) for \(limitText). Look at that kernel, or set a longer limit",
        task: id, ring: id.ring), core: core)
  }

  /// No kernel runs and nothing has moved: whose turn is it?
  private mutating func failIdle() {
    if unsafe dispatcher.pointee.ready.hasTasks || hasIntake {
      let missing = missingCores()
      let remedy =
        missing.isEmpty
        ? "This is a bug of the scheduler" : "Start \(missing.joined(separator: ", "))"
      return fail(
        PTO2Error(
          .schedulerTimeout,
          "ready-idle: tasks are ready and no kernel has run for \(limitText). \(remedy)"))
    }
    for ring in 0..<ringCount {
      let head = unsafe S.load(&rings[ring].released)
      guard unsafe head != S.load(&rings[ring].wired) else { continue }
      let id = TaskID(ring: ring, local: head)
      let state = unsafe rings[ring].state(head)
      let done = unsafe S.load(&state.pointee.fanin_refcount)
      let count = unsafe state.pointee.fanin_count
      return fail(
        PTO2Error(
          .schedulerTimeout,
          "dependency-deadlock: task \(id) has waited for \(count &- done) of its \(count &- 1) producers for \(limitText), and no kernel runs",
          task: id, ring: ring))
    }
    fail(
      PTO2Error(
        .schedulerTimeout,
        "orchestrator-starved: every task is done, and the program has neither submitted another nor ended for \(limitText). Look what the program does, or set a longer limit"
      ))
  }
}
