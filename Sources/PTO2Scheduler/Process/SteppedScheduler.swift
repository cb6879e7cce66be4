package import PTO2Protocol
package import PTO2Segment

/// The scheduler's threads as calls: whoever keeps their time takes each step, one after the
/// other. So `pto2-scaling` has the real code of many threads and cores where there are few
/// CPUs.
package final class SteppedScheduler {
  private let shared: SchedulerState
  private let threads: [Calls]

  /// Of one thread. Closures: made where `S` is known, they call the code that is compiled
  /// for it.
  private struct Calls {
    var step: () -> Int
    var dispatched: () -> UInt64
    var failure: () -> PTO2Error?
    var isDrained: () -> Bool
  }

  private final class Box<S: Sharing> {
    var thread: SchedulerThread<S>
    init(_ thread: consuming SchedulerThread<S>) { self.thread = thread }
  }

  /// - Parameter segment: attached as the scheduler's, which no other process is.
  package init(_ segment: consuming Segment) {
    let shared = SchedulerState(segment)
    self.shared = shared
    let count = Int(shared.segment.configuration.schedulerThreads)
    threads =
      count == 1
      ? [Self.calls(OneThread.self, shared, 0)]
      : (0..<count).map { Self.calls(SeveralThreads.self, shared, $0) }
  }

  private static func calls<S: Sharing>(
    _: S.Type, _ shared: SchedulerState, _ index: Int
  ) -> Calls {
    let box = Box<S>(SchedulerThread(shared, index: index))
    if index == 0 { box.thread.announce(isSupervised: false) }
    return Calls(
      step: { box.thread.step() }, dispatched: { box.thread.counters.dispatched },
      failure: { box.thread.failure }, isDrained: { box.thread.isDrained() })
  }

  /// One round of a thread.
  /// - Returns: how much was done; 0 means that nothing can be done now.
  package func step(_ thread: Int) -> Int { threads[thread].step() }

  /// What a thread has dispatched so far.
  package func dispatched(_ thread: Int) -> UInt64 { threads[thread].dispatched() }

  /// Records that were read from the log, wrapping.
  package var wired: UInt32 { shared.words.logWired.value }

  /// Until the next call, threads find these try-locks taken: another one is in them. Both
  /// are tried again with every step.
  package func hold(log: Bool, dispatcher: Bool) {
    shared.words.logLock.value = log ? 1 : 0
    shared.words.dispatchLock.value = dispatcher ? 1 : 0
  }

  /// Try-locks that were found taken.
  package var lostLocks: UInt64 {
    threads.indices.reduce(0) { $0 + shared.words.lostLocks($1).value }
  }

  package var failure: PTO2Error? { threads[0].failure() }

  /// All that was submitted is CONSUMED.
  package var isDrained: Bool { threads[0].isDrained() }
}
