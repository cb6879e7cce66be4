import Glibc
import PTO2Protocol
import PTO2System
import Testing

@testable import PTO2Orchestrator

@Suite struct ElementBitsTests {
  /// Bits, types and values by hand.
  static let values: [(DataType, Double, UInt64?)] = [
    (.float32, 0.1, 0x3DCC_CCCD), (.float32, -0.0, 0x8000_0000), (.float32, 1e40, 0x7F80_0000),
    (.float16, 1, 0x3C00), (.float16, -2, 0xC000), (.float16, 65520, 0x7C00),
    (.float16, 0x1p-24, 1),
    (.bfloat16, 1, 0x3F80), (.bfloat16, -1, 0xBF80), (.bfloat16, .infinity, 0x7F80),
    (.bfloat16, 3.4e38, 0x7F80), (.bfloat16, 1e300, 0x7F80), (.bfloat16, 0x1p-140, 0),
    // Ties, to even and just beyond: rounding to a float first would lose it.
    (.bfloat16, 1 + 0x1p-8, 0x3F80), (.bfloat16, 1 + 3 * 0x1p-8, 0x3F82),
    (.bfloat16, 1 + 0x1p-8 + 0x1p-40, 0x3F81), (.bfloat16, -1 - 0x1p-8 - 0x1p-40, 0xBF81),
    (.bfloat16, 1 + 3 * 0x1p-8 - 0x1p-40, 0x3F81),
    (.float8E4M3FN, 448, 0x7E), (.float8E4M3FN, 464, 0x7E), (.float8E4M3FN, 464.01, 0x7F),
    (.float8E4M3FN, -.infinity, 0xFF), (.float8E4M3FN, -0.0, 0x80), (.float8E4M3FN, 0x1p-10, 0),
    (.float8E4M3FN, 0x1.0001p-10, 1), (.float8E5M2, 61439, 0x7B), (.float8E5M2, 61440, 0x7C),
    (.float8E5M2, -.infinity, 0xFC), (.float8E5M2, 0x1p-17, 0), (.float8E5M2, 0x1.8p-16, 2),
    (.bool, 1, 1), (.bool, 0, 0), (.bool, 2, nil), (.bool, -1, nil),
    (.int8, -128, 0xFFFF_FFFF_FFFF_FF80), (.int8, 128, nil), (.int8, 0.5, nil),
    (.uint8, 255, 255), (.uint8, 256, nil), (.uint8, -1, nil),
    (.int64, -0x1p63, 1 << 63), (.int64, 0x1p63, nil),
    (.uint64, 0x1p63, 1 << 63), (.uint64, 0x1p64, nil), (.uint64, -1, nil),
    (.int32, .nan, nil), (.uint64, .infinity, nil),
  ]

  @Test(arguments: values)
  func realNumberHasTheBitsOfItsType(type: DataType, value: Double, bits: UInt64?) {
    #expect(type.bits(of: value) == bits)
  }

  /// Every bfloat16 against its neighbours: no other one is nearer.
  @Test func bfloat16IsTheNearest() {
    var random = SplitMix64(seed: 3)
    func value(_ bits: UInt16) -> Double { Double(Float(bitPattern: UInt32(bits) << 16)) }
    for bits in UInt16(1)..<0x7F7F {
      let low = value(bits)
      let gap = value(bits + 1) - low
      let between = low + gap * Double.random(in: 0..<1, using: &random)
      let expected =
        between - low == gap / 2 ? bits + bits & 1 : between - low > gap / 2 ? bits + 1 : bits
      #expect(DataType.bfloat16.bits(of: between) == UInt64(expected), "\(between)")
    }
    #expect(DataType.bfloat16.bits(of: Double.nan) == 0x7FC0)
  }

  /// Every 8-bit float by the definition of its format, and what lies between two of them.
  @Test(arguments: [(DataType.float8E4M3FN, 3, 7, 0x7F), (.float8E5M2, 2, 15, 0x7C)])
  func eightBitFloatsAreExactAndTheNearest(type: DataType, fraction: Int, bias: Int, end: Int) {
    func value(_ bits: Int) -> Double {
      let (exponent, rest) = (bits >> fraction, Double(bits & (1 << fraction - 1)))
      let unit = pow(2, Double(max(exponent, 1) - bias - fraction))
      return (exponent == 0 ? rest : rest + pow(2, Double(fraction))) * unit
    }
    func decoded(_ bits: Int) -> Float {
      let bits = UInt8(bits)
      return type == .float8E5M2
        ? Float(Float8E5M2(bitPattern: bits)) : Float(Float8E4M3FN(bitPattern: bits))
    }
    for bits in 0..<end {
      for (sign, number) in [(0, value(bits)), (0x80, -value(bits))] {
        #expect(Double(decoded(bits | sign)).bitPattern == number.bitPattern)
        #expect(type.bits(of: number) == UInt64(bits | sign))
      }
      guard bits + 1 < end else { continue }
      let middle = (value(bits) + value(bits + 1)) / 2
      #expect(type.bits(of: middle) == UInt64(bits + bits & 1), "a tie goes to the even one")
      #expect(type.bits(of: middle.nextDown) == UInt64(bits))
      #expect(type.bits(of: middle.nextUp) == UInt64(bits + 1))
    }
    for bits in end..<0x80 {
      let isInfinite = type == .float8E5M2 && bits == 0x7C
      #expect(isInfinite ? decoded(bits) == .infinity : decoded(bits).isNaN)
      #expect(isInfinite ? decoded(bits | 0x80) == -.infinity : decoded(bits | 0x80).isNaN)
    }
    let nan = type.bits(of: Double.nan).map { Int($0) }
    #expect(nan.map { decoded($0).isNaN } == true)
  }

  @Test func integerMustBeOneOfTheType() {
    let types: [(DataType, Int, Int)] = [
      (.int8, -128, 127), (.int16, -32768, 32767), (.int32, -1 << 31, 1 << 31 - 1),
      (.int64, Int.min, Int.max), (.uint8, 0, 255), (.uint16, 0, 65535),
      (.uint32, 0, 1 << 32 - 1), (.uint64, 0, Int.max),
    ]
    for (type, least, most) in types {
      let mask = UInt64.max >> UInt64(64 - 8 * type.byteCount)
      for value in [least, most] {
        #expect(
          type.bits(of: value).map { $0 & mask } == UInt64(truncatingIfNeeded: value) & mask)
      }
      if least > Int.min { #expect(type.bits(of: least - 1) == nil) }
      if most < Int.max { #expect(type.bits(of: most + 1) == nil) }
    }
    #expect(DataType.float32.bits(of: 3) == 0x4040_0000)
  }
}
