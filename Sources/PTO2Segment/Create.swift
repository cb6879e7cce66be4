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
    name: String, configuration: Configuration, images: [KernelImage], constants: [UInt8] = [],
    isUnnamed: Bool = false
  ) throws(SegmentError) -> Segment {
    var configuration = configuration
    configuration.constantBytes = UInt64(constants.count)
    configuration.imageCount = UInt32(images.count)
    configuration.kernelCount = UInt32(images.reduce(0) { $0 + $1.kernels.count })
    do { try configuration.validate() } catch { throw .invalidHeader(error) }

    if isUnnamed {
      return try fill(
        try unnamedObject(label: name), configuration: configuration, images: images,
        constants: constants, isSealed: true)
    }
    let object = try createObject(named: try objectName(name))
    do {
      return try fill(
        object, configuration: configuration, images: images, constants: constants)
    } catch {
      // The object and its locks are gone by now: the name may already belong
      // to another creator, whose locks then keep it.
      try? removeIfDead("/" + name, deadline: Deadline(afterMilliseconds: 0))
      throw error
    }
  }

  private static func fill(
    _ object: consuming SharedMemoryObject, configuration: Configuration, images: [KernelImage],
    constants: [UInt8], isSealed: Bool = false
  ) throws(SegmentError) -> Segment {
    let layout = SegmentLayout(configuration, pageBytes: systemPageBytes())
    let mapping: Mapping
    do { mapping = try map(object, bytes: layout.totalBytes, isSealed: isSealed) } catch {
      throw .system(error)
    }
    let segment = Segment(
      object: object, mapping: mapping, configuration: configuration, layout: layout,
      role: .orchestrator)
    for section in layout.sections where section.isReservedAtCreation && section.bytes > 0 {
      try segment.reserve(offset: section.offset, bytes: section.bytes)
    }
    do { try segment.openOwnSections() } catch { throw .system(error) }
    segment.writeHeader()
    segment.writeImages(images)
    segment.writeConstants(constants)
    return segment
  }

  private static func map(
    _ object: borrowing SharedMemoryObject, bytes: UInt64, isSealed: Bool
  ) throws(SystemError) -> Mapping {
    try object.setSize(bytes)
    if isSealed { try object.sealSize() }
    return try Mapping(object, bytes: bytes)
  }

  private static func unnamedObject(label: String) throws(SegmentError) -> SharedMemoryObject {
    let object: SharedMemoryObject
    do { object = try SharedMemoryObject.createUnnamed(label: label) } catch {
      throw .system(error)
    }
    guard object.tryLock(.orchestrator, .exclusive), object.tryLock(.liveness, .shared) else {
      throw .inUse(name: label, pid: 0)
    }
    return object
  }

  /// O_EXCL, then the orchestrator's lock. Replaces a dead session's object.
  private static func createObject(named name: String) throws(SegmentError) -> SharedMemoryObject {
    let deadline = Deadline(afterMilliseconds: 3000)
    while true {
      let object: SharedMemoryObject
      do {
        object = try SharedMemoryObject.create(
          name: name, mark: CreationMark.word, at: CreationMark.offset)
      } catch {
        switch error.errno {
        case SystemError.alreadyExists:
          try removeIfDead(name, deadline: deadline)
          continue
        case SystemError.accessDenied: throw .accessDenied(name: String(name.dropFirst()))
        default: throw .system(error)
        }
      }
      if object.tryLock(.orchestrator, .exclusive), object.tryLock(.liveness, .shared),
        object.isStillNamed()
      {
        return object
      }
      if deadline.hasPassed { throw .inUse(name: name, pid: 0) }
    }
  }

  /// Unlinks an object in which nobody lives. The exclusive lock is held until
  /// the name is gone, and checked to be a lock of the named object, so two
  /// processes never remove each other's new segment.
  private static func removeIfDead(_ name: String, deadline: Deadline) throws(SegmentError) {
    let plainName = String(name.dropFirst())
    if let kind = SharedMemoryObject.strangeKind(name) {
      throw .notOurs(name: plainName, what: kind)
    }
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
    // Somebody else's file. Without O_TMPFILE a creator may not have marked it yet.
    let isOurs = header?.magic == PTO2_MAGIC ? true : CreationMark.isIn(old)
    if !isOurs {
      let isEmpty = (try? old.size()) == 0
      if isEmpty && !deadline.hasPassed { return yieldProcessor() }
      throw .notOurs(name: plainName, what: "a file that pto2 has not made")
    }
    guard old.tryLock(.liveness, .exclusive) else {
      if (header?.magic ?? 0) == 0, !deadline.hasPassed {
        yieldProcessor()
        return
      }
      throw .inUse(name: plainName, pid: Int32(bitPattern: header?.creator_pid ?? 0))
    }
    // Unlocked and unfinished may be a creator between open and lock: it gets
    // the waiting time before it counts as dead.
    if (header?.magic ?? 0) == 0, !deadline.hasPassed {
      _ = old.tryLock(.liveness, .shared)
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
    let creator = ProcessIdentity.current()
    var content = pto2_header()
    content.segment_major = UInt32(PTO2_SEGMENT_MAJOR)
    content.segment_minor = UInt32(PTO2_SEGMENT_MINOR)
    content.layout_hash = layout.hash
    content.total_bytes = layout.totalBytes
    content.page_bytes = layout.pageBytes
    content.creator_pid = UInt32(bitPattern: creator.pid)
    content.creator_start_time = creator.startTime
    let bootID = readBootID()
    unsafe withUnsafeMutableBytes(of: &content.boot_id) { unsafe $0.copyBytes(from: bootID) }
    content.dispatch = PTO2DispatchInitInfo(dispatch_base: layout.dispatchBase)
    content.configuration = configuration.record
    ownHeader.fill(
      content,
      sections: layout.sections.map {
        pto2_section(
          kind: $0.kind.rawValue, index: UInt32($0.ring), offset: $0.offset, bytes: $0.bytes,
          writer: $0.writers.rawValue, reserved: 0)
      })
  }

  /// From here on others may attach.
  package func publish() { ownHeader.publish() }
}

/// What tells that an object is pto2's before it has a magic: its creator may have died on
/// the way. In the header's page, behind the header.
enum CreationMark {
  static let word = UInt64(PTO2_CREATION_MARK)
  static let offset = UInt64(PTO2_CREATION_MARK_OFFSET)

  static func isIn(_ object: borrowing SharedMemoryObject) -> Bool {
    var found: UInt64 = 0
    return unsafe withUnsafeMutableBytes(of: &found) { unsafe object.read(into: $0, at: offset) }
      && found == word
  }
}
