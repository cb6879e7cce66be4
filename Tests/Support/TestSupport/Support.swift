import Glibc
import Synchronization

/// SplitMix64: the same numbers for the same seed, everywhere.
public struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64
  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

private let names = Atomic<UInt32>(0)

/// A segment name nobody else uses.
public func uniqueSegmentName() -> String {
  let number = names.add(1, ordering: .relaxed).newValue
  return "test-pto2-\(getpid())-\(number)"
}

/// Type and permission bits of an object in /dev/shm; nil when there is none.
public func sharedMemoryMode(_ name: String) -> UInt32? {
  var status = stat()
  return lstat("/dev/shm/" + name, &status) == 0 ? status.st_mode : nil
}

/// A file of any size, for instance /proc/self/maps.
public func wholeFile(_ path: String) -> String {
  let descriptor = open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { return "" }
  defer { close(descriptor) }
  var text: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65536)
  while true {
    let count = read(descriptor, &buffer, buffer.count)
    guard count > 0 else { break }
    text += buffer[..<count]
  }
  return String(decoding: text, as: UTF8.self)
}
