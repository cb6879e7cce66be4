internal import CPTO2Segment
package import PTO2Protocol
package import PTO2Segment
internal import PTO2System

enum SchedulerTimes {
  /// How often the other processes, and the stall limit, are looked at.
  static let checkNanoseconds: Int64 = 20_000_000
  /// How long a kernel runs before it is called slow.
  static let slowNanoseconds: UInt64 = 1_000_000_000
  /// How long cores may take to acknowledge EXIT.
  static let stopMilliseconds: UInt64 = 2000
}

/// A scheduler process from attach to exit.
/// - Returns: the error that ended it, nil after a clean end.
/// - Throws: when the segment cannot be attached.
package func runScheduler(
  name: String, isSupervised: Bool, attachTimeoutMilliseconds: UInt64
) throws(SegmentError) -> PTO2Error? {
  let segment = try Segment.attach(
    name: name, role: .scheduler, timeoutMilliseconds: attachTimeoutMilliseconds)
  let control = unsafe SharedWord(segment.read(.schedulerWords) + Int(PTO2_SCHED_CONTROL))
  guard control.loadAcquire() <= PTO2_SCHED_ATTACHED else { throw .abandoned(name: name) }
  segment.watchTruncation(says: isSupervised ? nil : { "pto2-scheduler: \($0)" })
  let threads = Int(segment.configuration.schedulerThreads)
  let shared = SharedState(segment)
  if threads == 1 {
    var loop = SchedulerLoop<OneThread>(shared, isSupervised: isSupervised)
    return loop.run()
  }
  var loop = SchedulerLoop<SeveralThreads>(shared, isSupervised: isSupervised)
  return loop.run(helpers: (1..<threads).map { HelperThread(shared, index: $0) })
}

/// The first scheduler thread, which answers for the process.
struct SchedulerLoop<S: Sharing>: ~Copyable {
  var scheduler: Scheduler<S>
  private let orchestrator: ProcessHandle?
  private var attachDeadline: Deadline
  private let attachMilliseconds: UInt64
  var workers: ProcessWatches
  /// One per core, for the deadline of its kernel.
  var deadlines: [StallWatch]
  /// One per core.
  var watches: [CoreWatch]
  let orchestratorIdentity: ProcessIdentity
  var orchestratorStop: StopWatch
  private var nextCheck: UInt64 = 0

  init(_ shared: SharedState, isSupervised: Bool) {
    orchestratorIdentity = shared.segment.creator()
    orchestrator = ProcessHandle(orchestratorIdentity)
    attachMilliseconds = UInt64(shared.segment.configuration.attachTimeoutMilliseconds)
    attachDeadline = Deadline(afterMilliseconds: attachMilliseconds)
    let configuration = shared.segment.configuration
    workers = ProcessWatches(count: configuration.coreCount)
    deadlines = Array(
      repeating: StallWatch(limitMilliseconds: configuration.kernelDeadlineMilliseconds),
      count: configuration.coreCount)
    let grace = configuration.stopGraceMilliseconds
    watches = Array(
      repeating: CoreWatch(stopGraceMilliseconds: grace), count: configuration.coreCount)
    orchestratorStop = StopWatch(graceMilliseconds: grace)
    scheduler = Scheduler(shared)
    if shared.isRestart { scheduler.rebuild() }
    scheduler.announce(isSupervised: isSupervised)
  }

  /// Runs until the session is over.
  /// - Returns: the error that ended it, nil after a clean end.
  mutating func run(helpers: [HelperThread] = []) -> PTO2Error? {
    let started = helpers.prefix { $0.start() }
    if started.count < helpers.count {
      scheduler.fail(
        PTO2Error(
          .outOfMemory,
          "the system refused scheduler thread \(started.count + 2) of \(helpers.count + 1)"))
    }
    serve()
    scheduler.stopOthers()
    for helper in started { scheduler.counters.add(helper.join()) }
    return finish()
  }

  /// Works until everything is done, or a fault.
  mutating func serve() {
    var backoff = Backoff()
    var rounds: UInt32 = 0
    while true {
      if scheduler.step() > 0 {
        backoff.reset()
        rounds &+= 1
        if rounds & 1023 == 0 { checkPeers() }
      } else if !scheduler.hasFailed {
        if scheduler.request == .leave && scheduler.isDrained() { return }
        if backoff.next() {
          checkPeers()
          scheduler.park(timeoutNanoseconds: SchedulerTimes.checkNanoseconds)
        }
      }
      if scheduler.hasFailed || scheduler.request == .abort { return }
    }
  }

  /// Stops the cores.
  mutating func finish() -> PTO2Error? {
    let deadline = Deadline(afterMilliseconds: SchedulerTimes.stopMilliseconds)
    let late = scheduler.stop(deadline: deadline)
    if scheduler.hasFailed {
      let failure = scheduler.failure
      if orchestrator?.hasEnded() ?? true || failure?.code == .segmentTruncated {
        scheduler.shared.segment.unlink()
      }
      return failure
    }
    return late.isEmpty || scheduler.request == .abort
      ? nil
      : PTO2Error(.workerDied, "cores \(late.joined(separator: ", ")) did not acknowledge EXIT")
  }

  /// Looks whether the others live, at most every 20 ms.
  private mutating func checkPeers() {
    let now = MonotonicClock.now()
    guard now >= nextCheck else { return }
    nextCheck = now &+ UInt64(SchedulerTimes.checkNanoseconds)
    scheduler.beat(now)
    if orchestrator?.hasEnded() ?? true, let error = errorOfOrphan() {
      return scheduler.fail(error)
    }
    // A scheduler that comes after this one counts on from here.
    scheduler.publishCounters()
    checkWorkers()
    for core in 0..<scheduler.coreCount where scheduler.takeQuarantine(core) { workers.kill(core) }
    checkStill(now)
    checkDeadlines(now)
    checkAttached()
    scheduler.checkStall()
  }

  /// The orchestrator has died: nil while what it has published is still to be done.
  private mutating func errorOfOrphan() -> PTO2Error? {
    if let error = scheduler.shared.segment.truncationError() { return error }
    let text = "the orchestrator has ended without finishing its run"
    guard scheduler.shared.segment.configuration.drains else {
      return PTO2Error(.orchestratorDied, text)
    }
    guard let count = scheduler.tasksDone() else { return nil }
    return PTO2Error(
      .orchestratorDied, text + "; the \(count) tasks that it had published are done (--drain)")
  }

  private mutating func checkAttached() {
    guard attachDeadline.hasPassed, !scheduler.hasAllCores else { return }
    let missing = scheduler.missingCores()
    if let refusal = scheduler.errorOfMissingCore() { return scheduler.fail(refusal) }
    scheduler.fail(
      PTO2Error(
        .workerMissing,
        "no worker announced core \(missing.joined(separator: ", ")) in time. Start it with: pto2-worker --segment \(scheduler.shared.segment.name) --cores \(missing.joined(separator: ","))"
      ))
  }

  /// Tells the scheduler of every core whose worker has ended since the last look. The
  /// next worker then has as much time to attach as the first one had.
  private mutating func checkWorkers() {
    for core in 0..<scheduler.coreCount where !workers.isWatched(core) {
      if let process = scheduler.coreProcess(core) { workers.watch(core, process.identity) }
    }
    workers.takeEnded { core in
      if let error = scheduler.shared.segment.truncationError() { return scheduler.fail(error) }
      if let process = scheduler.coreProcess(core), !process.isSupervised {
        if let error = scheduler.coreError(core) { return scheduler.fail(error, core: core) }
        let name = coreName(core)
        writeError(
          "pto2-scheduler: the worker of core \(name) (process \(process.identity.pid)) has died\(scheduler.crashPlace(core).map { " of " + $0 } ?? ""); start another within \(attachMilliseconds / 1000) s with: pto2-worker --segment \(scheduler.shared.segment.name) --cores \(name)"
        )
      }
      scheduler.noteDeath(core)
      attachDeadline = Deadline(afterMilliseconds: attachMilliseconds)
    }
  }

  /// Kills workers whose kernel has run for too long; what becomes of the task is
  /// decided when the process is gone.
  private mutating func checkDeadlines(_ now: UInt64) {
    guard deadlines[0].isEnabled else { return }
    for core in deadlines.indices {
      if deadlines[core].isStalled(progress: scheduler.kernelProgress(core), now: now),
        scheduler.isKernelRunning(core),
        scheduler.coreProcess(core)?.identity.isStopped() != true
      {
        scheduler.noteKill(core, because: PTO2_FAILURE_DEADLINE)
        workers.kill(core)
      }
    }
  }
}
