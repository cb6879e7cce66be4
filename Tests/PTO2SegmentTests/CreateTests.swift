import CPTO2Segment
import Glibc
import Harness
import PTO2Segment
import PTO2System
import Testing

@Suite struct CreateTests {
  @Test func onlyTheOwnerMayOpenTheSegment() throws {
    try withSegment { _, name in
      #expect(sharedMemoryMode(name) == UInt32(S_IFREG) | 0o600)
    }
  }

  @Test func freshMemoryIsZero() throws {
    try withSegment { segment, _ in
      for section in segment.layout.sections
      where section.isReservedAtCreation && section.kind != .header {
        let bytes = UnsafeRawBufferPointer(
          start: segment.mapping.base + Int(section.offset), count: Int(section.bytes))
        #expect(bytes.allSatisfy { $0 == 0 }, "\(section.kind)")
      }
    }
  }

  @Test func everythingUntilTheFirstTaskIsReserved() throws {
    try withSegment { segment, _ in
      let allocated = segment.object.allocatedBytes()
      #expect(allocated == segment.layout.bytesReservedAtCreation)
      let size = try segment.object.size()
      #expect(size == segment.layout.totalBytes)
      try segment.reserve(.heap, ring: 1, from: 0, to: 4096, isPopulated: true)
      let withHeap = segment.object.allocatedBytes()
      #expect(withHeap == allocated + 4096)
      // Beyond the section's end nothing is taken.
      try segment.reserve(.heap, ring: 1, from: 8192, to: 1 << 30, isPopulated: false)
      let unchanged = segment.object.allocatedBytes()
      #expect(unchanged == withHeap)
    }
  }

  @Test func headerDescribesTheSegment() throws {
    try withSegment { segment, _ in
      let header = header(segment)
      #expect(header.magic == 0x3147_4553_324F_5450)
      #expect(header.segment_major == 2)
      #expect(header.creator_pid == UInt32(getpid()))
      #expect(header.creator_start_time == ProcessIdentity.startTime(of: getpid()))
      #expect(header.total_bytes == segment.layout.totalBytes)
      #expect(header.dispatch.dispatch_base == segment.layout.dispatchBase)
      #expect(Int(header.section_count) == segment.layout.sections.count)
      #expect(header.configuration.task_window.1 == 4)
      #expect(header.configuration.heap_bytes.1 == 8192)
      for (index, section) in segment.layout.sections.enumerated() {
        let record = segment.header.section(index)
        #expect(record.kind == section.kind.rawValue)
        #expect(Int(record.index) == section.ring)
        #expect(record.offset == section.offset)
        #expect(record.bytes == section.bytes)
        #expect(record.writer == section.writers.rawValue)
      }
    }
  }

  @Test func liveNameIsRefusedAndLeftUntouched() throws {
    try withSegment { segment, name in
      let before = UnsafeRawBufferPointer(start: segment.mapping.base, count: 4096).map { $0 }
      let error = segmentError {
        _ = try Segment.create(name: name, configuration: smallConfiguration(), images: [])
      }
      guard case .inUse(let inUse, let pid) = error else {
        Issue.record("expected inUse, got \(String(describing: error))")
        return
      }
      #expect(inUse == name && pid == getpid())
      let after = UnsafeRawBufferPointer(start: segment.mapping.base, count: 4096).map { $0 }
      #expect(before == after)
      let isNamed = segment.object.isStillNamed()
      #expect(isNamed)
    }
  }

  @Test func leftoverOfADeadSessionIsReplaced() throws {
    let name = uniqueSegmentName()
    do {
      let old = try Segment.create(
        name: name, configuration: smallConfiguration(rings: 3), images: [])
      old.publish()
    }
    #expect(sharedMemoryMode(name) != nil, "dropping a segment does not remove its name")
    let segment = try Segment.create(name: name, configuration: smallConfiguration(), images: [])
    segment.publish()
    let isNamed = segment.object.isStillNamed()
    #expect(isNamed)
    #expect(header(segment).configuration.rings == 2)
    segment.unlink()
    #expect(sharedMemoryMode(name) == nil)
  }

  @Test func somethingElseUnderTheNameIsNotRemoved() throws {
    let name = uniqueSegmentName()
    let other = try SharedMemoryObject.create(name: "/" + name, mark: 0, at: 4088)
    defer { SharedMemoryObject.unlink(name: "/" + name) }
    try other.setSize(8192)
    var bytes = [UInt8](repeating: 0x41, count: 8)
    #expect(pwrite(other.descriptor, &bytes, 8, 0) == 8)
    let error = segmentError {
      _ = try Segment.create(name: name, configuration: smallConfiguration(), images: [])
    }
    guard case .notASegment(_, 0x4141_4141_4141_4141) = error else {
      Issue.record("expected notASegment, got \(String(describing: error))")
      return
    }
    let isNamed = other.isStillNamed()
    #expect(isNamed)
  }

  @Test func unlinkLeavesALaterSegmentOfThatNameAlone() throws {
    let name = uniqueSegmentName()
    let first = try Segment.create(name: name, configuration: smallConfiguration(), images: [])
    first.publish()
    first.unlink()
    let second = try Segment.create(name: name, configuration: smallConfiguration(), images: [])
    second.publish()
    first.unlink()
    let isNamed = second.object.isStillNamed()
    #expect(isNamed)
    second.unlink()
    #expect(sharedMemoryMode(name) == nil)
  }

  @Test(arguments: [
    "", "/name", "a/b", "../x", ".", "..", "with space", "tab\t", "ümlaut", "a\0b",
    String(repeating: "x", count: 201),
  ])
  func invalidNameIsRefused(name: String) {
    for error in [
      segmentError {
        _ = try Segment.create(name: name, configuration: smallConfiguration(), images: [])
      },
      segmentError { _ = try Segment.attach(name: name, role: .worker, timeoutMilliseconds: 0) },
    ] {
      guard case .invalidName(name) = error else {
        Issue.record("expected invalidName, got \(String(describing: error))")
        continue
      }
    }
  }

  @Test func invalidConfigurationCreatesNothing() {
    let name = uniqueSegmentName()
    var configuration = smallConfiguration()
    configuration.rings[1].taskWindow = 3
    let error = segmentError {
      _ = try Segment.create(name: name, configuration: configuration, images: [])
    }
    guard case .invalidHeader(let reason) = error else {
      Issue.record("expected invalidHeader, got \(String(describing: error))")
      return
    }
    #expect(reason.variable == "PTO2_RING_TASK_WINDOW (--task-window)")
    #expect(sharedMemoryMode(name) == nil)
  }

  @Test func coreNamesAndIndexesAreInverse() {
    #expect((0..<6).map(coreName) == ["aic0", "aiv0", "aiv1", "aic1", "aiv2", "aiv3"])
    for core in 0..<120 { #expect(coreIndex(named: coreName(core)) == core) }
    for text in ["", "aic", "aic-1", "aic+1", "aix0", "AIC0", "aiv0x", "0", "aic999999999"] {
      #expect(coreIndex(named: text) == nil, "\(text)")
    }
  }
}
