import PTO2
import PTO2System

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
  private static let table = TextTable([
    .init("", width: 25), .init("placement", .right), .init("runs", .right),
    .init("ping-pong", .right), .init("submit", .right, width: 8), .init("end to end", .right),
    .init("least", .right, width: 8), .init("most", .right, width: 8),
    .init("x ping-pong", .right), .init("orig. submit", .right), .init("end to end", .right),
    .init("x submit", .right), .init("x end to end", .right),
  ])

  static func header(_ machine: Machine, _ extent: Extent, repeats: Int) -> String {
    """
    \(machine.processor), \(machine.processors) CPUs, Linux \(machine.kernel)
    \(extent.tasks) tasks, empty kernels, medians of \(repeats) runs, microseconds a task (a hop, a run)
    ping-pong: round trip of two processes that spin, before and after; near is under \(fixed(Placement.limit, 2))
    orig.: \(OriginalFigures.source)

    \(table.header)

    """
  }

  static func text(_ row: Row) -> String {
    let original = row.benchmark.original
    return table.line([
      row.benchmark.name, row.placement.rawValue, "\(row.runs)", number(row.pingPong),
      number(row.submit), number(row.endToEnd), number(row.endToEndRange.lowerBound),
      number(row.endToEndRange.upperBound), number(row.pingPongRatio, digits: 1),
      number(original.submit), number(original.endToEnd), number(row.submitRatio, digits: 2),
      number(row.endToEndRatio, digits: 2),
    ]) + (row.waits > 0 ? "  (held up \(row.waits) times)" : "") + "\n"
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
    var json = JSONObject()
    json.add("processor", machine.processor)
    json.add("processors", machine.processors)
    json.add("kernel", machine.kernel)
    json.add("tasks", extent.tasks)
    json.add("repeats", repeats)
    json.add("near_limit_microseconds", Placement.limit)
    json.add("original", OriginalFigures.source)
    json.add("benchmarks", rows.map(object))
    return json.text + "\n"
  }

  private static func object(_ row: Row) -> JSONObject {
    var object = JSONObject()
    object.add("name", row.benchmark.name)
    object.add("what", row.benchmark.what)
    object.add("clusters", row.benchmark.clusters)
    object.add("hogs", row.benchmark.hogs)
    object.add("placement", row.placement.rawValue)
    object.add("runs", row.runs)
    object.add("tasks", row.tasks)
    object.add("ping_pong_us", row.pingPong)
    object.add("submit_us", row.submit)
    object.add("end_to_end_us", row.endToEnd)
    object.add("least_us", row.endToEndRange.lowerBound)
    object.add("most_us", row.endToEndRange.upperBound)
    object.add("ping_pong_ratio", row.pingPongRatio)
    object.add("original_submit_us", row.benchmark.original.submit)
    object.add("original_end_to_end_us", row.benchmark.original.endToEnd)
    object.add("submit_ratio", row.submitRatio)
    object.add("end_to_end_ratio", row.endToEndRatio)
    object.add("waits", row.waits)
    return object
  }
}
