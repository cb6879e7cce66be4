import PTO2System
import PagedAttentionReference
import Testing

@Suite struct GeneratorTests {
  /// Golden values of SplitMix64 (whose first output for seed 0 is
  /// 0xE220A8397B1DCDAF) and the documented mapping, computed elsewhere.
  @Test func inputsAreTheDocumentedOnes() throws {
    let inputs = Inputs(generated: try #require(PagedAttentionCase.named("small-33")))
    #expect(inputs.query[0..<4] == [0xBF30, 0x4008, 0x3F4E, 0x3FF9])
    #expect(inputs.query.last == 0x401D && inputs.query.count == 256)
    #expect(inputs.keys[0..<4] == [0xBEC3, 0xBEDD, 0xBE3A, 0xBEF5])
    #expect(inputs.keys.last == 0x3EF5 && inputs.keys.count == 768)
    #expect(inputs.values[0..<4] == [0x3EC1, 0xBC90, 0x3CF0, 0xBEC1])
    #expect(inputs.values.last == 0x3E8D && inputs.values.count == 768)
    #expect(inputs.table == [1, 0, 2])
  }

  @Test func sixteenBlocksArePermutedAsDocumented() {
    let workload = PagedAttentionCase(
      name: "blocks", batch: 1, heads: 1, headDim: 1, blockSize: 1, contextLengths: [16])
    let table = Inputs(generated: workload).table
    #expect(table == [11, 15, 9, 2, 0, 13, 14, 6, 7, 12, 10, 1, 8, 5, 3, 4])
  }

  @Test(arguments: PagedAttentionCase.all)
  func theTableIsAPermutationOfAllBlocks(workload: PagedAttentionCase) {
    var table = [Int32](repeating: 0, count: workload.blockTableCount)
    var span = table.mutableSpan
    workload.fillBlockTable(&span)
    var blocks: [Int32] = []
    for b in 0..<workload.batch {
      let row = table[b * workload.maxBlocks..<(b + 1) * workload.maxBlocks]
      let used = workload.blockCount(ofSequence: b)
      blocks += row.prefix(used)
      let unused = row.dropFirst(used)
      #expect(unused.allSatisfy { $0 == -1 })
    }
    let identity = (0..<workload.totalBlocks).map { Int32($0) }
    #expect(blocks.sorted() == identity)
    #expect(blocks != identity)
  }

  /// 13 elements a row: the cache does not end on a whole word.
  @Test func partsAreThePartsOfTheWhole() {
    let workload = ReferenceTests.ragged
    let whole = Inputs(generated: workload)
    for first in stride(from: 0, to: workload.cacheCount, by: 136) {
      let count = min(136, workload.cacheCount - first)
      var part = [UInt16](repeating: 0, count: count)
      var span = part.mutableSpan
      workload.fillKeyCache(&span, from: first)
      #expect(part[...] == whole.keys[first..<first + count])
      span = part.mutableSpan
      workload.fillValueCache(&span, from: first)
      #expect(part[...] == whole.values[first..<first + count])
    }
    var part = [UInt16](repeating: 0, count: workload.queryCount - 8)
    var span = part.mutableSpan
    workload.fillQuery(&span, from: 8)
    #expect(part[...] == whole.query[8...])
  }

  @Test func cacheValuesAreUniformAndCentred() throws {
    let inputs = Inputs(generated: try #require(PagedAttentionCase.named("medium")))
    for cache in [inputs.keys, inputs.values] {
      let values = cache.map { Double(BFloat16Bits.value($0)) }
      let mean = values.reduce(0, +) / Double(values.count)
      let square = values.reduce(0) { $0 + $1 * $1 } / Double(values.count)
      #expect(values.allSatisfy { $0 >= -0.5 && $0 < 0.5 })
      #expect(mean.magnitude < 0.005)
      #expect((square - 1.0 / 12).magnitude < 0.001)
      #expect(Set(cache).count == 256)
    }
    #expect(inputs.keys != inputs.values)
  }

  @Test(arguments: [(16, Float(1)), (128, Float(1)), (256, Float(0.0625))])
  func scoresSpreadByAboutTwoAndAHalf(headDim: Int, scale: Float) {
    let workload = PagedAttentionCase(
      name: "spread", batch: 1, heads: 64, headDim: headDim, blockSize: 64,
      contextLengths: [256], scale: scale)
    let inputs = Inputs(generated: workload)
    var squares = 0.0
    for h in 0..<64 {
      for j in 0..<256 {
        var score = 0.0
        for d in 0..<headDim {
          let query = BFloat16Bits.value(inputs.query[h * headDim + d])
          let key = BFloat16Bits.value(inputs.keys[inputs.row(0, token: j) + d])
          score += Double(query * key)
        }
        squares += score * score * Double(scale * scale)
      }
    }
    let spread = (squares / (64 * 256)).squareRoot()
    #expect(spread > 2 && spread < 3)
  }

  @Test func anotherSeedGivesOtherInputs() {
    let first = Inputs(generated: ReferenceTests.ragged)
    let second = Inputs(
      generated: PagedAttentionCase(
        name: "ragged", batch: 2, heads: 6, kvHeads: 2, headDim: 13, blockSize: 5,
        contextLengths: [71, 4], seed: 10))
    #expect(first.query != second.query && first.keys != second.keys)
    #expect(first.values != second.values && first.table != second.table)
  }
}
