internal import CPTO2
internal import PTO2Orchestrator
internal import PTO2Protocol

/// A tensor as eight-byte words, and back; a handle nobody filled is refused.
enum TensorHandle {
  private static let magic: UInt64 = 0x5450_3254_454E_5331

  /// Of a view that could not be made: using it is an error with words of its own.
  static var refused: pto2_tensor_handle {
    var handle = pto2_tensor_handle()
    handle.opaque.0 = refusedMagic
    return handle
  }
  private static let refusedMagic: UInt64 = 0x5450_3252_4546_5331

  static func encode(_ tensor: AnyTensor) -> pto2_tensor_handle {
    var handle = pto2_tensor_handle()
    let e = tensor.shape.extents
    let s = tensor.strides
    func pair(_ a: UInt32, _ b: UInt32) -> UInt64 { UInt64(a) | UInt64(b) << 32 }
    func bits(_ value: Int32) -> UInt32 { UInt32(bitPattern: value) }
    handle.opaque = (
      magic, pair(tensor.buffer, tensor.generation), tensor.offset,
      UInt64(tensor.shape.rank) | UInt64(tensor.dataType.rawValue) << 8, pair(e.0, e.1),
      pair(e.2, e.3), pair(e.4, bits(s.0)), pair(bits(s.1), bits(s.2)), pair(bits(s.3), bits(s.4)),
      0, 0, 0
    )
    return handle
  }

  static func decode(_ pointer: UnsafePointer<pto2_tensor_handle>?) throws(PTO2Error) -> AnyTensor {
    guard let pointer = unsafe pointer else {
      throw PTO2Error(.invalidArgs, "a tensor handle is NULL")
    }
    let w = unsafe pointer.pointee.opaque
    let rank = Int(w.3 & 0xFF)
    if w.0 == refusedMagic {
      throw PTO2Error(
        .invalidArgs,
        "a tensor handle is that of a view that could not be made: look at what that call returned"
      )
    }
    guard w.0 == magic, rank <= Int(PTO2_MAX_RANK),
      let type = DataType(rawValue: UInt8(truncatingIfNeeded: w.3 >> 8))
    else { throw PTO2Error(.invalidArgs, "a tensor handle was not filled by this API") }
    func low(_ word: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: word) }
    func high(_ word: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: word >> 32) }
    func signed(_ value: UInt32) -> Int32 { Int32(bitPattern: value) }
    let shape = Shape(rank: rank, extents: (low(w.4), high(w.4), low(w.5), high(w.5), low(w.6)))
    guard shape.isValid, shape.elementCount != nil else {
      throw PTO2Error(.invalidArgs, "a tensor handle was overwritten")
    }
    let tensor = AnyTensor(
      buffer: low(w.1), generation: high(w.1), offset: w.2, shape: shape,
      strides: (
        signed(high(w.6)), signed(low(w.7)), signed(high(w.7)), signed(low(w.8)),
        signed(high(w.8))
      ), dataType: type)
    guard tensor.isPlausible else {
      throw PTO2Error(.invalidArgs, "a tensor handle was overwritten")
    }
    return tensor
  }
}
