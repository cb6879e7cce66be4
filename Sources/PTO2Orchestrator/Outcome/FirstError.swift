internal import CPTO2Segment
package import PTO2Protocol
internal import PTO2System
internal import Synchronization

/// The first error of a run on the orchestrator's side, and the word that tells
/// every process of it. The program's thread and the supervisor's raise errors;
/// the first one is kept.
@safe package final class FirstError: Sendable {
  // The pointers lead to words that this process alone writes; `claimed` lets
  // one thread write the error block, once.
  nonisolated(unsafe) private let words: UnsafeMutableRawPointer
  private let claimed = Atomic<Bool>(false)

  nonisolated(unsafe) private let scheduler: UnsafeRawPointer
  /// By core, how its workers ended, newest last.
  private let deaths = Mutex<[Int: [String]]>([:])

  package init(words: UnsafeMutableRawPointer, scheduler: UnsafeRawPointer) {
    unsafe self.words = words
    unsafe self.scheduler = scheduler
  }

  private var schedulerControl: SharedWord {
    unsafe SharedWord(scheduler + Int(PTO2_SCHED_CONTROL))
  }

  private var control: OwnedWord { unsafe OwnedWord(words + Int(PTO2_ORCH_CONTROL)) }

  /// The supervisor's: a worker has died, in words.
  package func noteDeath(core: Int, ending: String) {
    deaths.withLock { $0[core, default: []].append(ending) }
  }

  /// How a worker of this core ended while it ran a task, if that is known; else
  /// how its last one ended.
  func ending(core: Int, task: String) -> String? {
    deaths.withLock { deaths in
      deaths[core]?.last { $0.contains(task + ",") } ?? deaths[core]?.last
    }
  }

  /// Publishes an error unless there is one already, and returns the first.
  @discardableResult
  package func raise(_ error: PTO2Error) -> PTO2Error {
    let isFirst = claimed.compareExchange(
      expected: false, desired: true, ordering: .acquiringAndReleasing
    ).exchanged
    if isFirst {
      unsafe ErrorBlock.write(error, to: words + Int(PTO2_ORCH_ERROR))
      control.storeRelease(PTO2_CONTROL_FATAL)
      Futex.wake(control.shared)
      return error
    }
    return first ?? error
  }

  /// The error raised in this process, once its block is complete.
  package var first: PTO2Error? {
    unsafe ErrorBlock(words + Int(PTO2_ORCH_ERROR)).read()?.error
  }

  /// True once the orchestrator's or the scheduler's side has raised an error.
  package var hasFailed: Bool {
    control.loadOwn() == PTO2_CONTROL_FATAL
      || schedulerControl.loadRelaxed() == PTO2_SCHED_FATAL
  }

  /// The program is over and everything is CONSUMED: everybody may leave.
  package func finish() {
    guard !claimed.load(ordering: .acquiring) else { return }
    control.storeRelease(PTO2_CONTROL_DONE)
    Futex.wake(control.shared)
  }

  /// Throws the first error of either side, by time.
  @inline(__always)
  package func check() throws(PTO2Error) {
    if control.loadOwn() == PTO2_CONTROL_RUNNING
      && schedulerControl.loadRelaxed() != PTO2_SCHED_FATAL
    {
      return
    }
    // Acquire: the scheduler's error block was complete before.
    let hasSchedulerFailed = schedulerControl.loadAcquire() == PTO2_SCHED_FATAL
    if let error = firstOfBoth { throw error }
    if control.loadOwn() == PTO2_CONTROL_DONE {
      throw PTO2Error(.invalidArgs, "the run is over: nothing can be submitted any more")
    }
    if hasSchedulerFailed {
      throw raise(
        PTO2Error(
          .protocolViolation,
          "the scheduler says that it has failed, and its error block is empty. The segment was overwritten"
        ))
    }
  }

  /// The earlier one of the orchestrator's and the scheduler's error.
  package var firstOfBoth: PTO2Error? {
    let own = unsafe ErrorBlock(words + Int(PTO2_ORCH_ERROR)).read()
    let other = unsafe ErrorBlock(scheduler + Int(PTO2_SCHED_ERROR)).read()
    guard let own else { return other?.error }
    guard let other else { return own.error }
    return own.timeNanoseconds <= other.timeNanoseconds ? own.error : other.error
  }
}
