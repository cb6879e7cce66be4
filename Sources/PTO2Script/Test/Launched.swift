internal import Glibc
internal import PTO2Segment
internal import PTO2System

/// A process that a test has started: in a process group of its own, its output in files.
struct Launched {
  private var child: ChildStatus
  let outputPath: String
  let errorsPath: String

  var pid: Int32 { child.pid }
  /// See `ChildStatus.status`.
  var status: Int? { child.status.map { Int($0) } }

  /// - Parameter files: where its output goes: with ".out" and ".err" behind.
  init(_ executable: String, _ arguments: [String], files: String) throws(SystemError) {
    outputPath = files + ".out"
    errorsPath = files + ".err"
    child = try spawnProcess(
      [executable] + arguments, files: (outputPath, errorsPath), isInOwnGroup: true)
  }

  /// False once it has ended.
  mutating func isRunning() -> Bool { child.isRunning() }

  func signal(_ number: Int32) { child.signal(number) }

  var output: String { readWholeFile(outputPath) ?? "" }
  var errors: String { readWholeFile(errorsPath) ?? "" }
}

/// What a session may leave: processes that carry its segment's name, and that name.
struct Remains {
  let segment: String

  /// Of processes that live.
  var processes: [(pid: Int32, name: String)] {
    numbers(in: "/proc").compactMap { pid in
      let words = commandLine(of: pid)
      guard pid != getpid(), words.contains(segment) else { return nil }
      return (pid, words.first?.split(separator: "/").last.map(String.init) ?? "?")
    }
  }

  var hasName: Bool { isAccessible("/dev/shm/" + segment) }

  /// Ends and removes all of it.
  func clear() {
    for (pid, _) in processes {
      // Between two looks the pid may be a stranger's.
      if let identity = ProcessIdentity.startTime(of: pid).map({
        ProcessIdentity(pid: pid, startTime: $0)
      }), commandLine(of: pid).contains(segment) {
        identity.send(signal: SIGKILL, through: -1)
      }
    }
    unsafe unlink("/dev/shm/" + segment)
  }
}

/// Holds a session's memory from its first moment on, so that there is something to look at
/// when its name is gone.
struct Keeper: ~Copyable {
  private var descriptor: Int32 = -1
  private let segment: String

  init(segment: String) { self.segment = segment }

  deinit { if descriptor >= 0 { close(descriptor) } }

  mutating func look() {
    guard descriptor < 0 else { return }
    descriptor = unsafe open("/dev/shm/" + segment, O_RDONLY | O_CLOEXEC)
  }

  /// A copy, with holes where nothing was written.
  /// - Returns: nil when there was no segment, or no room.
  func copy(to path: String) -> Bool {
    guard descriptor >= 0 else { return false }
    let target = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard target >= 0 else { return false }
    defer { close(target) }
    let size = lseek(descriptor, 0, SEEK_END)
    guard size > 0, ftruncate(target, size) == 0 else { return false }
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    // SEEK_DATA and SEEK_HOLE
    var at = lseek(descriptor, 0, 3)
    while at >= 0 && at < size {
      let end = lseek(descriptor, at, 4)
      while at < end {
        let count = unsafe pread(descriptor, &buffer, min(buffer.count, end - at), at)
        guard count > 0, unsafe pwrite(target, buffer, count, at) == count else { return false }
        at += count
      }
      at = lseek(descriptor, at, 3)
    }
    return true
  }
}

/// A new folder for a test's files.
func makeFolder() throws(SystemError) -> String {
  var template = Array("/tmp/pto2-test-XXXXXX".utf8CString)
  guard unsafe mkdtemp(&template) != nil else {
    throw SystemError("mkdtemp", "/tmp", errno: errno)
  }
  return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

func removeFolder(_ path: String) {
  for name in entries(of: path) { unsafe unlink(path + "/" + name) }
  unsafe rmdir(path)
}
