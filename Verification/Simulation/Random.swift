internal import PTO2System

extension SplitMix64 {
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
