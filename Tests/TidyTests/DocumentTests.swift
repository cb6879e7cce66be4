import Glibc
import Harness
import PTO2System
import Testing

/// What the pages name is there.
@Suite struct DocumentTests {
  private static let words: Set<Substring> = {
    var words: Set<Substring> = []
    for file in Tree.files where !file.isOf(".md") {
      for word in file.text.split(whereSeparator: { !isWordCharacter($0) }) { words.insert(word) }
    }
    return words
  }()

  private static func isWordCharacter(_ character: Character) -> Bool {
    character.isASCII && (character.isLetter || character.isNumber || character == "_")
  }

  /// What stands in backticks.
  private func quoted(_ line: Substring) -> [Substring] {
    line.split(separator: "`", omittingEmptySubsequences: false).enumerated()
      .filter { $0.offset % 2 == 1 }.map(\.element)
  }

  /// A function, a test, a type or a variable, as Swift and C write them: with a capital
  /// letter or a line inside.
  private func isName(_ text: Substring) -> Bool {
    guard text.allSatisfy(Self.isWordCharacter), let first = text.first, first.isLetter else {
      return false
    }
    let rest = text.dropFirst()
    let isCamel = rest.contains(where: \.isUppercase) && rest.contains(where: \.isLowercase)
    return isCamel || rest.contains("_")
  }

  /// Outside blocks of code.
  private func prose(_ page: SourceFile) -> [(number: Int, line: Substring)] {
    var isCode = false
    return page.lines.enumerated().compactMap { index, line in
      if line.hasPrefix("```") {
        isCode.toggle()
        return nil
      }
      return isCode ? nil : (index + 1, line)
    }
  }

  @Test func namesInBackticksAreThere() {
    var count = 0
    for page in Tree.pages where page.path != "CHANGELOG.md" {
      for (number, line) in prose(page) {
        for text in quoted(line) {
          // `Type.member`, `function(_:)`.
          for name in text.prefix(while: { $0 != "(" }).split(separator: ".") where isName(name) {
            count += 1
            if !Self.words.contains(name) {
              Issue.record("\(page.path):\(number): `\(text)` is nowhere in the code")
            }
          }
        }
      }
    }
    #expect(count > 300)
  }

  @Test func filesInBackticksAreThere() {
    let names = Set(Tree.files.map { $0.path.split(separator: "/").last! })
    for page in Tree.pages where page.path != "CHANGELOG.md" {
      for (number, line) in prose(page) {
        for text in quoted(line) where text.allSatisfy({ !" <*$".contains($0) }) {
          guard text.hasSuffix(".swift") || text.hasSuffix(".c") || text.hasSuffix(".h") else {
            continue
          }
          let file = text.split(separator: "/").last!
          let isThere =
            text.contains("/")
            ? Tree.files.contains { $0.path.hasSuffix(text) } : names.contains(file)
          if !isThere { Issue.record("\(page.path):\(number): no file `\(text)`") }
        }
      }
    }
  }

  @Test func linksLeadSomewhere() {
    var count = 0
    for page in Tree.pages {
      let folder = page.path.split(separator: "/").dropLast().joined(separator: "/")
      for (number, line) in prose(page) {
        for part in line.split(separator: "](").dropFirst() {
          let target = part.prefix { $0 != ")" && $0 != "#" }
          if target.isEmpty || target.hasPrefix("http") { continue }
          count += 1
          let path = repositoryRoot + folder + "/" + target
          #expect(access(path, F_OK) == 0, "\(page.path):\(number): \(target)")
        }
      }
    }
    #expect(count > 50)
  }
}
