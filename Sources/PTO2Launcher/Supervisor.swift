internal import CPTO2Linux
internal import Glibc
package import PTO2Protocol
package import PTO2System
internal import Synchronization

/// Watches a session from the orchestrator process, on a thread of its own:
/// children, the scheduler, signals. What ends the session goes to `onFault`;
/// the program's thread then finds it at its next call.
@safe package final class Supervisor: @unchecked Sendable {
  // Sendable: `State` is read and written under `lock`; the closures are Sendable;
  // the rest does not change.
  private let lock = Mutex(State())
  private let signalDescriptor: Int32
  private let wakeRead: Int32
  private let wakeWrite: Int32
  private let hooks: Hooks
  private let attachMilliseconds: UInt64
  private let segment: String
  private let stopGraceMilliseconds: UInt32
  nonisolated(unsafe) private var thread: SpawnedThread?

  private struct State {
    var children: [ChildProcess] = []
    var isEnding = false
    var signal: Int32?
    /// When this thread first saw that the run has failed; 0 = not yet.
    var failureTime: UInt64 = 0
    /// By core, the READY word at its worker's last death, and how many workers
    /// have died since it last changed.
    var lastReady: [Int: UInt32] = [:]
    var deathsBeforeReady: [Int: Int] = [:]
    var restarts = 0
    var schedulerRestarts = 0
    /// Of the scheduler's deaths, those of a signal it raised itself, or because it
    /// did not go round.
    var schedulerCrashes = 0
  }

  /// What the supervisor needs to know of the session.
  package struct Hooks: Sendable {
    package var onFault: @Sendable (PTO2Error) -> Void
    /// The error a worker published for its core.
    package var workerError: @Sendable (Int) -> PTO2Error?
    /// What a core is running, in words.
    package var runningTask: @Sendable (Int) -> String?
    /// The core's READY word.
    package var readyWord: @Sendable (Int) -> UInt32
    /// Told of a worker that died and is started again: its core, and in words
    /// how it ended.
    package var onWorkerDeath: @Sendable (Int, String) -> Void
    /// The scheduler's process, once attached.
    package var schedulerProcess: @Sendable () -> ProcessIdentity?
    /// Changes as long as it goes round.
    package var schedulerHeartbeat: @Sendable () -> UInt32
    package var hasSchedulerError: @Sendable () -> Bool
    /// True once an error of any process ends the run.
    package var hasFailed: @Sendable () -> Bool
    /// Reports the error and removes what must not stay, because the process
    /// ends at once; returns the exit status. Given the signal, if there was one.
    package var emergency: @Sendable (Int32?) -> Int32

    package init(
      onFault: @escaping @Sendable (PTO2Error) -> Void,
      workerError: @escaping @Sendable (Int) -> PTO2Error?,
      runningTask: @escaping @Sendable (Int) -> String?,
      readyWord: @escaping @Sendable (Int) -> UInt32,
      onWorkerDeath: @escaping @Sendable (Int, String) -> Void,
      schedulerProcess: @escaping @Sendable () -> ProcessIdentity?,
      schedulerHeartbeat: @escaping @Sendable () -> UInt32,
      hasSchedulerError: @escaping @Sendable () -> Bool,
      hasFailed: @escaping @Sendable () -> Bool,
      emergency: @escaping @Sendable (Int32?) -> Int32
    ) {
      self.onFault = onFault
      self.workerError = workerError
      self.runningTask = runningTask
      self.readyWord = readyWord
      self.onWorkerDeath = onWorkerDeath
      self.schedulerProcess = schedulerProcess
      self.schedulerHeartbeat = schedulerHeartbeat
      self.hasSchedulerError = hasSchedulerError
      self.hasFailed = hasFailed
      self.emergency = emergency
    }
  }

  /// After an error or a first signal the program has this long to come to its
  /// next call.
  private static let graceNanoseconds: UInt64 = 3_000_000_000

  /// Starts watching. Children are started with `launch`.
  /// - Parameter signalDescriptor: of `blockSignals`.
  package init(
    segment: String, signalDescriptor: Int32, attachTimeoutMilliseconds: UInt64,
    stopGraceMilliseconds: UInt32 = 0, hooks: Hooks
  )
    throws(SystemError)
  {
    var ends: (Int32, Int32) = (-1, -1)
    let status = unsafe withUnsafeMutableBytes(of: &ends) {
      unsafe pipe($0.baseAddress!.assumingMemoryBound(to: Int32.self))
    }
    guard status == 0 else { throw SystemError("pipe", "supervisor", errno: errno) }
    for end in [ends.0, ends.1] {
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
    }
    (wakeRead, wakeWrite) = ends
    self.signalDescriptor = signalDescriptor
    self.hooks = hooks
    self.segment = segment
    self.stopGraceMilliseconds = stopGraceMilliseconds
    attachMilliseconds = attachTimeoutMilliseconds
    unsafe thread = try spawnThread("supervisor") { self.watch() }
  }

  /// Blocks SIGINT, SIGTERM and SIGHUP in this thread and those it starts, and returns
  /// a signalfd(2) for them; call before any other thread exists.
  package static func blockSignals() -> Int32 { pto2_signal_descriptor() }

  /// Undoes `blockSignals`, so that Ctrl-C ends a program that goes on.
  package static func unblockSignals(_ descriptor: Int32) { pto2_release_signals(descriptor) }

  /// Starts a child from the calling thread, which must live as long as the
  /// child: PR_SET_PDEATHSIG follows the thread.
  package func launch(name: String, core: Int?, executable: String, arguments: [String])
    throws(SystemError)
  {
    // In one piece, so that the watching thread knows each process as a child: this
    // one may have attached, and died, before the next line.
    try lock.withLock { (state) throws(SystemError) in
      state.children.append(
        try ChildProcess.spawn(
          name: name, core: core, executable: executable, arguments: arguments))
    }
    wake()
  }

  /// The signal that asked this process to end.
  package var signal: Int32? { lock.withLock { $0.signal } }

  /// From now on a child that ends is no fault.
  package func beginEnding() { lock.withLock { $0.isEnding = true } }

  /// Waits for every child until the deadline, then kills what is left.
  /// - Returns: names of those that had to be killed.
  package func endChildren(deadline: Deadline) -> [String] {
    while true {
      var left = lock.withLock { state in
        state.children.indices.filter { !state.children[$0].reap() }
          .map { pollfd(fd: state.children[$0].descriptor, events: Int16(POLLIN), revents: 0) }
      }
      if left.isEmpty || deadline.hasPassed { break }
      _ = unsafe poll(&left, nfds_t(left.count), 50)
    }
    return lock.withLock { state in
      var killed: [String] = []
      for index in state.children.indices where !state.children[index].reap() {
        state.children[index].signal(SIGKILL)
        killed.append(state.children[index].name)
        var status: Int32 = 0
        _ = unsafe waitpid(state.children[index].pid, &status, 0)
        state.children[index].status = status
      }
      return killed
    }
  }

  /// Ends the watching thread.
  package func stop() {
    lock.withLock { $0.isEnding = true }
    _ = unsafe write(wakeWrite, "q", 1)
    unsafe thread?.join()
    close(wakeRead)
    close(wakeWrite)
    lock.withLock { state in
      for child in state.children { close(child.descriptor) }
      state.children = []
    }
  }

  private func wake() { _ = unsafe write(wakeWrite, "w", 1) }

  // MARK: The watching thread

  private func watch() {
    var scheduler: SchedulerWatch?
    var lastScheduler: ProcessIdentity?
    // Until a scheduler has attached, or another in the place of a dead one.
    var attachDeadline = Deadline(afterMilliseconds: attachMilliseconds)
    var hasMissedScheduler = false
    while true {
      var entries = [
        pollfd(fd: signalDescriptor, events: Int16(POLLIN), revents: 0),
        pollfd(fd: wakeRead, events: Int16(POLLIN), revents: 0),
      ]
      for child in lock.withLock({ $0.children }) where child.status == nil {
        entries.append(pollfd(fd: child.descriptor, events: Int16(POLLIN), revents: 0))
      }
      if let handle = scheduler?.descriptor {
        entries.append(pollfd(fd: handle, events: Int16(POLLIN), revents: 0))
      }
      _ = unsafe poll(&entries, nfds_t(entries.count), scheduler == nil ? 10 : 100)
      if readWakes() { return }
      while case let signal = pto2_read_signal(signalDescriptor), signal != 0 { take(signal) }
      checkGrace()
      reapChildren()

      if scheduler == nil, let identity = hooks.schedulerProcess(), identity != lastScheduler {
        scheduler = SchedulerWatch(identity, graceMilliseconds: stopGraceMilliseconds)
      }
      if scheduler?.killIfHung(heartbeat: hooks.schedulerHeartbeat) == true {
        lock.withLock { $0.schedulerCrashes += 1 }
      }
      if let watch = scheduler, watch.hasEnded() {
        lastScheduler = watch.identity
        scheduler = nil
        attachDeadline = Deadline(afterMilliseconds: attachMilliseconds)
        schedulerEnded(watch.identity)
      }
      if scheduler == nil, !hasMissedScheduler, attachDeadline.hasPassed,
        !lock.withLock({ $0.isEnding })
      {
        hasMissedScheduler = true
        hooks.onFault(
          PTO2Error(
            lastScheduler == nil ? .schedulerMissing : .schedulerDied,
            lastScheduler == nil
              ? "no scheduler attached in time. Start one with: pto2-scheduler --segment \(segment)"
              : "the scheduler has died, and no other attached in time"))
      }
    }
  }

  /// The scheduler, whoever started it.
  private final class SchedulerWatch {
    let identity: ProcessIdentity
    private let handle: ProcessHandle?
    private var stop: SuspensionWatch
    private var pulse: StallWatch
    private var hasSaidHeld = false
    let descriptor: Int32?
    init(_ identity: ProcessIdentity, graceMilliseconds: UInt32) {
      self.identity = identity
      stop = SuspensionWatch(graceMilliseconds: graceMilliseconds)
      pulse = StallWatch(stopGraceMilliseconds: graceMilliseconds)
      handle = ProcessHandle(identity)
      descriptor =
        switch handle {
        case .some(let handle): handle.descriptor
        case .none: nil
        }
    }
    func hasEnded() -> Bool { handle?.hasEnded() ?? true }

    /// Stopped (SIGSTOP) for longer than --stop-grace, or running and not going
    /// round: what follows is as after any death of it.
    /// - Returns: true when it did not go round.
    func killIfHung(heartbeat: () -> UInt32) -> Bool {
      if hasEnded() { return false }
      let now = MonotonicClock.now()
      let isOverdue = stop.look(at: identity, now: now) == .overdue
      let isStuck = pulse.isStalled(progress: UInt64(heartbeat()), now: now)
      if isOverdue {
        kill("was stopped (SIGSTOP) for longer than --stop-grace")
      } else if stop.isStopped {
        pulse.rewind(to: 0)
      } else if isStuck, identity.isHeld() {
        pulse.rewind(to: 0)
        if !hasSaidHeld { say("is held by a debugger, and waited for") }
        hasSaidHeld = true
      } else if isStuck {
        kill("has not gone round for \(pulse.limitText)")
        return true
      }
      return false
    }

    private func kill(_ reason: String) {
      say(reason + ": it is killed")
      handle?.send(signal: SIGKILL)
    }

    private func say(_ what: String) {
      writeError("pto2: the scheduler (process \(identity.pid)) \(what)")
    }
  }

  /// One that was started by hand can be started again by hand; a child's end is
  /// the matter of `reapChildren`.
  private func schedulerEnded(_ identity: ProcessIdentity) {
    let isOurs = lock.withLock { state in
      state.isEnding || state.children.contains { $0.core == nil }
    }
    guard !isOurs, !hooks.hasSchedulerError(), !hooks.hasFailed() else { return }
    writeError(
      "pto2: the scheduler (process \(identity.pid)) has died; start another within \(attachMilliseconds / 1000) s with: pto2-scheduler --segment \(segment)"
    )
  }

  /// True when `stop` was called.
  private func readWakes() -> Bool {
    var byte: UInt8 = 0
    var isOver = false
    while unsafe read(wakeRead, &byte, 1) == 1 { if byte == UInt8(ascii: "q") { isOver = true } }
    return isOver
  }

  private func take(_ signal: Int32) {
    let isSecond = lock.withLock { state in
      if state.signal != nil { return true }
      state.signal = signal
      return false
    }
    if isSecond { endAtOnce() }
    hooks.onFault(PTO2Error(.interrupted, "interrupted by \(signalName(signal))"))
  }

  private func checkGrace() {
    guard hooks.hasFailed() else { return }
    let now = MonotonicClock.now()
    let isOver = lock.withLock { state in
      if state.isEnding { return false }
      if state.failureTime == 0 { state.failureTime = now }
      return now > state.failureTime &+ Self.graceNanoseconds
    }
    if isOver { endAtOnce() }
  }

  /// The program does not come to an end by itself: children, the name, and
  /// this process go now.
  private func endAtOnce() -> Never {
    let signal = lock.withLock { state in
      for child in state.children { child.signal(SIGKILL) }
      return state.signal
    }
    _exit(hooks.emergency(signal))
  }

  /// Workers of one core that may die one after the other before one is READY.
  private static let maximumDeathsBeforeReady = 3
  /// SIGKILL is somebody else's doing: so many count as one death.
  private static let killsForOneDeath = 40

  /// False when workers of this core keep dying before they serve.
  private func mayStartAgain(_ core: Int, _ child: ChildProcess) -> Bool {
    let weight = child.endingSignal == SIGKILL ? 1 : Self.killsForOneDeath
    let ready = hooks.readyWord(core)
    return lock.withLock { state in
      let isFirst = state.lastReady.updateValue(ready, forKey: core) != ready && ready != 0
      state.deathsBeforeReady[core] =
        isFirst ? 0 : state.deathsBeforeReady[core, default: 0] + weight
      return state.deathsBeforeReady[core]!
        < Self.maximumDeathsBeforeReady * Self.killsForOneDeath
    }
  }

  /// Starts a process in the place of one that has died. This thread lives as
  /// long as the session, as PR_SET_PDEATHSIG needs.
  /// - Returns: false when the system refused.
  private func startAgain(_ child: ChildProcess) -> Bool {
    do throws(SystemError) {
      // In one piece: `endChildren` knows of it, or it is not started any more.
      try lock.withLock { (state) throws(SystemError) in
        guard !state.isEnding,
          let index = state.children.firstIndex(where: { $0.pid == child.pid })
        else { return }
        let next = try ChildProcess.spawn(
          name: child.name, core: child.core, executable: child.executable,
          arguments: child.arguments)
        close(state.children[index].descriptor)
        state.children[index] = next
        if child.core == nil { state.schedulerRestarts += 1 } else { state.restarts += 1 }
      }
      return true
    } catch { return false }
  }

  /// Workers that were started in the place of one that had died.
  package var restarts: Int { lock.withLock { $0.restarts } }
  /// Schedulers likewise.
  package var schedulerRestarts: Int { lock.withLock { $0.schedulerRestarts } }

  /// Deaths of schedulers by signals they raised themselves that a run survives.
  private static let maximumSchedulerCrashes = 10

  /// False for one that has exited, and when they keep crashing.
  private func mayStartSchedulerAgain(_ child: ChildProcess) -> Bool {
    guard let signal = child.endingSignal else { return false }
    let isCrash = ![SIGKILL, SIGTERM, SIGINT, SIGHUP].contains(signal)
    return lock.withLock { state in
      if isCrash { state.schedulerCrashes += 1 }
      return state.schedulerCrashes <= Self.maximumSchedulerCrashes
    }
  }

  private func reapChildren() {
    let ended = lock.withLock { state -> [ChildProcess] in
      var ended: [ChildProcess] = []
      for index in state.children.indices where state.children[index].status == nil {
        if state.children[index].reap() { ended.append(state.children[index]) }
      }
      return state.isEnding ? [] : ended
    }
    for child in ended {
      if let core = child.core {
        let running = hooks.runningTask(core).map { " while running \($0)" } ?? ""
        let ending = "\(child.name) (process \(child.pid)) \(child.ending)\(running)"
        // Before the next worker clears it.
        let error = hooks.workerError(core)
        hooks.onWorkerDeath(core, ending)
        if error == nil, !hooks.hasFailed(), mayStartAgain(core, child), startAgain(child) {
          continue
        }
        hooks.onFault(error ?? PTO2Error(.workerDied, ending))
      } else if !hooks.hasSchedulerError() {
        if !hooks.hasFailed(), mayStartSchedulerAgain(child), startAgain(child) { continue }
        hooks.onFault(
          PTO2Error(.schedulerDied, "the scheduler (process \(child.pid)) \(child.ending)"))
      }
    }
  }
}
