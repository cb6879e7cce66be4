/// Lines of cells under each other, two spaces apart; no space at the end of a line.
package struct TextTable {
  package enum Alignment { case left, right }

  package struct Column {
    var title: String
    var alignment: Alignment
    /// Characters at least.
    var width: Int

    package init(_ title: String, _ alignment: Alignment = .left, width: Int = 0) {
      self.title = title
      self.alignment = alignment
      self.width = max(width, title.count)
    }
  }

  private let columns: [Column]
  private var rows: [[String]] = []

  package init(_ columns: [Column]) { self.columns = columns }

  package mutating func add(_ cells: [String]) { rows.append(cells) }

  /// The titles and all rows, each column as wide as its widest cell.
  package var text: String {
    var fitted = columns
    for row in rows {
      for (index, cell) in row.enumerated() {
        fitted[index].width = max(fitted[index].width, cell.count)
      }
    }
    return ([columns.map(\.title)] + rows).map { Self.line($0, fitted) + "\n" }.joined()
  }

  /// For tables that are shown while they grow: columns are as wide as was said.
  package var header: String { line(columns.map(\.title)) }
  package func line(_ cells: [String]) -> String { Self.line(cells, columns) }

  private static func line(_ cells: [String], _ columns: [Column]) -> String {
    var line = ""
    for (index, (cell, column)) in zip(cells, columns).enumerated() {
      if index > 0 { line += "  " }
      let space = String(repeating: " ", count: max(0, column.width - cell.count))
      line += column.alignment == .left ? cell + space : space + cell
    }
    while line.last == " " { line.removeLast() }
    return line
  }
}

/// Decimal with so many digits after the point.
package func fixed(_ value: Double, _ digits: Int) -> String {
  guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
  var scale: UInt64 = 1
  for _ in 0..<digits { scale *= 10 }
  let rounded = UInt64((abs(value) * Double(scale)).rounded())
  let fraction = String(rounded % scale)
  return (value < 0 ? "-" : "") + "\(rounded / scale)"
    + (digits > 0 ? "." + String(repeating: "0", count: digits - fraction.count) + fraction : "")
}
