public import PTO2Protocol

/// A tensor of elements of one type, or a view of one: which memory, which elements of
/// it. A value; copying it copies no data.
///
/// An external tensor lives until it is freed or its run ends. A tensor that a task put
/// out lives at least until the scope ends in which that task was submitted; using it
/// later is `PTO2ErrorCode.invalidArgs`.
@frozen
public struct Tensor<Element: TensorElement>: Sendable {
  @usableFromInline package var untyped: AnyTensor

  /// The data type is the element's.
  @usableFromInline
  init(unchecked tensor: AnyTensor) { untyped = tensor }

  /// The same tensor with its element type.
  /// - Throws: `invalidArgs` when it has another one.
  public init(_ tensor: AnyTensor) throws(PTO2Error) {
    guard tensor.dataType == Element.dataType else {
      throw PTO2Error(
        .invalidArgs, "a tensor of \(tensor.dataType) is no tensor of \(Element.dataType)")
    }
    untyped = tensor
  }

  /// The extents of the view.
  public var shape: Shape { untyped.shape }

  /// Elements in the view.
  public var count: Int { untyped.elementCount }

  /// True when the elements lie row-major without gaps.
  public var isContiguous: Bool { untyped.isContiguous }

  /// A view of `shape` elements from `offsets` on; both have one number per
  /// dimension. Shares memory with this tensor: a task that writes one and a
  /// task that uses the other depend on each other.
  /// - Throws: `invalidArgs` when it reaches beyond the tensor.
  public func slice(from offsets: [Int], shape: Shape) throws(PTO2Error) -> Tensor {
    Tensor(unchecked: try untyped.slice(from: offsets, shape: shape))
  }

  /// The same with a step per dimension: every `steps[d]`-th element.
  /// - Throws: `invalidArgs` when it reaches beyond the tensor.
  public func slice(from offsets: [Int], shape: Shape, steps: [Int]) throws(PTO2Error) -> Tensor {
    Tensor(unchecked: try untyped.slice(from: offsets, shape: shape, steps: steps))
  }

  /// The same elements under another shape of as many elements.
  /// - Throws: `invalidArgs` when the count differs or the view has gaps.
  public func reshaped(to shape: Shape) throws(PTO2Error) -> Tensor {
    Tensor(unchecked: try untyped.reshaped(to: shape))
  }

  /// The view with two dimensions exchanged.
  /// - Throws: `invalidArgs` for a dimension that the tensor does not have.
  public func transposed(_ first: Int, _ second: Int) throws(PTO2Error) -> Tensor {
    Tensor(unchecked: try untyped.transposed(first, second))
  }

  /// A view in which dimensions of extent 1 are repeated to a larger extent
  /// (stride 0), and new outer dimensions are added. For reading only.
  /// - Throws: `invalidArgs` when some other extent differs.
  public func broadcast(to shape: Shape) throws(PTO2Error) -> Tensor {
    Tensor(unchecked: try untyped.broadcast(to: shape))
  }

  /// The same bytes as elements of another type. If its size differs, the innermost
  /// dimension becomes so much longer or shorter: float32 [4, 8] is uint8 [4, 32] is
  /// uint64 [4, 4].
  /// - Throws: `invalidArgs` when the innermost dimension has gaps or is no whole number of
  ///   such elements, or when they would not lie at multiples of their size.
  public func bitCast<Other: TensorElement>(to type: Other.Type) throws(PTO2Error) -> Tensor<Other>
  {
    try untyped.bitCast(to: type)
  }
}
