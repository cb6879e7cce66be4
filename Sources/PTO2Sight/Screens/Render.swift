internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// The screen of `pto2 top`.
/// - Returns: at most so many lines as the size has rows, none wider than its columns.
package func render(_ view: TopView, _ size: ScreenSize, _ style: ScreenStyle) -> [String] {
  let screen = Render(view: view, size: size, style: style)
  return screen.lines.prefix(max(0, size.rows)).map { $0.text(size.columns, style) }
}

private struct Render {
  let view: TopView
  let size: ScreenSize
  let style: ScreenStyle

  private var picture: Picture { view.picture }
  private var isNarrow: Bool { size.columns < 70 }

  var lines: [ScreenLine] {
    let hasSpace = size.rows >= 18
    let hasFooter = size.rows >= 12 && size.rows < 10_000
    // What does not fit a line takes the empty one as well.
    let (first, rest) = hasSpace ? wrapped(program.text) : (program.text, "")
    var lines = head + [ScreenLine(first, program.tint)]
    if hasSpace { lines.append(ScreenLine(rest, program.tint)) }
    let left = size.rows - lines.count - (hasSpace ? 1 : 0) - (hasFooter ? 1 : 0) - 2
    let ringRows = min(picture.rings.count, max(1, left / 2))
    lines += rings(ringRows)
    if hasSpace { lines.append(ScreenLine()) }
    lines += cores(max(0, left - ringRows))
    if hasFooter {
      while lines.count < size.rows - 1 { lines.append(ScreenLine()) }
      lines = Array(lines.prefix(size.rows - 1))
      lines.append(ScreenLine("q quits", .dim))
    }
    return lines
  }

  /// A text in two, between words.
  private func wrapped(_ text: String) -> (String, String) {
    guard text.count > size.columns, size.columns > 0,
      let end = text.prefix(size.columns + 1).lastIndex(of: " ")
    else { return (text, "") }
    return (String(text[..<end]), "  " + text[end...].drop { $0 == " " })
  }

  // MARK: Head

  private var head: [ScreenLine] {
    var title = ScreenLine("pto2 top", .bold)
    title.add("  \(picture.place)  ")
    let (word, tint) = stateWord
    title.add(word, tint)
    func pid(_ process: ProcessFacts?) -> String { process.map { "\($0.pid)" } ?? "-" }
    title.add(
      "  orchestrator \(pid(picture.orchestrator.process)), scheduler \(pid(picture.scheduler.process))"
    )
    if let trace = picture.trace, trace.dropped > 0 {
      title.add("  trace dropped \(trace.dropped)", .bad)
    }
    let counts = picture.scheduler.counts
    var tasks = ScreenLine(
      isNarrow
        ? "\(picture.tasks(\.current)) tasks"
        : "\(picture.tasks(\.current)) submitted, \(picture.tasks(\.released)) released")
    tasks.add(view.tasksPerSecond.map { ", \(rate($0))/s" } ?? "")
    tasks.add("  failed \(counts.failed)", counts.failed > 0 ? .bad : .plain)
    tasks.add("  retried \(counts.lost)", counts.lost > 0 ? .warn : .plain)
    tasks.add("  quarantined \(counts.quarantined)", counts.quarantined > 0 ? .warn : .plain)
    return [title, tasks]
  }

  private var stateWord: (String, ScreenLine.Tint) {
    if !picture.damage.isEmpty { return ("damaged", .bad) }
    return switch view.diagnosis.cause {
    case .finished: ("finished", .good)
    case .deadSession: ("dead", .bad)
    case .error: ("error", .bad)
    case .processStopped: ("stopped", .bad)
    default:
      switch view.diagnosis.verdict {
      case .stuck: view.tasksPerSecond == nil ? ("running", .good) : ("stands still", .warn)
      default: ("running", .good)
      }
    }
  }

  /// Who waits for what.
  private var program: (text: String, tint: ScreenLine.Tint) {
    if let damage = picture.damage.first { return ("damaged: \(damage)", .bad) }
    switch view.diagnosis.cause {
    case .error, .deadSession, .processStopped, .schedulerMissing, .schedulerDead, .workerMissing,
      .workerDead, .finished:
      return (view.diagnosis.summary, .warn)
    default: break
    }
    if let blockage = Blockage(picture), blockage.isSure {
      let time = view.waitSeconds.map { $0 >= 0.1 ? " For \(fixed($0, 1)) s." : "" } ?? ""
      return (blockage.sentence + time, .plain)
    }
    if let core = picture.cores.first(where: { $0.parked.isGate && !$0.outstanding.isEmpty }),
      case .gate(let other, _) = core.parked
    {
      return ("Core \(core.id) waits at a gate for core \(CoreID(other)).", .plain)
    }
    return ("Nobody waits for room.", .dim)
  }

  private func rate(_ value: Double) -> String {
    switch abs(value) {
    case 1e6...: "\(fixed(value / 1e6, 2)) M"
    case 1e4...: "\(fixed(value / 1e3, 1)) k"
    default: fixed(value, 0)
    }
  }

  // MARK: Rings

  /// Of a part, how much is in use.
  private func share(_ used: UInt64?, _ size: UInt64) -> Double? {
    used.map { min(1, Double($0) / Double(max(1, size))) }
  }

  private func rings(_ rows: Int) -> [ScreenLine] {
    let numbers = isNarrow ? 0 : 3
    let widths = [4] + Array(repeating: 10, count: numbers)
    let used = widths.reduce(0, +) + 2 * (widths.count + 3)
    let bar = min(40, max(4, (size.columns - used) / 4))
    let table = ScreenTable(
      columns: widths.map { .init(width: $0, isRight: true) }
        + Array(repeating: .init(width: bar), count: 4))
    let titles =
      ["RING"] + (isNarrow ? [] : ["NEXT", "RELEASED", "CONSUMED"])
      + (isNarrow ? ["MAIN", "CONS", "HEAP", "POOL"] : ["WINDOW", "CONSUMED", "HEAP", "POOL"])
    var lines = [table.line(titles.map { ($0, .title) })]
    for ring in picture.rings.prefix(rows) {
      let parts = [
        share(ring.isDamaged ? nil : UInt64(ring.mainUsed), UInt64(ring.sizes.taskWindow)),
        share(ring.isDamaged ? nil : UInt64(ring.consumedUsed), UInt64(ring.sizes.consumedWindow)),
        share(ring.heapUsed, ring.sizes.heapBytes),
        share(ring.poolUsed.map(UInt64.init), UInt64(ring.sizes.dependencyPool)),
      ]
      let cells =
        ["\(ring.index)"]
        + (isNarrow ? [] : ["\(ring.current)", "\(ring.released)", "\(ring.consumed)"])
      lines.append(
        table.line(
          cells.map { ($0, ScreenLine.Tint.plain) } + parts.map { (self.bar($0, bar), tint($0)) }))
    }
    return lines
  }

  private func tint(_ share: Double?) -> ScreenLine.Tint {
    guard let share else { return .bad }
    return share >= 0.95 ? .bad : share >= 0.7 ? .warn : .plain
  }

  /// Such as `###.. 60%`, or the number alone.
  private func bar(_ share: Double?, _ width: Int) -> String {
    guard let share else { return "?" }
    let number = "\(Int((100 * share).rounded(.up)))%"
    let cells = width - 5
    guard cells >= 3 else { return number }
    let full = Int((share * Double(cells)).rounded(.up))
    return String(repeating: style.isUnicode ? "█" : "#", count: full)
      + String(repeating: style.isUnicode ? "░" : ".", count: cells - full)
      + String(repeating: " ", count: 5 - number.count) + number
  }

  // MARK: Cores

  private func cores(_ rows: Int) -> [ScreenLine] {
    let kernel = isNarrow ? max(6, size.columns - 27) : min(48, max(12, size.columns - 57))
    let table = ScreenTable(
      columns: isNarrow
        ? [.init(width: 5), .init(width: 7), .init(width: 4, isRight: true), .init(width: kernel)]
        : [
          .init(width: 6), .init(width: 8), .init(width: 5, isRight: true),
          .init(width: 5, isRight: true), .init(width: kernel), .init(width: 12),
          .init(width: 9, isRight: true),
        ])
    let titles =
      isNarrow
      ? ["CORE", "STATE", "BUSY", "KERNEL"]
      : ["CORE", "STATE", "LANES", "BUSY", "KERNEL", "TASK", "FOR"]
    var lines = [table.line(titles.map { ($0, .title) })]
    let (shown, more) = choose(rows)
    for core in shown {
      let state = CoreState(core)
      let word = state == .never ? "absent" : state.rawValue
      let use = view.use(core.id.index)
      let busy = use.busy.map { "\(Int((100 * $0).rounded()))%" } ?? "-"
      let lane = core.running ?? core.outstanding.first
      let time = core.running == nil ? "" : use.seconds.map { "\(fixed($0, 1)) s" } ?? ""
      let name = (lane?.kernel, tint(state))
      lines.append(
        table.line(
          isNarrow
            ? [
              ("\(core.id)", .plain), (word, tint(state)), (busy, .plain), (name.0 ?? "", .plain),
            ]
            : [
              ("\(core.id)", .plain), (word, tint(state)), ("\(core.outstanding.count)", .plain),
              (busy, .plain), (name.0 ?? "", .plain), (lane?.task.map { "\($0)" } ?? "", .plain),
              (time, .plain),
            ]))
    }
    if more > 0 { lines.append(ScreenLine("and \(more) more cores", .dim)) }
    return lines
  }

  /// Those that have something to tell, if there is no room for all; in order.
  private func choose(_ rows: Int) -> ([CorePicture], Int) {
    let cores = picture.cores
    if cores.count <= rows { return (cores, 0) }
    let room = max(0, rows - 1)
    let busy = cores.filter { CoreState($0) != .idle }
    let chosen = Set((busy + cores.filter { CoreState($0) == .idle }).prefix(room).map(\.id))
    return (cores.filter { chosen.contains($0.id) }, cores.count - room)
  }

  private func tint(_ state: CoreState) -> ScreenLine.Tint {
    switch state {
    case .running: .good
    case .gate, .waiting, .starting: .warn
    case .stopped, .dead, .never: .bad
    case .idle: .dim
    }
  }
}

extension CorePicture.Parked {
  var isGate: Bool { if case .gate = self { true } else { false } }
}
