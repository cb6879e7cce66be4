package import PTO2Faults

/// A value of a YAML text, with its place.
package struct YAMLNode: Sendable {
  package indirect enum Value: Sendable {
    case null
    case bool(Bool)
    /// As it is written, too: a double does not tell all whole numbers apart.
    case number(Double, String)
    case text(String)
    case list([YAMLNode])
    case map([Entry])
  }

  package struct Entry: Sendable {
    package var key: String
    package var place: TextPlace
    package var node: YAMLNode
  }

  package var value: Value
  package var place: TextPlace
  /// Its text begins one column later.
  package var isQuoted = false

  /// For messages: what was found.
  package var kind: String {
    switch value {
    case .null: "nothing"
    case .bool(let value): "\(value)"
    case .number(_, let text): text
    case .text(let text): "\"\(text.prefix(60))\(text.count > 60 ? "..." : "")\""
    case .list: "a list"
    case .map: "a map"
    }
  }

  package func expected(_ what: String) -> TextError {
    TextError(place, "expected \(what), found \(kind)")
  }

  /// A text, or a number or truth value as it is written.
  package func text(_ what: String = "a text") throws(TextError) -> String {
    switch value {
    case .text(let text): return text
    case .number(_, let text): return text
    case .bool(let value): return "\(value)"
    default: throw expected(what)
    }
  }

  package func list(_ what: String = "a list") throws(TextError) -> [YAMLNode] {
    guard case .list(let nodes) = value else { throw expected(what) }
    return nodes
  }

  /// A list, or one value for a list of one.
  package var listOrOne: [YAMLNode] {
    if case .list(let nodes) = value { return nodes }
    return [self]
  }

  package func bool() throws(TextError) -> Bool {
    guard case .bool(let value) = value else { throw expected("true or false") }
    return value
  }

  package func number(_ what: String, _ range: ClosedRange<Double>) throws(TextError) -> Double {
    guard case .number(let value, _) = value, range.contains(value) else { throw expected(what) }
    return value
  }

  package func whole(_ what: String, _ range: ClosedRange<Int>) throws(TextError) -> Int {
    guard case .number(let value, _) = value, let whole = Int(exactly: value),
      range.contains(whole)
    else {
      throw expected("\(what), a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return whole
  }

  /// The same as JSON, for readers of that.
  package var json: JSONNode {
    let value: JSONNode.Value =
      switch value {
      case .null: .null
      case .bool(let value): .bool(value)
      case .number(let value, _): .number(value)
      case .text(let text): .string(text)
      case .list(let nodes): .array(nodes.map(\.json))
      case .map(let entries):
        .object(
          entries.map { JSONNode.Member(key: $0.key, place: $0.place, node: $0.node.json) })
      }
    return JSONNode(value: value, place: place)
  }
}

/// The entries of a map that have not been read yet. Keys that were asked for are those it may
/// have.
package struct Entries {
  package let place: TextPlace
  private let what: String
  private var left: [YAMLNode.Entry]
  private var known: [String] = []

  /// - Parameter what: the map in words, such as "a task".
  package init(_ node: YAMLNode, _ what: String) throws(TextError) {
    guard case .map(let entries) = node.value else {
      throw TextError(node.place, "\(what): expected a map, found \(node.kind)")
    }
    place = node.place
    left = entries
    self.what = what
  }

  package mutating func take(_ key: String) -> YAMLNode? {
    known.append(key)
    guard let index = left.firstIndex(where: { $0.key == key }) else { return nil }
    return left.remove(at: index).node
  }

  package mutating func need(_ key: String) throws(TextError) -> YAMLNode {
    if let node = take(key) { return node }
    throw TextError(place, "\(what) has no \"\(key)\"")
  }

  /// Whether it has one of these keys.
  package func first(of keys: [String]) -> String? {
    keys.first { key in left.contains { $0.key == key } }
  }

  /// All that is left, whatever the keys are.
  package mutating func takeAll() -> [YAMLNode.Entry] {
    defer { left = [] }
    return left
  }

  /// Nothing may be left.
  package func finish() throws(TextError) {
    guard let entry = left.first else { return }
    throw unknown(entry.key, at: entry.place, in: what, known: known)
  }
}

/// That a word is none of those that are known, and which was meant.
package func unknown(_ word: String, at place: TextPlace, in what: String, known: [String])
  -> TextError
{
  guard !known.isEmpty else {
    return TextError(place, "unknown key \"\(word)\" of \(what), which can have none")
  }
  let meant = nearest(word, known).map { ": did you mean \"\($0)\"? There" } ?? ": there"
  return TextError(
    place,
    "unknown key \"\(word)\" of \(what)\(meant) may be \(known.joined(separator: ", "))")
}

/// The known word with the fewest letters to change; nil when none is like it.
package func nearest(_ word: String, _ known: [String]) -> String? {
  let ranked = known.map { (word: $0, distance: distance(word, $0)) }
  guard let best = ranked.min(by: { $0.distance < $1.distance }) else { return nil }
  return best.distance <= max(1, (word.count + 1) / 2) ? best.word : nil
}

/// Letters to insert, remove, replace or exchange with their neighbours.
private func distance(_ first: String, _ second: String) -> Int {
  let (a, b) = (Array(first.lowercased().prefix(64)), Array(second.lowercased().prefix(64)))
  var rows = [Array(0...b.count)]
  for i in 0..<a.count {
    var row = [i + 1]
    for j in 0..<b.count {
      var cost = min(rows[i][j] + (a[i] == b[j] ? 0 : 1), rows[i][j + 1] + 1, row[j] + 1)
      if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
        cost = min(cost, rows[i - 1][j - 1] + 1)
      }
      row.append(cost)
    }
    rows.append(row)
  }
  return rows[a.count][b.count]
}
