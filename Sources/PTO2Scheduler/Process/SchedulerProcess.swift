internal import CPTO2Segment
package import PTO2Protocol
package import PTO2Segment
internal import PTO2System

enum SchedulerTimes {
  /// How often the other processes, and the limits of time, are looked at.
  static let checkNanoseconds: Int64 = 20_000_000
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
  guard segment.schedulerPage.control.loadAcquire() <= PTO2_SCHED_ATTACHED else {
    throw .abandoned(name: name)
  }
  segment.watchTruncation(says: isSupervised ? nil : { "pto2-scheduler: \($0)" })
  let threads = Int(segment.configuration.schedulerThreads)
  let shared = SchedulerState(segment)
  func run<S: Sharing>(_: S.Type) -> PTO2Error? {
    var process = SchedulerProcess<S>(shared, isSupervised: isSupervised)
    return process.run(helpers: (1..<threads).map { HelperThread(shared, index: $0) })
  }
  return switch (threads == 1, shared.segment.configuration.isTraced) {
  case (true, false): run(OneThread.self)
  case (false, false): run(SeveralThreads.self)
  case (true, true): run(Traced<OneThread>.self)
  case (false, true): run(Traced<SeveralThreads>.self)
  }
}

/// The first scheduler thread, which answers for the process.
struct SchedulerProcess<S: Sharing>: ~Copyable {
  var scheduler: SchedulerThread<S>
  private let orchestrator: ProcessHandle?
  private let orchestratorIdentity: ProcessIdentity
  private var attachDeadline: Deadline
  private let attachMilliseconds: UInt64
  private var workers: ProcessSet
  private var nextCheck: UInt64 = 0
  /// The orchestrator has died, and its session goes on (`--drain`).
  private var isOrphan = false

  init(_ shared: SchedulerState, isSupervised: Bool) {
    let configuration = shared.segment.configuration
    orchestratorIdentity = shared.segment.creator()
    orchestrator = ProcessHandle(orchestratorIdentity)
    attachMilliseconds = UInt64(configuration.attachTimeoutMilliseconds)
    attachDeadline = Deadline(afterMilliseconds: attachMilliseconds)
    workers = ProcessSet(count: configuration.coreCount)
    scheduler = SchedulerThread(shared)
    if shared.isRestart { scheduler.restart() }
    scheduler.announce(isSupervised: isSupervised)
    scheduler.note(.schedulerReady)
  }

  /// Runs until the session is over.
  /// - Returns: the error that ended it, nil after a clean end.
  mutating func run(helpers: [HelperThread<S>] = []) -> PTO2Error? {
    let started = helpers.prefix { $0.start() }
    if started.count < helpers.count {
      scheduler.fail(
        PTO2Error(
          .outOfMemory,
          "the system refused scheduler thread \(started.count + 2) of \(helpers.count + 1)"))
    }
    schedule()
    scheduler.stopOthers()
    for helper in started { scheduler.counters.add(helper.join()) }
    return finish()
  }

  /// Works until everything is done, or a fault.
  mutating func schedule() {
    var backoff = Backoff()
    var courtesy = Courtesy()
    var rounds: UInt32 = 0
    while true {
      if scheduler.step() > 0 {
        backoff.reset()
        courtesy.offer()
        rounds &+= 1
        if rounds & 63 == 0 { checkPeers() }
      } else if !scheduler.hasFailed {
        if scheduler.request == .leave && scheduler.isDrained() { return }
        if scheduler.isStocked || backoff.next() {
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
    // PR_SET_PDEATHSIG may have been cleared by a kernel, which then does not return.
    if orchestrator?.hasEnded() ?? true {
      for core in late.compactMap(coreIndex(named:))
      where scheduler.coreProcess(core)?.isSupervised == true { workers.kill(core) }
    }
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

  /// Looks which cores are worth it when that is due, and at most every 20 ms whether the others
  /// live.
  private mutating func checkPeers() {
    let now = MonotonicClock.now()
    scheduler.updateFavoured(now)
    guard now >= nextCheck else { return }
    nextCheck = now &+ UInt64(SchedulerTimes.checkNanoseconds)
    scheduler.beat(now)
    if orchestrator?.hasEnded() ?? true {
      if let error = errorOfOrphan() { return scheduler.fail(error) }
      if !isOrphan { becomeOrphan() }
    }
    // A scheduler that comes after this one counts on from here.
    scheduler.publishCounters()
    checkWorkers()
    for core in 0..<scheduler.cores.count where scheduler.takeQuarantine(core) {
      workers.kill(core)
    }
    scheduler.checkOrchestrator(orchestratorIdentity, now)
    checkAttached()
    for core in scheduler.checkHealth(now) { workers.kill(core) }
    scheduler.audit(now)
  }

  /// The orchestrator has died: nil while what it has published is still to be done.
  private func errorOfOrphan() -> PTO2Error? {
    if let error = scheduler.shared.segment.truncationError() { return error }
    let text = "the orchestrator has ended without finishing its run"
    guard scheduler.shared.segment.configuration.drains else {
      return PTO2Error(.orchestratorDied, text)
    }
    guard let count = scheduler.tasksDone() else { return nil }
    return PTO2Error(
      .orchestratorDied, text + "; the \(count) tasks that it had published are done (--drain)")
  }

  /// Whoever has started the workers does so no more. Those that died before, and are not
  /// replaced, are missed from here on.
  private mutating func becomeOrphan() {
    isOrphan = true
    let missing = scheduler.coresToSupervise()
    guard !missing.isEmpty else { return }
    for core in missing { scheduler.reportDeath(of: nil, core, nextWithin: attachMilliseconds) }
    attachDeadline = Deadline(afterMilliseconds: attachMilliseconds)
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
    for core in 0..<scheduler.cores.count where !workers.isWatched(core) {
      if let process = scheduler.coreProcess(core) { workers.watch(core, process.identity) }
    }
    workers.takeEnded { core in
      if let error = scheduler.shared.segment.truncationError() { return scheduler.fail(error) }
      if let process = scheduler.coreProcess(core), isOrphan || !process.isSupervised {
        if let error = scheduler.coreError(core) { return scheduler.fail(error, core: core) }
        scheduler.reportDeath(of: process.identity, core, nextWithin: attachMilliseconds)
      }
      scheduler.workerDied(core)
      attachDeadline = Deadline(afterMilliseconds: attachMilliseconds)
    }
  }
}
