internal import CPTO2Linux

/// Some of the first 1024 CPUs.
package struct CPUSet: CustomStringConvertible {
  private var words: InlineArray<16, UInt64> = .init(repeating: 0)

  package static var capacity: Int { 1024 }

  package init() {}

  package init(_ cpus: some Sequence<Int>) { for cpu in cpus { insert(cpu) } }

  /// Those that the calling thread may use; sched_getaffinity(2). None where Linux has
  /// more than 1024.
  package static func allowed() -> CPUSet {
    var set = CPUSet()
    #if !PTO2_SIMULATION
      unsafe withUnsafeMutableBytes(of: &set.words) { bytes in
        let words = unsafe bytes.assumingMemoryBound(to: UInt64.self)
        _ = unsafe pto2_get_affinity(words.baseAddress!, UInt32(words.count))
      }
    #endif
    return set
  }

  /// The CPU that the calling thread runs on; -1 where Linux does not say.
  @inline(__always)
  package static var current: Int {
    #if PTO2_SIMULATION
      -1
    #else
      Int(pto2_current_cpu())
    #endif
  }

  /// Lets the calling thread run on these alone; sched_setaffinity(2).
  /// - Returns: false when none of them is there, or allowed.
  @discardableResult
  package func confine() -> Bool {
    #if PTO2_SIMULATION
      true
    #else
      unsafe withUnsafeBytes(of: words) { bytes in
        let words = unsafe bytes.assumingMemoryBound(to: UInt64.self)
        return unsafe pto2_set_affinity(words.baseAddress!, UInt32(words.count)) == 0
      }
    #endif
  }

  /// Brings the calling thread to one of these, which it may leave again.
  package func move(to cpu: Int) {
    if CPUSet(CollectionOfOne(cpu)).confine() { confine() }
  }

  /// CPUs in the order of a list such as `0,2-5`; nil for what is no list.
  package static func parse(_ text: String) -> [Int]? {
    var cpus: [Int] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = part.split(separator: "-", omittingEmptySubsequences: false)
        .map { parseWhole($0).flatMap { Int(exactly: $0) } }
      guard ends.count <= 2, let first = ends[0], let last = ends[ends.count - 1], first >= 0,
        first <= last, last < capacity
      else { return nil }
      cpus += Array(first...last)
    }
    return cpus
  }

  package var count: Int {
    var count = 0
    for index in words.indices { count += words[index].nonzeroBitCount }
    return count
  }

  package func contains(_ cpu: Int) -> Bool {
    (0..<Self.capacity).contains(cpu) && words[cpu / 64] >> UInt64(cpu % 64) & 1 != 0
  }

  /// Leaves it as it is for a CPU beyond `capacity`.
  package mutating func insert(_ cpu: Int) {
    guard (0..<Self.capacity).contains(cpu) else { return }
    words[cpu / 64] |= 1 << UInt64(cpu % 64)
  }

  /// As the list that `parse` reads.
  package var description: String {
    var parts: [String] = []
    var cpu = 0
    while cpu < Self.capacity {
      let first = cpu
      while contains(cpu) { cpu += 1 }
      if cpu > first { parts.append(cpu == first + 1 ? "\(first)" : "\(first)-\(cpu - 1)") }
      cpu += 1
    }
    return parts.joined(separator: ",")
  }

  /// The lowest CPU of these that is not among others.
  package func first(outside others: CPUSet) -> Int? {
    for index in words.indices {
      let rest = words[index] & ~others.words[index]
      if rest != 0 { return 64 * index + rest.trailingZeroBitCount }
    }
    return nil
  }
}
