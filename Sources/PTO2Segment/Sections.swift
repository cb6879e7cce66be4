internal import CPTO2Segment
internal import PTO2Protocol

/// Who may write a section.
package struct RoleSet: OptionSet, Sendable {
  package let rawValue: UInt32
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  package static let orchestrator = RoleSet(rawValue: PTO2_ROLE_ORCHESTRATOR)
  package static let scheduler = RoleSet(rawValue: PTO2_ROLE_SCHEDULER)
  package static let worker = RoleSet(rawValue: PTO2_ROLE_WORKER)
  package static let link = RoleSet(rawValue: PTO2_ROLE_LINK)
}

/// The sections of a segment, in the order they lie in it.
package enum SectionKind: UInt32, CaseIterable, Sendable {
  case header = 0
  case images, kernels
  case orchestratorWords, submissionLog, mainRing, dispatchTable, payload, fanin
  case schedulerWords, dataMainBase, consumedRing, slotStates, fanout
  case cores
  case tracePositions, orchestratorTrace, schedulerTrace, coreTrace
  case scopeNames, scopeUses
  case rankWords, submissions, transferStarts, linkWords, transferEnds
  case constants
  case heap, arena

  package var spec: SectionSpec { SectionSpec.all[Int(rawValue)] }
}

/// What a section is in every session: a row of the one table that the layout, its page
/// in the docs, and messages are made from.
package struct SectionSpec: Sendable {
  /// How many records a section has: what of the configuration says so, in words.
  package enum Count: String, Sendable {
    case one = ""
    case images, kernels, cores
    case logCapacity = "log capacity"
    case taskWindow = "task window"
    case payloadBytes = "512 x task window, at least 4096"
    case consumedWindow = "consumed window"
    case dependencyPool = "dependency pool"
    case heapBytes = "heap"
    case arenaBytes = "arena"
    /// None of a session that has no constants.
    case constantBytes = "constants"
    /// None of a session that is not traced.
    case tracePositions = "1, or 0 without a trace"
    case traceBytes = "trace buffer"
    case schedulerTraceBytes = "trace buffer x scheduler threads"
    case coreTraceBytes = "trace buffer x cores"
    case scopeNames = "511"
    case scopeUses = "256"
    /// None of a session that is the only rank.
    case rank = "1, or 0 with one rank"
    case submissions = "65536, or 0 with one rank"
    case transfers = "at least all task windows, or 0 with one rank"

    func of(_ configuration: Configuration, ring: Int) -> UInt64 {
      let sizes = configuration.rings[ring]
      return switch self {
      case .one: 1
      case .images: UInt64(configuration.imageCount)
      case .kernels: UInt64(configuration.kernelCount)
      case .cores: UInt64(configuration.coreCount)
      case .logCapacity: UInt64(configuration.logCapacity)
      case .taskWindow: UInt64(sizes.taskWindow)
      case .payloadBytes: sizes.payloadBytes
      case .consumedWindow: UInt64(sizes.consumedWindow)
      case .dependencyPool: UInt64(sizes.dependencyPool)
      case .heapBytes: sizes.heapBytes
      case .arenaBytes: configuration.arenaBytes
      case .constantBytes: configuration.constantBytes
      case .tracePositions: configuration.isTraced ? 1 : 0
      case .traceBytes: configuration.traceBytes
      case .schedulerTraceBytes:
        configuration.traceBytes * UInt64(configuration.schedulerThreads)
      case .coreTraceBytes: configuration.traceBytes * UInt64(configuration.coreCount)
      case .scopeNames: UInt64(PTO2_MAX_SCOPE_NAMES)
      case .scopeUses: UInt64(PTO2_MAX_SCOPE_USES)
      case .rank: configuration.hasLink ? 1 : 0
      case .submissions: configuration.hasLink ? UInt64(PTO2_SUBMISSIONS_KEPT) : 0
      case .transfers: configuration.hasLink ? UInt64(configuration.transferCapacity) : 0
      }
    }
  }

  /// When the section's memory is reserved, and by whom.
  package enum Reservation: String, Sendable {
    case creation
    /// By their allocators, in chunks, just before first use.
    case submit = "orchestrator, at submit"
    case wiring = "scheduler, at wiring"
    case external = "orchestrator, with a tensor of the program"
    case naming = "orchestrator, with the first name"
  }

  package let kind: SectionKind
  /// For people.
  package let title: String
  package let writers: RoleSet
  package let reservation: Reservation
  /// One record, and how it is called in C; bytes are `nil`.
  package let record: String?
  package let stride: UInt64
  package let count: Count
  /// Each record starts on a page of its own.
  package let hasPages: Bool

  private init<Record>(
    _ kind: SectionKind, _ title: String, _ writers: RoleSet, _ reservation: Reservation,
    _ count: Count, of record: Record.Type, hasPages: Bool = false
  ) {
    self.kind = kind
    self.title = title
    self.writers = writers
    self.reservation = reservation
    self.record = Record.self == UInt8.self ? nil : "\(record)"
    self.stride = UInt64(MemoryLayout<Record>.stride)
    self.count = count
    self.hasPages = hasPages
  }

  /// One for each ring.
  package var isPerRing: Bool {
    switch count {
    case .taskWindow, .payloadBytes, .consumedWindow, .dependencyPool, .heapBytes: true
    case .one, .images, .kernels, .cores, .logCapacity, .arenaBytes, .tracePositions, .traceBytes,
      .schedulerTraceBytes, .coreTraceBytes, .scopeNames, .scopeUses, .constantBytes, .rank,
      .submissions, .transfers:
      false
    }
  }

  /// Takes no page when it has no record.
  var mayBeAbsent: Bool {
    switch count {
    case .tracePositions, .traceBytes, .schedulerTraceBytes, .coreTraceBytes, .constantBytes,
      .rank, .submissions, .transfers:
      true
    default: false
    }
  }

  package var isReservedAtCreation: Bool { reservation == .creation }

  /// By kind.
  package static let all: [SectionSpec] = [
    .init(.header, "the header", .orchestrator, .creation, .one, of: pto2_header.self),
    .init(
      .images, "the table of images", .orchestrator, .creation, .images,
      of: pto2_image_record.self),
    .init(
      .kernels, "the table of kernels", .orchestrator, .creation, .kernels,
      of: pto2_kernel_record.self),
    .init(
      .orchestratorWords, "the orchestrator words", .orchestrator, .creation, .one,
      of: pto2_orchestrator_page.self),
    .init(
      .submissionLog, "the submission log", .orchestrator, .creation, .logCapacity,
      of: pto2_log_record.self),
    .init(
      .mainRing, "the main ring", .orchestrator, .submit, .taskWindow,
      of: pto2_main_slot.self),
    .init(
      .dispatchTable, "the dispatch table", .orchestrator, .submit, .taskWindow,
      of: PTO2DispatchDesc.self),
    .init(
      .payload, "the payload ring", .orchestrator, .submit, .payloadBytes, of: UInt8.self),
    .init(
      .fanin, "the fanin pool", .orchestrator, .submit, .dependencyPool, of: UInt64.self),
    .init(
      .schedulerWords, "the scheduler words", .scheduler, .creation, .one,
      of: pto2_scheduler_page.self),
    .init(
      .dataMainBase, "the DATA_MAIN_BASE words", .scheduler, .creation, .cores,
      of: pto2_dispatch_lanes.self),
    .init(
      .consumedRing, "the consumed ring", .scheduler, .wiring, .consumedWindow,
      of: pto2_consumed_entry.self),
    .init(
      .slotStates, "the slot states", .scheduler, .wiring, .taskWindow,
      of: pto2_main_slot_state.self),
    .init(
      .fanout, "the fanout pool", .scheduler, .wiring, .dependencyPool,
      of: pto2_fanout_edge.self),
    .init(
      .cores, "the core pages", .worker, .creation, .cores, of: pto2_core_page.self,
      hasPages: true),
    .init(
      .tracePositions, "the trace positions", .orchestrator, .creation, .tracePositions,
      of: pto2_trace_positions.self),
    .init(
      .orchestratorTrace, "the orchestrator's trace", .orchestrator, .creation, .traceBytes,
      of: UInt8.self),
    .init(
      .schedulerTrace, "the scheduler's trace", .scheduler, .creation, .schedulerTraceBytes,
      of: UInt8.self),
    .init(
      .coreTrace, "the cores' traces", .worker, .creation, .coreTraceBytes, of: UInt8.self),
    .init(
      .scopeNames, "the names of scopes and tasks", .orchestrator, .naming, .scopeNames,
      of: pto2_scope_name.self),
    .init(
      .scopeUses, "what scopes took", .orchestrator, .naming, .scopeUses,
      of: pto2_scope_use.self),
    .init(
      .rankWords, "the rank words", .orchestrator, .creation, .rank, of: pto2_rank_page.self),
    .init(
      .submissions, "the submissions", .orchestrator, .creation, .submissions,
      of: pto2_submitted_task.self),
    .init(
      .transferStarts, "the transfers that begin", .scheduler, .creation, .transfers,
      of: pto2_transfer_start.self),
    .init(.linkWords, "the link words", .link, .creation, .rank, of: pto2_link_page.self),
    .init(
      .transferEnds, "the transfers that are over", .link, .creation, .transfers,
      of: pto2_transfer_end.self),
    .init(
      .constants, "the constants", .orchestrator, .creation, .constantBytes, of: UInt8.self),
    .init(.heap, "the heap", [.orchestrator, .worker, .link], .submit, .heapBytes, of: UInt8.self),
    .init(
      .arena, "the arena", [.orchestrator, .worker, .link], .external, .arenaBytes, of: UInt8.self),
  ]
}
