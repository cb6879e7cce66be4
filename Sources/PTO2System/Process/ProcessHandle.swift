internal import CPTO2Linux
internal import Glibc

/// A pidfd: readable once every thread of the process is gone. Owns it.
package struct ProcessHandle: ~Copyable {
  package let descriptor: Int32

  /// pidfd_open(2), then a check that the pid still is that process. Nil when
  /// the process is gone.
  package init?(_ identity: ProcessIdentity) {
    descriptor = pto2_pidfd_open(identity.pid)
    guard descriptor >= 0 else { return nil }
    guard ProcessIdentity.startTime(of: identity.pid) == identity.startTime else {
      close(descriptor)
      return nil
    }
  }

  deinit { close(descriptor) }

  /// A descriptor of its own for the caller, who closes it; nil when there are
  /// no more.
  func duplicate() -> Int32? {
    let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
    return copy >= 0 ? copy : nil
  }

  /// True when the process has ended (a zombie counts as ended).
  package func hasEnded() -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return unsafe poll(&entry, 1, 0) == 1
  }

  /// Waits until it has.
  package func waitUntilEnded() {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    while unsafe poll(&entry, 1, -1) != 1 {}
  }

  /// pidfd_send_signal(2): never reaches a stranger that got the pid later.
  package func send(signal: Int32) { _ = pto2_pidfd_send_signal(descriptor, signal) }
}

/// Processes, each in a place of its own, looked at with one system call.
package struct ProcessWatches {
  /// pidfds by place; -1, which poll(2) passes over, while nobody is watched.
  private var entries: [pollfd]

  package init(count: Int) {
    entries = Array(repeating: pollfd(fd: -1, events: Int16(POLLIN), revents: 0), count: count)
  }

  package func isWatched(_ place: Int) -> Bool {
    entries[place].fd >= 0 || entries[place].revents != 0
  }

  package mutating func watch(_ place: Int, _ identity: ProcessIdentity) {
    if let descriptor = ProcessHandle(identity)?.duplicate() {
      entries[place] = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    } else {
      // Gone before it could be watched.
      entries[place].revents = Int16(POLLIN)
    }
  }

  /// Calls the closure with every place whose process has ended, once.
  package mutating func takeEnded(_ body: (Int) -> Void) {
    let gone = entries.indices.filter { entries[$0].fd < 0 && entries[$0].revents != 0 }
    for place in gone { forget(place, body) }
    guard unsafe poll(&entries, nfds_t(entries.count), 0) > 0 else { return }
    for place in entries.indices where entries[place].revents != 0 {
      close(entries[place].fd)
      forget(place, body)
    }
  }

  /// SIGKILL, through the pidfd.
  package func kill(_ place: Int) {
    if entries[place].fd >= 0 { _ = pto2_pidfd_send_signal(entries[place].fd, SIGKILL) }
  }

  private mutating func forget(_ place: Int, _ body: (Int) -> Void) {
    entries[place] = pollfd(fd: -1, events: Int16(POLLIN), revents: 0)
    body(place)
  }
}
