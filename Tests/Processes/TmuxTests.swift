import Glibc
import Harness
import PTO2System
import Testing

/// A shell in a terminal that tmux draws: what a person sees, and types.
private final class Tmux {
  static let isThere = access("/usr/bin/tmux", X_OK) == 0

  private let folder = Command.temporaryDirectory()
  private var socket: String { folder + "/socket" }

  init(columns: Int, rows: Int) throws {
    // Nobody's settings; a shell without a file of its own.
    let start = run([
      "-f", "/dev/null", "new-session", "-d", "-x", "\(columns)", "-y", "\(rows)",
      "-e", "PS1=$ ", "/bin/sh",
    ])
    try #require(start.status == 0, "\(start.errors)")
  }

  deinit {
    _ = run(["kill-server"])
    removeDirectory(folder)
  }

  @discardableResult
  func run(_ words: [String]) -> Command.Result {
    Command.run("/usr/bin/tmux", ["-u", "-S", socket] + words)
  }

  func type(_ text: String, enter: Bool = true) {
    run(["send-keys", "-l", text])
    if enter { run(["send-keys", "Enter"]) }
  }

  /// The lines on the screen.
  var screen: [Substring] {
    run(["capture-pane", "-p"]).output.split(separator: "\n", omittingEmptySubsequences: false)
      .dropLast()
  }

  func ask(_ format: String) -> String {
    String(run(["display-message", "-p", format]).output.dropLast())
  }

  /// Waits until all of it is on the screen at once.
  func shows(_ words: [String]) -> Bool {
    let deadline = Deadline(afterMilliseconds: 60_000)
    while true {
      let text = screen.joined(separator: "\n")
      if words.allSatisfy(text.contains) { return true }
      if deadline.hasPassed {
        Issue.record("not on the screen: \(words)\n\(text)")
        return false
      }
      usleep(20_000)
    }
  }
}

@Suite(.serialized, .enabled(if: Tmux.isThere, "no tmux: Scripts/setup.sh installs it"))
struct TmuxTests {
  /// `pto2 top` in a terminal of each size, then smaller; and everything is as before.
  @Test(arguments: [(80, 24), (200, 60)])
  func topIsDrawnAndGivesTheTerminalBack(columns: Int, rows: Int) throws {
    let segment = freshSegment("tmux-\(columns)")
    let command = Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libStuckProgram.so", "--quiet", "--segment", segment,
        "--clusters", "2", "--", "one",
      ])
    try #require(command.waitUntil { isNamed(segment) })
    let terminal = try Tmux(columns: columns, rows: rows)
    terminal.type("echo what was there")
    terminal.type("\(Command.buildDirectory)pto2 top -d 0.1 \(segment); echo status=$?")
    // A kernel sleeps, and nothing moves.
    #expect(
      terminal.shows([
        "pto2 top  \(segment)  stands still", "c_sleep", "q quits", "aiv3", "idle",
      ]))
    let screen = terminal.screen
    #expect(screen.count == rows && screen.allSatisfy { $0.count <= columns })
    #expect(screen.last?.contains("q quits") == true, "\(screen.last ?? "")")
    #expect(!screen.contains { $0.contains("what was there") })
    #expect(screen.contains { $0.hasPrefix("CORE ") && $0.hasSuffix("FOR") })
    #expect(terminal.ask("#{alternate_on} #{cursor_flag}") == "1 0")
    terminal.run(["resize-window", "-x", "\(columns / 2)", "-y", "\(rows / 2)"])
    #expect(terminal.shows(["q quits", "c_sleep"]))
    #expect(terminal.screen.count == rows / 2)
    terminal.run(["resize-window", "-x", "\(columns)", "-y", "\(rows)"])
    terminal.type("q", enter: false)
    #expect(terminal.shows(["what was there", "status=0"]))
    #expect(!terminal.screen.contains { $0.contains("q quits") })
    #expect(terminal.ask("#{alternate_on} #{cursor_flag}") == "0 1")
    terminal.type("stty -a | tr -d ';' | tr ' ' '\\n' | grep -xE -e '-?(icanon|echo|isig|icrnl)'")
    #expect(terminal.shows(["\nicanon", "\necho", "\nisig", "\nicrnl"]))
    #expect(!terminal.screen.contains { $0.hasPrefix("-") })
    command.signal(SIGINT)
    usleep(20_000)
    command.signal(SIGINT)
    _ = command.wait()
    expectClean(segment)
  }

  /// A session that is dead does not change: its screen is as a file in Screens/ has it, but for
  /// the numbers of its processes. With PTO2_UPDATE_DOCS=1 they are written anew.
  @Test(arguments: [(80, 24), (200, 60)])
  func deadSessionIsDrawnAsEver(columns: Int, rows: Int) throws {
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    try leaveDeadSession(at: folder + "/dead")
    let terminal = try Tmux(columns: columns, rows: rows)
    terminal.type("cd \(folder) && \(Command.buildDirectory)pto2 top ./dead; echo status=$?")
    #expect(terminal.shows(["pto2 top  ./dead  dead", "q quits"]))
    let lines = terminal.screen.map { line in
      var words = line.split(separator: " ", omittingEmptySubsequences: false).map { String($0) }
      for index in words.indices.dropFirst() where words[index - 1].hasPrefix("orchestrator") {
        words[index] = "1000,"
      }
      for index in words.indices.dropFirst() where words[index - 1] == "scheduler" {
        words[index] = "1001"
      }
      return words.joined(separator: " ")
    }
    let path = repositoryRoot + "Tests/Processes/Screens/dead-\(columns)x\(rows).txt"
    let text = lines.map { $0 + "\n" }.joined()
    if environment("PTO2_UPDATE_DOCS") == "1" {
      unlink(path)
      write(text, to: path)
    }
    #expect(readFile(path) == text, "\(path)\n\(text)")
    terminal.type("q", enter: false)
    #expect(terminal.shows(["status=0"]))
  }

  /// A copy of a session that stands still with a full heap, and whose processes were killed.
  private func leaveDeadSession(at path: String) throws {
    let segment = freshSegment("tmux-dead")
    let program = Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libStuckProgram.so", "--quiet", "--segment", segment,
        "--task-window", "8", "--consumed-window", "8", "--heap", "1024", "--no-launch", "--",
        "heap",
      ])
    // One core for both kernels.
    let others = [
      Command("pto2-scheduler", ["--segment", segment]),
      Command("pto2-worker", ["--segment", segment, "--cores", "aic0,aiv0"]),
    ]
    try #require(
      program.waitUntil {
        Command.run("pto2", ["stuck", "--seconds", "0.1", segment]).output
          .contains("kernel c_sleep on core aiv0")
      })
    let all = [program] + others
    for command in all { command.signal(SIGSTOP) }
    for command in all {
      command.signal(SIGKILL)
      _ = command.wait()
    }
    #expect(Command.run("/bin/cp", ["--sparse=always", "/dev/shm/" + segment, path]).status == 0)
    #expect(Command.run("pto2", ["reap", segment]).status == 0)
    expectClean(segment)
  }
}
