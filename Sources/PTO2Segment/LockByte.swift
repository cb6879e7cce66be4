internal import PTO2System

/// What a live process can hold of a session: a byte each, beyond the end of the object,
/// locked while held.
package enum LockByte {
  case orchestrator, scheduler, link
  /// Held shared by everyone attached: taken exclusively, nobody lives.
  case liveness
  case core(Int)

  package var position: Int64 {
    let base: Int64 = 1 << 50
    return switch self {
    case .orchestrator: base
    case .scheduler: base + 1
    case .liveness: base + 2
    case .link: base + 3
    case .core(let core): base + 16 + Int64(core)
    }
  }
}

extension SharedMemoryObject {
  /// False when another process holds a conflicting lock.
  func tryLock(_ byte: LockByte, _ kind: LockKind) -> Bool { tryLock(byte: byte.position, kind) }

  package func isLocked(_ byte: LockByte) -> Bool { isLocked(byte: byte.position) }

  func unlock(_ byte: LockByte) { unlock(byte: byte.position) }

  /// Takes a lock exclusively, when it is free or was that of a process that has died.
  /// - Returns: false when a live process has it.
  func take(_ byte: LockByte) -> Bool { soon { tryLock(byte, .exclusive) } }

  /// False when a live process has the lock.
  func becomesFree(_ byte: LockByte) -> Bool { soon { !isLocked(byte) } }

  /// The lock of a process that has died may become free a moment after its end: while
  /// somebody reads /proc/PID/cmdline, as ps does, the dead one's memory stays, and with it
  /// the open object that holds the lock.
  private func soon(_ condition: () -> Bool) -> Bool {
    let deadline = Deadline(afterMilliseconds: 500)
    while !condition() {
      if deadline.hasPassed { return false }
      sleepNanoseconds(500_000)
    }
    return true
  }
}
