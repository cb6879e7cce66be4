internal import CPTO2Linux
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
    return "\(call) \(subject): \(text)" + (remedy.map { ". " + $0 } ?? "")
  }

  /// Which limit of this process it is, and what to do.
  private var remedy: String? {
    func limit(_ which: some BinaryInteger) -> UInt64? {
      let value = pto2_limit(Int32(which))
      return value == UInt64.max ? nil : value
    }
    switch errno {
    case EMFILE:
      return limit(PTO2_LIMIT_FILES).map {
        "This process may have \($0) open files (ulimit -n \($0)): raise that"
      }
    case ENFILE: return "The machine has no more open files (fs.file-max)"
    case EAGAIN where call == "posix_spawn" || call == "pthread_create":
      let own = limit(PTO2_LIMIT_PROCESSES).map { " (ulimit -u \($0))" } ?? ""
      let memory = [("v", PTO2_LIMIT_ADDRESSES), ("d", PTO2_LIMIT_DATA)].compactMap { name, which in
        limit(which).map { "ulimit -\(name) \($0 >> 10)" }
      }
      let stack =
        memory.isEmpty ? "" : ", or no memory for a stack (\(memory.joined(separator: ", ")))"
      return
        "No more processes or threads are allowed\(own), or in this container (pids.max)\(stack): raise that, or use fewer clusters"
    case ENOMEM:
      return limit(PTO2_LIMIT_ADDRESSES).map {
        "This process may have \($0) bytes of addresses (ulimit -v \($0 >> 10)): raise that, or make --arena, --heap and the windows smaller"
      }
        ?? limit(PTO2_LIMIT_DATA).map {
          "This process may have \($0) bytes of memory (ulimit -d \($0 >> 10)): raise that"
        }
    case EFBIG:
      return limit(PTO2_LIMIT_FILE_BYTES).map {
        "This process may make files of \($0) bytes (ulimit -f): raise that, or make --arena, --heap and the windows smaller"
      }
    case ENOENT where call == "shm_open": return "Is there a /dev/shm?"
    case EBADF:
      return
        "The program, or a library, has closed or replaced this descriptor of the runtime: close none that you have not opened"
    default: return nil
    }
  }
}

extension SystemError {
  package static let notFound = ENOENT
  package static let alreadyExists = EEXIST
  package static let noSpace = ENOSPC
  package static let brokenPipe = EPIPE
  package static let accessDenied = EACCES
  /// A FIFO, a device, a directory or a link lies under a name that is a file's.
  package static let notAFile = ENXIO
}
