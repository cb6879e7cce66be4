internal import CPTO2Faults
internal import Glibc
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// Does the faults of a script to a session, from a process of its own: the
/// session's processes cannot trace themselves, and the engine survives them.
@safe package final class FaultEngine {
  /// How often a fault had its chance, and was done.
  package struct Count: Equatable, Sendable {
    package var fired: UInt64
    package var chances: UInt64
    /// When it was done last, CLOCK_MONOTONIC; 0 = never.
    package var lastNanoseconds: UInt64 = 0

    fileprivate mutating func noteFired() {
      fired += 1
      lastNanoseconds = MonotonicClock.now()
    }
  }

  /// What is yet to come of one fault.
  private struct Pending {
    let fault: Fault
    var dice: FaultDice
    var count = Count(fired: 0, chances: 0)
    var hits: UInt64 = 0
    /// When it is due, for faults with a time.
    var due: UInt64
    /// It is due, and its victim is not there yet.
    var isWaiting = false
    /// Its one chance is over.
    var isSpent = false
    /// Futex wakes of the victim that are being left out for it.
    var dropping: UInt64 = 0

    var isOver: Bool { isSpent || (fault.count.map { count.fired + dropping >= $0 } ?? false) }
  }

  /// What a fault with a length of time ends with.
  private enum Release {
    case goOn(ProcessIdentity)
    case letGo(ProcessIdentity)
    /// Of what fills /dev/shm.
    case close(Int32)
  }

  private let reader: SegmentReader
  private let tracer: Tracer?
  private var pending: [Pending]
  private var memory = WordMemory()
  /// What must go on again, and when.
  private var releases: [(time: UInt64, what: Release)] = []
  private let control: Int32
  private let parent: Int32
  private var nextLook: UInt64 = 0

  /// - Parameters:
  ///   - parent: the orchestrator, which is traced with all that it starts when
  ///     a fault needs it.
  ///   - control: the engine ends when the other end of this pipe is closed.
  package init(
    _ script: FaultScript, segment: String, parent: Int32, control: Int32
  ) throws {
    let reader = try SegmentReader.open(name: segment)
    let faults = script.faults
    self.reader = reader
    self.control = control
    self.parent = parent
    let now = MonotonicClock.now()
    pending = faults.enumerated().map { index, fault in
      let seconds =
        switch fault.when {
        case .at(let seconds), .every(let seconds): seconds
        default: 0.0
        }
      return Pending(
        fault: fault, dice: FaultDice(seed: script.seed, fault: index),
        due: now &+ UInt64(seconds * 1e9))
    }
    guard faults.contains(where: \.isTraced) else {
      tracer = nil
      return
    }
    let tracer = Tracer(
      segment: segment,
      watches: { role in
        var words: [WatchedWord] = []
        for fault in faults {
          for word in fault.watches(role, in: reader) where !words.contains(word) {
            words.append(word)
          }
        }
        return words
      }, isWanted: { _ in true })
    self.tracer = tracer
    tracer.onHit = { [unowned self] thread, places in self.onStore(thread, places) }
    tracer.onWakeDropped = { [unowned self] process in self.onWakeDropped(process) }
    tracer.onMapped = { [unowned self] process in
      self.memory.remember(process.watches, in: self.reader)
    }
    try tracer.attach(parent, .orchestrator, children: true)
  }

  package var counts: [Count] { pending.map(\.count) }

  /// Until the session ends.
  package func run() {
    while true {
      var entries = [
        pollfd(fd: control, events: Int16(POLLIN), revents: 0),
        pollfd(fd: tracer?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
      ]
      _ = unsafe poll(&entries, 2, timeoutMilliseconds())
      if entries[0].revents != 0 { break }
      tracer?.drain()
      traceNewcomers()
      fireWhatIsDue()
      letGo(until: MonotonicClock.now())
    }
    letGo(until: UInt64.max)
    tracer?.detachAll(deadline: Deadline(afterMilliseconds: 2000))
  }

  private func timeoutMilliseconds() -> Int32 {
    let now = MonotonicClock.now()
    var next = now &+ 100_000_000
    for entry in pending where !entry.isOver {
      switch entry.fault.when {
      case .at, .every: next = min(next, entry.isWaiting ? now &+ 1_000_000 : entry.due)
      case .after: next = min(next, now &+ 1_000_000)
      case .point: break
      }
    }
    for release in releases { next = min(next, release.time) }
    return next <= now ? 0 : Int32((next - now + 999_999) / 1_000_000)
  }

  /// Processes that the orchestrator has not started are found when they have
  /// announced themselves.
  private func traceNewcomers() {
    guard let tracer, case let now = MonotonicClock.now(), now >= nextLook else { return }
    nextLook = now &+ 10_000_000
    let roles = [.scheduler] + (0..<reader.configuration.coreCount).map { ProcessRole.worker($0) }
    for role in roles {
      guard let identity = reader.process(role), tracer.processes[identity.pid] == nil else {
        continue
      }
      // One that has just ended is of no interest.
      try? tracer.attach(identity.pid, role, children: false)
    }
  }

  // MARK: When

  private func fireWhatIsDue() {
    let now = MonotonicClock.now()
    for index in pending.indices where !pending[index].isOver {
      switch pending[index].fault.when {
      case .at, .every:
        guard now >= pending[index].due else { continue }
      case .after(let tasks):
        guard reader.releasedTasks >= tasks else { continue }
      case .point: continue
      }
      chance(index, at: now)
    }
  }

  private func chance(_ index: Int, at now: UInt64) {
    if !pending[index].isWaiting {
      pending[index].count.chances += 1
      if !pending[index].dice.says(pending[index].fault.probability) {
        return schedule(index, at: now)
      }
    }
    pending[index].isWaiting = !fire(index, by: nil)
    if !pending[index].isWaiting { schedule(index, at: now) }
  }

  private func schedule(_ index: Int, at now: UInt64) {
    switch pending[index].fault.when {
    case .every(let seconds): pending[index].due = now &+ UInt64(seconds * 1e9)
    case .at, .after: pending[index].isSpent = true
    case .point: break
    }
  }

  /// A traced thread has stored to watched words.
  private func onStore(_ thread: TracedThread, _ places: [Int]) -> Tracer.Verdict {
    let watches = places.map { thread.process.watches[$0] }
    for change in memory.changes(watches, in: reader) {
      for index in pending.indices where !pending[index].isOver {
        let fault = pending[index].fault
        guard case .point(let point, _, _, let hit) = fault.when,
          let role = thread.process.role, point.isReached(by: change.value),
          fault.watches(role, in: reader).contains(where: { $0.contains(change.offset) })
        else { continue }
        pending[index].hits += 1
        guard pending[index].hits % hit == 0 else { continue }
        pending[index].count.chances += 1
        guard pending[index].dice.says(fault.probability) else { continue }
        _ = fire(index, by: thread)
      }
    }
    return .go
  }

  // MARK: What

  /// Does a fault.
  /// - Parameter thread: that of the point, stopped.
  /// - Returns: false when the victim is not there.
  private func fire(_ index: Int, by thread: TracedThread?) -> Bool {
    let fault = pending[index].fault
    switch fault.what {
    case .corrupt(let corruption): if !corrupt(corruption) { return false }
    case .truncate(let bytes): if !reader.truncate(bytes) { return false }
    case .fill(let bytes, let seconds):
      guard let filler = PrivateSharedMemory.fill(leaving: bytes) else { return false }
      remember(.close(filler), seconds)
    default:
      guard let role = victim(index, by: thread) else { return false }
      let traced = tracer?.processes.values.first { $0.role == role }
      if case .dropWake = fault.what {
        guard let traced else { return false }
        pending[index].dropping += 1
        tracer?.dropWakes(traced, count: 1)
        // It has fired when a wake has been left out.
        return true
      }
      // One that has not announced itself is known to its tracer alone.
      let identity =
        thread?.process.role == role
        ? ProcessIdentity(
          pid: thread!.process.id,
          startTime: ProcessIdentity.startTime(of: thread!.process.id) ?? 0)
        : reader.process(role)
      guard let identity, let handle = ProcessHandle(identity) else { return false }
      switch fault.what {
      case .signal(let signal, _): handle.send(signal: signal)
      case .stop(let seconds):
        handle.send(signal: SIGSTOP)
        remember(.goOn(identity), seconds)
      case .hang(let seconds):
        guard let traced, traced.id == identity.pid else { return false }
        tracer?.hold(traced)
        remember(.letGo(identity), seconds)
      case .loop:
        guard let traced, traced.id == identity.pid else { return false }
        tracer?.loop(traced)
      default: break
      }
    }
    pending[index].count.noteFired()
    return true
  }

  /// Whom it is done to this time.
  private func victim(_ index: Int, by thread: TracedThread?) -> ProcessRole? {
    switch pending[index].fault.victim {
    case .role(let role): return role
    case .anyWorker:
      if let role = thread?.process.role, case .worker = role { return role }
      let alive = (0..<reader.configuration.coreCount).map { ProcessRole.worker($0) }
        .filter { reader.process($0) != nil }
      return alive.isEmpty ? nil : alive[pending[index].dice.choose(alive.count)]
    case nil: return nil
    }
  }

  private func onWakeDropped(_ process: TracedProcess) {
    for index in pending.indices where pending[index].dropping > 0 {
      pending[index].dropping -= 1
      pending[index].count.noteFired()
      return
    }
  }

  private func corrupt(_ corruption: Fault.Corruption) -> Bool {
    let offset: UInt64
    switch corruption.target {
    case .section(let kind, let ring, let within):
      offset = reader.layout.section(kind, ring: ring).offset + within
    case .word(let word, let core, let ring, let lane):
      let scheduler = reader.schedulerPage
      let place =
        switch word {
        case .submitted: reader.orchestratorPage.submitted
        case .wired: scheduler.wired
        case .released: scheduler.released(ring)
        case .consumed: scheduler.consumed(ring)
        case .dispatch: reader.dispatchLanes(core).word(UInt32(lane))
        case .cond: reader.corePage(core).cond(UInt32(lane))
        case .ready: reader.corePage(core).ready
        }
      offset = reader.offset(of: place)
    }
    guard let value = reader.value(at: offset) else { return false }
    return reader.store(
      corruption.isFlip ? value ^ corruption.value : corruption.value, at: offset)
  }

  // MARK: And on again

  private func remember(_ what: Release, _ seconds: Double?) {
    let time = seconds.map { MonotonicClock.now() &+ UInt64($0 * 1e9) } ?? UInt64.max
    releases.append((time, what))
  }

  /// Undoes what has lasted its time; at the end, all.
  private func letGo(until now: UInt64) {
    for release in releases where release.time <= now {
      switch release.what {
      case .goOn(let process): ProcessHandle(process)?.send(signal: SIGCONT)
      case .letGo(let process):
        if let process = tracer?.processes[process.pid] { tracer?.release(process) }
      case .close(let descriptor): close(descriptor)
      }
    }
    releases.removeAll { $0.time <= now }
  }
}
