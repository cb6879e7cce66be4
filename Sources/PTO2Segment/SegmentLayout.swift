internal import CPTO2Segment
internal import PTO2System

/// Where each section lies: computed once from the configuration, stored in
/// the header, computed again and compared by everyone who attaches.
package struct SegmentLayout: Equatable, Sendable {
  package struct Section: Equatable, Sendable {
    package let kind: SectionKind
    /// The ring, 0 for a section there is one of.
    package let ring: Int
    /// Bytes from the start of the segment; page-aligned.
    package let offset: UInt64
    /// Whole pages; 0 of a trace that there is none of.
    package let bytes: UInt64
    /// Of these, what its records take.
    package let usedBytes: UInt64
    package let writers: RoleSet

    package var isReservedAtCreation: Bool { kind.spec.isReservedAtCreation }
  }

  package let sections: [Section]
  package let totalBytes: UInt64
  package let pageBytes: UInt32
  private let firstOfKind: [Int]

  package init(_ configuration: Configuration, pageBytes: UInt32) {
    self.pageBytes = pageBytes
    var sections: [Section] = []
    var firstOfKind: [Int] = []
    var offset: UInt64 = 0
    for spec in SectionSpec.all {
      firstOfKind.append(sections.count)
      let stride = Self.stride(spec, pageBytes: pageBytes)
      for ring in 0..<(spec.isPerRing ? configuration.rings.count : 1) {
        let used = spec.count.of(configuration, ring: ring) * stride
        let bytes = Self.wholePages(max(spec.mayBeAbsent ? 0 : 1, used), pageBytes)
        sections.append(
          Section(
            kind: spec.kind, ring: ring, offset: offset, bytes: bytes, usedBytes: used,
            writers: spec.writers))
        offset += bytes
      }
    }
    self.sections = sections
    self.firstOfKind = firstOfKind
    totalBytes = offset
  }

  private static func wholePages(_ bytes: UInt64, _ pageBytes: UInt32) -> UInt64 {
    let page = UInt64(pageBytes)
    return (bytes + page - 1) / page * page
  }

  private static func stride(_ spec: SectionSpec, pageBytes: UInt32) -> UInt64 {
    spec.hasPages ? wholePages(spec.stride, pageBytes) : spec.stride
  }

  /// Bytes from one core's page to the next core's.
  package var coreStride: UInt64 { Self.stride(SectionKind.cores.spec, pageBytes: pageBytes) }

  package func section(_ kind: SectionKind, ring: Int = 0) -> Section {
    sections[firstOfKind[Int(kind.rawValue)] + ring]
  }

  /// The section that a byte of the segment lies in; nil beyond the end.
  package func section(at offset: UInt64) -> Section? {
    guard offset < totalBytes else { return nil }
    return sections.last { $0.offset <= offset }
  }

  /// The same for people; of what is beyond the end, the last section.
  package func sectionName(at offset: UInt64) -> String {
    guard let section = sections.last(where: { $0.offset <= offset }) else { return "no section" }
    let spec = section.kind.spec
    return spec.title + (spec.isPerRing ? " of ring \(section.ring)" : "")
  }

  /// Segment offset of descriptor 0: what DATA_MAIN_BASE offsets count from.
  package var dispatchBase: UInt64 { section(.dispatchTable).offset }

  /// Bytes reserved at creation, before any task.
  package var bytesReservedAtCreation: UInt64 {
    sections.reduce(0) { $0 + ($1.isReservedAtCreation ? $1.bytes : 0) }
  }

  /// Differs whenever two builds disagree on the name, place or size of any field of
  /// any record.
  package static let recordHash = pto2_layout_hash()

  /// Of the records and of the section table.
  package var hash: UInt64 {
    var hash = FNV1a()
    hash.add(Self.recordHash)
    for section in sections {
      for value in [
        UInt64(section.kind.rawValue), UInt64(section.ring), section.offset, section.bytes,
        UInt64(section.writers.rawValue),
      ] { hash.add(value) }
    }
    return hash.value
  }
}
