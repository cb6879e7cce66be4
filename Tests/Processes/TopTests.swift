import Glibc
import Harness
import PTO2System
import Testing

/// `pto2 top` on a terminal of the test's own.
private final class PseudoTerminal {
  let master: Int32
  private(set) var pid: pid_t = 0
  private var text: [UInt8] = []

  init?(_ arguments: [String], columns: UInt16, rows: UInt16) {
    // posix_openpt(3) and its kin; Swift's Glibc has none of them.
    let (unlock, number): (UInt, UInt) = (0x4004_5431, 0x8004_5430)
    master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)
    var (off, index): (Int32, Int32) = (0, -1)
    guard master >= 0, ioctl(master, unlock, &off) == 0, ioctl(master, number, &index) == 0 else {
      return nil
    }
    let name = "/dev/pts/\(index)"
    resize(columns: columns, rows: rows)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    // The first terminal that a leader of a session opens is its own.
    posix_spawn_file_actions_addopen(&actions, 0, name, O_RDWR, 0)
    posix_spawn_file_actions_adddup2(&actions, 0, 1)
    posix_spawn_file_actions_adddup2(&actions, 0, 2)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var all = sigset_t()
    sigfillset(&all)
    posix_spawnattr_setsigdefault(&attributes, &all)
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    let setSession: Int16 = 0x80
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK) | setSession)
    let path = Command.buildDirectory + "pto2"
    let words = [path] + arguments
    var argv = words.map { strdup($0) } + [nil]
    let variables = ["LANG=C", "TERM=xterm", "SWIFT_BACKTRACE=enable=no"]
    var environment = variables.map { strdup($0) } + [nil]
    defer { for pointer in argv + environment { free(pointer) } }
    guard posix_spawn(&pid, path, &actions, &attributes, &argv, &environment) == 0 else {
      return nil
    }
  }

  deinit {
    if pid > 0 {
      kill(pid, SIGKILL)
      waitpid(pid, nil, 0)
    }
    close(master)
  }

  func resize(columns: UInt16, rows: UInt16) {
    var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
    #expect(ioctl(master, UInt(TIOCSWINSZ), &size) == 0)
  }

  func type(_ text: String) { _ = text.withCString { write(master, $0, strlen($0)) } }

  /// All that was written so far.
  var output: String {
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = read(master, &buffer, buffer.count)
      if count <= 0 { return String(decoding: text, as: UTF8.self) }
      text += buffer[..<count]
    }
  }

  func forget() {
    _ = output
    text = []
  }

  /// Waits until something is written.
  func shows(_ wanted: String) -> Bool {
    let deadline = Deadline(afterMilliseconds: 60_000)
    while !output.contains(wanted) {
      if deadline.hasPassed { return false }
      usleep(2000)
    }
    return true
  }

  /// As waitpid(2) says it.
  func end() -> Int32? {
    let deadline = Deadline(afterMilliseconds: 60_000)
    var status: Int32 = 0
    while waitpid(pid, &status, WNOHANG) == 0 {
      _ = output
      if deadline.hasPassed { return nil }
      usleep(2000)
    }
    pid = 0
    return status
  }

  /// The terminal takes lines and shows what is typed.
  var isAsEver: Bool {
    var settings = termios()
    return tcgetattr(master, &settings) == 0
      && settings.c_lflag & tcflag_t(ICANON | ECHO) == tcflag_t(ICANON | ECHO)
  }
}

@Suite(.serialized, .elsewhereToo) struct TopTests {
  private func session(_ scene: String, _ segment: String) -> Command {
    Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libStuckProgram.so", "--quiet", "--segment", segment,
        "--", scene,
      ])
  }

  private func end(_ command: Command, _ segment: String) {
    command.signal(SIGINT)
    usleep(20_000)
    command.signal(SIGINT)
    _ = command.wait()
    expectClean(segment)
  }

  private static let goodbye = "\u{1B}[?25h\u{1B}[?1049l"

  @Test func terminalIsDrawnResizedAndGivenBack() throws {
    let segment = freshSegment("top")
    let command = session("one", segment)
    try #require(command.waitUntil { isNamed(segment) })
    let terminal = try #require(
      PseudoTerminal(["top", "-d", "0.1", segment], columns: 80, rows: 24))
    #expect(terminal.shows("q quits"))
    #expect(terminal.shows("c_sleep"))
    #expect(terminal.shows("stands still"), "a kernel sleeps, and nothing moves")
    let output = terminal.output
    #expect(output.contains("\u{1B}[?1049h\u{1B}[?25l") && output.contains(segment))
    #expect(!terminal.isAsEver, "not exercised")
    let isASCII = output.allSatisfy { $0.isASCII }
    #expect(isASCII, "the locale is C")
    terminal.forget()
    terminal.resize(columns: 40, rows: 10)
    #expect(terminal.shows("MAIN"), "the narrow screen has other titles")
    terminal.forget()
    terminal.type("q")
    #expect(terminal.end() == 0)
    #expect(terminal.output.hasSuffix(Self.goodbye), "\(terminal.output.suffix(80))")
    #expect(terminal.isAsEver)
    end(command, segment)
  }

  @Test(arguments: [SIGTERM, SIGINT])
  func signalGivesTheTerminalBack(signal: Int32) throws {
    let segment = freshSegment("top-\(signal)")
    let command = session("one", segment)
    try #require(command.waitUntil { isNamed(segment) })
    let terminal = try #require(
      PseudoTerminal(["top", "-d", "0.1", segment], columns: 80, rows: 24))
    #expect(terminal.shows("q quits"))
    if signal == SIGINT { terminal.type("\u{3}") } else { kill(terminal.pid, signal) }
    #expect(terminal.end() == signal, "it ends by the signal")
    #expect(terminal.output.hasSuffix(Self.goodbye))
    #expect(terminal.isAsEver)
    end(command, segment)
  }

  @Test func endOfTheSessionEndsTop() throws {
    let segment = freshSegment("top-end")
    let command = session("one", segment)
    try #require(command.waitUntil { isNamed(segment) })
    let terminal = try #require(
      PseudoTerminal(["top", "-d", "0.1", segment], columns: 80, rows: 24))
    #expect(terminal.shows("q quits"))
    end(command, segment)
    #expect(terminal.end() == 0)
    #expect(terminal.output.contains("the session has ended: "))
  }

  @Test func batchCountsAndDraws() throws {
    let segment = freshSegment("top-batch")
    let command = session("spins", segment)
    let deadline = Deadline(afterMilliseconds: 60_000)
    var result: Command.Result
    repeat {
      result = Command.run("pto2", ["top", "-b", "-n", "2", "-d", "0.2", segment])
    } while !result.output.contains("c_mix") && !deadline.hasPassed
    #expect(result.status == 0)
    #expect(result.output.split(separator: "\n").count { $0.hasPrefix("pto2 top") } == 2)
    #expect(!result.output.contains("\u{1B}"))
    let row = result.output.split(separator: "\n").last { $0.contains("c_mix") }
    #expect(row?.contains("100%") == true && row?.contains(" s") == true, "\(row ?? "")")
    let json = Command.run("pto2", ["top", "-b", "--json", "-d", "0.1", segment])
    #expect(json.output.contains("\"busy\":1.0"), "\(json.output)")
    #expect(Command.run("pto2", ["top", segment]).status == 74, "no terminal")
    end(command, segment)
  }
}
