internal import CPTO2Segment
package import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// A word of the scheduler on which the orchestrator sleeps.
enum Watermark {
  case wired
  case released(Int)
  case consumed(Int)
}

/// Which errors end a wait: those of the run and the session, or, for a run that is
/// given up, the session's alone.
enum ErrorLevel { case run, session }

/// The orchestrator's side of parking.
struct Waiting: ~Copyable {
  private let page: OrchestratorPage<OwnedWord>
  private let schedulerControl: SharedWord
  private var isSchedulerAttached = false
  /// Every task is RELEASED, no scope is open, and nothing is CONSUMED for so long.
  var lostLimitMilliseconds: UInt32 = 4000
  private var sleeper = Sleeper()
  /// Says whether the program has had enough of waiting; see `Session.waitHandler`.
  var handler: (() -> Bool)?
  /// When it was asked last.
  private var askedAt: UInt64 = 0

  init(_ segment: borrowing Segment) {
    page = segment.ownOrchestratorPage
    schedulerControl = segment.schedulerPage.control
  }

  /// Before a scheduler has attached its words are zero, not yet the first position.
  /// Acquire: pairs with the scheduler's release of ATTACHED, after it has set
  /// its words up.
  mutating func hasSeenScheduler() -> Bool {
    if !isSchedulerAttached {
      isSchedulerAttached = schedulerControl.loadAcquire() != PTO2_SCHED_ABSENT
    }
    return isSchedulerAttached
  }

  /// Asks the program whether to go on waiting: every 20 ms at most, every 70 at least.
  mutating func mayGoOn() -> Bool {
    guard let handler else { return true }
    let now = MonotonicClock.now()
    guard now &- askedAt >= 20_000_000 else { return true }
    askedAt = now
    return !handler()
  }

  /// The scheduler's state, to be given to `sleep`.
  func schedulerState() -> UInt32 { schedulerControl.loadAcquire() }

  /// Sleeps until the word or somebody's control word changes, or 50 ms are over.
  /// - Parameter target: the position at which to be woken.
  mutating func sleep(
    on word: SharedWord, while seen: UInt32, schedulerState: UInt32, reason: UInt32, target: UInt32
  ) {
    // Published by the announcement.
    page.target.storeRelaxed(target)
    sleeper.announce(reason, in: page.parked)
    sleeper.watch(word, while: seen)
    sleeper.watch(page.control.shared, while: PTO2_CONTROL_RUNNING)
    sleeper.watch(schedulerControl, while: schedulerState)
    _ = sleeper.sleep(timeoutNanoseconds: 50_000_000)
    sleeper.withdraw(from: page.parked)
  }
}

extension Orchestrator {
  /// Spin, yield, park on the watermark's own word. Looks at the fatal words
  /// every round, and at the clock at most every 50 ms.
  /// - Parameters:
  ///   - reason: what the program is held up by; nil when it waits by itself.
  ///   - target: the position at which to be woken; nil for the one that fits the
  ///     reason.
  /// - Returns: false when the deadline has passed before.
  @discardableResult
  mutating func wait(
    on watermark: Watermark, for reason: StallReason? = nil, outputBytes: UInt64 = 0,
    target: UInt64? = nil, level: ErrorLevel = .run, deadline: Deadline? = nil,
    until isSatisfied: (inout Self) -> Bool
  ) throws(PTO2Error) -> Bool {
    var backoff = Backoff()
    let word = word(watermark)
    while true {
      let seen = word.loadAcquire()
      // Before a scheduler has attached, `seen` means nothing.
      let schedulerState = waiting.schedulerState()
      refreshAll()
      if isSatisfied(&self) { return true }
      switch level {
      case .run: try fault.check()
      case .session: try fault.checkSession()
      }
      if let deadline, deadline.hasPassed { return false }
      guard backoff.next() else { continue }
      if level == .run, !waiting.mayGoOn() {
        throw fault.raise(PTO2Error(.interrupted, "the program gave up waiting"))
      }
      if let reason { try checkDeadlock(reason, watermark, outputBytes: outputBytes) }
      waiting.sleep(
        on: word, while: seen, schedulerState: schedulerState, reason: Self.parkedReason(watermark),
        target: UInt32(truncatingIfNeeded: target ?? self.target(reason, watermark)))
    }
  }

  /// The position at which to be woken: all that was submitted, or enough for
  /// an eighth of the window, so that a full ring does not cost a wake a task.
  /// Every submitted task gets RELEASED without this process; for CONSUMED the
  /// scheduler also wakes early, since a scope may be in the way.
  private func target(_ reason: StallReason?, _ watermark: Watermark) -> UInt64 {
    switch watermark {
    case .wired: return log.submitted &- (log.capacity - log.capacity / 8)
    case .released(let index), .consumed(let index):
      let current = rings[index].current
      let window = rings[index].window
      let consumedWindow = rings[index].consumedWindow
      let position: UInt64 =
        switch reason {
        case .none, .submissionLog, .tensorMap: current
        case .mainRing: current &- (window - max(1, window / 8))
        case .payload, .dependencyPool:
          rings[index].released &+ max(1, (current &- rings[index].released) / 8)
        case .consumedRing: current &- (consumedWindow - max(1, consumedWindow / 8))
        case .heap: rings[index].consumed &+ max(1, (current &- rings[index].consumed) / 8)
        }
      return min(position, current)
    }
  }

  private func word(_ watermark: Watermark) -> SharedWord {
    switch watermark {
    case .wired: log.wiredWord
    case .released(let ring): rings[ring].releasedWord
    case .consumed(let ring): rings[ring].consumedWord
    }
  }

  private static func parkedReason(_ watermark: Watermark) -> UInt32 {
    switch watermark {
    case .wired: PTO2_PARKED_ON_WIRED
    case .released(let ring): PTO2_PARKED_ON_RELEASED + UInt32(ring)
    case .consumed(let ring): PTO2_PARKED_ON_CONSUMED + UInt32(ring)
    }
  }

  // MARK: What programs wait for

  /// Blocks until every task submitted so far is RELEASED, so every kernel is
  /// over and its stores can be read.
  /// - Throws: error 200 when one of them has FAILED.
  package mutating func waitForAll() throws(PTO2Error) {
    try fault.check()
    for ring in 0..<rings.count {
      try wait(on: .released(ring)) { $0.rings[ring].current == $0.rings[ring].released }
    }
    counters.noteFinished()
    try checkFailures()
  }

  /// Blocks until the tasks that write the tensor, and those that read it too
  /// if `includingReaders`, are RELEASED.
  /// - Throws: error 8 when they are not within the limit.
  package mutating func waitForUsers(
    of tensor: AnyTensor, includingReaders: Bool, limitSeconds: Double
  ) throws(PTO2Error) {
    try fault.check()
    guard isInScope(tensor), let buffer = buffers.live(tensor), buffer.state == .placed else {
      throw PTO2Error(.invalidArgs, "tensor \(tensor.shape) has no memory: its scope has ended")
    }
    refreshAll()
    producers.look(
      at: StagedArgument(tensor, includingReaders ? .inout : .input), in: buffer, &map, &rings,
      &failed)
    // Any double: not a number is no time, and 30 years are for ever.
    let limit = limitSeconds > 0 ? min(limitSeconds, 1e9) : 0
    let deadline = Deadline(afterMilliseconds: UInt64(limit * 1000))
    for index in 0..<producers.count {
      let id = producers.list[index].producer
      guard let task = rings.task(id) else { continue }
      let isDone = try wait(
        on: .released(task.ring), target: task.ordinal &+ 1, deadline: deadline
      ) { !$0.rings.isLive(task) }
      if !isDone {
        throw PTO2Error(
          .tensorWaitTimeout,
          "tensor \(tensor.shape) is not ready after \((limitSeconds * 1e9).rounded() / 1e9) s: task \(id) is not done. Give a larger limit, or look what that task waits for",
          task: id, ring: id.ring)
      }
    }
    try checkFailures()
  }

  /// Blocks until every task is CONSUMED; no scope is open.
  /// - Returns: false when the deadline has passed before.
  @discardableResult
  mutating func waitUntilConsumed(_ level: ErrorLevel = .run, deadline: Deadline? = nil)
    throws(PTO2Error) -> Bool
  {
    for ring in 0..<rings.count {
      var search = LossSearch(limitMilliseconds: waiting.lostLimitMilliseconds)
      let isDone = try wait(on: .consumed(ring), level: level, deadline: deadline) {
        $0.rings[ring].isEmpty || search.isLost($0)
      }
      if !isDone { return false }
      if !rings[ring].isEmpty {
        throw fault.fail(
          PTO2Error(
            .protocolViolation,
            "ring \(ring): every task is done and no scope is open, and the scheduler does not free task \(TaskID(ring: ring, local: UInt32(truncatingIfNeeded: rings[ring].consumed))). The segment was overwritten"
          ))
      }
    }
    return true
  }
}

/// Looks for a task that nothing holds any more and that the scheduler does not free: its
/// count of references was overwritten.
private struct LossSearch {
  private var timer: StallTimer
  /// The scheduler's heartbeat as the time began: one that is stopped frees nothing.
  private var heartbeat: UInt32?

  init(limitMilliseconds: UInt32) { timer = StallTimer(limitMilliseconds: limitMilliseconds) }

  /// - Parameter orchestrator: no scope is open.
  mutating func isLost(_ orchestrator: borrowing Orchestrator) -> Bool {
    var consumed: UInt64 = 0
    for ring in 0..<orchestrator.rings.count {
      if orchestrator.rings[ring].released != orchestrator.rings[ring].current { return false }
      consumed &+= orchestrator.rings[ring].consumed
    }
    let isStill = timer.isStalled(progress: consumed, now: MonotonicClock.now())
    let beat = orchestrator.segment.schedulerPage.process.heartbeat()
    if heartbeat == nil || timer.nanoseconds == 0 { heartbeat = beat }
    return isStill && heartbeat != beat
  }
}
