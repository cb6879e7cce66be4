internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// What is known of one core over time: is its kernel slow or past its deadline, does
/// its worker not take what it is given, is it stopped (SIGSTOP), has it stalled the
/// session?
///
/// Fed one observation a look. It decides nothing but that.
struct CoreHealth {
  /// Since the last FIN, or the dispatch to an idle core. Its limit is the session's:
  /// error 100.
  private var sinceProgress: StallTimer
  /// The same without the time in which the worker was stopped. Its limit is for a
  /// worker that does not take what it is given.
  private var sinceProgressAwake: StallTimer
  /// Since a kernel began or ended, without the time in which the worker was stopped.
  /// Its limit is the deadline of kernels.
  private var sinceKernel: StallTimer
  private var suspension: SuspensionWatch
  /// The last two at the last look that found the worker running.
  private var whenRunning = (progress: UInt64(0), kernel: UInt64(0))
  /// The progress at which the kernel was last reported as slow.
  private var slowMark: UInt64?

  /// How long a kernel runs before it is called slow.
  private static let slowNanoseconds: UInt64 = 1_000_000_000

  init(_ configuration: Configuration) {
    sinceProgress = StallTimer(limitMilliseconds: configuration.stallLimitMilliseconds)
    sinceProgressAwake = StallTimer(stopGraceMilliseconds: configuration.stopGraceMilliseconds)
    sinceKernel = StallTimer(limitMilliseconds: configuration.kernelDeadlineMilliseconds)
    suspension = SuspensionWatch(graceMilliseconds: configuration.stopGraceMilliseconds)
  }

  struct Observation {
    /// Finished dispatches, wrapping.
    var retired: UInt32
    var hasDispatch: Bool
    /// The core has acknowledged a dispatch and not finished it.
    var isKernelRunning: Bool
    /// Who hosts the core.
    var worker: ProcessIdentity?
    var now: UInt64
  }

  struct Findings: OptionSet {
    let rawValue: UInt8
    /// The session's stall limit has passed.
    static let stalled = Findings(rawValue: 1)
    /// The kernel's deadline has passed.
    static let overdue = Findings(rawValue: 2)
    /// It has run for a second: once a kernel.
    static let slow = Findings(rawValue: 4)
    /// The worker is stopped: once.
    static let stopped = Findings(rawValue: 8)
    /// It has been for longer than it may: once.
    static let stoppedTooLong = Findings(rawValue: 16)
    /// It runs, and does not take what it is given.
    static let takesNothing = Findings(rawValue: 32)
  }

  /// True when `observe` asks whether a kernel runs, of a core with a dispatch.
  var needsKernelState: Bool {
    sinceKernel.isEnabled || sinceProgressAwake.nanoseconds >= SuspensionWatch.lookNanoseconds
  }

  mutating func observe(_ seen: Observation) -> Findings {
    var findings: Findings = []
    let retired = UInt64(seen.retired) << 1
    let progress = retired | (seen.hasDispatch ? 1 : 0)
    if sinceProgress.isStalled(progress: progress, now: seen.now) && seen.hasDispatch {
      findings.insert(.stalled)
    }
    let isStill = sinceProgressAwake.isStalled(progress: progress, now: seen.now)
    _ = sinceKernel.isStalled(progress: retired | (seen.isKernelRunning ? 1 : 0), now: seen.now)
    if seen.hasDispatch, sinceProgressAwake.nanoseconds >= SuspensionWatch.lookNanoseconds,
      let worker = seen.worker
    {
      switch suspension.look(at: worker, now: seen.now) {
      case .nothing: break
      case .running:
        whenRunning = (sinceProgressAwake.nanoseconds, sinceKernel.nanoseconds)
        if sinceProgressAwake.nanoseconds >= Self.slowNanoseconds && slowMark != progress
          && seen.isKernelRunning
        {
          slowMark = progress
          findings.insert(.slow)
        }
        if isStill && !seen.isKernelRunning { findings.insert(.takesNothing) }
      case .stops:
        findings.insert(.stopped)
        discountSuspension()
      case .stopped: discountSuspension()
      case .overdue: findings.insert(.stoppedTooLong)
      }
    } else {
      suspension.reset()
      whenRunning = (0, 0)
    }
    if sinceKernel.isEnabled && sinceKernel.nanoseconds >= sinceKernel.limitNanoseconds
      && seen.isKernelRunning
    {
      findings.insert(.overdue)
    }
    return findings
  }

  /// Neither the deadline nor the warning counts the time since the worker was last
  /// seen running.
  private mutating func discountSuspension() {
    sinceKernel.rewind(to: whenRunning.kernel)
    sinceProgressAwake.rewind(to: max(whenRunning.progress, SuspensionWatch.lookNanoseconds))
  }

  /// A worker that takes nothing is held by a debugger: it has all the time again.
  mutating func excuse() { sinceProgressAwake.rewind(to: SuspensionWatch.lookNanoseconds) }

  /// How long a worker may take nothing, in words.
  var patienceText: String { sinceProgressAwake.limitText }
}

/// The health of the whole session.
struct SessionHealth {
  var cores: [CoreHealth]
  /// No kernel runs and no task is submitted or RELEASED.
  var idle: StallTimer
  /// Nothing at all moves: see `audit`.
  var quiet = StallTimer(limitMilliseconds: 4000)
  var orchestrator: SuspensionWatch

  init(_ configuration: Configuration) {
    cores = Array(repeating: CoreHealth(configuration), count: configuration.coreCount)
    idle = StallTimer(limitMilliseconds: configuration.stallLimitMilliseconds)
    orchestrator = SuspensionWatch(graceMilliseconds: configuration.stopGraceMilliseconds)
  }
}

extension SchedulerThread {
  /// First thread: one look at every core, and at the session. Not for the hot path.
  /// - Returns: cores whose worker is to be killed.
  package mutating func checkHealth(_ now: UInt64) -> [Int] {
    var toKill: [Int] = []
    var isRunning = false
    for core in 0..<cores.count {
      let hasDispatch = isBusy(core)
      if hasDispatch { isRunning = true }
      let seen = CoreHealth.Observation(
        retired: S.load(cores[core].retired), hasDispatch: hasDispatch,
        isKernelRunning: hasDispatch && health.cores[core].needsKernelState
          && isKernelRunning(core),
        worker: hasDispatch ? coreProcess(core)?.identity : nil, now: now)
      let findings = health.cores[core].observe(seen)
      if findings.isEmpty { continue }
      if findings.contains(.stalled) {
        failRunning(core)
        return []
      }
      if isToBeKilled(core, findings, seen.worker) { toKill.append(core) }
    }
    checkIdle(isRunning: isRunning || transfersOut > 0, now)
    return toKill
  }

  /// True when the core's worker has something to do: a dispatch, and no gate before it.
  func isBusy(_ index: Int) -> Bool {
    let core = cores[index]
    guard outstanding(index) > 0, S.load(core.incarnation) != 0 else { return false }
    return core.isOpen(core.oldestLane.value, cores)
  }

  /// Reports what was found of a core with a dispatch.
  private mutating func isToBeKilled(
    _ core: Int, _ findings: CoreHealth.Findings, _ worker: ProcessIdentity?
  ) -> Bool {
    let name = coreName(core)
    if findings.contains(.slow), let what = shared.segment.runningTask(core: core) {
      warn("core \(name) has been running \(what) for 1 s")
    }
    guard let worker else { return false }
    if findings.contains(.stopped) {
      warn("the worker of core \(name) (process \(worker.pid)) is stopped\(graceText)")
    }
    if findings.contains(.stoppedTooLong) {
      willKill(core, because: PTO2_FAILURE_STOPPED)
      return true
    }
    if findings.contains(.overdue) && !worker.isStopped() {
      // What becomes of the task is decided when the process is gone.
      willKill(core, because: PTO2_FAILURE_DEADLINE)
      return true
    }
    guard findings.contains(.takesNothing) else { return false }
    // Unless a debugger holds it.
    if worker.isHeld() {
      health.cores[core].excuse()
      return false
    }
    warn(
      "the worker of core \(name) (process \(worker.pid)) has not taken a task for \(health.cores[core].patienceText): it is killed"
    )
    return true
  }

  /// A stopped orchestrator is only reported.
  mutating func checkOrchestrator(_ identity: ProcessIdentity, _ now: UInt64) {
    guard health.orchestrator.look(at: identity, now: now) == .stops else { return }
    warn(
      "the orchestrator (process \(identity.pid)) is stopped; what it has submitted is done meanwhile"
    )
  }

  private var graceText: String {
    let milliseconds = shared.segment.configuration.stopGraceMilliseconds
    return milliseconds == 0
      ? ""
      : "; it is killed unless it goes on within \(Double(milliseconds) / 1000) s (--stop-grace)"
  }
}
