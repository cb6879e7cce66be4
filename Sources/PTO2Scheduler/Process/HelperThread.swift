internal import Glibc
internal import PTO2System

/// A scheduler thread beside the first one.
final class HelperThread<S: Sharing>: @unchecked Sendable {
  // Sendable: only its own thread uses the scheduler, until it is joined.
  private var scheduler: SchedulerThread<S>
  private var thread: pthread_t?

  init(_ shared: SchedulerState, index: Int) {
    scheduler = SchedulerThread(shared, index: index)
  }

  /// False when the system has no thread left.
  func start() -> Bool {
    var thread = pthread_t()
    let context = unsafe Unmanaged.passRetained(ThreadBody { self.run() })
    let status = unsafe pthread_create(
      &thread, nil,
      { context in
        unsafe Unmanaged<ThreadBody>.fromOpaque(context!).takeRetainedValue().run()
        return nil
      }, context.toOpaque())
    guard status == 0 else {
      unsafe context.release()
      return false
    }
    self.thread = thread
    return true
  }

  func run() {
    var backoff = Backoff()
    var courtesy = Courtesy()
    while !scheduler.isStopping {
      if scheduler.step() > 0 {
        backoff.reset()
        courtesy.offer()
      } else if scheduler.hasFailed || scheduler.request == .abort {
        // The first thread ends the session.
        return
      } else if backoff.next() {
        scheduler.park(timeoutNanoseconds: SchedulerTimes.checkNanoseconds)
      }
    }
  }

  /// Waits for its end.
  func join() -> SchedulerCounters {
    if let thread { pthread_join(thread, nil) }
    return scheduler.collectCounters()
  }
}

/// A thread's body, which pthread_create(3) can carry.
private final class ThreadBody: Sendable {
  let run: @Sendable () -> Void
  init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}
