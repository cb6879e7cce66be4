package import PTO2Faults

/// A name with expressions in braces: `cell_{i}_{j}`.
package struct Template: Sendable {
  private enum Part: Sendable {
    case text(String)
    case value(Expression)
  }

  private var parts: [Part] = []
  package let place: TextPlace

  /// The rest of the letters, as a name.
  init(name letters: inout Letters) throws(TextError) {
    letters.skipSpaces()
    place = letters.place
    while let scalar = letters.peek {
      if scalar == "{" {
        try takeValue(&letters)
      } else if Letters.isWord(scalar), let text = letters.nameText() {
        parts.append(.text(text))
      } else {
        break
      }
    }
    guard !parts.isEmpty else {
      throw TextError(place, "expected a name, such as x or cell_{i}, found \(letters.found)")
    }
  }

  /// A name in a value of its own.
  package init(name node: YAMLNode) throws(TextError) {
    var letters = Letters(try node.text("a name"), node)
    self = try Template(name: &letters)
    try letters.finish("a letter, a digit, '_' or '{'")
  }

  /// Any text. Braces are written twice.
  package init(text node: YAMLNode) throws(TextError) {
    place = node.place
    var letters = Letters(try node.text(), node)
    var text = ""
    while let scalar = letters.peek {
      if letters.takeExactly("{{") {
        text += "{"
      } else if letters.takeExactly("}}") {
        text += "}"
      } else if scalar == "{" {
        parts.append(.text(text))
        text = ""
        try takeValue(&letters)
      } else {
        text.unicodeScalars.append(scalar)
        letters.skip()
      }
    }
    parts.append(.text(text))
  }

  private mutating func takeValue(_ letters: inout Letters) throws(TextError) {
    try letters.need("{")
    parts.append(.value(try letters.sum()))
    try letters.need("}")
  }

  package func text(_ variables: Variables) throws(TextError) -> String {
    var text = ""
    for part in parts {
      switch part {
      case .text(let piece): text += piece
      case .value(let expression): text += "\(try expression.value(variables))"
      }
    }
    return text
  }
}

/// A tensor or a view of one: `x`, `x[0:8, i]`, `x[i*64:(i+1)*64].reshape(8, 8).T`.
package struct Reference: Sendable {
  package struct Range: Sendable {
    package var from: Expression?
    /// Nil with `isIndex`: the one element at `from`.
    package var to: Expression?
    package var step: Expression?
    package var isIndex = false
  }

  package enum Change: Sendable {
    case slice([Range])
    case transpose(Expression, Expression)
    case reshape([Expression])
    case broadcast([Expression])
    /// The first element, then extents, then strides.
    case strided([Expression])
  }

  package var name: Template
  package var changes: [(change: Change, place: TextPlace)] = []
  package let place: TextPlace

  package init(_ node: YAMLNode) throws(TextError) {
    var letters = Letters(
      try node.text("a tensor, such as x or x[0:8]"), node)
    self = try Reference(&letters)
    try letters.finish("'[', '.'")
  }

  init(_ letters: inout Letters) throws(TextError) {
    letters.skipSpaces()
    place = letters.place
    name = try Template(name: &letters)
    while true {
      letters.skipSpaces()
      let here = letters.place
      if letters.take("[") {
        changes.append((.slice(try letters.ranges()), here))
      } else if letters.take(".") {
        changes.append((try letters.change(here), here))
      } else {
        return
      }
    }
  }
}

extension Letters {
  /// Letters, digits and underlines.
  fileprivate mutating func nameText() -> String? {
    var text = ""
    while let scalar = peek, Self.isWord(scalar) {
      text.unicodeScalars.append(scalar)
      skip()
    }
    return text.isEmpty ? nil : text
  }

  fileprivate mutating func ranges() throws(TextError) -> [Reference.Range] {
    var ranges: [Reference.Range] = []
    repeat {
      var range = Reference.Range()
      skipSpaces()
      if peek != ":" { range.from = try sum() }
      if take(":") {
        skipSpaces()
        if let scalar = peek, scalar != ":" && scalar != "," && scalar != "]" {
          range.to = try sum()
        }
        if take(":") { range.step = try sum() }
      } else {
        range.isIndex = true
      }
      ranges.append(range)
    } while take(",")
    try need("]")
    return ranges
  }

  fileprivate mutating func change(_ here: TextPlace) throws(TextError) -> Reference.Change {
    let name = word() ?? ""
    if name == "T" { return .transpose(.constant(.whole(0)), .constant(.whole(1))) }
    guard ["transpose", "reshape", "broadcast", "strided"].contains(name) else {
      throw TextError(
        here,
        "expected .T, .transpose(a, b), .reshape(...), .broadcast(...) or .strided(...), found .\(name)"
      )
    }
    try need("(")
    var numbers: [Expression] = []
    repeat { numbers.append(try sum()) } while take(",")
    try need(")")
    switch name {
    case "reshape": return .reshape(numbers)
    case "broadcast": return .broadcast(numbers)
    case "strided":
      guard numbers.count % 2 == 1 else {
        throw TextError(
          here,
          ".strided takes an element, extents, as many strides; found \(numbers.count) numbers")
      }
      return .strided(numbers)
    default:
      guard numbers.count == 2 else {
        throw TextError(here, ".transpose takes two dimensions, found \(numbers.count)")
      }
      return .transpose(numbers[0], numbers[1])
    }
  }
}
