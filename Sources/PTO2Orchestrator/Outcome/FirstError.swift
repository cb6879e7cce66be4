internal import CPTO2Segment
package import PTO2Protocol
internal import PTO2System
internal import Synchronization

/// What went wrong first, on two levels.
///
/// - A run's first error (`raise`): the program's mistakes, deadlocks, tasks that
///   FAILED. Every call of the run throws it from then on; no other process learns of
///   it, and the next run begins without it.
/// - The session's first error (`fail`): a process that is missing, a segment that was
///   overwritten, a signal. It is written to the orchestrator's error block, everybody
///   leaves, and no run comes after it.
///
/// The program's thread and the supervisor's use it.
@safe package final class FirstError: @unchecked Sendable {
  /// An error, and when it was raised.
  private struct Entry {
    var error: PTO2Error
    var nanoseconds: UInt64
  }

  private struct State {
    var run: Entry?
    var session: Entry?
    /// Somebody has stored, or is about to store, how the session ends; nobody else does.
    var isDecided = false
    /// By core, how its workers ended, newest last.
    var deaths: [Int: [String]] = [:]
  }

  /// Why `check` has to look closer; bits of `flags`.
  private enum Flag {
    static let runFailed: UInt8 = 1
    static let runOver: UInt8 = 2
    static let sessionFailed: UInt8 = 4
    static let sessionDone: UInt8 = 8
    static let disowned: UInt8 = 16
  }

  // Sendable: the page is stored to by the one thread that has set `isDecided`. Not under
  // the lock: nothing that another process sees is done with a lock held.
  private let page: OrchestratorPage<OwnedWord>
  private let scheduler: SchedulerPage<SharedWord>
  private let state = Mutex(State())
  private let flags = Atomic<UInt8>(0)

  package init(page: OrchestratorPage<OwnedWord>, scheduler: SchedulerPage<SharedWord>) {
    self.page = page
    self.scheduler = scheduler
  }

  private func set(_ flag: UInt8) { flags.bitwiseOr(flag, ordering: .relaxed) }
  private func isSet(_ flag: UInt8) -> Bool { flags.load(ordering: .relaxed) & flag != 0 }

  /// What a child that the program makes with fork(2) is told.
  package static let forkText =
    "this process was made by fork(2) in the middle of a session, in which it has no part: end it with _exit(2), or execute another program"

  /// In such a child: every call fails from now on. Takes no lock.
  package func disown() { set(Flag.disowned) }

  private var forkError: PTO2Error? {
    isSet(Flag.disowned) ? PTO2Error(.invalidArgs, Self.forkText) : nil
  }

  // MARK: A run

  /// The next run begins: without an error, and with no word of earlier deaths.
  package func beginRun() {
    state.withLock {
      $0.run = nil
      $0.deaths = [:]
    }
    flags.bitwiseAnd(~(Flag.runFailed | Flag.runOver), ordering: .relaxed)
  }

  /// Nothing can be submitted until the next run begins.
  package func endRun() { set(Flag.runOver) }

  /// Keeps an error of the run unless there is one already, and returns the first.
  @discardableResult
  package func raise(_ error: PTO2Error) -> PTO2Error {
    // A thread that is not here may have held the lock.
    if let forkError { return forkError }
    let now = MonotonicClock.now()
    return state.withLock { state in
      if let first = state.run ?? state.session { return first.error }
      state.run = Entry(error: error, nanoseconds: now)
      set(Flag.runFailed)
      return error
    }
  }

  // MARK: The session

  /// Ends the session with an error unless it has one already, and returns the first.
  @discardableResult
  package func fail(_ error: PTO2Error) -> PTO2Error {
    publish(Entry(error: error, nanoseconds: MonotonicClock.now()))
  }

  /// Ends the session with the run's first error, if there is one.
  package func publish() {
    if let run = state.withLock({ $0.run }) { _ = publish(run) }
  }

  private func publish(_ entry: Entry) -> PTO2Error {
    if let forkError { return forkError }
    let (first, decides) = state.withLock { state in
      if let first = state.session { return (first.error, false) }
      state.session = entry
      set(Flag.sessionFailed)
      defer { state.isDecided = true }
      return (entry.error, !state.isDecided)
    }
    guard decides else { return first }
    page.ownError.write(entry.error, now: entry.nanoseconds)
    // Release: the error block is complete.
    page.control.storeRelease(PTO2_CONTROL_FATAL)
    Futex.wake(page.control.shared)
    return first
  }

  /// The last run is over and everything is CONSUMED: everybody may leave.
  package func finish() {
    let decides = state.withLock { state in
      guard !state.isDecided else { return false }
      state.isDecided = true
      set(Flag.sessionDone)
      return true
    }
    guard decides else { return }
    page.control.storeRelease(PTO2_CONTROL_DONE)
    Futex.wake(page.control.shared)
  }

  // MARK: Looking

  /// True once the session has failed, by this process or by the scheduler.
  package var hasFailed: Bool {
    isSet(Flag.sessionFailed) || isSet(Flag.disowned)
      || scheduler.control.loadRelaxed() == PTO2_SCHED_FATAL
  }

  /// Throws the first error, by time, of the run, the session or the scheduler.
  @inline(__always)
  package func check() throws(PTO2Error) {
    if flags.load(ordering: .relaxed) == 0
      && scheduler.control.loadRelaxed() != PTO2_SCHED_FATAL
    {
      return
    }
    try throwFirst()
  }

  @inline(never)
  private func throwFirst() throws(PTO2Error) {
    if let forkError { throw forkError }
    // Acquire: the scheduler's error block was complete before.
    let hasSchedulerFailed = scheduler.control.loadAcquire() == PTO2_SCHED_FATAL
    if let error = first { throw error }
    if hasSchedulerFailed {
      throw fail(
        PTO2Error(
          .protocolViolation,
          "the scheduler says that it has failed, and its error block is empty. The segment was overwritten"
        ))
    }
    throw PTO2Error(.invalidArgs, "the run is over: nothing can be submitted any more")
  }

  /// The same for a run that is given up: its own error counts no more.
  func checkSession() throws(PTO2Error) {
    if hasFailed { try throwFirst() }
  }

  /// The earliest error of the run, the session or the scheduler.
  package var first: PTO2Error? {
    if let forkError { return forkError }
    let (run, session) = state.withLock { ($0.run, $0.session) }
    let other = scheduler.error.read()
      .map { Entry(error: $0.error, nanoseconds: $0.timeNanoseconds) }
    return [run, session, other].compactMap { $0 }
      .min { $0.nanoseconds < $1.nanoseconds }?.error
  }

  // MARK: Deaths

  /// The supervisor's: a worker has died, in words.
  package func noteDeath(core: Int, ending: String) {
    state.withLock { $0.deaths[core, default: []].append(ending) }
  }

  /// How a worker of this core ended while it ran a task, if that is known; else
  /// how its last one ended.
  func ending(core: Int, task: String) -> String? {
    state.withLock { state in
      state.deaths[core]?.last { $0.contains(task + ",") } ?? state.deaths[core]?.last
    }
  }
}
