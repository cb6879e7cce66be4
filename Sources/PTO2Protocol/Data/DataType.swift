/// Element types a tensor can have: PTO2_FLOAT32 and so on, in that order.
@frozen
public enum DataType: UInt8, Sendable, CaseIterable {
  case float32 = 0
  case float16, bfloat16
  case int8, int16, int32, int64
  case uint8, uint16, uint32, uint64
  /// A byte: 0 is false.
  case bool
  case float8E4M3FN, float8E5M2

  /// Written out, so that it is inlined in other modules: it is on the path of submit.
  @inlinable @inline(__always)
  public init?(rawValue: UInt8) {
    switch rawValue {
    case 0: self = .float32
    case 1: self = .float16
    case 2: self = .bfloat16
    case 3: self = .int8
    case 4: self = .int16
    case 5: self = .int32
    case 6: self = .int64
    case 7: self = .uint8
    case 8: self = .uint16
    case 9: self = .uint32
    case 10: self = .uint64
    case 11: self = .bool
    case 12: self = .float8E4M3FN
    case 13: self = .float8E5M2
    default: return nil
    }
  }

  /// Bytes of one element.
  @inlinable
  public var byteCount: Int {
    switch self {
    case .int8, .uint8, .bool, .float8E4M3FN, .float8E5M2: 1
    case .float16, .bfloat16, .int16, .uint16: 2
    case .float32, .int32, .uint32: 4
    case .int64, .uint64: 8
    }
  }

  /// A floating-point type.
  package var isReal: Bool {
    switch self {
    case .float32, .float16, .bfloat16, .float8E4M3FN, .float8E5M2: true
    case .int8, .int16, .int32, .int64, .uint8, .uint16, .uint32, .uint64, .bool: false
    }
  }
}
