import Glibc
import PTO2System

/// A process that is looked at: started with posix_spawn, output in files, killed by a
/// watchdog when it does not end. Nobody else's PTO2_ variables reach it.
package final class Command {
  package let pid: pid_t
  private let directory: String
  private(set) package var status: Int32?

  package struct Result {
    /// Exit status, or 128 + signal as a shell says it.
    package var status: Int32
    package var output: String
    package var errors: String
    /// Lines on standard error.
    package var messages: [Substring] { errors.split(separator: "\n") }
  }

  /// How long a process may take before it counts as hung: no measure of anything, on a
  /// machine that has ten times as much to do as it can.
  package static let watchdogSeconds = 300

  /// In `surroundings`, as pto2-surroundings makes them; an executable of ours also in those
  /// of the variable PTO2_TEST_SURROUNDINGS and of `around`, so that every test can be run in
  /// them.
  /// - Parameter name: an executable beside this one (of tests: in `buildDirectory`), on
  ///   the PATH with `isOnPath`, or a path with a slash.
  /// - Parameter workingDirectory: nil: this process's.
  package init(
    _ name: String, _ arguments: [String], environment: [String: String] = [:],
    isOnPath: Bool = false, workingDirectory: String? = nil, surroundings: [String] = []
  ) {
    directory = Self.temporaryDirectory()
    var words = [name.contains("/") || isOnPath ? name : Self.buildDirectory + name] + arguments
    if let workingDirectory {
      words = ["/usr/bin/env", "--chdir=" + workingDirectory] + words
    } else if isOnPath {
      words.insert("/usr/bin/env", at: 0)
    }
    // Compilers, make and shells are not what is looked at.
    let isOurs = !isOnPath && !name.contains("/")
    let settings = (isOurs ? Self.everywhere + Self.around : []) + surroundings
    if !settings.isEmpty {
      words = [Self.buildDirectory + "pto2-surroundings"] + settings + ["--"] + words
    }
    let path = words[0]
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, directory + "/out", O_WRONLY | O_CREAT, 0o600)
    posix_spawn_file_actions_addopen(&actions, 2, directory + "/err", O_WRONLY | O_CREAT, 0o600)
    var argv = words.map { strdup($0) } + [nil]
    var variables = environment
    var list: [UnsafeMutablePointer<CChar>?] = []
    var entry = environ
    while let text = entry.pointee {
      let name = String(cString: text).prefix { $0 != "=" }
      if !name.hasPrefix("PTO2_"), variables[String(name)] == nil, name != "SWIFT_BACKTRACE" {
        list.append(strdup(text))
      }
      entry += 1
    }
    variables["SWIFT_BACKTRACE"] = "enable=no"
    list += variables.map { strdup("\($0.key)=\($0.value)") }
    list.append(nil)
    defer { for pointer in argv + list { free(pointer) } }
    var pid: pid_t = 0
    // Whatever started this process: the one that is looked at begins as usual.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    var all = sigset_t()
    sigemptyset(&none)
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
    let status = posix_spawn(&pid, path, &actions, &attributes, &argv, &list)
    precondition(status == 0, "cannot start \(path): \(String(cString: strerror(status)))")
    self.pid = pid
  }

  /// A test that has given up leaves nobody running.
  deinit {
    if poll() == nil {
      signal(SIGKILL)
      while poll() == nil { usleep(1000) }
    }
    removeDirectory(directory)
  }

  /// The surroundings of our executables that the current task starts.
  @TaskLocal package static var around: [String] = []

  private static let everywhere: [String] =
    environment("PTO2_TEST_SURROUNDINGS")?.split(separator: " ").map(String.init) ?? []

  package static func run(
    _ name: String, _ arguments: [String], environment: [String: String] = [:]
  ) -> Result {
    Command(name, arguments, environment: environment).wait()
  }

  package var output: String { readFile(directory + "/out") }
  package var errors: String { readFile(directory + "/err") }

  /// A child that is not collected keeps its pid, so no stranger is signalled.
  package func signal(_ number: Int32) { if status == nil { kill(pid, number) } }

  /// False once it has ended; it is collected by `wait`.
  package var isRunning: Bool {
    if status != nil { return false }
    var info = siginfo_t()
    return waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_signo == 0
  }

  /// Its status, once it has ended.
  package func poll() -> Int32? {
    var value: Int32 = 0
    if status == nil, waitpid(pid, &value, WNOHANG) == pid {
      status = value & 0x7F == 0 ? value >> 8 & 0xFF : 128 + value & 0x7F
    }
    return status
  }

  /// - Returns: nil when it has not ended within so many seconds.
  package func end(within seconds: Int) -> Int32? {
    let deadline = Deadline(afterMilliseconds: UInt64(seconds) * 1000)
    while poll() == nil {
      if deadline.hasPassed { return nil }
      usleep(300)
    }
    return status
  }

  /// Waits for the end. A process that outlives the watchdog is killed, and its
  /// status then says 137.
  package func wait(seconds: Int = watchdogSeconds) -> Result {
    if end(within: seconds) == nil {
      signal(SIGKILL)
      while poll() == nil { usleep(1000) }
    }
    return Result(status: status!, output: output, errors: errors)
  }

  /// Waits until a condition holds while the process runs; and a little longer, for what
  /// others do with its output.
  package func waitUntil(_ condition: () -> Bool) -> Bool {
    let deadline = Deadline(afterMilliseconds: UInt64(Self.watchdogSeconds) * 1000)
    var lastDeadline: Deadline?
    while !condition() {
      if lastDeadline == nil && !isRunning { lastDeadline = Deadline(afterMilliseconds: 20_000) }
      if deadline.hasPassed || lastDeadline?.hasPassed == true { return false }
      usleep(1000)
    }
    return true
  }
}

/// A file's text; empty when it cannot be read.
package func readFile(_ path: String) -> String { readWholeFile(path) ?? "" }
