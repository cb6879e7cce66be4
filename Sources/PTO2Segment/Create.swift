internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2System

extension Segment {
  /// Creates a segment for an orchestrator: named, sized, its protocol words
  /// reserved and zero, the header complete but for the magic.
  ///
  /// A leftover of a session in which nobody lives is replaced; a live one is
  /// refused. `publish` is the last step; until then nobody can attach.
  /// - Parameter isUnnamed: a memfd of a size that nobody can change; `name` is then
  ///   only a label, and `Segment.name` the path to attach by.
  package static func create(
    name: String, configuration: Configuration, images: [KernelImage], isUnnamed: Bool = false
  ) throws(SegmentError) -> Segment {
    var configuration = configuration
    configuration.imageCount = UInt32(images.count)
    configuration.kernelCount = UInt32(images.reduce(0) { $0 + $1.kernels.count })
    do { try configuration.validate() } catch { throw .invalidHeader(error) }

    if isUnnamed {
      return try fill(
        try unnamedObject(label: name), configuration: configuration, images: images,
        isSealed: true)
    }
    let object = try createObject(named: try objectName(name))
    do {
      return try fill(object, configuration: configuration, images: images)
    } catch {
      // The object and its locks are gone by now: the name may already belong
      // to another creator, whose locks then keep it.
      try? removeIfDead("/" + name, deadline: Deadline(afterMilliseconds: 0))
      throw error
    }
  }

  private static func fill(
    _ object: consuming SharedMemoryObject, configuration: Configuration, images: [KernelImage],
    isSealed: Bool = false
  ) throws(SegmentError) -> Segment {
    let layout = SegmentLayout(configuration, pageBytes: systemPageBytes())
    do {
      try object.setSize(layout.totalBytes)
      if isSealed { try object.sealSize() }
      let mapping = try Mapping(object, bytes: layout.totalBytes)
      let segment = Segment(
        object: object, mapping: mapping, configuration: configuration, layout: layout,
        role: .orchestrator)
      for section in layout.sections where section.isReservedAtCreation {
        try segment.reserve(offset: section.offset, bytes: section.bytes)
      }
      try segment.openOwnSections()
      segment.writeHeader()
      segment.writeImages(images)
      return segment
    } catch let error as SystemError {
      throw .system(error)
    } catch let error as SegmentError {
      throw error
    } catch {
      fatalError("unreachable: \(error)")
    }
  }

  private static func unnamedObject(label: String) throws(SegmentError) -> SharedMemoryObject {
    do {
      let object = try SharedMemoryObject.createUnnamed(label: label)
      guard object.tryLock(byte: Place.orchestrator.byte, .exclusive),
        object.tryLock(byte: Place.liveness.byte, .shared)
      else { throw SegmentError.inUse(name: label, pid: 0) }
      return object
    } catch let error as SystemError {
      throw .system(error)
    } catch let error as SegmentError {
      throw error
    } catch { fatalError("unreachable: \(error)") }
  }

  /// O_EXCL, then the orchestrator's lock. Replaces a dead session's object.
  private static func createObject(named name: String) throws(SegmentError) -> SharedMemoryObject {
    let deadline = Deadline(afterMilliseconds: 3000)
    while true {
      do {
        let object = try SharedMemoryObject.create(name: name)
        guard object.tryLock(byte: Place.orchestrator.byte, .exclusive),
          object.tryLock(byte: Place.liveness.byte, .shared), object.isStillNamed()
        else {
          if deadline.hasPassed { throw SegmentError.inUse(name: name, pid: 0) }
          continue
        }
        return object
      } catch let error as SystemError where error.errno == SystemError.alreadyExists {
        try removeIfDead(name, deadline: deadline)
      } catch let error as SystemError {
        throw error.errno == SystemError.accessDenied
          ? .accessDenied(name: String(name.dropFirst())) : .system(error)
      } catch let error as SegmentError {
        throw error
      } catch { fatalError("unreachable: \(error)") }
    }
  }

  /// Unlinks an object in which nobody lives. The exclusive lock is held until
  /// the name is gone, and checked to be a lock of the named object, so two
  /// processes never remove each other's new segment.
  private static func removeIfDead(_ name: String, deadline: Deadline) throws(SegmentError) {
    let plainName = String(name.dropFirst())
    let old: SharedMemoryObject
    do { old = try SharedMemoryObject.open(name: name) } catch {
      if error.errno == SystemError.notFound { return }
      throw error.errno == SystemError.accessDenied
        ? .accessDenied(name: plainName) : .system(error)
    }
    let header = peekHeader(old)
    if let header, header.magic != 0, header.magic != PTO2_MAGIC {
      throw .notASegment(name: plainName, magic: header.magic)
    }
    guard old.tryLock(byte: Place.liveness.byte, .exclusive) else {
      if (header?.magic ?? 0) == 0, !deadline.hasPassed {
        yieldProcessor()
        return
      }
      throw .inUse(name: plainName, pid: Int32(bitPattern: header?.creator_pid ?? 0))
    }
    // Unlocked and unfinished may be a creator between open and lock: it gets
    // the waiting time before it counts as dead.
    if (header?.magic ?? 0) == 0, !deadline.hasPassed {
      _ = old.tryLock(byte: Place.liveness.byte, .shared)
      yieldProcessor()
      return
    }
    if old.isStillNamed() { SharedMemoryObject.unlink(name: name) }
  }

  /// The header of an object, read without mapping it: a page that is not
  /// reserved yet reads as zero and cannot raise SIGBUS.
  static func peekHeader(_ object: borrowing SharedMemoryObject) -> pto2_header? {
    var magic: UInt64 = 0
    var header = pto2_header()
    // The magic first: when it is there, the rest was stored before it.
    guard unsafe withUnsafeMutableBytes(of: &magic, { unsafe object.read(into: $0) }),
      unsafe withUnsafeMutableBytes(of: &header, { unsafe object.read(into: $0) })
    else { return nil }
    header.magic = magic
    return header
  }

  private func writeHeader() {
    let identity = ProcessIdentity.current()
    let header = unsafe write(.header).assumingMemoryBound(to: pto2_header.self)
    unsafe header.pointee.segment_major = UInt32(PTO2_SEGMENT_MAJOR)
    unsafe header.pointee.segment_minor = UInt32(PTO2_SEGMENT_MINOR)
    unsafe header.pointee.layout_hash = layout.hash
    unsafe header.pointee.total_bytes = layout.totalBytes
    unsafe header.pointee.page_bytes = layout.pageBytes
    unsafe header.pointee.creator_pid = UInt32(bitPattern: identity.pid)
    unsafe header.pointee.creator_start_time = identity.startTime
    unsafe header.pointee.session_epoch = MonotonicClock.realtime()
    let bootID = readBootID()
    unsafe withUnsafeMutableBytes(of: &header.pointee.boot_id) { unsafe $0.copyBytes(from: bootID) }
    unsafe header.pointee.dispatch = PTO2DispatchInitInfo(dispatch_base: layout.dispatchBase)
    unsafe header.pointee.section_count = UInt32(layout.sections.count)
    unsafe header.pointee.configuration = configuration.record
    let table = unsafe write(.header) + MemoryLayout<pto2_header>.offset(of: \.sections)!
    for (index, section) in layout.sections.enumerated() {
      unsafe table.storeBytes(
        of: pto2_section(
          kind: section.kind.rawValue, index: UInt32(section.ring), offset: section.offset,
          bytes: section.bytes, writer: section.writers.rawValue, reserved: 0),
        toByteOffset: index * MemoryLayout<pto2_section>.stride, as: pto2_section.self)
    }
  }

  /// Stores the magic. Its release pairs with the acquire in `attach`: whoever
  /// sees the magic sees the whole header and every word initialised before.
  package func publish() {
    unsafe OwnedLongWord(write(.header)).storeRelease(PTO2_MAGIC)
  }
}
