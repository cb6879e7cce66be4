/// SplitMix64: the same numbers for the same seed, everywhere.
struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// 0 ..< bound; a little uneven, and quick.
  mutating func below(_ bound: Int) -> Int {
    Int(truncatingIfNeeded: ((next() >> 32) &* UInt64(bound)) >> 32)
  }

  mutating func chance(_ one: Int, in many: Int) -> Bool { below(many) < one }

  mutating func among<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }

  mutating func within(_ range: ClosedRange<Int>) -> Int {
    range.lowerBound + below(range.count)
  }

  /// Small numbers as often as large ones.
  mutating func logarithmic(_ range: ClosedRange<Int>) -> Int {
    var low = range.lowerBound
    while low * 2 < range.upperBound, chance(2, in: 3) { low *= 2 }
    return within(low...min(low * 2, range.upperBound))
  }
}
