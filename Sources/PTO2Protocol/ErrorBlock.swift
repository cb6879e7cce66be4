package import CPTO2ABI
package import PTO2System

/// A role's first error, as it stands in the segment.
///
/// The code is stored last, with release; `read` acquires it. One process
/// writes a block, once.
@safe package struct ErrorBlock {
  private let base: UnsafeRawPointer

  package init(_ base: UnsafeRawPointer) { unsafe self.base = base }

  /// Of another role; nil while there is none. Bytes that no writer could have
  /// stored are reported as a protocol violation, not trusted.
  package func read() -> (error: PTO2Error, timeNanoseconds: UInt64)? {
    let raw = unsafe SharedWord(base).loadAcquire()
    guard raw != 0 else { return nil }
    let block = unsafe base.assumingMemoryBound(to: pto2_error_block.self)
    let length = Int(min(unsafe block.pointee.message_length, UInt32(PTO2_MESSAGE_BYTES)))
    let start = unsafe base + MemoryLayout<pto2_error_block>.offset(of: \.message)!
    let message = unsafe String(
      decoding: UnsafeRawBufferPointer(start: start, count: length), as: UTF8.self)
    guard let code = PTO2ErrorCode(rawValue: raw) else {
      return (PTO2Error(.protocolViolation, "error block with unknown code \(raw)"), 0)
    }
    let task = unsafe block.pointee.task_id
    let ring = unsafe block.pointee.ring
    return unsafe (
      PTO2Error(
        code, message, task: task == UInt64.max ? nil : TaskID(rawValue: task),
        ring: ring == UInt32.max ? nil : Int(ring), needed: block.pointee.needed,
        available: block.pointee.available), block.pointee.time_nanoseconds
    )
  }

  /// Of a core's page: what a worker says before it ends. Anything else a kernel has
  /// stored there, and it counts for nothing.
  package func readOfCore() -> PTO2Error? {
    guard let error = read()?.error, error.code == .imageRefused || error.code == .garbageWord
    else { return nil }
    return error
  }

  /// Publishes this role's error.
  package static func write(_ error: PTO2Error, core: Int? = nil, to base: UnsafeMutableRawPointer)
  {
    let block = unsafe base.assumingMemoryBound(to: pto2_error_block.self)
    unsafe block.pointee.task_id = error.task?.rawValue ?? UInt64.max
    unsafe block.pointee.ring = error.ring.map { UInt32($0) } ?? UInt32.max
    unsafe block.pointee.needed = error.needed
    unsafe block.pointee.available = error.available
    unsafe block.pointee.time_nanoseconds = MonotonicClock.now()
    unsafe block.pointee.core = core.map { UInt32($0) } ?? UInt32.max
    var text = [UInt8](error.message.utf8)
    if text.count > Int(PTO2_MESSAGE_BYTES) {
      // Never in the middle of a character.
      var end = Int(PTO2_MESSAGE_BYTES)
      while end > 0 && text[end] & 0xC0 == 0x80 { end -= 1 }
      text.removeSubrange(end...)
    }
    unsafe block.pointee.message_length = UInt32(text.count)
    let start = unsafe base + MemoryLayout<pto2_error_block>.offset(of: \.message)!
    unsafe start.copyMemory(from: text, byteCount: text.count)
    unsafe OwnedWord(base).storeRelease(error.code.rawValue)
  }
}

/// Who plays a role, as it stands in the segment.
@safe package struct ProcessRecord {
  private let base: UnsafeRawPointer

  package init(_ base: UnsafeRawPointer) { unsafe self.base = base }

  /// Nil while nobody has announced itself.
  package func read() -> (identity: ProcessIdentity, incarnation: UInt32, isSupervised: Bool)? {
    let pid = unsafe SharedWord(base).loadAcquire()
    guard pid != 0 else { return nil }
    let record = unsafe base.load(as: pto2_process_record.self)
    // Another process may be announcing itself in this place.
    guard unsafe SharedWord(base).loadAcquire() == pid else { return nil }
    return (
      ProcessIdentity(pid: Int32(bitPattern: pid), startTime: record.start_time),
      record.incarnation, record.supervised != 0
    )
  }

  /// Announces this process; returns its incarnation, one more than the last
  /// process's in this place.
  @discardableResult
  package static func announce(isSupervised: Bool, at base: UnsafeMutableRawPointer) -> UInt32 {
    let identity = ProcessIdentity.current()
    let record = unsafe base.assumingMemoryBound(to: pto2_process_record.self)
    unsafe OwnedWord(base).storeRelease(0)
    unsafe record.pointee.incarnation &+= 1
    unsafe record.pointee.start_time = identity.startTime
    unsafe record.pointee.supervised = isSupervised ? 1 : 0
    unsafe beat(MonotonicClock.now(), at: base)
    unsafe OwnedWord(base).storeRelease(UInt32(bitPattern: identity.pid))
    return unsafe record.pointee.incarnation
  }

  private static let heartbeatOffset =
    MemoryLayout<pto2_process_record>.offset(of: \.heartbeat_nanoseconds)!

  /// This process, which has announced itself, still does its work.
  package static func beat(_ now: UInt64, at base: UnsafeMutableRawPointer) {
    unsafe OwnedLongWord(base + heartbeatOffset).storeRelease(now)
  }

  /// Changes with every beat: the lower half of its time.
  package func heartbeat() -> UInt32 {
    unsafe SharedWord(base + Self.heartbeatOffset).loadAcquire()
  }
}

extension pto2_core_counters {
  /// False for what no worker has counted: a kernel has spoilt its core's page.
  package var isPlausible: Bool {
    kernels < 1 << 56 && timed_kernels <= kernels && timed_nanoseconds < 1 << 56
  }
}
