package import CPTO2Segment

/// A role's first error, as it stands in the segment.
///
/// The code is stored last, with release; `read` acquires it. One process writes a
/// block, once.
@safe @frozen @usableFromInline
package struct ErrorBlock {
  @usableFromInline let base: UnsafeRawPointer

  /// - Parameter base: mapped for the life of this value.
  package init(at base: UnsafeRawPointer) { unsafe self.base = base }

  /// 0 while there is no error.
  package var code: SharedWord { unsafe SharedWord(at: base) }

  /// Of another role; nil while there is none. Bytes that no writer could have
  /// stored are reported as a protocol violation, not trusted.
  package func read() -> (error: PTO2Error, timeNanoseconds: UInt64)? {
    let raw = code.loadAcquire()
    guard raw != 0 else { return nil }
    let block = unsafe base.assumingMemoryBound(to: pto2_error_block.self)
    let length = Int(min(unsafe block.pointee.message_length, UInt32(PTO2_MESSAGE_BYTES)))
    let start = unsafe base + MemoryLayout<pto2_error_block>.offset(of: \.message)!
    let message = unsafe String(
      decoding: UnsafeRawBufferPointer(start: start, count: length), as: UTF8.self)
    let code = PTO2ErrorCode(rawValue: raw)
    guard
      var error = code.map({ PTO2Error($0, message) })
        ?? PTO2Error(programCode: raw, message)
    else { return (PTO2Error(.protocolViolation, "error block with unknown code \(raw)"), 0) }
    let task = unsafe block.pointee.task_id
    let ring = unsafe block.pointee.ring
    error.task = task == UInt64.max ? nil : TaskID(rawValue: task)
    error.ring = ring == UInt32.max ? nil : Int(ring)
    error.needed = unsafe block.pointee.needed
    error.available = unsafe block.pointee.available
    return (error, unsafe block.pointee.time_nanoseconds)
  }

  /// Of a core's page: what a worker says before it ends. Anything else a kernel has
  /// stored there, and it counts for nothing.
  package func readOfCore() -> PTO2Error? {
    guard let error = read()?.error, error.code == .imageRefused || error.code == .garbageWord
    else { return nil }
    return error
  }
}

/// The error block of the role that this process plays.
@safe package struct OwnedErrorBlock {
  private let base: UnsafeMutableRawPointer

  /// - Parameter base: mapped writable for the life of this value.
  package init(at base: UnsafeRawPointer) {
    unsafe self.base = UnsafeMutableRawPointer(mutating: base)
  }

  package var shared: ErrorBlock { unsafe ErrorBlock(at: base) }

  /// Publishes this role's error.
  /// - Parameter now: CLOCK_MONOTONIC, nanoseconds.
  package func write(_ error: PTO2Error, core: Int? = nil, now: UInt64) {
    let block = unsafe base.assumingMemoryBound(to: pto2_error_block.self)
    unsafe block.pointee.task_id = error.task?.rawValue ?? UInt64.max
    unsafe block.pointee.ring = error.ring.map { UInt32($0) } ?? UInt32.max
    unsafe block.pointee.needed = error.needed
    unsafe block.pointee.available = error.available
    unsafe block.pointee.time_nanoseconds = now
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
    code.storeRelease(error.number)
  }

  /// All of it at once, unpublished: for tests of what others make of any bytes.
  package var whole: pto2_error_block {
    get { unsafe base.load(as: pto2_error_block.self) }
    nonmutating set { unsafe base.storeBytes(of: newValue, as: pto2_error_block.self) }
  }

  /// No error: for a process that takes the place of one that had one.
  package func clear() { code.storeRelaxed(0) }

  private var code: OwnedWord { unsafe OwnedWord(base) }
}
