package import CPTO2Segment
package import PTO2Protocol

/// Where everything in a segment lies, as typed views of what other roles write.
///
/// A word is loaded through its view. Records are what stands there: torn, stale or
/// garbage unless the word that publishes them was acquired before.
package protocol SegmentViews: ~Copyable {
  var configuration: Configuration { get }
  var layout: SegmentLayout { get }

  /// First byte of the segment, mapped for the life of this value.
  var base: UnsafeRawPointer { get }
}

extension SegmentViews where Self: ~Copyable {
  /// First byte of a section, for reading.
  package func read(_ kind: SectionKind, ring: Int = 0) -> UnsafeRawPointer {
    unsafe base + Int(layout.section(kind, ring: ring).offset)
  }

  /// One core's page, for reading.
  package func readCore(_ core: Int) -> UnsafeRawPointer {
    unsafe read(.cores) + core * Int(layout.coreStride)
  }

  /// All that is mapped.
  package var bytes: SegmentBytes { unsafe SegmentBytes(at: base, count: layout.totalBytes) }

  // MARK: Pages

  package var header: SegmentHeader { unsafe SegmentHeader(at: base) }
  package var orchestratorPage: OrchestratorPage<SharedWord> {
    unsafe OrchestratorPage(at: read(.orchestratorWords))
  }
  package var schedulerPage: SchedulerPage<SharedWord> {
    unsafe SchedulerPage(at: read(.schedulerWords))
  }
  package func corePage(_ core: Int) -> CorePage<SharedWord> {
    unsafe CorePage(at: readCore(core))
  }
  /// A core's DATA_MAIN_BASE words, and what is said beside them.
  package func dispatchLanes(_ core: Int) -> DispatchLanes<SharedWord> {
    unsafe RecordList<DispatchLanes<SharedWord>>(
      read(.dataMainBase), count: configuration.coreCount)[core]
  }

  /// Of a session with a link.
  package var linkPage: LinkPage<SharedWord> { unsafe LinkPage(at: read(.linkWords)) }
  package var rankPage: RankPage<SharedWord> { unsafe RankPage(at: read(.rankWords)) }
  package var submissions: RingTable<SubmissionPlace> {
    unsafe RingTable(read(.submissions), count: PTO2_SUBMISSIONS_KEPT)
  }
  package var transferStarts: RingTable<TransferStart> {
    unsafe RingTable(read(.transferStarts), count: configuration.transferCapacity)
  }
  package var transferEnds: RingTable<TransferEnd> {
    unsafe RingTable(read(.transferEnds), count: configuration.transferCapacity)
  }

  /// All cores, as one of them sees the others.
  package var corePeers: CorePeers {
    unsafe CorePeers(
      RecordList(read(.dataMainBase), count: configuration.coreCount), pages: readCore(0),
      pageStride: Int(layout.coreStride), count: configuration.coreCount)
  }

  // MARK: Tables

  package var imageRecords: RecordList<ImageRecord> {
    unsafe RecordList(read(.images), count: Int(configuration.imageCount))
  }
  package var kernelRecords: RecordList<KernelRecord> {
    unsafe RecordList(read(.kernels), count: Int(configuration.kernelCount))
  }
  package var scopeNames: RecordList<ScopeName> {
    unsafe RecordList(read(.scopeNames), count: Int(PTO2_MAX_SCOPE_NAMES))
  }
  /// Those that there are so far. Acquire: pairs with the orchestrator's release behind them.
  package var scopeNameCount: Int {
    Int(min(orchestratorPage.scopeNames.loadAcquire(), UInt32(PTO2_MAX_SCOPE_NAMES)))
  }
  package var scopeUses: RecordList<ScopeUse> {
    unsafe RecordList(read(.scopeUses), count: Int(PTO2_MAX_SCOPE_USES))
  }
  /// What every kernel sees; nil when the session has none.
  package var constants: UnsafeRawBufferPointer? {
    let bytes = Int(configuration.constantBytes)
    return unsafe bytes == 0 ? nil : UnsafeRawBufferPointer(start: read(.constants), count: bytes)
  }
  package var log: RingTable<LogPlace> {
    unsafe RingTable(read(.submissionLog), count: configuration.logCapacity)
  }

  // MARK: Rings

  package func mainRing(_ ring: Int) -> RingTable<MainSlot> {
    unsafe RingTable(read(.mainRing, ring: ring), count: configuration.rings[ring].taskWindow)
  }
  package func descriptors(_ ring: Int) -> RingTable<Descriptor> {
    unsafe RingTable(read(.dispatchTable, ring: ring), count: configuration.rings[ring].taskWindow)
  }
  /// A task's payload, as its main slot says what it consists of; nil when its descriptor
  /// names no place for that.
  package func payload(_ id: TaskID) -> Payload? {
    let slot = mainRing(id.ring)[id.local]
    let content = slot.header
    return Payload(
      of: descriptors(id.ring)[id.local],
      PayloadShape(tensors: Int(content.tensor_count), scalars: Int(content.scalar_count)),
      hasPredicate: slot.flags.contains(.predicate), in: bytes)
  }
  package func fanin(_ ring: Int) -> RingTable<FaninPlace> {
    unsafe RingTable(read(.fanin, ring: ring), count: configuration.rings[ring].dependencyPool)
  }
  package func consumedRing(_ ring: Int) -> RingTable<SharedRecord<pto2_consumed_entry>> {
    unsafe RingTable(
      read(.consumedRing, ring: ring), count: configuration.rings[ring].consumedWindow)
  }
  package func slotStates(_ ring: Int) -> RingTable<SharedRecord<pto2_main_slot_state>> {
    unsafe RingTable(read(.slotStates, ring: ring), count: configuration.rings[ring].taskWindow)
  }
  package func fanout(_ ring: Int) -> RingTable<SharedRecord<pto2_fanout_edge>> {
    unsafe RingTable(read(.fanout, ring: ring), count: configuration.rings[ring].dependencyPool)
  }
}

/// The views of what this process's role writes: they trap where the layout names another
/// writer.
extension Segment {
  var ownHeader: OwnedSegmentHeader { unsafe OwnedSegmentHeader(at: write(.header)) }
  package var ownImageRecords: RecordList<ImageRecord> {
    unsafe RecordList(write(.images), count: Int(configuration.imageCount))
  }
  package var ownKernelRecords: RecordList<KernelRecord> {
    unsafe RecordList(write(.kernels), count: Int(configuration.kernelCount))
  }
  package var ownOrchestratorPage: OrchestratorPage<OwnedWord> {
    unsafe OrchestratorPage(at: write(.orchestratorWords))
  }
  package var ownSchedulerPage: SchedulerPage<OwnedWord> {
    unsafe SchedulerPage(at: write(.schedulerWords))
  }
  /// Of a session with a link, as the three below.
  package var ownLinkPage: LinkPage<OwnedWord> { unsafe LinkPage(at: write(.linkWords)) }
  package var ownTransferEnds: RingTable<TransferEnd> {
    unsafe RingTable(write(.transferEnds), count: configuration.transferCapacity)
  }
  package var ownTransferStarts: RingTable<TransferStart> {
    unsafe RingTable(write(.transferStarts), count: configuration.transferCapacity)
  }
  package var ownRankPage: RankPage<OwnedWord> { unsafe RankPage(at: write(.rankWords)) }
  package var ownSubmissions: RingTable<SubmissionPlace> {
    unsafe RingTable(write(.submissions), count: PTO2_SUBMISSIONS_KEPT)
  }
  package func ownDispatchLanes(_ core: Int) -> DispatchLanes<OwnedWord> {
    unsafe RecordList<DispatchLanes<OwnedWord>>(
      write(.dataMainBase), count: configuration.coreCount)[core]
  }
  package var ownScopeNames: RecordList<OwnedScopeName> {
    unsafe RecordList(write(.scopeNames), count: Int(PTO2_MAX_SCOPE_NAMES))
  }
  package var ownScopeUses: RecordList<OwnedScopeUse> {
    unsafe RecordList(write(.scopeUses), count: Int(PTO2_MAX_SCOPE_USES))
  }
  package var ownLog: RingTable<LogPlace> {
    unsafe RingTable(write(.submissionLog), count: configuration.logCapacity)
  }
  package func ownMainRing(_ ring: Int) -> RingTable<OwnedMainSlot> {
    unsafe RingTable(write(.mainRing, ring: ring), count: configuration.rings[ring].taskWindow)
  }
  package func ownDescriptors(_ ring: Int) -> RingTable<OwnedDescriptor> {
    unsafe RingTable(write(.dispatchTable, ring: ring), count: configuration.rings[ring].taskWindow)
  }
  /// First byte of a ring's payloads.
  package func ownPayloads(_ ring: Int) -> UnsafeMutableRawPointer {
    unsafe write(.payload, ring: ring)
  }
  package func ownFanin(_ ring: Int) -> RingTable<FaninPlace> {
    unsafe RingTable(write(.fanin, ring: ring), count: configuration.rings[ring].dependencyPool)
  }
  package func ownConsumedRing(_ ring: Int) -> RingTable<ConsumedEntry> {
    unsafe RingTable(
      write(.consumedRing, ring: ring), count: configuration.rings[ring].consumedWindow)
  }
  package func ownSlotStates(_ ring: Int) -> RingTable<SlotState> {
    unsafe RingTable(write(.slotStates, ring: ring), count: configuration.rings[ring].taskWindow)
  }
  package func ownFanout(_ ring: Int) -> RingTable<FanoutEdge> {
    unsafe RingTable(write(.fanout, ring: ring), count: configuration.rings[ring].dependencyPool)
  }
}
