internal import CPTO2Faults
internal import Glibc
package import PTO2System

/// A /dev/shm of a session's own, which a fault can fill.
package enum PrivateSharedMemory {
  /// For the calling thread, and the threads and processes it starts from now on.
  /// - Parameter bytes: what fits in.
  /// - Throws: EPERM or EINVAL where the system grants no mount namespace.
  package static func enter(bytes: UInt64) throws(SystemError) {
    let result = pto2_enter_private_shm(bytes)
    guard result >= 0 else { throw SystemError("unshare", "/dev/shm", errno: -result) }
  }

  /// Takes what is free, but so many bytes.
  /// - Returns: a descriptor that holds it until it is closed; nil when the system
  ///   refused.
  static func fill(leaving bytes: UInt64) -> Int32? {
    let descriptor = pto2_fill_shm(bytes)
    return descriptor >= 0 ? descriptor : nil
  }
}
