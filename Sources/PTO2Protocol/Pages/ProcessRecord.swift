package import CPTO2Segment

/// Who plays a role, as it stands in the segment. The pid is stored last, with
/// release; `read` acquires it.
@safe @frozen @usableFromInline
package struct ProcessRecord {
  @usableFromInline let base: UnsafeRawPointer

  /// - Parameter base: mapped for the life of this value.
  package init(at base: UnsafeRawPointer) { unsafe self.base = base }

  package var address: UnsafeRawPointer { unsafe base }

  /// The word with which a process begins to announce itself.
  package var incarnation: SharedWord {
    unsafe SharedWord(at: base + MemoryLayout<pto2_process_record>.offset(of: \.incarnation)!)
  }

  package struct Content: Equatable {
    package var pid: Int32
    /// /proc/PID/stat field 22: clock ticks since boot.
    package var startTime: UInt64
    /// 1 for the first process in this place.
    package var incarnation: UInt32
    /// Child of the orchestrator's launcher.
    package var isSupervised: Bool
  }

  /// Acquires the rest of the record; 0 = nobody.
  package var pidWord: SharedWord { unsafe SharedWord(at: base) }

  /// 0 while nobody has announced itself.
  package var pid: Int32 { Int32(bitPattern: pidWord.loadAcquire()) }

  /// Nil while nobody has announced itself.
  package func read() -> Content? {
    let pid = pid
    guard pid != 0 else { return nil }
    let record = unsafe base.load(as: pto2_process_record.self)
    loadFence()
    // Another process may be announcing itself in this place.
    guard self.pid == pid else { return nil }
    return Content(
      pid: pid, startTime: record.start_time, incarnation: record.incarnation,
      isSupervised: record.supervised != 0)
  }

  @usableFromInline static var heartbeatOffset: Int {
    MemoryLayout<pto2_process_record>.offset(of: \.heartbeat_nanoseconds)!
  }

  /// The lower half of the start time.
  package var startTime: SharedWord {
    unsafe SharedWord(at: base + MemoryLayout<pto2_process_record>.offset(of: \.start_time)!)
  }

  /// The lower half of the heartbeat's time: changes with every beat.
  package var heartbeatWord: SharedWord { unsafe SharedWord(at: base + Self.heartbeatOffset) }
  package func heartbeat() -> UInt32 { heartbeatWord.loadAcquire() }
}

/// The record of the role that this process plays.
@safe package struct OwnedProcessRecord {
  private let record: UnsafeMutablePointer<pto2_process_record>

  /// - Parameter base: mapped writable for the life of this value.
  package init(at base: UnsafeRawPointer) {
    unsafe record = UnsafeMutableRawPointer(mutating: base)
      .assumingMemoryBound(to: pto2_process_record.self)
  }

  private var pid: OwnedWord { unsafe OwnedWord(record) }

  /// All of it at once, unpublished: for tests of what others make of any bytes.
  package var whole: pto2_process_record {
    get { unsafe record.pointee }
    nonmutating set { unsafe record.pointee = newValue }
  }

  /// The incarnation of the last process in this place; `announce` adds one.
  package var incarnation: UInt32 {
    get { unsafe record.pointee.incarnation }
    nonmutating set { unsafe record.pointee.incarnation = newValue }
  }

  /// Announces this process.
  /// - Parameter now: CLOCK_MONOTONIC, nanoseconds.
  /// - Returns: its incarnation, one more than the last process's in this place.
  @discardableResult
  package func announce(pid: Int32, startTime: UInt64, isSupervised: Bool, now: UInt64) -> UInt32 {
    self.pid.storeRelease(0)
    unsafe record.pointee.incarnation &+= 1
    unsafe record.pointee.start_time = startTime
    unsafe record.pointee.supervised = isSupervised ? 1 : 0
    beat(now)
    self.pid.storeRelease(UInt32(bitPattern: pid))
    return incarnation
  }

  /// This process, which has announced itself, still does its work.
  package func beat(_ now: UInt64) {
    unsafe OwnedLongWord(UnsafeMutableRawPointer(record) + ProcessRecord.heartbeatOffset)
      .storeRelease(now)
  }
}
