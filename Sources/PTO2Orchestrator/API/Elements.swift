public import PTO2Protocol

/// Single elements: read, set, and repeated to a tensor.
extension Graph {
  /// Memory from the heap ring without a kernel: an output of a task that is
  /// done at once. Not cleared; alive until the current scope ends.
  /// - Throws: error 5 for a shape that is not valid; otherwise as `submit`.
  public func allocate(_ shape: Shape, _ type: DataType) throws(PTO2Error) -> Tensor {
    try submit { $0.output(shape, type) }
  }

  /// A tensor of any shape in which every element is `value`: a broadcast view
  /// (stride 0 in every dimension) of one element in the heap ring. Costs a
  /// task without kernels, whatever the shape. For reading only; alive until
  /// the current scope ends.
  /// - Throws: error 5 for a shape that is not valid, or a value that the
  ///   integer type does not have; otherwise as `submit`.
  public func fill(_ shape: Shape, _ type: DataType, _ value: Int) throws(PTO2Error) -> Tensor {
    guard let bits = type.bits(of: value) else { throw noSuchValue("\(value)", type) }
    return try fill(shape, type, bits: bits)
  }

  /// The same with a real number: rounded to nearest for a real type; for an
  /// integer type it must be a whole number that the type has.
  public func fill(_ shape: Shape, _ type: DataType, _ value: Double) throws(PTO2Error) -> Tensor {
    guard let bits = type.bits(of: value) else { throw noSuchValue("\(value)", type) }
    return try fill(shape, type, bits: bits)
  }

  /// The same with the element itself, of the data type's size: for uint64
  /// beyond `Int.max`, and for bits of other types.
  public func fill<Element: BitwiseCopyable>(
    _ shape: Shape, _ type: DataType, element: Element
  ) throws(PTO2Error) -> Tensor {
    try checkSize(of: Element.self, type)
    var bits: UInt64 = 0
    unsafe withUnsafeMutableBytes(of: &bits) { unsafe $0.storeBytes(of: element, as: Element.self) }
    return try fill(shape, type, bits: bits)
  }

  /// The element's bytes are the first ones of `bits`.
  package func fill(_ shape: Shape, _ type: DataType, bits: UInt64) throws(PTO2Error) -> Tensor {
    let element = try submit { task in
      // Before any memory is taken: an error inside a submit says which argument.
      if !shape.isValid || shape.elementCount == nil {
        unsafe orchestrator.pointee.stageFailure(
          PTO2Error(
            .invalidArgs,
            "fill: shape \(shape) is not valid: expected 0 to 5 extents of at least 1 and fewer than 2^32 elements"
          ))
      }
      return task.output(Shape(), type)
    }
    guard let address = unsafe orchestrator.pointee.address(of: element) else {
      preconditionFailure("a task that was submitted has no output")
    }
    // Nobody knows the tensor yet. The log record of the first task that reads
    // it publishes this store too.
    unsafe withUnsafeBytes(of: bits) { bits in
      unsafe address.copyMemory(from: bits.baseAddress!, byteCount: type.byteCount)
    }
    return try element.broadcast(to: shape)
  }

  private func noSuchValue(_ value: String, _ type: DataType) -> PTO2Error {
    unsafe orchestrator.pointee.fault.raise(
      PTO2Error(.invalidArgs, "fill: \(value) is not a value of \(type)"))
  }

  /// One element, after waiting for the tasks that write it; not for those of
  /// manual scopes.
  /// - Parameter limitSeconds: how long to wait.
  /// - Throws: error 8 when it is not ready within the limit; error 5 for an
  ///   index beyond the tensor, an ended scope, or a type of another size.
  public func value<Element: BitwiseCopyable>(
    of tensor: Tensor, at index: [Int], as type: Element.Type, limitSeconds: Double = 60
  ) throws(PTO2Error) -> Element {
    try checkSize(of: type, tensor.dataType)
    let address = unsafe try element(
      tensor, index, includingReaders: false, limitSeconds: limitSeconds)
    return unsafe address.load(as: type)
  }

  /// Sets one element, after waiting for the tasks that write or read it; tasks
  /// submitted later see it. Errors as in `value`.
  public func setValue<Element: BitwiseCopyable>(
    of tensor: Tensor, at index: [Int], to value: Element, limitSeconds: Double = 60
  ) throws(PTO2Error) {
    try checkSize(of: Element.self, tensor.dataType)
    let address = unsafe try element(
      tensor, index, includingReaders: true, limitSeconds: limitSeconds)
    unsafe address.storeBytes(of: value, as: Element.self)
  }

  private func checkSize<Element>(of type: Element.Type, _ dataType: DataType) throws(PTO2Error) {
    guard MemoryLayout<Element>.stride == dataType.byteCount else {
      throw unsafe orchestrator.pointee.fault.raise(
        PTO2Error(
          .invalidArgs,
          "an element of \(dataType) has \(dataType.byteCount) bytes, \(type) has \(MemoryLayout<Element>.stride)"
        ))
    }
  }

  /// An element's place, once the tasks that matter to it are done.
  package func element(
    _ tensor: Tensor, _ index: [Int], includingReaders: Bool, limitSeconds: Double
  ) throws(PTO2Error) -> UnsafeMutableRawPointer {
    do throws(PTO2Error) {
      let element = try tensor.slice(index, Shape([Int](repeating: 1, count: tensor.shape.rank)))
      unsafe try orchestrator.pointee.waitForUsers(
        of: element, includingReaders: includingReaders, limitSeconds: limitSeconds)
      guard let address = unsafe orchestrator.pointee.address(of: element) else {
        throw PTO2Error(.invalidArgs, "tensor \(tensor.shape) has no memory")
      }
      return unsafe address
    } catch { throw unsafe orchestrator.pointee.fault.raise(error) }
  }
}

/// Bits of a value, in the first bytes of a word; nil when the type lacks it.
extension DataType {
  func bits(of value: Int) -> UInt64? {
    func exactly<Element: FixedWidthInteger>(_ type: Element.Type) -> UInt64? {
      Element(exactly: value).map { UInt64(truncatingIfNeeded: $0) }
    }
    return switch self {
    case .float32, .float16, .bfloat16: bits(of: Double(value))
    case .int8: exactly(Int8.self)
    case .int16: exactly(Int16.self)
    case .int32: exactly(Int32.self)
    case .int64: exactly(Int64.self)
    case .uint8: exactly(UInt8.self)
    case .uint16: exactly(UInt16.self)
    case .uint32: exactly(UInt32.self)
    case .uint64: exactly(UInt64.self)
    }
  }

  func bits(of value: Double) -> UInt64? {
    switch self {
    case .float32: UInt64(Float(value).bitPattern)
    case .float16: UInt64(Float16(value).bitPattern)
    case .bfloat16: UInt64(Self.bfloat16(value))
    case .uint64: UInt64(exactly: value)
    default: Int(exactly: value).flatMap { bits(of: $0) }
    }
  }

  /// To nearest, ties to even, from the double itself: rounding to a float
  /// first may make a tie of what is none. Rounded to odd, it never does.
  private static func bfloat16(_ value: Double) -> UInt16 {
    let near = Float(value)
    var bits = near.bitPattern
    if near.isNaN { return UInt16(bits >> 16 | 0x40) }
    if near.isFinite && Double(near) != value {
      if Double(near.magnitude) > value.magnitude { bits -= 1 }
      bits |= 1
    }
    return UInt16(truncatingIfNeeded: (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
  }
}
