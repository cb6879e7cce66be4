internal import CPTO2Segment
internal import Glibc
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// What the INOUT tensors of a task held before it began, kept in the task's own
/// memory in the heap until it is CONSUMED.
///
/// The first worker that gets the task copies the tensors there and then says so in
/// the header; a worker that finds the header saying so copies them back. Both are
/// done before ACK: whoever dies meanwhile has not begun, and either the tensors are
/// as they were or the copy of them is whole.
@safe struct Snapshots {
  private let memory: SegmentBytes
  /// Heaps and arena, which lie at the segment's end: all that this may touch.
  private let begin: UInt64
  private let end: UInt64

  init(_ segment: borrowing Segment) {
    memory = segment.bytes
    begin = segment.layout.section(.heap).offset
    end = segment.layout.totalBytes
  }

  /// Takes the task's snapshot, or puts back what it holds.
  /// - Throws: what is wrong with the slot, if it is damaged; nothing was stored then.
  @inline(never)
  func prepare(_ call: KernelCall) throws(Garbage) {
    let (slot, payload) = (call.slot, call.payload)
    let count = slot.tensorCount
    let header = slot.snapshotOffset
    guard header >= begin, header < end, header % UInt64(PTO2_CACHE_LINE) == 0,
      slot.flags.contains(.snapshot), count == call.word.tensors
    else { throw Garbage("a snapshot at offset \(header) of a task of \(count) tensors") }
    var copy = header + UInt64(PTO2_SNAPSHOT_ELEMENTS)
    for index in 0..<count {
      let tensor = payload.tensor(index)
      guard tensor.access == UInt8(PTO2_INOUT.rawValue) else { continue }
      guard let bytes = checkedBytes(tensor), copy <= end, bytes <= end - copy
      else {
        throw Garbage(
          "tensor \(index) at offset \(tensor.offset), of rank \(tensor.rank) and type \(tensor.dtype), in a snapshot"
        )
      }
      copy += HeapRing.rounded(bytes)
    }

    let word = unsafe OwnedWord(address(header))
    // Acquire: pairs with the release below, of a worker that has died since.
    let isTaken = word.shared.loadAcquire() == PTO2_SNAPSHOT_TAKEN
    copy = header + UInt64(PTO2_SNAPSHOT_ELEMENTS)
    for index in 0..<count where payload.tensor(index).access == UInt8(PTO2_INOUT.rawValue) {
      copy += HeapRing.rounded(move(payload.tensor(index), copy, isRestored: isTaken))
    }
    // Release: who sees it sees the elements.
    if !isTaken { word.storeRelease(PTO2_SNAPSHOT_TAKEN) }
  }

  /// - Parameter offset: checked.
  private func address(_ offset: UInt64) -> UnsafeMutableRawPointer {
    unsafe memory.address(offset)!
  }

  /// Bytes of the tensor's elements; nil unless all of them lie in memory for data.
  private func checkedBytes(_ tensor: pto2_tensor) -> UInt64? {
    guard tensor.rank <= UInt8(PTO2_MAX_RANK), let type = DataType(rawValue: tensor.dtype) else {
      return nil
    }
    if Self.isEmpty(tensor) { return 0 }
    let size = UInt64(type.byteCount)
    var count: UInt64 = 1
    var span: UInt64 = 1
    for dimension in 0..<Int(tensor.rank) {
      let (extent, stride) = Self.dimension(tensor, dimension)
      guard extent > 0, extent == 1 || stride > 0 else { return nil }
      // Neither overflows: extent and stride have 32 bits, and so has each value
      // before it was multiplied.
      count *= extent
      span += extent == 1 ? 0 : (extent - 1) * UInt64(stride)
      guard count <= UInt64(UInt32.max), span <= end else { return nil }
    }
    guard tensor.offset >= begin, tensor.offset <= end, span * size <= end - tensor.offset
    else { return nil }
    return count * size
  }

  /// Copies the elements, run by run; returns their bytes.
  private func move(_ tensor: pto2_tensor, _ copy: UInt64, isRestored: Bool) -> UInt64 {
    if Self.isEmpty(tensor) { return 0 }
    let runs = ByteRuns(
      offset: tensor.offset, rank: Int(tensor.rank), shape: tensor.shape, strides: tensor.strides,
      elementBytes: UInt64(DataType(rawValue: tensor.dtype)!.byteCount))
    var place = copy
    for (begin, end) in runs {
      let (data, kept) = unsafe (address(begin), address(place))
      unsafe memcpy(isRestored ? data : kept, isRestored ? kept : data, Int(end - begin))
      place += end - begin
    }
    return place - copy
  }

  /// Some extent is 0.
  private static func isEmpty(_ tensor: pto2_tensor) -> Bool {
    (0..<Int(tensor.rank)).contains { dimension(tensor, $0).extent == 0 }
  }

  @inline(__always)
  private static func dimension(_ tensor: pto2_tensor, _ index: Int) -> (
    extent: UInt64, stride: Int32
  ) {
    let (shape, strides) = (tensor.shape, tensor.strides)
    return switch index {
    case 0: (UInt64(shape.0), strides.0)
    case 1: (UInt64(shape.1), strides.1)
    case 2: (UInt64(shape.2), strides.2)
    case 3: (UInt64(shape.3), strides.3)
    default: (UInt64(shape.4), strides.4)
    }
  }
}
