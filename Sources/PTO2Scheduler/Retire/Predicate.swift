internal import CPTO2Segment
internal import PTO2Protocol

/// A comparison of one tensor element with a constant.
struct Predicate {
  private let record: pto2_slot_predicate

  init(_ record: pto2_slot_predicate) { self.record = record }

  /// Integers compare as integers, wider than either side; real types as
  /// doubles. A comparison or data type that does not exist is false.
  func isTrue(at element: UnsafeRawPointer) -> Bool {
    switch DataType(rawValue: record.dtype) {
    case .float32: unsafe real(Double(element.load(as: Float.self)))
    case .float16: unsafe real(Double(element.load(as: Float16.self)))
    case .bfloat16:
      unsafe real(Double(Float(bitPattern: UInt32(element.load(as: UInt16.self)) << 16)))
    case .int8: unsafe integer(Int64(element.load(as: Int8.self)))
    case .int16: unsafe integer(Int64(element.load(as: Int16.self)))
    case .int32: unsafe integer(Int64(element.load(as: Int32.self)))
    case .int64: unsafe integer(element.load(as: Int64.self))
    case .uint8: unsafe integer(Int64(element.load(as: UInt8.self)))
    case .uint16: unsafe integer(Int64(element.load(as: UInt16.self)))
    case .uint32: unsafe integer(Int64(element.load(as: UInt32.self)))
    case .uint64: unsafe unsigned(element.load(as: UInt64.self))
    case .bool: unsafe integer(element.load(as: UInt8.self) == 0 ? 0 : 1)
    case .float8E4M3FN: unsafe real(Double(Float8.e4m3(element.load(as: UInt8.self))))
    case .float8E5M2: unsafe real(Double(Float8.e5m2(element.load(as: UInt8.self))))
    case nil: false
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
    switch Comparison(rawValue: record.comparison) {
    case .equal: a == b
    case .notEqual: a != b
    case .greater: a > b
    case .less: a < b
    case .greaterOrEqual: a >= b
    case .lessOrEqual: a <= b
    case nil: false
    }
  }
}
