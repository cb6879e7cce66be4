/// Conversions between `Float` and bfloat16, which is the upper half of a
/// `Float` and is held as its bits in a `UInt16`.
public enum BFloat16Bits {
  /// The bits nearest to `value`, ties to even. Values beyond the largest
  /// finite bfloat16 become infinite; NaN stays NaN, made quiet.
  @inlinable
  public static func bits(rounding value: Float) -> UInt16 {
    let bits = value.bitPattern
    if value.isNaN { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }
    return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
  }

  /// The value of `bits`, exactly.
  @inlinable
  public static func value(_ bits: UInt16) -> Float {
    Float(bitPattern: UInt32(bits) << 16)
  }
}
