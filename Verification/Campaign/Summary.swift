import PTO2System

/// What a campaign has done and found.
struct Summary {
  private(set) var rows: [GraphShape: Row] = [:]

  struct Row {
    var sessions = 0
    var verified = 0
    var kills: [Role: Int] = [:]
    var stops = 0
    var lost = 0
    var workerRestarts = 0
    var schedulerRestarts = 0
    var gaveUp = 0
    var swept = 0
    var violations = 0

    fileprivate var fields: [(name: String, value: Int)] {
      [
        ("sessions", sessions), ("verified", verified), ("worker_kills", kills[.worker] ?? 0),
        ("scheduler_kills", kills[.scheduler] ?? 0),
        ("orchestrator_kills", kills[.orchestrator] ?? 0), ("stops", stops),
        ("lost_subtasks", lost), ("worker_restarts", workerRestarts),
        ("scheduler_restarts", schedulerRestarts), ("gave_up", gaveUp), ("swept", swept),
        ("violations", violations),
      ]
    }

    fileprivate mutating func add(_ other: Row) {
      sessions += other.sessions
      verified += other.verified
      kills.merge(other.kills, uniquingKeysWith: +)
      stops += other.stops
      lost += other.lost
      workerRestarts += other.workerRestarts
      schedulerRestarts += other.schedulerRestarts
      gaveUp += other.gaveUp
      swept += other.swept
      violations += other.violations
    }
  }

  mutating func add(_ result: SessionResult) {
    rows[result.shape, default: Row()].add(
      Row(
        sessions: 1, verified: result.isVerified ? 1 : 0, kills: result.kills,
        stops: result.stops, lost: result.lostSubtasks, workerRestarts: result.workerRestarts,
        schedulerRestarts: result.schedulerRestarts, gaveUp: result.gaveUp ? 1 : 0,
        swept: result.wasSwept ? 1 : 0, violations: result.violations.count))
  }

  var total: Row {
    var total = Row()
    for row in rows.values { total.add(row) }
    return total
  }

  var kills: Int { total.kills.values.reduce(0, +) }

  func table() -> String {
    let titles = [
      "sessions", "verified", "worker", "sched.", "orch.", "stops", "lost", "w.again", "s.again",
      "gave up", "swept", "violations",
    ]
    var table = TextTable([.init("graph")] + titles.map { .init($0, .right, width: 6) })
    for shape in GraphShape.allCases {
      guard let row = rows[shape] else { continue }
      table.add([shape.rawValue] + row.fields.map { "\($0.value)" })
    }
    table.add(["all"] + total.fields.map { "\($0.value)" })
    return table.text
  }

  func json(seed: UInt64, seconds: Double, exercised: Bool) -> String {
    func object(_ row: Row) -> JSONObject {
      var object = JSONObject()
      for (name, value) in row.fields { object.add(name, value) }
      return object
    }
    var graphs = JSONObject()
    for shape in GraphShape.allCases {
      if let row = rows[shape] { graphs.add(shape.rawValue, object(row)) }
    }
    var json = JSONObject()
    json.add("seed", seed)
    json.add("seconds", seconds)
    json.add("kills", kills)
    json.add("exercised", exercised)
    json.add("total", object(total))
    json.add("graphs", graphs)
    return json.text + "\n"
  }
}
