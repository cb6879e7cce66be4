internal import ArgumentParser
internal import Harness
internal import PTO2System

/// Everything that is shown beside the tests, as one table.
@main
struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pto2-verify",
    abstract: "Models, simulation, fuzzing and random kills, as one table.",
    discussion: """
      Builds and runs each of the proofs in Verification/ and prints a line for each thing that
      they show. docs/verification.md says what each line means.

        make verify
        pto2-verify --short
        pto2-verify --only models --only campaign

      Exit status: 0 when every line holds.
      """)

  @Flag(
    help:
      "What `make test` runs: the models without their mutants, each fuzz target for 4 seconds and 500 kills; without it their mutants too, 20 seconds and 2000 kills."
  )
  var short = false

  @Option(help: "One of these alone: models, simulation, fuzzing, campaign; may be repeated.")
  var only: [Proof] = []

  @Flag(help: "A line of JSON for each line of the table.")
  var json = false

  func run() throws {
    var report = Report(isJSON: json)
    for proof in Proof.allCases where only.isEmpty || only.contains(proof) {
      proof.run(isShort: short, &report)
    }
    if !report.holds {
      writeError("pto2-verify: FAILED")
      throw ExitCode(1)
    }
  }
}

/// What is shown, line by line as it becomes known.
struct Report {
  private static let table = TextTable([
    .init("property", width: 68), .init("method", width: 10),
    .init("bounds, seeds or what is fed", width: 62), .init("how much", .right, width: 12),
    .init("of what", width: 10), .init("result"),
  ])
  private let isJSON: Bool
  private(set) var holds = true

  init(isJSON: Bool) {
    self.isJSON = isJSON
    if !isJSON { writeOutput(Self.table.header + "\n") }
  }

  /// - Parameter passes: the result is the good one.
  mutating func add(
    _ property: String, _ method: String, _ bounds: String, _ count: Int, _ unit: String,
    _ result: String, passes: Bool
  ) {
    if !passes { holds = false }
    guard isJSON else {
      return writeOutput(
        Self.table.line([property, method, bounds, "\(count)", unit, result]) + "\n")
    }
    var object = JSONObject()
    object.add("property", property)
    object.add("method", method)
    object.add("bounds", bounds)
    object.add("count", count)
    object.add("unit", unit)
    object.add("result", result)
    object.add("passes", passes)
    writeOutput(object.text + "\n")
  }

  /// A step that could not be run, or has failed beyond what its lines say.
  mutating func fail(_ message: String) {
    holds = false
    writeError(message)
  }
}
