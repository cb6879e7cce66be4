internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// One ring as the scheduler sees it: its own storage, what it reads of the
/// orchestrator's, and its two watermarks.
@unsafe struct RingState {
  // Orchestrator's, read-only here.
  var main: UnsafeRawPointer
  var fanin: UnsafePointer<UInt64>
  // Scheduler's.
  var consumed: UnsafeMutablePointer<pto2_consumed_entry>
  var states: UnsafeMutablePointer<pto2_main_slot_state>
  var edges: UnsafeMutablePointer<pto2_fanout_edge>
  var releasedWord: OwnedWord
  var consumedWord: OwnedWord
  /// What a scheduler that comes after this one knows of `wired`.
  var wiredWord: OwnedWord

  var mainMask: UInt32
  var consumedMask: UInt32
  var poolMask: UInt32
  /// Bytes from dispatch_base to this ring's descriptor 0.
  var descriptorBase: UInt64
  /// Number of this ring's main slot 0 among all rings' slots.
  var firstSlot: UInt32
  /// Unused part of the sections: 0 once every entry has been touched.
  var unreserved: UInt32

  /// Local id of the next task to wire. Writer: the log's holder.
  var wired: UInt32
  /// What the two watermark words hold. Writer: each one's holder.
  var released: UInt32
  var consumedPosition: UInt32
  /// Heap position after the last consumed task's outputs.
  var heapTail: UInt64 = 0
  /// Dependency-pool position of the first entry not reclaimed.
  var poolTail: UInt32
  /// And of the next task's first entry. Writer: the log's holder.
  var poolHead: UInt32

  var peakMain: UInt32 = 0
  var peakConsumed: UInt32 = 0
  var peakPool: UInt32 = 0
  var peakHeap: UInt64 = 0

  init(_ segment: borrowing Segment, ring: Int, firstSlot: UInt32) {
    let configuration = segment.configuration.rings[ring]
    let first = segment.configuration.firstPosition
    unsafe main = unsafe segment.read(.mainRing, ring: ring)
    unsafe fanin = unsafe segment.read(.fanin, ring: ring).assumingMemoryBound(to: UInt64.self)
    unsafe consumed = unsafe segment.write(.consumedRing, ring: ring)
      .assumingMemoryBound(to: pto2_consumed_entry.self)
    unsafe states = unsafe segment.write(.slotStates, ring: ring)
      .assumingMemoryBound(to: pto2_main_slot_state.self)
    unsafe edges = unsafe segment.write(.fanout, ring: ring).assumingMemoryBound(
      to: pto2_fanout_edge.self)
    let words = unsafe segment.write(.schedulerWords) + Int(PTO2_SCHED_RINGS) + 64 * ring
    unsafe releasedWord = unsafe OwnedWord(words + Int(PTO2_SCHED_RELEASED))
    unsafe consumedWord = unsafe OwnedWord(words + Int(PTO2_SCHED_CONSUMED))
    unsafe wiredWord = unsafe OwnedWord(
      segment.write(.schedulerWords) + Int(PTO2_SCHED_RING_WIRED) + 4 * ring)
    unsafe mainMask = configuration.taskWindow - 1
    unsafe consumedMask = configuration.consumedWindow - 1
    unsafe poolMask = configuration.dependencyPool - 1
    unsafe descriptorBase =
      segment.layout.section(.dispatchTable, ring: ring).offset - segment.layout.dispatchBase
    unsafe self.firstSlot = firstSlot
    unsafe unreserved = 1
    unsafe wired = first
    unsafe released = first
    unsafe consumedPosition = first
    unsafe poolTail = first
    unsafe poolHead = first
  }

  /// The main slot of a local id.
  @inline(__always)
  func slot(_ local: UInt32) -> UnsafePointer<pto2_main_slot> {
    unsafe (main + MainRing.slotOffset(MainRing.index(of: local, mask: mainMask)))
      .assumingMemoryBound(to: pto2_main_slot.self)
  }

  /// The consumed entry of a local id.
  @inline(__always)
  func entry(_ local: UInt32) -> UnsafeMutablePointer<pto2_consumed_entry> {
    unsafe consumed + Int(local & consumedMask)
  }

  @inline(__always)
  func state(_ local: UInt32) -> UnsafeMutablePointer<pto2_main_slot_state> {
    unsafe states + Int(local & mainMask)
  }
}

/// The scheduler's sections that are reserved as they are first used.
struct RingReservation: ~Copyable {
  var consumed: ChunkReserver
  var states: ChunkReserver
  var edges: ChunkReserver

  init(_ layout: SegmentLayout, ring: Int) {
    consumed = ChunkReserver(layout, .consumedRing, ring: ring)
    states = ChunkReserver(layout, .slotStates, ring: ring)
    edges = ChunkReserver(layout, .fanout, ring: ring)
  }

  /// Before a task is wired: its entry, its slot state, its edges.
  mutating func ensure(
    _ segment: borrowing Segment, local: UInt32, faninFirst: UInt32, faninCount: UInt32
  ) throws(SegmentError) {
    let ring = segment.configuration.rings[consumedRing]
    try consumed.ensure(
      segment, offset: UInt64(local & (ring.consumedWindow - 1)) * 64, bytes: 64)
    try states.ensure(segment, offset: UInt64(local & (ring.taskWindow - 1)) * 8, bytes: 8)
    guard faninCount > 0 else { return }
    let mask = ring.dependencyPool - 1
    let first = faninFirst & mask
    let untilEnd = min(faninCount, ring.dependencyPool - first)
    try edges.ensure(segment, offset: UInt64(first) * 16, bytes: UInt64(untilEnd) * 16)
    try edges.ensure(segment, offset: 0, bytes: UInt64(faninCount - untilEnd) * 16)
  }

  var consumedRing: Int { consumed.ring }
  var isComplete: Bool { consumed.remaining + states.remaining + edges.remaining == 0 }
}
