internal import PTO2Orchestrator
internal import PTO2Protocol
internal import PTO2System

/// Elements of one type as plain numbers: whole ones as 64 bits that wrap, real ones as the bits
/// of a double.
struct ElementFormat {
  let type: DataType

  /// A number as the type keeps it.
  func element(_ number: Number) -> UInt64 {
    if type.isReal { return rounded(number.asReal.bitPattern) }
    switch number {
    case .whole(let value): return rounded(UInt64(bitPattern: Int64(value)))
    case .real(let value):
      return rounded(UInt64(bitPattern: Int64(exactly: value.rounded(.towardZero)) ?? 0))
    }
  }

  /// What is left of it after it was stored and loaded.
  func rounded(_ value: UInt64) -> UInt64 { decode(encode(value)) }

  /// The bytes of an element, the lowest first.
  func encode(_ value: UInt64) -> UInt64 {
    switch type {
    case .float32: UInt64(Float(Double(bitPattern: value)).bitPattern)
    case .float16: UInt64(Float16(Double(bitPattern: value)).bitPattern)
    case .bfloat16: UInt64(BFloat16(Double(bitPattern: value)).bitPattern)
    case .float8E4M3FN: UInt64(Float8.e4m3(Double(bitPattern: value)))
    case .float8E5M2: UInt64(Float8.e5m2(Double(bitPattern: value)))
    case .bool: value == 0 ? 0 : 1
    case .int8, .uint8: value & 0xFF
    case .int16, .uint16: value & 0xFFFF
    case .int32, .uint32: value & 0xFFFF_FFFF
    case .int64, .uint64: value
    }
  }

  func decode(_ bits: UInt64) -> UInt64 {
    func signed<Element: FixedWidthInteger & SignedInteger>(_ value: Element) -> UInt64 {
      UInt64(bitPattern: Int64(value))
    }
    return switch type {
    case .float32: Double(Float(bitPattern: UInt32(bits))).bitPattern
    case .float16: Double(Float16(bitPattern: UInt16(bits))).bitPattern
    case .bfloat16: Double(Float(BFloat16(bitPattern: UInt16(bits)))).bitPattern
    case .float8E4M3FN: Double(Float8.e4m3(UInt8(bits))).bitPattern
    case .float8E5M2: Double(Float8.e5m2(UInt8(bits))).bitPattern
    case .bool: bits == 0 ? 0 : 1
    case .int8: signed(Int8(truncatingIfNeeded: bits))
    case .int16: signed(Int16(truncatingIfNeeded: bits))
    case .int32: signed(Int32(truncatingIfNeeded: bits))
    case .int64, .uint8, .uint16, .uint32, .uint64: bits
    }
  }

  func plus(_ a: UInt64, _ b: UInt64) -> UInt64 {
    type.isReal ? (Double(bitPattern: a) + Double(bitPattern: b)).bitPattern : a &+ b
  }

  func times(_ a: UInt64, _ b: UInt64) -> UInt64 {
    type.isReal ? (Double(bitPattern: a) * Double(bitPattern: b)).bitPattern : a &* b
  }

  func asReal(_ value: UInt64) -> Double {
    if type.isReal { return Double(bitPattern: value) }
    return type == .uint64 ? Double(value) : Double(Int64(bitPattern: value))
  }

  func text(_ value: UInt64) -> String {
    if type.isReal { return "\(Double(bitPattern: value))" }
    return type == .uint64 ? "\(value)" : "\(Int64(bitPattern: value))"
  }

  /// The elements that `values` stands for.
  func elements(_ values: Values, count: Int, seed: Int) -> [UInt64] {
    switch values {
    case .constant(let number): return [UInt64](repeating: element(number), count: count)
    case .list(let numbers): return numbers.map(element)
    case .range(let first, let step):
      return (0..<count).map { index in
        if case .whole(let a) = first, case .whole(let b) = step {
          return element(.whole(a &+ b &* index))
        }
        return element(.real(first.asReal + step.asReal * Double(index)))
      }
    case .random(let own, let from, let through):
      var dice = SplitMix64(seed: UInt64(own ?? seed))
      let span = UInt64(through - from + 1)
      return (0..<count).map { _ in element(.whole(from + Int(dice.next() % span))) }
    }
  }

  /// Little-endian bytes.
  func bytes(_ elements: [UInt64]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(elements.count * type.byteCount)
    for element in elements {
      let bits = encode(element)
      for byte in 0..<type.byteCount { bytes.append(UInt8(truncatingIfNeeded: bits >> (8 * byte))) }
    }
    return bytes
  }

  func elements(_ bytes: ArraySlice<UInt8>) -> [UInt64] {
    let size = type.byteCount
    return stride(from: bytes.startIndex, to: bytes.endIndex - size + 1, by: size).map { start in
      var bits: UInt64 = 0
      for byte in (0..<size).reversed() { bits = bits << 8 | UInt64(bytes[start + byte]) }
      return decode(bits)
    }
  }
}
