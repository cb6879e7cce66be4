public import PTO2Protocol

/// A tensor whose element type is known at run time only: what stands behind a
/// `Tensor`, and behind the handles of programs in C.
public struct AnyTensor: Sendable {
  /// Place in the graph's buffer table, and its use count there.
  package var buffer: UInt32
  package var generation: UInt32
  /// Bytes from the start of the buffer to the first element.
  package var offset: UInt64
  public internal(set) var shape: Shape
  /// Elements (not bytes) from one index to the next, per dimension.
  package private(set) var strides: (Int32, Int32, Int32, Int32, Int32)
  public internal(set) var dataType: DataType

  // What follows from shape and strides; `measure` keeps it.

  /// Elements in the view.
  public private(set) var elementCount: Int
  /// Bytes from the first element to the end of the last one.
  package private(set) var spanBytes: UInt64
  /// True when the elements lie row-major without gaps.
  public private(set) var isContiguous = true
  /// True when several indexes lead to one element.
  private(set) var isBroadcast = false

  /// It has no elements: some extent is 0.
  var isEmpty: Bool { elementCount == 0 }

  /// Bytes of its elements, each index counted.
  var byteCount: UInt64 { UInt64(elementCount) * UInt64(dataType.byteCount) }

  package func stride(_ dimension: Int) -> Int32 {
    switch dimension {
    case 0: strides.0
    case 1: strides.1
    case 2: strides.2
    case 3: strides.3
    default: strides.4
    }
  }

  private mutating func setStride(_ dimension: Int, _ value: Int32) {
    switch dimension {
    case 0: strides.0 = value
    case 1: strides.1 = value
    case 2: strides.2 = value
    case 3: strides.3 = value
    default: strides.4 = value
    }
  }

  /// Row-major over the whole buffer.
  package init(buffer: UInt32, generation: UInt32, shape: Shape, dataType: DataType) {
    self.buffer = buffer
    self.generation = generation
    self.offset = 0
    self.shape = shape
    self.dataType = dataType
    strides = Self.rowMajor(shape)
    elementCount = shape.elementCount ?? 0
    spanBytes = UInt64(elementCount) * UInt64(dataType.byteCount)
  }

  /// Without a loop: every output of a task has them. 0 beyond the rank.
  @inline(__always)
  private static func rowMajor(_ shape: Shape) -> (Int32, Int32, Int32, Int32, Int32) {
    func extent(_ dimension: Int) -> Int32 { Int32(truncatingIfNeeded: shape[dimension]) }
    switch shape.rank {
    case 0: return (0, 0, 0, 0, 0)
    case 1: return (1, 0, 0, 0, 0)
    case 2: return (extent(1), 1, 0, 0, 0)
    case 3: return (extent(1) &* extent(2), extent(2), 1, 0, 0)
    case 4:
      let inner = extent(2) &* extent(3)
      return (extent(1) &* inner, inner, extent(3), 1, 0)
    default:
      let inner = extent(3) &* extent(4)
      let plane = extent(2) &* inner
      return (extent(1) &* plane, plane, inner, extent(4), 1)
    }
  }

  /// Whatever the strides are: see `isPlausible`.
  package init(
    buffer: UInt32, generation: UInt32, offset: UInt64, shape: Shape,
    strides: (Int32, Int32, Int32, Int32, Int32), dataType: DataType
  ) {
    self.buffer = buffer
    self.generation = generation
    self.offset = offset
    self.shape = shape
    self.strides = strides
    self.dataType = dataType
    (elementCount, spanBytes) = (0, 0)
    measure()
  }

  /// After a change of shape or strides.
  private mutating func measure() {
    elementCount = shape.elementCount ?? 0
    (isContiguous, isBroadcast) = (true, false)
    if isEmpty {
      spanBytes = 0
      return
    }
    var last: Int64 = 0
    var expected: Int64 = 1
    for dimension in dimensions(from: shape.rank - 1) where shape[dimension] > 1 {
      let (extent, stride) = (Int64(shape[dimension]), Int64(stride(dimension)))
      if stride != expected { isContiguous = false }
      if stride == 0 { isBroadcast = true }
      // Wrapping: it may not be plausible.
      last &+= (extent - 1) &* stride
      expected &*= extent
    }
    spanBytes = UInt64(truncatingIfNeeded: last &+ 1) &* UInt64(dataType.byteCount)
  }

  /// Whose element type is known at compile time.
  public init<Element>(_ tensor: Tensor<Element>) { self = tensor.untyped }

  /// As `Tensor.slice(from:shape:)`.
  /// - Throws: `invalidArgs` when it reaches beyond the tensor.
  public func slice(from offsets: [Int], shape: Shape) throws(PTO2Error) -> AnyTensor {
    try slice(from: offsets, shape: shape, steps: nil)
  }

  /// As `Tensor.slice(from:shape:steps:)`.
  /// - Throws: `invalidArgs` when it reaches beyond the tensor.
  public func slice(from offsets: [Int], shape: Shape, steps: [Int]) throws(PTO2Error)
    -> AnyTensor
  {
    try slice(from: offsets, shape: shape, steps: Optional(steps))
  }

  private func slice(from offsets: [Int], shape: Shape, steps: [Int]?) throws(PTO2Error)
    -> AnyTensor
  {
    guard offsets.count == self.shape.rank, shape.rank == self.shape.rank, shape.isValid,
      steps == nil || steps!.count == shape.rank
    else {
      throw PTO2Error(
        .invalidArgs,
        "slice of \(self.shape) needs \(self.shape.rank) offsets and extents, got \(offsets.count) and \(shape)"
      )
    }
    var view = self
    for dimension in 0..<shape.rank {
      let begin = offsets[dimension]
      let step = steps?[dimension] ?? 1
      // Nothing of the dimension may begin at its very end.
      if shape[dimension] == 0 && step > 0 && (0...Int(self.shape[dimension])).contains(begin) {
        continue
      }
      let (reach, overflow) = step.multipliedReportingOverflow(by: Int(shape[dimension]) - 1)
      guard shape[dimension] > 0, begin >= 0, step > 0, !overflow,
        reach < Int(self.shape[dimension]),
        begin < Int(self.shape[dimension]) - reach
      else {
        let ones = [Int](repeating: 1, count: shape.rank)
        throw PTO2Error(
          .invalidArgs,
          "slice at \(offsets) of extent \(shape) with steps \(steps ?? ones) reaches beyond \(self.shape) in dimension \(dimension)"
        )
      }
      view.offset += UInt64(begin * Int(stride(dimension)) * dataType.byteCount)
      let (wide, isTooWide) = stride(dimension).multipliedReportingOverflow(
        by: Int32(clamping: step))
      // One element has no next one: any stride will do.
      if shape[dimension] > 1 && !isTooWide { view.setStride(dimension, wide) }
    }
    view.shape = shape
    // What has no elements lies nowhere.
    if shape.elementCount == 0 { view.offset = 0 }
    view.measure()
    return view
  }

  /// The one element at an index, of the same rank.
  /// - Throws: `invalidArgs` for an index beyond the tensor.
  package func element(at index: [Int]) throws(PTO2Error) -> AnyTensor {
    try slice(from: index, shape: Shape(repeating: 1, rank: shape.rank))
  }

  /// As `Tensor.reshaped(to:)`.
  /// - Throws: `invalidArgs` when the count differs or the view has gaps.
  public func reshaped(to shape: Shape) throws(PTO2Error) -> AnyTensor {
    guard shape.isValid, shape.elementCount == self.shape.elementCount else {
      throw PTO2Error(
        .invalidArgs, "cannot reshape \(self.shape) to \(shape): the element counts differ")
    }
    guard isContiguous else {
      throw PTO2Error(.invalidArgs, "cannot reshape a view of \(self.shape) that has gaps")
    }
    var view = AnyTensor(buffer: buffer, generation: generation, shape: shape, dataType: dataType)
    view.offset = offset
    return view
  }

  /// As `Tensor.transposed(_:_:)`.
  /// - Throws: `invalidArgs` for a dimension that the tensor does not have.
  public func transposed(_ first: Int, _ second: Int) throws(PTO2Error) -> AnyTensor {
    guard (0..<shape.rank).contains(first), (0..<shape.rank).contains(second) else {
      throw PTO2Error(
        .invalidArgs, "cannot transpose dimensions \(first) and \(second) of \(shape)")
    }
    var view = self
    (view.shape[first], view.shape[second]) = (shape[second], shape[first])
    view.setStride(first, stride(second))
    view.setStride(second, stride(first))
    view.measure()
    return view
  }

  /// As `Tensor.broadcast(to:)`.
  /// - Throws: `invalidArgs` when an extent other than 1 differs.
  public func broadcast(to shape: Shape) throws(PTO2Error) -> AnyTensor {
    let added = shape.rank - self.shape.rank
    guard shape.isValid, shape.elementCount != nil, added >= 0,
      (0..<self.shape.rank).allSatisfy({
        self.shape[$0] == shape[$0 + added] || self.shape[$0] == 1
      })
    else {
      throw PTO2Error(.invalidArgs, "cannot broadcast \(self.shape) to \(shape)")
    }
    var view = self
    view.shape = shape
    for dimension in 0..<shape.rank {
      let source = dimension - added
      let isRepeated = source < 0 || (self.shape[source] == 1 && shape[dimension] > 1)
      view.setStride(dimension, isRepeated ? 0 : stride(source))
    }
    view.measure()
    return view
  }

  /// As `Tensor.bitCast(to:)`.
  /// - Throws: `invalidArgs` when the innermost dimension has gaps or is no whole number of
  ///   such elements, or when they would not lie at multiples of their size.
  public func bitCast<Element: TensorElement>(to type: Element.Type) throws(PTO2Error)
    -> Tensor<Element>
  { Tensor(unchecked: try bitCast(to: Element.dataType)) }

  /// The same with a data type that is known at run time.
  public func bitCast(to type: DataType) throws(PTO2Error) -> AnyTensor {
    let (old, new) = (dataType.byteCount, type.byteCount)
    var view = self
    view.dataType = type
    if old == new { return view }
    let inner = shape.rank - 1
    guard inner >= 0, shape[inner] <= 1 || stride(inner) == 1 else {
      throw PTO2Error(
        .invalidArgs,
        "cannot see \(shape) of \(dataType) as \(type): \(inner < 0 ? "it has no dimension to stretch" : "its innermost dimension has gaps")"
      )
    }
    let bytes = Int(shape[inner]) * old
    let isAligned =
      Int(truncatingIfNeeded: offset) % new == 0
      && (0..<inner).allSatisfy { shape[$0] <= 1 || Int(stride($0)) * old % new == 0 }
    guard bytes % new == 0, isAligned else {
      throw PTO2Error(
        .invalidArgs,
        "cannot see \(shape) of \(dataType) as \(type): \(bytes % new == 0 ? "an element would not lie at a multiple of its \(new) bytes" : "\(bytes) bytes of its innermost dimension are no whole number of \(new)")"
      )
    }
    let extent = UInt32(exactly: bytes / new)
    view.shape[inner] = extent ?? 0
    guard extent != nil, view.shape.elementCount != nil else {
      throw PTO2Error(
        .invalidArgs, "cannot see \(shape) of \(dataType) as \(type): 2^32 elements or more")
    }
    for dimension in 0..<inner {
      let wide = Int32(exactly: Int(stride(dimension)) * old / new)
      guard wide != nil || shape[dimension] <= 1 else {
        throw PTO2Error(
          .invalidArgs, "cannot see \(shape) of \(dataType) as \(type): a stride beyond 2^31")
      }
      // One element has no next one: any stride will do.
      view.setStride(dimension, wide ?? 0)
    }
    view.setStride(inner, 1)
    view.measure()
    return view
  }

  /// False for an offset or strides that no tensor has, on which the arithmetic
  /// here could overflow. Says nothing about the buffer.
  package var isPlausible: Bool {
    let limit: Int64 = 1 << 48
    guard offset < UInt64(limit) else { return false }
    return (0..<shape.rank).allSatisfy { dimension in
      let steps = Int64(shape[dimension]) - 1
      let stride = Int64(stride(dimension))
      return steps <= 0 || (stride >= 0 && steps * stride < limit)
    }
  }

}

/// `n - 1 ... 0`, empty for rank 0.
@inline(__always)
private func dimensions(from last: Int) -> StrideThrough<Int> {
  stride(from: last, through: 0, by: -1)
}
