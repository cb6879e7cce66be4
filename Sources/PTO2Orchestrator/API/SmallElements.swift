internal import PTO2Protocol

/// A byte that says yes or no: 0 is false, anything else true. (A Swift `Bool` may only be 0
/// or 1 in memory, and nobody holds kernels to that.)
@frozen
public struct BooleanByte: BitwiseCopyable, Sendable, ExpressibleByBooleanLiteral {
  /// As it stands in memory.
  public var bitPattern: UInt8

  /// The byte as it is.
  @inlinable
  public init(bitPattern: UInt8) { self.bitPattern = bitPattern }

  /// 1 for true, 0 for false.
  @inlinable
  public init(_ value: Bool) { bitPattern = value ? 1 : 0 }

  /// Of `true` and `false` in the text of a program.
  @inlinable
  public init(booleanLiteral value: Bool) { self.init(value) }

  /// What it says.
  @inlinable
  public var value: Bool { bitPattern != 0 }
}

extension BooleanByte: Hashable {
  public static func == (a: Self, b: Self) -> Bool { a.value == b.value }
  public func hash(into hasher: inout Hasher) { hasher.combine(value) }
}

/// An 8-bit number with 4 bits of exponent and 3 of the significand (OCP's E4M3): up to 448,
/// no infinities.
@frozen
public struct Float8E4M3FN: BitwiseCopyable, Hashable, Sendable {
  /// Sign, exponent, significand.
  public var bitPattern: UInt8

  /// The number with these bits.
  @inlinable
  public init(bitPattern: UInt8) { self.bitPattern = bitPattern }

  /// The nearest value, ties to even; NaN for what rounds to more than 448.
  public init(_ value: Double) { bitPattern = Float8.e4m3(value) }

  /// The nearest value, ties to even; NaN for what rounds to more than 448.
  public init(_ value: Float) { self.init(Double(value)) }
}

/// An 8-bit number with 5 bits of exponent and 2 of the significand (OCP's E5M2): the upper
/// half of a `Float16`.
@frozen
public struct Float8E5M2: BitwiseCopyable, Hashable, Sendable {
  /// Sign, exponent, significand.
  public var bitPattern: UInt8

  /// The number with these bits.
  @inlinable
  public init(bitPattern: UInt8) { self.bitPattern = bitPattern }

  /// The nearest value, ties to even; infinite for what rounds to more than 57344.
  public init(_ value: Double) { bitPattern = Float8.e5m2(value) }

  /// The nearest value, ties to even; infinite for what rounds to more than 57344.
  public init(_ value: Float) { self.init(Double(value)) }
}

extension Float {
  /// Exactly that value.
  public init(_ value: Float8E4M3FN) { self = Float8.e4m3(value.bitPattern) }
  /// Exactly that value.
  public init(_ value: Float8E5M2) { self = Float8.e5m2(value.bitPattern) }
}

extension BooleanByte: CustomStringConvertible {
  public var description: String { "\(value)" }
}
extension Float8E4M3FN: CustomStringConvertible {
  public var description: String { "\(Float(self))" }
}
extension Float8E5M2: CustomStringConvertible {
  public var description: String { "\(Float(self))" }
}
