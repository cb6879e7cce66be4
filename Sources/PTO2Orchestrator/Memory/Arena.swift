internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// The memory of external tensors: given out in order, taken back when a run begins.
///
/// Fresh pages of the segment are zero, and so is what a tensor gets of them. Memory
/// that a run before had is zeroed when it is given out again.
struct Arena: ~Copyable {
  private var reserver: ChunkReserver
  /// Bytes from the segment base to the arena.
  private let offset: UInt64
  private let capacity: UInt64
  private var used: UInt64 = 0
  /// Bytes that some run has used.
  private var touched: UInt64 = 0

  init(_ segment: borrowing Segment) {
    reserver = ChunkReserver(segment.layout, .arena, chunkBytes: 1 << 20, isPopulated: false)
    offset = segment.layout.section(.arena).offset
    capacity = segment.configuration.arenaBytes
  }

  /// Takes everything back.
  mutating func reset() { used = 0 }

  /// - Parameters:
  ///   - bytes: whole cache lines.
  ///   - shape: of the tensor, for messages.
  /// - Returns: bytes from the segment base to zero-filled memory.
  mutating func take(_ bytes: UInt64, for shape: Shape, in segment: borrowing Segment)
    throws(PTO2Error) -> UInt64
  {
    guard bytes <= capacity - used else {
      throw PTO2Error(
        .outOfMemory,
        "external tensor \(shape) of \(bytes) bytes: the arena has \(capacity - used) of \(capacity) bytes left. Make it larger with --arena",
        needed: bytes, available: capacity - used)
    }
    do { try reserver.ensure(segment, offset: used, bytes: bytes) } catch {
      throw PTO2Error(.outOfMemory, "external tensor \(shape): \(error)", needed: bytes)
    }
    let begin = used
    if begin < touched {
      segment.zero(offset: offset + begin, bytes: min(bytes, touched - begin))
    }
    used += bytes
    touched = max(touched, used)
    return offset + begin
  }
}

extension Segment {
  /// A place in memory that this process may write.
  @inline(__always)
  func address(_ offset: UInt64) -> UnsafeMutableRawPointer {
    unsafe UnsafeMutableRawPointer(mutating: mapping.base + Int(offset))
  }

  fileprivate func zero(offset: UInt64, bytes: UInt64) {
    unsafe address(offset).initializeMemory(as: UInt8.self, repeating: 0, count: Int(bytes))
  }
}
