/// SplitMix64 with random access: word `i` of a stream is the finaliser of
/// `seed + (i + 1) * gamma`, so any part of an array can be made on its own.
struct SplitMix64 {
  let seed: UInt64

  /// Stream number `stream` of a case's seed.
  init(seed: UInt64, stream: UInt64) {
    self.seed = SplitMix64(seed: seed)[stream]
  }

  init(seed: UInt64) { self.seed = seed }

  @inline(__always)
  subscript(index: UInt64) -> UInt64 {
    var z = seed &+ (index &+ 1) &* 0x9E37_79B9_7F4A_7C15
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}

/// One of 256 equally likely values in (-0.5, 0.5), symmetric about 0 and
/// exact in bfloat16: (2 * byte - 255) / 512.
@inline(__always)
private func uniform(_ byte: UInt8) -> Float {
  Float(2 * Int32(byte) - 255) * (1.0 / 512)
}

/// Inputs are a function of the case alone. Element `i` of a cache is made
/// from byte `i % 8` of word `i / 8` of its stream (1 query, 2 keys, 3 values;
/// the permutation of the blocks is stream 4).
extension PagedAttentionCase {
  /// Fills `out` with the bfloat16 query elements from `first` on.
  ///
  /// Values are uniform with a range that gives the scaled scores a standard
  /// deviation of about 2.5, whatever `headDim` and `scale`: the softmax is
  /// neither flat nor one token only, so a lost block shows in the output.
  ///
  /// - Precondition: `first` is a multiple of 8 and the elements exist.
  public func fillQuery(_ out: inout MutableSpan<UInt16>, from first: Int = 0) {
    precondition(first >= 0 && first + out.count <= queryCount && first.isMultiple(of: 8))
    let range = 30 / (Float(headDim).squareRoot() * scale)
    let words = SplitMix64(seed: seed, stream: 1)
    for i in 0..<out.count {
      let word = words[UInt64((first + i) / 8)]
      let byte = UInt8(truncatingIfNeeded: word >> UInt64(8 * (i % 8)))
      out[i] = BFloat16Bits.bits(rounding: uniform(byte) * range)
    }
  }

  /// Fills `out` with the bfloat16 elements of the key cache from `first` on,
  /// uniform in (-0.5, 0.5). Threads may each fill a part.
  ///
  /// - Precondition: `first` is a multiple of 8 and the elements exist.
  public func fillKeyCache(_ out: inout MutableSpan<UInt16>, from first: Int = 0) {
    fillCache(&out, from: first, stream: 2)
  }

  /// Fills `out` with the bfloat16 elements of the value cache, as
  /// `fillKeyCache(_:from:)`.
  public func fillValueCache(_ out: inout MutableSpan<UInt16>, from first: Int = 0) {
    fillCache(&out, from: first, stream: 3)
  }

  private func fillCache(_ out: inout MutableSpan<UInt16>, from first: Int, stream: UInt64) {
    precondition(first >= 0 && first + out.count <= cacheCount && first.isMultiple(of: 8))
    let words = SplitMix64(seed: seed, stream: stream)
    let whole = out.count / 8
    for w in 0..<whole {
      let word = words[UInt64(first / 8 + w)].littleEndian
      let bytes = unsafe unsafeBitCast(word, to: SIMD8<UInt8>.self)
      let odd = SIMD8<Int32>(truncatingIfNeeded: bytes) &* 2 &- 255
      let values = SIMD8<Float>(odd) * (1.0 / 512)
      let upper = unsafe unsafeBitCast(values, to: SIMD8<UInt32>.self) &>> 16
      let bits = SIMD8<UInt16>(truncatingIfNeeded: upper)
      for k in 0..<8 { unsafe out[unchecked: 8 * w + k] = bits[k] }
    }
    for i in 8 * whole..<out.count {
      let word = words[UInt64(first / 8 + whole)]
      let value = uniform(UInt8(truncatingIfNeeded: word >> UInt64(8 * (i % 8))))
      out[i] = BFloat16Bits.bits(rounding: value)
    }
  }

  /// Fills the block table `[batch, maxBlocks]`: the sequences' blocks in order
  /// are a seeded permutation of `0 ..< totalBlocks`, never the identity unless
  /// there is one block. Entries beyond a sequence's blocks are -1.
  ///
  /// - Precondition: `out` has `blockTableCount` elements.
  public func fillBlockTable(_ out: inout MutableSpan<Int32>) {
    precondition(out.count == blockTableCount, "the block table is [batch, maxBlocks]")
    let words = SplitMix64(seed: seed, stream: 4)
    let total = totalBlocks
    var permutation = (0..<total).map { Int32($0) }
    for i in stride(from: total - 1, to: 0, by: -1) {
      let (high, _) = words[UInt64(i)].multipliedFullWidth(by: UInt64(i + 1))
      permutation.swapAt(i, Int(high))
    }
    if total > 1 && (0..<total).allSatisfy({ permutation[$0] == Int32($0) }) {
      permutation.swapAt(0, total - 1)
    }
    var next = 0
    let row = maxBlocks
    for b in 0..<batch {
      let used = blockCount(ofSequence: b)
      for j in 0..<row { out[b * row + j] = j < used ? permutation[next + j] : -1 }
      next += used
    }
  }
}
