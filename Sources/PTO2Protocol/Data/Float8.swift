/// The two 8-bit floating-point types of OCP's "8-bit Floating Point Specification".
///
/// E4M3 (also called E4M3FN) has no infinities and one NaN of each sign; what rounds to more
/// than 448 is NaN. E5M2 is the upper half of a `Float16`; what rounds to more than 57344 is
/// infinite. Nothing saturates.
package enum Float8 {
  /// Exactly the number with these bits.
  package static func e4m3(_ bits: UInt8) -> Float {
    let (exponent, fraction) = (Int(bits >> 3 & 15), Float(bits & 7))
    let magnitude: Float =
      if bits & 0x7F == 0x7F {
        .nan
      } else if exponent == 0 {
        Float(sign: .plus, exponent: -9, significand: fraction)
      } else {
        Float(sign: .plus, exponent: exponent - 10, significand: 8 + fraction)
      }
    return bits & 0x80 == 0 ? magnitude : -magnitude
  }

  /// Exactly the number with these bits.
  package static func e5m2(_ bits: UInt8) -> Float {
    Float(Float16(bitPattern: UInt16(bits) << 8))
  }

  /// The nearest number's bits, ties to even.
  package static func e4m3(_ value: Double) -> UInt8 {
    let sign: UInt8 = value.sign == .minus ? 0x80 : 0
    // Half way from 448 to what would be 480; a NaN is not less or equal.
    guard value.magnitude <= 464 else { return sign | 0x7F }
    let exponent = max(-6, value == 0 ? -6 : Int(value.exponent))
    // Numbers between two powers of two are an eighth of the lower one apart.
    let step = Double(sign: .plus, exponent: exponent - 3, significand: 1)
    let steps = Int((value.magnitude / step).rounded(.toNearestOrEven))
    return sign | UInt8((exponent + 6) * 8 + steps)
  }

  /// The nearest number's bits, ties to even.
  package static func e5m2(_ value: Double) -> UInt8 {
    let near = Float16(value)
    var bits = near.bitPattern
    if near.isNaN { return UInt8(bits >> 8 | 0x02) }
    // Rounded to odd first, it is no tie by accident.
    if near.isFinite && Double(near) != value {
      if Double(near.magnitude) > value.magnitude { bits -= 1 }
      bits |= 1
    }
    return UInt8(truncatingIfNeeded: (bits + 0x7F + (bits >> 8 & 1)) >> 8)
  }
}
