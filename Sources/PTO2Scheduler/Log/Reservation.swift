internal import PTO2Protocol
internal import PTO2Segment

/// The scheduler's sections of a ring, which get memory as they are first used.
struct RingReservation: ~Copyable {
  private var consumed: ChunkReserver
  private var states: ChunkReserver
  private var edges: ChunkReserver

  init(_ layout: SegmentLayout, ring: Int) {
    consumed = ChunkReserver(layout, .consumedRing, ring: ring)
    states = ChunkReserver(layout, .slotStates, ring: ring)
    edges = ChunkReserver(layout, .fanout, ring: ring)
  }

  /// Before a task is wired: its entry, its slot state, its edges.
  mutating func ensure(
    _ segment: borrowing Segment, local: UInt32, faninFirst: UInt32, faninCount: UInt32
  ) throws(SegmentError) {
    let ring = segment.configuration.rings[consumed.ring]
    try consumed.ensure(segment, ConsumedEntry.self, local & (ring.consumedWindow - 1))
    try states.ensure(segment, SlotState.self, local & (ring.taskWindow - 1))
    guard faninCount > 0 else { return }
    let first = faninFirst & (ring.dependencyPool - 1)
    let untilEnd = min(faninCount, ring.dependencyPool - first)
    try edges.ensure(segment, FanoutEdge.self, first, count: untilEnd)
    try edges.ensure(segment, FanoutEdge.self, 0, count: faninCount - untilEnd)
  }

  var isComplete: Bool { consumed.remaining + states.remaining + edges.remaining == 0 }
}

extension ChunkReserver {
  @inline(__always)
  fileprivate mutating func ensure<View: RecordView>(
    _ segment: borrowing Segment, _: View.Type, _ index: UInt32, count: UInt32 = 1
  ) throws(SegmentError) {
    let stride = UInt64(View.stride)
    let (offset, bytes) = (UInt64(index) * stride, UInt64(count) * stride)
    if !has(offset: offset, bytes: bytes) {
      try reserve(segment, offset: offset, bytes: bytes)
    }
  }
}
