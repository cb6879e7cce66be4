import PagedAttentionReference

/// The arrays of a case, to be changed by a test before `reference`.
struct Inputs {
  let workload: PagedAttentionCase
  var query: [UInt16]
  var keys: [UInt16]
  var values: [UInt16]
  var table: [Int32]

  /// All zero, blocks in the order of the sequences.
  init(zeroed workload: PagedAttentionCase) {
    self.workload = workload
    query = Array(repeating: 0, count: workload.queryCount)
    keys = Array(repeating: 0, count: workload.cacheCount)
    values = keys
    table = Array(repeating: -1, count: workload.blockTableCount)
    var next: Int32 = 0
    for b in 0..<workload.batch {
      for j in 0..<workload.blockCount(ofSequence: b) {
        table[b * workload.maxBlocks + j] = next
        next += 1
      }
    }
  }

  /// As the generator makes them.
  init(generated workload: PagedAttentionCase) {
    self.init(zeroed: workload)
    var query = self.query.mutableSpan
    workload.fillQuery(&query)
    var keys = self.keys.mutableSpan
    workload.fillKeyCache(&keys)
    var values = self.values.mutableSpan
    workload.fillValueCache(&values)
    var table = self.table.mutableSpan
    workload.fillBlockTable(&table)
  }

  /// The output `[heads, headDim]` of sequence `b`.
  func reference(_ b: Int) -> [Double] {
    var out = [Double](repeating: .nan, count: workload.heads * workload.headDim)
    var span = out.mutableSpan
    attentionReference(
      workload, query: query.span, keyCache: keys.span, valueCache: values.span,
      blockTable: table.span, sequence: b, into: &span)
    return out
  }

  /// Where the cache row of token `j` of sequence `b` starts.
  func row(_ b: Int, token j: Int, kvHead: Int = 0) -> Int {
    let w = workload
    let block = Int(table[b * w.maxBlocks + j / w.blockSize])
    return ((block * w.blockSize + j % w.blockSize) * w.kvHeads + kvHead) * w.headDim
  }

  /// The value row of a token as numbers.
  func value(_ b: Int, token j: Int, kvHead: Int = 0) -> [Double] {
    let first = row(b, token: j, kvHead: kvHead)
    return values[first..<first + workload.headDim].map { Double(BFloat16Bits.value($0)) }
  }

  func head(_ h: Int, of output: [Double]) -> [Double] {
    Array(output[h * workload.headDim..<(h + 1) * workload.headDim])
  }
}

func bits(_ value: Float) -> UInt16 { BFloat16Bits.bits(rounding: value) }

func largestDifference(_ a: [Double], _ b: [Double]) -> Double {
  guard a.count == b.count else { return .infinity }
  return zip(a, b).reduce(0) { worst, pair in
    let error = (pair.0 - pair.1).magnitude
    return error.isNaN ? .infinity : max(worst, error)
  }
}
