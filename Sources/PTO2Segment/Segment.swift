internal import CPTO2Segment
package import PTO2Protocol
package import PTO2System

/// A segment this process takes part in: the object, its mapping, its layout.
///
/// All of it is mapped read-only, for good; only the sections this role writes are
/// writable. Dropping the value unmaps it; `unlink` removes the name.
@safe package struct Segment: ~Copyable, SegmentViews {
  package let object: SharedMemoryObject
  package let mapping: Mapping
  package let configuration: Configuration
  package let layout: SegmentLayout
  package let role: RoleSet

  init(
    object: consuming SharedMemoryObject, mapping: consuming Mapping, configuration: Configuration,
    layout: SegmentLayout, role: RoleSet
  ) {
    self.object = object
    self.mapping = mapping
    self.configuration = configuration
    self.layout = layout
    self.role = role
  }

  /// The name without the leading slash, as in /dev/shm; the path of a memfd.
  package var name: String {
    SharedMemoryObject.isPath(object.name) ? object.name : String(object.name.dropFirst())
  }

  /// shm_open wants one leading slash; the path of a memfd is taken as it is.
  static func objectName(_ name: String) throws(SegmentError) -> String {
    let parts = name.split(separator: "/", omittingEmptySubsequences: false)
    if parts.count == 5, parts[0].isEmpty, parts[1] == "proc", parts[3] == "fd",
      Int32(parts[2]) != nil, Int32(parts[4]) != nil
    {
      return name
    }
    func isLetterOrDigit(_ byte: UInt8) -> Bool {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"):
        true
      default: false
      }
    }
    // A name that begins with - is an option that has lost its place.
    guard (1...200).contains(name.utf8.count), isLetterOrDigit(name.utf8.first!),
      name.utf8.allSatisfy({ isLetterOrDigit($0) || "-_.".utf8.contains($0) })
    else { throw .invalidName(name) }
    return "/" + name
  }

  package var base: UnsafeRawPointer { unsafe mapping.base }

  /// Children that user code makes with fork(2) have no part in the session: they see the
  /// memory, as a copy of their own. Those of a worker see tensors alone, and end with it.
  /// - Parameter whenForked: called in such a child; may take no lock.
  package func leaveInParent(whenForked: (@Sendable () -> Void)? = nil) {
    let isWorker = role == .worker
    mapping.leaveInParent(
      object, hidden: isWorker ? layout.section(.heap).offset : 0, endsWithParent: isWorker,
      whenForked: whenForked)
  }

  /// First byte of a section this role writes.
  package func write(_ kind: SectionKind, ring: Int = 0) -> UnsafeMutableRawPointer {
    let section = layout.section(kind, ring: ring)
    precondition(!section.writers.isDisjoint(with: role), "\(kind) has another writer")
    return unsafe UnsafeMutableRawPointer(mutating: mapping.base + Int(section.offset))
  }

  /// Makes the sections of this role writable; of the core pages, none.
  func openOwnSections() throws(SystemError) {
    for section in layout.sections
    where section.bytes > 0 && ![.cores, .coreTrace].contains(section.kind)
      && !section.writers.isDisjoint(with: role)
    {
      try mapping.makeWritable(object, offset: section.offset, bytes: section.bytes)
    }
  }

  /// A worker, once it has its cores: what it has of the segment beside its own pages is for
  /// reading, the descriptor too.
  package func giveUpWriting() {
    precondition(role == .worker)
    _ = object.giveUpWriting(shared: LockByte.liveness.position)
  }

  /// Takes a core for this worker process: its lock, then its page. Fails when
  /// a live process hosts the core. Before `giveUpWriting` and `leaveInParent`.
  package func openCore(_ core: Int) throws(SegmentError) -> CorePage<OwnedWord> {
    precondition(role == .worker)
    guard object.take(.core(core)) else {
      throw .roleTaken("core \(CoreID(core))")
    }
    do {
      let offset = layout.section(.cores).offset + UInt64(core) * layout.coreStride
      try mapping.makeWritable(object, offset: offset, bytes: layout.coreStride)
      if configuration.isTraced {
        try mapping.makeWritable(
          object, offset: traceOffset(.core(core)), bytes: configuration.traceBytes)
      }
    } catch { throw .system(error) }
    return unsafe CorePage(at: readCore(core))
  }

  /// Reserves part of a section this role allocates from; maps it ahead if asked.
  /// - Throws: `noSpace` when /dev/shm is full; nothing is changed then.
  package func reserve(
    _ kind: SectionKind, ring: Int = 0, from: UInt64, to: UInt64, isPopulated: Bool
  ) throws(SegmentError) {
    let section = layout.section(kind, ring: ring)
    let end = min(to, section.bytes)
    guard from < end else { return }
    try reserve(offset: section.offset + from, bytes: end - from)
    if isPopulated { mapping.populate(offset: section.offset + from, bytes: end - from) }
  }

  func reserve(offset: UInt64, bytes: UInt64) throws(SegmentError) {
    do { try object.reserve(offset: offset, bytes: bytes) } catch {
      guard error.errno == SystemError.noSpace else { throw .system(error) }
      throw .noSpace(neededBytes: bytes, availableBytes: object.availableBytes())
    }
  }

  /// Removes the name. The memory goes when the last process unmaps it.
  package func unlink() {
    if object.isStillNamed() { SharedMemoryObject.unlink(name: object.name) }
  }

  /// For the last that this process does in a session whose orchestrator has died:
  /// gives its liveness lock back and removes the name unless somebody else has one.
  /// Whoever comes last to this finds nobody.
  package func leaveForGood() {
    object.unlock(.liveness)
    // Once more, since a worker's descriptor cannot lock exclusively.
    guard object.isStillNamed(), let named = try? SharedMemoryObject.open(name: object.name) else {
      return
    }
    if named.tryLock(.liveness, .exclusive) && named.isStillNamed() { unlink() }
  }
}

/// The name of a core by its number.
package func coreName(_ core: Int) -> String { CoreID(core).description }

/// The number of the core of this name; nil for any other text.
package func coreIndex(named name: String) -> Int? { CoreID(named: name)?.index }
