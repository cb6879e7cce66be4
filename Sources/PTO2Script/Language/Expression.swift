package import PTO2Faults

/// A number as expressions have them: whole ones stay whole.
package enum Number: Equatable, Sendable, CustomStringConvertible {
  case whole(Int)
  case real(Double)

  package var asReal: Double {
    switch self {
    case .whole(let value): Double(value)
    case .real(let value): value
    }
  }

  package var description: String {
    switch self {
    case .whole(let value): "\(value)"
    case .real(let value): "\(value)"
    }
  }
}

/// Names and what they stand for: the variables of loops, and `seed`.
package typealias Variables = [String: Int]

/// Arithmetic over numbers and the variables of loops. It always ends, and gives a value or an
/// error with its place.
package indirect enum Expression: Sendable {
  case constant(Number)
  case variable(String, TextPlace)
  case negated(Expression, TextPlace)
  case binary(Operator, Expression, Expression, TextPlace)

  package enum Operator: String, Sendable, CaseIterable {
    // Longer ones first.
    case lessOrEqual = "<="
    case greaterOrEqual = ">="
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case greater = ">"
    case plus = "+"
    case minus = "-"
    case times = "*"
    case over = "/"
    case modulo = "%"

    var isComparison: Bool {
      switch self {
      case .plus, .minus, .times, .over, .modulo: false
      default: true
      }
    }
  }

  /// An expression in a value of its own.
  package init(_ node: YAMLNode) throws(TextError) {
    switch node.value {
    case .number(let value, let text):
      // The text tells whole numbers apart that are the same as doubles.
      if let whole = Int(text) {
        self = .constant(.whole(whole))
      } else if text.hasPrefix("0x"), let whole = Int(text.dropFirst(2), radix: 16) {
        self = .constant(.whole(whole))
      } else {
        self = .constant(.real(value))
      }
    case .text(let text):
      var letters = Letters(text, node)
      self = try letters.comparison()
      try letters.finish("an operator")
    default: throw node.expected("a number or an expression, such as i * 64 + 1")
    }
  }

  package func value(_ variables: Variables) throws(TextError) -> Number {
    switch self {
    case .constant(let number): return number
    case .variable(let name, let place):
      if let value = variables[name] { return .whole(value) }
      let known = variables.keys.sorted()
      let meant = nearest(name, known).map { ": did you mean \($0)?" } ?? ""
      throw TextError(
        place,
        "no variable \"\(name)\" here\(meant.isEmpty ? ": there" : meant + " There") is \(known.joined(separator: ", "))"
      )
    case .negated(let inner, let place):
      switch try inner.value(variables) {
      case .real(let value): return .real(-value)
      case .whole(let value):
        guard value != .min else { throw TextError(place, "a number beyond 64 bits") }
        return .whole(-value)
      }
    case .binary(let op, let left, let right, let place):
      return try Self.apply(op, try left.value(variables), try right.value(variables), place)
    }
  }

  /// A whole number of a range.
  package func whole(
    _ variables: Variables, _ what: String, _ range: ClosedRange<Int>, _ place: TextPlace
  )
    throws(TextError) -> Int
  {
    let value = try value(variables)
    guard case .whole(let whole) = value, range.contains(whole) else {
      throw TextError(
        place,
        "\(what) is \(value): expected a whole number from \(range.lowerBound) to \(range.upperBound)"
      )
    }
    return whole
  }

  /// True unless it is 0.
  package func isTrue(_ variables: Variables) throws(TextError) -> Bool {
    try value(variables).asReal != 0
  }

  private static func apply(_ op: Operator, _ left: Number, _ right: Number, _ place: TextPlace)
    throws(TextError) -> Number
  {
    guard case .whole(let a) = left, case .whole(let b) = right else {
      return try apply(op, left.asReal, right.asReal, place)
    }
    var result: (partialValue: Int, overflow: Bool)
    switch op {
    case .plus: result = a.addingReportingOverflow(b)
    case .minus: result = a.subtractingReportingOverflow(b)
    case .times: result = a.multipliedReportingOverflow(by: b)
    case .over, .modulo:
      guard b != 0 else { throw TextError(place, "\(a) \(op.rawValue) 0: a division by zero") }
      // Rounded down, so that a remainder has the sign of what is divided by.
      let quotient = a.dividedReportingOverflow(by: b)
      let rest = quotient.overflow ? 0 : a % b
      let isBelow = rest != 0 && (rest < 0) != (b < 0)
      result =
        op == .over
        ? (quotient.partialValue - (isBelow ? 1 : 0), quotient.overflow)
        : (isBelow ? rest + b : rest, false)
    default: return .whole(compare(op, a, b) ? 1 : 0)
    }
    guard !result.overflow else {
      throw TextError(place, "\(a) \(op.rawValue) \(b): a number beyond 64 bits")
    }
    return .whole(result.partialValue)
  }

  private static func apply(_ op: Operator, _ a: Double, _ b: Double, _ place: TextPlace)
    throws(TextError) -> Number
  {
    switch op {
    case .plus: return .real(a + b)
    case .minus: return .real(a - b)
    case .times: return .real(a * b)
    case .over:
      guard b != 0 else { throw TextError(place, "\(a) / 0: a division by zero") }
      return .real(a / b)
    case .modulo: throw TextError(place, "% is for whole numbers")
    default: return .whole(compare(op, a, b) ? 1 : 0)
    }
  }

  private static func compare<Value: Comparable>(_ op: Operator, _ a: Value, _ b: Value) -> Bool {
    switch op {
    case .less: a < b
    case .lessOrEqual: a <= b
    case .greater: a > b
    case .greaterOrEqual: a >= b
    case .equal: a == b
    default: a != b
    }
  }
}

/// The letters of a small text inside a YAML value, with their places.
struct Letters {
  private let scalars: [Unicode.Scalar]
  private let start: TextPlace
  private var next = 0
  private var depth = 0

  init(_ text: String, _ node: YAMLNode) {
    scalars = Array(text.unicodeScalars)
    start = TextPlace(
      line: node.place.line, column: node.place.column + (node.isQuoted ? 1 : 0))
  }

  var place: TextPlace { TextPlace(line: start.line, column: start.column + next) }
  var isAtEnd: Bool { next >= scalars.count }
  var peek: Unicode.Scalar? { next < scalars.count ? scalars[next] : nil }
  var found: String { peek.map { "'\($0)'" } ?? "the end of the text" }

  mutating func skipSpaces() { while peek == " " { next += 1 } }

  mutating func take(_ text: String) -> Bool {
    skipSpaces()
    let letters = Array(text.unicodeScalars)
    guard next + letters.count <= scalars.count,
      Array(scalars[next..<next + letters.count]) == letters
    else { return false }
    next += letters.count
    return true
  }

  /// Without spaces before it.
  mutating func takeExactly(_ text: String) -> Bool { peek != " " && take(text) }

  mutating func skip() { next += 1 }

  mutating func need(_ text: String) throws(TextError) {
    guard take(text) else { throw TextError(place, "expected '\(text)', found \(found)") }
  }

  mutating func finish(_ expected: String) throws(TextError) {
    skipSpaces()
    guard isAtEnd else {
      throw TextError(place, "expected \(expected) or the end of the text, found \(found)")
    }
  }

  /// A letter or underline, then letters, digits and underlines.
  mutating func word() -> String? {
    skipSpaces()
    var text = ""
    while let scalar = peek, Self.isWord(scalar), !text.isEmpty || !Self.isDigit(scalar) {
      text.unicodeScalars.append(scalar)
      next += 1
    }
    return text.isEmpty ? nil : text
  }

  static func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }
  static func isWord(_ scalar: Unicode.Scalar) -> Bool {
    isDigit(scalar) || ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar)
      || scalar == "_"
  }

  // MARK: Expressions

  mutating func comparison() throws(TextError) -> Expression {
    let left = try sum()
    guard let (op, place) = takeOperator(\.isComparison) else { return left }
    return .binary(op, left, try sum(), place)
  }

  mutating func sum() throws(TextError) -> Expression {
    var value = try product()
    while let (op, place) = takeOperator({ $0 == .plus || $0 == .minus }) {
      value = .binary(op, value, try product(), place)
    }
    return value
  }

  private mutating func product() throws(TextError) -> Expression {
    var value = try factor()
    while let (op, place) = takeOperator({ $0 == .times || $0 == .over || $0 == .modulo }) {
      value = .binary(op, value, try factor(), place)
    }
    return value
  }

  private mutating func takeOperator(_ isWanted: (Expression.Operator) -> Bool)
    -> (Expression.Operator, TextPlace)?
  {
    skipSpaces()
    let before = (next, place)
    for op in Expression.Operator.allCases where take(op.rawValue) {
      if isWanted(op) { return (op, before.1) }
      next = before.0
      return nil
    }
    return nil
  }

  private mutating func factor() throws(TextError) -> Expression {
    guard depth < 32 else { throw TextError(place, "more than 32 levels") }
    depth += 1
    defer { depth -= 1 }
    skipSpaces()
    let start = place
    if take("-") { return .negated(try factor(), start) }
    if take("(") {
      let value = try comparison()
      try need(")")
      return value
    }
    if let scalar = peek, Self.isDigit(scalar) || scalar == "." { return .constant(try number()) }
    if let name = word() { return .variable(name, start) }
    throw TextError(start, "expected a number, a variable or '(', found \(found)")
  }

  mutating func number() throws(TextError) -> Number {
    let start = place
    var text = ""
    while let scalar = peek, Self.isDigit(scalar) || scalar == "." || isExponent(scalar, text) {
      text.unicodeScalars.append(scalar)
      next += 1
    }
    if let whole = Int(text) { return .whole(whole) }
    guard text.contains(where: { $0 == "." || $0 == "e" }), let value = Double(text), value.isFinite
    else {
      throw TextError(start, "\(text) is no number, or beyond 64 bits")
    }
    return .real(value)
  }

  private func isExponent(_ scalar: Unicode.Scalar, _ text: String) -> Bool {
    if scalar == "e" {
      let after = next + 1 < scalars.count ? scalars[next + 1] : " "
      return !text.contains("e") && (Self.isDigit(after) || after == "-")
    }
    return scalar == "-" && text.last == "e"
  }
}
