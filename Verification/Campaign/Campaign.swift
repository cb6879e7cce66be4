import Harness
import PTO2
import PTO2CommandLine
import PTO2System

/// Kills processes of sessions at random and looks at what is left.
@main
struct Campaign: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pto2-campaign",
    abstract: "Kills processes of real sessions at random and checks what becomes of them.",
    subcommands: [RunCommand.self, ProgramCommand.self], defaultSubcommand: RunCommand.self)
}

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Kills processes of real sessions at random and checks what becomes of them.",
    discussion: """
      Sessions of six kinds of graphs, each with its own result to compare with, until so many
      kills have reached a worker, a scheduler or an orchestrator. A violation is one line, with
      the command that runs its session again. Exit status: 0; 1 after a violation; 3 when fewer
      kills were done than asked for, or none cost an attempt.

      Examples:
        pto2-campaign --kills 500
        pto2-campaign --seed 7 --session 12 --repeat 50
        pto2-campaign --bounds
        pto2-campaign --ranks 2 --kills 300     (programs on several ranks, under mpirun)
      """)

  @Option(help: "Signals that end a process of a session.")
  var kills = 10_000

  @Option(help: "What sessions are made of (default: from the clock).")
  var seed: UInt64?

  @Option(help: "Only this session of the seed.")
  var session: Int?

  @Option(help: "How often, with --session.")
  var `repeat` = 1

  @Option(help: "Sessions at most (default: what so many kills should need).")
  var sessions: Int?

  @Flag(help: "Have each session compare with a wrong result: all must fail.")
  var sabotage = false

  @Flag(help: "Measure how long recovery takes, 200 kills a row or what --kills says.")
  var bounds = false

  @Option(
    help: ArgumentHelp(
      "Instead: programs on so many ranks under mpirun, of which each loses one process.",
      valueName: "2-8"))
  var ranks: Int?

  @Flag(help: "One JSON object on standard output.")
  var json = false

  @Flag(help: "A line for each session.")
  var verbose = false

  func validate() throws {
    guard kills > 0, `repeat` > 0, sessions ?? 1 > 0, session ?? 0 >= 0 else {
      throw ValidationError("--kills, --sessions and --repeat: expected numbers above 0")
    }
    if let ranks {
      guard (2...8).contains(ranks) else {
        throw ValidationError("--ranks \(ranks): expected 2 to 8")
      }
      if bounds || sabotage || session != nil || sessions != nil {
        throw ValidationError("--ranks goes with --kills, --seed, --json and --verbose alone")
      }
    }
  }

  private static let notExercised: Int32 = 3

  func run() throws {
    let seed = seed ?? MonotonicClock.now() & 0xFFFF_FFFF
    if bounds { return try measure(seed) }
    if let ranks { return try killRanks(ranks, seed) }
    if !json { writeOutput("seed \(seed)\n") }
    let begin = MonotonicClock.now()
    var summary = Summary()
    var status = StatusLine()
    var number = session ?? 0
    var isOver = false
    // Each session has two kills or more, but for those that are over before.
    let limit = session == nil ? sessions ?? 20 + 2 * kills : `repeat`
    var count = 0
    while count < limit, !isOver {
      let result = SessionRunner.run(SessionPlan(seed: seed, number: number, isSabotaged: sabotage))
      summary.add(result)
      for violation in result.violations {
        status.clear()
        report(
          "violation: \(result.shape.rawValue), session \(number): \(violation); replay: \(CommandLine.arguments[0]) --seed \(seed) --session \(number) --repeat 20"
        )
      }
      if verbose {
        status.clear()
        describe(number, result)
      }
      status.show("\(summary.kills) of \(kills) kills, \(summary.total.violations) violations ")
      if session == nil {
        number += 1
        isOver = summary.kills >= kills
      }
      count += 1
    }
    status.clear()
    let isExercised =
      session != nil || (summary.kills >= kills && (kills < 20 || summary.total.lost > 0))
    let seconds = Double(MonotonicClock.now() - begin) / 1e9
    if json {
      writeOutput(summary.json(seed: seed, seconds: seconds, exercised: isExercised))
    } else {
      writeOutput(summary.table())
      writeOutput("\(summary.kills) kills in \(Int(seconds.rounded())) s\n")
    }
    if summary.total.violations > 0 { throw ExitCode(1) }
    if !isExercised {
      report(
        "not exercised: \(summary.kills) of \(kills) kills, \(summary.total.lost) attempts lost")
      throw ExitCode(Self.notExercised)
    }
  }

  private func measure(_ seed: UInt64) throws {
    var bounds = Bounds(kills: CommandLine.arguments.contains("--kills") ? kills : 200, seed: seed)
    do {
      let rows = try bounds.run()
      writeOutput(json ? Bounds.json(rows) : Bounds.table(rows))
    } catch let error as Bounds.NotExercised {
      report("not exercised: \(error)")
      throw ExitCode(Self.notExercised)
    }
  }

  private func killRanks(_ ranks: Int, _ seed: UInt64) throws {
    guard Mpirun.isThere else {
      report("not exercised: no mpirun, or no libpto2-link-mpi.so (make setup-mpi link)")
      throw ExitCode(Self.notExercised)
    }
    if !json { writeOutput("seed \(seed)\n") }
    var campaign = RankKills(ranks: ranks, seed: seed)
    var status = StatusLine()
    while campaign.kills < kills, campaign.sessions < 20 + 3 * kills {
      let line = campaign.runSession()
      status.clear()
      if let violation = line.violation { report("violation: \(violation)") }
      if verbose { report(line.text) }
      status.show("\(campaign.kills) of \(kills) kills, \(campaign.violations) violations ")
    }
    status.clear()
    writeOutput(json ? campaign.json(seed: seed) : campaign.table)
    if campaign.violations > 0 { throw ExitCode(1) }
    if campaign.kills < kills {
      report("not exercised: \(campaign.kills) of \(kills) kills")
      throw ExitCode(Self.notExercised)
    }
  }

  private func report(_ line: String) {
    if json { writeError(line) } else { writeOutput(line + "\n") }
  }

  private func describe(_ number: Int, _ result: SessionResult) {
    let kills = Role.allCases.map { "\($0.rawValue) \(result.kills[$0] ?? 0)" }
    let milliseconds = Int(result.seconds * 1000)
    report(
      "session \(number): \(result.shape.rawValue), \(milliseconds) ms, killed \(kills.joined(separator: ", ")), lost \(result.lostSubtasks)\(result.gaveUp ? ", gave up" : "")\(result.wasSwept ? ", swept" : "")"
    )
  }
}
