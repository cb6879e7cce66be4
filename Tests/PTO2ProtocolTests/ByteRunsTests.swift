import PTO2Protocol
import PTO2System
import Testing

@Suite struct ByteRunsTests {
  private func runs(_ extents: [UInt32], _ strides: [Int32], offset: UInt64 = 0, size: UInt64 = 1)
    -> ByteRuns
  {
    let e = extents + Array(repeating: 1, count: 5 - extents.count)
    let s = strides + Array(repeating: 0, count: 5 - strides.count)
    return ByteRuns(
      offset: offset, rank: extents.count, shape: (e[0], e[1], e[2], e[3], e[4]),
      strides: (s[0], s[1], s[2], s[3], s[4]), elementBytes: size)
  }

  private func pairs(_ runs: ByteRuns) -> [[UInt64]] { runs.map { [$0.begin, $0.end] } }

  @Test func whatLiesWithoutGapsIsOneRun() {
    #expect(pairs(runs([], [], offset: 8, size: 4)) == [[8, 12]])
    #expect(pairs(runs([3, 4], [4, 1], size: 2)) == [[0, 24]])
    #expect(pairs(runs([1, 4], [99, 1])) == [[0, 4]])
    #expect(pairs(runs([2, 4], [6, 1], offset: 64, size: 4)) == [[64, 80], [88, 104]])
    #expect(pairs(runs([3], [2], size: 8)) == [[0, 8], [16, 24], [32, 40]])
  }

  @Test func repeatedDimensionTouchesWhatItsFirstIndexTouches() {
    #expect(pairs(runs([7, 4], [0, 1])) == [[0, 4]])
    #expect(pairs(runs([2, 5, 2], [8, 0, 1], size: 2)) == [[0, 4], [16, 20]])
  }

  /// A dimension of one element may have any stride, also one beyond Int32.
  @Test func strideOfOneElementCountsAs32UnsignedBits() {
    #expect(pairs(runs([1, 2], [-1, 3])) == [[0, 1], [3, 4]])
  }

  /// Together they are the view's elements, in index order, each once.
  @Test func runsAreTheElementsInOrder() {
    var random = SplitMix64(seed: 85)
    for _ in 0..<2000 {
      let rank = Int.random(in: 0...5, using: &random)
      let extents = (0..<rank).map { _ in UInt32.random(in: 1...4, using: &random) }
      // From inside out, so that no two elements share a place.
      var strides = [Int32](repeating: 0, count: rank)
      var span: Int32 = 1
      for d in (0..<rank).reversed() {
        strides[d] = span + Int32.random(in: 0...2, using: &random) / 2
        span = strides[d] * Int32(extents[d])
      }
      let size = [1, 2, 4, 8].randomElement(using: &random)! as UInt64
      var expected: [UInt64] = []
      let total = extents.reduce(1, *)
      for number in 0..<total {
        var rest = number
        var place: UInt64 = 0
        for d in (0..<rank).reversed() {
          place += UInt64(rest % extents[d]) * UInt64(strides[d])
          rest /= extents[d]
        }
        for byte in 0..<size { expected.append(64 + place * size + byte) }
      }
      let runs = runs(extents, strides, offset: 64, size: size)
      #expect(runs.flatMap { Array($0.begin..<$0.end) } == expected)
      #expect(runs.count == UInt64(Array(runs).count))
    }
  }
}
