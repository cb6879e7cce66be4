internal import CPTO2Linux
internal import Glibc

/// What is done when the thread that runs a program ends without coming back. One program
/// may run inside another.
package enum ThreadGuard {
  @safe private final class Action {
    let body: () -> Void
    /// Of the program around it.
    var outer: UnsafeMutableRawPointer?
    init(_ body: @escaping () -> Void) { self.body = body }

    func run() {
      body()
      if let outer = unsafe outer { unsafe Action.taken(outer).run() }
    }

    static func taken(_ context: UnsafeMutableRawPointer) -> Action {
      unsafe Unmanaged<Action>.fromOpaque(context).takeRetainedValue()
    }
  }

  /// Kept by the thread; returns what it has kept until now.
  private static func keep(_ context: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
    unsafe pto2_guard_thread({ context in unsafe Action.taken(context!).run() }, context)
  }

  /// From now on, for the calling thread, until `end`.
  package static func begin(_ body: @escaping () -> Void) {
    let action = Action(body)
    unsafe action.outer = keep(Unmanaged.passRetained(action).toOpaque())
  }

  package static func end() {
    guard let context = unsafe pto2_guard_thread(nil, nil) else { return }
    if let outer = unsafe Action.taken(context).outer { _ = unsafe keep(outer) }
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

/// What is done when this process is about to die of a fault after the file of an object that
/// it has loaded (`LoadedImage`) was written to.
package enum ObjectGuard {
  nonisolated(unsafe) private static var action: ((String, Int32?) -> Void)?

  /// From now on, for good; the latest counts. Called in the thread that has faulted, in its
  /// signal handler, with what has happened in words, and with what the process was about to
  /// end with when it came to exit(3); ends the process.
  package static func begin(_ body: @escaping (_ text: String, _ exitStatus: Int32?) -> Void) {
    unsafe action = body
    unsafe pto2_guard_objects { changed in
      guard let changed = unsafe changed?.pointee else { return }
      let status = unsafe changed.exit_status
      unsafe ObjectGuard.action?(ObjectGuard.text(changed), status < 0 ? nil : status)
    }
  }

  private static func text(_ changed: pto2_changed_object) -> String {
    let path = unsafe String(cString: changed.path)
    let (then, now, signal) = unsafe (changed.bytes_then, changed.bytes_now, changed.signal)
    let what = then == now ? "is not what was loaded" : "had \(then) bytes, and has \(now)"
    return
      "\(path) was written to while it was in use: it \(what) (\(signalName(signal))). Make a new file, and give it the name"
  }
}
