package import PTO2Protocol

/// The side that sleeps: announce, fence, look, sleep. `Publisher` is the other.
///
/// No wake is lost. The sleeper stores its announcement and then looks at the words;
/// the publisher stores its word and then looks at the announcement. A full fence
/// stands between the store and the look on each side, so at least one of the two
/// looks finds the other's store. Either the sleeper finds the word changed and stays
/// awake, or the publisher finds the announcement and wakes it. A wake that comes
/// between the sleeper's look and its sleep changes nothing: the word was stored
/// before it, and the kernel, which compares every word with what the sleeper saw
/// before it lets it sleep, returns at once.
///
/// Use: `announce`, one `watch` per word, `sleep`, `withdraw`.
@safe package struct Sleeper: ~Copyable {
  private var words = WaitSet()
  /// Some word was found to differ from what was expected.
  package private(set) var hasNews = false

  package init() {}

  /// Announces the sleeper in a word that is its own.
  /// - Parameter reason: what publishers look for; not 0. Released: who sees it sees
  ///   what was stored before, as the position that is waited for.
  package mutating func announce(_ reason: UInt32, in word: OwnedWord) {
    word.storeRelease(reason)
    didAnnounce()
  }

  /// The same for an announcement that the caller has stored: a bit among those of
  /// other threads, for instance.
  package mutating func didAnnounce() {
    // No look at a word may pass the announcement; pairs with the publishers' fence
    // between their word and their look at the announcement.
    fullFence()
    words.removeAll()
    hasNews = false
  }

  /// Sleeps on a word, unless it holds something else than expected now.
  package mutating func watch(_ word: SharedWord, while expected: UInt32) {
    words.insert(word, while: expected)
    if word.loadAcquire() != expected { hasNews = true }
  }

  /// Sleeps on a word until it changes.
  /// - Returns: what it holds.
  package mutating func watch(_ word: SharedWord) -> UInt32 {
    let value = word.loadAcquire()
    words.insert(word, while: value)
    return value
  }

  /// The caller has found another reason to stay awake.
  package mutating func stayAwake() { hasNews = true }

  /// Sleeps until some word differs from what was expected, is woken, or the time is
  /// over.
  /// - Returns: false, at once, when there was news.
  package mutating func sleep(timeoutNanoseconds: Int64) -> Bool {
    if hasNews { return false }
    words.wait(timeoutNanoseconds: timeoutNanoseconds)
    return true
  }

  /// Awake again. Publishers that still see the announcement wake for nothing.
  package func withdraw(from word: OwnedWord) { word.storeRelaxed(0) }
}
