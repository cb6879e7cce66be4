import Glibc
import Harness
import PTO2Protocol
import PTO2Sight
import PTO2System
import Testing

/// The screen of `pto2 top` at fixed states, against files in Screens/. With
/// PTO2_UPDATE_DOCS=1 they are written anew, to be looked at.
@Suite struct ScreenTests {
  private static let plain = ScreenStyle(isUnicode: true, hasColours: false)

  static let sizes = [(80, 24), (40, 10), (200, 60)]

  private func compare(
    _ name: String, _ lines: [String], location: SourceLocation = #_sourceLocation
  )
    throws
  {
    let path = repositoryRoot + "Tests/PTO2SightTests/Screens/\(name).txt"
    let text = lines.map { $0 + "\n" }.joined()
    if environment("PTO2_UPDATE_DOCS") == "1" {
      let file = try #require(fopen(path, "w"))
      fputs(text, file)
      fclose(file)
    }
    #expect(readFile(path) == text, "\(path)", sourceLocation: location)
  }

  @Test(arguments: sizes)
  func screenIsAsItWas(columns: Int, rows: Int) throws {
    let size = ScreenSize(columns: columns, rows: rows)
    let lines = render(Sample.view, size, Self.plain)
    #expect(lines.count == rows)
    try compare("\(columns)x\(rows)", lines)
  }

  @Test func asciiIsASCII() throws {
    let style = ScreenStyle(isUnicode: false, hasColours: false)
    let lines = render(Sample.view, ScreenSize(columns: 80, rows: 24), style)
    let isASCII = lines.allSatisfy { line in line.allSatisfy { $0.isASCII } }
    #expect(isASCII)
    try compare("ascii", lines)
  }

  /// Of any size, also of none, with and without colours.
  @Test func noLineIsTooLongAndNoneTooMany() {
    for columns in [0, 1, 2, 7, 20, 39, 69, 70, 71, 133, 500] {
      for rows in [0, 1, 2, 3, 5, 11, 12, 17, 18, 19, 100] {
        let size = ScreenSize(columns: columns, rows: rows)
        let lines = render(Sample.view, size, Self.plain)
        #expect(lines.count <= rows)
        #expect(lines.allSatisfy { $0.count <= columns }, "\(columns)x\(rows)")
        let coloured = render(
          Sample.view, size, ScreenStyle(isUnicode: true, hasColours: true))
        let bare = coloured.map { line in
          line.split(separator: "\u{1B}[", omittingEmptySubsequences: false).enumerated()
            .map { $0.offset == 0 ? $0.element : $0.element.drop { $0 != "m" }.dropFirst() }
            .joined()
        }
        #expect(bare == lines, "\(columns)x\(rows)")
      }
    }
  }

  @Test func batchHasEveryCore() {
    let lines = render(Sample.view, ScreenSize(columns: 80, rows: 100_000), Self.plain)
    for core in 0..<12 {
      #expect(lines.contains { $0.hasPrefix("\(CoreID(core)) ") }, "\(core)")
    }
    #expect(!lines.contains("q quits") && lines.count < 30)
  }
}
