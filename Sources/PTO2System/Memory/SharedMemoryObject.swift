internal import CPTO2Linux
internal import Glibc

/// A POSIX shared-memory object, or a memfd, and its byte-range locks. Owns the
/// descriptor.
///
/// The locks (F_OFD_SETLK) vanish with the process, however it dies, so a lock
/// that can be taken proves that nobody holds the place it stands for.
@safe package struct SharedMemoryObject: ~Copyable {
  /// `/NAME` in /dev/shm; of a memfd the path that leads to it while its creator
  /// lives: `/proc/PID/fd/N`.
  package let name: String
  package let descriptor: Int32
  /// Which file it is, whatever becomes of the descriptor's number.
  private let device: UInt64
  private let inode: UInt64

  /// True for a memfd.
  package static func isPath(_ name: String) -> Bool { name.hasPrefix("/proc/") }

  private init(name: String, descriptor: Int32) throws(SystemError) {
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else { throw .last("fstat", name) }
    device = UInt64(status.st_dev)
    inode = UInt64(status.st_ino)
    self.name = name
    self.descriptor = descriptor
  }

  deinit { if isIntact { close(descriptor) } }

  /// False once the program has closed the descriptor, or put another file there.
  package var isIntact: Bool { pto2_is_same_file(descriptor, device, inode) == 1 }

  /// A new object of one page, mode 0600 whatever the umask, with a mark in it that says
  /// whose it is before anything else does.
  ///
  /// It gets its name when it has its mark, all at once: O_TMPFILE and linkat(2). Where
  /// Linux does not let it, shm_open(3) with O_CREAT | O_EXCL.
  package static func create(name: String, mark: UInt64, at offset: UInt64) throws(SystemError)
    -> SharedMemoryObject
  {
    let nameless = unsafe pto2_open_nameless("/dev/shm")
    if nameless >= 0 {
      let object = try SharedMemoryObject(name: name, descriptor: nameless)
      try object.write(mark, at: offset)
      let status = unsafe pto2_give_name(nameless, path(name))
      if status == 0 { return object.byName() }
      if status == -EEXIST { throw SystemError("linkat", name, errno: EEXIST) }
    }
    let descriptor = pto2_above_standard(
      unsafe shm_open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0o600))
    guard descriptor >= 0 else { throw SystemError("shm_open", name, errno: -descriptor) }
    do throws(SystemError) {
      let object = try SharedMemoryObject(name: name, descriptor: descriptor)
      guard fchmod(descriptor, 0o600) == 0 else { throw SystemError.last("fchmod", name) }
      try object.write(mark, at: offset)
      return object
    } catch {
      unsafe shm_unlink(name)
      throw error
    }
  }

  /// Opened by its name, so that /proc/PID/maps and whoever reads it call it so; as it is
  /// when another lies there by now.
  private consuming func byName() -> SharedMemoryObject {
    guard let named = try? Self.open(name: name), named.inode == inode, named.device == device
    else { return self }
    return named
  }

  private func write(_ word: UInt64, at offset: UInt64) throws(SystemError) {
    try checkFileSize(offset + 8)
    var word = word
    guard unsafe withUnsafeBytes(of: &word, { unsafe write($0, at: offset) }) else {
      throw .last("pwrite", name)
    }
  }

  private static func path(_ name: String) -> String { isPath(name) ? name : "/dev/shm" + name }

  /// What lies under a name that is no file, in words; nil for a file, and for nothing.
  /// Opening such a thing may do something.
  package static func strangeKind(_ name: String) -> String? {
    if isPath(name) { return nil }
    let type = unsafe pto2_file_type(path(name))
    switch mode_t(max(0, type)) {
    case 0, S_IFREG: return nil
    case S_IFDIR: return "a directory"
    case S_IFIFO: return "a FIFO"
    case S_IFSOCK: return "a socket"
    case S_IFLNK: return "a symbolic link"
    default: return "a device"
    }
  }

  /// memfd_create(2): an object without a name, which goes with the last process
  /// that has it.
  package static func createUnnamed(label: String) throws(SystemError) -> SharedMemoryObject {
    let descriptor = unsafe pto2_memfd(label)
    guard descriptor >= 0 else { throw SystemError("memfd_create", label, errno: -descriptor) }
    return try SharedMemoryObject(
      name: "/proc/\(getpid())/fd/\(descriptor)", descriptor: descriptor)
  }

  /// Of a memfd: from now on nobody can change its size.
  package func sealSize() throws(SystemError) {
    let status = pto2_seal_size(descriptor)
    guard status == 0 else { throw SystemError("fcntl F_ADD_SEALS", name, errno: -status) }
  }

  /// An existing object.
  package static func open(name: String) throws(SystemError) -> SharedMemoryObject {
    guard strangeKind(name) == nil else {
      throw SystemError("shm_open", name, errno: SystemError.notAFile)
    }
    let descriptor = pto2_above_standard(
      unsafe isPath(name)
        ? Glibc.open(name, O_RDWR | O_CLOEXEC) : shm_open(name, O_RDWR | O_CLOEXEC, 0))
    guard descriptor >= 0 else {
      throw SystemError(isPath(name) ? "open" : "shm_open", name, errno: -descriptor)
    }
    return try SharedMemoryObject(name: name, descriptor: descriptor)
  }

  /// A description of its own that cannot write, and holds no lock; nil where there is none
  /// to be had. For the caller to close.
  func openForReading() -> Int32? {
    let reader = pto2_above_standard(
      unsafe Self.isPath(name)
        ? Glibc.open(name, O_RDONLY | O_CLOEXEC) : shm_open(name, O_RDONLY | O_CLOEXEC, 0))
    guard reader >= 0 else { return nil }
    if pto2_is_same_file(reader, device, inode) == 1 { return reader }
    close(reader)
    return nil
  }

  /// The descriptor cannot write any more: its number leads to a description for reading. The
  /// pages that are mapped writable keep the other description, and with it its exclusive
  /// locks, until they are unmapped.
  /// - Parameter shared: the byte that this process has locked shared, of which the lock goes
  ///   over to the new description.
  /// - Returns: false when there is no such description to be had; nothing is changed then.
  package func giveUpWriting(shared: Int64) -> Bool {
    guard isIntact, let reader = openForReading() else { return false }
    defer { close(reader) }
    guard pto2_lock_byte(reader, shared, F_RDLCK) == 0 else { return false }
    unlock(byte: shared)
    return pto2_replace(descriptor, reader) == 0
  }

  /// How long ago it was last changed; nil when it is not there.
  package static func age(_ name: String) -> Duration? {
    var status = stat()
    var now = timespec()
    guard unsafe stat(path(name), &status) == 0, unsafe clock_gettime(CLOCK_REALTIME, &now) == 0
    else { return nil }
    return .seconds(now.tv_sec - status.st_mtim.tv_sec)
  }

  /// shm_unlink(3). Removing what is gone already is no error.
  package static func unlink(name: String) { if !isPath(name) { unsafe shm_unlink(name) } }

  /// True while the name still leads to this very object. Needs no descriptor.
  package func isStillNamed() -> Bool {
    var named = stat()
    guard unsafe stat(Self.path(name), &named) == 0 else { return false }
    return UInt64(named.st_ino) == inode && UInt64(named.st_dev) == device
  }

  /// Bytes, as fstat(2) says.
  package func size() throws(SystemError) -> UInt64 {
    var status = stat()
    guard isIntact else { throw SystemError("fstat", name, errno: EBADF) }
    guard unsafe fstat(descriptor, &status) == 0 else { throw .last("fstat", name) }
    return UInt64(status.st_size)
  }

  /// pread(2); false when the object has fewer bytes.
  package func read(into bytes: UnsafeMutableRawBufferPointer, at offset: UInt64 = 0) -> Bool {
    unsafe pread(descriptor, bytes.baseAddress!, bytes.count, off_t(offset)) == bytes.count
  }

  /// pwrite(2), past any mapping's protection; false when the object has fewer bytes.
  package func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> Bool {
    unsafe pwrite(descriptor, bytes.baseAddress!, bytes.count, off_t(offset)) == bytes.count
  }

  /// Sets the size; uses no memory. See `reserve`.
  package func setSize(_ bytes: UInt64) throws(SystemError) {
    try checkFileSize(bytes)
    guard ftruncate(descriptor, off_t(bytes)) == 0 else { throw .last("ftruncate", name) }
  }

  /// Beyond the limit Linux sends SIGXFSZ, of which a process dies without a word.
  private func checkFileSize(_ bytes: UInt64) throws(SystemError) {
    if bytes > pto2_limit(Int32(PTO2_LIMIT_FILE_BYTES)) {
      throw SystemError("ftruncate", "\(name) (\(bytes) bytes)", errno: EFBIG)
    }
  }

  /// fallocate(2) of a range: after it, touching the range cannot raise SIGBUS
  /// unless the object is made smaller. Never makes it larger. ENOSPC when the file
  /// system is full.
  package func reserve(offset: UInt64, bytes: UInt64) throws(SystemError) {
    guard bytes > 0 else { return }
    guard isIntact else { throw SystemError("fallocate", name, errno: EBADF) }
    var status: Int32
    repeat {
      status = pto2_reserve(descriptor, offset, bytes)
    } while status == -EINTR
    guard status == 0 else { throw SystemError("fallocate", name, errno: -status) }
  }

  /// Bytes of memory it takes, as fstat(2) says.
  package func allocatedBytes() -> UInt64 {
    var status = stat()
    return unsafe fstat(descriptor, &status) == 0 ? UInt64(status.st_blocks) * 512 : 0
  }

  /// Bytes the file system still has for this user.
  package func availableBytes() -> UInt64 {
    var status = statvfs()
    guard unsafe fstatvfs(descriptor, &status) == 0 else { return 0 }
    return UInt64(status.f_bavail) &* UInt64(status.f_frsize)
  }

  package enum LockKind { case shared, exclusive }

  /// Takes the lock of one byte position without waiting; false when another
  /// process holds a conflicting one. Positions need not exist in the file.
  package func tryLock(byte: Int64, _ kind: LockKind) -> Bool {
    pto2_lock_byte(descriptor, byte, kind == .shared ? F_RDLCK : F_WRLCK) == 0
  }

  /// Gives that byte back.
  package func unlock(byte: Int64) { _ = pto2_lock_byte(descriptor, byte, F_UNLCK) }

  /// True when some other process holds that byte.
  package func isLocked(byte: Int64) -> Bool { pto2_byte_is_locked(descriptor, byte) == 1 }
}
