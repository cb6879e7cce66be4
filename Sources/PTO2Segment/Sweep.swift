internal import CPTO2Segment
internal import PTO2System

/// What there is under a name in /dev/shm.
package enum NameState: Equatable, Sendable {
  /// A session: its orchestrator's process.
  case live(pid: Int32)
  /// A segment in which nobody lives any more: bytes of memory it holds.
  case stale(bytes: UInt64)
  /// One of pto2's without a magic: its creator is at work, or died at it.
  case unfinished
  /// Of an earlier boot, by its header.
  case otherBoot
  /// No segment of pto2, or not this user's.
  case foreign
  /// Nothing.
  case absent
}

extension Segment {
  /// Names in /dev/shm, sorted.
  package static func names() -> [String] { entries(of: "/dev/shm") }

  /// Looks at a name; removes it if it is a segment in which nobody lives.
  ///
  /// The proof is the liveness lock, taken exclusively and held until the name
  /// is gone; header and boot id must be a segment's of this boot. What is
  /// unfinished is removed only on request, once its creator has had the time
  /// that creators get.
  package static func sweep(
    _ plainName: String, removing: Bool, unfinished: Bool = false
  ) -> NameState {
    guard let name = try? objectName(plainName) else { return .foreign }
    do throws(SystemError) {
      return look(
        at: try SharedMemoryObject.open(name: name), removing: removing, unfinished: unfinished)
    } catch {
      return error.errno == SystemError.notFound ? .absent : .foreign
    }
  }

  private static func look(
    at object: consuming SharedMemoryObject, removing: Bool, unfinished: Bool
  ) -> NameState {
    let header = peekHeader(object)
    let magic = header?.magic ?? 0
    let isOurs = magic == 0 ? CreationMark.isIn(object) : magic == PTO2_MAGIC
    guard isOurs else { return .foreign }
    guard object.tryLock(.liveness, .exclusive) else {
      return magic == 0 ? .unfinished : .live(pid: Int32(bitPattern: header?.creator_pid ?? 0))
    }
    guard magic == PTO2_MAGIC else {
      if removing && unfinished && object.isStillNamed() {
        SharedMemoryObject.unlink(name: object.name)
      }
      return .unfinished
    }
    var record = header!
    let bootID = unsafe withUnsafeBytes(of: &record.boot_id) { unsafe Array($0) }
    guard bootID == readBootID() else { return .otherBoot }
    if removing && object.isStillNamed() { SharedMemoryObject.unlink(name: object.name) }
    return .stale(bytes: object.allocatedBytes())
  }

  /// Removes what earlier sessions with names of their own making have left, finished or
  /// not: whoever begins one has a minute.
  package static func sweepDefaultNames() {
    for name in names() where name.hasPrefix(defaultNamePrefix) {
      let isOld = SharedMemoryObject.age("/" + name).map { $0 > .seconds(60) } ?? false
      _ = sweep(name, removing: true, unfinished: isOld)
    }
  }

  /// How a session is called that was given no name.
  package static let defaultNamePrefix = "pto2-"
}
