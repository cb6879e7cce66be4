package import PTO2Faults
package import PTO2Protocol

/// What must hold when a script has run.
package struct Expectations: Sendable {
  package enum Result: Sendable {
    /// What the interpreter has, to this difference; 0: bit by bit.
    case interpreted(tolerance: Double)
    case values(Values, tolerance: Double)
    case any
  }

  /// What a number must be.
  package struct Bound: Sendable, CustomStringConvertible {
    var from = -Double.infinity
    var through = Double.infinity
    /// Not even the bounds.
    var isOpen = false
    var not: Double?
    package let description: String

    package func holds(_ value: Double) -> Bool {
      if let not { return value != not }
      return isOpen ? value > from && value < through : value >= from && value <= through
    }
  }

  package enum Field: Sendable {
    case bound(Bound)
    /// A part of a text.
    case text(String)
    case bool(Bool)
  }

  package enum Leftovers: String, Sendable, CaseIterable {
    case none, segment, any
  }

  package var status: Int?
  /// One of these.
  package var codes: [PTO2ErrorCode] = []
  package var message: [String] = []
  package var results: [(name: String, result: Result, place: TextPlace)] = []
  /// Fields of the JSON report, by their path.
  package var report: [(path: String, field: Field, place: TextPlace)] = []
  package var output: [String] = []
  package var errors: [String] = []
  package var seconds: Bound?
  package var leftovers = Leftovers.none
  package init() {}

  /// The exit statuses of which it must have one.
  package var wantedStatuses: [Int] {
    if let status { return [status] }
    return codes.isEmpty ? [0] : codes.map { Int($0.exitStatus) }
  }
}

extension Expectations {
  init(_ node: YAMLNode) throws(TextError) {
    var members = try Entries(node, "\"expect\"")
    if let node = members.take("status") { status = try node.whole("an exit status", 0...255) }
    if let node = members.take("error") {
      for node in node.listOrOne { codes.append(try Self.code(node)) }
    }
    if let node = members.take("message") { message = try Self.texts(node) }
    if let node = members.take("stdout") { output = try Self.texts(node) }
    if let node = members.take("stderr") { errors = try Self.texts(node) }
    if let node = members.take("seconds") { seconds = try Bound(node) }
    if let node = members.take("leftovers") {
      guard let value = Leftovers(rawValue: try node.text()) else {
        throw node.expected(Leftovers.allCases.map(\.rawValue).joined(separator: ", "))
      }
      leftovers = value
    }
    if let node = members.take("report") {
      var fields = try Entries(node, "\"report\"")
      for entry in fields.takeAll() {
        report.append((entry.key, try Field(entry.node), entry.place))
      }
    }
    if let node = members.take("results") {
      var entries = try Entries(node, "\"results\"")
      for entry in entries.takeAll() {
        results.append((entry.key, try Result(entry.node), entry.place))
      }
    }
    try members.finish()
  }

  private static func texts(_ node: YAMLNode) throws(TextError) -> [String] {
    var texts: [String] = []
    for node in node.listOrOne { texts.append(try node.text()) }
    return texts
  }

  private static func code(_ node: YAMLNode) throws(TextError) -> PTO2ErrorCode {
    let text = try node.text("an error's code or name")
    if let code = PTO2ErrorCode.allCases.first(where: {
      "\($0.rawValue)" == text || $0.name == text
    }) {
      return code
    }
    let names = PTO2ErrorCode.allCases.map { "\($0.rawValue) \($0.name)" }
    throw node.expected("an error: " + names.joined(separator: ", "))
  }
}

extension Expectations.Result {
  fileprivate init(_ node: YAMLNode) throws(TextError) {
    if case .text("any") = node.value {
      self = .any
      return
    }
    guard case .map(let entries) = node.value,
      entries.contains(where: { ["tolerance", "is"].contains($0.key) })
    else {
      self = .values(try Values(node), tolerance: 0)
      return
    }
    var members = try Entries(node, "a result")
    let tolerance = try members.take("tolerance").map { (node) throws(TextError) in
      try node.number("a number from 0 on", 0...Double.greatestFiniteMagnitude)
    }
    if let node = members.take("is") {
      self = .values(try Values(node), tolerance: tolerance ?? 0)
    } else {
      self = .interpreted(tolerance: tolerance ?? 0)
    }
    try members.finish()
  }
}

extension Expectations.Field {
  fileprivate init(_ node: YAMLNode) throws(TextError) {
    switch node.value {
    case .bool(let value): self = .bool(value)
    case .number: self = .bound(try Expectations.Bound(node))
    case .text(let text):
      self = Expectations.Bound(text).map { .bound($0) } ?? .text(text)
    default: throw node.expected("a number, a bound such as \">= 2\" or 1..3, or a part of a text")
    }
  }
}

extension Expectations.Bound {
  init(_ node: YAMLNode) throws(TextError) {
    guard let bound = Expectations.Bound(try node.text("a number or a bound")) else {
      throw node.expected("a number, or a bound such as \">= 2\", \"< 5\", \"!= 0\" or 1..3")
    }
    self = bound
  }

  /// `3`, `>= 2`, `< 5`, `!= 0`, `1..3`; nil for anything else.
  init?(_ text: String) {
    description = text
    func number(_ text: some StringProtocol) -> Double? {
      Double(text.drop { $0 == " " })
    }
    if let range = text.firstRange(of: "..") {
      guard let low = number(text[..<range.lowerBound]),
        let high = number(text[range.upperBound...])
      else { return nil }
      (from, through) = (low, high)
    } else if let prefix = [">=", "<=", "!=", ">", "<"].first(where: { text.hasPrefix($0) }) {
      guard let value = number(text.dropFirst(prefix.count)) else { return nil }
      if prefix == "!=" {
        not = value
      } else {
        isOpen = prefix.count == 1
        if prefix.hasPrefix(">") { from = value } else { through = value }
      }
    } else {
      guard let value = number(text) else { return nil }
      (from, through) = (value, value)
    }
  }
}
