internal import CPTO2Linux
internal import Glibc
internal import PTO2System

/// Both ends of a new pipe, above 2 and close-on-exec.
func makePipe(_ purpose: String, isBlocking: Bool) throws(SystemError)
  -> (read: Int32, write: Int32)
{
  var ends: (Int32, Int32) = (-1, -1)
  let status = unsafe withUnsafeMutableBytes(of: &ends) {
    unsafe pto2_pipe($0.baseAddress!.assumingMemoryBound(to: Int32.self), isBlocking ? 1 : 0)
  }
  guard status == 0 else { throw SystemError("pipe", purpose, errno: -status) }
  return ends
}

/// A pipe of this process that the program may close, or replace by files of its own. Among
/// its uses are single bytes: one thread's word to another.
struct Pipe: ~Copyable {
  let readEnd: Int32
  let writeEnd: Int32
  /// Which pipe it is, whatever the program does to the descriptors.
  private let device: UInt64
  private let inode: UInt64

  /// Neither end blocks.
  init() throws(SystemError) { try self.init("supervisor", isBlocking: false) }

  init(_ purpose: String, isBlocking: Bool) throws(SystemError) {
    (readEnd, writeEnd) = try makePipe(purpose, isBlocking: isBlocking)
    var status = stat()
    _ = unsafe fstat(readEnd, &status)
    (device, inode) = (UInt64(status.st_dev), UInt64(status.st_ino))
  }

  deinit {
    for end in [readEnd, writeEnd] where isOwn(end) { close(end) }
  }

  private func isOwn(_ end: Int32) -> Bool { pto2_is_same_file(end, device, inode) == 1 }

  /// False once the program has closed the descriptors, or put others there.
  var isIntact: Bool { isOwn(readEnd) && isOwn(writeEnd) }

  func write(_ byte: UInt8) {
    var byte = byte
    if isOwn(writeEnd) { _ = unsafe Glibc.write(writeEnd, &byte, 1) }
  }

  /// Everything that has been written.
  func drain() -> [UInt8] {
    var bytes: [UInt8] = []
    var byte: UInt8 = 0
    while isOwn(readEnd), unsafe read(readEnd, &byte, 1) == 1 { bytes.append(byte) }
    return bytes
  }

  /// Blocks until something has been written.
  func wait() {
    var entry = pollfd(fd: readEnd, events: Int16(POLLIN), revents: 0)
    while unsafe poll(&entry, 1, -1) < 1 {}
  }
}
