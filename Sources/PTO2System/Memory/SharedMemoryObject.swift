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

  /// True for a memfd.
  package static func isPath(_ name: String) -> Bool { name.hasPrefix("/proc/") }

  private init(name: String, descriptor: Int32) {
    self.name = name
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

  /// shm_open(3) with O_CREAT | O_EXCL, mode 0600 whatever the umask.
  package static func create(name: String) throws(SystemError) -> SharedMemoryObject {
    let descriptor = unsafe shm_open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw .last("shm_open", name) }
    guard fchmod(descriptor, 0o600) == 0 else {
      let error = SystemError.last("fchmod", name)
      close(descriptor)
      unsafe shm_unlink(name)
      throw error
    }
    return SharedMemoryObject(name: name, descriptor: descriptor)
  }

  /// memfd_create(2): an object without a name, which goes with the last process
  /// that has it.
  package static func createUnnamed(label: String) throws(SystemError) -> SharedMemoryObject {
    let descriptor = unsafe pto2_memfd(label)
    guard descriptor >= 0 else { throw SystemError("memfd_create", label, errno: -descriptor) }
    return SharedMemoryObject(name: "/proc/\(getpid())/fd/\(descriptor)", descriptor: descriptor)
  }

  /// Of a memfd: from now on nobody can change its size.
  package func sealSize() throws(SystemError) {
    let status = pto2_seal_size(descriptor)
    guard status == 0 else { throw SystemError("fcntl F_ADD_SEALS", name, errno: -status) }
  }

  /// An existing object.
  package static func open(name: String) throws(SystemError) -> SharedMemoryObject {
    let descriptor = openDescriptor(name, O_RDWR)
    guard descriptor >= 0 else { throw .last(isPath(name) ? "open" : "shm_open", name) }
    return SharedMemoryObject(name: name, descriptor: descriptor)
  }

  private static func openDescriptor(_ name: String, _ mode: Int32) -> Int32 {
    unsafe isPath(name)
      ? Glibc.open(name, mode | O_CLOEXEC) : shm_open(name, mode | O_CLOEXEC, 0)
  }

  /// shm_unlink(3). Removing what is gone already is no error.
  package static func unlink(name: String) { if !isPath(name) { unsafe shm_unlink(name) } }

  /// True while the name still leads to this very object.
  package func isStillNamed() -> Bool {
    var mine = stat()
    var named = stat()
    guard unsafe fstat(descriptor, &mine) == 0 else { return false }
    let other = Self.openDescriptor(name, O_RDONLY)
    guard other >= 0 else { return false }
    defer { close(other) }
    guard unsafe fstat(other, &named) == 0 else { return false }
    return mine.st_ino == named.st_ino && mine.st_dev == named.st_dev
  }

  /// Bytes, as fstat(2) says.
  package func size() throws(SystemError) -> UInt64 {
    var status = stat()
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
    guard ftruncate(descriptor, off_t(bytes)) == 0 else { throw .last("ftruncate", name) }
  }

  /// fallocate(2) of a range: after it, touching the range cannot raise SIGBUS
  /// unless the object is made smaller. Never makes it larger. ENOSPC when the file
  /// system is full.
  package func reserve(offset: UInt64, bytes: UInt64) throws(SystemError) {
    guard bytes > 0 else { return }
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
