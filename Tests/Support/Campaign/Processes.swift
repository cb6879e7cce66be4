import CPTO2Linux
import Glibc

/// A process that is signalled through a pidfd only, so never a stranger.
struct Victim: ~Copyable {
  let pid: pid_t
  let name: String
  /// Of a worker: the core it hosts.
  let core: String?
  private let descriptor: Int32

  /// - Returns: nil unless the process lives and was started for the segment.
  init?(_ pid: pid_t, segment: String) {
    let descriptor = pto2_pidfd_open(pid)
    guard descriptor >= 0 else { return nil }
    // Read while the descriptor holds the pid: if it fits, it is that process.
    let words = commandLine(pid)
    guard words.contains(segment), let path = words.first else {
      close(descriptor)
      return nil
    }
    self.pid = pid
    self.descriptor = descriptor
    name = String(path.split(separator: "/").last ?? "")
    let place = words.firstIndex(of: "--core")
    core = place.flatMap { words.indices.contains($0 + 1) ? words[$0 + 1] : nil }
  }

  deinit { close(descriptor) }

  /// False when it has ended already.
  func signal(_ number: Int32) -> Bool { pto2_pidfd_send_signal(descriptor, number) == 0 }

  /// True when it has ended, or does within so many milliseconds.
  func hasEnded(withinMilliseconds limit: Int32) -> Bool {
    var item = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&item, 1, limit) == 1
  }
}

func commandLine(_ pid: pid_t) -> [String] {
  contents("/proc/\(pid)/cmdline").split(separator: "\0").map(String.init)
}

/// Processes that one has started, by all of its threads.
func children(of pid: pid_t) -> [pid_t] {
  entries("/proc/\(pid)/task").flatMap { thread in
    contents("/proc/\(pid)/task/\(thread)/children").split(separator: " ").compactMap { pid_t($0) }
  }
}

/// Every process, but zombies, with this word on its command line.
func processes(with word: String) -> [pid_t] {
  entries("/proc").compactMap { pid_t($0) }.filter {
    $0 != getpid() && commandLine($0).contains(word)
  }
}

func openDescriptors() -> Int { entries("/proc/self/fd").count }

func isNamed(_ segment: String) -> Bool { access("/dev/shm/" + segment, F_OK) == 0 }

private func entries(_ path: String) -> [String] {
  guard let directory = opendir(path) else { return [] }
  defer { closedir(directory) }
  var names: [String] = []
  while let entry = readdir(directory) {
    let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    if name != "." && name != ".." { names.append(name) }
  }
  return names
}

func contents(_ path: String) -> String {
  let descriptor = open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { return "" }
  defer { close(descriptor) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 4096)
  while case let count = read(descriptor, &buffer, buffer.count), count > 0 {
    bytes += buffer[..<count]
  }
  return String(decoding: bytes, as: UTF8.self)
}

/// CLOCK_MONOTONIC.
func now() -> UInt64 { pto2_monotonic_nanoseconds() }

/// An orchestrator under test; its output goes to files.
final class Orchestrator {
  let pid: pid_t
  private let files: (out: String, err: String)
  private(set) var status: Int32?

  static let directory: String = {
    var template = [CChar]("/tmp/pto2-campaign-XXXXXX".utf8CString)
    precondition(mkdtemp(&template) != nil, "cannot make a directory in /tmp")
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }()

  /// Directory of this executable, with its slash.
  static let binaries: String = {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let length = readlink("/proc/self/exe", &buffer, buffer.count)
    let path = String(decoding: buffer[..<max(0, length)], as: UTF8.self)
    return String(path[...(path.lastIndex(of: "/") ?? path.startIndex)])
  }()

  init(_ executable: String, _ arguments: [String]) {
    files = (Self.directory + "/out", Self.directory + "/err")
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, files.out, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    posix_spawn_file_actions_addopen(&actions, 2, files.err, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    var argv = ([Self.binaries + executable] + arguments).map { strdup($0) } + [nil]
    var variables: [UnsafeMutablePointer<CChar>?] = []
    var entry = environ
    while let text = entry.pointee {
      if strncmp(text, "PTO2_", 5) != 0 && strncmp(text, "SWIFT_BACKTRACE=", 16) != 0 {
        variables.append(strdup(text))
      }
      entry += 1
    }
    variables += [strdup("SWIFT_BACKTRACE=enable=no"), nil]
    var pid: pid_t = 0
    let status = posix_spawn(&pid, argv[0]!, &actions, nil, &argv, &variables)
    precondition(status == 0, "cannot start \(executable): \(String(cString: strerror(status)))")
    posix_spawn_file_actions_destroy(&actions)
    for pointer in argv + variables { free(pointer) }
    self.pid = pid
  }

  var output: String { contents(files.out) }
  var errors: String { contents(files.err) }

  /// A child that is not collected keeps its pid.
  func signal(_ number: Int32) { if status == nil { kill(pid, number) } }

  /// Exit status, or 128 + signal, once it has ended.
  func poll() -> Int32? {
    var value: Int32 = 0
    if status == nil, waitpid(pid, &value, WNOHANG) == pid {
      status = value & 0x7F == 0 ? value >> 8 & 0xFF : 128 + value & 0x7F
    }
    return status
  }

  /// - Returns: nil when it has not ended within so many seconds.
  func wait(seconds: Int) -> Int32? {
    let deadline = now() + UInt64(seconds) * 1_000_000_000
    while poll() == nil {
      if now() > deadline { return nil }
      usleep(300)
    }
    return status
  }
}
