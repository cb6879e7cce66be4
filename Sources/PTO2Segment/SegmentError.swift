package import PTO2System

/// Every way in which creating or attaching to a segment fails.
package enum SegmentError: Error, CustomStringConvertible {
  case invalidName(String)
  /// No such name within the waiting time.
  case notFound(name: String, waitedMilliseconds: UInt64)
  case accessDenied(name: String)
  /// A live session has the name.
  case inUse(name: String, pid: Int32)
  /// The magic was never published: its creator died while creating it.
  case creatorDied(name: String)
  /// Something else lies under that name.
  case notASegment(name: String, magic: UInt64)
  /// What lies under that name is no file of pto2's, in words; it is left alone.
  case notOurs(name: String, what: String)
  case wrongVersion(found: (UInt32, UInt32), expected: (UInt32, UInt32))
  case wrongPageSize(found: UInt32, expected: UInt32)
  case truncated(expectedBytes: UInt64, foundBytes: UInt64)
  case wrongLayout(found: UInt64, expected: UInt64)
  case invalidHeader(ConfigurationError)
  /// Its orchestrator is gone.
  case abandoned(name: String)
  /// Its orchestrator lives where this process cannot see it.
  case otherNamespace(name: String, pid: Int32)
  /// Another process plays that role or hosts that core.
  case roleTaken(String)
  case noSpace(neededBytes: UInt64, availableBytes: UInt64)
  case system(SystemError)

  package var description: String {
    switch self {
    case .invalidName(let name):
      "segment name \"\(name)\" is not valid: expected 1 to 200 letters, digits, '-', '_' or '.', no '/', a letter or digit first"
    case .notFound(let name, let milliseconds):
      "no segment \"\(name)\" after \(milliseconds) ms: start the orchestrator first, or check the name in /dev/shm"
    case .accessDenied(let name):
      "segment \"\(name)\" belongs to another user (it has mode 0600): run as that user"
    case .inUse(let name, let pid):
      "segment \"\(name)\" is in use by \(pid == 0 ? "another process" : "process \(pid)"): choose another name, or end that run first"
    case .creatorDied(let name):
      "segment \"\(name)\" was never finished: its creator died during creation. Start a run under that name to replace it, or remove /dev/shm/\(name)"
    case .notASegment(let name, let magic):
      "/dev/shm/\(name) is not a pto2 segment (its first 8 bytes are 0x\(String(magic, radix: 16)))"
    case .notOurs(let name, let what):
      "/dev/shm/\(name) is \(what): it is left alone. Choose another name, or remove it yourself"
    case .wrongVersion(let found, let expected):
      "the segment has ABI \(found.0).\(found.1), this program ABI \(expected.0).\(expected.1): use executables of one build"
    case .wrongPageSize(let found, let expected):
      "the segment was made for pages of \(found) bytes, this machine has \(expected)"
    case .truncated(let expected, let found):
      "the segment has \(found) bytes, its header says \(expected)"
    case .wrongLayout(let found, let expected):
      "the segment has layout 0x\(String(found, radix: 16)), this program 0x\(String(expected, radix: 16)): use executables of one build"
    case .invalidHeader(let error):
      "the segment's header is damaged: \(error)"
    case .abandoned(let name):
      "the orchestrator of segment \"\(name)\" has ended; start a new run"
    case .otherNamespace(let name, let pid):
      "the orchestrator of segment \"\(name)\" (process \(pid)) lives, and is not to be seen from here: start this process in the same PID and time namespace, as in the same container"
    case .roleTaken(let role):
      "\(role) of this segment is already taken by a live process"
    case .noSpace(let needed, let available):
      "/dev/shm is full: \(needed) bytes needed, \(available) available. Make it larger (mount -o remount,size=... /dev/shm) or the rings smaller"
    case .system(let error):
      error.description
    }
  }
}
