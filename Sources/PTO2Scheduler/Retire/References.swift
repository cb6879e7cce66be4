internal import CPTO2Segment
internal import PTO2Protocol

/// The references on a task's output: `fanout_count` were taken, `fanout_refcount` of
/// them given back. A task with none left is CONSUMED.
@safe struct References {
  /// Both counts in one word, so that no claim and no drop misses the other.
  private let word: Cell<UInt64>

  @inline(__always)
  init(on entry: ConsumedEntry) { word = entry.references }

  private static func left(_ word: UInt64) -> Int32 {
    Int32(bitPattern: UInt32(truncatingIfNeeded: word) &- UInt32(truncatingIfNeeded: word >> 32))
  }

  /// One more reference; false when the task is CONSUMED.
  @inline(__always)
  func claim<S: Sharing>(_: S.Type) -> Bool {
    while true {
      let old = S.load(word)
      if Self.left(old) == 0 { return false }
      if S.compareExchange(word, old, old + 1) { return true }
    }
  }

  /// Gives a reference back; returns how many are left, negative when one was given
  /// back twice.
  @inline(__always)
  func drop<S: Sharing>(_: S.Type) -> Int32 { Self.left(S.add(word, 1 << 32)) }
}

/// The consumers that wait for a task: a list that is closed when it is COMPLETED.
@safe struct EdgeList {
  private let head: Cell<UInt32>

  @inline(__always)
  init(of entry: ConsumedEntry) { head = entry.fanoutHead }

  /// Links an edge into the list; false when that is closed.
  @inline(__always)
  func push<S: Sharing>(_ reference: EdgeReference, _ edge: FanoutEdge, _: S.Type) -> Bool {
    while true {
      let first = S.load(head)
      if first == PTO2_EDGE_CLOSED { return false }
      edge.next = first
      if S.compareExchange(head, first, reference.rawValue) { return true }
    }
  }

  /// Closes the list; returns its first edge, an `EdgeReference` or PTO2_EDGE_NONE.
  @inline(__always)
  func close<S: Sharing>(_: S.Type) -> UInt32 { S.exchange(head, PTO2_EDGE_CLOSED) }
}
