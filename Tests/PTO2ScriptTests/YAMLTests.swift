import PTO2Faults
import PTO2Script
import Testing

/// The reader of YAML: what it takes, and every error with its place.
@Suite struct YAMLTests {
  private func read(_ text: String) throws -> String { show(try YAMLReader.parse(text)) }

  private func show(_ node: YAMLNode) -> String {
    switch node.value {
    case .null: "null"
    case .bool(let value): "\(value)"
    case .number(_, let text): text
    case .text(let text): "'" + text.replacing("\n", with: "\\n") + "'"
    case .list(let nodes): "[" + nodes.map(show).joined(separator: " ") + "]"
    case .map(let entries):
      "{" + entries.map { $0.key + ": " + show($0.node) }.joined(separator: " ") + "}"
    }
  }

  @Test(arguments: [
    ("a: 1\nb: x y # no\n", "{a: 1 b: 'x y'}"),
    ("---\n- a\n- - b\n  - c\n-\n  d: e\n  f:\n", "['a' ['b' 'c'] {d: 'e' f: null}]"),
    ("k:\n- a: 1\n  b: 2\n- c: 3\n", "{k: [{a: 1 b: 2} {c: 3}]}"),
    ("k: {a: [1, 2,], 'b c': x-y, d: }", "{k: {a: [1 2] b c: 'x-y' d: null}}"),
    ("k: [a,\n  # between\n  b]\n", "{k: ['a' 'b']}"),
    ("t: |\n  one\n\n    two\nu: |-\n  three\n", "{t: 'one\\n\\n  two\\n' u: 'three'}"),
    ("[x:y, \"a: [b] # c\", 'it''s', \"\\u0041\\n\"]", "['x:y' 'a: [b] # c' 'it's' 'A\\n']"),
    ("[~, null, true, False, 0x1F, -3, +4, 1.5e3, .5, 1., 1e, e1, -, 08]", ""),
    ("a: b#c", "{a: 'b#c'}"),
    ("x[0:4, 2]", "'x[0:4, 2]'"),
  ])
  func valuesAreRead(text: String, expected: String) throws {
    let found = try read(text)
    guard expected.isEmpty else {
      #expect(found == expected)
      return
    }
    #expect(
      found
        == "[null null true false 0x1F -3 +4 1.5e3 .5 1. '1e' 'e1' '-' 08]", "the core schema")
  }

  @Test(arguments: [
    ("a: 1\na: 2", "2:1", "stands here twice"),
    ("a: 1\n b: 2", "2:2", "expected column 1"),
    ("a: b: c", "1:5", "a second ':'"),
    ("a:\n\t- 1", "2:1", "a tab"),
    ("a: &x 1", "1:4", "no anchors"),
    ("a: *x", "1:4", "no anchors"),
    ("a: !t 1", "1:4", "no anchors"),
    ("a: - 1", "1:4", "a line of its own"),
    ("a: 'b\nc'", "1:4", "before the end of the line"),
    ("a: \"\\q\"", "1:5", "unknown escape"),
    ("a: [1, 2\n", "2:1", "found the end of the text"),
    ("a: {b 1}", "1:8", "expected ':'"),
    ("[x[0]]", "1:3", "stands in quotes"),
    ("a: >\n  x", "1:4", "use |"),
    ("a: 1\n---\nb: 2", "2:4", "a second document"),
    ("- a\nb: 1", "2:1", "the end of the text"),
    ("a: 1\n- b", "2:1", "expected a key"),
    (": 1", "1:1", "expected a key"),
    ("one two\nthree", "2:1", "the end of the text"),
  ])
  func errorsHaveTheirPlace(text: String, place: String, words: String) {
    do throws(TextError) {
      let node = try YAMLReader.parse(text)
      Issue.record("\(text): read as \(show(node))")
    } catch {
      #expect("\(error.place)" == place, "\(text): \(error)")
      #expect(error.message.contains(words), "\(text): \(error)")
    }
  }

  @Test func depthIsBounded() {
    let deep = String(repeating: "[", count: 10_000)
    #expect(throws: TextError.self) { try YAMLReader.parse(deep) }
    let dashes = String(repeating: "- ", count: 10_000)
    #expect(throws: TextError.self) { try YAMLReader.parse(dashes) }
  }
}
