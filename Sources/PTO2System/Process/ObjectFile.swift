internal import Glibc

/// A shared object as a file, before dlopen(3): the loader maps what the file's headers
/// say and dies of SIGBUS when the file has less.
enum ObjectFile {
  /// - Returns: why the file cannot be loaded; nil when nothing is wrong with its size.
  ///   Whatever else there is about it, the loader says.
  static func complaint(_ path: String) -> String? {
    // Not blocking: a FIFO without a writer would.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return SystemError.last("open", path).description }
    defer { close(descriptor) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else {
      return SystemError.last("fstat", path).description
    }
    guard status.st_mode & S_IFMT == S_IFREG else { return "\(path) is no regular file" }
    let bytes = UInt64(status.st_size)
    guard bytes > 0 else { return "\(path) is empty" }
    guard let header: Elf64_Ehdr = read(descriptor, at: 0), isNative(header) else { return nil }
    return cut(descriptor, header, bytes).map {
      "\(path) is cut off: it has \(bytes) bytes, and its headers speak of \($0). Build or copy it again"
    }
  }

  /// How many bytes the headers need, if that is more than there are.
  private static func cut(_ descriptor: Int32, _ header: Elf64_Ehdr, _ bytes: UInt64) -> UInt64? {
    func end(_ offset: UInt64, _ count: UInt64) -> UInt64 {
      let (sum, overflow) = offset.addingReportingOverflow(count)
      return overflow ? UInt64.max : sum
    }
    let stride = UInt64(MemoryLayout<Elf64_Phdr>.stride)
    let table = end(header.e_phoff, UInt64(header.e_phnum) * stride)
    if table > bytes { return table }
    var needed: UInt64 = 0
    for index in 0..<UInt64(header.e_phnum) {
      guard let segment: Elf64_Phdr = read(descriptor, at: header.e_phoff + index * stride) else {
        return nil
      }
      if segment.p_type == PT_LOAD { needed = max(needed, end(segment.p_offset, segment.p_filesz)) }
    }
    return needed > bytes ? needed : nil
  }

  private static func isNative(_ header: Elf64_Ehdr) -> Bool {
    let (a, b, c, d) = (
      header.e_ident.0, header.e_ident.1, header.e_ident.2, header.e_ident.3
    )
    return a == 0x7F && b == UInt8(ascii: "E") && c == UInt8(ascii: "L") && d == UInt8(ascii: "F")
      && header.e_ident.4 == 2 && Int(header.e_phentsize) == MemoryLayout<Elf64_Phdr>.stride
  }

  /// A record of the file; nil beyond its end.
  private static func read<Record: BitwiseCopyable>(_ descriptor: Int32, at offset: UInt64)
    -> Record?
  {
    let bytes = MemoryLayout<Record>.size
    var buffer = [UInt8](repeating: 0, count: bytes)
    let count = unsafe buffer.withUnsafeMutableBytes {
      unsafe pread(descriptor, $0.baseAddress!, bytes, off_t(offset))
    }
    guard count == bytes else { return nil }
    return unsafe buffer.withUnsafeBytes { unsafe $0.loadUnaligned(as: Record.self) }
  }
}
