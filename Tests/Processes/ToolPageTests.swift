import Glibc
import Harness
import PTO2System
import Testing

/// Every command that docs/tools.md and the tool's own help show is run as it stands there, on
/// a session that stands still.
@Suite(.serialized) struct ToolPageTests {
  private static let name = "my-session"

  private struct Example {
    var words: [String]
    var status: Int32
  }

  /// A line such as `pto2 stuck my-session   # status 1`.
  private func read(_ line: Substring) -> Example? {
    let command = line.prefix { $0 != "#" }
    let words = command.split(separator: " ").map { String($0) }
    guard words.count > 1, words[0] == "pto2" || words[0] == "cp" else { return nil }
    let status = String(line.dropFirst(command.count).filter { $0.isNumber })
    return Example(words: words, status: Int32(status) ?? 0)
  }

  private func run(_ example: Example, segment: String, folder: String) -> Command.Result {
    let words = example.words.map {
      $0 == "run.pftrace"
        ? folder + "/run.pftrace"
        : $0.replacing("./copy-of-my-session", with: folder + "/copy")
          .replacing("./copy-of-a-segment", with: folder + "/copy")
          .replacing("./results.xml", with: folder + "/results.xml")
          .replacing("./recorded.yaml", with: folder + "/recorded.yaml")
          .replacing("Tests/Scripts", with: repositoryRoot + "Tests/Scripts")
          .replacing("report.html", with: folder + "/report.html")
          .replacing(Self.name, with: segment)
    }
    let program = words[0] == "cp" ? "/bin/cp" : words[0]
    let path = Command.buildDirectory + ":" + (environment("PATH") ?? "")
    return Command.run(program, Array(words.dropFirst()), environment: ["PATH": path])
  }

  private func withSession(_ body: (String, String) throws -> Void) throws {
    let segment = freshSegment("tool-page")
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    let traced = conformance(
      ["pure", "10"], segment: segment, options: ["--trace", folder + "/run.pftrace"])
    #expect(traced.wait().status == 0)
    let command = Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libStuckProgram.so", "--quiet", "--segment", segment,
        "--task-window", "8", "--consumed-window", "8", "--heap", "1024", "--", "heap",
      ])
    try #require(
      command.waitUntil {
        Command.run("pto2", ["stuck", "--seconds", "0.1", segment]).output
          .contains("heap of ring 1")
      })
    try body(segment, folder)
    command.signal(SIGINT)
    usleep(20_000)
    command.signal(SIGINT)
    _ = command.wait()
    expectClean(segment)
  }

  private func examples(of page: String) -> [Example] {
    var isCode = false
    var examples: [Example] = []
    for line in readFile(repositoryRoot + page).split(
      separator: "\n", omittingEmptySubsequences: false)
    {
      if line.hasPrefix("```") {
        isCode = line == "```sh"
      } else if isCode {
        let example = read(line)
        #expect(example != nil, "no command: \(line)")
        if let example { examples.append(example) }
      }
    }
    return examples
  }

  private func run(_ examples: [Example], segment: String, folder: String) {
    for example in examples {
      // Without -b it wants a terminal, which TopTests give it.
      let isLive = example.words[1] == "top" && !example.words.contains("-b")
      let result = run(example, segment: segment, folder: folder)
      // One says of this machine what it is like.
      if example.words[1] == "doctor", result.status == 1 { continue }
      #expect(
        result.status == (isLive ? 74 : example.status),
        "\(example.words): \(result.output)\(result.errors)")
    }
  }

  @Test func everyCommandOfThePageRuns() throws {
    let examples = examples(of: "docs/tools.md")
    #expect(examples.count > 15)
    let commands = Set(examples.map { $0.words[1] })
    for name in [
      "stuck", "top", "inspect", "decode", "stat", "layout", "doctor", "trace", "report", "test",
      "run", "graph", "record",
    ] {
      #expect(commands.contains(name), "no example of \(name)")
    }
    try withSession { segment, folder in run(examples, segment: segment, folder: folder) }
  }

  /// docs/first.md: its script stands still as the page says, and its commands run, in order.
  @Test func tenMinutesAreAsWritten() throws {
    let page = "docs/first.md"
    let script = try #require(
      readFile(repositoryRoot + page).split(separator: "```yaml\n").last?
        .split(separator: "```").first)
    let segment = freshSegment("first")
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    write(String(script), to: folder + "/slow.yaml")
    let command = Command("pto2", ["run", folder + "/slow.yaml", "--segment", segment, "--quiet"])
    try #require(
      command.waitUntil {
        let text = Command.run("pto2", ["stuck", "--seconds", "0.1", segment]).output
        return text.contains("heap of ring 1") && text.contains("scope \"layer\"")
      }, "\(command.errors)")
    let examples = examples(of: page)
    #expect(examples.count > 12)
    run(examples, segment: segment, folder: folder)
    command.signal(SIGINT)
    usleep(20_000)
    command.signal(SIGINT)
    _ = command.wait()
    expectClean(segment)
  }

  /// Every command has help with examples, says its exit statuses, and takes what it shows.
  @Test func everyCommandHasHelpThatIsTrue() throws {
    let help = Command.run("pto2", ["--help"])
    #expect(help.status == 0)
    try withSession { segment, folder in
      #expect(
        Command.run("/bin/cp", ["--sparse=always", "/dev/shm/" + segment, folder + "/copy"]).status
          == 0)
      for name in [
        "stuck", "top", "inspect", "stat", "decode", "layout", "doctor", "trace", "report", "list",
        "reap", "test", "run", "graph", "record", "compile",
      ] {
        #expect(help.output.contains("\n  \(name) "), "\(name)")
        let text = Command.run("pto2", [name, "--help"]).output
        #expect(text.contains("--json"), "\(name)")
        #expect(name == "list" || text.contains("Exit status"), "\(name)")
        let lines = text.split(separator: "\n").filter { $0.hasPrefix("  pto2 ") }
        #expect(!lines.isEmpty, "\(name) has no example")
        // It would reap what others look at.
        if name == "reap" { continue }
        // MachineTests have several ranks.
        for line in lines where !line.contains(" --merge ") {
          let example = try #require(read(line.drop { $0 == " " }))
          let result = run(example, segment: segment, folder: folder)
          #expect(![64, 73].contains(result.status), "\(line): \(result.errors)")
        }
      }
    }
  }

  @Test func completionIsWhole() {
    for shell in ["bash", "zsh", "fish"] {
      let script = Command.run("pto2", ["--generate-completion-script", shell])
      #expect(script.status == 0 && script.output.contains("stuck"), "\(shell)")
    }
  }

  /// A reader that has seen enough is no error to speak of; nor is there a line of its own.
  @Test func closedPipeIsSilent() throws {
    try withSession { segment, _ in
      for arguments in [
        "layout", "inspect SEGMENT", "test --list Tests/Scripts/basics",
        "test --json Tests/Scripts/basics", "top -b -n 100 -d 0.01 SEGMENT",
      ] {
        let words = arguments.replacing("SEGMENT", with: segment)
          .replacing("Tests/", with: repositoryRoot + "Tests/")
        // The reader has ended before the first byte: a short text would else fit in the pipe.
        let result = Command.run(
          "/bin/bash",
          ["-c", "exec 3> >(:); wait $!; \(Command.buildDirectory)pto2 \(words) >&3; echo $? >&2"])
        #expect(result.errors == "74\n", "\(words): \(result.errors)")
      }
    }
  }

  /// What a path is that is none of what was asked for is said of the path, not of /dev/shm.
  @Test(arguments: [
    ("stuck", "./no-such-file", 73, "./no-such-file: no such file"),
    ("inspect", "/tmp", 73, "/tmp: no file"),
    ("stat", "/etc/passwd", 73, "/etc/passwd: no segment of pto2, or one of which too little"),
    ("graph", "/tmp", 65, "/tmp: is a folder: expected a script"),
    ("run", "no-such.yaml", 65, "no-such.yaml: no such file"),
  ])
  func pathsAreCalledWhatTheyAre(command: String, path: String, status: Int32, words: String) {
    let result = Command.run("pto2", [command, path])
    #expect(result.status == status && result.output.isEmpty)
    #expect(result.errors.hasPrefix("pto2: error: " + words), "\(result.errors)")
  }

  /// Nothing is coloured but a terminal, and no number is read by halves.
  @Test func wrongUsageIsSaid() {
    for arguments in [
      ["decode"], ["decode", "0x1FFFFFFFF"], ["decode", "--error", "6"],
      ["decode", "--task", "9:1"],
      ["top", "-n", "0", "x"], ["top", "--json", "x"], ["top", "-b", "--columns", "5", "x"],
      ["inspect", "x", "--task", "0:0", "--ring", "1"], ["doctor", "--clusters", "0"],
      ["test"], ["test", "--jobs", "0", "x"], ["test", "--repeat", "0", "x"], ["run"],
      ["test", "--tap", "--json", "x"], ["graph", "--format", "png", "x"],
      ["graph", "--format", "svg", "--json", "x"], ["graph", "--format", "dot", "--json", "x"],
      ["layout", "--clusters", "2", "x"], ["layout", "--rings", "1", "--json", "x"],
      ["compile"], ["compile", "x.cpp"], ["compile", "x.cpp", "--kernel", "0:x"],
      ["layout", "--task-window", "3"], ["stuck", "--seconds", "nan", "x"],
    ] {
      let result = Command.run("pto2", arguments)
      #expect(result.status == 64, "\(arguments): \(result.errors)")
      #expect(result.output.isEmpty && result.errors.hasPrefix("Error: "), "\(arguments)")
    }
  }
}
