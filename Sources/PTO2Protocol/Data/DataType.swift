/// Element types a tensor can have: PTO2_FLOAT32 and so on, in that order.
@frozen
public enum DataType: UInt8, Sendable, CaseIterable {
  case float32 = 0
  case float16, bfloat16
  case int8, int16, int32, int64
  case uint8, uint16, uint32, uint64

  /// Bytes of one element.
  @inlinable
  public var byteCount: Int {
    switch self {
    case .int8, .uint8: 1
    case .float16, .bfloat16, .int16, .uint16: 2
    case .float32, .int32, .uint32: 4
    case .int64, .uint64: 8
    }
  }
}
