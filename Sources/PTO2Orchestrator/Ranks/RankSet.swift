/// Some of the ranks: a bit each.
struct RankSet: Equatable, BitwiseCopyable {
  // A few words for all ranks there can be (PTO2_MAX_RANKS), without memory of their own.
  private var first: UInt64 = 0
  private var second: UInt64 = 0
  private var third: UInt64 = 0
  private var fourth: UInt64 = 0

  static let none = RankSet()

  private init() {}

  init(_ rank: Int) { self[word: rank >> 6] = 1 << UInt64(rank & 63) }

  /// - Parameter count: 1 to 256.
  static func all(_ count: Int) -> RankSet {
    var set = RankSet.none
    for word in 0..<count >> 6 { set[word: word] = ~0 }
    if count & 63 != 0 { set[word: count >> 6] = ~0 >> UInt64(64 - count & 63) }
    return set
  }

  private static let words = 4

  private subscript(word index: Int) -> UInt64 {
    get {
      switch index {
      case 0: first
      case 1: second
      case 2: third
      default: fourth
      }
    }
    set {
      switch index {
      case 0: first = newValue
      case 1: second = newValue
      case 2: third = newValue
      default: fourth = newValue
      }
    }
  }

  var count: Int {
    first.nonzeroBitCount + second.nonzeroBitCount + third.nonzeroBitCount
      + fourth.nonzeroBitCount
  }
  func contains(_ rank: Int) -> Bool { self[word: rank >> 6] >> UInt64(rank & 63) & 1 != 0 }
  mutating func insert(_ rank: Int) { self[word: rank >> 6] |= 1 << UInt64(rank & 63) }

  /// Calls `body` with each member, the lowest first.
  func visit(_ body: (Int) -> Void) {
    for word in 0..<Self.words {
      var rest = self[word: word]
      while rest != 0 {
        body(word << 6 + rest.trailingZeroBitCount)
        rest &= rest &- 1
      }
    }
  }

  /// Its members from a rank on, around: the `index`th of them.
  func member(_ index: Int, from rank: Int) -> Int {
    var left = index
    // The word of the rank comes first and last: once for each side of it.
    for step in 0...Self.words {
      let word = (rank >> 6 + step) % Self.words
      var rest = self[word: word]
      if step == 0 { rest = (rest >> UInt64(rank & 63)) << UInt64(rank & 63) }
      if step == Self.words { rest &= (1 << UInt64(rank & 63)) &- 1 }
      if left >= rest.nonzeroBitCount {
        left -= rest.nonzeroBitCount
        continue
      }
      while left > 0 {
        rest &= rest &- 1
        left -= 1
      }
      return word << 6 + rest.trailingZeroBitCount
    }
    preconditionFailure("a set of ranks has no member \(index)")
  }
}
