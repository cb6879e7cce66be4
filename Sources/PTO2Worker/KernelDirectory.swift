internal import PTO2Protocol
package import PTO2Segment

/// Every function a worker may call, by call word: open addressing, filled
/// once, read by every core of the process.
@safe package final class KernelDirectory: @unchecked Sendable {
  // Sendable: written in `init` only.
  private let keys: UnsafeMutablePointer<UInt64>
  private let functions: UnsafeMutablePointer<UInt>
  private let mask: Int
  /// What every core calls before its first kernel.
  let initializers: [(path: String, function: UInt)]

  package init(_ images: [KernelImage]) {
    initializers = images.compactMap { image in
      image.initializer.map { (path: image.path, function: $0) }
    }
    let count = images.reduce(0) { $0 + $1.kernels.count }
    var capacity = 16
    while capacity < 2 * count { capacity *= 2 }
    mask = capacity - 1
    unsafe keys = .allocate(capacity: capacity)
    unsafe functions = .allocate(capacity: capacity)
    unsafe keys.initialize(repeating: 0, count: capacity)
    unsafe functions.initialize(repeating: 0, count: capacity)
    for (index, image) in images.enumerated() {
      for kernel in image.kernels {
        let key = CallWord(image: index, offset: kernel.offset).kernel
        var place = Self.hash(key) & mask
        while unsafe keys[place] != 0 && keys[place] != key { place = (place + 1) & mask }
        unsafe keys[place] = key
        unsafe functions[place] = kernel.address
      }
    }
  }

  deinit {
    unsafe keys.deallocate()
    unsafe functions.deallocate()
  }

  @inline(__always)
  private static func hash(_ key: UInt64) -> Int {
    Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 40)
  }

  /// The function of a call word, arity ignored; 0 when no table has it.
  @inline(__always)
  func function(of call: CallWord) -> UInt {
    let key = call.kernel
    guard key != 0 else { return 0 }
    var place = Self.hash(key) & mask
    while unsafe keys[place] != 0 {
      if unsafe keys[place] == key { return unsafe functions[place] }
      place = (place + 1) & mask
    }
    return 0
  }
}
