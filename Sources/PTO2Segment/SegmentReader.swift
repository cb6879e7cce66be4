internal import CPTO2Segment
package import PTO2Protocol
package import PTO2System

/// A session's segment as an onlooker sees it: no lock taken, no place in the session, so
/// that nothing there depends on it.
///
/// Its views are loads from a read-only mapping, and end this process with SIGBUS where
/// somebody has made the object smaller. `value` and `content` read the same places with
/// pread(2): nothing that happens to the segment hurts them.
@safe package final class SegmentReader: SegmentViews {
  package let object: SharedMemoryObject
  private let mapping: Mapping
  package let configuration: Configuration
  package let layout: SegmentLayout
  package let creator: ProcessIdentity

  private init(
    _ object: consuming SharedMemoryObject, _ mapping: consuming Mapping, _ header: pto2_header,
    _ configuration: Configuration, _ layout: SegmentLayout
  ) {
    self.object = object
    self.mapping = mapping
    self.configuration = configuration
    self.layout = layout
    creator = ProcessIdentity(creatorOf: header)
  }

  /// - Throws: as `Segment.attach`; the segment must be there and published.
  package static func open(name: String) throws(SegmentError) -> SegmentReader {
    let object = try open(Segment.objectName(name), name)
    guard let header = Segment.peekHeader(object) else {
      throw .truncated(
        expectedBytes: UInt64(MemoryLayout<pto2_header>.size),
        foundBytes: (try? object.size()) ?? 0)
    }
    let (configuration, layout) = try Segment.check(header, size: try size(object))
    let mapping: Mapping
    do { mapping = try Mapping(object, bytes: layout.totalBytes) } catch { throw .system(error) }
    return SegmentReader(object, mapping, header, configuration, layout)
  }

  private static func open(_ objectName: String, _ name: String) throws(SegmentError)
    -> SharedMemoryObject
  {
    do { return try SharedMemoryObject.open(name: objectName) } catch {
      throw error.errno == SystemError.notFound
        ? .notFound(name: name, waitedMilliseconds: 0) : .system(error)
    }
  }

  private static func size(_ object: borrowing SharedMemoryObject) throws(SegmentError) -> UInt64 {
    do { return try object.size() } catch { throw .system(error) }
  }

  package var base: UnsafeRawPointer { unsafe mapping.base }

  /// How far from the segment's start a word of these views lies.
  package func offset(of word: SharedWord) -> UInt64 {
    UInt64(unsafe UnsafeRawPointer(word.address) - base)
  }

  // MARK: Reading what may be gone

  /// A word of these views; nil when it is gone.
  package func value(_ word: SharedWord) -> UInt32? { value(at: offset(of: word)) }

  /// The word at an offset; nil when it is gone.
  package func value(at offset: UInt64) -> UInt32? {
    var value: UInt32 = 0
    let isThere = unsafe withUnsafeMutableBytes(of: &value) {
      unsafe object.read(into: $0, at: offset)
    }
    return isThere ? value : nil
  }

  /// A process record of these views; nil while there is none, and when it is gone.
  package func content(_ record: ProcessRecord) -> ProcessRecord.Content? {
    var copy = pto2_process_record()
    let offset = UInt64(unsafe record.address - base)
    let isThere = unsafe withUnsafeMutableBytes(of: &copy) {
      unsafe object.read(into: $0, at: offset)
    }
    guard isThere else { return nil }
    return unsafe withUnsafeBytes(of: &copy) { unsafe ProcessRecord(at: $0.baseAddress!).read() }
  }

  /// Tasks that have been RELEASED, over all rings.
  package var releasedTasks: UInt64 {
    let first = configuration.firstPosition
    return configuration.rings.indices.reduce(0) {
      $0 + UInt64((value(schedulerPage.released($1)) ?? first) &- first)
    }
  }
}
