internal import Glibc

/// Memory of this process alone, all zero, of which the first part can be filled. What is
/// not touched takes none.
@safe package struct PrivateMemory: ~Copyable {
  package let base: UnsafeRawPointer
  package let bytes: UInt64
  /// Bytes that can be filled.
  package let writableBytes: UInt64

  /// mmap(2) MAP_PRIVATE | MAP_ANONYMOUS.
  /// - Parameter writableBytes: whole pages.
  package init(bytes: UInt64, writableBytes: UInt64) throws(SystemError) {
    guard bytes > 0, writableBytes <= bytes, let length = Int(exactly: bytes),
      let address = unsafe mmap(
        nil, length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
      unsafe address != MAP_FAILED
    else { throw .last("mmap", "\(bytes) bytes") }
    guard unsafe mprotect(address, Int(writableBytes), PROT_READ | PROT_WRITE) == 0 else {
      let error = SystemError.last("mprotect", "\(writableBytes) bytes")
      unsafe munmap(address, length)
      throw error
    }
    unsafe base = UnsafeRawPointer(address)
    self.bytes = bytes
    self.writableBytes = writableBytes
  }

  deinit { unsafe munmap(UnsafeMutableRawPointer(mutating: base), Int(bytes)) }

  /// Bytes to be filled; nil for what cannot be.
  package func place(offset: UInt64, bytes: UInt64) -> UnsafeMutableRawBufferPointer? {
    guard bytes > 0, offset <= writableBytes, bytes <= writableBytes - offset else { return nil }
    return unsafe UnsafeMutableRawBufferPointer(
      start: UnsafeMutableRawPointer(mutating: base) + Int(offset), count: Int(bytes))
  }
}
