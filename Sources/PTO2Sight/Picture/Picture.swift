package import PTO2Protocol
package import PTO2Segment
package import PTO2System

/// A session as a segment shows it at one time, in plain values: all that the tools know.
///
/// Every value was checked as it was read; what contradicts itself stands in `damage` and is
/// left out.
package struct Picture: Equatable, Sendable {
  /// The name or path that was asked for.
  package var place: String
  package var session: SessionFacts
  package var orchestrator: OrchestratorFacts
  package var scheduler: SchedulerFacts
  package var log: LogFacts
  package var rings: [RingPicture]
  package var cores: [CorePicture]
  /// What cannot be, in words.
  package var damage: [String] = []
  /// CLOCK_MONOTONIC, nanoseconds.
  package var time: UInt64 = 0
  /// Of scopes that the program has named.
  package var scopes = ScopeFacts()
  /// Of a session that is traced.
  package var trace: TraceUse?

  package init(
    place: String, session: SessionFacts, orchestrator: OrchestratorFacts = .init(),
    scheduler: SchedulerFacts = .init(), log: LogFacts = .init(), rings: [RingPicture] = [],
    cores: [CorePicture] = []
  ) {
    self.place = place
    self.session = session
    self.orchestrator = orchestrator
    self.scheduler = scheduler
    self.log = log
    self.rings = rings
    self.cores = cores
  }

  /// A task that is not CONSUMED; nil when it is, and when it was not looked at.
  package func task(_ id: TaskID) -> TaskPicture? {
    guard rings.indices.contains(id.ring) else { return nil }
    return rings[id.ring].task(id.local)
  }
}

/// What does not change in a session, and who has it.
package struct SessionFacts: Equatable, Sendable {
  package var configuration: Configuration
  package var totalBytes: UInt64
  /// Memory or disk that it takes.
  package var allocatedBytes: UInt64 = 0
  /// A process takes part.
  package var isAttached = true
  /// It was made before the machine was started last.
  package var isOfAnotherBoot = false
  /// Where the file ends too early.
  package var cutAt: UInt64?
  package var images: [String] = []

  package init(configuration: Configuration, totalBytes: UInt64) {
    self.configuration = configuration
    self.totalBytes = totalBytes
  }
}

/// Who plays a role.
package struct ProcessFacts: Equatable, Sendable {
  package var pid: Int32
  package var incarnation: UInt32 = 1
  /// Child of the orchestrator's launcher.
  package var isSupervised = true
  package var activity = ProcessIdentity.Activity.running
  /// CPU time, in clock ticks.
  package var ticks: UInt64 = 0

  package init(pid: Int32, activity: ProcessIdentity.Activity = .running) {
    self.pid = pid
    self.activity = activity
  }

  package var isGone: Bool { activity == .gone }
}

/// An error that a role has published.
package struct ErrorFacts: Equatable, Sendable {
  package var code: PTO2ErrorCode
  /// The program's own, as in `PTO2Error`.
  package var programCode: UInt32?
  package var message: String
  package var task: TaskID?
  package var ring: Int?
  /// CLOCK_MONOTONIC.
  package var nanoseconds: UInt64 = 0

  package init(code: PTO2ErrorCode, message: String) {
    self.code = code
    self.message = message
  }

  package var number: UInt32 { programCode ?? code.rawValue }
  package var name: String { programCode == nil ? code.name : PTO2Error.programName }
  package var advice: String { programCode == nil ? code.advice : PTO2Error.programAdvice }
}

package struct OrchestratorFacts: Equatable, Sendable {
  package enum Control: Equatable, Sendable {
    case running, done, failed
    case unknown(UInt32)
  }

  /// A word of the scheduler that the program's thread sleeps on.
  package enum Wait: Equatable, Sendable {
    case wired
    case released(ring: Int)
    case consumed(ring: Int)
  }

  package var process: ProcessFacts?
  package var control = Control.running
  package var wait: Wait?
  /// The position at which it is to be woken.
  package var target: UInt32 = 0
  package var error: ErrorFacts?
  /// Failures of runs before this one.
  package var failedBefore: UInt32 = 0
  package init() {}
}

package struct SchedulerFacts: Equatable, Sendable {
  package enum Control: Equatable, Sendable {
    case absent, attached, failed, stopped
    case unknown(UInt32)
  }

  /// Counts since the session began.
  package struct Counts: Equatable, Sendable {
    package var completed: UInt64 = 0
    package var edges: UInt64 = 0
    package var dispatched: UInt64 = 0
    package var parks: UInt64 = 0
    package var failed: UInt32 = 0
    package var cancelled: UInt32 = 0
    /// Subtasks whose worker died.
    package var lost: UInt32 = 0
    package var quarantined: UInt32 = 0
    package init() {}
  }

  /// A task that FAILED.
  package struct Failure: Equatable, Sendable {
    package var task: TaskID
    package var core: Int
    package var code: UInt32
    package var kills: UInt32
    package var kernel: String
    /// That the program has given the task.
    package var name: String?
  }

  package var process: ProcessFacts?
  package var control = Control.attached
  /// Threads that sleep, a bit each.
  package var parked: UInt32 = 0
  package var error: ErrorFacts?
  package var counts = Counts()
  package var failures: [Failure] = []
  package init() {}
}

/// The submission log.
package struct LogFacts: Equatable, Sendable {
  package var submitted: UInt32 = 0
  package var wired: UInt32 = 0
  package var capacity: UInt32 = 64
  /// The newest record is the end of a scope: its ring.
  package var lastScopeEnd: Int?
  package init() {}

  package var used: UInt32 { submitted &- wired }
}
