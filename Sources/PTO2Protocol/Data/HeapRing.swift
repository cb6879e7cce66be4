/// The allocator of a heap or of a payload ring: contiguous blocks from a circular range,
/// freed in order of allocation.
///
/// Positions are bytes that run free in 64 bits, so full and empty never look
/// alike and a wrap gap is counted like any block. A block never straddles the
/// end: when it would, the gap up to the end is allocated with it.
@usableFromInline
package struct HeapRing: Equatable {
  /// Bytes; a multiple of `alignment`.
  @usableFromInline package let capacity: UInt64
  /// Position after the newest block.
  @usableFromInline package private(set) var head: UInt64 = 0
  /// `head` in the range: bytes from its start.
  @usableFromInline var headOffset: UInt64 = 0
  /// Position of the oldest block still alive.
  @usableFromInline package private(set) var tail: UInt64 = 0

  @inlinable package static var alignment: UInt64 { 64 }

  package init(capacity: UInt64) {
    precondition(capacity > 0 && capacity % Self.alignment == 0)
    self.capacity = capacity
  }

  @usableFromInline
  package struct Block: Equatable {
    /// Bytes from the start of the range; 0 for a block of no bytes.
    @usableFromInline package var offset: UInt64
    /// `head` before and after, the wrap gap included.
    @usableFromInline package var begin: UInt64
    @usableFromInline package var end: UInt64

    @inlinable @inline(__always)
    init(offset: UInt64, begin: UInt64, end: UInt64) {
      self.offset = offset
      self.begin = begin
      self.end = end
    }
  }

  /// Bytes rounded up to whole cache lines.
  @inlinable @inline(__always)
  package static func rounded(_ bytes: UInt64) -> UInt64 {
    (bytes + (alignment - 1)) & ~(alignment - 1)
  }

  @inlinable @inline(__always)
  package var used: UInt64 { head &- tail }

  /// Where the block would lie, or nil while there is no room. A block of no
  /// bytes always fits and takes nothing.
  @inlinable @inline(__always)
  package func place(bytes: UInt64) -> Block? {
    let size = Self.rounded(bytes)
    if size == 0 { return Block(offset: 0, begin: head, end: head) }
    guard size <= capacity else { return nil }
    let untilEnd = capacity &- headOffset
    let gap = size > untilEnd ? untilEnd : 0
    // In an empty ring the gap holds nothing up: any block that fits at all fits.
    if used == 0 {
      return Block(offset: gap > 0 ? 0 : headOffset, begin: head + gap, end: head + gap + size)
    }
    guard used + gap + size <= capacity else { return nil }
    return Block(offset: gap > 0 ? 0 : headOffset, begin: head, end: head + gap + size)
  }

  /// True when blocks of so many bytes together, of whole cache lines each, have room one
  /// behind the other before the end of the range.
  @inlinable @inline(__always)
  package func hasRun(bytes: UInt64) -> Bool {
    bytes <= capacity &- headOffset && bytes <= capacity &- used
  }

  /// Where the next block of such a run lies.
  @inlinable @inline(__always)
  package func placeInRun(bytes: UInt64) -> Block {
    let size = Self.rounded(bytes)
    return Block(offset: size == 0 ? 0 : headOffset, begin: head, end: head &+ size)
  }

  /// Takes a block that `place` or `placeInRun` has just returned.
  @inlinable @inline(__always)
  package mutating func take(_ block: Block) {
    if used == 0 { tail = block.begin }
    headOffset &+= block.end &- head
    while headOffset >= capacity { headOffset &-= capacity }
    head = block.end
  }

  /// Frees everything before `position`; a position already freed changes
  /// nothing, so the tail never goes back.
  package mutating func free(upTo position: UInt64) {
    precondition(position <= head, "nothing beyond the head can be freed")
    if position > tail { tail = position }
  }
}
