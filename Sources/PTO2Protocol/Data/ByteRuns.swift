/// The contiguous byte ranges of a view, in the order of its elements.
///
/// The innermost dimensions that lie without gaps form one run. A repeated dimension
/// (stride 0) touches what its first index touches.
@frozen @usableFromInline
package struct ByteRuns: Sequence {
  @usableFromInline let shape: (UInt32, UInt32, UInt32, UInt32, UInt32)
  @usableFromInline let strides: (Int32, Int32, Int32, Int32, Int32)
  @usableFromInline let offset: UInt64
  @usableFromInline let elementBytes: UInt64
  /// Dimensions outside a run, and the elements of one run.
  @usableFromInline let outer: Int
  @usableFromInline let run: UInt64
  @usableFromInline package let count: UInt64

  /// - Parameters:
  ///   - offset: of the first element, in bytes.
  ///   - strides: in elements, none negative.
  @inlinable @inline(__always)
  package init(
    offset: UInt64, rank: Int, shape: (UInt32, UInt32, UInt32, UInt32, UInt32),
    strides: (Int32, Int32, Int32, Int32, Int32), elementBytes: UInt64
  ) {
    self.offset = offset
    self.shape = shape
    self.strides = strides
    self.elementBytes = elementBytes
    var run: UInt64 = 1
    var outer = rank
    while outer > 0 {
      let stride = Self.stride(strides, outer - 1)
      let extent = Self.extent(shape, stride, outer - 1)
      guard extent == 1 || stride == run else { break }
      run *= extent
      outer -= 1
    }
    var count: UInt64 = 1
    for d in 0..<outer { count *= Self.extent(shape, Self.stride(strides, d), d) }
    self.run = run
    self.outer = outer
    self.count = count
  }

  @inlinable @inline(__always)
  package func makeIterator() -> Iterator { Iterator(self) }

  @frozen @usableFromInline
  package struct Iterator: IteratorProtocol {
    @usableFromInline let runs: ByteRuns
    @usableFromInline var number: UInt64 = 0

    @inlinable @inline(__always)
    init(_ runs: ByteRuns) { self.runs = runs }

    @inlinable @inline(__always)
    package mutating func next() -> (begin: UInt64, end: UInt64)? {
      guard number < runs.count else { return nil }
      var rest = number
      var begin = runs.offset
      var d = runs.outer - 1
      while d >= 0 {
        let stride = ByteRuns.stride(runs.strides, d)
        let (quotient, index) = rest.quotientAndRemainder(
          dividingBy: ByteRuns.extent(runs.shape, stride, d))
        begin += index * stride * runs.elementBytes
        rest = quotient
        d -= 1
      }
      number += 1
      return (begin, begin + runs.run * runs.elementBytes)
    }
  }

  /// As 32 unsigned bits: the stride of a dimension of one element can exceed Int32,
  /// and is multiplied by index 0 alone.
  @inlinable @inline(__always)
  static func stride(_ strides: (Int32, Int32, Int32, Int32, Int32), _ d: Int) -> UInt64 {
    UInt64(
      UInt32(
        bitPattern: d == 0
          ? strides.0 : d == 1 ? strides.1 : d == 2 ? strides.2 : d == 3 ? strides.3 : strides.4))
  }

  @inlinable @inline(__always)
  static func extent(
    _ shape: (UInt32, UInt32, UInt32, UInt32, UInt32), _ stride: UInt64, _ d: Int
  ) -> UInt64 {
    if stride == 0 { return 1 }
    return UInt64(
      d == 0 ? shape.0 : d == 1 ? shape.1 : d == 2 ? shape.2 : d == 3 ? shape.3 : shape.4)
  }
}
