/// The table of all sets that were run.
enum Summary {
  static func table(_ rows: [Row]) -> String {
    let header = ["strategy", "configuration", "runs", "steps", "M steps/s", "result"]
    var lines = [header]
    for row in rows {
      lines.append([
        row.strategy, row.configuration, "\(row.runs)", "\(row.steps)", rate(row), result(row),
      ])
    }
    if rows.count > 1 {
      var sum = Row(strategy: "all", configuration: "")
      for row in rows {
        sum.runs += row.runs
        sum.steps += row.steps
        sum.seconds += row.seconds
        sum.failures += row.failures
        sum.slices += row.slices
      }
      lines.append(["all", "", "\(sum.runs)", "\(sum.steps)", rate(sum), result(sum)])
    }
    let widths = header.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
    return lines.map { line in
      line.enumerated().map { column, text in
        let padding = String(repeating: " ", count: widths[column] - text.count)
        return (2...4).contains(column) ? padding + text : text + padding
      }.joined(separator: "  ") + "\n"
    }.joined()
  }

  private static func rate(_ row: Row) -> String {
    let tenths = Int(Double(row.steps) / max(row.seconds, 1e-9) / 1e5)
    return "\(tenths / 10).\(tenths % 10)"
  }

  private static func result(_ row: Row) -> String {
    var verdict = row.failures == 0 ? "ok" : "\(row.failures) FAILED"
    if row.slices > 0 { verdict += ", \(row.slices) slices used up" }
    return row.note.isEmpty ? verdict : "\(verdict), \(row.note)"
  }

  static func json(_ rows: [Row]) -> String {
    let objects = rows.map {
      "  {\"strategy\": \"\($0.strategy)\", \"configuration\": \"\($0.configuration)\", \"runs\": \($0.runs), \"steps\": \($0.steps), \"seconds\": \($0.seconds), \"failures\": \($0.failures), \"slices\": \($0.slices), \"note\": \"\($0.note)\"}"
    }
    return "[\n" + objects.joined(separator: ",\n") + "\n]\n"
  }
}
