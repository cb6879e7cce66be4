internal import CPTO2Linux
internal import Glibc

/// What is done when the thread that runs a program ends without coming back.
package enum ThreadGuard {
  private final class Action {
    let run: () -> Void
    init(_ run: @escaping () -> Void) { self.run = run }
  }

  /// From now on, for the calling thread; the latest counts.
  package static func begin(_ body: @escaping () -> Void) {
    // Kept when the thread ends in this way, which it does once.
    let context = unsafe Unmanaged.passRetained(Action(body)).toOpaque()
    unsafe pto2_guard_thread(
      { context in unsafe Unmanaged<Action>.fromOpaque(context!).takeRetainedValue().run() },
      context)
  }

  package static func end() {
    guard let context = unsafe pto2_guard_thread(nil, nil) else { return }
    unsafe Unmanaged<Action>.fromOpaque(context).release()
  }
}

/// What is done when this process ends by exit(3) or quick_exit(3).
package enum ExitGuard {
  nonisolated(unsafe) private static var action: ((Int32) -> Void)?

  /// From now on; the latest counts. Called once, with the status, on the thread that ends
  /// the process; not in children that user code has made with fork(2).
  package static func begin(_ body: @escaping (Int32) -> Void) {
    unsafe action = body
    pto2_guard_exit { status in unsafe ExitGuard.action?(status) }
  }

  package static func end() { pto2_guard_exit(nil) }
}
