internal import PTO2Protocol

/// A lock that is taken at once or not at all.
///
/// With one thread it is always had, and costs nothing.
@safe struct TryLock<S: Sharing> {
  private let word: Cell<UInt32>
  /// How often this thread has found a lock taken.
  private let lost: Cell<UInt64>

  init(_ word: Cell<UInt32>, lost: Cell<UInt64>) {
    self.word = word
    self.lost = lost
  }

  /// Sequentially consistent: what this thread published before is seen by the
  /// holder's look after unlocking.
  @inline(__always)
  fileprivate func take() -> Bool {
    if S.exchange(word, 1) == 0 { return true }
    lost.value += 1
    return false
  }

  /// Runs `body` with the lock as long as there is something to do. Whoever finds the
  /// lock taken has nothing to wait for: what it has published before is seen by the
  /// holder, who looks once more after unlocking.
  /// - Parameters:
  ///   - looksFirst: false when the lock is to be tried before the first look. A look
  ///     right after a store may miss another thread's; `take` orders the two.
  ///   - isDue: the look. With one thread, nobody looks: `body` is run once.
  @inline(__always)
  func whileDue(looksFirst: Bool = true, _ isDue: () -> Bool, _ body: () -> Int) -> Int {
    guard S.isShared else { return body() }
    var work = 0
    var looks = looksFirst
    while !looks || isDue(), take() {
      looks = true
      work += body()
      S.store(word, 0)
      // No look may pass the unlock; pairs with `take` of a thread that is about to
      // find the lock taken.
      fullFence()
    }
    return work
  }

  /// Runs `body` once with the lock; nil when another thread has it. For who comes
  /// again without being told, or is followed by a `whileDue`: nobody looks here.
  @inline(__always)
  func once<Result>(_ body: () -> Result) -> Result? {
    guard S.isShared else { return body() }
    guard take() else { return nil }
    let result = body()
    S.store(word, 0)
    fullFence()
    return result
  }
}

/// What only the holder of a try-lock may use.
@safe struct TryLocked<Value, S: Sharing> {
  private let lock: TryLock<S>
  private let value: Value

  init(_ value: Value, _ lock: TryLock<S>) {
    self.value = value
    self.lock = lock
  }

  /// See `TryLock.whileDue`.
  @inline(__always)
  func withLock(while isDue: () -> Bool, _ body: (Value) -> Int) -> Int {
    lock.whileDue(isDue) { body(value) }
  }

  /// See `TryLock.once`.
  @inline(__always)
  func withLock<Result>(_ body: (Value) -> Result) -> Result? { lock.once { body(value) } }

  /// Without the lock, for the only thread there is.
  @inline(__always)
  var ofOnlyThread: Value {
    assert(!S.isShared)
    return value
  }
}
