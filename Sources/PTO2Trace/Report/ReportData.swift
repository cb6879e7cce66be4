internal import PTO2Protocol
internal import PTO2System

/// What the page draws from: texts and tables as JSON, the runs as bytes.
struct ReportData {
  private let trace: Trace
  private let origin: UInt64
  private let span: UInt64
  private var runs = ProtoWriter()
  private var cores: [JSONObject] = []
  private var runsShown = 0

  /// The runs take at most so many bytes; base64 adds a third.
  private static let limit = 6_600_000
  private static let bins = 1500

  init(_ trace: Trace) {
    self.trace = trace
    let all = trace.span
    origin = all.lowerBound
    span = max(1, UInt64(all.count))
    // Runs that are shorter than this are drawn together with their neighbours.
    var least: UInt64 = 0
    repeat {
      addRuns(least)
      least = max(250, least * 2)
    } while runs.bytes.count > Self.limit
  }

  var bytes: [UInt8] { runs.bytes }

  // MARK: Runs

  private mutating func addRuns(_ least: UInt64) {
    runs.removeAll()
    cores = []
    runsShown = 0
    var place = 0
    for core in 0..<trace.session.coreCount {
      let first = runs.bytes.count
      var encoder = CoreRuns(origin: origin)
      var busy: UInt64 = 0
      var count = 0
      while place < trace.runs.count, Int(trace.runs[place].core) == core {
        let run = trace.runs[place]
        busy += run.ended - run.begun
        count += 1
        encoder.add(run, trace.tasks[Int(run.task)].id, least: least, to: &runs)
        place += 1
      }
      encoder.flush(to: &runs)
      runsShown += encoder.singles
      var object = JSONObject()
      object.add("name", CoreID(core).description)
      object.add("first", first)
      object.add("bytes", runs.bytes.count - first)
      object.add("runs", count)
      object.add("busy", busy)
      cores.append(object)
    }
  }

  // MARK: Everything else

  var json: String {
    let summary = TraceSummary(trace)
    var object = JSONObject()
    object.add("session", trace.session.name)
    object.add("span", span)
    object.add("tasks", trace.tasks.count)
    object.add("runs", trace.runs.count)
    object.add("shown", runsShown)
    object.add("ahead", summary.ahead)
    object.add("dropped", trace.session.dropped &+ trace.session.damaged)
    object.add("kernels", trace.session.kernels.indices.map { trace.session.kernelName($0) })
    object.add("cores", cores)
    object.add("table", summary.kernels.map(kernel))
    object.add(
      "scopes",
      summary.scopes.map { scope in
        var entry = JSONObject()
        entry.add("name", scope.name)
        entry.add("tasks", scope.tasks)
        entry.add("sum_ns", scope.nanoseconds)
        return entry
      })
    object.add("stages", summary.stages.filter { $0.times.count > 0 }.map(stage))
    object.add("rings", trace.usedRings.map(ring))
    object.add("ready", levels(.ready))
    object.add("events", trace.instants.filter { $0.kind != .workerReady }.map(event))
    object.add("path", path())
    // Nothing in a text ends the element that it stands in.
    return object.text.replacing("<", with: "\\u003c")
  }

  private func kernel(_ kernel: TraceSummary.Kernel) -> JSONObject {
    var object = kernel.runs.json
    object.add("name", kernel.name)
    object.add("lost", kernel.lost)
    return object
  }

  /// With a histogram of four bars an octave, from 2^0 ns on.
  private func stage(_ stage: Stage, _ times: Distribution) -> JSONObject {
    var object = times.json
    object.add("name", stage.name)
    var bars = [Int](repeating: 0, count: 160)
    for time in trace.times(of: stage) {
      let value = max(1, time)
      let octave = 63 - value.leadingZeroBitCount
      let quarter = octave < 2 ? 0 : Int(value >> UInt64(octave - 2)) & 3
      bars[min(159, octave * 4 + quarter)] += 1
    }
    object.add("bars", bars.map(String.init))
    return object
  }

  private func ring(_ ring: Int) -> JSONObject {
    var object = JSONObject()
    object.add("ring", ring)
    let sizes = ring < trace.session.rings.count ? trace.session.rings[ring] : nil
    object.add("window", sizes?.taskWindow ?? 0)
    object.add("consumedWindow", sizes?.consumedWindow ?? 0)
    object.add("released", levels(.window(ring: ring)))
    object.add("consumed", levels(.consumedWindow(ring: ring)))
    return object
  }

  /// The most of each part of the time.
  private func levels(_ wanted: TraceCounter) -> [String] {
    var levels = [Int](repeating: -1, count: Self.bins)
    var value = 0
    var bin = 0
    trace.eachCounter(wanted) { time, new in
      let place = min(Self.bins - 1, Int((time - origin) * UInt64(Self.bins) / (span + 1)))
      while bin < place {
        bin += 1
        levels[bin] = value
      }
      levels[place] = max(levels[place], new)
      value = new
    }
    while bin + 1 < Self.bins {
      bin += 1
      levels[bin] = value
    }
    return levels.map { String(max(0, $0)) }
  }

  private func event(_ instant: TraceInstant) -> JSONObject {
    var object = JSONObject()
    object.add("time", instant.time - min(instant.time, origin))
    object.add("what", instant.kind.rawValue)
    object.add("core", instant.core)
    object.add("text", instant.text)
    return object
  }

  private func path() -> JSONObject {
    let pieces = CriticalPath(trace).pieces
    var object = JSONObject()
    object.add(
      "kinds",
      PathKind.allCases.map { kind in
        let own = pieces.filter { $0.kind == kind }
        var entry = JSONObject()
        entry.add("name", kind.name)
        entry.add("count", own.count)
        entry.add("sum", own.reduce(UInt64(0)) { $0 + $1.end - $1.begin })
        return entry
      })
    // Kind or kernel, begin, end: neighbours of less than a 3000th are drawn as one.
    var tiles: [(what: Int, begin: UInt64, end: UInt64)] = []
    for piece in pieces {
      let what =
        piece.kind == .kernel ? PathKind.allCases.count + Int(piece.kernel) : piece.kind.rawValue
      if let last = tiles.last,
        last.what == what || piece.end - last.begin < span / 3000
      {
        if piece.end - piece.begin > last.end - last.begin { tiles[tiles.count - 1].what = what }
        tiles[tiles.count - 1].end = piece.end
      } else {
        tiles.append((what, piece.begin, piece.end))
      }
    }
    object.add(
      "tiles", tiles.flatMap { ["\($0.what)", "\($0.begin - origin)", "\($0.end - origin)"] })
    return object
  }
}

/// The runs of a core, one behind another: the gap before, the length, what it is.
private struct CoreRuns {
  private var time: UInt64
  private var local: Int64 = 0
  private var group: (begin: UInt64, end: UInt64, busy: UInt64, count: UInt64, kernel: UInt16)?
  private(set) var singles = 0

  init(origin: UInt64) { time = origin }

  mutating func add(_ run: TraceRun, _ id: TaskID, least: UInt64, to out: inout ProtoWriter) {
    let length = run.ended - run.begun
    if length < least, !run.isLost {
      if let open = group, open.kernel == run.kernel, run.begun - open.end < least {
        group = (open.begin, run.ended, open.busy + length, open.count + 1, open.kernel)
      } else {
        flush(to: &out)
        group = (run.begun, run.ended, length, 1, run.kernel)
      }
      return
    }
    flush(to: &out)
    singles += 1
    head(run.begun, run.ended, run.kernel, flags: run.isLost ? 2 : 0, to: &out)
    let change = Int64(id.local) - local
    local = Int64(id.local)
    let zigzag = UInt64(bitPattern: change << 1 ^ change >> 63)
    out.varint(zigzag << 3 | UInt64(id.ring))
  }

  mutating func flush(to out: inout ProtoWriter) {
    guard let open = group else { return }
    group = nil
    head(open.begin, open.end, open.kernel, flags: 1, to: &out)
    out.varint(open.count)
    out.varint(open.busy)
  }

  private mutating func head(
    _ begin: UInt64, _ end: UInt64, _ kernel: UInt16, flags: UInt64, to out: inout ProtoWriter
  ) {
    out.varint(begin - min(begin, time))
    out.varint(end - begin)
    out.varint(UInt64(kernel) << 2 | flags)
    time = end
  }
}
