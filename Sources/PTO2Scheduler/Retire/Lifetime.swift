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

/// What the tasks before a watermark have in common.
protocol Milestone {
  /// True for a `TaskState` at or beyond it.
  static func isReached(_ state: UInt32) -> Bool
  /// The first task that the watermark may not pass yet.
  static func limit<S: Sharing>(in ring: Ring, _: S.Type) -> UInt32
  /// What the tasks that are passed give back; `last` is the newest of them.
  static func reclaim<S: Sharing>(upTo last: ConsumedEntry, in ring: Ring, _: S.Type)
}

/// RELEASED: main slots, descriptors and pool entries are free.
enum Released: Milestone {
  @inline(__always)
  static func isReached(_ state: UInt32) -> Bool {
    // A value that is no state has reached nothing.
    state &- TaskState.released.rawValue
      <= TaskState.consumed.rawValue - TaskState.released.rawValue
  }
  @inline(__always)
  static func limit<S: Sharing>(in ring: Ring, _: S.Type) -> UInt32 { S.load(ring.wired) }
  @inline(__always)
  static func reclaim<S: Sharing>(upTo last: ConsumedEntry, in ring: Ring, _: S.Type) {
    S.store(ring.poolTail, last.poolEnd)
  }
}

/// CONSUMED: outputs and consumed entries are free.
enum Consumed: Milestone {
  @inline(__always)
  static func isReached(_ state: UInt32) -> Bool { state == TaskState.consumed.rawValue }
  /// Never past `last_task_released`.
  @inline(__always)
  static func limit<S: Sharing>(in ring: Ring, _: S.Type) -> UInt32 {
    S.load(ring.released.position)
  }
  @inline(__always)
  static func reclaim<S: Sharing>(upTo last: ConsumedEntry, in ring: Ring, _: S.Type) {
    S.store(ring.heapTail, last.heapEnd)
  }
}

/// `last_task_released` or `last_task_consumed` of a ring: one past the tasks at the
/// ring's head that have all reached a milestone.
@safe struct Watermark<Passed: Milestone> {
  private let state: UnsafeMutablePointer<WatermarkState>

  init(_ state: UnsafeMutablePointer<WatermarkState>) { unsafe self.state = state }

  /// What the orchestrator goes by.
  @inline(__always)
  var word: OwnedWord { unsafe state.pointee.word }

  /// What this process goes by. Writer: the lock's holder.
  @inline(__always)
  var position: Cell<UInt32> { unsafe Cell(&state.pointee.position) }

  @inline(__always)
  private var lock: Cell<UInt32> { unsafe state.pointee.lock }

  /// Moves over every task at the head that has reached the milestone. With several
  /// threads one at a time does; whoever finds the lock taken has stored its task's
  /// state before, and the holder looks again after unlocking.
  /// - Parameter lost: counts the locks that this thread found taken.
  /// - Returns: true when it has moved.
  @inline(__always)
  func advance<S: Sharing>(in ring: Ring, lost: Cell<UInt64>, _: S.Type) -> Bool {
    // The caller has just stored its task's state.
    TryLock<S>(lock, lost: lost).whileDue(looksFirst: false) {
      let head = S.load(position)
      return head != Passed.limit(in: ring, S.self)
        && Passed.isReached(S.load(ring.entry(head).state))
    } _: {
      move(in: ring, S.self) ? 1 : 0
    } > 0
  }

  /// True when the word says what was stored to it last; nil when another thread moves it.
  func isIntact<S: Sharing>(lost: Cell<UInt64>, _: S.Type) -> Bool? {
    TryLock<S>(lock, lost: lost).once { word.loadOwn() == position.value }
  }

  @inline(__always)
  private func move<S: Sharing>(in ring: Ring, _: S.Type) -> Bool {
    let before = position.value
    let limit = Passed.limit(in: ring, S.self)
    var position = before
    while position != limit, Passed.isReached(S.load(ring.entry(position).state)) {
      position &+= 1
    }
    guard position != before else { return false }
    Passed.reclaim(upTo: ring.entry(position &- 1), in: ring, S.self)
    // Pairs with the orchestrator's acquire before it reuses what lies before: nothing
    // here reads it any more.
    word.storeRelease(position)
    // After the word: the consumed watermark goes by this of the released one, and is
    // never seen ahead of it.
    S.store(self.position, position)
    return true
  }
}

struct WatermarkState {
  let word: OwnedWord
  let lock: Cell<UInt32>
  var position: UInt32

  init(_ word: OwnedWord, _ lock: Cell<UInt32>, at position: UInt32) {
    self.word = word
    self.lock = lock
    self.position = position
  }
}
