import Glibc
import Testing

/// A process under test: started with posix_spawn, output in files, killed by a
/// watchdog when it does not end.
final class Command {
  let pid: pid_t
  private let directory: String
  private var status: Int32?

  struct Result {
    /// Exit status, or 128 + signal as a shell says it.
    var status: Int32
    var output: String
    var errors: String
    /// Lines on standard error.
    var messages: [Substring] { errors.split(separator: "\n") }
  }

  /// How long a process may take before it counts as hung.
  static let watchdogSeconds = 30

  /// Where the executables and shared objects under test lie, with a slash:
  /// PTO2_TEST_BIN, which `make test` sets to the release build, or the
  /// directory of the tests themselves.
  static let buildDirectory: String = {
    if let chosen = getenv("PTO2_TEST_BIN") { return String(cString: chosen) + "/" }
    // Under swiftpm-testing-helper the test bundle is an argument.
    let bundle = CommandLine.arguments.first { $0.contains("/.build/") && $0.hasSuffix(".xctest") }
    guard let bundle, let slash = bundle.lastIndex(of: "/") else { return ".build/debug/" }
    return String(bundle[...slash])
  }()

  init(_ name: String, _ arguments: [String], environment: [String: String] = [:]) {
    directory = Self.temporaryDirectory()
    let path = name.contains("/") ? name : Self.buildDirectory + name
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, directory + "/out", O_WRONLY | O_CREAT, 0o600)
    posix_spawn_file_actions_addopen(&actions, 2, directory + "/err", O_WRONLY | O_CREAT, 0o600)
    var argv = ([path] + arguments).map { strdup($0) } + [nil]
    var variables = environment
    var list: [UnsafeMutablePointer<CChar>?] = []
    var entry = environ
    while let text = entry.pointee {
      let name = String(cString: text).prefix { $0 != "=" }
      if !name.hasPrefix("PTO2_"), variables[String(name)] == nil { list.append(strdup(text)) }
      entry += 1
    }
    variables["SWIFT_BACKTRACE"] = "enable=no"
    list += variables.map { strdup("\($0.key)=\($0.value)") }
    list.append(nil)
    var pid: pid_t = 0
    let status = posix_spawn(&pid, path, &actions, nil, &argv, &list)
    precondition(status == 0, "cannot start \(path): \(String(cString: strerror(status)))")
    posix_spawn_file_actions_destroy(&actions)
    for pointer in argv + list { free(pointer) }
    self.pid = pid
  }

  static func temporaryDirectory() -> String {
    var template = [CChar]("/tmp/pto2-test-XXXXXX".utf8CString)
    precondition(mkdtemp(&template) != nil)
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  static func run(_ name: String, _ arguments: [String], environment: [String: String] = [:])
    -> Result
  {
    Command(name, arguments, environment: environment).wait()
  }

  var output: String { readFile(directory + "/out") }
  var errors: String { readFile(directory + "/err") }

  func signal(_ number: Int32) { kill(pid, number) }

  /// False once it has ended; it is collected by `wait`.
  var isRunning: Bool {
    if status != nil { return false }
    var info = siginfo_t()
    return waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_signo == 0
  }

  /// Waits for the end. A process that outlives the watchdog is killed, and its
  /// status then says 137.
  func wait() -> Result {
    let deadline = time(nil) + Self.watchdogSeconds
    while status == nil {
      var value: Int32 = 0
      if waitpid(pid, &value, WNOHANG) == pid {
        status = value & 0x7F == 0 ? value >> 8 & 0xFF : 128 + value & 0x7F
      } else {
        if time(nil) > deadline { kill(pid, SIGKILL) }
        usleep(1000)
      }
    }
    let result = Result(status: status!, output: output, errors: errors)
    unlink(directory + "/out")
    unlink(directory + "/err")
    rmdir(directory)
    return result
  }

  /// Waits until a condition holds while the process runs.
  func waitUntil(_ condition: () -> Bool) -> Bool {
    let deadline = time(nil) + Self.watchdogSeconds
    while !condition() {
      if time(nil) > deadline { return false }
      usleep(1000)
    }
    return true
  }
}

func readFile(_ path: String) -> String {
  guard let file = fopen(path, "r") else { return "" }
  defer { fclose(file) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65536)
  while case let count = fread(&buffer, 1, buffer.count, file), count > 0 {
    bytes += buffer[..<count]
  }
  return String(decoding: bytes, as: UTF8.self)
}

/// A run of a scene of ConformanceProgram, with its report in JSON and nothing else.
func conformance(_ arguments: [String], segment: String, options: [String] = []) -> Command {
  Command(
    "pto2-orchestrator",
    [
      "--program", Command.buildDirectory + "libConformanceProgram.so", "--quiet", "--json",
      "--segment", segment,
    ] + options + ["--"] + arguments)
}

/// Nothing is left of a session; processes that were fenced or started late may still
/// be on their way out.
func expectClean(_ segment: String, location: SourceLocation = #_sourceLocation) {
  let deadline = time(nil) + 20
  while Leftovers.of(segment) != .none && time(nil) < deadline { usleep(2000) }
  #expect(Leftovers.of(segment) == .none, sourceLocation: location)
}

/// False where unshare(1) grants no such namespaces: not to this user, or not in this
/// container.
func mayUnshare(_ options: [String]) -> Bool {
  Command.run("/usr/bin/unshare", options + ["true"]).status == 0
}

/// What a run may leave: names in /dev/shm and processes, by segment name.
struct Leftovers: Equatable, CustomStringConvertible {
  var segments: [String]
  var processes: [String]

  /// Everything that carries the segment's name; zombies are gone already.
  static func of(_ segment: String) -> Leftovers {
    var found = Leftovers(segments: [], processes: [])
    for name in entries("/dev/shm") where name == segment { found.segments.append(name) }
    for pid in entries("/proc") where pid.allSatisfy(\.isNumber) {
      let command = readFile("/proc/\(pid)/cmdline").split(separator: "\0")
      if command.contains(Substring(segment)) { found.processes.append("\(pid) \(command[0])") }
    }
    return found
  }

  static let none = Leftovers(segments: [], processes: [])
  var description: String { "segments \(segments), processes \(processes)" }

  private static func entries(_ path: String) -> [String] {
    guard let directory = opendir(path) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      names.append(
        withUnsafeBytes(of: entry.pointee.d_name) { bytes in
          String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        })
    }
    return names
  }
}

/// A segment name that no other test uses, and no run without a name sweeps.
func freshSegment(_ label: String) -> String { "test-pto2-\(getpid())-\(label)" }

/// Processes that were started for a segment, by executable name.
func processes(_ segment: String, named name: String) -> [pid_t] {
  Leftovers.of(segment).processes.filter { $0.hasSuffix("/" + name) }
    .compactMap { $0.split(separator: " ").first.flatMap { pid_t($0) } }
}

/// The value of a number in a run's JSON report: `"key":123`.
func number(_ key: String, in json: String) -> Double? {
  guard let range = json.firstRange(of: "\"\(key)\":") else { return nil }
  return Double(json[range.upperBound...].prefix { "0123456789.e+-".contains($0) })
}

/// All values of a key, in order.
func numbers(_ key: String, in json: String) -> [Double] {
  json.ranges(of: "\"\(key)\":").compactMap {
    Double(json[$0.upperBound...].prefix { "0123456789.e+-".contains($0) })
  }
}
