internal import CPTO2Segment
internal import PTO2System

/// Who may write a section.
package struct RoleSet: OptionSet, Sendable {
  package let rawValue: UInt32
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  package static let orchestrator = RoleSet(rawValue: PTO2_ROLE_ORCHESTRATOR)
  package static let scheduler = RoleSet(rawValue: PTO2_ROLE_SCHEDULER)
  package static let worker = RoleSet(rawValue: PTO2_ROLE_WORKER)
}

/// The sections of a segment, in the order they lie in it.
package enum SectionKind: UInt32, CaseIterable, Sendable {
  case header = 0
  case images, kernels
  case orchestratorWords, submissionLog, mainRing, dispatchTable, fanin
  case schedulerWords, dataMainBase, consumedRing, slotStates, fanout
  case cores
  case heap, arena

  /// For people.
  package var title: String {
    switch self {
    case .header: "the header"
    case .images: "the table of images"
    case .kernels: "the table of kernels"
    case .orchestratorWords: "the orchestrator words"
    case .submissionLog: "the submission log"
    case .mainRing: "the main ring"
    case .dispatchTable: "the dispatch table"
    case .fanin: "the fanin pool"
    case .schedulerWords: "the scheduler words"
    case .dataMainBase: "the DATA_MAIN_BASE words"
    case .consumedRing: "the consumed ring"
    case .slotStates: "the slot states"
    case .fanout: "the fanout pool"
    case .cores: "the core pages"
    case .heap: "the heap"
    case .arena: "the arena"
    }
  }

  /// One for each ring.
  var isPerRing: Bool {
    switch self {
    case .mainRing, .dispatchTable, .fanin, .consumedRing, .slotStates, .fanout, .heap: true
    default: false
    }
  }
}

/// Where each section lies: computed once from the configuration, stored in
/// the header, computed again and compared by everyone who attaches.
package struct SegmentLayout: Equatable, Sendable {
  package struct Section: Equatable, Sendable {
    package var kind: SectionKind
    /// The ring, 0 for a section there is one of.
    package var ring: Int
    /// Bytes from the start of the segment; page-aligned.
    package var offset: UInt64
    /// Whole pages.
    package var bytes: UInt64
    package var writers: RoleSet
    /// Reserved at creation; the others are reserved by their allocator, in
    /// chunks, just before first use.
    package var isReservedAtCreation: Bool
  }

  package let sections: [Section]
  package let totalBytes: UInt64
  package let pageBytes: UInt32
  /// Bytes from one core's page to the next core's.
  package let coreStride: UInt64
  private let firstOfKind: [Int]

  package init(_ configuration: Configuration, pageBytes: UInt32) {
    let page = UInt64(pageBytes)
    func stride<T>(_ type: T.Type) -> UInt64 { UInt64(MemoryLayout<T>.stride) }
    let coreStride = (stride(pto2_core_page.self) + page - 1) / page * page

    // kind, writers, reserved at creation, bytes
    typealias Row = (SectionKind, RoleSet, Bool, (Configuration.Ring) -> UInt64)
    func one(_ bytes: UInt64) -> (Configuration.Ring) -> UInt64 { { _ in bytes } }
    let table: [(perRing: Bool, row: Row)] = [
      (false, (.header, .orchestrator, true, one(stride(pto2_header.self)))),
      (
        false,
        (
          .images, .orchestrator, true,
          one(UInt64(configuration.imageCount) * stride(pto2_image_record.self))
        )
      ),
      (
        false,
        (
          .kernels, .orchestrator, true,
          one(UInt64(configuration.kernelCount) * stride(pto2_kernel_record.self))
        )
      ),
      (false, (.orchestratorWords, .orchestrator, true, one(stride(pto2_orchestrator_page.self)))),
      (
        false,
        (
          .submissionLog, .orchestrator, true,
          one(UInt64(configuration.logCapacity) * stride(pto2_log_record.self))
        )
      ),
      (
        true,
        (
          .mainRing, .orchestrator, false,
          { UInt64($0.taskWindow) * stride(pto2_main_record.self) }
        )
      ),
      (
        true,
        (
          .dispatchTable, .orchestrator, false,
          { UInt64($0.taskWindow) * UInt64(PTO2_DESC_STRIDE) }
        )
      ),
      (true, (.fanin, .orchestrator, false, { UInt64($0.dependencyPool) * 8 })),
      (false, (.schedulerWords, .scheduler, true, one(stride(pto2_scheduler_page.self)))),
      (
        false,
        (
          .dataMainBase, .scheduler, true,
          one(UInt64(configuration.coreCount) * stride(pto2_dispatch_line.self))
        )
      ),
      (
        true,
        (
          .consumedRing, .scheduler, false,
          { UInt64($0.consumedWindow) * stride(pto2_consumed_entry.self) }
        )
      ),
      (
        true,
        (
          .slotStates, .scheduler, false,
          { UInt64($0.taskWindow) * stride(pto2_main_slot_state.self) }
        )
      ),
      (
        true,
        (
          .fanout, .scheduler, false,
          { UInt64($0.dependencyPool) * stride(pto2_fanout_edge.self) }
        )
      ),
      (false, (.cores, .worker, true, one(UInt64(configuration.coreCount) * coreStride))),
      (true, (.heap, [.orchestrator, .worker], false, { $0.heapBytes })),
      (false, (.arena, [.orchestrator, .worker], false, one(configuration.arenaBytes))),
    ]

    var sections: [Section] = []
    var firstOfKind: [Int] = []
    var offset: UInt64 = 0
    for (perRing, (kind, writers, reserved, bytes)) in table {
      firstOfKind.append(sections.count)
      for ring in 0..<(perRing ? configuration.rings.count : 1) {
        let size = max(1, (bytes(configuration.rings[ring]) + page - 1) / page) * page
        sections.append(
          Section(
            kind: kind, ring: ring, offset: offset, bytes: size, writers: writers,
            isReservedAtCreation: reserved))
        offset += size
      }
    }
    self.sections = sections
    self.firstOfKind = firstOfKind
    self.totalBytes = offset
    self.pageBytes = pageBytes
    self.coreStride = coreStride
  }

  /// The section that a byte of the segment lies in, for people.
  package func sectionName(at offset: UInt64) -> String {
    guard let section = sections.last(where: { $0.offset <= offset }) else { return "no section" }
    return section.kind.title + (section.kind.isPerRing ? " of ring \(section.ring)" : "")
  }

  package func section(_ kind: SectionKind, ring: Int = 0) -> Section {
    sections[firstOfKind[Int(kind.rawValue)] + ring]
  }

  /// Segment offset of descriptor 0: what DATA_MAIN_BASE offsets count from.
  package var dispatchBase: UInt64 { section(.dispatchTable).offset }

  /// Bytes reserved at creation, before any task.
  package var bytesReservedAtCreation: UInt64 {
    sections.reduce(0) { $0 + ($1.isReservedAtCreation ? $1.bytes : 0) }
  }

  /// Differs whenever two builds disagree on the name, place or size of any field of
  /// any record.
  package static let recordHash = pto2_layout_hash()

  /// Of the records and of the section table.
  package var hash: UInt64 {
    var hash = FNV1a()
    hash.add(Self.recordHash)
    for section in sections {
      for value in [
        UInt64(section.kind.rawValue), UInt64(section.ring), section.offset, section.bytes,
        UInt64(section.writers.rawValue),
      ] { hash.add(value) }
    }
    return hash.value
  }
}
