/// The bytes of a view: equal runs of bytes at equal steps, in up to five dimensions.
///
/// A view has the same box however it is transposed or repeated: dimensions are ordered
/// by their steps, the longest first, and what lies without gaps is one run.
struct ByteBox: BitwiseCopyable {
  /// Bytes from the start of the buffer to the first run.
  let begin: Int64
  /// Bytes of a run.
  private(set) var run: Int64
  private(set) var rank = 0
  /// Per dimension: bytes from one index to the next, and indexes, 2 at least.
  private var steps = InlineArray<5, Int64>(repeating: 0)
  private var counts = InlineArray<5, Int64>(repeating: 1)

  /// One run.
  init(begin: UInt64, end: UInt64) {
    self.begin = Int64(begin)
    run = Int64(end - begin)
  }

  /// - Parameters:
  ///   - offset: of the first element, in bytes.
  ///   - strides: in elements, none negative.
  init(
    offset: UInt64, shape: (UInt32, UInt32, UInt32, UInt32, UInt32),
    strides: (Int32, Int32, Int32, Int32, Int32), elementBytes: Int
  ) {
    begin = Int64(offset)
    run = Int64(elementBytes)
    let bytes = Int64(elementBytes)
    insert(Int64(strides.0) * bytes, Int64(shape.0))
    insert(Int64(strides.1) * bytes, Int64(shape.1))
    insert(Int64(strides.2) * bytes, Int64(shape.2))
    insert(Int64(strides.3) * bytes, Int64(shape.3))
    insert(Int64(strides.4) * bytes, Int64(shape.4))
    // What lies without gaps is one run.
    while rank > 0 && steps[rank - 1] <= run {
      run += (counts[rank - 1] - 1) * steps[rank - 1]
      rank -= 1
    }
  }

  private mutating func insert(_ step: Int64, _ count: Int64) {
    // What is repeated (step 0), and what is there once, adds no byte.
    if step <= 0 || count <= 1 { return }
    var place = rank
    while place > 0 && steps[place - 1] < step {
      steps[place] = steps[place - 1]
      counts[place] = counts[place - 1]
      place -= 1
    }
    steps[place] = step
    counts[place] = count
    rank += 1
  }

  /// Bytes from the first one to the end of the last one.
  var span: Int64 {
    var span = run
    for d in 0..<rank { span += (counts[d] - 1) * steps[d] }
    return span
  }

  /// One run holds it all.
  var isRun: Bool { rank == 0 }

  // MARK: Contained

  /// Every byte of `other` is one of this box. False may also mean that it was not
  /// found out: each dimension of `other` must lie along one of this box, or inside a
  /// run.
  func contains(_ other: ByteBox) -> Bool {
    var rest = other.begin - begin
    if rest < 0 { return false }
    var next = 0
    for d in 0..<rank {
      var last = min(rest / steps[d], counts[d] - 1)
      rest -= last * steps[d]
      while next < other.rank && other.steps[next] % steps[d] == 0 {
        last += (other.counts[next] - 1) * (other.steps[next] / steps[d])
        next += 1
      }
      if last >= counts[d] { return false }
    }
    rest += other.run
    while next < other.rank {
      rest += (other.counts[next] - 1) * other.steps[next]
      next += 1
    }
    return rest <= run
  }

  // MARK: Overlap

  /// Steps of the search after which two boxes count as overlapping.
  private static let patience = 512

  /// The two have a byte in common. True may also mean that it would have taken too
  /// long to find out; boxes of one base tensor take a few steps.
  ///
  /// The question is the one of dependence analysis in compilers: do two affine index
  /// expressions meet within bounds? One dimension of each is decided at a time by the
  /// exact test for one equation in two unknowns (Banerjee, "Dependence Analysis for
  /// Supercomputing", 1988), for the few differences at which what lies inside can meet.
  func meets(_ other: ByteBox) -> Bool {
    var patience = Self.patience
    return Self.meet(
      Rest(self, 0, span), Rest(other, 0, other.span), other.begin - begin, &patience)
  }

  /// The dimensions of a box from one on.
  private struct Rest {
    let box: ByteBox
    let d: Int
    let span: Int64

    init(_ box: ByteBox, _ d: Int, _ span: Int64) {
      self.box = box
      self.d = d
      self.span = span
    }

    var step: Int64 { d < box.rank ? box.steps[d] : 0 }
    var count: Int64 { d < box.rank ? box.counts[d] : 1 }
    /// What stands at each index.
    var inner: Rest { Rest(box, d + 1, span - (count - 1) * step) }
  }

  /// - Parameter delta: bytes from the begin of `a` to that of `b`.
  private static func meet(_ a: Rest, _ b: Rest, _ delta: Int64, _ patience: inout Int) -> Bool {
    if delta >= a.span || delta + b.span <= 0 { return false }
    if a.step == 0 && b.step == 0 { return true }
    patience -= 1
    if patience < 0 { return true }
    if a.step < b.step { return meet(b, a, -delta, &patience) }
    let inner = a.inner
    // The indexes of `a` at which its inside can meet `b`.
    let first = max(0, floor(delta - inner.span, a.step) + 1)
    var last = min(a.count - 1, floor(delta + b.span - 1, a.step))
    if b.step == 0 {
      // What begins within the run has its first byte there.
      let begin = max(0, -floor(-delta, a.step))
      if begin <= last { return true }
      last = min(last, begin - 1)
    } else if a.step == b.step {
      return meetAtEqualSteps(a, b, delta, &patience)
    } else if last - first >= 4 {
      return meetAtUnequalSteps(a, b, delta, &patience)
    }
    var index = first
    while index <= last {
      if meet(inner, b, delta - index * a.step, &patience) { return true }
      index += 1
    }
    return false
  }

  /// Differences of the two indexes, from -(a.count - 1) to b.count - 1.
  private static func meetAtEqualSteps(
    _ a: Rest, _ b: Rest, _ delta: Int64, _ patience: inout Int
  ) -> Bool {
    let (innerA, innerB) = (a.inner, b.inner)
    var difference = max(1 - a.count, floor(-innerB.span - delta, a.step) + 1)
    let last = min(b.count - 1, floor(innerA.span - 1 - delta, a.step))
    while difference <= last {
      if meet(innerA, innerB, delta + difference * a.step, &patience) { return true }
      difference += 1
    }
    return false
  }

  /// Indexes x of `a` and y of `b` with y * b.step - x * a.step = t * gcd, for each t at
  /// which the insides can meet. With p and q the steps without their common divisor,
  /// y = t / q modulo p, and all solutions are (x + k * q, y + k * p).
  private static func meetAtUnequalSteps(
    _ a: Rest, _ b: Rest, _ delta: Int64, _ patience: inout Int
  ) -> Bool {
    let common = gcd(a.step, b.step)
    let (p, q) = (a.step / common, b.step / common)
    // Keeps the products in 64 bits; no tensor has such steps.
    guard p < 1 << 31 else { return true }
    let (innerA, innerB) = (a.inner, b.inner)
    let inverse = inverse(of: q, modulo: p)
    var t = floor(-innerB.span - delta, common) + 1
    let last = floor(innerA.span - 1 - delta, common)
    while t <= last {
      patience -= 1
      if patience < 0 { return true }
      let y = (t - floor(t, p) * p) * inverse % p
      let x = (y * q - t) / p
      let least = max(0, -floor(x, q))
      let most = min(floor(b.count - 1 - y, p), floor(a.count - 1 - x, q))
      if least <= most && meet(innerA, innerB, delta + t * common, &patience) { return true }
      t += 1
    }
    return false
  }

  /// Rounded down; `b` is positive.
  @inline(__always)
  private static func floor(_ a: Int64, _ b: Int64) -> Int64 {
    let quotient = a / b
    return quotient * b > a ? quotient - 1 : quotient
  }

  private static func gcd(_ a: Int64, _ b: Int64) -> Int64 {
    var (a, b) = (a, b)
    while b != 0 { (a, b) = (b, a % b) }
    return a
  }

  /// Of two numbers without a common divisor, by Euclid's algorithm.
  private static func inverse(of a: Int64, modulo m: Int64) -> Int64 {
    var (r, next) = (m, a % m)
    var (s, nextS): (Int64, Int64) = (0, 1)
    while next != 0 {
      let quotient = r / next
      (r, next) = (next, r - quotient * next)
      (s, nextS) = (nextS, s - quotient * nextS)
    }
    return s < 0 ? s + m : s
  }
}
