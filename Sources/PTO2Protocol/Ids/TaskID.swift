internal import CPTO2Segment

/// A task: (ring << 32) | local id. Local ids run free within their ring.
@frozen
public struct TaskID: Equatable, Hashable, Sendable, CustomStringConvertible {
  /// As programs in C have it.
  public let rawValue: UInt64

  /// Any number: one that is no task's is refused where it is used.
  @inlinable @inline(__always)
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  @inlinable @inline(__always)
  package init(ring: Int, local: UInt32) {
    rawValue = UInt64(truncatingIfNeeded: ring) << 32 | UInt64(local)
  }

  /// 0 to 7.
  @inlinable @inline(__always)
  public var ring: Int { Int(truncatingIfNeeded: rawValue >> 32) }

  /// Free-running: compare with `Position`, never with `<`.
  @inlinable @inline(__always)
  public var local: UInt32 { UInt32(truncatingIfNeeded: rawValue) }

  /// `ring:local`, as in messages and tools.
  public var description: String { "\(ring):\(local)" }
}

/// A free-running 32-bit position in a ring, a log or a pool. It wraps; order
/// is the sign of the difference, right while two positions are less than 2^31
/// apart.
@frozen @usableFromInline
package struct Position: Equatable {
  @usableFromInline package var rawValue: UInt32

  @inlinable @inline(__always)
  package init(_ rawValue: UInt32) { self.rawValue = rawValue }

  /// How far this position is past `other`; negative when before it.
  @inlinable @inline(__always)
  package func distance(from other: Position) -> Int32 {
    Int32(bitPattern: rawValue &- other.rawValue)
  }
}

/// The life of a task, in order; values as in the original.
@frozen
public enum TaskState: UInt32, Sendable, CaseIterable {
  case pending = 0
  /// Every awaited producer has completed.
  case ready = 1
  case running = 2
  /// Every active subtask has finished; consumers are notified.
  case completed = 3
  /// References on its producers are given back; its main slot is free.
  case released = 4
  /// Every consumer is done and its scope has ended; its output is free.
  case consumed = 5
}
