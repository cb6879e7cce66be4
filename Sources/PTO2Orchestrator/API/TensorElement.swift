public import PTO2Protocol

/// What a tensor can hold. The library's own conformances are all there are: kernels
/// know no other types.
public protocol TensorElement: BitwiseCopyable, Sendable {
  static var dataType: DataType { get }
}

/// A floating-point type.
public protocol RealTensorElement: TensorElement {}

/// A whole number.
public protocol IntegerTensorElement: TensorElement, FixedWidthInteger {}

extension Float: RealTensorElement {
  public static var dataType: DataType { .float32 }
}
extension Float16: RealTensorElement {
  public static var dataType: DataType { .float16 }
}
extension BFloat16: RealTensorElement {
  public static var dataType: DataType { .bfloat16 }
}
extension Int8: IntegerTensorElement {
  public static var dataType: DataType { .int8 }
}
extension Int16: IntegerTensorElement {
  public static var dataType: DataType { .int16 }
}
extension Int32: IntegerTensorElement {
  public static var dataType: DataType { .int32 }
}
extension Int64: IntegerTensorElement {
  public static var dataType: DataType { .int64 }
}
extension UInt8: IntegerTensorElement {
  public static var dataType: DataType { .uint8 }
}
extension UInt16: IntegerTensorElement {
  public static var dataType: DataType { .uint16 }
}
extension UInt32: IntegerTensorElement {
  public static var dataType: DataType { .uint32 }
}
extension UInt64: IntegerTensorElement {
  public static var dataType: DataType { .uint64 }
}
extension BooleanByte: TensorElement {
  public static var dataType: DataType { .bool }
}
extension Float8E4M3FN: RealTensorElement {
  public static var dataType: DataType { .float8E4M3FN }
}
extension Float8E5M2: RealTensorElement {
  public static var dataType: DataType { .float8E5M2 }
}

/// The upper half of a `Float`: its exponents, 8 bits of precision.
@frozen
public struct BFloat16: BitwiseCopyable, Hashable, Sendable {
  /// Sign, 8 bits of exponent, 7 of the significand.
  public var bitPattern: UInt16

  /// The number with these bits.
  @inlinable
  public init(bitPattern: UInt16) { self.bitPattern = bitPattern }

  /// The nearest value, ties to even; NaN stays NaN.
  public init(_ value: Float) { self.init(Double(value)) }

  /// The nearest value, ties to even, from the double itself: rounding to a float
  /// first may make a tie of what is none. Rounded to odd, it never does.
  public init(_ value: Double) {
    let near = Float(value)
    var bits = near.bitPattern
    if near.isNaN {
      bitPattern = UInt16(bits >> 16 | 0x40)
      return
    }
    if near.isFinite && Double(near) != value {
      if Double(near.magnitude) > value.magnitude { bits -= 1 }
      bits |= 1
    }
    bitPattern = UInt16(truncatingIfNeeded: (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
  }
}

extension BFloat16: CustomStringConvertible {
  public var description: String { "\(Float(self))" }
}

extension Float {
  /// Exactly that value.
  @inlinable
  public init(_ value: BFloat16) { self.init(bitPattern: UInt32(value.bitPattern) << 16) }
}

/// Bits of a value, in the first bytes of a word; nil when the type lacks it.
extension DataType {
  func bits(of value: Int) -> UInt64? {
    func exactly<Element: FixedWidthInteger>(_ type: Element.Type) -> UInt64? {
      Element(exactly: value).map { UInt64(truncatingIfNeeded: $0) }
    }
    return switch self {
    case .float32, .float16, .bfloat16, .float8E4M3FN, .float8E5M2: bits(of: Double(value))
    case .bool: value == 0 || value == 1 ? UInt64(value) : nil
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
    case .bfloat16: UInt64(BFloat16(value).bitPattern)
    case .float8E4M3FN: UInt64(Float8.e4m3(value))
    case .float8E5M2: UInt64(Float8.e5m2(value))
    case .uint64: UInt64(exactly: value)
    default: Int(exactly: value).flatMap { bits(of: $0) }
    }
  }
}
