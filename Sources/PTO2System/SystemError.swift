internal import Glibc

/// A system call that failed: which one, on what, and its errno.
package struct SystemError: Error, Equatable, CustomStringConvertible {
  /// The call as its manual page names it, for example `shm_open`.
  package var call: String
  /// What it was called on: a segment name, a path, a process id.
  package var subject: String
  /// The positive errno.
  package var errno: Int32

  package init(_ call: String, _ subject: String, errno: Int32) {
    self.call = call
    self.subject = subject
    self.errno = errno
  }

  /// The error of a call that has just returned -1.
  static func last(_ call: String, _ subject: String) -> SystemError {
    SystemError(call, subject, errno: Glibc.errno)
  }

  package var description: String {
    var buffer = [CChar](repeating: 0, count: 128)
    let text = unsafe buffer.withUnsafeMutableBufferPointer { bytes in
      unsafe strerror_r(errno, bytes.baseAddress!, bytes.count) == 0
        ? unsafe String(cString: bytes.baseAddress!) : "errno \(errno)"
    }
    return "\(call) \(subject): \(text)"
  }
}

extension SystemError {
  package static let notFound = ENOENT
  package static let alreadyExists = EEXIST
  package static let noSpace = ENOSPC
  package static let accessDenied = EACCES
}
