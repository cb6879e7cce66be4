public import CPTO2Segment

/// Which subtask of a task: its place in function_bin_addrs, and the core of a cluster
/// that runs it.
@frozen
public enum SubtaskSlot: UInt32, Sendable, CaseIterable {
  case aic = 0
  case aiv0 = 1
  case aiv1 = 2
}

/// A core by its number: 3 * cluster + 0 for the AIC, + 1 and + 2 for the two AIV.
@frozen @usableFromInline
package struct CoreID: Equatable, Hashable, Sendable, CustomStringConvertible {
  @usableFromInline package let index: Int

  @inlinable @inline(__always)
  package init(_ index: Int) { self.index = index }

  /// - Parameter subtask: 0 AIC, 1 AIV0, 2 AIV1.
  @inlinable @inline(__always)
  package init(cluster: Int, subtask: Int) {
    index = Int(PTO2_CORES_PER_CLUSTER) * cluster + subtask
  }

  @inlinable @inline(__always)
  package var cluster: Int { Int(UInt(bitPattern: index) / UInt(PTO2_CORES_PER_CLUSTER)) }
  /// 0 AIC, 1 AIV0, 2 AIV1.
  @inlinable @inline(__always)
  package var subtask: Int { Int(UInt(bitPattern: index) % UInt(PTO2_CORES_PER_CLUSTER)) }

  /// `aic0`, `aiv0`, `aiv1`: AIC c is in cluster c, AIV v in cluster v / 2.
  @usableFromInline package var description: String {
    subtask == 0 ? "aic\(cluster)" : "aiv\(2 * cluster + subtask - 1)"
  }

  /// The core of this name; nil for any other text.
  package init?(named name: String) {
    let text = Array(name.utf8)
    guard (4...8).contains(text.count) else { return nil }
    var number = 0
    for byte in text[3...] {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
      number = 10 * number + Int(byte - UInt8(ascii: "0"))
    }
    guard text[0] == UInt8(ascii: "a"), text[1] == UInt8(ascii: "i") else { return nil }
    switch text[2] {
    case UInt8(ascii: "c"): self.init(cluster: number, subtask: 0)
    case UInt8(ascii: "v"): self.init(cluster: number / 2, subtask: 1 + number % 2)
    default: return nil
    }
  }
}
