package import CPTO2Segment
internal import PTO2Protocol
package import PTO2System

extension Segment {
  /// Attaches to a segment as scheduler or worker.
  ///
  /// Steps, each with its own error: the name exists; the object has a page;
  /// the magic is published; same ABI; same page size; nothing is missing at
  /// the end; a valid configuration; the same layout; the orchestrator can be
  /// watched; the place is free. Nothing is mapped before all that. Waits for the name
  /// at most `timeoutMilliseconds`, then for the magic at most two seconds.
  package static func attach(name: String, role: RoleSet, timeoutMilliseconds: UInt64)
    throws(SegmentError) -> Segment
  {
    let objectName = try objectName(name)
    let object = try openWhenNamed(
      objectName, deadline: Deadline(afterMilliseconds: timeoutMilliseconds),
      timeoutMilliseconds: timeoutMilliseconds)
    let header = try headerWhenPublished(object, name: name)
    let size: UInt64
    do { size = try object.size() } catch { throw .system(error) }
    let (configuration, layout) = try check(header, size: size)

    // Check the name last: if a sweep removed this object before we took the lock,
    // the session is over.
    guard object.tryLock(.liveness, .shared), object.isStillNamed() else {
      throw .notFound(name: name, waitedMilliseconds: 0)
    }
    // In another PID or time namespace (start times differ there) everybody's
    // identity is a stranger's: processes that live would be taken for dead.
    let creator = ProcessIdentity(creatorOf: header)
    guard creator.isAlive || object.becomesFree(.orchestrator) else {
      throw .otherNamespace(name: name, pid: creator.pid)
    }
    if role == .scheduler, !object.take(.scheduler) {
      throw .roleTaken("the scheduler's place")
    }
    if role == .link, !object.take(.link) { throw .roleTaken("the link's place") }
    do throws(SystemError) {
      let mapping = try Mapping(object, bytes: layout.totalBytes)
      let segment = Segment(
        object: object, mapping: mapping, configuration: configuration, layout: layout, role: role)
      try segment.openOwnSections()
      return segment
    } catch { throw .system(error) }
  }

  private static func openWhenNamed(
    _ objectName: String, deadline: Deadline, timeoutMilliseconds: UInt64
  ) throws(SegmentError) -> SharedMemoryObject {
    let name = String(objectName.dropFirst())
    while true {
      do { return try SharedMemoryObject.open(name: objectName) } catch {
        switch error.errno {
        case SystemError.notAFile:
          throw .notOurs(
            name: name, what: SharedMemoryObject.strangeKind(objectName) ?? "no file any more")
        case SystemError.notFound where !deadline.hasPassed: sleepNanoseconds(5_000_000)
        case SystemError.notFound:
          throw .notFound(name: name, waitedMilliseconds: timeoutMilliseconds)
        case SystemError.accessDenied: throw .accessDenied(name: name)
        default: throw .system(error)
        }
      }
    }
  }

  /// A creator has two seconds from open to magic.
  private static func headerWhenPublished(_ object: borrowing SharedMemoryObject, name: String)
    throws(SegmentError) -> pto2_header
  {
    let deadline = Deadline(afterMilliseconds: 2000)
    while true {
      if let header = peekHeader(object) {
        if header.magic == PTO2_MAGIC { return header }
        if header.magic != 0 { throw .notASegment(name: name, magic: header.magic) }
      }
      guard !deadline.hasPassed else { throw .creatorDied(name: name) }
      sleepNanoseconds(1_000_000)
    }
  }

  /// Pure: decides from the header's bytes and the object's size alone.
  package static func check(_ header: pto2_header, size: UInt64) throws(SegmentError)
    -> (Configuration, SegmentLayout)
  {
    guard header.magic == PTO2_MAGIC else { throw .notASegment(name: "?", magic: header.magic) }
    guard header.segment_major == PTO2_SEGMENT_MAJOR else {
      throw .wrongVersion(
        found: (header.segment_major, header.segment_minor),
        expected: (UInt32(PTO2_SEGMENT_MAJOR), UInt32(PTO2_SEGMENT_MINOR)))
    }
    guard header.page_bytes == systemPageBytes() else {
      throw .wrongPageSize(found: header.page_bytes, expected: systemPageBytes())
    }
    guard size >= header.total_bytes else {
      throw .truncated(expectedBytes: header.total_bytes, foundBytes: size)
    }
    let configuration: Configuration
    do { configuration = try Configuration(header.configuration) } catch {
      throw .invalidHeader(error)
    }
    let layout = SegmentLayout(configuration, pageBytes: header.page_bytes)
    guard header.layout_hash == layout.hash else {
      throw .wrongLayout(found: header.layout_hash, expected: layout.hash)
    }
    guard header.total_bytes == layout.totalBytes else {
      throw .truncated(expectedBytes: layout.totalBytes, foundBytes: header.total_bytes)
    }
    guard header.dispatch.dispatch_base == layout.dispatchBase else {
      throw .wrongLayout(found: header.dispatch.dispatch_base, expected: layout.dispatchBase)
    }
    return (configuration, layout)
  }

  /// Who created the segment: the orchestrator's process.
  package func creator() -> ProcessIdentity {
    ProcessIdentity(creatorOf: header.content)
  }

  /// The dispatch descriptors' base, as the header tells cores once.
  package func dispatchBase() -> UInt64 { header.content.dispatch.dispatch_base }
}

extension ProcessIdentity {
  init(creatorOf header: pto2_header) {
    self.init(pid: Int32(bitPattern: header.creator_pid), startTime: header.creator_start_time)
  }
}
