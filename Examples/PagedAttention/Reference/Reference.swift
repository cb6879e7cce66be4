#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Elements of a row that are handled at once, and tokens widened at once.
private typealias Lane = SIMD8<Double>
private let tileTokens = 32

/// Decode attention of sequence `b`, from the definition, in `Double`:
///
///     s[j]   = scale * sum over d of query[b, h, d] * key[j, d]
///     out[h] = sum over j of exp(s[j] - max s) / sum exp(s - max s) * value[j]
///
/// for every head `h`, over all the scores at once. Token `j` is row
/// `j % blockSize` of cache block `blockTable[b, j / blockSize]`.
///
/// - Parameters:
///   - workload: the shapes, the scale and the context lengths.
///   - query: bfloat16 `[batch, heads, headDim]`.
///   - keyCache: bfloat16 `[blocks, blockSize, kvHeads, headDim]`, any number
///     of blocks.
///   - valueCache: like `keyCache`.
///   - blockTable: `[batch, maxBlocks]`.
///   - b: the sequence, `0 ..< batch`. Sequences are independent: threads may
///     each do some.
///   - out: `[heads, headDim]`, overwritten.
/// - Precondition: the spans have these sizes, and the block table names
///   blocks of the caches.
public func attentionReference(
  _ workload: PagedAttentionCase, query: Span<UInt16>, keyCache: Span<UInt16>,
  valueCache: Span<UInt16>, blockTable: Span<Int32>, sequence b: Int,
  into out: inout MutableSpan<Double>
) {
  let heads = workload.heads
  let headDim = workload.headDim
  precondition(b >= 0 && b < workload.batch, "no such sequence")
  precondition(query.count == workload.queryCount, "the query is [batch, heads, headDim]")
  precondition(blockTable.count == workload.blockTableCount, "the table is [batch, maxBlocks]")
  precondition(keyCache.count == valueCache.count, "the caches have the same shape")
  precondition(out.count == heads * headDim, "the output is [heads, headDim]")

  let tokens = workload.contextLengths[b]
  let lanes = (headDim + Lane.scalarCount - 1) / Lane.scalarCount
  let group = workload.groupHeads
  var tile = [Lane](repeating: .zero, count: tileTokens * lanes)
  var rows = [Lane](repeating: .zero, count: group * lanes)
  var weights = [Double](repeating: 0, count: group * tokens)

  for kvHead in 0..<workload.kvHeads {
    let firstHead = kvHead * group
    for g in 0..<group {
      let at = (b * heads + firstHead + g) * headDim
      widen(query, at: at, count: headDim, into: &rows, at: g * lanes)
    }
    for j0 in stride(from: 0, to: tokens, by: tileTokens) {
      let count = min(tileTokens, tokens - j0)
      for j in 0..<count {
        let at = offset(of: j0 + j, workload, blockTable, b, kvHead)
        widen(keyCache, at: at, count: headDim, into: &tile, at: j * lanes)
      }
      for g in 0..<group {
        for j in 0..<count {
          let dot = dotProduct(rows.span, g * lanes, tile.span, j * lanes, lanes)
          weights[g * tokens + j0 + j] = Double(workload.scale) * dot
        }
      }
    }

    for g in 0..<group { softmax(&weights, first: g * tokens, count: tokens) }

    for i in rows.indices { rows[i] = .zero }
    for j0 in stride(from: 0, to: tokens, by: tileTokens) {
      let count = min(tileTokens, tokens - j0)
      for j in 0..<count {
        let at = offset(of: j0 + j, workload, blockTable, b, kvHead)
        widen(valueCache, at: at, count: headDim, into: &tile, at: j * lanes)
      }
      for g in 0..<group {
        for lane in 0..<lanes {
          rows[g * lanes + lane] += weightedSum(
            weights.span, g * tokens + j0, tile.span, lane, lanes, count)
        }
      }
    }
    for g in 0..<group {
      for d in 0..<headDim {
        out[(firstHead + g) * headDim + d] =
          rows[g * lanes + d / Lane.scalarCount][
            d % Lane.scalarCount]
      }
    }
  }
}

/// Index in a cache of the first element of token `j` of sequence `b`.
private func offset(
  of j: Int, _ workload: PagedAttentionCase, _ table: Span<Int32>, _ b: Int, _ kvHead: Int
) -> Int {
  let block = Int(table[b * workload.maxBlocks + j / workload.blockSize])
  precondition(block >= 0, "the block table names no block")
  let token = block * workload.blockSize + j % workload.blockSize
  return (token * workload.kvHeads + kvHead) * workload.headDim
}

/// `count` bfloat16 values as lanes; what is left of the last lane stays 0.
private func widen(
  _ from: Span<UInt16>, at start: Int, count: Int, into lanes: inout [Lane], at first: Int
) {
  let row = from.extracting(start..<start + count)
  for d in 0..<count {
    lanes[first + d / Lane.scalarCount][d % Lane.scalarCount] = Double(BFloat16Bits.value(row[d]))
  }
}

private func dotProduct(
  _ x: Span<Lane>, _ xFirst: Int, _ y: Span<Lane>, _ yFirst: Int, _ lanes: Int
) -> Double {
  var sum = Lane.zero
  for i in 0..<lanes { sum += x[xFirst + i] * y[yFirst + i] }
  return sum.sum()
}

private func weightedSum(
  _ weights: Span<Double>, _ first: Int, _ tile: Span<Lane>, _ lane: Int, _ lanes: Int, _ count: Int
) -> Lane {
  var sum = Lane.zero
  for j in 0..<count { sum += weights[first + j] * tile[j * lanes + lane] }
  return sum
}

/// Replaces scores by their softmax.
private func softmax(_ scores: inout [Double], first: Int, count: Int) {
  var highest = -Double.infinity
  for j in first..<first + count { highest = max(highest, scores[j]) }
  var sum = 0.0
  for j in first..<first + count {
    scores[j] = exp(scores[j] - highest)
    sum += scores[j]
  }
  for j in first..<first + count { scores[j] /= sum }
}
