internal import PTO2System

/// The table of all sets that were run.
enum Summary {
  static func table(_ rows: [Row]) -> String {
    var table = TextTable([
      .init("strategy"), .init("configuration"), .init("runs", .right), .init("steps", .right),
      .init("M steps/s", .right), .init("result"),
    ])
    for row in rows {
      table.add([
        row.strategy, row.configuration, "\(row.runs)", "\(row.steps)", rate(row), result(row),
      ])
    }
    if rows.count > 1 {
      var sum = Row(strategy: "all", configuration: "")
      for row in rows { sum.add(row) }
      table.add(["all", "", "\(sum.runs)", "\(sum.steps)", rate(sum), result(sum)])
    }
    return table.text
  }

  private static func rate(_ row: Row) -> String {
    fixed(Double(row.steps) / max(row.seconds, 1e-9) / 1e6, 1)
  }

  private static func result(_ row: Row) -> String {
    var verdict = row.failures == 0 ? "ok" : "\(row.failures) FAILED"
    if row.slices > 0 { verdict += ", \(row.slices) slices used up" }
    return row.note.isEmpty ? verdict : "\(verdict), \(row.note)"
  }

  static func json(_ rows: [Row]) -> String {
    JSONObject.array(
      rows.map { row in
        var object = JSONObject()
        object.add("strategy", row.strategy)
        object.add("configuration", row.configuration)
        object.add("runs", row.runs)
        object.add("steps", row.steps)
        object.add("seconds", row.seconds)
        object.add("failures", row.failures)
        object.add("slices", row.slices)
        object.add("note", row.note)
        return object
      }) + "\n"
  }
}
