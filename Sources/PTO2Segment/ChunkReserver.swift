/// Reserves a section chunk by chunk, just before its allocator first uses it.
///
/// Callers skip it once `remaining` is 0: then everything is reserved.
package struct ChunkReserver: ~Copyable {
  private let kind: SectionKind
  package let ring: Int
  private let sectionBytes: UInt64
  private let chunkBytes: UInt64
  private let isPopulated: Bool
  private var isReserved: [Bool]
  package private(set) var remaining: Int

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

  /// Makes sure that `bytes` at `offset` of the section are backed by memory.
  /// - Throws: `noSpace` when /dev/shm is full.
  package mutating func ensure(_ segment: borrowing Segment, offset: UInt64, bytes: UInt64)
    throws(SegmentError)
  {
    if remaining == 0 || bytes == 0 { return }
    try reserve(segment, offset: offset, bytes: bytes)
  }

  private mutating func reserve(_ segment: borrowing Segment, offset: UInt64, bytes: UInt64)
    throws(SegmentError)
  {
    for chunk in Int(offset / chunkBytes)...Int((offset + bytes - 1) / chunkBytes)
    where !isReserved[chunk] {
      let from = UInt64(chunk) * chunkBytes
      try segment.reserve(
        kind, ring: ring, from: from, to: min(from + chunkBytes, sectionBytes),
        isPopulated: isPopulated)
      isReserved[chunk] = true
      remaining -= 1
    }
  }
}
