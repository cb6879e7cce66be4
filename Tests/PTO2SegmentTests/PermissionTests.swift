import Harness
import PTO2Segment
import Testing

/// What the MMU lets a role write, read from /proc/self/maps.
private func writablePages(_ segment: borrowing Segment) -> Set<UInt64> {
  let base = UInt64(UInt(bitPattern: segment.mapping.base))
  let page = UInt64(segment.layout.pageBytes)
  var writable: Set<UInt64> = []
  for line in readFile("/proc/self/maps").split(separator: "\n") {
    let fields = line.split(separator: " ")
    let bounds = fields[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
    guard bounds.count == 2, fields[1].contains("w") else { continue }
    let low = max(bounds[0], base)
    let high = min(bounds[1], base + segment.layout.totalBytes)
    var address = low
    while address < high {
      writable.insert((address - base) / page)
      address += page
    }
  }
  return writable
}

private func pages(_ section: SegmentLayout.Section, _ page: UInt32) -> Set<UInt64> {
  Set(section.offset / UInt64(page)..<(section.offset + section.bytes) / UInt64(page))
}

@Suite struct PermissionTests {
  private func expectedPages(_ segment: borrowing Segment) -> Set<UInt64> {
    var expected: Set<UInt64> = []
    for section in segment.layout.sections
    where section.kind != .cores && section.writers.contains(segment.role) {
      expected.formUnion(pages(section, segment.layout.pageBytes))
    }
    return expected
  }

  @Test func orchestratorWritesItsSectionsAndNoOther() throws {
    try withSegment { segment, _ in
      #expect(writablePages(segment) == expectedPages(segment))
    }
  }

  @Test func schedulerWritesItsSectionsAndNoOther() throws {
    try withSegment { _, name in
      let segment = try Segment.attach(name: name, role: .scheduler, timeoutMilliseconds: 0)
      let writable = writablePages(segment)
      #expect(writable == expectedPages(segment))
      for kind in [
        SectionKind.header, .mainRing, .dispatchTable, .orchestratorWords, .heap, .cores,
      ] {
        let section = segment.layout.section(kind)
        #expect(writable.isDisjoint(with: pages(section, segment.layout.pageBytes)), "\(kind)")
      }
    }
  }

  @Test func workerWritesDataAndTheCoresItHostsAndNoOther() throws {
    try withSegment(smallConfiguration(clusters: 2)) { _, name in
      let segment = try Segment.attach(name: name, role: .worker, timeoutMilliseconds: 0)
      #expect(writablePages(segment) == expectedPages(segment))
      let page = UInt64(segment.layout.pageBytes)
      let first = segment.layout.section(.cores).offset / page
      let perCore = segment.layout.coreStride / page
      var expected = expectedPages(segment)
      for core in [4, 1] {
        _ = try segment.openCore(core)
        let begin = first + UInt64(core) * perCore
        expected.formUnion(begin..<begin + perCore)
        #expect(writablePages(segment) == expected)
      }
    }
  }

  @Test func writersNeverShareAPage() throws {
    try withSegment(smallConfiguration(rings: 8, clusters: 40)) { segment, _ in
      var owner: [UInt64: UInt32] = [:]
      for section in segment.layout.sections {
        for page in pages(section, segment.layout.pageBytes) {
          #expect(owner[page] == nil || owner[page] == section.writers.rawValue)
          owner[page] = section.writers.rawValue
        }
      }
      #expect(UInt64(owner.count) * UInt64(segment.layout.pageBytes) == segment.layout.totalBytes)
    }
  }
}
