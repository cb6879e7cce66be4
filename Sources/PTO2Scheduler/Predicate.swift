internal import CPTO2Segment

/// A comparison of one tensor element with a constant.
struct Predicate {
  private let record: pto2_slot_predicate

  init(_ record: pto2_slot_predicate) { self.record = record }

  /// Nil for a data type that does not exist.
  static func elementBytes(_ dataType: UInt8) -> UInt64? {
    switch UInt32(dataType) {
    case PTO2_INT8.rawValue, PTO2_UINT8.rawValue: 1
    case PTO2_FLOAT16.rawValue, PTO2_BFLOAT16.rawValue, PTO2_INT16.rawValue, PTO2_UINT16.rawValue: 2
    case PTO2_FLOAT32.rawValue, PTO2_INT32.rawValue, PTO2_UINT32.rawValue: 4
    case PTO2_INT64.rawValue, PTO2_UINT64.rawValue: 8
    default: nil
    }
  }

  /// Integers compare as integers, wider than either side; real types as
  /// doubles. A comparison or data type that does not exist is false.
  func isTrue(at element: UnsafeRawPointer) -> Bool {
    switch UInt32(record.dtype) {
    case PTO2_FLOAT32.rawValue: unsafe real(Double(element.load(as: Float.self)))
    case PTO2_FLOAT16.rawValue: unsafe real(Double(Self.half(element.load(as: UInt16.self))))
    case PTO2_BFLOAT16.rawValue:
      unsafe real(Double(Float(bitPattern: UInt32(element.load(as: UInt16.self)) << 16)))
    case PTO2_INT8.rawValue: unsafe integer(Int64(element.load(as: Int8.self)))
    case PTO2_INT16.rawValue: unsafe integer(Int64(element.load(as: Int16.self)))
    case PTO2_INT32.rawValue: unsafe integer(Int64(element.load(as: Int32.self)))
    case PTO2_INT64.rawValue: unsafe integer(element.load(as: Int64.self))
    case PTO2_UINT8.rawValue: unsafe integer(Int64(element.load(as: UInt8.self)))
    case PTO2_UINT16.rawValue: unsafe integer(Int64(element.load(as: UInt16.self)))
    case PTO2_UINT32.rawValue: unsafe integer(Int64(element.load(as: UInt32.self)))
    case PTO2_UINT64.rawValue: unsafe unsigned(element.load(as: UInt64.self))
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
    switch UInt32(record.comparison) {
    case PTO2_EQ.rawValue: a == b
    case PTO2_NE.rawValue: a != b
    case PTO2_GT.rawValue: a > b
    case PTO2_LT.rawValue: a < b
    case PTO2_GE.rawValue: a >= b
    case PTO2_LE.rawValue: a <= b
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
