internal import Glibc
internal import PTO2Script
internal import PTO2Segment
internal import PTO2Sight
internal import PTO2System

/// `pto2 run --record`: a program in a process of its own. This one has the program's segment
/// open, so that it can still be read when the program has ended.
struct RunRecorder {
  let words: [String]
  /// The name that they give a segment.
  private let given: String?
  /// Of the last segment that was seen, and its inode.
  private var descriptor: Int32 = -1
  private var inode: UInt = 0
  private var pid: Int32 = 0

  init(_ words: [String]) {
    self.words = words
    var given: String?
    for (index, word) in words.enumerated() {
      if word == "--segment", index + 1 < words.count { given = words[index + 1] }
      if word.hasPrefix("--segment=") { given = String(word.dropFirst(10)) }
    }
    self.given = given
  }

  /// Starts it, and waits for its end. A signal to this process is the program's, which says what
  /// becomes of it.
  /// - Returns: its status, as a shell says it.
  mutating func run() throws(SystemError) -> Int32 {
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    for number in [SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGCHLD] { unsafe sigaddset(&signals, number) }
    unsafe sigprocmask(SIG_BLOCK, &signals, nil)
    var child = try spawnProcess(words)
    pid = child.pid
    while child.isRunning() {
      look()
      // A name lives as long as its session, which may be short; the next one of a program can be
      // looked for with more ease.
      var wait = timespec(tv_sec: 0, tv_nsec: descriptor < 0 ? 1_000_000 : 20_000_000)
      var info = unsafe siginfo_t()
      let number = unsafe sigtimedwait(&signals, &info, &wait)
      // A terminal's goes to the whole group.
      if number > 0, number != SIGCHLD, unsafe info.si_code <= 0 { child.signal(number) }
    }
    return child.status ?? 1
  }

  /// A session is named after its process, unless the words say otherwise. An open descriptor
  /// keeps its memory when the name is gone. Of several sessions in turn the last counts.
  private mutating func look() {
    let own = Segment.defaultNamePrefix + "\(pid)-"
    for name in Segment.names() where name == given || name.hasPrefix(own) {
      let path = "/dev/shm/" + name
      var status = stat()
      guard unsafe stat(path, &status) == 0, UInt(status.st_ino) != inode else { continue }
      let found = unsafe open(path, O_RDONLY | O_CLOEXEC)
      guard found >= 0 else { continue }
      if descriptor >= 0 { close(descriptor) }
      (descriptor, inode) = (found, UInt(status.st_ino))
    }
  }

  /// The script of what it has run.
  /// - Throws: why there is none.
  func script() throws -> String {
    guard descriptor >= 0 else {
      throw RecordFailure(
        description:
          "no segment of \(words[0]) was seen in /dev/shm: expected a session with a name there")
    }
    let segment = try PictureReader("/proc/self/fd/\(descriptor)")
    guard segment.picture().orchestrator.process?.pid == pid else {
      throw RecordFailure(description: "segment \(given ?? "") is that of another process")
    }
    return try Transcript.text(try segment.recordedRun())
  }
}

private struct RecordFailure: Error, CustomStringConvertible { var description: String }
