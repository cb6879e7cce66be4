internal import ArgumentParser
internal import PTO2
internal import PTO2Image
internal import PTO2Sight
internal import PTO2System

struct Doctor: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Looks whether sessions can run here, or what is wrong with kernel images.",
    discussion: """
      Without an image: limits, /dev/shm, CPUs, what Linux lets sessions do. With images: is it \
      one, for this machine, with its table, a build id, all symbols; what do its constructors \
      do in a process that loads it, which has 10 s.
      One line a check: ok, warn (a session runs, with less speed or fewer means) or bad \
      (something will not work), and the remedy.
      Exit status: 0, 1 when a check is bad (with --strict: or a warning), 64 for wrong usage.

      Examples:
        pto2 doctor
        pto2 doctor --clusters 8
        pto2 doctor --json
        pto2 doctor ./libmine_kernels.so --strict
      """)

  @Option(help: ArgumentHelp("Clusters that are to run here, 1 to 40.", valueName: "n"))
  var clusters = 1

  @Argument(
    help: "Kernel images; without one, this machine.", completion: .file(extensions: ["so"]))
  var images: [String] = []

  @Flag(help: "A warning counts as bad for the exit status.") var strict = false
  @Flag(help: "One JSON object a line.") var json = false
  @Flag(help: .hidden) var load = false

  func validate() throws {
    guard (1...40).contains(clusters) else { throw ValidationError("--clusters: expected 1 to 40") }
  }

  func run() throws {
    if load, let image = images.first { ImageDoctor.loadAndTell(image) }
    if images.isEmpty {
      let machine = Machine.current { (try? findExecutable($0)) != nil }
      return try end(try show(machine.checks(clusters: clusters), of: nil))
    }
    var hasFailed = false
    for path in images {
      var doctor = ImageDoctor(path: path)
      let checks = doctor.look { ["/proc/self/exe", "doctor", "--load", "--", $0] }
      hasFailed = try show(checks, of: path) || hasFailed
    }
    try end(hasFailed)
  }

  private func end(_ hasFailed: Bool) throws { if hasFailed { throw ExitCode(1) } }

  /// - Returns: whether one of them is bad.
  private func show(_ checks: [Check], of image: String?) throws -> Bool {
    var table = TextTable([.init("check"), .init("state"), .init("finding")])
    for check in checks {
      if json {
        var object = check.json
        if let image { object.add("image", image) }
        try say(object.text)
      } else {
        table.add([check.name, check.state.rawValue, check.finding])
      }
    }
    if !json {
      if images.count > 1, let image { try say(image + ":") }
      try sayText(table.text)
      for check in checks {
        if let remedy = check.remedy { try say("To do for \(check.name): \(remedy)") }
      }
    }
    return checks.contains { $0.state == .bad || (strict && $0.state == .warn) }
  }
}
