internal import Glibc

/// A thread of this process.
package struct SpawnedThread: Sendable {
  fileprivate let id: pthread_t

  /// Waits for its end; once, and not after `detach`.
  package func join() { pthread_join(id, nil) }

  /// Nobody waits for its end.
  package func detach() { pthread_detach(id) }
}

/// Runs `body` in a thread of its own: pthread_create(3).
/// - Parameters:
///   - purpose: for the error's text.
///   - stackBytes: of its stack; nil: as usual.
package func spawnThread(
  _ purpose: String, stackBytes: Int? = nil, _ body: @escaping @Sendable () -> Void
) throws(SystemError) -> SpawnedThread {
  var id = pthread_t()
  var attributes = pthread_attr_t()
  unsafe pthread_attr_init(&attributes)
  defer { unsafe pthread_attr_destroy(&attributes) }
  if let stackBytes {
    unsafe pthread_attr_setstacksize(&attributes, stackBytes)
    unsafe pthread_attr_setguardsize(&attributes, 1 << 20)
  }
  let box = unsafe Unmanaged.passRetained(ThreadBody(body))
  let status = unsafe pthread_create(
    &id, &attributes,
    { box in
      unsafe Unmanaged<ThreadBody>.fromOpaque(box!).takeRetainedValue().run()
      return nil
    }, box.toOpaque())
  guard status == 0 else {
    unsafe box.release()
    throw SystemError("pthread_create", purpose, errno: status)
  }
  return SpawnedThread(id: id)
}

/// From now on this thread takes no CPU from one that runs, when it wakes. Where that
/// is refused all stays as it is.
package func letOthersGoFirst() {
  var parameters = sched_param(sched_priority: 0)
  // SCHED_BATCH, which Swift's Glibc does not have.
  _ = unsafe sched_setscheduler(0, 3, &parameters)
}

private final class ThreadBody: Sendable {
  let run: @Sendable () -> Void
  init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}
