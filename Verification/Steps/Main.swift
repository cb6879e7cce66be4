internal import ArgumentParser
internal import Glibc
internal import Harness
internal import PTO2Faults
internal import PTO2System

@main
struct StepsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pto2-steps",
    abstract: "Kills a process of a session after every single instruction.",
    discussion: """
      For each point of the protocol it runs a small program once, counts the instructions from
      one store of the point to the next, and then runs the program again for each of them: up to
      the first store at full speed, so many single steps, SIGKILL, and at full speed to the end.
      A killed worker or scheduler must cost no result; a killed orchestrator must leave nothing.

        pto2-steps --points ack,fin
        pto2-steps --limit 20 --json
        pto2-steps --point fin --hit 7 --step 137

      Exit status: 0, or 1 after a violation; each is one line with the command that runs it
      again. docs/fault-injection.md says what the points are.
      """)

  @Option(help: ArgumentHelp("Points, separated by commas (default: all).", valueName: "points"))
  var points: String?

  @Option(help: ArgumentHelp("One point, with --step.", valueName: "point"))
  var point: String?

  @Option(help: ArgumentHelp("Kill after so many instructions only.", valueName: "n"))
  var step: Int?

  @Option(
    help: ArgumentHelp("Begin at these stores of the point, such as 6,9.", valueName: "n"))
  var hit: String = "5,6,7"

  @Option(
    help: ArgumentHelp(
      "At most so many instructions of each point and store, evenly spread.", valueName: "n"))
  var limit: Int?

  @Option(help: ArgumentHelp("Rounds of the program.", valueName: "n"))
  var rounds: Int = 6

  @Option(help: ArgumentHelp("Scheduler threads.", valueName: "n"))
  var threads: Int = 1

  @Flag(help: "Expect another exit status of each run: every one must then be a violation.")
  var sabotage = false

  @Flag(help: "The table as one JSON object.")
  var json = false

  private func chosenPoints() throws -> [StepPoint] {
    guard let text = point ?? points else { return StepPoint.allCases }
    return try text.split(separator: ",", omittingEmptySubsequences: false).map { name in
      guard let point = StepPoint(rawValue: String(name)) else {
        let names = StepPoint.allCases.map(\.rawValue).joined(separator: ", ")
        throw ValidationError("point \"\(name)\": expected one of \(names)")
      }
      return point
    }
  }

  private func chosenHits() throws -> [Int] {
    try hit.split(separator: ",", omittingEmptySubsequences: false).map { text in
      guard let number = Int(text), number > 0, number <= 1_000_000 else {
        throw ValidationError("--hit \(hit): expected numbers above 0, separated by commas")
      }
      return number
    }
  }

  func validate() throws {
    _ = try chosenPoints()
    _ = try chosenHits()
    guard (point == nil) == (step == nil), point == nil || points == nil else {
      throw ValidationError("--point and --step go together, and not with --points")
    }
    guard step ?? 0 >= 0, limit ?? 1 > 0, (1...1000).contains(rounds), (1...8).contains(threads)
    else {
      throw ValidationError(
        "expected --step 0 or more, --limit 1 or more, --rounds 1 to 1000, --threads 1 to 8")
    }
  }

  func run() throws {
    var campaign = StepCampaign(self)
    for point in try chosenPoints() {
      // Only one store begins an attachment.
      for hit in point.isOnce ? [1] : try chosenHits() { campaign.run(point, hit: hit) }
    }
    campaign.status.clear()
    writeOutput(json ? campaign.json : campaign.table)
    if !campaign.hasHeld { throw ExitCode(1) }
  }
}

/// All runs, and what came of them.
struct StepCampaign {
  private struct Row {
    var point: StepPoint
    var hits = 0
    var instructions = 0
    var runs = 0
    var violations = 0
  }

  private let options: StepsCommand
  private var rows: [Row] = []
  private var number = 0
  var status = StatusLine()

  init(_ options: StepsCommand) { self.options = options }

  var hasHeld: Bool { rows.allSatisfy { $0.violations == 0 && $0.runs > 0 } }

  private func session(_ number: Int, _ point: StepPoint) -> StepRun.Session {
    let directory = Command.buildDirectory
    let segment = "test-pto2-steps-\(getpid())-\(number)"
    return StepRun.Session(
      executable: directory + "pto2-orchestrator",
      arguments: [
        "--program", directory + "libConformanceProgram.so", "--quiet", "--json", "--segment",
        segment, "--rings", "1", "--attach-timeout", "300", "--threads", "\(options.threads)",
        // As many words as there are debug registers.
        "--lanes", point == .dispatch ? "1" : "4", "--",
        "kinds",
        "\(options.rounds)",
      ], segment: segment)
  }

  /// Every instruction of one stretch, or a sample.
  mutating func run(_ point: StepPoint, hit: Int) {
    var index = rows.firstIndex { $0.point == point }
    if index == nil {
      index = rows.count
      rows.append(Row(point: point))
    }
    let row = index!
    rows[row].hits += 1

    var steps: [Int]
    if let step = options.step {
      steps = [step]
    } else {
      var measured = run(point, hit: hit, killAt: nil)
      // Of several threads another may do what would end the stretch.
      var tries = 1
      while options.threads > 1, !measured.isExercised, measured.exitStatus == 0, tries < 10 {
        measured = run(point, hit: hit, killAt: nil)
        tries += 1
      }
      guard measured.isExercised, measured.exitStatus == 0, measured.leftovers.isEmpty else {
        rows[row].runs += 1
        return violation(
          row, StepCase(point: point, hit: hit, step: 0),
          "the run without a kill: \(describe(measured))")
      }
      rows[row].instructions += measured.steps
      steps = Array(0...measured.steps)
      if let limit = options.limit ?? point.sample(of: measured.steps), limit < steps.count {
        steps = (0..<limit).map {
          limit == 1 ? measured.steps / 2 : $0 * measured.steps / (limit - 1)
        }
      }
    }
    for step in steps {
      var one = StepCase(point: point, hit: hit, step: step)
      status.show(
        "\(point.rawValue), store \(hit): instruction \(step) of \(steps.last!)")
      var outcome = run(point, hit: hit, killAt: step)
      // Of several threads a stretch has more instructions one time than another.
      while options.threads > 1, !outcome.isExercised, outcome.exitStatus == 0, one.step > 0 {
        one.step /= 2
        outcome = run(point, hit: hit, killAt: one.step)
      }
      rows[row].runs += 1
      if let fault = judge(one, outcome) { violation(row, one, fault) }
    }
  }

  private mutating func run(_ point: StepPoint, hit: Int, killAt: Int?) -> StepRun.Outcome {
    number += 1
    return StepRun(session(number, point), point: point, hit: hit).run(killAt: killAt)
  }

  /// What is wrong with a run; nil when all is as it must be.
  private func judge(_ one: StepCase, _ outcome: StepRun.Outcome) -> String? {
    guard outcome.isExercised else { return "not exercised: \(describe(outcome))" }
    guard let status = outcome.exitStatus else {
      return "the run did not end: \(describe(outcome))"
    }
    guard outcome.leftovers.isEmpty else {
      return "left behind: \(outcome.leftovers.joined(separator: ", "))"
    }
    switch one.point.victim {
    case .orchestrator:
      // Its scheduler cleans up, and says so.
      guard status == expected(128 + SIGKILL) else { return describe(outcome) }
      return outcome.errors.contains("ORCHESTRATOR_DIED") ? nil : describe(outcome)
    case .scheduler, .worker: return status == expected(0) ? nil : describe(outcome)
    }
  }

  private func expected(_ status: Int32) -> Int32 { options.sabotage ? status + 1 : status }

  private func describe(_ outcome: StepRun.Outcome) -> String {
    let status = outcome.exitStatus.map { "status \($0)" } ?? "no end"
    let message = outcome.errors.split(separator: "\n").first.map { ", \($0)" } ?? ""
    return status + message
  }

  private mutating func violation(_ row: Int, _ one: StepCase, _ what: String) {
    rows[row].violations += 1
    status.clear()
    writeError(
      "pto2-steps: \(one.point.rawValue): \(what); again: pto2-steps --point \(one.point.rawValue) --hit \(one.hit) --step \(one.step)"
        + (options.threads > 1 ? " --threads \(options.threads)" : "")
        + (options.rounds != 6 ? " --rounds \(options.rounds)" : "")
        + (options.sabotage ? " --sabotage" : ""))
  }

  // MARK: What is shown

  var table: String {
    var table = TextTable([
      .init("point"), .init("stretch"), .init("instructions", .right), .init("runs", .right),
      .init("violations", .right),
    ])
    for row in rows {
      table.add([
        row.point.rawValue, row.point.stretch, "\(row.instructions)", "\(row.runs)",
        "\(row.violations)",
      ])
    }
    return table.text
  }

  var json: String {
    var json = JSONObject()
    json.add(
      "points",
      rows.map { row in
        var object = JSONObject()
        object.add("point", row.point.rawValue)
        object.add("stores", row.hits)
        object.add("instructions", row.instructions)
        object.add("runs", row.runs)
        object.add("violations", row.violations)
        return object
      })
    json.add("runs", rows.reduce(0) { $0 + $1.runs })
    json.add("violations", rows.reduce(0) { $0 + $1.violations })
    return json.text + "\n"
  }
}
