internal import ArgumentParser
internal import PTO2
internal import PTO2Sight
internal import PTO2System

struct Doctor: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Looks whether sessions can run here: limits, /dev/shm, CPUs, what Linux lets them do.",
    discussion: """
      One line a check: ok, warn (a session runs, with less speed or fewer means) or bad
      (something will not work), and the remedy.
      Exit status: 0, 1 when a check is bad, 64 for wrong usage.

      Examples:
        pto2 doctor
        pto2 doctor --clusters 8
        pto2 doctor --json
      """)

  @Option(help: ArgumentHelp("Clusters that are to run here, 1 to 40.", valueName: "n"))
  var clusters = 1

  @Flag(help: "One JSON object a line.") var json = false

  func validate() throws {
    guard (1...40).contains(clusters) else { throw ValidationError("--clusters: expected 1 to 40") }
  }

  func run() throws {
    let machine = Machine.current { (try? findExecutable($0)) != nil }
    let checks = machine.checks(clusters: clusters)
    var table = TextTable([.init("check"), .init("state"), .init("finding")])
    for check in checks {
      if json {
        try say(check.json.text)
      } else {
        table.add([check.name, check.state.rawValue, check.finding])
      }
    }
    if !json {
      try sayText(table.text)
      for check in checks {
        if let remedy = check.remedy { try say("To do for \(check.name): \(remedy)") }
      }
    }
    if checks.contains(where: { $0.state == .bad }) { throw ExitCode(1) }
  }
}
