/// Reserves a section chunk by chunk, just before its allocator first uses it.
///
/// Callers skip it once `remaining` is 0: then everything is reserved.
@usableFromInline
package struct ChunkReserver: ~Copyable {
  private let kind: SectionKind
  package let ring: Int
  private let sectionBytes: UInt64
  private let chunkBytes: UInt64
  private let isPopulated: Bool
  private var isReserved: [Bool]
  package private(set) var remaining: Int
  /// The chunks that were asked for last, as bytes of the section: an allocator mostly
  /// goes on in them.
  @usableFromInline private(set) var begin: UInt64 = 0
  @usableFromInline private(set) var end: UInt64 = 0

  /// - Parameters:
  ///   - chunkBytes: a multiple of the page size.
  ///   - isPopulated: also map the pages ahead into this process.
  package init(
    _ layout: SegmentLayout, _ kind: SectionKind, ring: Int = 0, chunkBytes: UInt64 = 256 << 10,
    isPopulated: Bool = true
  ) {
    let section = layout.section(kind, ring: ring)
    self.kind = kind
    self.ring = ring
    self.sectionBytes = section.bytes
    self.chunkBytes = max(chunkBytes, UInt64(layout.pageBytes))
    self.isPopulated = isPopulated
    let chunks = Int((section.bytes + self.chunkBytes - 1) / self.chunkBytes)
    isReserved = [Bool](repeating: false, count: chunks)
    remaining = chunks
  }

  /// These bytes are known to be backed by memory, or none: nothing is left to `reserve`.
  @inlinable @inline(__always)
  package func has(offset: UInt64, bytes: UInt64) -> Bool {
    bytes == 0 || (offset >= begin && offset &+ bytes <= end)
  }

  /// Makes sure that `bytes`, at least one, at `offset` of the section are backed by memory.
  /// - Throws: `noSpace` when /dev/shm is full.
  @inline(never)
  package mutating func reserve(_ segment: borrowing Segment, offset: UInt64, bytes: UInt64)
    throws(SegmentError)
  {
    let chunks = Int(offset / chunkBytes)...Int((offset + bytes - 1) / chunkBytes)
    for chunk in chunks where remaining > 0 && !isReserved[chunk] {
      let from = UInt64(chunk) * chunkBytes
      try segment.reserve(
        kind, ring: ring, from: from, to: min(from + chunkBytes, sectionBytes),
        isPopulated: isPopulated)
      isReserved[chunk] = true
      remaining -= 1
    }
    begin = remaining == 0 ? 0 : UInt64(chunks.lowerBound) * chunkBytes
    end = remaining == 0 ? .max : UInt64(chunks.upperBound + 1) * chunkBytes
  }
}
