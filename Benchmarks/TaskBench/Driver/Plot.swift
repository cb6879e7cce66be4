internal import BenchSupport
internal import PTO2System

/// Efficiency over granularity, one picture for each graph below the other.
enum Plot {
  static func write(_ results: [CaseResult], _ plan: Plan, to path: String) throws(SystemError) {
    let charts = results.map { result in
      Chart(
        result.example.name, "wall time x CPUs / tasks, us",
        result.systems.map { system in
          Chart.Line(
            system.system.name,
            system.points.map { ($0.granularity(plan), $0.rate / result.peak) })
        })
    }
    try Chart.write(charts, to: path)
  }
}
