internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment

/// One ring as the scheduler sees it: its own storage, what it reads of the
/// orchestrator's, and its two watermarks.
@safe struct Ring {
  private let state: UnsafeMutablePointer<State>

  fileprivate struct State {
    // Orchestrator's, read-only here.
    let slots: RingTable<MainSlot>
    let fanin: RingTable<FaninPlace>
    // Scheduler's.
    let entries: RingTable<ConsumedEntry>
    let slotStates: RingTable<SlotState>
    let edges: RingTable<FanoutEdge>
    let wiredWord: OwnedWord
    let peaks: OwnedRingPeaks
    /// Bytes from dispatch_base to this ring's descriptor 0.
    let descriptorBase: UInt64
    /// Number of this ring's main slot 0 among all rings' slots.
    let firstSlot: UInt32

    var released: WatermarkState
    var consumed: WatermarkState
    var wired: UInt32
    var heapTail: UInt64 = 0
    var poolTail: UInt32
    var poolHead: UInt32
    var isPartlyReserved = true
  }

  fileprivate init(_ state: UnsafeMutablePointer<State>) { unsafe self.state = state }

  // MARK: Records

  /// The main slot of a local id.
  @inline(__always)
  func slot(_ local: UInt32) -> MainSlot { unsafe state.pointee.slots[local] }
  /// The consumed entry of a local id.
  @inline(__always)
  func entry(_ local: UInt32) -> ConsumedEntry { unsafe state.pointee.entries[local] }
  @inline(__always)
  func slotState(_ local: UInt32) -> SlotState { unsafe state.pointee.slotStates[local] }
  /// Where a position of the dependency pool lies, for `fanin` and `edge`.
  @inline(__always)
  func poolIndex(_ position: UInt32) -> UInt32 { unsafe state.pointee.edges.index(of: position) }
  /// An entry of the orchestrator's dependency pool.
  @inline(__always)
  func fanin(_ index: UInt32) -> FaninWord { unsafe state.pointee.fanin[index: index].word }
  /// The edge that belongs to the fanin entry at the same place.
  @inline(__always)
  func edge(_ index: UInt32) -> FanoutEdge { unsafe state.pointee.edges[index: index] }

  /// Tasks that can be between submission and RELEASED.
  var taskWindow: UInt32 { unsafe state.pointee.slots.count }
  /// Tasks that can be between submission and CONSUMED.
  var consumedWindow: UInt32 { unsafe state.pointee.entries.count }
  var dependencyPool: UInt32 { unsafe state.pointee.edges.count }

  /// True when no other task has the main slot or the entry of this one any more.
  ///
  /// The watermarks are read from the words that the orchestrator goes by: they are
  /// never behind what it has seen.
  @inline(__always)
  func hasRoom(for local: UInt32) -> Bool {
    unsafe local &- released.word.loadOwn() <= state.pointee.slots.mask
      && local &- consumed.word.loadOwn() <= state.pointee.entries.mask
  }

  /// Number of a task's main slot among all rings' slots.
  @inline(__always)
  func slotNumber(_ local: UInt32) -> UInt32 {
    unsafe state.pointee.firstSlot + state.pointee.slots.index(of: local)
  }
  /// Bytes from dispatch_base to a task's descriptor.
  @inline(__always)
  func descriptorOffset(_ local: UInt32) -> UInt64 {
    unsafe state.pointee.descriptorBase
      + UInt64(state.pointee.slots.index(of: local)) * UInt64(Descriptor.stride)
  }
  /// Which main slot a descriptor belongs to; nil when none of this ring.
  func slotIndex(ofDescriptor offset: UInt64) -> UInt32? {
    let (index, rest) = unsafe (offset &- state.pointee.descriptorBase)
      .quotientAndRemainder(dividingBy: UInt64(Descriptor.stride))
    guard rest == 0, index < UInt64(taskWindow) else { return nil }
    return UInt32(index)
  }

  /// How many main slots after a task's another one comes, around the ring.
  func slotDistance(from local: UInt32, to index: UInt32) -> UInt32 {
    unsafe state.pointee.slots.index(of: index &- local)
  }

  // MARK: Positions

  /// `last_task_released`: main slots, descriptors and pool entries before it are free.
  @inline(__always)
  var released: Watermark<Released> { unsafe Watermark(&state.pointee.released) }
  /// `last_task_consumed`: outputs and entries before it are free. Never ahead of
  /// `released`.
  @inline(__always)
  var consumed: Watermark<Consumed> { unsafe Watermark(&state.pointee.consumed) }

  /// Local id of the next task to wire. Writer: the log's holder.
  @inline(__always)
  var wired: Cell<UInt32> { unsafe Cell(&state.pointee.wired) }
  /// What a scheduler that comes after this one knows of `wired`.
  @inline(__always)
  var wiredWord: OwnedWord { unsafe state.pointee.wiredWord }
  /// Heap position after the last consumed task's outputs.
  @inline(__always)
  var heapTail: Cell<UInt64> { unsafe Cell(&state.pointee.heapTail) }
  /// Dependency-pool position of the first entry not reclaimed.
  @inline(__always)
  var poolTail: Cell<UInt32> { unsafe Cell(&state.pointee.poolTail) }
  /// And of the next task's first entry. Writer: the log's holder.
  @inline(__always)
  var poolHead: Cell<UInt32> { unsafe Cell(&state.pointee.poolHead) }
  /// Until every record of the ring has been used once. Writer: the log's holder.
  @inline(__always)
  var isPartlyReserved: Cell<Bool> { unsafe Cell(&state.pointee.isPartlyReserved) }
  /// Writer: the log's holder.
  @inline(__always)
  var peaks: OwnedRingPeaks { unsafe state.pointee.peaks }
}

/// All rings of the session.
@safe struct Rings {
  private let base: UnsafeMutablePointer<Ring.State>
  let count: Int

  init(_ segment: borrowing Segment, _ words: ThreadWords) {
    let configuration = segment.configuration
    let page = segment.ownSchedulerPage
    count = configuration.rings.count
    unsafe base = .allocate(capacity: count)
    var slots: UInt32 = 0
    for ring in 0..<count {
      let first = configuration.firstPosition
      let descriptors = segment.layout.section(.dispatchTable, ring: ring)
      unsafe (base + ring).initialize(
        to: Ring.State(
          slots: segment.mainRing(ring), fanin: segment.fanin(ring),
          entries: segment.ownConsumedRing(ring), slotStates: segment.ownSlotStates(ring),
          edges: segment.ownFanout(ring), wiredWord: page.wired(ring), peaks: page.ownPeaks(ring),
          descriptorBase: descriptors.offset - segment.layout.dispatchBase, firstSlot: slots,
          released: WatermarkState(page.released(ring), words.releasedLock(ring), at: first),
          consumed: WatermarkState(page.consumed(ring), words.consumedLock(ring), at: first),
          wired: first, poolTail: first, poolHead: first))
      slots += configuration.rings[ring].taskWindow
    }
  }

  func deallocate() { unsafe base.deallocate() }

  /// Edges there can be.
  var edgeCount: Int { (0..<count).reduce(0) { $0 + Int(self[$1].dependencyPool) } }

  /// - Parameter ring: less than `count`.
  @inline(__always)
  subscript(ring: Int) -> Ring { unsafe Ring(base + ring) }

  /// The consumed entry of a task.
  @inline(__always)
  func entry(_ id: TaskID) -> ConsumedEntry { self[id.ring].entry(id.local) }
}
