import PagedAttentionReference
import Testing

@Suite struct ReferenceTests {
  /// Odd sizes: lanes, tiles of tokens and blocks all end in the middle.
  static let ragged = PagedAttentionCase(
    name: "ragged", batch: 2, heads: 6, kvHeads: 2, headDim: 13, blockSize: 5,
    contextLengths: [71, 4], seed: 9)

  @Test func uniformKeysGiveTheMeanOfTheValues() {
    let w = Self.ragged
    var inputs = Inputs(generated: w)
    for i in inputs.keys.indices { inputs.keys[i] = bits(0.25) }
    for b in 0..<w.batch {
      let output = inputs.reference(b)
      for h in 0..<w.heads {
        var mean = [Double](repeating: 0, count: w.headDim)
        for j in 0..<w.contextLengths[b] {
          let value = inputs.value(b, token: j, kvHead: h / 3)
          for d in mean.indices { mean[d] += value[d] / Double(w.contextLengths[b]) }
        }
        #expect(largestDifference(inputs.head(h, of: output), mean) < 1e-14)
      }
    }
  }

  @Test func oneTokenGivesItsValue() {
    let w = PagedAttentionCase(
      name: "one", batch: 3, heads: 4, kvHeads: 2, headDim: 24, blockSize: 8,
      contextLengths: [1, 1, 1], seed: 3)
    let inputs = Inputs(generated: w)
    for b in 0..<w.batch {
      let output = inputs.reference(b)
      for h in 0..<w.heads {
        let value = inputs.value(b, token: 0, kvHead: h / 2)
        #expect(inputs.head(h, of: output) == value)
      }
    }
  }

  /// Scores 0 and 1 weigh 1 / (1 + e) and e / (1 + e).
  @Test func twoTokensByHand() {
    let w = PagedAttentionCase(
      name: "two", batch: 1, heads: 1, headDim: 2, blockSize: 2, contextLengths: [2])
    var inputs = Inputs(zeroed: w)
    inputs.query = [bits(2), bits(-1)]
    inputs.keys = [bits(1), bits(2), bits(0.5), bits(0)]
    inputs.values = [bits(1), bits(2), bits(3), bits(-4)]
    let expected = [2.4621171572600098, -2.386351471780029]
    #expect(largestDifference(inputs.reference(0), expected) < 1e-14)
  }

  /// With scale 1/2 the weights are those of scores 0 and 0.5.
  @Test func scaleMultipliesTheScores() {
    let w = PagedAttentionCase(
      name: "scale", batch: 1, heads: 1, headDim: 2, blockSize: 2, contextLengths: [2],
      scale: 0.5)
    var inputs = Inputs(zeroed: w)
    inputs.query = [bits(2), bits(-1)]
    inputs.keys = [bits(1), bits(2), bits(0.5), bits(0)]
    inputs.values = [bits(0), bits(1), bits(1), bits(0)]
    let expected = [0.6224593312018546, 0.3775406687981454]
    #expect(largestDifference(inputs.reference(0), expected) < 1e-14)
  }

  /// One score far above the others selects that token's value, which shows
  /// where every token is read.
  @Test func aDominantKeySelectsItsToken() {
    let w = Self.ragged
    var inputs = Inputs(generated: w)
    for i in inputs.query.indices { inputs.query[i] = i % w.headDim == 0 ? bits(1024) : 0 }
    for b in 0..<w.batch {
      for token in 0..<w.contextLengths[b] {
        for i in inputs.keys.indices { inputs.keys[i] = bits(-1) }
        for kvHead in 0..<w.kvHeads {
          inputs.keys[inputs.row(b, token: token, kvHead: kvHead)] = bits(1)
        }
        let output = inputs.reference(b)
        for h in 0..<w.heads {
          let value = inputs.value(b, token: token, kvHead: h / 3)
          #expect(inputs.head(h, of: output) == value, "token \(token), head \(h)")
        }
      }
    }
  }

  @Test func movingBlocksWithTheTableChangesNothing() {
    let w = Self.ragged
    let inputs = Inputs(generated: w)
    var moved = inputs
    let size = w.blockSize * w.kvHeads * w.headDim
    for block in 0..<w.totalBlocks {
      let to = (block * 7 + 3) % w.totalBlocks
      for i in 0..<size {
        moved.keys[to * size + i] = inputs.keys[block * size + i]
        moved.values[to * size + i] = inputs.values[block * size + i]
      }
    }
    for i in moved.table.indices where moved.table[i] >= 0 {
      moved.table[i] = Int32((Int(moved.table[i]) * 7 + 3) % w.totalBlocks)
    }
    #expect(moved.table != inputs.table)
    for b in 0..<w.batch { #expect(moved.reference(b) == inputs.reference(b)) }
    moved.table = inputs.table
    #expect(largestDifference(moved.reference(0), inputs.reference(0)) > 1e-3)
  }

  /// The query is 8 in one dimension, where every key grows by `shift`: every
  /// score grows by 8 * shift, far beyond where exp overflows.
  @Test(arguments: [Float(128), -128, 1024])
  func shiftingEveryScoreChangesNothing(shift: Float) {
    let w = Self.ragged
    var inputs = Inputs(generated: w)
    for i in stride(from: 0, to: inputs.query.count, by: w.headDim) { inputs.query[i] = bits(8) }
    for i in stride(from: 0, to: inputs.keys.count, by: w.headDim) { inputs.keys[i] = 0 }
    var shifted = inputs
    for i in stride(from: 0, to: inputs.keys.count, by: w.headDim) {
      shifted.keys[i] = bits(shift)
    }
    for b in 0..<w.batch {
      #expect(largestDifference(shifted.reference(b), inputs.reference(b)) < 1e-11)
    }
  }

  @Test func tokensBeyondTheContextAreNotRead() {
    let w = Self.ragged
    let inputs = Inputs(generated: w)
    var poisoned = inputs
    for b in 0..<w.batch {
      for j in w.contextLengths[b]..<w.blockCount(ofSequence: b) * w.blockSize {
        for kvHead in 0..<w.kvHeads {
          let first = inputs.row(b, token: j, kvHead: kvHead)
          for i in first..<first + w.headDim {
            poisoned.keys[i] = bits(.nan)
            poisoned.values[i] = bits(.nan)
          }
        }
      }
    }
    #expect(poisoned.keys != inputs.keys)
    for b in 0..<w.batch { #expect(poisoned.reference(b) == inputs.reference(b)) }
  }

  @Test func aNaNInTheCacheReachesTheOutput() {
    var inputs = Inputs(generated: Self.ragged)
    inputs.keys[inputs.row(0, token: 40, kvHead: 1)] = bits(.nan)
    let output = inputs.reference(0)
    for h in 0..<6 {
      let isNaN = inputs.head(h, of: output).allSatisfy { $0.isNaN }
      #expect(isNaN == (h >= 3))
    }
  }

  /// The generated inputs are sharp enough for the workload's tolerance of
  /// 1e-3: one block replaced by its neighbour in the sequence exceeds it.
  @Test(arguments: [("small-128", [0, 3, 7]), ("medium", [0, 4, 7]), ("ring", [31])])
  func aLostBlockExceedsTheTolerance(name: String, blocks: [Int]) throws {
    var workload = try #require(PagedAttentionCase.named(name))
    workload = PagedAttentionCase(
      name: name, batch: 1, heads: workload.heads, kvHeads: workload.kvHeads,
      headDim: workload.headDim, blockSize: workload.blockSize,
      contextLengths: [workload.contextLengths[0]])
    let inputs = Inputs(generated: workload)
    let expected = inputs.reference(0)
    for lost in blocks {
      var other = inputs
      other.table[lost] = inputs.table[(lost + 1) % workload.maxBlocks]
      let wrong = other.reference(0).map { Float($0) }
      #expect(!compare(wrong.span, with: expected.span).isWithin(1e-3), "block \(lost)")
    }
  }
}
