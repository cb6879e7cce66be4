import Harness
import PTO2System
import Testing

/// Commands that the pages show: each names something that there is, with options that it has.
/// `ToolPageTests`, `InstallTests` and others run them.
@Suite struct PageCommandTests {
  private struct Line {
    var place: String
    /// The executable, target or file, and what follows it.
    var words: [String]
  }

  private var lines: [Line] {
    let names = Command.run("/bin/ls", [repositoryRoot + "docs"]).output.split(separator: "\n")
    let pages = ["README.md"] + names.filter { $0.hasSuffix(".md") }.map { "docs/" + $0 }
    var lines: [Line] = []
    for page in pages {
      var language: Substring?
      for (number, line) in readFile(repositoryRoot + page)
        .split(separator: "\n", omittingEmptySubsequences: false).enumerated()
      {
        if line.hasPrefix("```") {
          language = language == nil ? line.dropFirst(3) : nil
        } else if language == "" || language == "sh" {
          let words = line.prefix { $0 != "#" }.split(separator: " ").map { String($0) }
            .drop { $0 == "$" || $0.contains("=") && !$0.hasPrefix("-") }
          // Tables of output begin with a name as well.
          let isTable = language == "" && words.dropFirst().first.flatMap { Double($0) } != nil
          if isTable { continue }
          if !words.isEmpty {
            lines.append(Line(place: "\(page):\(number + 1)", words: [String](words)))
          }
        }
      }
    }
    return lines
  }

  private static let commands: Set<String> = [
    "list", "reap", "stuck", "top", "inspect", "stat", "decode", "layout", "doctor", "trace",
    "report", "test", "run", "graph", "record", "compile",
  ]

  /// What its help says; of a script, its text. Nil for a program of somebody else.
  private func help(_ words: [String]) -> String? {
    let path = words[0]
    if path.hasPrefix("Scripts/") || path.hasPrefix("Verification/") {
      return readFile(repositoryRoot + path)
    }
    let name = String(path.split(separator: "/").last ?? "")
    guard !name.isEmpty, !name.hasSuffix(".so"), isAccessible(Command.buildDirectory + name)
    else { return nil }
    var arguments = ["--help"]
    if name == "pto2" {
      // A line of output, or a message.
      guard Self.commands.contains(words.dropFirst().first ?? "") else { return nil }
      arguments = [words[1], "--help"]
    }
    let text = Command.run(name, arguments).output
    // A subcommand that is taken when none is named.
    guard let end = text.firstRange(of: " (default)")?.lowerBound,
      let implied = text[..<end].split(whereSeparator: \.isWhitespace).last
    else { return text }
    return text + Command.run(name, [String(implied), "--help"]).output
  }

  @Test func everyCommandIsThere() {
    let rules = readFile(repositoryRoot + "Makefile").split(separator: "\n")
    var count = 0
    for line in lines {
      let words = line.words
      if words[0] == "make" {
        count += 1
        for target in words.dropFirst() where !target.contains("=") {
          #expect(rules.contains { $0.hasPrefix(target + ":") }, "\(line.place): make \(target)")
        }
        continue
      }
      guard let help = help(words) else { continue }
      count += 1
      let options = help.split { !$0.isLetter && !$0.isNumber && $0 != "-" }
      for word in words.dropFirst().prefix(while: { $0 != "--" }) where word.hasPrefix("--") {
        let option = String(word.prefix { $0 != "=" })
        let isKnown =
          options.contains { $0 == option }
          || ["--version", "--generate-completion-script"].contains(option)
        #expect(isKnown, "\(line.place): \(words[0]) has no \(option)")
      }
    }
    #expect(count > 80, "\(count)")
  }
}
