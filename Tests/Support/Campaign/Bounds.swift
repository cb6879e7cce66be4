import Glibc
import TestSupport

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
    rows.append(
      Row(what: "scheduler SIGKILL to the next attached", milliseconds: try schedulers()))
    rows.append(
      Row(what: "orchestrator SIGKILL to nothing left", milliseconds: try orchestrators()))
    return rows
  }

  static func table(_ rows: [Row]) -> String {
    func cell(_ value: Double) -> String {
      let tenths = Int((value * 10).rounded())
      return padded("\(tenths / 10).\(tenths % 10)", 8, left: false)
    }
    var lines = [padded("milliseconds from", 42, left: true) + "   kills     p50     p99     max"]
    for row in rows {
      lines.append(
        padded(row.what, 42, left: true) + padded("\(row.milliseconds.count)", 8, left: false)
          + cell(row.percentile(50)) + cell(row.percentile(99)) + cell(row.percentile(100)))
    }
    return lines.joined(separator: "\n")
  }

  static func json(_ rows: [Row]) -> String {
    "["
      + rows.map {
        "{\"what\":\"\($0.what)\",\"kills\":\($0.milliseconds.count),\"p50\":\($0.percentile(50)),\"p99\":\($0.percentile(99)),\"max\":\($0.percentile(100))}"
      }.joined(separator: ",") + "]"
  }

  struct NotExercised: Error, CustomStringConvertible {
    var description: String
  }

  /// A session of one cluster that has work for as long as it is looked at.
  private struct Target {
    let segment: String
    let orchestrator: Orchestrator
    let view: SegmentView

    init(_ name: String) throws {
      segment = "test-pto2-bounds-\(getpid())-\(name)"
      orchestrator = Orchestrator(
        "pto2-campaign",
        [
          "program", "--shape", "independent", "--tasks", "2000000", "--elements", "1", "--spin",
          "200", "--segment", segment, "--quiet", "--task-window", "256",
        ])
      var view: SegmentView?
      let deadline = now() + 20_000_000_000
      while view == nil || !(0..<view!.coreCount).allSatisfy(view!.isServed) {
        guard now() < deadline, orchestrator.poll() == nil else {
          throw NotExercised(description: "a session did not begin: \(orchestrator.errors)")
        }
        if view == nil { view = SegmentView(segment) }
        usleep(500)
      }
      self.view = view!
    }

    /// - Returns: milliseconds until the condition holds.
    func time(since begin: UInt64, _ what: String, _ condition: () -> Bool) throws -> Double {
      while !condition() {
        if now() > begin + 20_000_000_000 {
          throw NotExercised(description: "\(what): nothing within 20 s. \(orchestrator.errors)")
        }
        usleep(20)
      }
      return Double(now() - begin) / 1e6
    }

    func end() {
      orchestrator.signal(SIGKILL)
      _ = orchestrator.wait(seconds: 10)
      let deadline = now() + 10_000_000_000
      while isNamed(segment) || !processes(with: segment).isEmpty, now() < deadline { usleep(500) }
    }
  }

  /// So that signals come at any time within the 20 ms after which processes look.
  private mutating func pause() { usleep(UInt32.random(in: 1000...30000, using: &random)) }

  private mutating func workers(_ signal: Int32) throws -> (fenced: [Double], ready: [Double]) {
    let target = try Target("worker-\(signal)")
    defer { target.end() }
    let view = target.view
    var fenced: [Double] = []
    var ready: [Double] = []
    while fenced.count < kills {
      _ = try target.time(since: now(), "workers") {
        (0..<view.coreCount).allSatisfy(view.isServed)
      }
      pause()
      let core = Int.random(in: 0..<view.coreCount, using: &random)
      let before = view.ready(core)
      guard let victim = Victim(view.workerPid(core), segment: target.segment) else { continue }
      let begin = now()
      guard victim.signal(signal) else { continue }
      fenced.append(try target.time(since: begin, "fence") { view.fenced(core) == before })
      ready.append(try target.time(since: begin, "READY") { view.ready(core) != before })
    }
    return (fenced, ready)
  }

  private mutating func schedulers() throws -> [Double] {
    let target = try Target("scheduler")
    defer { target.end() }
    let view = target.view
    var times: [Double] = []
    while times.count < kills {
      pause()
      let before = view.schedulerPid
      guard before != 0, let victim = Victim(before, segment: target.segment) else { continue }
      let begin = now()
      guard victim.signal(SIGKILL) else { continue }
      times.append(
        try target.time(since: begin, "scheduler") {
          view.schedulerPid != before && view.schedulerPid != 0 && view.isSchedulerAttached
        })
    }
    return times
  }

  private mutating func orchestrators() throws -> [Double] {
    var times: [Double] = []
    while times.count < kills {
      let target = try Target("orchestrator-\(times.count)")
      pause()
      let begin = now()
      target.orchestrator.signal(SIGKILL)
      let time = try target.time(since: begin, "the end") {
        target.orchestrator.poll() != nil && !isNamed(target.segment)
          && processes(with: target.segment).isEmpty
      }
      times.append(time)
    }
    return times
  }
}
