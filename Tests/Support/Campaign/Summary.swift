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
    func line(_ name: String, _ cells: [String]) -> String {
      cells.enumerated().reduce(padded(name, 12, left: true)) {
        $0 + "  " + padded($1.element, max(6, titles[$1.offset].count), left: false)
      }
    }
    var lines = [line("graph", titles)]
    for shape in GraphShape.allCases {
      guard let row = rows[shape] else { continue }
      lines.append(line(shape.rawValue, row.fields.map { "\($0.value)" }))
    }
    lines.append(line("all", total.fields.map { "\($0.value)" }))
    return lines.joined(separator: "\n")
  }

  func json(seed: UInt64, seconds: Double, exercised: Bool) -> String {
    func object(_ row: Row) -> String {
      "{" + row.fields.map { "\"\($0.name)\":\($0.value)" }.joined(separator: ",") + "}"
    }
    let shapes = GraphShape.allCases.compactMap { shape in
      rows[shape].map { "\"\(shape.rawValue)\":\(object($0))" }
    }
    return
      "{\"seed\":\(seed),\"seconds\":\(seconds),\"kills\":\(kills),\"exercised\":\(exercised),\"total\":\(object(total)),\"graphs\":{\(shapes.joined(separator: ","))}}"
  }
}

func padded(_ text: String, _ width: Int, left: Bool) -> String {
  let space = String(repeating: " ", count: max(0, width - text.count))
  return left ? text + space : space + text
}
