import PTO2

/// The runs of one benchmark that had the same placement, as medians in
/// microseconds.
struct Row {
  var benchmark: Benchmark
  var placement: Placement
  var runs: Int
  var tasks: Int
  var pingPong: Double
  var submit: Double?
  var endToEnd: Double
  /// The quickest and the slowest run.
  var endToEndRange: ClosedRange<Double>
  var waits: UInt64

  /// How many raw round trips a task costs.
  var pingPongRatio: Double { endToEnd / pingPong }
  var submitRatio: Double? {
    guard let submit, let original = benchmark.original.submit else { return nil }
    return submit / original
  }
  var endToEndRatio: Double? { benchmark.original.endToEnd.map { endToEnd / $0 } }

  static func rows(_ benchmark: Benchmark, _ samples: [Sample]) -> [Row] {
    Placement.allCases.compactMap { placement in
      let samples = samples.filter { $0.placement == placement }
      guard let first = samples.first else { return nil }
      let times = samples.map(\.endToEnd)
      let submits = samples.compactMap(\.submit)
      return Row(
        benchmark: benchmark, placement: placement, runs: samples.count, tasks: first.tasks,
        pingPong: median(samples.map(\.pingPong)), submit: submits.isEmpty ? nil : median(submits),
        endToEnd: median(times), endToEndRange: times.min()!...times.max()!,
        waits: samples.reduce(0) { $0 + $1.waits })
    }
  }
}

/// The machine the figures are from.
struct Machine {
  var processor: String
  var processors: Int
  var kernel: String
}

// MARK: Text

enum Table {
  /// Widths of the columns; the first is aligned to the left.
  private static let columns = [
    ("", 25), ("placement", 10), ("runs", 5), ("ping-pong", 10), ("submit", 8),
    ("end to end", 11), ("least", 8), ("most", 8), ("x ping-pong", 12), ("orig. submit", 13),
    ("end to end", 11),
    ("x submit", 9), ("x end to end", 13),
  ]

  static func header(_ machine: Machine, _ extent: Extent, repeats: Int) -> String {
    """
    \(machine.processor), \(machine.processors) CPUs, Linux \(machine.kernel)
    \(extent.tasks) tasks, empty kernels, medians of \(repeats) runs, microseconds a task (a hop, a run)
    ping-pong: round trip of two processes that spin, before and after; near is under \(fixed(Placement.limit, 2))
    orig.: \(OriginalFigures.source)

    \(line(columns.map(\.0)))

    """
  }

  static func text(_ row: Row) -> String {
    let original = row.benchmark.original
    return line([
      row.benchmark.name, row.placement.rawValue, "\(row.runs)", number(row.pingPong),
      number(row.submit), number(row.endToEnd), number(row.endToEndRange.lowerBound),
      number(row.endToEndRange.upperBound), number(row.pingPongRatio, digits: 1),
      number(original.submit), number(original.endToEnd), number(row.submitRatio, digits: 2),
      number(row.endToEndRatio, digits: 2),
    ]) + (row.waits > 0 ? "  (held up \(row.waits) times)" : "") + "\n"
  }

  private static func line(_ cells: [String]) -> String {
    var line = ""
    for (index, cell) in cells.enumerated() {
      let padding = String(repeating: " ", count: max(0, columns[index].1 - cell.count))
      line += index == 0 ? cell + padding : padding + cell
    }
    return line
  }

  private static func number(_ value: Double?, digits: Int = 3) -> String {
    guard let value else { return "-" }
    return fixed(value, value >= 1000 ? 0 : value >= 100 ? min(digits, 1) : digits)
  }
}

// MARK: JSON

enum JSON {
  static func document(_ machine: Machine, _ extent: Extent, repeats: Int, _ rows: [Row]) -> String
  {
    """
    {"processor":\(text(machine.processor)),"processors":\(machine.processors),\
    "kernel":\(text(machine.kernel)),"tasks":\(extent.tasks),"repeats":\(repeats),\
    "near_limit_microseconds":\(Placement.limit),"original":\(text(OriginalFigures.source)),\
    "benchmarks":[\(rows.map(object).joined(separator: ","))]}

    """
  }

  private static func object(_ row: Row) -> String {
    """
    {"name":\(text(row.benchmark.name)),"what":\(text(row.benchmark.what)),\
    "clusters":\(row.benchmark.clusters),"hogs":\(row.benchmark.hogs),\
    "placement":\(text(row.placement.rawValue)),"runs":\(row.runs),"tasks":\(row.tasks),\
    "ping_pong_us":\(number(row.pingPong)),"submit_us":\(number(row.submit)),\
    "end_to_end_us":\(number(row.endToEnd)),\
    "least_us":\(number(row.endToEndRange.lowerBound)),\
    "most_us":\(number(row.endToEndRange.upperBound)),"ping_pong_ratio":\(number(row.pingPongRatio)),\
    "original_submit_us":\(number(row.benchmark.original.submit)),\
    "original_end_to_end_us":\(number(row.benchmark.original.endToEnd)),\
    "submit_ratio":\(number(row.submitRatio)),"end_to_end_ratio":\(number(row.endToEndRatio)),\
    "waits":\(row.waits)}
    """
  }

  private static func number(_ value: Double?) -> String {
    guard let value, value.isFinite else { return "null" }
    return "\(value)"
  }

  /// Only names and what the machine says of itself: no control characters.
  private static func text(_ value: String) -> String {
    var quoted = "\""
    for character in value {
      if character == "\"" || character == "\\" { quoted += "\\" }
      quoted.append(character)
    }
    return quoted + "\""
  }
}

/// Decimal with so many digits after the point.
func fixed(_ value: Double, _ digits: Int) -> String {
  guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
  var scale: UInt64 = 1
  for _ in 0..<digits { scale *= 10 }
  let rounded = UInt64((abs(value) * Double(scale)).rounded())
  let fraction = String(rounded % scale)
  return (value < 0 ? "-" : "") + "\(rounded / scale)"
    + (digits > 0
      ? "." + String(repeating: "0", count: digits - fraction.count) + fraction : "")
}
