internal import CPTO2Linux
internal import Glibc

/// A process that is watched, through a pidfd: readable once every thread of it is gone.
/// Owns it.
///
/// That there is no pidfd (no more descriptors, a seccomp profile, an old kernel) says
/// nothing of the process: then its pid and its start time are looked at.
package struct ProcessHandle: ~Copyable {
  /// -1 without a pidfd.
  package let descriptor: Int32
  private let identity: ProcessIdentity

  /// pidfd_open(2), then a check that the pid still is that process. Nil when
  /// the process is gone.
  package init?(_ identity: ProcessIdentity) {
    self.identity = identity
    descriptor = max(-1, pto2_pidfd_open(identity.pid))
    if identity.isGone { return nil }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// A descriptor of its own for the caller, who closes it; nil when there is none.
  fileprivate func duplicate() -> Int32? {
    let copy = descriptor < 0 ? -1 : fcntl(descriptor, F_DUPFD_CLOEXEC, 3)
    return copy >= 0 ? copy : nil
  }

  /// True when the process has ended (a zombie counts as ended).
  package func hasEnded() -> Bool {
    Self.isReadable(descriptor, milliseconds: 0) ?? identity.isGone
  }

  /// Waits until it has.
  package func waitUntilEnded() {
    while true {
      if let hasEnded = Self.isReadable(descriptor, milliseconds: 1000) {
        if hasEnded { return }
      } else {
        if identity.isGone { return }
        sleepNanoseconds(20_000_000)
      }
    }
  }

  /// Nil when that is no open descriptor (any more).
  static func isReadable(_ descriptor: Int32, milliseconds: Int32) -> Bool? {
    guard descriptor >= 0 else { return nil }
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    guard unsafe poll(&entry, 1, milliseconds) == 1 else { return false }
    return Int32(entry.revents) & POLLNVAL != 0 ? nil : true
  }

  /// Never reaches a stranger that got the pid later.
  package func send(signal: Int32) { identity.send(signal: signal, through: descriptor) }
}

extension ProcessIdentity {
  /// pidfd_send_signal(2), or kill(2) where that is refused.
  package func send(signal: Int32, through descriptor: Int32) {
    if descriptor >= 0 {
      let status = pto2_pidfd_send_signal(descriptor, signal)
      if status == 0 || status == -ESRCH { return }
    }
    if !isGone { kill(pid, signal) }
  }
}

/// Processes, each in a place of its own, looked at with one system call; those without a
/// pidfd one by one.
package struct ProcessSet {
  private enum Place {
    case empty
    case gone
    case watched(ProcessIdentity)
  }

  /// pidfds by place; -1, which poll(2) passes over, where there is none.
  private var entries: [pollfd]
  private var places: [Place]

  package init(count: Int) {
    entries = Array(repeating: pollfd(fd: -1, events: Int16(POLLIN), revents: 0), count: count)
    places = Array(repeating: .empty, count: count)
  }

  package func isWatched(_ place: Int) -> Bool {
    if case .empty = places[place] { false } else { true }
  }

  package mutating func watch(_ place: Int, _ identity: ProcessIdentity) {
    if let handle = ProcessHandle(identity) {
      entries[place].fd = handle.duplicate() ?? -1
      places[place] = .watched(identity)
    } else {
      // Gone before it could be watched.
      places[place] = .gone
    }
  }

  /// Calls the closure with every place whose process has ended, once.
  package mutating func takeEnded(_ body: (Int) -> Void) {
    let isAny = unsafe poll(&entries, nfds_t(entries.count), 0) > 0
    for place in places.indices {
      switch places[place] {
      case .empty: continue
      case .gone: break
      case .watched(let identity):
        let events = isAny ? Int32(entries[place].revents) : 0
        let hasEnded =
          entries[place].fd < 0 || events & POLLNVAL != 0 ? identity.isGone : events != 0
        if !hasEnded { continue }
      }
      if entries[place].fd >= 0 { close(entries[place].fd) }
      entries[place] = pollfd(fd: -1, events: Int16(POLLIN), revents: 0)
      places[place] = .empty
      body(place)
    }
  }

  /// SIGKILL.
  package func kill(_ place: Int) {
    if case .watched(let identity) = places[place] {
      identity.send(signal: SIGKILL, through: entries[place].fd)
    }
  }
}
