internal import CPTO2Linux
internal import Glibc

/// A file that is written from its start, piece by piece, by one thread at a time.
@safe package final class OutputFile: @unchecked Sendable {
  // Sendable: who uses it sees to it.
  package let path: String
  private let descriptor: Int32
  /// What was written so far.
  package private(set) var bytes: UInt64 = 0
  /// The first that went wrong; nothing is written after it.
  package private(set) var error: SystemError?

  /// Makes the file, or empties the one that is there.
  package init(creating path: String) throws(SystemError) {
    self.path = path
    descriptor = unsafe open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .last("open", path) }
  }

  /// A file without a name, in the directory of another.
  package init(besides path: String) throws(SystemError) {
    var name = Array((path + ".XXXXXX").utf8CString)
    descriptor = unsafe name.withUnsafeMutableBufferPointer {
      unsafe mkstemp($0.baseAddress!)
    }
    guard descriptor >= 0 else { throw .last("mkstemp", path) }
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    self.path = path
    unsafe name.withUnsafeBufferPointer { _ = unsafe unlink($0.baseAddress!) }
  }

  deinit { close(descriptor) }

  package func write(_ piece: UnsafeRawBufferPointer) {
    guard error == nil, let start = piece.baseAddress else { return }
    let status = unsafe pto2_write_all(descriptor, start, piece.count, -1)
    if status == 0 {
      bytes += UInt64(piece.count)
    } else {
      error = SystemError("write", path, errno: -status)
    }
  }

  package func write(_ piece: [UInt8]) { unsafe piece.withUnsafeBytes { unsafe write($0) } }

  /// All that was written, in memory for as long as the body lasts.
  package func withContents<Result>(
    _ body: (UnsafeRawBufferPointer) -> Result
  ) throws(SystemError) -> Result {
    try unsafe withMapping(descriptor, path, Int(bytes), body)
  }
}

/// A file's bytes, in memory for as long as the body lasts. One that others make smaller
/// meanwhile ends the process.
package func withFile<Result>(
  _ path: String, _ body: (UnsafeRawBufferPointer) -> Result
) throws(SystemError) -> Result {
  let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { throw .last("open", path) }
  defer { close(descriptor) }
  var status = stat()
  guard unsafe fstat(descriptor, &status) == 0 else { throw .last("fstat", path) }
  guard status.st_mode & S_IFMT == S_IFREG else { throw SystemError("open", path, errno: EISDIR) }
  return try unsafe withMapping(descriptor, path, Int(status.st_size), body)
}

private func withMapping<Result>(
  _ descriptor: Int32, _ path: String, _ count: Int, _ body: (UnsafeRawBufferPointer) -> Result
) throws(SystemError) -> Result {
  if count == 0 { return unsafe body(UnsafeRawBufferPointer(start: nil, count: 0)) }
  guard let start = unsafe mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0),
    unsafe start != MAP_FAILED
  else { throw .last("mmap", path) }
  defer { unsafe munmap(start, count) }
  return unsafe body(UnsafeRawBufferPointer(start: start, count: count))
}
