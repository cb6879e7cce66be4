import Glibc
import Harness
import PTO2Segment
import PTO2System

/// How long recovery takes, seen from outside: the words of the segment are looked at
/// every 20 us.
struct Bounds {
  let kills: Int
  private var random: SplitMix64

  init(kills: Int, seed: UInt64) {
    self.kills = kills
    random = SplitMix64(seed: seed)
  }

  /// Milliseconds from a signal to what follows from it.
  struct Row {
    var what: String
    var milliseconds: [Double]

    /// The smallest value that so many per cent do not exceed.
    func percentile(_ percent: Int) -> Double {
      let sorted = milliseconds.sorted()
      return sorted[max(0, (sorted.count * percent + 99) / 100 - 1)]
    }
  }

  mutating func run() throws -> [Row] {
    var rows: [Row] = []
    for (signal, name) in [(SIGKILL, "worker SIGKILL"), (SIGSEGV, "worker SIGSEGV")] {
      let (fenced, ready) = try workers(signal)
      rows.append(Row(what: "\(name) to fenced", milliseconds: fenced))
      rows.append(Row(what: "\(name) to the next READY", milliseconds: ready))
    }
    let grace = UInt64(Self.graceSeconds * 1e9)
    rows += [
      Row(
        what: "kernel past its deadline to fenced, after it",
        milliseconds: try overdueKernels()),
      Row(
        what: "worker SIGSTOP to fenced, after the grace",
        milliseconds: try workers(SIGSTOP, allowed: grace).fenced),
      Row(what: "garbage in COND to fenced", milliseconds: try garbage()),
      Row(what: "scheduler SIGKILL to the next attached", milliseconds: try schedulers(SIGKILL)),
      Row(
        what: "scheduler SIGSTOP to the next, after the grace",
        milliseconds: try schedulers(SIGSTOP, allowed: grace)),
      Row(
        what: "orchestrator SIGKILL to nothing left",
        milliseconds: try sessions("orchestrator") { $0.orchestrator.signal(SIGKILL) }),
      Row(
        what: "segment truncated to nothing left",
        milliseconds: try sessions("truncated") { _ = $0.view.truncate() }),
    ]
    return rows
  }

  static func table(_ rows: [Row]) -> String {
    var table = TextTable([
      .init("milliseconds from"), .init("kills", .right), .init("p50", .right),
      .init("p99", .right), .init("max", .right),
    ])
    for row in rows {
      table.add(
        [row.what, "\(row.milliseconds.count)"]
          + [50, 99, 100].map { fixed(row.percentile($0), 1) })
    }
    return table.text
  }

  static func json(_ rows: [Row]) -> String {
    JSONObject.array(
      rows.map { row in
        var object = JSONObject()
        object.add("what", row.what)
        object.add("kills", row.milliseconds.count)
        object.add("p50", row.percentile(50))
        object.add("p99", row.percentile(99))
        object.add("max", row.percentile(100))
        return object
      }) + "\n"
  }

  struct NotExercised: Error, CustomStringConvertible {
    var description: String
  }

  /// A session of one cluster that has work for as long as it is looked at.
  private struct Target {
    let segment: String
    let orchestrator: Command
    let view: SegmentReader

    /// - Parameter spin: microseconds that a kernel takes.
    init(_ name: String, spin: Int = 200, options: [String] = []) throws {
      segment = "test-pto2-bounds-\(getpid())-\(name)"
      orchestrator = Command(
        "pto2-campaign",
        [
          "program", "--shape", "independent", "--tasks", "2000000", "--elements", "1", "--spin",
          "\(spin)", "--segment", segment, "--quiet", "--task-window", "256",
        ] + options)
      var view: SegmentReader?
      let deadline = MonotonicClock.now() + 20_000_000_000
      while view == nil || !(0..<view!.coreCount).allSatisfy(view!.isServed) {
        guard MonotonicClock.now() < deadline, orchestrator.poll() == nil else {
          throw NotExercised(description: "a session did not begin: \(orchestrator.errors)")
        }
        if view == nil { view = try? SegmentReader.open(name: segment) }
        usleep(500)
      }
      self.view = view!
    }

    /// - Returns: milliseconds until the condition holds.
    @discardableResult
    func time(since begin: UInt64, _ what: String, _ condition: () -> Bool) throws -> Double {
      while !condition() {
        if MonotonicClock.now() > begin + 20_000_000_000 {
          throw NotExercised(description: "\(what): nothing within 20 s. \(orchestrator.errors)")
        }
        usleep(20)
      }
      return (Double(MonotonicClock.now()) - Double(begin)) / 1e6
    }

    /// Until every core is served.
    func awaitWorkers() throws {
      try time(since: MonotonicClock.now(), "workers") {
        (0..<view.coreCount).allSatisfy(view.isServed(core:))
      }
    }

    func end() {
      orchestrator.signal(SIGKILL)
      _ = orchestrator.end(within: 10)
      let deadline = MonotonicClock.now() + 10_000_000_000
      while isNamed(segment) || !processIDs(of: segment).isEmpty, MonotonicClock.now() < deadline {
        usleep(500)
      }
    }
  }

  private static let graceSeconds = 0.3
  private static let graceOptions = ["--stop-grace", "\(graceSeconds)"]

  /// So that signals come at any time within the 20 ms after which processes look.
  private mutating func pause() { usleep(UInt32.random(in: 1000...30000, using: &random)) }

  /// - Parameter allowed: nanoseconds that are not counted.
  private mutating func workers(_ signal: Int32, allowed: UInt64 = 0) throws
    -> (fenced: [Double], ready: [Double])
  {
    let target = try Target("worker-\(signal)", options: Self.graceOptions)
    defer { target.end() }
    let view = target.view
    var fenced: [Double] = []
    var ready: [Double] = []
    while fenced.count < kills {
      try target.awaitWorkers()
      pause()
      let core = Int.random(in: 0..<view.coreCount, using: &random)
      let before = view.ready(core)
      guard let victim = Victim(view.workerPid(core), segment: target.segment) else { continue }
      let begin = MonotonicClock.now() + allowed
      guard victim.signal(signal) else { continue }
      fenced.append(try target.time(since: begin, "fence") { view.fenced(core) == before })
      ready.append(try target.time(since: begin, "READY") { view.ready(core) != before })
    }
    return (fenced, ready)
  }

  private mutating func schedulers(_ signal: Int32, allowed: UInt64 = 0) throws -> [Double] {
    let target = try Target("scheduler-\(signal)", options: Self.graceOptions)
    defer { target.end() }
    let view = target.view
    var times: [Double] = []
    while times.count < kills {
      pause()
      let before = view.schedulerPid
      guard before != 0, let victim = Victim(before, segment: target.segment) else { continue }
      let begin = MonotonicClock.now() + allowed
      guard victim.signal(signal) else { continue }
      times.append(
        try target.time(since: begin, "scheduler") {
          view.schedulerPid != before && view.schedulerPid != 0 && view.isSchedulerAttached
        })
    }
    return times
  }

  /// Every kernel takes longer than it may.
  private mutating func overdueKernels() throws -> [Double] {
    let deadline = 0.1
    let target = try Target(
      "deadline", spin: 400_000, options: ["--kernel-deadline", "\(deadline)"])
    defer { target.end() }
    let view = target.view
    var times: [Double] = []
    while times.count < kills {
      let core = Int.random(in: 0..<view.coreCount, using: &random)
      try target.time(since: MonotonicClock.now(), "no kernel") {
        view.runningLane(core: core) == nil
      }
      try target.time(since: MonotonicClock.now(), "a kernel") {
        view.runningLane(core: core) != nil
      }
      let before = view.ready(core)
      let begin = MonotonicClock.now() + UInt64(deadline * 1e9)
      times.append(try target.time(since: begin, "fence") { view.fenced(core) == before })
    }
    return times
  }

  /// Twice a core: the third time ends a run.
  private mutating func garbage() throws -> [Double] {
    var times: [Double] = []
    while times.count < kills {
      let target = try Target("garbage-\(times.count)", spin: 400_000)
      defer { target.end() }
      let view = target.view
      for core in (0..<2 * view.coreCount).map({ $0 / 2 }) where times.count < kills {
        var lane: UInt32?
        try target.time(since: MonotonicClock.now(), "a kernel") {
          lane = view.runningLane(core: core)
          return lane != nil
        }
        pause()
        // It has run for 30 ms of 400 at most, so its FIN does not hide the word.
        let before = view.ready(core)
        let begin = MonotonicClock.now()
        guard view.runningLane(core: core) == lane, view.damage(core, lane: lane!, 0x1234_5678)
        else {
          continue
        }
        times.append(try target.time(since: begin, "fence") { view.fenced(core) == before })
      }
    }
    return times
  }

  /// From what is done to a session to its end.
  private mutating func sessions(_ name: String, _ fault: (Target) -> Void) throws -> [Double] {
    var times: [Double] = []
    while times.count < kills {
      let target = try Target("\(name)-\(times.count)")
      pause()
      let begin = MonotonicClock.now()
      fault(target)
      times.append(
        try target.time(since: begin, "the end") {
          target.orchestrator.poll() != nil && !isNamed(target.segment)
            && processIDs(of: target.segment).isEmpty
        })
    }
    return times
  }
}
