internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// What the first thread knows of a core that has a dispatch and makes no progress.
struct CoreWatch {
  /// Since the last FIN, or the dispatch to an idle core; its limit is for a worker
  /// that does not take what it is given.
  var still: StallWatch
  var stop: StopWatch
  /// `nanoseconds` of the deadline's watch at the last look that found the worker
  /// running: what came after it is not the kernel's.
  var deadlineBefore: UInt64 = 0
  /// `still.nanoseconds` at that look.
  var stillBefore: UInt64 = 0
  /// The progress at which the kernel was last reported as slow.
  var slowMark: UInt64?

  init(stopGraceMilliseconds: UInt32) {
    still = StallWatch(stopGraceMilliseconds: stopGraceMilliseconds)
    stop = StopWatch(graceMilliseconds: stopGraceMilliseconds)
  }
}

/// Slow kernels are reported. A worker that is stopped (SIGSTOP) is given the time of
/// --stop-grace, then killed; so is one that does not acknowledge its dispatch. A
/// worker is looked at only while a dispatch of its makes no progress.
extension SchedulerLoop {
  mutating func checkStill(_ now: UInt64) {
    for core in watches.indices {
      let progress = scheduler.dispatchProgress(core)
      let isStalled = watches[core].still.isStalled(progress: progress, now: now)
      guard scheduler.outstanding(core) > 0,
        watches[core].still.nanoseconds >= StopWatch.lookNanoseconds,
        let process = scheduler.coreProcess(core)
      else {
        watches[core].stop.reset()
        watches[core].deadlineBefore = 0
        watches[core].stillBefore = 0
        continue
      }
      switch watches[core].stop.look(at: process.identity, now: now) {
      case .nothing: break
      case .running:
        watches[core].deadlineBefore = deadlines[core].nanoseconds
        watches[core].stillBefore = watches[core].still.nanoseconds
        sayIfSlow(core, progress)
        if isStalled, !scheduler.isKernelRunning(core) { killIdle(core, process.identity) }
      case .stops:
        warn(
          "the worker of core \(coreName(core)) (process \(process.identity.pid)) is stopped\(graceText)"
        )
        takeBackStoppedTime(core)
      case .stopped: takeBackStoppedTime(core)
      case .overdue:
        scheduler.noteKill(core, because: PTO2_FAILURE_STOPPED)
        workers.kill(core)
      }
    }
    if orchestratorStop.look(at: orchestratorIdentity, now: now) == .stops {
      warn(
        "the orchestrator (process \(orchestratorIdentity.pid)) is stopped; what it has submitted is done meanwhile"
      )
    }
  }

  /// A worker that does not take what it is given, unless a debugger holds it.
  private mutating func killIdle(_ core: Int, _ process: ProcessIdentity) {
    if process.isHeld() { return watches[core].still.rewind(to: StopWatch.lookNanoseconds) }
    warn(
      "the worker of core \(coreName(core)) (process \(process.pid)) has not taken a task for \(watches[core].still.limitText): it is killed"
    )
    workers.kill(core)
  }

  /// Neither the deadline nor the warning counts it.
  private mutating func takeBackStoppedTime(_ core: Int) {
    deadlines[core].rewind(to: watches[core].deadlineBefore)
    watches[core].still.rewind(
      to: max(watches[core].stillBefore, StopWatch.lookNanoseconds))
  }

  /// Says of a kernel that has run for a second which it is: once.
  private mutating func sayIfSlow(_ core: Int, _ progress: UInt64) {
    guard watches[core].still.nanoseconds >= SchedulerTimes.slowNanoseconds,
      watches[core].slowMark != progress,
      let what = scheduler.shared.segment.runningTask(core: core)
    else { return }
    watches[core].slowMark = progress
    warn("core \(coreName(core)) has been running \(what) for 1 s")
  }

  /// One line, unless the session is to be quiet.
  func warn(_ text: String) {
    if !scheduler.shared.segment.configuration.isQuiet {
      writeError("pto2-scheduler: warning: \(text)")
    }
  }

  private var graceText: String {
    let milliseconds = scheduler.shared.segment.configuration.stopGraceMilliseconds
    return milliseconds == 0
      ? ""
      : "; it is killed unless it goes on within \(Double(milliseconds) / 1000) s (--stop-grace)"
  }
}
