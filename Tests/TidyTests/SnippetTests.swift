import Testing

/// The Swift code that the pages show is code that is compiled.
@Suite struct SnippetTests {
  /// Lines without their indentation.
  private func stripped(_ lines: some Sequence<Substring>) -> String {
    lines.map { $0.drop { $0 == " " } }.joined(separator: "\n")
  }

  @Test(arguments: ["README.md", "docs/programs.md"])
  func swiftBlockIsFromACompiledFile(page: String) throws {
    let sources = Tree.files
      .filter {
        $0.path.hasPrefix("Tests/Fixtures/Snippets/") || $0.path.hasPrefix("Examples/FirstSession/")
      }
      .map { stripped($0.lines) }
    #expect(sources.count >= 3)
    let file = try #require(Tree.files.first { $0.path == page })
    var block: [Substring]?
    var blocks = 0
    for line in file.lines {
      if line == "```swift" {
        block = []
      } else if line.hasPrefix("```"), let lines = block {
        block = nil
        // A manifest is the user's own.
        if lines.first?.hasPrefix("// swift-tools-version") == true { continue }
        blocks += 1
        let text = stripped(lines)
        #expect(sources.contains { $0.contains(text) }, "\(page): \(text)")
      } else {
        block?.append(line)
      }
    }
    #expect(blocks > 0)
  }

  /// Programs side by side are pieces of the examples.
  @Test func choleskyBlocksAreFromTheExamples() throws {
    let sources = Tree.files.filter {
      $0.path.hasPrefix("Examples/Cholesky/") || $0.path == "Examples/Python/cholesky.py"
    }
    .map { stripped($0.lines) }
    #expect(sources.count >= 5)
    let page = try #require(Tree.files.first { $0.path == "docs/cholesky.md" })
    var languages: Set<Substring> = []
    for block in page.text.split(separator: "\n```").map({ $0.drop { $0 == "\n" } }) {
      let language = block.prefix { $0 != "\n" }
      guard ["c", "cpp", "swift", "python"].contains(language) else { continue }
      languages.insert(language)
      for piece in block.dropFirst(language.count).split(separator: "\n\n") {
        let text = stripped(piece.split(separator: "\n"))
        #expect(
          sources.contains { $0.replacing("\n\n", with: "\n").contains(text) }, "\(piece)")
      }
    }
    #expect(languages == ["c", "cpp", "swift", "python"])
  }
}
