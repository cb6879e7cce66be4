import PagedAttentionReference
import Testing

@Suite struct CaseTests {
  /// batch, heads, kvHeads, headDim, blockSize and the contexts.
  @Test(arguments: [
    ("case1", [256, 16, 1, 128, 128], [8192]),
    ("case2", [64, 64, 1, 128, 64], [8192]),
    ("case3", [64, 64, 1, 256, 64], [8192]),
    ("ring", [32, 16, 1, 128, 128], [4096]),
    ("small-33", [1, 16, 1, 16, 16], [33]),
    ("small-31", [1, 16, 1, 16, 16], [31]),
    ("small-128", [1, 16, 1, 16, 16], [128]),
    ("small-b2", [2, 16, 1, 16, 16], [33, 17]),
    ("small-b4", [4, 16, 1, 16, 16], [33, 64, 128, 15]),
    ("medium", [2, 16, 1, 128, 128], [1024, 1300]),
  ])
  func parametersAreThoseOfTheWorkload(name: String, shape: [Int], contexts: [Int]) throws {
    let w = try #require(PagedAttentionCase.named(name))
    #expect([w.batch, w.heads, w.kvHeads, w.headDim, w.blockSize] == shape)
    let expected = contexts.count == 1 ? Array(repeating: contexts[0], count: w.batch) : contexts
    #expect(w.contextLengths == expected)
    #expect(w.scale == 1.0)
  }

  @Test func namesAreUniqueAndOthersAreNotFound() {
    #expect(Set(PagedAttentionCase.all.map(\.name)).count == 11)
    #expect(PagedAttentionCase.named("case4") == nil)
  }

  @Test func sizesFollowFromTheShape() throws {
    let w = try #require(PagedAttentionCase.named("small-b4"))
    #expect((0..<4).map { w.blockCount(ofSequence: $0) } == [3, 4, 8, 1])
    #expect(w.maxBlocks == 8 && w.totalBlocks == 16)
    #expect(w.queryCount == 1024 && w.cacheCount == 4096 && w.blockTableCount == 32)
    #expect(w.operations == 4 * 16 * 16 * 240)
    let demo = try #require(PagedAttentionCase.named("demo"))
    #expect(demo.operations > 32_000_000_000 && demo.operations < 36_000_000_000)
    #expect(demo.inputBytes < 600 << 20)
  }
}

@Suite struct BFloat16Tests {
  @Test(arguments: [
    (UInt32(0x3F80_0000), UInt16(0x3F80)),  // 1, exact
    (0x3F80_8000, 0x3F80),  // half-way: down to even
    (0x3F81_8000, 0x3F82),  // half-way: up to even
    (0x3F80_8001, 0x3F81),  // just above half-way
    (0x3F81_7FFF, 0x3F81),  // just below half-way
    (0xBF81_8000, 0xBF82),  // the sign does not matter
    (0x8000_0000, 0x8000),  // -0
    (0x3FFF_C000, 0x4000),  // the carry reaches the exponent
    (0x0000_8001, 0x0001),  // subnormal
    (0x7F7F_FFFF, 0x7F80),  // beyond the largest: infinity
    (0x7F80_0000, 0x7F80),
    (0xFF80_0000, 0xFF80),
    (0x7F80_0001, 0x7FC0),  // a NaN whose upper half alone is infinity
    (0xFFFF_FFFF, 0xFFFF),  // a NaN whose rounding would overflow
  ])
  func roundsToNearestTiesToEven(float: UInt32, expected: UInt16) {
    #expect(BFloat16Bits.bits(rounding: Float(bitPattern: float)) == expected)
  }

  @Test func everyValueSurvivesTheWayThroughFloat() {
    var wrong = 0
    for bits in UInt16.min...UInt16.max {
      let value = BFloat16Bits.value(bits)
      let back = BFloat16Bits.bits(rounding: value)
      if value.isNaN ? back != bits | 0x40 : back != bits { wrong += 1 }
    }
    #expect(wrong == 0)
  }
}

@Suite struct ErrorSummaryTests {
  static let expected: [Double] = [0.5, -0.25, 0, 0.125]

  private func summary(changing index: Int, to value: Float) -> ErrorSummary {
    var actual = Self.expected.map { Float($0) }
    actual[index] = value
    return compare(actual.span, with: Self.expected.span)
  }

  @Test func equalArraysHaveNoError() {
    let none = summary(changing: 0, to: 0.5)
    #expect(none.isWithin(0) && none.count == 4 && none.worstIndex == nil)
  }

  @Test func aCorruptedElementIsFound() {
    let found = summary(changing: 1, to: -0.5)
    #expect(found.maxAbsolute == 0.25 && found.maxRelative == 1 && found.worstIndex == 1)
    #expect(!found.isWithin(0.2) && found.isWithin(0.25))
    #expect(summary(changing: 2, to: 0.001).maxRelative < 0.11)
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity, .signalingNaN])
  func whatIsNotFiniteFails(value: Float) {
    for index in 0..<4 {
      let found = summary(changing: index, to: value)
      #expect(found.nonFinite == 1 && found.worstIndex == index)
      #expect(!found.isWithin(.infinity) && found.maxAbsolute == .infinity)
    }
  }

  @Test func notFiniteOnBothSidesFails() {
    for value in [Double.nan, .infinity] {
      let found = compare([Float(value)].span, with: [value].span)
      #expect(found.nonFinite == 1 && !found.isWithin(1))
    }
  }

  @Test func nothingComparedIsNoSuccess() {
    #expect(!ErrorSummary().isWithin(1))
  }

  @Test func mergingIsComparingAtOnce() {
    let actual: [Float] = [1, 2, .nan, 4, 5, 7, 7, .infinity]
    let expected: [Double] = [1, 2.5, 3, 4, 5, 6, 7, 8]
    for parts in [[0, 2, 8], [0, 3, 8], [0, 1, 2, 8], [0, 8], [0, 4, 6, 8]] {
      var merged = ErrorSummary()
      for (first, end) in zip(parts, parts.dropFirst()) {
        let part = compare(
          Array(actual[first..<end]).span, with: Array(expected[first..<end]).span)
        merged.merge(part, offset: first)
      }
      #expect(merged == compare(actual.span, with: expected.span))
    }
    #expect(compare(actual.span, with: expected.span).nonFinite == 2)
  }
}
