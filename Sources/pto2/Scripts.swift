internal import ArgumentParser
internal import Glibc
internal import PTO2CommandLine
internal import PTO2Script
internal import PTO2Sight
internal import PTO2System

/// A script with an error.
private let scriptError: Int32 = 65

private func load(_ path: String) throws -> ScriptFile {
  do throws(ScriptFile.Failure) { return try ScriptFile(path) } catch {
    writeError("pto2: error: \(error)")
    throw ExitCode(scriptError)
  }
}

private func plan(_ file: ScriptFile, seed: Int) throws -> Plan {
  do throws(ScriptFile.Failure) { return try file.plan(seed: seed) } catch {
    writeError("pto2: error: \(error)")
    throw ExitCode(scriptError)
  }
}

private func count(_ text: String) throws -> Int { Int(try readCount(text)) }

struct Test: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Runs scripts: graphs in sessions of real processes, and what must hold of them.",
    discussion: """
      A script is a file in YAML with a graph, faults, signals and expectations; docs/scripts.md \
      describes it. A folder stands for all files in it that end with .yaml. Each script has a \
      session of its own; nothing of it is left, also after its timeout, Ctrl-C or SIGTERM.

      Output is TAP, or lines for people on a terminal. Exit status: 0 when all have passed, 1 \
      when one has not, 64 for wrong usage, 65 when a script has an error, 74 when the output \
      cannot be written, 128 + n after signal n. With 65, and with 74 for a file of --junit that \
      cannot be made, none is run.

      Examples:
        pto2 test Tests/Scripts/basics
        pto2 test --jobs 2 --junit ./results.xml Tests/Scripts/basics
        pto2 test --repeat 3 --seed 7 --keep Tests/Scripts/basics/raw.yaml
        pto2 test --list Tests/Scripts
        pto2 test --json Tests/Scripts/basics/raw.yaml
      """)

  @Argument(help: "Scripts, and folders of scripts.", completion: .file(extensions: ["yaml"]))
  var paths: [String]

  @Option(
    help: ArgumentHelp("Scripts that run at a time, 1 to 64.", valueName: "n"),
    transform: count(_:))
  var jobs = 1

  @Option(
    name: .customLong("repeat"),
    help: ArgumentHelp("Runs each script so often, each time with the next seed.", valueName: "n"),
    transform: count(_:))
  var rounds = 1

  @Option(
    help: ArgumentHelp("The first seed: of random values and faults.", valueName: "n"),
    transform: count(_:))
  var seed = 1

  @Option(
    help: ArgumentHelp("Writes the results to a file, as JUnit does.", valueName: "file"),
    completion: .file())
  var junit: String?

  @Flag(help: "Copies the segment of a failure to NAME.segment here, for the other commands.")
  var keep = false
  @Flag(help: "Lists the scripts, and runs none.") var list = false
  @Flag(help: "TAP, on a terminal too.") var tap = false
  @Flag(help: "One JSON object a run.") var json = false

  func validate() throws {
    guard (1...64).contains(jobs) else { throw ValidationError("--jobs: expected 1 to 64") }
    guard (1...1_000_000).contains(rounds) else {
      throw ValidationError("--repeat: expected 1 to 1000000")
    }
    guard !(tap && json) else { throw ValidationError("--tap and --json: one of them") }
  }

  func run() throws {
    let files = try loadAll()
    if list {
      for file in files {
        let text = file.script.description.split(separator: "\n").first ?? ""
        guard json else {
          try say("\(file.path)\(text.isEmpty ? "" : "  \(text)")")
          continue
        }
        var object = JSONObject()
        object.add("file", file.path)
        object.add("description", String(text))
        try say(object.text)
      }
      return
    }
    let resultsFile = try openResults()
    var suite = Suite(files: files, tool: try tool())
    (suite.jobs, suite.rounds, suite.seed) = (jobs, rounds, seed)
    suite.isKeeping = keep
    let isTAP = tap || (!json && isatty(STDOUT_FILENO) != 1)
    let isRepeated = rounds > 1
    if isTAP { try sayText("TAP version 14\n1..\(suite.count)\n") }
    let style = outputStyle()
    let ending = try suite.run { number, result in
      if json {
        try say(result.json.text)
      } else {
        let lines =
          isTAP
          ? result.tap(number, isRepeated: isRepeated)
          : result.lines(isRepeated: isRepeated, hasColours: style.hasColours)
        try sayText(lines.map { $0 + "\n" }.joined())
      }
    }
    try finish(ending, isTAP: isTAP, resultsFile)
  }

  /// All of them are read before one is run.
  private func loadAll() throws -> [ScriptFile] {
    var files: [ScriptFile] = []
    var hasError = false
    for path in paths {
      let found: [String]
      do throws(ScriptFile.Failure) { found = try ScriptFile.find(path) } catch {
        writeError("pto2: error: \(error)")
        throw ExitCode(64)
      }
      for path in found {
        do {
          let file = try load(path)
          _ = try plan(file, seed: seed)
          files.append(file)
        } catch { hasError = true }
      }
    }
    if hasError { throw ExitCode(scriptError) }
    return files
  }

  /// The file of --junit, before anything is run, so that no result is lost for want of it.
  private func openResults() throws -> OutputFile? {
    guard let junit else { return nil }
    do throws(SystemError) { return try OutputFile(creating: junit) } catch {
      writeError(
        "pto2: error: --junit \(error). No script was run: expected a file that can be written")
      throw ExitCode(Status.lostOutput)
    }
  }

  /// This very executable, which runs each script in a process of its own.
  private func tool() throws -> String {
    guard let path = resolvedPath("/proc/self/exe") else {
      writeError("pto2: error: /proc/self/exe cannot be read: it names the tool itself")
      throw ExitCode(1)
    }
    return path
  }

  private func finish(_ ending: Suite.Ending, isTAP: Bool, _ resultsFile: OutputFile?) throws {
    let failed = ending.results.count { !$0.hasPassed }
    if let signal = ending.signal {
      if isTAP { try say("Bail out! ended by signal \(signal)") }
      writeError("pto2: ended by signal \(signal), after \(ending.results.count) runs")
      throw ExitCode(128 + signal)
    }
    if let resultsFile {
      resultsFile.write(Array(PTO2Script.junit(ending.results, isRepeated: rounds > 1).utf8))
      if let error = resultsFile.error {
        writeError("pto2: error: --junit \(error)")
        throw ExitCode(Status.lostOutput)
      }
    }
    if !json {
      let text = "\(ending.results.count - failed) passed, \(failed) failed"
      try say(isTAP ? "# " + text : text)
    }
    if failed > 0 { throw ExitCode(1) }
  }
}

struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Runs the graph of a script, or a program, and records it.",
    discussion: """
      What the script expects is not looked at: that is `pto2 test`. Its actions are not done. \
      Every option of an orchestrator may be given; it goes before what the script says. With \
      --record, what was run is written as a script, however it has ended, as `pto2 record` \
      does; after -- stands any program with a session in /dev/shm.

      Exit status: as of every orchestrator (docs/operations.md), 65 when the script has an \
      error; 1 when the run has succeeded and cannot be recorded, 74 when the file cannot be \
      written.

      Examples:
        pto2 run Tests/Scripts/basics/raw.yaml
        pto2 run Tests/Scripts/basics/raw.yaml --clusters 2 --json
        pto2 run --record ./recorded.yaml Tests/Scripts/basics/raw.yaml
        pto2 run --record ./recorded.yaml -- pto2 run Tests/Scripts/basics/raw.yaml --quiet
      """)

  struct Arguments: ParsableArguments {
    @Argument(help: "The script.", completion: .file(extensions: ["yaml"])) var script: String?
    @Argument(
      parsing: .postTerminator,
      help: "With --record, instead of a script: a program and its arguments.")
    var program: [String] = []
    @Option(
      help: ArgumentHelp("Where a script of the run goes; it is replaced.", valueName: "file"),
      completion: .file())
    var record: String?
    @Option(
      help: ArgumentHelp("The seed of random values and faults.", valueName: "n"),
      transform: count(_:))
    var seed = 1
    @Option(help: .hidden) var results: String?
    @OptionGroup var runtime: RuntimeOptions

    func validate() throws {
      guard (script == nil) != program.isEmpty else {
        throw ValidationError("expected a script, or --record FILE -- PROGRAM")
      }
      if script == nil && record == nil {
        throw ValidationError("-- \(program[0]): a program goes with --record FILE")
      }
    }
  }

  @OptionGroup var arguments: Arguments

  func run() throws {
    if let record = arguments.record { return try run(recordedIn: record) }
    let file = try load(arguments.script ?? "")
    _ = try plan(file, seed: arguments.seed)
    let merged: Arguments
    do {
      merged = try Arguments.parse(file.script.options + CommandLine.arguments.dropFirst(2))
    } catch { Arguments.exit(withError: error) }
    try runScript(
      file, seed: merged.seed, options: merged.runtime, resultsPath: merged.results)
  }

  /// In a process of its own.
  private func run(recordedIn path: String) throws {
    var words = arguments.program
    if let script = arguments.script {
      _ = try plan(try load(script), seed: arguments.seed)
      words = [resolvedPath("/proc/self/exe") ?? CommandLine.arguments[0], "run"]
      var isValue = false
      for word in CommandLine.arguments.dropFirst(2) {
        if !isValue && word != "--record" && !word.hasPrefix("--record=") { words.append(word) }
        isValue = !isValue && word == "--record"
      }
    }
    if let error = lackOfAccess(toWrite: path) {
      writeError("pto2: error: --record \(error). Nothing was run")
      throw ExitCode(Status.lostOutput)
    }
    var recorder = RunRecorder(words)
    let status: Int32
    do throws(SystemError) { status = try recorder.run() } catch {
      writeError("pto2: error: \(error): expected a program")
      throw ExitCode(73)
    }
    let text: String
    do { text = try recorder.script() } catch {
      writeError("pto2: error: nothing was recorded: \(printable("\(error)"))")
      throw ExitCode(status == 0 ? 1 : status)
    }
    if let error = writeText(text, to: path) {
      writeError("pto2: error: --record \(error)")
      throw ExitCode(status == 0 ? Status.lostOutput : status)
    }
    if status != 0 { throw ExitCode(status) }
  }

  /// Before anything is run; what is there stays as it is.
  private func lackOfAccess(toWrite path: String) -> SystemError? {
    if isAccessible(path) {
      return unsafe access(path, W_OK) == 0 ? nil : SystemError("open", path, errno: errno)
    }
    do throws(SystemError) { _ = try OutputFile(besides: path) } catch { return error }
    return nil
  }
}

struct DrawGraph: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "graph",
    abstract: "Draws the graph of a script: its tasks, and which waits for which.",
    discussion: """
      DOT for Graphviz, in which scopes are boxes, or a plain SVG. Nothing is run: who waits for \
      whom is worked out from the script, element by element.
      Exit status: 0, 64 for wrong usage, 65 when the script has an error.

      Examples:
        pto2 graph Tests/Scripts/basics/diamond.yaml
        pto2 graph --format svg Tests/Scripts/basics/diamond.yaml
        pto2 graph --json Tests/Scripts/basics/diamond.yaml
      """)

  enum Format: String, ExpressibleByArgument, CaseIterable {
    case dot, svg
  }

  @Argument(help: "The script.", completion: .file(extensions: ["yaml"])) var script: String
  @Option(help: "Of the drawing (default: dot).") var format: Format?
  @Option(
    help: ArgumentHelp("The seed that expressions may use.", valueName: "n"), transform: count(_:))
  var seed = 1
  @Flag(help: "One JSON object: the tasks, and for each the numbers of those it waits for.")
  var json = false

  func validate() throws {
    guard !(json && format != nil) else {
      throw ValidationError("--json and --format: one of them, for JSON is no drawing")
    }
  }

  func run() throws {
    let plan = try plan(try load(script), seed: seed)
    guard plan.tasks.count <= 5000 else {
      throw ValidationError("\(plan.tasks.count) tasks: at most 5000 can be drawn")
    }
    let drawing = Drawing(plan)
    if json {
      try say(drawing.json.text)
    } else {
      try sayText(format == .svg ? drawing.svg : drawing.dot)
    }
  }
}
