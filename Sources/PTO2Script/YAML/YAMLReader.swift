package import PTO2Faults

/// Reads the part of YAML 1.2 that scripts are written in: block and flow maps and lists, plain
/// and quoted scalars, literal blocks, comments; one document. Whatever it takes, every YAML
/// reader takes in the same way. Anchors, aliases, tags, directives, complex keys and plain
/// scalars of several lines are errors, and so are tabs before a value and a key twice.
package struct YAMLReader {
  let scalars: [Unicode.Scalar]
  var next = 0
  var place = TextPlace()
  var depth = 0

  private init(_ text: String) {
    // A byte-order mark may stand first.
    let all = Array(text.unicodeScalars)
    scalars = all.first == "\u{FEFF}" ? Array(all.dropFirst()) : all
  }

  /// - Returns: null for a text without a value.
  package static func parse(_ text: String) throws(TextError) -> YAMLNode {
    var reader = YAMLReader(text)
    try reader.skipToToken()
    if reader.place.column == 1, reader.takeMarker("---") { try reader.skipToToken() }
    guard reader.peek != nil else {
      return YAMLNode(value: .null, place: TextPlace())
    }
    let node = try reader.block(outside: 0)
    try reader.skipToToken()
    if reader.peek != nil {
      if reader.place.column == 1, reader.takeMarker("---") || reader.takeMarker("...") {
        throw TextError(reader.place, "a second document: a script is one")
      }
      throw TextError(
        reader.place, "expected the end of the text, found \(reader.found): is it indented right?")
    }
    return node
  }

  // MARK: Letters

  var peek: Unicode.Scalar? { next < scalars.count ? scalars[next] : nil }
  func peek(_ offset: Int) -> Unicode.Scalar? {
    next + offset < scalars.count ? scalars[next + offset] : nil
  }

  var found: String {
    guard let scalar = peek else { return "the end of the text" }
    if scalar == "\n" { return "the end of the line" }
    return scalar.value < 0x20
      ? "control character U+\(String(scalar.value, radix: 16, uppercase: true))" : "'\(scalar)'"
  }

  mutating func advance() {
    if scalars[next] == "\n" {
      place.line += 1
      place.column = 1
    } else {
      place.column += 1
    }
    next += 1
  }

  mutating func advance(_ count: Int) { for _ in 0..<count { advance() } }

  static func isBlank(_ scalar: Unicode.Scalar?) -> Bool {
    scalar == nil || scalar == " " || scalar == "\n" || scalar == "\t" || scalar == "\r"
  }

  private mutating func takeMarker(_ marker: String) -> Bool {
    let letters = Array(marker.unicodeScalars)
    guard next + letters.count <= scalars.count,
      Array(scalars[next..<next + letters.count]) == letters,
      Self.isBlank(peek(letters.count))
    else { return false }
    advance(letters.count)
    return true
  }

  /// Spaces, within the line.
  mutating func skipSpaces() {
    while let scalar = peek, scalar == " " || scalar == "\t" || scalar == "\r" { advance() }
  }

  private mutating func skipComment() {
    guard peek == "#", next == 0 || Self.isBlank(scalars[next - 1]) else { return }
    while let scalar = peek, scalar != "\n" { advance() }
  }

  /// Over empty lines and comments to the next value, also of a later line.
  mutating func skipToToken() throws(TextError) {
    while true {
      let isLineStart = place.column == 1
      while let scalar = peek, scalar == " " || scalar == "\r" { advance() }
      if isLineStart, peek == "\t" {
        throw TextError(place, "a tab: lines are indented with spaces")
      }
      skipSpaces()
      skipComment()
      guard peek == "\n" else { return }
      advance()
    }
  }

  /// After a value: a comment or nothing up to the end of the line.
  mutating func finishLine() throws(TextError) {
    skipSpaces()
    skipComment()
    guard peek == nil || peek == "\n" else {
      throw TextError(place, "expected the end of the line, found \(found)")
    }
  }

  // MARK: Blocks

  /// The end of a document.
  private var isMarker: Bool {
    place.column == 1 && Self.isBlank(peek(3))
      && (0..<3).allSatisfy { peek($0) == peek && (peek == "-" || peek == ".") }
  }

  private var isDash: Bool { peek == "-" && Self.isBlank(peek(1)) }

  /// A value that begins here.
  /// - Parameter outside: the column of the block around it, which it must be right of.
  mutating func block(outside: Int) throws(TextError) -> YAMLNode {
    guard depth < 64 else { throw TextError(place, "more than 64 levels") }
    depth += 1
    defer { depth -= 1 }
    if isDash { return try blockList() }
    let start = place
    if peek == "|" || peek == ">" { return try literal(outside: outside) }
    // A key, or the only value.
    let before = (next, place)
    if peek != "[" && peek != "{" {
      let isQuoted = peek == "\"" || peek == "'"
      let key = try scalar(inFlow: false)
      skipSpaces()
      if peek == ":", Self.isBlank(peek(1)) {
        (next, place) = before
        return try blockMap()
      }
      try finishLine()
      return isQuoted
        ? YAMLNode(value: .text(key), place: start, isQuoted: true) : plain(key, start)
    }
    let node = try flow()
    try finishLine()
    return node
  }

  private mutating func blockList() throws(TextError) -> YAMLNode {
    let start = place
    var nodes: [YAMLNode] = []
    repeat {
      advance()
      skipSpaces()
      nodes.append(try item(column: start.column, isInMap: false))
      try skipToToken()
      if peek != nil && place.column > start.column { throw wrongIndent(start.column) }
    } while peek != nil && place.column == start.column && isDash
    return YAMLNode(value: .list(nodes), place: start)
  }

  private mutating func blockMap() throws(TextError) -> YAMLNode {
    let start = place
    var entries: [YAMLNode.Entry] = []
    repeat {
      let keyPlace = place
      if isDash { throw TextError(place, "expected a key and ':', found '-'") }
      let key = try self.key(inFlow: false)
      skipSpaces()
      guard peek == ":", Self.isBlank(peek(1)) else {
        throw TextError(place, "expected ':' and a space after the key \"\(key)\", found \(found)")
      }
      advance()
      if entries.contains(where: { $0.key == key }) {
        throw TextError(keyPlace, "the key \"\(key)\" stands here twice")
      }
      skipSpaces()
      let node = try item(column: start.column, isInMap: true)
      entries.append(YAMLNode.Entry(key: key, place: keyPlace, node: node))
      try skipToToken()
      if peek != nil && place.column > start.column { throw wrongIndent(start.column) }
    } while peek != nil && place.column == start.column && !isMarker
    return YAMLNode(value: .map(entries), place: start)
  }

  private func wrongIndent(_ column: Int) -> TextError {
    TextError(
      place,
      "expected column \(column), or a value that is indented less, found \(found): a text of several lines stands after |"
    )
  }

  /// What follows a dash or a colon: on the line, or indented on the next ones, or null.
  private mutating func item(column: Int, isInMap: Bool) throws(TextError) -> YAMLNode {
    let here = place
    skipComment()
    if let scalar = peek, scalar != "\n" {
      if isInMap {
        if isDash { throw TextError(place, "a list begins on a line of its own") }
        return try inline(outside: column)
      }
      return try block(outside: column)
    }
    try skipToToken()
    let isInner = place.column > column || (isInMap && place.column == column && isDash)
    guard peek != nil, isInner else { return YAMLNode(value: .null, place: here) }
    return try block(outside: column)
  }

  /// The value on a key's line.
  private mutating func inline(outside: Int) throws(TextError) -> YAMLNode {
    let start = place
    switch peek {
    case "|", ">": return try literal(outside: outside)
    case "[", "{":
      let node = try flow()
      try finishLine()
      return node
    default:
      let isQuoted = peek == "\"" || peek == "'"
      let text = try scalar(inFlow: false)
      skipSpaces()
      if peek == ":" {
        throw TextError(place, "a second ':' in the line: put the value in quotes")
      }
      try finishLine()
      return isQuoted
        ? YAMLNode(value: .text(text), place: start, isQuoted: true) : plain(text, start)
    }
  }

  /// The lines after |, as they are but for their indentation.
  private mutating func literal(outside: Int) throws(TextError) -> YAMLNode {
    let start = place
    guard peek == "|" else { throw TextError(place, "'>' is not supported: use |") }
    advance()
    let isStripped = peek == "-"
    if isStripped { advance() }
    try finishLine()
    if peek != nil { advance() }
    var lines: [String] = []
    var indent: Int?
    while peek != nil {
      let before = (next, place)
      var spaces = 0
      while peek == " ", indent.map({ spaces < $0 }) ?? true {
        advance()
        spaces += 1
      }
      if peek == "\n" || peek == nil {
        lines.append("")
      } else if spaces < (indent ?? outside) {
        (next, place) = before
        break
      } else {
        indent = spaces
        var line = ""
        while let scalar = peek, scalar != "\n" {
          line.unicodeScalars.append(scalar)
          advance()
        }
        lines.append(line)
      }
      if peek != nil { advance() }
    }
    while lines.last == "" { lines.removeLast() }
    let text = lines.joined(separator: "\n") + (isStripped || lines.isEmpty ? "" : "\n")
    return YAMLNode(value: .text(text), place: start)
  }
}
