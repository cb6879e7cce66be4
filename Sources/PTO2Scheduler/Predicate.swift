internal import CPTO2Segment

/// A comparison of one tensor element with a constant.
struct Predicate {
  private let record: pto2_slot_predicate

  init(_ record: pto2_slot_predicate) { self.record = record }

  /// Integers compare as integers, wider than either side; real types as
  /// doubles. A comparison or data type that does not exist is false.
  func isTrue(at element: UnsafeRawPointer) -> Bool {
    switch Int32(record.dtype) {
    case PTO2_FLOAT32: unsafe real(Double(element.load(as: Float.self)))
    case PTO2_FLOAT16: unsafe real(Double(Self.half(element.load(as: UInt16.self))))
    case PTO2_BFLOAT16:
      unsafe real(Double(Float(bitPattern: UInt32(element.load(as: UInt16.self)) << 16)))
    case PTO2_INT8: unsafe integer(Int64(element.load(as: Int8.self)))
    case PTO2_INT16: unsafe integer(Int64(element.load(as: Int16.self)))
    case PTO2_INT32: unsafe integer(Int64(element.load(as: Int32.self)))
    case PTO2_INT64: unsafe integer(element.load(as: Int64.self))
    case PTO2_UINT8: unsafe integer(Int64(element.load(as: UInt8.self)))
    case PTO2_UINT16: unsafe integer(Int64(element.load(as: UInt16.self)))
    case PTO2_UINT32: unsafe integer(Int64(element.load(as: UInt32.self)))
    case PTO2_UINT64: unsafe unsigned(element.load(as: UInt64.self))
    default: false
    }
  }

  private func integer(_ element: Int64) -> Bool {
    compare(element, Int64(bitPattern: record.value))
  }

  /// A negative constant is less than every unsigned element.
  private func unsigned(_ element: UInt64) -> Bool {
    let value = Int64(bitPattern: record.value)
    return value < 0 ? compare(1, 0) : compare(element, UInt64(value))
  }

  private func real(_ element: Double) -> Bool {
    compare(element, Double(bitPattern: record.value))
  }

  private func compare<Value: Comparable>(_ a: Value, _ b: Value) -> Bool {
    switch Int32(record.comparison) {
    case PTO2_EQ: a == b
    case PTO2_NE: a != b
    case PTO2_GT: a > b
    case PTO2_LT: a < b
    case PTO2_GE: a >= b
    case PTO2_LE: a <= b
    default: false
    }
  }

  /// IEEE 754 binary16, without relying on the CPU's support for it.
  static func half(_ bits: UInt16) -> Float {
    let sign: Float = bits & 0x8000 == 0 ? 1 : -1
    let exponent = Int(bits >> 10 & 0x1F)
    let fraction = Float(bits & 0x3FF)
    switch exponent {
    case 0: return sign * fraction * 0x1p-24
    case 31: return fraction == 0 ? sign * .infinity : .nan
    default:
      return sign * (1 + fraction / 1024)
        * Float(sign: .plus, exponent: exponent - 15, significand: 1)
    }
  }
}
