/// Some of the ranks: a bit each.
struct RankSet: Equatable, BitwiseCopyable {
  // A bit for each rank there can be (PTO2_MAX_RANKS), without memory of its own.
  private var words: InlineArray<4, UInt64> = .init(repeating: 0)

  static let none = RankSet()

  private init() {}

  init(_ rank: Int) { words[rank >> 6] = 1 << UInt64(rank & 63) }

  /// - Parameter count: 1 to 256.
  static func all(_ count: Int) -> RankSet {
    var set = RankSet.none
    for word in 0..<count >> 6 { set.words[word] = ~0 }
    if count & 63 != 0 { set.words[count >> 6] = ~0 >> UInt64(64 - count & 63) }
    return set
  }

  static func == (a: RankSet, b: RankSet) -> Bool {
    a.words.indices.allSatisfy { a.words[$0] == b.words[$0] }
  }

  var count: Int { words.indices.reduce(0) { $0 + words[$1].nonzeroBitCount } }
  func contains(_ rank: Int) -> Bool { words[rank >> 6] >> UInt64(rank & 63) & 1 != 0 }
  mutating func insert(_ rank: Int) { words[rank >> 6] |= 1 << UInt64(rank & 63) }

  /// Calls `body` with each member, the lowest first.
  func visit(_ body: (Int) -> Void) {
    for word in words.indices {
      var rest = words[word]
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
    for step in 0...words.count {
      let word = (rank >> 6 + step) % words.count
      var rest = words[word]
      if step == 0 { rest = (rest >> UInt64(rank & 63)) << UInt64(rank & 63) }
      if step == words.count { rest &= (1 << UInt64(rank & 63)) &- 1 }
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
