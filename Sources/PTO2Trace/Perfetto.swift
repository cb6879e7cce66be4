internal import PTO2Protocol

/// Field numbers of Perfetto's trace_packet.proto, track_event.proto, track_descriptor.proto.
enum Perfetto {
  static let packet: UInt64 = 1

  enum Packet {
    static let timestamp: UInt64 = 8
    static let sequence: UInt64 = 10
    static let event: UInt64 = 11
    static let interned: UInt64 = 12
    static let flags: UInt64 = 13
    static let track: UInt64 = 60
  }
  enum Event {
    static let annotation: UInt64 = 4
    static let type: UInt64 = 9
    static let nameID: UInt64 = 10
    static let track: UInt64 = 11
    static let name: UInt64 = 23
    static let counter: UInt64 = 30
    static let flow: UInt64 = 47
    static let endsFlow: UInt64 = 48
    // Types.
    static let begin: UInt64 = 1
    static let end: UInt64 = 2
    static let instant: UInt64 = 3
    static let count: UInt64 = 4
  }
  enum Annotation {
    static let nameID: UInt64 = 1
    static let bool: UInt64 = 2
    static let uint: UInt64 = 3
    static let int: UInt64 = 4
    static let text: UInt64 = 6
  }
  enum Interned {
    static let eventNames: UInt64 = 2
    static let annotationNames: UInt64 = 3
    static let id: UInt64 = 1
    static let name: UInt64 = 2
  }
  enum Track {
    static let uuid: UInt64 = 1
    static let name: UInt64 = 2
    static let process: UInt64 = 3
    static let thread: UInt64 = 4
    static let parent: UInt64 = 5
    static let counter: UInt64 = 8
  }

  /// The tracks of a session, by their uuids.
  enum Tracks {
    static let orchestrator: UInt64 = 1
    static let scheduler: UInt64 = 2
    static let workers: UInt64 = 3
    static let link: UInt64 = 4
    static func thread(_ index: Int) -> UInt64 { 10 + UInt64(index) }
    static func core(_ index: Int) -> UInt64 { 100 + UInt64(index) }
    static let ready: UInt64 = 1000
    static func transfer(_ index: Int) -> UInt64 { 2000 + UInt64(index) }
    /// Tracks of a rank in a file of several.
    static let ofARank: UInt64 = 1 << 32
    static func window(_ ring: Int) -> UInt64 { 1001 + UInt64(ring) * 2 }
    static func consumedWindow(_ ring: Int) -> UInt64 { 1002 + UInt64(ring) * 2 }
  }
}

/// What is said of a run or a task beside its name: the names of annotations and of arguments
/// in Chrome's format. Times are nanoseconds relative to the beginning of the slice.
enum Fact: UInt64, CaseIterable {
  case ring = 1
  case task, block, slot, lane, attempt
  case lost
  case sinceSubmitted, sinceWired, sinceReady, sinceDispatched, sinceOwnDispatch
  case untilCompleted, untilReleased, untilConsumed
  case readyBy
  // Of the session.
  case name, pid, clusters, schedulerThreads, tasks, runs, records, dropped, damaged
  case taskWindow, consumedWindow, core, text
  // Of a task.
  case scope
  // Of several ranks.
  case rank, ranks, boot, peer, transfer

  var text: String {
    switch self {
    case .sinceSubmitted: "since_submitted_ns"
    case .sinceWired: "since_wired_ns"
    case .sinceReady: "since_ready_ns"
    case .sinceDispatched: "since_dispatched_ns"
    case .sinceOwnDispatch: "since_own_dispatch_ns"
    case .untilCompleted: "until_completed_ns"
    case .untilReleased: "until_released_ns"
    case .untilConsumed: "until_consumed_ns"
    case .readyBy: "ready_by"
    case .schedulerThreads: "scheduler_threads"
    case .taskWindow: "task_window"
    case .consumedWindow: "consumed_window"
    default: "\(self)"
    }
  }
}

enum FactValue {
  case number(Int64)
  case flag
  case text(String)
}

extension Trace {
  /// What a slice tells of its task: of its times only one slice a task does.
  func facts(of task: TraceTask, at time: UInt64, _ body: (Fact, FactValue) -> Void) {
    func since(_ fact: Fact, _ value: UInt64) {
      if value != 0 { body(fact, .number(Int64(bitPattern: time &- value))) }
    }
    func until(_ fact: Fact, _ value: UInt64) {
      if value != 0 { body(fact, .number(Int64(bitPattern: value &- time))) }
    }
    since(.sinceSubmitted, task.submitted)
    since(.sinceWired, task.wired)
    since(.sinceReady, task.ready)
    since(.sinceDispatched, task.dispatched)
    until(.untilCompleted, task.completed)
    until(.untilReleased, task.released)
    until(.untilConsumed, task.consumed)
    if let name = session.scopeName(Int(task.scope)) { body(.scope, .text(name)) }
    if let name = session.taskName(Int(task.name)) { body(.name, .text(name)) }
    if task.cause >= 0 {
      body(.readyBy, .number(Int64(bitPattern: tasks[Int(task.cause)].id.rawValue)))
    }
  }

  func facts(of id: TaskID, _ body: (Fact, FactValue) -> Void) {
    body(.ring, .number(Int64(id.ring)))
    body(.task, .number(Int64(id.local)))
  }

  func facts(of transfer: TraceTransfer, _ body: (Fact, FactValue) -> Void) {
    body(.peer, .number(Int64(transfer.peer)))
    body(.transfer, .number(Int64(transfer.sequence)))
  }

  func facts(of run: TraceRun, _ body: (Fact, FactValue) -> Void) {
    if run.block != 0 { body(.block, .number(Int64(run.block))) }
    if run.subtask != 0 { body(.slot, .number(Int64(run.subtask))) }
    body(.lane, .number(Int64(run.lane)))
    if run.attempt != 1 { body(.attempt, .number(Int64(run.attempt))) }
    if run.isLost { body(.lost, .flag) }
  }

  func sessionFacts(_ body: (Fact, FactValue) -> Void) {
    body(.name, .text(session.name))
    for (fact, value) in [
      (Fact.pid, session.pid), (.clusters, UInt64(session.clusters)),
      (.schedulerThreads, UInt64(session.schedulerThreads)), (.tasks, UInt64(tasks.count)),
      (.runs, UInt64(runs.count)), (.records, session.records), (.dropped, session.dropped),
      (.damaged, session.damaged),
    ] { body(fact, .number(Int64(clamping: value))) }
    if session.ranks > 1 {
      body(.rank, .number(Int64(session.rank)))
      body(.ranks, .number(Int64(session.ranks)))
      body(.boot, .text(session.boot))
    }
    for ring in session.rings {
      body(.taskWindow, .number(Int64(clamping: ring.taskWindow)))
      body(.consumedWindow, .number(Int64(clamping: ring.consumedWindow)))
    }
  }

  /// Of each task, the run that tells its times; nil for one that has not run.
  func firstRuns() -> [Int32?] {
    var first = [Int32?](repeating: nil, count: tasks.count)
    for (place, run) in runs.enumerated() {
      let old = first[Int(run.task)]
      if old == nil || runs[Int(old!)].begun > run.begun { first[Int(run.task)] = Int32(place) }
    }
    return first
  }
}
