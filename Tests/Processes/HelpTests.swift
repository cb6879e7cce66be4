import Harness
import PTO2System
import Testing

/// What the executables say of themselves.
@Suite struct HelpTests {
  static let executables = [
    "pto2", "pto2-orchestrator", "pto2-scheduler", "pto2-worker", "pto2-link", "pto2-fault",
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

  /// The version of the package, and those that the headers compare.
  @Test(arguments: executables + ["pto2 layout"])
  func versionIsSaid(name: String) throws {
    func defined(_ name: String, _ header: String) throws -> String {
      let text = readFile(repositoryRoot + "Sources/\(header)")
      let line = text.split(separator: "\n").first { $0.hasPrefix("#define \(name) ") }
      let value = try #require(line).split(separator: " ")[2]
      return value.filter { $0 != "\"" }
    }
    let version = try defined("PTO2_VERSION", "CPTO2/include/pto2.h")
    let segment = try ["MAJOR", "MINOR"].map {
      try defined("PTO2_SEGMENT_" + $0, "CPTO2Segment/include/pto2_segment.h")
    }
    let kernels = try defined("PTO2_KERNEL_MAJOR", "CPTO2/include/pto2_kernel.h")
    let programs = try defined("PTO2_PROGRAM_MAJOR", "CPTO2/include/pto2_program.h")
    let library = try defined("PTO2_SESSION_MAJOR", "CPTO2/include/pto2_session.h")
    let words = name.split(separator: " ").map { String($0) }
    let said = Command.run(words[0], words.dropFirst() + ["--version"])
    #expect(said.status == 0 && said.errors.isEmpty)
    #expect(
      said.output
        == "\(words[0]) \(version) (segment \(segment.joined(separator: ".")), kernel images \(kernels), programs \(programs), libpto2.so \(library))\n"
    )
  }

  /// Nobody has to look after it in several places.
  @Test func pythonPackageHasTheSameVersion() {
    let header = readFile(repositoryRoot + "Sources/CPTO2/include/pto2.h")
    let version =
      header.split(separator: "\n").first { $0.hasPrefix("#define PTO2_VERSION ") }?
      .split(separator: " ").last ?? "none"
    let module = readFile(repositoryRoot + "Python/pto2/__init__.py")
    #expect(module.contains("\n__version__ = \(version)\n"))
    let project = readFile(repositoryRoot + "Python/pyproject.toml")
    #expect(project.contains("\nversion = \(version)\n"))
  }
}
