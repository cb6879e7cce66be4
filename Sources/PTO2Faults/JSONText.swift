/// JSON (RFC 8259) with the place of every value, for error messages.
package struct JSONNode: Sendable {
  package indirect enum Value: Sendable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSONNode])
    case object([Member])
  }

  package struct Member: Sendable {
    package var key: String
    package var place: TextPlace
    package var node: JSONNode

    package init(key: String, place: TextPlace, node: JSONNode) {
      self.key = key
      self.place = place
      self.node = node
    }
  }

  package var value: Value
  package var place: TextPlace

  package init(value: Value, place: TextPlace) {
    self.value = value
    self.place = place
  }

  /// For messages: what kind of value this is.
  package var kind: String {
    switch value {
    case .null: "null"
    case .bool(let value): "\(value)"
    case .number(let value): number(value)
    case .string(let text): "\"\(text)\""
    case .array: "an array"
    case .object: "an object"
    }
  }

  private func number(_ value: Double) -> String {
    Int64(exactly: value).map { "\($0)" } ?? "\(value)"
  }
}

/// Line and column, both from 1; columns count characters.
package struct TextPlace: Equatable, Sendable, CustomStringConvertible {
  package var line = 1
  package var column = 1

  package init(line: Int = 1, column: Int = 1) {
    self.line = line
    self.column = column
  }

  package var description: String { "\(line):\(column)" }
}

/// What is wrong with a text, and where.
package struct TextError: Error, Equatable, CustomStringConvertible {
  package var place: TextPlace
  package var message: String

  package init(_ place: TextPlace, _ message: String) {
    self.place = place
    self.message = message
  }

  package var description: String { "\(place): \(message)" }
}

/// A strict reader: no comments, no trailing commas, no key twice, one value.
package struct JSONReader {
  private let scalars: [Unicode.Scalar]
  private var next = 0
  private var place = TextPlace()
  private var depth = 0

  private init(_ text: String) { scalars = Array(text.unicodeScalars) }

  package static func parse(_ text: String) throws(TextError) -> JSONNode {
    var reader = JSONReader(text)
    reader.skipSpace()
    let node = try reader.readValue()
    reader.skipSpace()
    if let extra = reader.peek {
      throw TextError(reader.place, "unexpected \(name(extra)) after the end of the JSON value")
    }
    return node
  }

  private var peek: Unicode.Scalar? { next < scalars.count ? scalars[next] : nil }

  private static func name(_ scalar: Unicode.Scalar?) -> String {
    guard let scalar else { return "end of the text" }
    return scalar.value < 0x20
      ? "control character U+\(String(scalar.value, radix: 16, uppercase: true))" : "'\(scalar)'"
  }

  private mutating func advance() {
    if scalars[next] == "\n" {
      place.line += 1
      place.column = 1
    } else {
      place.column += 1
    }
    next += 1
  }

  private mutating func skipSpace() {
    while let scalar = peek, scalar == " " || scalar == "\n" || scalar == "\t" || scalar == "\r" {
      advance()
    }
  }

  private func unexpected(_ expected: String) -> TextError {
    TextError(place, "expected \(expected), found \(Self.name(peek))")
  }

  private mutating func take(_ scalar: Unicode.Scalar, _ expected: String) throws(TextError) {
    guard peek == scalar else { throw unexpected(expected) }
    advance()
  }

  private mutating func readValue() throws(TextError) -> JSONNode {
    let start = place
    guard depth < 32 else { throw TextError(place, "more than 32 levels") }
    depth += 1
    defer { depth -= 1 }
    let value: JSONNode.Value
    switch peek {
    case "{": value = try readObject()
    case "[": value = try readArray()
    case "\"": value = .string(try readString())
    case "t": value = try readWord("true", .bool(true))
    case "f": value = try readWord("false", .bool(false))
    case "n": value = try readWord("null", .null)
    case .some(let scalar) where scalar == "-" || ("0"..."9").contains(scalar):
      value = .number(try readNumber())
    default: throw unexpected("a value")
    }
    return JSONNode(value: value, place: start)
  }

  private mutating func readWord(_ word: String, _ value: JSONNode.Value) throws(TextError)
    -> JSONNode.Value
  {
    let start = place
    for scalar in word.unicodeScalars {
      guard peek == scalar else { throw TextError(start, "expected \(word)") }
      advance()
    }
    return value
  }

  private mutating func readObject() throws(TextError) -> JSONNode.Value {
    try take("{", "'{'")
    var members: [JSONNode.Member] = []
    skipSpace()
    if peek == "}" {
      advance()
      return .object([])
    }
    while true {
      let keyPlace = place
      guard peek == "\"" else { throw unexpected("a key in quotes") }
      let key = try readString()
      if members.contains(where: { $0.key == key }) {
        throw TextError(keyPlace, "key \"\(key)\" stands here twice")
      }
      skipSpace()
      try take(":", "':' after the key \"\(key)\"")
      skipSpace()
      members.append(JSONNode.Member(key: key, place: keyPlace, node: try readValue()))
      skipSpace()
      if peek == "}" {
        advance()
        return .object(members)
      }
      try take(",", "',' or '}'")
      skipSpace()
    }
  }

  private mutating func readArray() throws(TextError) -> JSONNode.Value {
    try take("[", "'['")
    var nodes: [JSONNode] = []
    skipSpace()
    if peek == "]" {
      advance()
      return .array([])
    }
    while true {
      nodes.append(try readValue())
      skipSpace()
      if peek == "]" {
        advance()
        return .array(nodes)
      }
      try take(",", "',' or ']'")
      skipSpace()
    }
  }

  private mutating func readNumber() throws(TextError) -> Double {
    let start = place
    var text = ""
    func isDigit(_ scalar: Unicode.Scalar?) -> Bool {
      scalar.map { ("0"..."9").contains($0) } ?? false
    }
    func digits(_ reader: inout JSONReader) throws(TextError) {
      guard isDigit(reader.peek) else { throw reader.unexpected("a digit") }
      while isDigit(reader.peek) {
        text.unicodeScalars.append(reader.peek!)
        reader.advance()
      }
    }
    func copy(_ reader: inout JSONReader) {
      text.unicodeScalars.append(reader.peek!)
      reader.advance()
    }
    if peek == "-" { copy(&self) }
    if peek == "0" {
      copy(&self)
      if isDigit(peek) { throw TextError(start, "a number does not begin with 0") }
    } else {
      try digits(&self)
    }
    if peek == "." {
      copy(&self)
      try digits(&self)
    }
    if peek == "e" || peek == "E" {
      copy(&self)
      if peek == "+" || peek == "-" { copy(&self) }
      try digits(&self)
    }
    guard let value = Double(text), value.isFinite else {
      throw TextError(start, "the number \(text) is too large")
    }
    return value
  }

  private mutating func readString() throws(TextError) -> String {
    try take("\"", "'\"'")
    var text = ""
    while true {
      guard let scalar = peek else { throw unexpected("'\"' at the end of the string") }
      guard scalar.value >= 0x20 else { throw unexpected("'\"' at the end of the string") }
      if scalar == "\"" {
        advance()
        return text
      }
      if scalar == "\\" {
        text.unicodeScalars.append(try readEscape())
      } else {
        text.unicodeScalars.append(scalar)
        advance()
      }
    }
  }

  private mutating func readEscape() throws(TextError) -> Unicode.Scalar {
    let start = place
    advance()
    guard let scalar = peek else { throw unexpected("an escape") }
    advance()
    switch scalar {
    case "\"", "\\", "/": return scalar
    case "b": return "\u{8}"
    case "f": return "\u{C}"
    case "n": return "\n"
    case "r": return "\r"
    case "t": return "\t"
    case "u":
      let first = try readHex()
      if let scalar = Unicode.Scalar(first) { return scalar }
      // The first half of a pair.
      if (0xD800..<0xDC00).contains(first), peek == "\\" {
        advance()
        try take("u", "the second half of the character")
        let second = try readHex()
        if (0xDC00..<0xE000).contains(second) {
          return Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))!
        }
      }
      throw TextError(start, "half a character")
    default: throw TextError(start, "unknown escape \\\(scalar)")
    }
  }

  private mutating func readHex() throws(TextError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let scalar = peek, let digit = Character(scalar).hexDigitValue, scalar.isASCII else {
        throw unexpected("four hexadecimal digits")
      }
      value = value << 4 | UInt32(digit)
      advance()
    }
    return value
  }
}
