/// How a screen may look.
package struct ScreenStyle: Equatable, Sendable {
  /// Beyond ASCII.
  package var isUnicode: Bool
  package var hasColours: Bool
  package init(isUnicode: Bool, hasColours: Bool) {
    self.isUnicode = isUnicode
    self.hasColours = hasColours
  }
}

package struct ScreenSize: Equatable, Sendable {
  package var columns: Int
  package var rows: Int
  package init(columns: Int, rows: Int) {
    self.columns = columns
    self.rows = rows
  }
}

/// A line in pieces, each in a colour.
struct ScreenLine {
  enum Tint: String {
    case plain = ""
    case title = "7"
    case bold = "1"
    case good = "32"
    case warn = "33"
    case bad = "31"
    case dim = "2"
  }

  private var pieces: [(text: String, tint: Tint)] = []

  init(_ text: String = "", _ tint: Tint = .plain) { add(text, tint) }

  mutating func add(_ text: String, _ tint: Tint = .plain) {
    if !text.isEmpty { pieces.append((text, tint)) }
  }

  /// - Returns: at most so many characters, without spaces at the end, and with nothing beyond
  ///   ASCII where the style has nothing.
  func text(_ columns: Int, _ style: ScreenStyle) -> String {
    var left = columns
    var visible: [(text: String, tint: Tint)] = []
    for piece in pieces where left > 0 {
      var text = String(piece.text.prefix(left))
      if !style.isUnicode { text = String(text.map { $0.isASCII ? $0 : "?" }) }
      left -= text.count
      visible.append((text, piece.tint))
    }
    while let last = visible.last, last.text.allSatisfy({ $0 == " " }) { visible.removeLast() }
    while visible.last?.text.last == " " { visible[visible.count - 1].text.removeLast() }
    var out = ""
    for (text, tint) in visible {
      out +=
        style.hasColours && tint != .plain
        ? "\u{1B}[\(tint.rawValue)m\(text)\u{1B}[0m" : text
    }
    return out
  }
}

/// Cells of fixed widths, two spaces apart.
struct ScreenTable {
  struct Column {
    var width: Int
    var isRight = false
  }

  let columns: [Column]

  func line(_ cells: [(String, ScreenLine.Tint)]) -> ScreenLine {
    var line = ScreenLine()
    for (index, (cell, column)) in zip(cells, columns).enumerated() {
      if index > 0 { line.add("  ") }
      let text = String(cell.0.prefix(column.width))
      let space = String(repeating: " ", count: column.width - text.count)
      if column.isRight { line.add(space) }
      line.add(text, cell.1)
      if !column.isRight { line.add(space) }
    }
    return line
  }
}
