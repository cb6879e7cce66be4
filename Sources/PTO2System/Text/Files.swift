internal import Glibc

/// A file's bytes, piece by piece.
/// - Returns: false when it cannot be read to its end, or the body wants no more.
func readPieces(_ path: String, _ body: (ArraySlice<UInt8>) -> Bool) -> Bool {
  let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { return false }
  defer { close(descriptor) }
  while true {
    var count = 0
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 65536) { buffer, filled in
      count = unsafe readAgain(descriptor, UnsafeMutableRawBufferPointer(buffer))
      filled = max(count, 0)
    }
    guard count >= 0 else { return false }
    if count == 0 { return true }
    guard body(bytes[...]) else { return false }
  }
}

/// `read`, again after a signal.
private func readAgain(_ descriptor: Int32, _ buffer: UnsafeMutableRawBufferPointer) -> Int {
  while true {
    let count = unsafe read(descriptor, buffer.baseAddress!, buffer.count)
    if count >= 0 || errno != EINTR { return count }
  }
}

/// The first bytes of a file, at most 1 KiB, without memory of the heap.
/// - Returns: nil when it cannot be read, or what the body returns.
func withStartOfFile<Result>(
  _ path: String, _ body: (Span<UInt8>) -> Result?
) -> Result? {
  let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { return nil }
  defer { close(descriptor) }
  return unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 1024) { buffer in
    let count = unsafe readAgain(descriptor, UnsafeMutableRawBufferPointer(buffer))
    guard count > 0 else { return nil }
    return unsafe body(buffer.extracting(..<count).span)
  }
}

/// A file's text; nil when it cannot be read or is longer than `limit` bytes.
package func readWholeFile(_ path: String, limit: Int = 1 << 24) -> String? {
  readBytes(path, limit: limit).map { String(decoding: $0, as: UTF8.self) }
}

/// All bytes of a file; nil when it cannot be read or is longer than `limit` bytes.
package func readBytes(_ path: String, limit: Int) -> [UInt8]? {
  var bytes: [UInt8] = []
  let isWhole = readPieces(path) {
    bytes += $0
    return bytes.count <= limit
  }
  return isWhole ? bytes : nil
}

/// Names in a directory, sorted; none when it cannot be read.
package func entries(of path: String) -> [String] {
  guard let directory = unsafe opendir(path) else { return [] }
  defer { unsafe closedir(directory) }
  var names: [String] = []
  while let entry = unsafe readdir(directory) {
    let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
      unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    if name != "." && name != ".." { names.append(name) }
  }
  return names.sorted()
}

/// The entries of a directory of /proc that are numbers: processes, or threads.
package func numbers(in path: String) -> [Int32] { entries(of: path).compactMap { Int32($0) } }

/// /proc/PID/cmdline; empty for a zombie and for a process that is not there.
package func commandLine(of pid: Int32) -> [String] {
  (readWholeFile("/proc/\(pid)/cmdline") ?? "").split(separator: "\0").map(String.init)
}

/// /proc/sys/kernel/random/boot_id as 16 bytes; zeros when it cannot be read.
package func readBootID() -> [UInt8] {
  let text = readWholeFile("/proc/sys/kernel/random/boot_id") ?? ""
  let digits = text.compactMap(\.hexDigitValue)
  guard digits.count >= 32 else { return [UInt8](repeating: 0, count: 16) }
  return (0..<16).map { UInt8(digits[$0 * 2] << 4 | digits[$0 * 2 + 1]) }
}
