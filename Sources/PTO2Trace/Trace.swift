package import PTO2Protocol

/// What happened in a session: its tasks and kernel runs with their times, in nanoseconds of
/// CLOCK_MONOTONIC; 0 where nothing was recorded.
package struct Trace: Sendable {
  package var session = TraceSession()
  /// By ring, and in it in the order of submission.
  package var tasks: [TraceTask] = []
  /// By core, and there in the order of their beginning.
  package var runs: [TraceRun] = []
  /// In the order of their times.
  package var instants: [TraceInstant] = []
  /// Producer and consumer by their places in `tasks`; with `--trace-edges` alone.
  package var edges: [TraceEdge] = []

  package init() {}

  /// From the first thing that happened to the last.
  package var span: Range<UInt64> {
    var first = UInt64.max
    var last: UInt64 = 0
    func note(_ time: UInt64) {
      if time == 0 { return }
      first = min(first, time)
      last = max(last, time)
    }
    for task in tasks { for time in task.times { note(time) } }
    for run in runs {
      note(run.begun)
      note(run.ended)
    }
    return first <= last ? first..<last : 0..<0
  }

  /// All times anew: of a machine with another clock.
  package mutating func shift(by change: UInt64) {
    func move(_ time: inout UInt64) { if time != 0 { time &+= change } }
    for index in tasks.indices {
      for time in TraceTask.allTimes { move(&tasks[index][keyPath: time]) }
    }
    for index in runs.indices {
      move(&runs[index].dispatched)
      move(&runs[index].begun)
      move(&runs[index].ended)
    }
    for index in instants.indices { move(&instants[index].time) }
  }
}

/// What a session is made of, and how much of it was recorded.
package struct TraceSession: Equatable, Sendable {
  package struct Ring: Equatable, Sendable {
    package var taskWindow, consumedWindow: UInt64
  }
  package var name = ""
  package var pid: UInt64 = 0
  package var clusters = 1
  package var schedulerThreads = 1
  /// By kernel id.
  package var kernels: [String] = []
  /// Names of scopes, and of tasks, each by number less one.
  package var scopes: [String] = []
  package var names: [String] = []
  package var rings: [Ring] = []
  package var rank = 0
  package var ranks = 1
  /// Of the machine since its start: times of one boot can be compared.
  package var boot = ""
  package var records: UInt64 = 0
  /// Records that found their buffer full, and those that were overwritten.
  package var dropped: UInt64 = 0
  package var damaged: UInt64 = 0

  package init() {}

  package var coreCount: Int { clusters * 3 }
  /// Nil for 0, and for a number that none has.
  package func scopeName(_ number: Int) -> String? {
    number > 0 && number <= scopes.count ? scopes[number - 1] : nil
  }
  package func taskName(_ number: Int) -> String? {
    number > 0 && number <= names.count ? names[number - 1] : nil
  }
  package func kernelName(_ id: Int) -> String {
    id < kernels.count && !kernels[id].isEmpty ? kernels[id] : "kernel \(id)"
  }
}

package struct TraceTask: Equatable, Sendable {
  package var id: TaskID
  package var submitted: UInt64 = 0
  package var wired: UInt64 = 0
  /// When the scheduler has seen its last producer end; for one that was dispatched ahead of
  /// that, later than it began at times.
  package var ready: UInt64 = 0
  /// The first dispatch; 0 without a kernel, unless it is a transfer.
  package var dispatched: UInt64 = 0
  package var completed: UInt64 = 0
  package var released: UInt64 = 0
  package var consumed: UInt64 = 0
  /// Whose end has made it ready: a place in `Trace.tasks`, -1 when no one's.
  package var cause: Int32 = -1
  /// The numbers of its scope's name and its own; 0 for none.
  package var scope: UInt16 = 0
  package var name: UInt16 = 0
  /// Dispatched is then when the link was given it.
  package var transfer: TraceTransfer?

  package init(_ id: TaskID) { self.id = id }

  fileprivate static var allTimes: [WritableKeyPath<TraceTask, UInt64>] {
    [\.submitted, \.wired, \.ready, \.dispatched, \.completed, \.released, \.consumed]
  }

  package var times: [UInt64] {
    [submitted, wired, ready, dispatched, completed, released, consumed]
  }
}

/// One kernel, once.
package struct TraceRun: Equatable, Sendable {
  /// A place in `Trace.tasks`.
  package var task: Int32
  package var kernel: UInt16
  package var core: UInt8
  package var lane: UInt8
  package var subtask: UInt8
  /// 1 for the first; more after a worker has died.
  package var attempt: UInt8 = 1
  /// The lower 12 bits of it.
  package var block: UInt16
  package var dispatched: UInt64
  package var begun: UInt64
  /// When it ended, or its worker was found dead; the session's end where that is not known.
  package var ended: UInt64
  /// Its worker has died.
  package var isLost = false
}

package struct TraceEdge: Equatable, Sendable {
  package var producer, consumer: Int32
}

package struct TraceInstant: Equatable, Sendable {
  package enum Kind: String, Sendable, CaseIterable {
    case workerReady = "worker ready"
    case workerDied = "worker died"
    case schedulerReady = "scheduler ready"
    case fault = "fault"
  }
  package var kind: Kind
  package var time: UInt64
  /// -1 for none.
  package var core = -1
  package var text = ""

  package init(_ kind: Kind, at time: UInt64, core: Int = -1, text: String = "") {
    self.kind = kind
    self.time = time
    self.core = core
    self.text = text
  }
}
