/// Some of the ranks: a bit each.
struct RankSet: Equatable, BitwiseCopyable {
  private(set) var bits: UInt64

  init(bits: UInt64) { self.bits = bits }
  static let none = RankSet(bits: 0)
  init(_ rank: Int) { bits = 1 << UInt64(rank) }

  /// - Parameter count: 1 to 64.
  static func all(_ count: Int) -> RankSet { RankSet(bits: ~0 >> UInt64(64 - count)) }

  var count: Int { bits.nonzeroBitCount }
  func contains(_ rank: Int) -> Bool { bits >> UInt64(rank) & 1 != 0 }
  mutating func insert(_ rank: Int) { bits |= 1 << UInt64(rank) }

  /// Its members from a rank on, around: the `index`th of them.
  func member(_ index: Int, from rank: Int) -> Int {
    let ahead = (bits >> UInt64(rank)) << UInt64(rank)
    var left = index
    var rest = ahead
    while rest != 0 {
      if left == 0 { return rest.trailingZeroBitCount }
      rest &= rest &- 1
      left -= 1
    }
    rest = bits & ~ahead
    while rest != 0 {
      if left == 0 { return rest.trailingZeroBitCount }
      rest &= rest &- 1
      left -= 1
    }
    preconditionFailure("a set of ranks has no member \(index)")
  }
}
