internal import PTO2Protocol
package import PTO2System

extension Trace {
  /// As Chrome's JSON, one event a line; times in microseconds.
  package func writeChrome(to file: OutputFile) {
    var encoder = ChromeEncoder(self, file)
    encoder.writeAll()
  }
}

struct ChromeEncoder {
  private let trace: Trace
  private let file: OutputFile
  private var text = ""
  private var isFirst = true

  init(_ trace: Trace, _ file: OutputFile) {
    self.trace = trace
    self.file = file
  }

  mutating func writeAll() {
    let trace = self.trace
    text = "[\n"
    let roles = ["orchestrator \(trace.session.pid)", "scheduler", "workers"]
    for (index, role) in roles.enumerated() { name(index + 1, 0, "process_name", role) }
    for index in 0..<trace.session.schedulerThreads {
      name(2, 10 + index, "thread_name", "scheduler thread \(index)")
    }
    for core in 0..<trace.session.coreCount {
      name(3, 100 + core, "thread_name", CoreID(core).description)
    }
    event("i", "session", trace.span.lowerBound, 1, 0, more: ",\"s\":\"g\"") {
      trace.sessionFacts($0)
    }
    let first = trace.firstRuns()
    for (place, run) in trace.runs.enumerated() {
      let task = trace.tasks[Int(run.task)]
      let more = ",\"dur\":" + Self.microseconds(run.ended - run.begun)
      event(
        "X", trace.session.kernelName(Int(run.kernel)), run.begun, 3, 100 + Int(run.core),
        more: more
      ) { body in
        trace.facts(of: task.id, body)
        trace.facts(of: run, body)
        if first[Int(run.task)] == Int32(place) { trace.facts(of: task, at: run.begun, body) }
      }
    }
    let transfers = TransferTracks(trace).tracks
    if !transfers.isEmpty { name(4, 0, "process_name", "link") }
    for (index, track) in transfers.enumerated() {
      name(4, 1000 + index, "thread_name", track.name)
      for place in track.tasks {
        let task = trace.tasks[place]
        let more = ",\"dur\":" + Self.microseconds(task.completed - task.dispatched)
        event("X", track.name, task.dispatched, 4, 1000 + index, more: more) { body in
          trace.facts(of: task.id, body)
          if let transfer = task.transfer { trace.facts(of: transfer, body) }
          trace.facts(of: task, at: task.dispatched, body)
        }
      }
    }
    for instant in trace.instants {
      let (pid, tid) = instant.core >= 0 ? (3, 100 + instant.core) : (2, 10)
      event("i", instant.kind.rawValue, instant.time, pid, tid, more: ",\"s\":\"g\"") {
        if !instant.text.isEmpty { $0(.text, .text(instant.text)) }
      }
    }
    trace.eachCounter { counter, time, value in
      event("C", Self.name(counter), time, 2, 0) { $0(.tasks, .number(Int64(value))) }
    }
    text += "\n]\n"
    flush()
  }

  private static func name(_ counter: TraceCounter) -> String {
    switch counter {
    case .ready: "ready tasks"
    case .window(let ring): "ring \(ring) tasks to RELEASED"
    case .consumedWindow(let ring): "ring \(ring) tasks to CONSUMED"
    }
  }

  private mutating func flush() {
    file.write(Array(text.utf8))
    text = ""
  }

  private mutating func name(_ pid: Int, _ tid: Int, _ what: String, _ name: String) {
    line(
      "{\"ph\":\"M\",\"pid\":\(pid),\"tid\":\(tid),\"name\":\"\(what)\",\"args\":{\"name\":"
        + JSONObject.quoted(name) + "}}")
  }

  private mutating func line(_ json: String) {
    text += isFirst ? json : ",\n" + json
    isFirst = false
    if text.utf8.count >= 1 << 20 { flush() }
  }

  private mutating func event(
    _ phase: String, _ name: String, _ time: UInt64, _ pid: Int, _ tid: Int, more: String = "",
    _ facts: ((Fact, FactValue) -> Void) -> Void
  ) {
    var arguments = ""
    facts { fact, value in
      let json =
        switch value {
        case .number(let number): "\(number)"
        case .flag: "true"
        case .text(let text): JSONObject.quoted(text)
        }
      arguments += (arguments.isEmpty ? "" : ",") + "\"" + fact.text + "\":" + json
    }
    line(
      "{\"ph\":\"\(phase)\",\"name\":" + JSONObject.quoted(name) + ",\"ts\":"
        + Self.microseconds(time) + ",\"pid\":\(pid),\"tid\":\(tid)" + more + ",\"args\":{"
        + arguments + "}}")
  }

  static func microseconds(_ nanoseconds: UInt64) -> String {
    let rest = String(nanoseconds % 1000)
    return "\(nanoseconds / 1000)." + String(repeating: "0", count: 3 - rest.count) + rest
  }
}
