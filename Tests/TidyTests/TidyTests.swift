import Glibc
import Harness
import PTO2System
import Testing

/// What a reader may rely on in every file.
@Suite struct TidyTests {
  @Test func linesHave100ColumnsAtMost() {
    #expect(Tree.code.count > 100)
    for file in Tree.code {
      // A text that people read is not broken.
      var isText = false
      for (index, line) in file.lines.enumerated() {
        if file.isOf(".swift"), line.contains("\"") {
          if line.split(separator: "\"\"\"", omittingEmptySubsequences: false).count % 2 == 0 {
            isText.toggle()
          }
        } else if line.count > 100 && !isText {
          Issue.record("\(file.path):\(index + 1): \(line.count) columns")
        }
      }
    }
  }

  @Test func filesHave600LinesAtMost() {
    for file in Tree.code {
      let count = file.lines.count
      #expect(count <= 600, "\(file.path): one concern a file")
    }
  }

  @Test func nothingIsLeftToDo() {
    let words = ["TODO", "FIXME", "XXX"].map { $0 + ":" } + ["TO" + "DO "]
    for file in Tree.code {
      for (index, line) in file.lines.enumerated() where words.contains(where: line.contains) {
        if file.path.hasSuffix("TidyTests.swift") { continue }
        Issue.record("\(file.path):\(index + 1): \(line)")
      }
    }
  }

  /// `swift format` with .swift-format's rules, where the toolchain has it.
  @Test func formatIsClean() {
    let swift = environment("SWIFT") ?? "swift"
    func run(_ arguments: [String]) -> Command.Result {
      Command(swift, ["format"] + arguments, isOnPath: true, workingDirectory: repositoryRoot)
        .wait()
    }
    guard run(["--version"]).status == 0 else { return print("no swift-format: nothing checked") }
    let files = Tree.code.filter { $0.isOf(".swift") }.map(\.path)
    let result = run(["lint", "--strict"] + files)
    #expect(result.status == 0, "make format: \(result.errors.prefix(2000))")
  }

  /// A mutant that cannot be applied proves nothing.
  @Test func mutantsApply() throws {
    let patches = entries(of: repositoryRoot + "Verification/Mutants").filter {
      $0.hasSuffix(".patch")
    }
    #expect(patches.count > 30)
    let git = Command("git", ["--version"], isOnPath: true).wait()
    guard git.status == 0 else { return print("no git: nothing checked") }
    let page = readFile(repositoryRoot + "docs/verification.md")
    for patch in patches {
      let path = "Verification/Mutants/" + patch
      let result = Command(
        "git", ["apply", "--check", path], isOnPath: true, workingDirectory: repositoryRoot
      ).wait()
      #expect(result.status == 0, "\(path): \(result.errors)")
      let text = readFile(repositoryRoot + path)
      #expect(text.hasPrefix("wrong: ") && text.contains("\nkillers: "), "\(path)")
      // The page has a row for each, in the same words.
      let wrong = text.prefix { $0 != "\n" }.dropFirst("wrong: ".count)
      let row = "| `\(patch.dropLast(".patch".count))` | \(wrong) |"
      let hasRow = page.contains(row)
      #expect(hasRow, "docs/verification.md: \(row)")
    }
  }
}
