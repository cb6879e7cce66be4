internal import Glibc
internal import PTO2System

/// A pipe inside this process, for single bytes: one thread's word to another.
struct Pipe: ~Copyable {
  let readEnd: Int32
  private let writeEnd: Int32

  init() throws(SystemError) {
    var ends: (Int32, Int32) = (-1, -1)
    let status = unsafe withUnsafeMutableBytes(of: &ends) {
      unsafe pipe($0.baseAddress!.assumingMemoryBound(to: Int32.self))
    }
    guard status == 0 else { throw SystemError("pipe", "supervisor", errno: errno) }
    (readEnd, writeEnd) = ends
    for end in [ends.0, ends.1] {
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
    }
  }

  deinit {
    close(readEnd)
    close(writeEnd)
  }

  func write(_ byte: UInt8) {
    var byte = byte
    _ = unsafe Glibc.write(writeEnd, &byte, 1)
  }

  /// Everything that has been written.
  func drain() -> [UInt8] {
    var bytes: [UInt8] = []
    var byte: UInt8 = 0
    while unsafe read(readEnd, &byte, 1) == 1 { bytes.append(byte) }
    return bytes
  }

  /// Blocks until something has been written.
  func wait() {
    var entry = pollfd(fd: readEnd, events: Int16(POLLIN), revents: 0)
    while unsafe poll(&entry, 1, -1) < 1 {}
  }
}
