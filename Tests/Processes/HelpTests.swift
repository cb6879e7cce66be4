import Harness
import PTO2System
import Testing

/// What the executables say of themselves.
@Suite struct HelpTests {
  static let executables = [
    "pto2", "pto2-orchestrator", "pto2-scheduler", "pto2-worker", "pto2-fault",
  ]
  static let commands = [
    "list", "reap", "stuck", "top", "inspect", "stat", "decode", "layout", "doctor", "trace",
    "report", "test", "run", "graph", "record", "compile",
  ]

  /// The lines before the usage: no word stands in a line that had room in the one before (of
  /// which the last column stays free), unless a sentence begins with it.
  @Test(arguments: executables.map { [$0] } + commands.map { ["pto2", $0] })
  func helpIsWrappedAtTheEdge(words: [String]) throws {
    let help = Command.run(words[0], words.dropFirst() + ["--help"])
    #expect(help.status == 0)
    let usage = try #require(help.output.ranges(of: "\nUSAGE: ").first)
    let lines = help.output[..<usage.lowerBound]
      .split(separator: "\n", omittingEmptySubsequences: false)
    #expect(lines.count > 3)
    for (line, next) in zip(lines, lines.dropFirst()) {
      #expect(line.count <= 80, "\(line)")
      guard let word = next.split(separator: " ").first, !next.hasPrefix(" ") else { continue }
      let hasRoom = !line.isEmpty && line.count + 1 + word.count < 80
      #expect(!hasRoom || line.hasSuffix("."), "\(line)\n\(next)")
    }
  }

  /// Each form alone, as it can be typed.
  @Test(arguments: [
    (
      "layout",
      "USAGE: pto2 layout <name> [--json]\n       pto2 layout [<sizes>] [--json]\n"
    ),
    (
      "decode",
      """
      USAGE: pto2 decode [--json] <word> ...
             pto2 decode [--json] --task <id> ...
             pto2 decode [--json] --error <code> ...

      """
    ),
  ])
  func usageHasEveryForm(command: String, usage: String) {
    let help = Command.run("pto2", [command, "--help"]).output
    #expect(help.contains("\n" + usage + "\n"), "\(help)")
    let wrong = Command.run("pto2", [command, "--no-such-flag"])
    #expect(wrong.status == 64 && wrong.errors.contains("Usage: pto2 \(command) "))
  }
}
