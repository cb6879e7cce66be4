import Testing

@testable import PTO2Faults

/// The reader takes RFC 8259 and nothing else, and says where it goes wrong.
struct JSONTextTests {
  private func failure(_ text: String) -> TextError? {
    do {
      _ = try JSONReader.parse(text)
      return nil
    } catch { return error }
  }

  @Test func readsEveryKindOfValue() throws {
    let node = try JSONReader.parse(
      " {\"a\": [1, -2.5e1, true, false, null, \"x\\n\\u00e9\\ud83d\\ude00\\/\"], \"b\": {}}\n")
    guard case .object(let members) = node.value, case .array(let list) = members[0].node.value
    else {
      Issue.record("not an object with an array")
      return
    }
    #expect(members.map(\.key) == ["a", "b"])
    #expect(list.map(\.kind) == ["1", "-25", "true", "false", "null", "\"x\né😀/\""])
    #expect(node.place == TextPlace(line: 1, column: 2))
    #expect(list[1].place == TextPlace(line: 1, column: 12))
  }

  @Test(arguments: [
    ("", "1:1: expected a value, found end of the text"),
    ("{", "1:2: expected a key in quotes, found end of the text"),
    ("{\"a\":1,}", "1:8: expected a key in quotes, found '}'"),
    ("[1,]", "1:4: expected a value, found ']'"),
    ("[1\n 2]", "2:2: expected ',' or ']', found '2'"),
    ("{\"a\" 1}", "1:6: expected ':' after the key \"a\", found '1'"),
    ("{\"a\":1,\n\"a\":2}", "2:1: key \"a\" stands here twice"),
    ("{} x", "1:4: unexpected 'x' after the end of the JSON value"),
    ("01", "1:1: a number does not begin with 0"),
    ("1.", "1:3: expected a digit, found end of the text"),
    ("1e999", "1:1: the number 1e999 is too large"),
    ("tru", "1:1: expected true"),
    ("\"a\nb\"", "1:3: expected '\"' at the end of the string, found control character U+A"),
    ("\"\\x\"", "1:2: unknown escape \\x"),
    ("\"\\ud800\"", "1:2: half a character"),
    ("'a'", "1:1: expected a value, found '''"),
    ("// x\n1", "1:1: expected a value, found '/'"),
  ])
  func saysWhereItGoesWrong(text: String, message: String) {
    #expect(failure(text)?.description == message)
  }

  @Test func deepNestingIsAnErrorAndNoCrash() {
    #expect(failure(String(repeating: "[", count: 100_000))?.message == "more than 32 levels")
  }
}
