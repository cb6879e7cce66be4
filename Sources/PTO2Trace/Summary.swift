internal import PTO2Protocol
package import PTO2System

/// A distribution: how many, and where they lie, in nanoseconds.
package struct Distribution: Equatable, Sendable {
  package var count = 0
  package var sum: UInt64 = 0
  package var minimum: UInt64 = 0
  package var median: UInt64 = 0
  package var ninetieth: UInt64 = 0
  package var ninetyNinth: UInt64 = 0
  package var maximum: UInt64 = 0

  init(_ values: [UInt64]) {
    let sorted = values.sorted()
    guard let last = sorted.last else { return }
    count = sorted.count
    sum = sorted.reduce(0, &+)
    minimum = sorted[0]
    median = sorted[(count - 1) / 2]
    ninetieth = sorted[(count - 1) * 9 / 10]
    ninetyNinth = sorted[(count - 1) * 99 / 100]
    maximum = last
  }

  var json: JSONObject {
    var object = JSONObject()
    object.add("count", count)
    object.add("sum_ns", sum)
    object.add("min_ns", minimum)
    object.add("median_ns", median)
    object.add("p90_ns", ninetieth)
    object.add("p99_ns", ninetyNinth)
    object.add("max_ns", maximum)
    return object
  }
}

/// The parts of a task's way, as the report and the summary show them.
package enum Stage: CaseIterable, Sendable {
  case submitToWired, wiredToReady, readyToDispatch, dispatchToBegin, kernel, endToReleased
  case releasedToConsumed

  package var name: String {
    switch self {
    case .submitToWired: "submit to wired"
    case .wiredToReady: "wired to ready"
    case .readyToDispatch: "ready to dispatch"
    case .dispatchToBegin: "dispatch to begin"
    case .kernel: "kernel"
    case .endToReleased: "end to RELEASED"
    case .releasedToConsumed: "RELEASED to CONSUMED"
    }
  }
}

/// A trace in numbers.
package struct TraceSummary: Sendable {
  package struct Kernel: Sendable {
    package var name: String
    package var runs: Distribution
    package var lost: Int
  }
  package struct Core: Sendable {
    package var name: String
    package var kernels: Int
    package var nanoseconds: UInt64
  }

  /// Tasks of scopes of one name, and the time of their kernels.
  package struct Scope: Sendable {
    package var name: String
    package var tasks: Int
    package var nanoseconds: UInt64
  }

  package let session: TraceSession
  package let scopes: [Scope]
  package let seconds: Double
  package let tasks: Int
  /// Dispatched before they were READY.
  package let ahead: Int
  package let edges: Int
  package let kernels: [Kernel]
  package let cores: [Core]
  package let stages: [(stage: Stage, times: Distribution)]
  package let instants: [TraceInstant]
  private let origin: UInt64

  package init(_ trace: Trace) {
    session = trace.session
    let span = trace.span
    origin = span.lowerBound
    seconds = Double(span.count) / 1e9
    tasks = trace.tasks.count
    edges = trace.edges.count
    ahead = trace.tasks.count { $0.dispatched != 0 && $0.dispatched < $0.ready }
    var times: [UInt16: [UInt64]] = [:]
    var lost: [UInt16: Int] = [:]
    var cores = (0..<trace.session.coreCount).map {
      Core(name: CoreID($0).description, kernels: 0, nanoseconds: 0)
    }
    for run in trace.runs {
      // One that was lost is in no count of the session's report either.
      if run.isLost {
        lost[run.kernel, default: 0] += 1
        continue
      }
      times[run.kernel, default: []].append(run.ended - run.begun)
      if Int(run.core) < cores.count {
        cores[Int(run.core)].kernels += 1
        cores[Int(run.core)].nanoseconds += run.ended - run.begun
      }
    }
    self.cores = cores
    kernels = Set(times.keys).union(lost.keys).sorted().map { id in
      Kernel(
        name: trace.session.kernelName(Int(id)), runs: Distribution(times[id] ?? []),
        lost: lost[id] ?? 0)
    }
    stages = Stage.allCases.map { ($0, Distribution(trace.times(of: $0))) }
    instants = trace.instants
    scopes = Self.scopes(trace)
  }

  /// By name, of those that tasks were submitted in.
  private static func scopes(_ trace: Trace) -> [Scope] {
    if trace.session.scopes.isEmpty { return [] }
    var all = trace.session.scopes.map { Scope(name: $0, tasks: 0, nanoseconds: 0) }
    func place(_ task: TraceTask) -> Int? {
      trace.session.scopeName(Int(task.scope)) == nil ? nil : Int(task.scope) - 1
    }
    for task in trace.tasks { if let place = place(task) { all[place].tasks += 1 } }
    for run in trace.runs where !run.isLost {
      if let place = place(trace.tasks[Int(run.task)]) {
        all[place].nanoseconds += run.ended - run.begun
      }
    }
    return all.filter { $0.tasks > 0 }
  }

  package var json: JSONObject {
    var object = JSONObject()
    object.add("session", session.name)
    object.add("seconds", seconds)
    object.add("tasks", tasks)
    object.add("dispatched_ahead", ahead)
    object.add("edges", edges)
    object.add("records", session.records)
    object.add("dropped", session.dropped)
    object.add("damaged", session.damaged)
    object.add(
      "kernels",
      kernels.map { kernel in
        var entry = kernel.runs.json
        entry.add("name", kernel.name)
        entry.add("lost", kernel.lost)
        return entry
      })
    object.add(
      "cores",
      cores.map { core in
        var entry = JSONObject()
        entry.add("name", core.name)
        entry.add("kernels", core.kernels)
        entry.add("kernel_ns", core.nanoseconds)
        return entry
      })
    object.add(
      "scopes",
      scopes.map { scope in
        var entry = JSONObject()
        entry.add("name", scope.name)
        entry.add("tasks", scope.tasks)
        entry.add("kernel_ns", scope.nanoseconds)
        return entry
      })
    object.add(
      "stages",
      stages.map { stage in
        var entry = stage.times.json
        entry.add("name", stage.stage.name)
        return entry
      })
    object.add(
      "events",
      instants.map { instant in
        var entry = JSONObject()
        entry.add("event", instant.kind.rawValue)
        entry.add("seconds", Double(instant.time) / 1e9 - Double(origin) / 1e9)
        if instant.core >= 0 { entry.add("core", CoreID(instant.core).description) }
        if !instant.text.isEmpty { entry.add("text", instant.text) }
        return entry
      })
    return object
  }

  package var text: String {
    var text = "trace of session \(session.name): \(tasks) tasks in \(fixed(seconds, 3)) s"
    if ahead > 0 { text += ", \(ahead) dispatched before they were READY" }
    text += "\n"
    if session.dropped + session.damaged > 0 {
      text +=
        "Incomplete: \(session.dropped) records found their buffer full (a larger --trace-buffer "
        + "takes them), \(session.damaged) were overwritten.\n"
    }
    func table(_ head: [String], _ rows: [[String]]) {
      if rows.isEmpty { return }
      var table = TextTable(
        head.enumerated().map { TextTable.Column($1, $0 == 0 ? .left : .right) })
      for row in rows { table.add(row) }
      text += "\n" + table.text
    }
    func cells(_ times: Distribution) -> [String] {
      [
        "\(times.count)", duration(times.sum), duration(times.median), duration(times.ninetieth),
        duration(times.ninetyNinth), duration(times.maximum),
      ]
    }
    let head = ["COUNT", "SUM", "MEDIAN", "90%", "99%", "MAX"]
    table(["KERNEL"] + head, kernels.map { [$0.name] + cells($0.runs) })
    table(
      ["FROM, TO"] + head,
      stages.filter { $0.times.count > 0 }.map { [$0.stage.name] + cells($0.times) })
    table(
      ["SCOPE", "TASKS", "IN KERNELS"],
      scopes.map { [$0.name, "\($0.tasks)", duration($0.nanoseconds)] })
    table(
      ["CORE", "KERNELS", "BUSY"],
      cores.map {
        [
          $0.name, "\($0.kernels)",
          seconds > 0 ? fixed(Double($0.nanoseconds) / seconds / 1e7, 1) + "%" : "0%",
        ]
      })
    let told = instants.filter { $0.kind != .workerReady }
    if told.count > 1 || told.first.map({ $0.kind != .schedulerReady }) ?? false {
      table(
        ["EVENT", "CORE", "AT"],
        told.map {
          [
            $0.kind.rawValue + ($0.text.isEmpty ? "" : ": " + $0.text),
            $0.core >= 0 ? CoreID($0.core).description : "",
            duration($0.time - min($0.time, origin)),
          ]
        })
    }
    return text
  }
}

extension Trace {
  /// Of every task, or of every run, where both ends are known.
  func times(of stage: Stage) -> [UInt64] {
    func between(_ first: KeyPath<TraceTask, UInt64>, _ last: KeyPath<TraceTask, UInt64>)
      -> [UInt64]
    {
      tasks.compactMap {
        let (begin, end) = ($0[keyPath: first], $0[keyPath: last])
        return begin != 0 && end >= begin ? end - begin : nil
      }
    }
    switch stage {
    case .submitToWired: return between(\.submitted, \.wired)
    case .wiredToReady: return between(\.wired, \.ready)
    case .readyToDispatch: return between(\.ready, \.dispatched)
    case .dispatchToBegin:
      return runs.compactMap {
        $0.dispatched != 0 && $0.begun >= $0.dispatched ? $0.begun - $0.dispatched : nil
      }
    case .kernel: return runs.compactMap { $0.isLost ? nil : $0.ended - $0.begun }
    case .endToReleased:
      var last = [UInt64](repeating: 0, count: tasks.count)
      for run in runs { last[Int(run.task)] = max(last[Int(run.task)], run.ended) }
      return zip(tasks, last).compactMap { task, end in
        end != 0 && task.released >= end ? task.released - end : nil
      }
    case .releasedToConsumed: return between(\.released, \.consumed)
    }
  }
}

/// `850 ns`, `12.3 us`, `4.56 ms`, `7.89 s`.
package func duration(_ nanoseconds: UInt64) -> String {
  let value = Double(nanoseconds)
  if nanoseconds < 1000 { return "\(nanoseconds) ns" }
  if nanoseconds < 1_000_000 { return fixed(value / 1e3, 1) + " us" }
  if nanoseconds < 1_000_000_000 { return fixed(value / 1e6, 2) + " ms" }
  return fixed(value / 1e9, 3) + " s"
}
