internal import CPTO2Segment
internal import PTO2Protocol
package import PTO2Segment
internal import PTO2System

/// Takes pictures of a session. Every position, index and count is checked before it leads
/// anywhere; the number of tasks that are looked at is bounded.
package struct PictureReader {
  package let place: String
  let copy: SegmentCopy
  /// Tasks of a ring that are looked at, from its oldest on.
  let taskLimit: UInt32
  private let isOfAnotherBoot: Bool

  /// - Throws: as `SegmentCopy.open`.
  package init(_ place: String, taskLimit: UInt32 = 2048) throws(SegmentError) {
    self.place = place
    self.taskLimit = taskLimit
    copy = try SegmentCopy.open(place)
    isOfAnotherBoot = copy.bootID != readBootID()
  }

  package var configuration: Configuration { copy.configuration }
  package var layout: SegmentLayout { copy.layout }

  /// The session as it is now.
  package func picture() -> Picture {
    // Words first, then records; then the words again, since what is free by then may be
    // another's.
    copy.copyWords()
    let told = copyRecords()
    let before = copy.configuration.rings.indices.map { positions(ring: $0) }
    copy.copyWords()
    copyScopes()
    var picture = Picture(place: place, session: session())
    picture.time = MonotonicClock.now()
    picture.orchestrator = orchestrator(&picture.damage)
    picture.scheduler = scheduler(&picture.damage)
    picture.log = log(&picture.damage)
    for ring in copy.configuration.rings.indices {
      picture.rings.append(self.ring(ring, before[ring], told: told, &picture.damage))
    }
    picture.cores = (0..<copy.configuration.coreCount).map {
      core($0, picture.rings, &picture.damage)
    }
    readPayloads(&picture)
    picture.scopes = scopes(&picture.damage)
    picture.trace = copy.traceUse()
    if let cut = copy.cutAt {
      picture.damage.append(
        "the file ends at byte \(cut) of \(copy.layout.totalBytes), in \(copy.layout.sectionName(at: cut)): what lies beyond was read as zero"
      )
    }
    return picture
  }

  /// Words alone: what cores do.
  package func cores() -> [CorePicture] {
    copy.copyWords()
    var damage: [String] = []
    let rings = copy.configuration.rings.indices.map { index in
      var ring = RingPicture(index: index, sizes: copy.configuration.rings[index])
      let now = positions(ring: index)
      (ring.current, ring.released) = (now.current, now.released)
      return ring
    }
    return (0..<copy.configuration.coreCount).map { core($0, rings, &damage) }
  }

  // MARK: Words

  struct Positions { var current, wired, released, consumed: UInt32 }

  /// Before a scheduler has attached its words are zero, not the first position.
  func positions(ring: Int) -> Positions {
    let page = copy.schedulerPage
    let first = copy.configuration.firstPosition
    let current = copy.orchestratorPage.currentTaskIndex(ring).loadRelaxed()
    guard page.control.loadRelaxed() != PTO2_SCHED_ABSENT else {
      return Positions(current: current, wired: first, released: first, consumed: first)
    }
    return Positions(
      current: current, wired: page.wired(ring).loadRelaxed(),
      released: page.released(ring).loadRelaxed(), consumed: page.consumed(ring).loadRelaxed())
  }

  private func session() -> SessionFacts {
    var facts = SessionFacts(
      configuration: copy.configuration, totalBytes: copy.layout.totalBytes)
    facts.allocatedBytes = copy.allocatedBytes
    facts.isAttached = copy.isAttached
    facts.isOfAnotherBoot = isOfAnotherBoot
    facts.cutAt = copy.cutAt
    facts.images = (0..<copy.imageRecords.count).map { printable(copy.imageRecords[$0].path) }
    return facts
  }

  func process(_ record: ProcessRecord) -> ProcessFacts? {
    guard let content = record.read() else { return nil }
    var facts = ProcessFacts(pid: content.pid)
    facts.incarnation = content.incarnation
    facts.isSupervised = content.isSupervised
    if isOfAnotherBoot {
      facts.activity = .gone
    } else {
      (facts.activity, facts.ticks) = content.identity.activity()
    }
    return facts
  }

  func error(_ block: ErrorBlock) -> ErrorFacts? {
    guard let (error, nanoseconds) = block.read() else { return nil }
    var facts = ErrorFacts(code: error.code, message: printable(error.message))
    facts.programCode = error.programCode
    facts.task = error.task
    facts.ring = error.ring
    facts.nanoseconds = nanoseconds
    return facts
  }

  private func orchestrator(_ damage: inout [String]) -> OrchestratorFacts {
    let page = copy.orchestratorPage
    var facts = OrchestratorFacts()
    facts.process = process(page.process)
    facts.error = error(page.error)
    facts.target = page.target.loadRelaxed()
    facts.failedBefore = page.failedBefore.loadRelaxed()
    let control = page.control.loadRelaxed()
    facts.control =
      switch control {
      case PTO2_CONTROL_RUNNING: .running
      case PTO2_CONTROL_DONE: .done
      case PTO2_CONTROL_FATAL: .failed
      default: .unknown(control)
      }
    if case .unknown = facts.control {
      damage.append("the orchestrator's control word is \(hex(control)), which nobody stores")
    }
    let parked = page.parked.loadRelaxed()
    let rings = UInt32(copy.configuration.rings.count)
    switch parked {
    case 0: break
    case PTO2_PARKED_ON_WIRED: facts.wait = .wired
    case PTO2_PARKED_ON_RELEASED..<PTO2_PARKED_ON_RELEASED + rings:
      facts.wait = .released(ring: Int(parked - PTO2_PARKED_ON_RELEASED))
    case PTO2_PARKED_ON_CONSUMED..<PTO2_PARKED_ON_CONSUMED + rings:
      facts.wait = .consumed(ring: Int(parked - PTO2_PARKED_ON_CONSUMED))
    default:
      damage.append("the orchestrator's parked word is \(hex(parked)), which nobody stores")
    }
    return facts
  }

  private func scheduler(_ damage: inout [String]) -> SchedulerFacts {
    let page = copy.schedulerPage
    var facts = SchedulerFacts()
    facts.process = process(page.process)
    facts.error = error(page.error)
    facts.parked = page.parked.loadRelaxed()
    let control = page.control.loadRelaxed()
    facts.control =
      switch control {
      case PTO2_SCHED_ABSENT: .absent
      case PTO2_SCHED_ATTACHED: .attached
      case PTO2_SCHED_FATAL: .failed
      case PTO2_SCHED_STOPPED: .stopped
      default: .unknown(control)
      }
    if case .unknown = facts.control {
      damage.append("the scheduler's control word is \(hex(control)), which nobody stores")
    }
    let counters = page.counters
    facts.counts.completed = counters.tasks_completed
    facts.counts.edges = counters.edges
    facts.counts.dispatched = counters.subtasks_dispatched
    facts.counts.parks = counters.parks
    let counts = page.failures.counts
    facts.counts.failed = counts.failed
    facts.counts.cancelled = counts.cancelled
    facts.counts.lost = counts.lost
    facts.counts.quarantined = counts.quarantined
    facts.failures = failures(of: page.failures)
    return facts
  }

  /// Those of this run.
  private func failures(of table: FailureTable<SharedWord>) -> [SchedulerFacts.Failure] {
    let before = copy.orchestratorPage.failedBefore.loadRelaxed()
    let count = Int(
      min(table.counts.failed &- min(before, table.counts.failed), UInt32(PTO2_MAX_FAILURES)))
    return (0..<count).map { index in
      let record = table.record(index)
      return SchedulerFacts.Failure(
        task: TaskID(rawValue: record.task_id), core: Int(record.core), code: record.code,
        kills: UInt32(record.kills), kernel: kernelName(Int(record.flags >> 16)),
        name: names(ScopePlace(rawValue: record.scope).name).task)
    }
  }

  private func log(_ damage: inout [String]) -> LogFacts {
    var facts = LogFacts()
    facts.capacity = copy.configuration.logCapacity
    facts.submitted = copy.orchestratorPage.submitted.loadRelaxed()
    facts.wired =
      copy.schedulerPage.control.loadRelaxed() == PTO2_SCHED_ABSENT
      ? copy.configuration.firstPosition : copy.schedulerPage.wired.loadRelaxed()
    // The words are not read at one time.
    if Int32(bitPattern: facts.used) < 0 { facts.wired = facts.submitted }
    if facts.used > facts.capacity {
      damage.append(
        "the log has \(facts.used) records that are not wired, and room for \(facts.capacity)")
      return facts
    }
    guard facts.submitted != copy.configuration.firstPosition else { return facts }
    copy.copyRecords(.submissionLog, first: facts.submitted &- 1, count: 1)
    let last = copy.log[facts.submitted &- 1].content
    if last.kind == PTO2_LOG_SCOPE_END { facts.lastScopeEnd = Int(last.ring) }
    return facts
  }

  func kernelName(_ id: Int) -> String { printable(copy.kernelName(id)) }
}

/// Text that others have written, fit for a terminal.
package func printable(_ text: String) -> String {
  String(
    String.UnicodeScalarView(
      text.unicodeScalars.map { scalar in
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
          .paragraphSeparator:
          "?"
        default: scalar
        }
      }))
}

package func hex(_ value: some BinaryInteger) -> String {
  "0x" + String(value, radix: 16, uppercase: true)
}
