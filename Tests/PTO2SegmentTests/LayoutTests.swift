import CPTO2Segment
import PTO2Segment
import Testing

private func ring(_ window: UInt32, _ consumed: UInt32, _ heap: UInt64, _ pool: UInt32)
  -> Configuration.Ring
{
  Configuration.Ring(
    taskWindow: window, consumedWindow: consumed, heapBytes: heap, dependencyPool: pool)
}

private let traces: Set<SectionKind> = [
  .tracePositions, .orchestratorTrace, .schedulerTrace, .coreTrace,
]

private let ranked: Set<SectionKind> = [
  .rankWords, .submissions, .transferStarts, .linkWords, .transferEnds,
]

private func oneOf(_ ranks: UInt32) -> Configuration {
  var configuration = Configuration(rings: [tiny, ring(1 << 12, 1 << 14, 1 << 20, 256)])
  (configuration.rank, configuration.ranks) = (ranks - 1, ranks)
  return configuration
}

private func traced(_ bytes: UInt64) -> Configuration {
  var configuration = Configuration(rings: [tiny], clusters: 2, schedulerThreads: 3)
  configuration.traceBytes = bytes
  return configuration
}

private let tiny = ring(2, 2, 64, 4)

@Suite struct LayoutTests {
  static let configurations: [Configuration] = [
    Configuration(),
    Configuration(rings: [tiny], arenaBytes: 4096),
    Configuration(rings: [ring(64, 256, 4 << 20, 256)], clusters: 2, lanes: 8),
    Configuration(
      rings: (0..<8).map { ring(4 << $0, 16 << $0, 4096 + 64 * UInt64($0), 16) },
      clusters: 3, arenaBytes: 12345),
    Configuration(rings: [tiny, tiny], clusters: 40, lanes: 1),
    Configuration(rings: [ring(1 << 20, 1 << 24, 1 << 40, 1 << 28)], arenaBytes: 1 << 42),
    traced(1 << 16), traced(4 << 20), oneOf(2),
  ]

  @Test(arguments: configurations, [UInt32(4096), 16384, 65536])
  func sectionsFollowOneAnotherOnPageBoundaries(configuration: Configuration, page: UInt32) {
    let layout = SegmentLayout(configuration, pageBytes: page)
    var end: UInt64 = 0
    for section in layout.sections {
      #expect(section.offset == end)
      #expect(
        section.bytes > 0 || section.kind == .constants
          || traces.union(ranked).contains(section.kind))
      #expect(!ranked.contains(section.kind) || (section.bytes > 0) == (configuration.ranks > 1))
      #expect(section.offset % UInt64(page) == 0)
      #expect(section.bytes % UInt64(page) == 0)
      end = section.offset + section.bytes
    }
    #expect(layout.totalBytes == end)
    #expect(layout.sections.count <= Int(PTO2_MAX_SECTIONS))
  }

  @Test(arguments: configurations)
  func protocolSectionsHaveOneWriterAndTheRightOne(configuration: Configuration) {
    let layout = SegmentLayout(configuration, pageBytes: 4096)
    let orchestrator: Set<SectionKind> = [
      .header, .images, .kernels, .orchestratorWords, .submissionLog, .mainRing, .dispatchTable,
      .payload, .fanin, .tracePositions, .orchestratorTrace, .scopeNames, .scopeUses,
      .constants, .rankWords, .submissions,
    ]
    let scheduler: Set<SectionKind> = [
      .schedulerWords, .dataMainBase, .consumedRing, .slotStates, .fanout, .schedulerTrace,
      .transferStarts,
    ]
    for section in layout.sections {
      if orchestrator.contains(section.kind) {
        #expect(section.writers == .orchestrator)
      } else if scheduler.contains(section.kind) {
        #expect(section.writers == .scheduler)
      } else if [.cores, .coreTrace].contains(section.kind) {
        #expect(section.writers == .worker)
      } else if [.linkWords, .transferEnds].contains(section.kind) {
        #expect(section.writers == .link)
      } else {
        #expect(section.writers == [.orchestrator, .worker, .link], "data, not protocol")
      }
    }
  }

  @Test(arguments: configurations)
  func everyRingHasItsSectionsAndTheyAreLargeEnough(configuration: Configuration) {
    let layout = SegmentLayout(configuration, pageBytes: 4096)
    func bytes(_ kind: SectionKind, _ ring: Int = 0) -> UInt64 {
      let section = layout.section(kind, ring: ring)
      #expect(section.kind == kind && section.ring == ring)
      return section.bytes
    }
    for (index, ring) in configuration.rings.enumerated() {
      #expect(bytes(.mainRing, index) >= UInt64(ring.taskWindow) * 64)
      #expect(bytes(.dispatchTable, index) >= UInt64(ring.taskWindow) * 64)
      #expect(bytes(.payload, index) >= max(4096, UInt64(ring.taskWindow) * 512))
      #expect(bytes(.fanin, index) >= UInt64(ring.dependencyPool) * 8)
      #expect(bytes(.consumedRing, index) >= UInt64(ring.consumedWindow) * 64)
      #expect(bytes(.slotStates, index) >= UInt64(ring.taskWindow) * 8)
      #expect(bytes(.fanout, index) >= UInt64(ring.dependencyPool) * 16)
      #expect(bytes(.heap, index) >= ring.heapBytes)
    }
    #expect(bytes(.arena) >= configuration.arenaBytes)
    #expect(bytes(.submissionLog) >= UInt64(configuration.logCapacity) * 16)
    #expect(bytes(.dataMainBase) >= UInt64(configuration.coreCount) * 64)
    #expect(bytes(.header) >= 3368)
    if configuration.ranks > 1 {
      // Every task that is not RELEASED may be a transfer.
      let tasks = configuration.rings.reduce(0) { $0 + UInt64($1.taskWindow) }
      #expect(bytes(.transferStarts) >= 16 * tasks && bytes(.transferEnds) >= 16 * tasks)
      #expect(bytes(.linkWords) >= 64 * 1024 && bytes(.submissions) == 1 << 20)
    }
    #expect(bytes(.orchestratorWords) >= 2048)
    #expect(bytes(.schedulerWords) >= 4096)
  }

  @Test(arguments: [UInt32(4096), 65536])
  func everyCoreHasPagesOfItsOwn(page: UInt32) {
    let layout = SegmentLayout(Configuration(clusters: 40), pageBytes: page)
    #expect(layout.coreStride % UInt64(page) == 0)
    #expect(layout.coreStride >= 2048)
    #expect(layout.section(.cores).bytes == 120 * layout.coreStride)
  }

  @Test(arguments: configurations)
  func dispatchTablesAreOneTableFromDispatchBase(configuration: Configuration) {
    let layout = SegmentLayout(configuration, pageBytes: 4096)
    var next = layout.dispatchBase
    #expect(next % 64 == 0)
    for ring in configuration.rings.indices {
      let section = layout.section(.dispatchTable, ring: ring)
      #expect(section.offset == next)
      next += section.bytes
    }
  }

  @Test func hashTellsLayoutsApart() {
    let hashes = Self.configurations.map { SegmentLayout($0, pageBytes: 4096).hash }
    #expect(Set(hashes).count == hashes.count)
    #expect(
      SegmentLayout(Self.configurations[0], pageBytes: 65536).hash != hashes[0],
      "another page size is another layout")
    #expect(SegmentLayout(Self.configurations[0], pageBytes: 4096).hash == hashes[0])
  }

  @Test func heapsAndRingsAreNotReservedAtCreation() {
    let layout = SegmentLayout(Configuration(), pageBytes: 4096)
    #expect(layout.bytesReservedAtCreation < 2 << 20, "the default names more than 1 GiB")
    #expect(layout.totalBytes > 5 << 30)
  }

  // MARK: What is refused

  struct Refusal: Sendable, CustomTestStringConvertible {
    var variable: String
    var value: String
    var change: @Sendable (inout Configuration) -> Void
    var testDescription: String { "\(variable)=\(value)" }
  }

  static let refusals: [Refusal] = [
    Refusal(variable: "rings", value: "0") { $0.rings = [] },
    Refusal(variable: "rings", value: "9") { $0.rings = Array(repeating: tiny, count: 9) },
    Refusal(variable: "--clusters", value: "0") { $0.clusters = 0 },
    Refusal(variable: "--clusters", value: "41") { $0.clusters = 41 },
    Refusal(variable: "--lanes", value: "0") { $0.lanes = 0 },
    Refusal(variable: "--lanes", value: "65") { $0.lanes = 65 },
    Refusal(variable: "--threads", value: "0") { $0.schedulerThreads = 0 },
    Refusal(variable: "--threads", value: "9") { $0.schedulerThreads = 9 },
    Refusal(variable: "offset limit", value: "0") { $0.offsetLimit = 0 },
    Refusal(variable: "--arena", value: "4095") { $0.arenaBytes = 4095 },
    Refusal(variable: "ranks", value: "0") { $0.ranks = 0 },
    Refusal(variable: "ranks", value: "257") { $0.ranks = 257 },
    Refusal(variable: "rank", value: "3") { ($0.rank, $0.ranks) = (3, 3) },
    Refusal(variable: "images", value: "17") { $0.imageCount = 17 },
    Refusal(variable: "kernels", value: "4097") { $0.kernelCount = 4097 },
    Refusal(variable: "PTO2_RING_TASK_WINDOW (--task-window)", value: "1") {
      $0.rings[0].taskWindow = 1
    },
    Refusal(variable: "PTO2_RING_TASK_WINDOW (--task-window)", value: "100") {
      $0.rings[0].taskWindow = 100
    },
    Refusal(variable: "PTO2_RING_TASK_WINDOW (--task-window)", value: "2097152") {
      $0.rings[0].taskWindow = 2_097_152
    },
    Refusal(variable: "PTO2_RING_CONSUMED_WINDOW (--consumed-window)", value: "8192") {
      $0.rings[0].consumedWindow = 8192
    },
    Refusal(variable: "PTO2_RING_HEAP (--heap)", value: "0") { $0.rings[0].heapBytes = 0 },
    Refusal(variable: "PTO2_RING_HEAP (--heap)", value: "100") { $0.rings[0].heapBytes = 100 },
    Refusal(variable: "PTO2_RING_DEP_POOL (--dep-pool)", value: "2") {
      $0.rings[0].dependencyPool = 2
    },
    Refusal(variable: "PTO2_RING_DEP_POOL (--dep-pool)", value: "5") {
      $0.rings[0].dependencyPool = 5
    },
    Refusal(variable: "PTO2_RING_DEP_POOL (--dep-pool)", value: "536870912") {
      $0.rings[0].dependencyPool = 1 << 29
    },
  ]

  @Test(arguments: refusals)
  func invalidValueIsRefusedByName(refusal: Refusal) {
    var configuration = Configuration()
    refusal.change(&configuration)
    let error = #expect(throws: ConfigurationError.self) { try configuration.validate() }
    #expect(error?.variable == refusal.variable)
    #expect(error?.value == refusal.value)
    #expect(error?.range.isEmpty == false)
  }

  @Test(arguments: configurations)
  func validConfigurationIsAccepted(configuration: Configuration) throws {
    try configuration.validate()
    #expect(configuration.logCapacity & (configuration.logCapacity - 1) == 0)
    #expect(configuration.logCapacity <= 65536)
  }
}
