internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// Error 100: the session's stall limit has passed without any progress, of a kernel or
/// of a session in which no kernel runs. One that waits for another rank has not stalled: that
/// rank has a limit of its own, and so has the link.
extension SchedulerThread {
  /// First thread: has anything moved while no kernel and no transfer runs?
  mutating func checkIdle(isRunning: Bool, _ now: UInt64) {
    var progress = UInt64(orchestrator.submitted.loadAcquire())
    for ring in 0..<rings.count {
      progress &+= UInt64(S.load(rings[ring].released.position))
    }
    progress = progress << 1 | (isRunning ? 1 : 0)
    if health.idle.isStalled(progress: progress, now: now), !isRunning { failIdle() }
  }

  private var limitText: String {
    let milliseconds = shared.segment.configuration.stallLimitMilliseconds
    return "\(Double(milliseconds) / 1000) s (--stall-limit)"
  }

  mutating func failRunning(_ index: Int) {
    let core = cores[index]
    let id = core.lane(core.oldestLane.value).value.task
    let what = shared.segment.runningTask(core: index) ?? "task \(id)"
    fail(
      PTO2Error(
        .schedulerTimeout,
        "running-stalled: core \(coreName(index)) has been running \(what) for \(limitText). Look at that kernel, or set a longer limit",
        task: id, ring: id.ring), core: index)
  }

  /// No kernel runs and nothing has moved: whose turn is it?
  private mutating func failIdle() {
    // Somebody dispatches: the next look sees what comes of it.
    guard let isQueued = dispatcher.withLock({ $0.ready.hasTasks }) else { return }
    if isQueued || Self.hasIntake(words) {
      let missing = missingCores()
      let remedy =
        missing.isEmpty
        ? "This is a bug of the scheduler" : "Start \(missing.joined(separator: ", "))"
      return fail(
        PTO2Error(
          .schedulerTimeout,
          "ready-idle: tasks are ready and no kernel has run for \(limitText). \(remedy)"))
    }
    for index in 0..<rings.count {
      let ring = rings[index]
      let head = S.load(ring.released.position)
      guard head != S.load(ring.wired) else { continue }
      let id = TaskID(ring: index, local: head)
      let state = ring.slotState(head)
      let done = S.load(state.faninRefcount)
      let count = state.faninCount
      return fail(
        PTO2Error(
          .schedulerTimeout,
          "dependency-deadlock: task \(id) has waited for \(count &- done) of its \(count &- 1) producers for \(limitText), and no kernel runs",
          task: id, ring: index))
    }
    fail(
      PTO2Error(
        .schedulerTimeout,
        "orchestrator-starved: every task is done, and the program has neither submitted another nor ended for \(limitText). Look what the program does, or set a longer limit"
      ))
  }
}
