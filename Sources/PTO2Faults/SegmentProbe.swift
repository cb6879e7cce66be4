internal import CPTO2Segment
internal import Glibc
package import PTO2Segment
package import PTO2System

/// A session's segment as an onlooker sees it: it holds no place in the session
/// and maps nothing, so neither a truncated segment nor its end can hurt it.
@safe package final class SegmentProbe {
  private let object: SharedMemoryObject
  package let configuration: Configuration
  package let layout: SegmentLayout
  package let creator: ProcessIdentity

  private init(
    _ object: consuming SharedMemoryObject, _ header: pto2_header, _ configuration: Configuration,
    _ layout: SegmentLayout
  ) {
    self.object = object
    self.configuration = configuration
    self.layout = layout
    creator = ProcessIdentity(
      pid: Int32(bitPattern: header.creator_pid), startTime: header.creator_start_time)
  }

  /// - Throws: as `Segment.attach`; the segment must be there and published.
  package static func open(name: String) throws(SegmentError) -> SegmentProbe {
    let object = try open(name)
    let header = try header(object)
    let (configuration, layout) = try Segment.check(header, size: try size(object))
    return SegmentProbe(object, header, configuration, layout)
  }

  private static func open(_ name: String) throws(SegmentError) -> SharedMemoryObject {
    let path = SharedMemoryObject.isPath(name) ? name : "/" + name
    do { return try SharedMemoryObject.open(name: path) } catch {
      throw error.errno == SystemError.notFound
        ? .notFound(name: name, waitedMilliseconds: 0) : .system(error)
    }
  }

  private static func header(_ object: borrowing SharedMemoryObject) throws(SegmentError)
    -> pto2_header
  {
    var header = pto2_header()
    let count = unsafe pread(object.descriptor, &header, MemoryLayout<pto2_header>.size, 0)
    guard count == MemoryLayout<pto2_header>.size else {
      throw .truncated(
        expectedBytes: UInt64(MemoryLayout<pto2_header>.size), foundBytes: UInt64(max(0, count)))
    }
    return header
  }

  private static func size(_ object: borrowing SharedMemoryObject) throws(SegmentError) -> UInt64 {
    do { return try object.size() } catch { throw .system(error) }
  }

  /// The word at an offset; nil beyond the end.
  package func word(_ offset: UInt64) -> UInt32? {
    var value: UInt32 = 0
    let count = unsafe pread(object.descriptor, &value, 4, off_t(offset))
    return count == 4 ? value : nil
  }

  /// False beyond the end.
  package func store(_ value: UInt32, at offset: UInt64) -> Bool {
    var value = value
    return unsafe pwrite(object.descriptor, &value, 4, off_t(offset)) == 4
  }

  /// ftruncate(2).
  package func truncate(_ bytes: UInt64) -> Bool {
    ftruncate(object.descriptor, off_t(bytes)) == 0
  }

  // MARK: Where words lie

  private func offset(_ kind: SectionKind) -> UInt64 { layout.section(kind).offset }
  private func page(_ core: Int) -> UInt64 { offset(.cores) + UInt64(core) * layout.coreStride }

  package var submitted: UInt64 { offset(.orchestratorWords) + UInt64(PTO2_ORCH_SUBMITTED) }
  package var wired: UInt64 { offset(.schedulerWords) + UInt64(PTO2_SCHED_WIRED) }
  package var schedulerControl: UInt64 { offset(.schedulerWords) + UInt64(PTO2_SCHED_CONTROL) }
  package var schedulerParked: UInt64 { offset(.schedulerWords) + UInt64(PTO2_SCHED_PARKED) }
  package func released(ring: Int) -> UInt64 {
    offset(.schedulerWords) + UInt64(PTO2_SCHED_RINGS) + 64 * UInt64(ring)
      + UInt64(PTO2_SCHED_RELEASED)
  }
  package func consumed(ring: Int) -> UInt64 {
    offset(.schedulerWords) + UInt64(PTO2_SCHED_RINGS) + 64 * UInt64(ring)
      + UInt64(PTO2_SCHED_CONSUMED)
  }
  package func dispatch(core: Int, lane: Int) -> UInt64 {
    offset(.dataMainBase) + UInt64(core * MemoryLayout<pto2_dispatch_line>.stride + 4 * lane)
  }
  package func cond(core: Int, lane: Int) -> UInt64 {
    page(core) + UInt64(PTO2_CORE_COND) + 4 * UInt64(lane)
  }
  package func ready(core: Int) -> UInt64 { page(core) + UInt64(PTO2_CORE_READY) }

  /// Tasks that have been RELEASED, over all rings.
  package var releasedTasks: UInt64 {
    var sum: UInt64 = 0
    for ring in configuration.rings.indices {
      let position = word(released(ring: ring)) ?? configuration.firstPosition
      sum += UInt64(position &- configuration.firstPosition)
    }
    return sum
  }

  // MARK: Who

  /// The process record of a role.
  private func record(_ role: ProcessRole) -> UInt64 {
    switch role {
    case .orchestrator: offset(.orchestratorWords) + UInt64(PTO2_ORCH_PROCESS)
    case .scheduler: offset(.schedulerWords) + UInt64(PTO2_SCHED_PROCESS)
    case .worker(let core): page(core) + UInt64(PTO2_CORE_PROCESS)
    }
  }

  /// The word with which a process begins to announce itself.
  package func incarnation(_ role: ProcessRole) -> UInt64 {
    record(role) + UInt64(MemoryLayout<pto2_process_record>.offset(of: \.incarnation)!)
  }

  /// The process that plays a role now, if it has announced itself and lives.
  package func process(_ role: ProcessRole) -> ProcessIdentity? {
    if role == .orchestrator { return creator.isAlive ? creator : nil }
    let record = record(role)
    let low = MemoryLayout<pto2_process_record>.offset(of: \.start_time)!
    guard let pid = word(record), pid != 0, let first = word(record + UInt64(low)),
      let second = word(record + UInt64(low) + 4)
    else { return nil }
    let identity = ProcessIdentity(
      pid: Int32(bitPattern: pid), startTime: UInt64(second) << 32 | UInt64(first))
    return identity.isAlive ? identity : nil
  }
}
