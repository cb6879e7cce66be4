internal import Glibc
internal import PTO2System

/// The pidfds of the workers, looked at with one system call. A pidfd is
/// readable once every thread of its process is gone.
struct WorkerWatches {
  /// One per core; -1, which poll(2) passes over, while nobody is watched.
  private var entries: [pollfd]

  init(coreCount: Int) {
    entries = Array(repeating: pollfd(fd: -1, events: Int16(POLLIN), revents: 0), count: coreCount)
  }

  func isWatched(_ core: Int) -> Bool { entries[core].fd >= 0 || entries[core].revents != 0 }

  mutating func watch(_ core: Int, _ identity: ProcessIdentity) {
    if let descriptor = ProcessHandle(identity)?.duplicate() {
      entries[core] = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    } else {
      // Gone before it could be watched.
      entries[core].revents = Int16(POLLIN)
    }
  }

  /// Calls the closure with every core whose process has ended, once.
  mutating func takeEnded(_ body: (Int) -> Void) {
    let gone = entries.indices.filter { entries[$0].fd < 0 && entries[$0].revents != 0 }
    for core in gone { forget(core, body) }
    guard unsafe poll(&entries, nfds_t(entries.count), 0) > 0 else { return }
    for core in entries.indices where entries[core].revents != 0 {
      close(entries[core].fd)
      forget(core, body)
    }
  }

  /// SIGKILL, through the pidfd.
  func kill(_ core: Int) {
    if entries[core].fd >= 0 { sendSignal(SIGKILL, toProcess: entries[core].fd) }
  }

  private mutating func forget(_ core: Int, _ body: (Int) -> Void) {
    entries[core] = pollfd(fd: -1, events: Int16(POLLIN), revents: 0)
    body(core)
  }
}
