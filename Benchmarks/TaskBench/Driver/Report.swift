internal import BenchSupport
internal import PTO2System

enum Report {
  // MARK: Text

  static func header(_ plan: Plan) -> String {
    let missing = System.all.filter { !$0.isBuilt && $0.runs(onRanks: plan.ranks) }.map(\.name)
    let ranks = plan.ranks == 1 ? "" : " on \(plan.ranks) ranks"
    return """
      \(MachineName.processor()), \(plan.processors) CPUs, Linux \(MachineName.kernel())
      \(plan.steps) steps, \(plan.workers) workers\(ranks), \(plan.rounds) rounds of all systems in turns; \
      every input checked
      METG: wall time x CPUs / tasks at 50 and 75 % of the best rate, us; at: efficiency there
      CPUs, switches/task: of all processes of a system, with their start and end
      near: runs between two ping-pongs under 0.25 us; thrown away, disturbed: runs in which other
      processes had more than 5 % of the CPU time or the CPUs were slow before or after, and such
      runs that count as there was no other
      \(missing.isEmpty ? "" : "not built (make peers): \(missing.joined(separator: ", "))\n")\
      \(plan.systems.filter { !$0.change.isEmpty }.map { "\($0.name): \($0.change)\n" }.joined())
      """
  }

  static func text(_ result: CaseResult, _ plan: Plan) -> String {
    var table = TextTable(
      [
        .init("", width: 14), .init("METG 50", .right, width: 8),
        .init("METG 75", .right, width: 8), .init("empty tasks/s", .right),
      ] + plan.at.map { .init("at \(number($0)) us", .right) } + [
        .init("CPUs", .right, width: 5), .init("switches/task", .right),
        .init("near", .right, width: 7), .init("thrown away", .right),
        .init("disturbed", .right),
      ])
    for system in result.systems {
      let runs = system.runs
      let wall = runs.reduce(0) { $0 + $1.wallSeconds }
      let near = runs.count { $0.placement == .near }
      let tasks = runs.reduce(0) { $0 + $1.allTasks }
      let switches = Double(runs.reduce(0) { $0 + $1.contextSwitches })
      table.add(
        [
          system.system.name, text(system.metg50), text(system.metg75),
          system.empty.runs.isEmpty ? "-" : fixed(emptyRate(system), 0),
        ] + system.at.map { $0.runs.isEmpty ? "-" : fixed(100 * $0.rate / result.peak, 0) + " %" }
          + [
            runs.isEmpty ? "-" : fixed(runs.reduce(0) { $0 + $1.cpuSeconds } / wall, 2),
            runs.isEmpty ? "-" : fixed(switches / tasks, 3), "\(near)/\(runs.count)",
            "\(system.thrownAway)", "\(system.disturbed)",
          ])
    }
    let first = result.systems.lazy.flatMap(\.runs).first
    var title = "\(result.example.name)"
    if let first {
      title += ": \(Int(first.tasks)) tasks, \(Int(first.dependencies)) dependencies"
      title += ", peak \(fixed(result.peak / 1e9, 1)) GFLOP/s"
    }
    let failures = result.systems.compactMap { system in
      system.failure.map { "FAILED: \(system.system.name): \($0)\n" }
    }
    return "\n" + title + "\n" + table.text + failures.joined()
  }

  private static func text(_ crossing: Crossing?) -> String {
    switch crossing {
    case .at(let value): number(value)
    case .below(let value): "< " + number(value)
    case .above(let value): "> " + number(value)
    case nil: "-"
    }
  }

  private static func number(_ value: Double) -> String {
    value == value.rounded() ? fixed(value, 0) : fixed(value, value < 10 ? 2 : value < 100 ? 1 : 0)
  }

  private static func emptyRate(_ system: SystemResult) -> Double {
    (system.empty.runs.first?.tasks ?? .nan) / system.empty.seconds
  }

  // MARK: JSON

  static func document(_ results: [CaseResult], _ plan: Plan) -> String {
    var json = JSONObject()
    json.add("processor", MachineName.processor())
    json.add("processors", plan.processors)
    json.add("kernel", MachineName.kernel())
    json.add("steps", plan.steps)
    json.add("radix", plan.radix)
    json.add("imbalance", plan.imbalance)
    json.add("workers", plan.workers)
    json.add("ranks", plan.ranks)
    json.add("rounds", plan.rounds)
    json.add("graphs", results.map { object($0, plan) })
    return json.text + "\n"
  }

  private static func object(_ result: CaseResult, _ plan: Plan) -> JSONObject {
    var object = JSONObject()
    object.add("pattern", result.example.pattern.name)
    object.add("width", result.example.width)
    object.add("peak_flops", result.peak)
    object.add(
      "systems",
      result.systems.map { system in
        var object = JSONObject()
        object.add("system", system.system.name)
        object.add("valid", system.failure == nil)
        object.add("failure", system.failure ?? "")
        object.add("runs_thrown_away", system.thrownAway)
        object.add("runs_disturbed", system.disturbed)
        add("metg_50", system.metg50, to: &object)
        add("metg_75", system.metg75, to: &object)
        object.add("empty_tasks_per_second", emptyRate(system))
        object.add(
          "at",
          zip(plan.at, system.at).map { length, point in
            var object = JSONObject()
            object.add("kernel_us", length)
            add(point, result, plan, to: &object)
            return object
          })
        object.add(
          "points",
          (system.points + [system.empty]).map { point in
            var object = JSONObject()
            add(point, result, plan, to: &object)
            return object
          })
        return object
      })
    return object
  }

  /// Two members: the figure, and whether it is only a bound.
  private static func add(_ name: String, _ crossing: Crossing?, to object: inout JSONObject) {
    let (value, bound): (Double?, String) =
      switch crossing {
      case .at(let value): (value, "")
      case .below(let value): (value, "below")
      case .above(let value): (value, "above")
      case nil: (nil, "")
      }
    object.add(name + "_us", value)
    object.add(name + "_bound", bound)
  }

  private static func add(
    _ point: Point, _ result: CaseResult, _ plan: Plan, to object: inout JSONObject
  ) {
    object.add("iterations", point.iterations)
    object.add("granularity_us", point.granularity(plan))
    object.add("efficiency", point.rate / result.peak)
    object.add(
      "runs",
      point.runs.map { run in
        var object = JSONObject()
        object.add("seconds", run.seconds)
        object.add("cpu_seconds", run.cpuSeconds)
        object.add("wall_seconds", run.wallSeconds)
        object.add("context_switches", run.contextSwitches)
        object.add("all_tasks", run.allTasks)
        object.add("placement", run.placement.rawValue)
        object.add("others", run.others)
        object.add("speed", run.speed)
        object.add("thrown_away", run.thrownAway)
        return object
      })
  }
}
