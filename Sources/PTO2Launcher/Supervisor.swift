internal import CPTO2Linux
internal import Glibc
internal import PTO2Protocol
package import PTO2System
internal import Synchronization

/// Starts the processes of a session and watches it, on a thread of its own:
/// children, the scheduler, signals. What ends the session goes to `session.fail`;
/// the program's thread then finds it at its next call.
@safe package final class Supervisor: @unchecked Sendable {
  // Sendable: `state` is read and written under its lock; `thread` is written once,
  // before anybody else has this object; the rest does not change.
  private let state = Mutex(State())
  private let session: any SupervisedSession
  private let segment: String
  private let signalDescriptor: Int32
  private let attachMilliseconds: UInt64
  private let stopGraceMilliseconds: UInt32
  private let launches: [Launch]
  /// Wakes the thread: `w` to look again, `q` to end.
  private let bell: Pipe
  /// Readable once the children are started.
  private let started: Pipe
  /// Nil: workers write to standard error themselves.
  private let relay: OutputRelay?
  private let isStopping = Atomic<Bool>(false)
  nonisolated(unsafe) private var thread: SpawnedThread?

  private struct State {
    var children = Children()
    var signal: Int32?
    /// When this thread first saw that the session has failed; 0 = not yet.
    var failureTime: UInt64 = 0
    /// Why the children could not be started.
    var launchError: SystemError?
  }

  /// Kills every child, for a process that ends in the middle of things: nobody is started
  /// in its place.
  package func killChildren() {
    state.withLock { state in
      state.children.isEnding = true
      state.children.kill()
    }
  }

  /// After an error or a first signal the program has this long to come to its
  /// next call.
  private static let graceNanoseconds: UInt64 = 3_000_000_000

  /// Starts the processes, and watching them.
  /// - Parameters:
  ///   - signalDescriptor: of `takeSignals`; -1: signals are none of its business.
  ///   - launches: the scheduler and the workers; none when they are started by hand.
  ///   - relaysOutput: what workers write comes through this process, and is lost when it
  ///     dies.
  /// - Throws: when one cannot be started; those that were are gone then.
  package init(
    _ session: any SupervisedSession, segment: String, launches: [Launch],
    signalDescriptor: Int32 = -1, attachTimeoutMilliseconds: UInt64,
    stopGraceMilliseconds: UInt32 = 0, relaysOutput: Bool = false
  ) throws(SystemError) {
    bell = try Pipe()
    started = try Pipe()
    relay = launches.isEmpty || !relaysOutput ? nil : try? OutputRelay()
    self.session = session
    self.segment = segment
    self.launches = launches
    self.signalDescriptor = signalDescriptor
    self.stopGraceMilliseconds = stopGraceMilliseconds
    attachMilliseconds = attachTimeoutMilliseconds
    state.withLock { $0.children.workerOutput = relay?.writeEnd }
    // The program's signals are for its own threads; faults of this one are its own.
    var all = sigset_t()
    var own = sigset_t()
    unsafe sigfillset(&all)
    for fault in [SIGBUS, SIGSEGV, SIGILL, SIGFPE, SIGABRT] { unsafe sigdelset(&all, fault) }
    unsafe pthread_sigmask(SIG_SETMASK, &all, &own)
    defer { unsafe pthread_sigmask(SIG_SETMASK, &own, nil) }
    unsafe thread = try spawnThread("supervisor") { self.watch() }
    started.wait()
    if let error = state.withLock({ $0.launchError }) {
      _ = endChildren(deadline: Deadline(afterMilliseconds: 0))
      stop()
      throw error
    }
  }

  /// Takes SIGINT, SIGTERM, SIGHUP and SIGQUIT unless they are ignored, and other signals
  /// that would end the process (SIGALRM, SIGXCPU, ...) unless somebody wants them,
  /// whichever thread gets them; returns a signalfd(2).
  package static func takeSignals() -> Int32 { pto2_signal_descriptor() }

  /// Undoes `takeSignals`, so that Ctrl-C ends a program that goes on.
  package static func releaseSignals(_ descriptor: Int32) { pto2_release_signals(descriptor) }

  /// Lets a signal do to this process what it would do without `takeSignals`.
  package static func passOn(_ signal: Int32) { pto2_pass_on(signal) }

  /// The signal that asked this process to end.
  package var signal: Int32? { state.withLock { $0.signal } }

  /// Workers, and schedulers, that were started in the place of one that had died.
  package var restarts: (workers: Int, schedulers: Int) {
    state.withLock { ($0.children.workerRestarts, $0.children.schedulerRestarts) }
  }

  /// From now on a child that ends is no fault.
  package func beginEnding() { state.withLock { $0.children.isEnding = true } }

  /// Waits for every child until the deadline, then kills what is left.
  /// - Returns: names of those that had to be killed.
  package func endChildren(deadline: Deadline) -> [String] {
    while true {
      var left = state.withLock { state in
        _ = state.children.reap()
        return state.children.entries
      }
      if left.isEmpty || deadline.hasPassed { break }
      _ = unsafe poll(&left, nfds_t(left.count), 50)
    }
    return state.withLock { $0.children.killRest() }
  }

  /// Ends the watching thread.
  package func stop() {
    beginEnding()
    isStopping.store(true, ordering: .relaxed)
    bell.write(UInt8(ascii: "q"))
    unsafe thread?.join()
    let areOwn = bell.isIntact
    state.withLock { $0.children.closeDescriptors(areOwn: areOwn) }
    guard let relay else { return }
    relay.finish()
    if relay.lostBytes > 0 {
      session.say(
        "pto2: warning: \(relay.lostBytes) bytes that kernels have written are lost: nobody has read standard error"
      )
    }
  }

  // MARK: The watching thread

  private func watch() {
    launchChildren()
    var scheduler = SchedulerCare(attachMilliseconds: attachMilliseconds)
    while true {
      let areOwn = checkDescriptors()
      if areOwn {
        waitForNews(scheduler, milliseconds: scheduler.watch == nil ? 10 : 100)
        relay?.forward()
      } else {
        sleepNanoseconds(10_000_000)
      }
      _ = bell.drain()
      if isStopping.load(ordering: .relaxed) { return }
      if areOwn { readSignals() }
      checkGrace()
      reapChildren()
      if !session.hasFailed, let error = session.linkError { session.fail(error) }
      look(after: &scheduler)
    }
  }

  private func waitForNews(_ scheduler: borrowing SchedulerCare, milliseconds: Int32) {
    var entries = [
      pollfd(fd: signalDescriptor, events: Int16(POLLIN), revents: 0),
      pollfd(fd: bell.readEnd, events: Int16(POLLIN), revents: 0),
      pollfd(fd: scheduler.watch?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
    ]
    entries += relay?.entries ?? []
    entries += state.withLock { $0.children.entries }
    _ = unsafe poll(&entries, nfds_t(entries.count), milliseconds)
  }

  /// A program that closes what it has not opened, or puts files of its own there, ends its
  /// session: nothing that is done to such a number reaches who it is meant for.
  /// - Returns: false then.
  @discardableResult
  package func checkDescriptors() -> Bool {
    if bell.isIntact { return true }
    if !session.hasFailed {
      session.fail(
        PTO2Error(
          .invalidArgs,
          "the program, or a library, has closed or replaced descriptors of the runtime: close none that you have not opened"
        ))
    }
    return false
  }

  /// On this thread, which lives as long as the session: PR_SET_PDEATHSIG follows the
  /// thread that started a process.
  private func launchChildren() {
    for launch in launches {
      do throws(SystemError) {
        try state.withLock { (state) throws(SystemError) in try state.children.start(launch) }
      } catch {
        state.withLock { $0.launchError = error }
        break
      }
    }
    started.write(UInt8(ascii: "s"))
  }

  private func readSignals() {
    guard signalDescriptor >= 0 else { return }
    while case let signal = pto2_read_signal(signalDescriptor), signal != 0 {
      let isSecond = state.withLock { state in
        if state.signal != nil { return true }
        state.signal = signal
        return false
      }
      if isSecond { giveUpProgram() }
      session.fail(PTO2Error(.interrupted, "interrupted by \(signalName(signal))"))
    }
  }

  private func checkGrace() {
    guard session.hasFailed else { return }
    let now = MonotonicClock.now()
    let isOver = state.withLock { state in
      if state.children.isEnding { return false }
      if state.failureTime == 0 { state.failureTime = now }
      return now > state.failureTime &+ Self.graceNanoseconds
    }
    if isOver { giveUpProgram() }
  }

  private func giveUpProgram() {
    let signal = state.withLock { state in
      state.children.kill()
      return state.signal
    }
    relay?.finish()
    session.programIsAbsent(signal: signal)
  }

  private func reapChildren() {
    let ended = state.withLock { state in
      let ended = state.children.reap()
      return state.children.isEnding ? [] : ended
    }
    for child in ended {
      switch child.role {
      case .worker(let core): workerEnded(child, core: core)
      case .scheduler: schedulerEnded(child)
      case .link: linkEnded(child)
      case .faults: break
      }
    }
  }

  private func workerEnded(_ child: ChildProcess, core: Int) {
    let running = session.runningTask(core: core).map { " while running \($0)" } ?? ""
    let ending = "\(child.name) (process \(child.pid)) \(child.ending)\(running)"
    // Before the next worker clears it.
    let error = session.workerError(core: core)
    session.noteWorkerDeath(core: core, ending: ending)
    if error == nil, !session.hasFailed {
      let ready = session.readyWord(core: core)
      let isStarted = state.withLock { state in
        state.children.mayStartWorkerAgain(child, core: core, ready: ready)
          && (try? state.children.startAgain(child)) != nil
      }
      if isStarted { return }
    }
    session.fail(error ?? PTO2Error(.workerDied, ending))
  }

  /// MPI cannot be started a second time in one rank, so nobody takes its place.
  private func linkEnded(_ child: ChildProcess) {
    if session.hasFailed { return }
    session.fail(
      session.linkError
        ?? PTO2Error(
          .linkDied,
          "the link to the other ranks (process \(child.pid)) \(child.ending): MPI cannot be started twice in one rank"
        ))
  }

  private func schedulerEnded(_ child: ChildProcess) {
    guard !session.hasSchedulerError else { return }
    if !session.hasFailed {
      let isStarted = state.withLock { state in
        state.children.mayStartSchedulerAgain(child)
          && (try? state.children.startAgain(child)) != nil
      }
      if isStarted { return }
    }
    session.fail(PTO2Error(.schedulerDied, "the scheduler (process \(child.pid)) \(child.ending)"))
  }
}

// MARK: The scheduler, whoever started it

/// What the supervisor's thread knows of the scheduler.
private struct SchedulerCare {
  var watch: SchedulerWatch?
  var last: ProcessIdentity?
  /// Until a scheduler has attached, or another in the place of a dead one.
  var attachDeadline: Deadline
  var isMissed = false

  init(attachMilliseconds: UInt64) {
    attachDeadline = Deadline(afterMilliseconds: attachMilliseconds)
  }
}

extension Supervisor {
  private func look(after care: inout SchedulerCare) {
    if care.watch == nil, let identity = session.schedulerRecord?.identity, identity != care.last {
      let session = session
      care.watch = SchedulerWatch(identity, graceMilliseconds: stopGraceMilliseconds) {
        session.say($0)
      }
    }
    if care.watch?.killIfHung(heartbeat: session.schedulerHeartbeat) == true {
      state.withLock { $0.children.schedulerCrashes += 1 }
    }
    if let watch = care.watch, watch.hasEnded() {
      care.last = watch.identity
      care.watch = nil
      care.attachDeadline = Deadline(afterMilliseconds: attachMilliseconds)
      askForAnother(watch.identity)
    }
    guard care.watch == nil, !care.isMissed, care.attachDeadline.hasPassed,
      !state.withLock({ $0.children.isEnding })
    else { return }
    care.isMissed = true
    session.fail(
      care.last == nil
        ? PTO2Error(
          .schedulerMissing,
          "no scheduler attached in time. Start one with: pto2-scheduler --segment \(segment)")
        : PTO2Error(.schedulerDied, "the scheduler has died, and no other attached in time"))
  }

  /// One that was started by hand can be started again by hand; a child's end is
  /// the matter of `reapChildren`.
  private func askForAnother(_ identity: ProcessIdentity) {
    let isOurs = state.withLock { $0.children.isEnding || $0.children.hasScheduler }
    guard !isOurs, !session.hasSchedulerError, !session.hasFailed else { return }
    session.say(
      "pto2: the scheduler (process \(identity.pid)) has died; start another within \(attachMilliseconds / 1000) s with: pto2-scheduler --segment \(segment)"
    )
  }
}
