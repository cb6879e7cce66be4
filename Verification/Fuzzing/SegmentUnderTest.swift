import CFuzzer
import CPTO2Segment
import Glibc
import PTO2Protocol
import PTO2Segment
import PTO2System

/// A real segment that inputs are played on, one after the other, and a mapping
/// of all of it through which any byte can be stored: what other roles, or an
/// accident, would write.
final class SegmentUnderTest: SegmentViews {
  let configuration: Configuration
  let layout: SegmentLayout
  let name: String
  /// Everything, writable.
  let raw: UnsafeMutableRawPointer
  let owner: Segment
  private let header: [UInt8]
  private let hole: Hole

  nonisolated(unsafe) private static var count = 0

  init(_ configuration: Configuration, images: [KernelImage] = []) throws {
    Self.count += 1
    let prefix = getenv("PTO2_FUZZ_NAME").map { String(cString: $0) } ?? "pto2-fuzz-\(getpid())"
    name = "\(prefix)-\(Self.count)"
    let segment = try Segment.create(name: name, configuration: configuration, images: images)
    segment.publish()
    self.configuration = segment.configuration
    layout = segment.layout
    owner = segment
    let address = mmap(
      nil, Int(layout.totalBytes), PROT_READ | PROT_WRITE, MAP_SHARED, owner.object.descriptor, 0)!
    expect(address != MAP_FAILED, "mmap: errno \(errno)")
    raw = address
    // Header, images and kernels: the same for every input.
    let first = Int(layout.section(.orchestratorWords).offset)
    header = [UInt8](UnsafeRawBufferPointer(start: raw, count: first))
    hole = Hole(bytes: Int(layout.totalBytes))
  }

  /// As it was when it was created.
  func reset() {
    raw.copyMemory(from: header, byteCount: header.count)
    memset(raw + header.count, 0, Int(layout.totalBytes) - header.count)
  }

  /// Header, images and kernels are as they were when it was created.
  var isHeaderWhole: Bool { memcmp(raw, header, header.count) == 0 }

  /// A mapping of a role, surrounded by pages that cannot be touched, and with
  /// the unused ends of sections poisoned: a step beyond either is a crash.
  func attach(_ role: RoleSet) throws -> Segment {
    hole.open()
    let segment: Segment
    do {
      segment = try Segment.attach(name: name, role: role, timeoutMilliseconds: 0)
    } catch {
      hole.close()
      throw error
    }
    hole.note(segment.mapping.base)
    poison(segment.mapping.base, true)
    return segment
  }

  /// The same for as long as `body`, which must leave nothing of it.
  func withAttached(_ role: RoleSet, _ body: (consuming Segment) throws -> Void) throws {
    let segment = try attach(role)
    let base = segment.mapping.base
    try body(segment)
    poison(base, false)
    hole.close()
  }

  private func poison(_ base: UnsafeRawPointer, _ isPoisoned: Bool) {
    for section in layout.sections where section.kind.spec.record != nil {
      let used = Int(section.usedBytes + 7) / 8 * 8
      let start = base + Int(section.offset) + used
      let count = Int(section.bytes) - used
      if isPoisoned {
        __asan_poison_memory_region(start, count)
      } else {
        __asan_unpoison_memory_region(start, count)
      }
    }
  }

  var base: UnsafeRawPointer { UnsafeRawPointer(raw) }

  /// Those of some writers, without those that are empty.
  func sections(of writers: (RoleSet) -> Bool) -> [SegmentLayout.Section] {
    layout.sections.filter { $0.bytes > 0 && writers($0.writers) }
  }

  /// What an accident stores: a value at any place of a section.
  /// - Parameter offset: taken modulo the section's size.
  func damage<Value: FixedWidthInteger>(
    _ value: Value, _ section: SegmentLayout.Section, at offset: Int
  ) {
    let place = Int(section.offset) + offset % Int(section.bytes)
    raw.storeBytes(
      of: value, toByteOffset: place / MemoryLayout<Value>.size * MemoryLayout<Value>.size,
      as: Value.self)
  }

  // MARK: What any role stores

  var orchestrator: OrchestratorPage<OwnedWord> { OrchestratorPage(at: read(.orchestratorWords)) }
  var scheduler: SchedulerPage<OwnedWord> { SchedulerPage(at: read(.schedulerWords)) }
  func worker(_ core: Int) -> CorePage<OwnedWord> { CorePage(at: readCore(core)) }
  func line(_ core: Int) -> DispatchLanes<OwnedWord> {
    RecordList<DispatchLanes<OwnedWord>>(read(.dataMainBase), count: configuration.coreCount)[core]
  }
  func slots(_ ring: Int) -> RingTable<OwnedMainSlot> {
    RingTable(read(.mainRing, ring: ring), count: configuration.rings[ring].taskWindow)
  }
  func calls(_ ring: Int) -> RingTable<OwnedDescriptor> {
    RingTable(read(.dispatchTable, ring: ring), count: configuration.rings[ring].taskWindow)
  }
  /// A task's payload at a place of its slot's own.
  func ownPayload(_ ring: Int, _ local: UInt32, _ shape: PayloadShape) -> OwnedPayload {
    let index = Int(slots(ring).index(of: local))
    let offset = index * Int(PTO2_PAYLOAD_BYTES_PER_SLOT)
    calls(ring)[local].setPayload(layout.section(.payload, ring: ring).offset + UInt64(offset))
    return OwnedPayload(at: raw + Int(layout.section(.payload, ring: ring).offset) + offset, shape)
  }
  /// Of a task without tensors and scalars.
  func setPredicate(_ predicate: pto2_slot_predicate, of ring: Int, _ local: UInt32) {
    ownPayload(ring, local, PayloadShape(tensors: 0, scalars: 0)).setPredicate(predicate)
  }
}

/// Address space for one mapping between two ranges without access. The kernel
/// puts a mapping into the highest gap that has room: this one, once all others
/// are filled.
private final class Hole {
  private let bytes: Int
  private static let guardBytes = 1 << 30
  private var base: UnsafeMutableRawPointer
  private var isOpen = false
  nonisolated(unsafe) private static var isReported = false

  init(bytes: Int) {
    self.bytes = bytes
    base = Self.reserve(bytes)
  }

  private static func reserve(_ bytes: Int) -> UnsafeMutableRawPointer {
    map(nil, bytes + 2 * guardBytes)! + guardBytes
  }

  private static func map(_ address: UnsafeMutableRawPointer?, _ bytes: Int, _ flags: Int32 = 0)
    -> UnsafeMutableRawPointer?
  {
    let result = mmap(
      address, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0)
    return result == MAP_FAILED ? nil : result
  }

  func open() {
    if !isOpen { munmap(base, bytes) }
    isOpen = true
    for _ in 0..<1000 {
      guard let probe = Self.map(nil, bytes) else { return }
      if probe == base {
        munmap(base, bytes)
        return
      }
    }
  }

  func note(_ mapping: UnsafeRawPointer) {
    if mapping == UnsafeRawPointer(base) || Self.isReported { return }
    Self.isReported = true
    writeError("note: the segment is not mapped between guard pages")
  }

  /// The mapping is gone.
  func close() {
    // MAP_FIXED_NOREPLACE: somebody else's mapping stays, and there is another hole.
    if Self.map(base, bytes, 0x100000) != base { base = Self.reserve(bytes) }
    isOpen = false
  }
}

/// A small session: one page for most sections, every ring soon full.
func tinyConfiguration(
  rings: Int = 2, window: UInt32 = 4, consumed: UInt32 = 8, pool: UInt32 = 8, clusters: UInt32 = 1,
  lanes: UInt32 = 2, threads: UInt32 = 1, first: UInt32 = 0
) -> Configuration {
  Configuration(
    rings: [Configuration.Ring](
      repeating: Configuration.Ring(
        taskWindow: window, consumedWindow: consumed, heapBytes: 1024, dependencyPool: pool),
      count: rings),
    clusters: clusters, lanes: lanes, schedulerThreads: threads, arenaBytes: 4096,
    firstPosition: first, stallLimitMilliseconds: 1)
}
