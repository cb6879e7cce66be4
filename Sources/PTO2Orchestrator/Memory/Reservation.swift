internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment

/// The sections of a ring that the orchestrator reserves as it first uses them: each in
/// its first lap only.
struct RingReservation: ~Copyable {
  private var main: ChunkReserver
  private var descriptors: ChunkReserver
  private var payload: ChunkReserver
  private var fanin: ChunkReserver
  private var heap: ChunkReserver
  /// All slots and descriptors are reserved; the dependency pool; all payloads; the heap.
  private var hasRecords = false
  private var hasFanin = false
  private var hasPayload = false
  private var hasHeap = false

  init(_ layout: SegmentLayout, ring: Int) {
    main = ChunkReserver(layout, .mainRing, ring: ring)
    descriptors = ChunkReserver(layout, .dispatchTable, ring: ring)
    payload = ChunkReserver(layout, .payload, ring: ring)
    fanin = ChunkReserver(layout, .fanin, ring: ring)
    heap = ChunkReserver(
      layout, .heap, ring: ring, chunkBytes: 1 << 20, isPopulated: false)
  }

  /// Places of the ring's next task.
  struct Places {
    /// Index of the main slot and the descriptor.
    var slot: UInt32
    /// Bytes from the start of the payloads.
    var payload: Range<UInt64>
    /// Bytes from the start of the heap.
    var heap: Range<UInt64>
    /// Index of the first pool entry, and their number.
    var pool: UInt32
    var poolCount: UInt32
    var poolCapacity: UInt32
  }

  /// Nothing is to be reserved for a task any more, whatever it takes of these.
  @inline(__always)
  func isComplete(fanin: Bool, payload: Bool, heap: Bool) -> Bool {
    hasRecords && (hasFanin || !fanin) && (hasPayload || !payload) && (hasHeap || !heap)
  }

  /// Memory for what a task's slot, descriptor, payload, fanin list and outputs take.
  /// - Throws: error 208 when /dev/shm is full.
  mutating func ensure(_ places: Places, in segment: borrowing Segment) throws(PTO2Error) {
    let slot = UInt64(places.slot)
    let entry = UInt64(MemoryLayout<UInt64>.stride)
    let first = UInt64(places.pool)
    let untilEnd = UInt64(min(places.poolCount, places.poolCapacity - places.pool))
    do throws(SegmentError) {
      try main.ensure(segment, record: slot, stride: OwnedMainSlot.stride)
      try descriptors.ensure(segment, record: slot, stride: OwnedDescriptor.stride)
      try payload.ensure(
        segment, offset: places.payload.lowerBound, bytes: UInt64(places.payload.count))
      try heap.ensure(
        segment, offset: places.heap.lowerBound, bytes: UInt64(places.heap.count))
      try fanin.ensure(segment, offset: first * entry, bytes: untilEnd * entry)
      try fanin.ensure(
        segment, offset: 0, bytes: (UInt64(places.poolCount) - untilEnd) * entry)
    } catch {
      throw PTO2Error(.outOfMemory, "\(error)", ring: main.ring)
    }
    hasRecords = main.remaining + descriptors.remaining == 0
    hasFanin = fanin.remaining == 0
    hasPayload = payload.remaining == 0
    hasHeap = heap.remaining == 0
  }
}

extension ChunkReserver {
  /// Makes sure that `bytes` at `offset` of the section are backed by memory.
  @inline(__always)
  mutating func ensure(
    _ segment: borrowing Segment, offset: UInt64, bytes: UInt64
  ) throws(SegmentError) {
    if !has(offset: offset, bytes: bytes) {
      try reserve(segment, offset: offset, bytes: bytes)
    }
  }

  @inline(__always)
  fileprivate mutating func ensure(
    _ segment: borrowing Segment, record: UInt64, stride: Int
  ) throws(SegmentError) {
    try ensure(segment, offset: record * UInt64(stride), bytes: UInt64(stride))
  }
}
