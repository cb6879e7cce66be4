internal import CPTO2Linux
internal import Glibc

/// A mapped range of a shared-memory object; unmapped when it goes.
///
/// All of it is mapped read-only first, through a descriptor that cannot write, then the
/// ranges of this process's own sections anew, through the object's. A store anywhere else
/// raises SIGSEGV here and leaves the segment as it was, and mprotect(2) does not make it
/// writable.
@safe package struct Mapping: ~Copyable {
  package let base: UnsafeRawPointer
  package let bytes: UInt64

  /// mmap(2) MAP_SHARED, PROT_READ, of the object's first `bytes`.
  package init(_ object: borrowing SharedMemoryObject, bytes: UInt64) throws(SystemError) {
    // Without one (no more descriptors, no /proc) the pages are still read-only.
    let reader = object.openForReading()
    defer { if let reader { close(reader) } }
    guard bytes > 0, let length = Int(exactly: bytes),
      let address = unsafe mmap(
        nil, length, PROT_READ, MAP_SHARED | MAP_NORESERVE, reader ?? object.descriptor, 0),
      unsafe address != MAP_FAILED
    else { throw .last("mmap", "\(object.name) (\(bytes) bytes)") }
    unsafe self.base = UnsafeRawPointer(address)
    self.bytes = bytes
  }

  deinit {
    unsafe pto2_disown(base)
    unsafe munmap(UnsafeMutableRawPointer(mutating: base), Int(bytes))
  }

  /// What a child that user code makes with fork(2) gets of it: a copy of its own, which
  /// it may read and write, without what lies before `hidden`; no lock, and no
  /// descriptor. From now on.
  /// - Parameters:
  ///   - endsWithParent: such a child is killed when this thread's process ends.
  ///   - whenForked: called in the child, which has the memory of this process; may
  ///     take no lock.
  package func leaveInParent(
    _ object: borrowing SharedMemoryObject, hidden: UInt64, endsWithParent: Bool,
    whenForked: (@Sendable () -> Void)? = nil
  ) {
    var rule = unsafe pto2_fork_rule()
    unsafe rule.base = base
    unsafe rule.bytes = bytes
    unsafe rule.hidden_bytes = hidden
    unsafe rule.fd = object.descriptor
    unsafe rule.ends_with_parent = endsWithParent ? 1 : 0
    if let whenForked {
      // Kept for the life of the process: a handful of bytes a session.
      unsafe rule.context = Unmanaged.passRetained(ForkAction(whenForked)).toOpaque()
      unsafe rule.function = { context in
        unsafe Unmanaged<ForkAction>.fromOpaque(context!).takeUnretainedValue().run()
      }
    }
    unsafe pto2_own(&rule)
  }

  /// mmap(2) of whole pages once more, PROT_WRITE. Not after `leaveInParent`.
  package func makeWritable(
    _ object: borrowing SharedMemoryObject, offset: UInt64, bytes: UInt64
  ) throws(SystemError) {
    precondition(offset &+ bytes <= self.bytes, "writable range beyond the mapping")
    guard object.isIntact else { throw SystemError("mmap", object.name, errno: EBADF) }
    guard
      unsafe mmap(
        UnsafeMutableRawPointer(mutating: base) + Int(offset), Int(bytes), PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_NORESERVE | MAP_FIXED, object.descriptor, off_t(offset)) != MAP_FAILED
    else { throw .last("mmap", "\(object.name) (offset \(offset), \(bytes) bytes)") }
  }

  /// Maps reserved, writable pages ahead of use, so that the first store to
  /// each costs no page fault. A hint: kernels before 5.14 do nothing.
  package func populate(offset: UInt64, bytes: UInt64) {
    _ = unsafe pto2_populate_write(
      UnsafeMutableRawPointer(mutating: base) + Int(offset), Int(bytes))
  }
}

private final class ForkAction: Sendable {
  let run: @Sendable () -> Void
  init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// Bytes in a page of this machine.
package func systemPageBytes() -> UInt32 { UInt32(sysconf(Int32(_SC_PAGESIZE))) }
