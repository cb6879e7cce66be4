internal import PTO2Faults

/// Values within a line, and in [ ] and { }.
extension YAMLReader {
  // MARK: Flow

  mutating func flow() throws(TextError) -> YAMLNode {
    guard depth < 64 else { throw TextError(place, "more than 64 levels") }
    depth += 1
    defer { depth -= 1 }
    let start = place
    switch peek {
    case "[":
      advance()
      var nodes: [YAMLNode] = []
      try skipToToken()
      while peek != "]" {
        nodes.append(try flow())
        try separator("]")
      }
      advance()
      return YAMLNode(value: .list(nodes), place: start)
    case "{":
      advance()
      var entries: [YAMLNode.Entry] = []
      try skipToToken()
      while peek != "}" {
        entries.append(try flowEntry(entries))
        try separator("}")
      }
      advance()
      return YAMLNode(value: .map(entries), place: start)
    default:
      let isQuoted = peek == "\"" || peek == "'"
      let text = try scalar(inFlow: true)
      return isQuoted
        ? YAMLNode(value: .text(text), place: start, isQuoted: true) : plain(text, start)
    }
  }

  private mutating func flowEntry(_ entries: [YAMLNode.Entry]) throws(TextError) -> YAMLNode.Entry {
    let keyPlace = place
    let key = try self.key(inFlow: true)
    try skipToToken()
    guard peek == ":" else {
      throw TextError(place, "expected ':' after the key \"\(key)\", found \(found)")
    }
    advance()
    if entries.contains(where: { $0.key == key }) {
      throw TextError(keyPlace, "the key \"\(key)\" stands here twice")
    }
    try skipToToken()
    let node =
      peek == "," || peek == "}" ? YAMLNode(value: .null, place: place) : try flow()
    return YAMLNode.Entry(key: key, place: keyPlace, node: node)
  }

  private mutating func separator(_ end: Unicode.Scalar) throws(TextError) {
    try skipToToken()
    if peek == end { return }
    guard peek == "," else {
      throw TextError(
        place,
        "expected ',' or '\(end)', found \(found): in [ ] and { } a text with , : [ ] { } stands in quotes"
      )
    }
    advance()
    try skipToToken()
  }

  // MARK: Scalars

  mutating func key(inFlow: Bool) throws(TextError) -> String {
    let start = place
    let key = try scalar(inFlow: inFlow)
    if key.isEmpty { throw TextError(start, "expected a key, found \(found)") }
    return key
  }

  /// The text of a scalar.
  mutating func scalar(inFlow: Bool) throws(TextError) -> String {
    switch peek {
    case "\"": return try doubleQuoted()
    case "'": return try singleQuoted()
    case nil, "\n": throw TextError(place, "expected a value, found \(found)")
    case "&", "*", "!", "%", "@", "`", "|", ">":
      throw TextError(
        place,
        "a value cannot begin with \(found): put it in quotes (there are no anchors, aliases or tags)"
      )
    case "?", ",", "]", "}", "[", "{":
      throw TextError(place, "expected a value, found \(found)")
    default: return plainText(inFlow: inFlow)
    }
  }

  private mutating func plainText(inFlow: Bool) -> String {
    var text = ""
    while let scalar = peek, scalar != "\n" {
      if scalar == ":" {
        if Self.isBlank(peek(1)) { break }
        if inFlow, let after = peek(1), ",[]{}".unicodeScalars.contains(after) { break }
      }
      if scalar == "#", Self.isBlank(scalars[max(0, next - 1)]) { break }
      if inFlow, ",[]{}".unicodeScalars.contains(scalar) { break }
      text.unicodeScalars.append(scalar)
      advance()
    }
    while text.unicodeScalars.last.map({ Self.isBlank($0) }) == true {
      text.unicodeScalars.removeLast()
    }
    return text
  }

  private mutating func singleQuoted() throws(TextError) -> String {
    let start = place
    advance()
    var text = ""
    while let scalar = peek, scalar != "\n" {
      advance()
      if scalar == "'" {
        guard peek == "'" else { return text }
        advance()
      }
      text.unicodeScalars.append(scalar)
    }
    throw TextError(start, "no ' ends this text before the end of the line")
  }

  private mutating func doubleQuoted() throws(TextError) -> String {
    let start = place
    advance()
    var text = ""
    while let scalar = peek, scalar != "\n" {
      if scalar == "\"" {
        advance()
        return text
      }
      if scalar == "\\" {
        text.unicodeScalars.append(try escape())
      } else {
        text.unicodeScalars.append(scalar)
        advance()
      }
    }
    throw TextError(start, "no \" ends this text before the end of the line")
  }

  private mutating func escape() throws(TextError) -> Unicode.Scalar {
    let start = place
    advance()
    guard let scalar = peek else { throw TextError(start, "a \\ at the end of the text") }
    advance()
    switch scalar {
    case "\"", "\\", "/": return scalar
    case "n": return "\n"
    case "t": return "\t"
    case "r": return "\r"
    case "0": return "\0"
    case "e": return "\u{1B}"
    case "x": return try hex(2, start)
    case "u": return try hex(4, start)
    default: throw TextError(start, "unknown escape \\\(scalar)")
    }
  }

  private mutating func hex(_ digits: Int, _ start: TextPlace) throws(TextError) -> Unicode.Scalar {
    var value: UInt32 = 0
    for _ in 0..<digits {
      guard let digit = peek, digit.isASCII, let number = Character(digit).hexDigitValue else {
        throw TextError(start, "expected \(digits) hexadecimal digits")
      }
      value = value << 4 | UInt32(number)
      advance()
    }
    guard let scalar = Unicode.Scalar(value) else { throw TextError(start, "half a character") }
    return scalar
  }

  /// What a plain scalar means: the core schema of YAML 1.2.
  func plain(_ text: String, _ place: TextPlace) -> YAMLNode {
    func node(_ value: YAMLNode.Value) -> YAMLNode { YAMLNode(value: value, place: place) }
    switch text {
    case "", "~", "null", "Null", "NULL": return node(.null)
    case "true", "True", "TRUE": return node(.bool(true))
    case "false", "False", "FALSE": return node(.bool(false))
    case ".inf", "+.inf": return node(.number(.infinity, text))
    case "-.inf": return node(.number(-.infinity, text))
    case ".nan": return node(.number(.nan, text))
    default: break
    }
    if text.hasPrefix("0x"), let value = UInt64(text.dropFirst(2), radix: 16) {
      return node(.number(Double(value), text))
    }
    let letters = text.utf8
    let isNumber =
      letters.allSatisfy { "0123456789.eE+-".utf8.contains($0) }
      && letters.contains { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    // As Double reads it, but with a digit first, or a sign or point before one.
    if isNumber, letters.first != UInt8(ascii: "e"), letters.first != UInt8(ascii: "E"),
      let value = Double(text)
    {
      return node(.number(value, text))
    }
    return node(.text(text))
  }
}
