package import CPTO2Segment
package import PTO2Protocol

/// The segment's pages and rings as typed views. A view of words that this role
/// writes traps where the layout names another writer.
extension Segment {
  package var orchestratorPage: OrchestratorPage<SharedWord> {
    unsafe OrchestratorPage(at: read(.orchestratorWords))
  }
  package var ownOrchestratorPage: OrchestratorPage<OwnedWord> {
    unsafe OrchestratorPage(at: write(.orchestratorWords))
  }
  package var schedulerPage: SchedulerPage<SharedWord> {
    unsafe SchedulerPage(at: read(.schedulerWords))
  }
  package var ownSchedulerPage: SchedulerPage<OwnedWord> {
    unsafe SchedulerPage(at: write(.schedulerWords))
  }
  package func corePage(_ core: Int) -> CorePage<SharedWord> {
    unsafe CorePage(at: readCore(core))
  }

  /// A core's line of DATA_MAIN_BASE words.
  package func dispatchLine(_ core: Int) -> DispatchLine<SharedWord> {
    unsafe line(core, in: read(.dataMainBase))
  }
  package func ownDispatchLine(_ core: Int) -> DispatchLine<OwnedWord> {
    unsafe line(core, in: write(.dataMainBase))
  }
  private func line<Word>(_ core: Int, in base: UnsafeRawPointer) -> DispatchLine<Word> {
    unsafe DispatchLine(at: base + core * DispatchLine<Word>.stride)
  }

  package var log: RingTable<LogPlace> {
    unsafe RingTable(read(.submissionLog), count: configuration.logCapacity)
  }
  package var ownLog: RingTable<LogPlace> {
    unsafe RingTable(write(.submissionLog), count: configuration.logCapacity)
  }

  // MARK: Rings

  package func mainRing(_ ring: Int) -> RingTable<MainSlot> {
    unsafe RingTable(read(.mainRing, ring: ring), count: configuration.rings[ring].taskWindow)
  }
  package func ownMainRing(_ ring: Int) -> RingTable<OwnedMainSlot> {
    unsafe RingTable(write(.mainRing, ring: ring), count: configuration.rings[ring].taskWindow)
  }
  package func descriptors(_ ring: Int) -> RingTable<Descriptor> {
    unsafe RingTable(read(.dispatchTable, ring: ring), count: configuration.rings[ring].taskWindow)
  }
  package func ownDescriptors(_ ring: Int) -> RingTable<OwnedDescriptor> {
    unsafe RingTable(write(.dispatchTable, ring: ring), count: configuration.rings[ring].taskWindow)
  }
  package func fanin(_ ring: Int) -> RingTable<FaninPlace> {
    unsafe RingTable(read(.fanin, ring: ring), count: configuration.rings[ring].dependencyPool)
  }
  package func ownFanin(_ ring: Int) -> RingTable<FaninPlace> {
    unsafe RingTable(write(.fanin, ring: ring), count: configuration.rings[ring].dependencyPool)
  }
  package func consumedRing(_ ring: Int) -> RingTable<SharedRecord<pto2_consumed_entry>> {
    unsafe RingTable(
      read(.consumedRing, ring: ring), count: configuration.rings[ring].consumedWindow)
  }
  package func ownConsumedRing(_ ring: Int) -> RingTable<ConsumedEntry> {
    unsafe RingTable(
      write(.consumedRing, ring: ring), count: configuration.rings[ring].consumedWindow)
  }
  package func slotStates(_ ring: Int) -> RingTable<SharedRecord<pto2_main_slot_state>> {
    unsafe RingTable(read(.slotStates, ring: ring), count: configuration.rings[ring].taskWindow)
  }
  package func ownSlotStates(_ ring: Int) -> RingTable<SlotState> {
    unsafe RingTable(write(.slotStates, ring: ring), count: configuration.rings[ring].taskWindow)
  }
  package func fanout(_ ring: Int) -> RingTable<SharedRecord<pto2_fanout_edge>> {
    unsafe RingTable(read(.fanout, ring: ring), count: configuration.rings[ring].dependencyPool)
  }
  package func ownFanout(_ ring: Int) -> RingTable<FanoutEdge> {
    unsafe RingTable(write(.fanout, ring: ring), count: configuration.rings[ring].dependencyPool)
  }
}
