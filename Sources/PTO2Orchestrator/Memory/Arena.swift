internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// The memory of external tensors and of kept outputs. What is freed is given out again once
/// every task is RELEASED that was submitted before; when a run begins, all is taken back.
///
/// Fresh pages of the segment are zero, and so is what a tensor gets of them. Memory that
/// was used before is zeroed when it is given out again, if whoever takes it wants that.
struct Arena: ~Copyable {
  /// Bytes from the first of the arena.
  private struct Piece {
    var begin: UInt64
    var bytes: UInt64
    var end: UInt64 { begin + bytes }
  }

  /// A piece that tasks may still use.
  private struct Freed {
    var piece: Piece
    /// Of each ring, the first task that was submitted later.
    var marks: [UInt64]
  }

  private var reserver: ChunkReserver
  /// Bytes from the segment base to the arena.
  private let offset: UInt64
  private let capacity: UInt64
  /// No tensor has anything from here on.
  private var used: UInt64 = 0
  /// Bytes that some tensor has had.
  private var touched: UInt64 = 0
  /// Below `used`, in order; no two touch.
  private var holes: [Piece] = []
  /// Oldest first.
  private var freed: [Freed] = []

  init(_ segment: borrowing Segment) {
    reserver = ChunkReserver(segment.layout, .arena, chunkBytes: 1 << 20, isPopulated: false)
    offset = segment.layout.section(.arena).offset
    capacity = segment.configuration.arenaBytes
  }

  /// Takes everything back.
  mutating func reset() {
    used = 0
    holes = []
    freed = []
  }

  func hasRoom(_ bytes: UInt64) -> Bool {
    bytes <= capacity - used || holes.contains { $0.bytes >= bytes }
  }

  /// - Parameters:
  ///   - bytes: whole cache lines, at least one.
  ///   - tensor: what it is, and of which shape, for messages.
  /// - Returns: bytes from the segment base.
  mutating func take(
    _ bytes: UInt64, for tensor: @autoclosure () -> String, isZeroed: Bool,
    in segment: borrowing Segment
  ) throws(PTO2Error) -> UInt64 {
    let hole = holes.firstIndex { $0.bytes >= bytes }
    let begin = hole.map { holes[$0].begin } ?? used
    guard hole != nil || bytes <= capacity - used else {
      throw PTO2Error(
        .outOfMemory,
        "\(tensor()) of \(bytes) bytes: the arena has \(capacity - used) of \(capacity) bytes left. Make it larger with --arena, or free tensors that are not needed any more",
        needed: bytes, available: capacity - used)
    }
    do { try reserver.ensure(segment, offset: begin, bytes: bytes) } catch {
      throw PTO2Error(.outOfMemory, "\(tensor()): \(error)", needed: bytes)
    }
    if isZeroed, begin < touched {
      segment.zero(offset: offset + begin, bytes: min(bytes, touched - begin))
    }
    if let hole {
      holes[hole].begin += bytes
      holes[hole].bytes -= bytes
      if holes[hole].bytes == 0 { holes.remove(at: hole) }
    } else {
      used += bytes
    }
    touched = max(touched, begin + bytes)
    return offset + begin
  }

  // MARK: Given back

  /// - Parameters:
  ///   - begin: as `take` has returned it, with as many bytes.
  ///   - marks: of each ring, the next task.
  mutating func free(_ begin: UInt64, bytes: UInt64, marks: [UInt64]) {
    freed.append(Freed(piece: Piece(begin: begin - offset, bytes: bytes), marks: marks))
  }

  /// Of the oldest piece that tasks may still use.
  var oldestMarks: [UInt64]? { freed.first?.marks }

  /// Gives out again what no task uses any more.
  /// - Parameter released: the first task of a ring that is not RELEASED.
  mutating func reclaim(_ released: (Int) -> UInt64) {
    let count =
      freed.firstIndex { freed in
        freed.marks.indices.contains { released($0) < freed.marks[$0] }
      } ?? freed.count
    for index in 0..<count { insert(freed[index].piece) }
    freed.removeFirst(count)
  }

  private mutating func insert(_ piece: Piece) {
    var piece = piece
    var index = holes.firstIndex { $0.begin > piece.begin } ?? holes.count
    if index < holes.count, holes[index].begin == piece.end {
      piece.bytes += holes[index].bytes
      holes.remove(at: index)
    }
    if index > 0, holes[index - 1].end == piece.begin {
      index -= 1
      piece = Piece(begin: holes[index].begin, bytes: holes[index].bytes + piece.bytes)
      holes.remove(at: index)
    }
    if piece.end == used {
      used = piece.begin
    } else {
      holes.insert(piece, at: index)
    }
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
