internal import CPTO2ABI
internal import PTO2Protocol

/// How a task uses a tensor.
enum Access: UInt8 {
  case input = 0
  case output
  case `inout`
}

/// One tensor of the task being put together.
struct StagedArgument: BitwiseCopyable {
  var buffer: UInt32
  var access: UInt8
  var rank: UInt8
  var dataType: UInt8
  var elementCount: UInt32
  /// Bytes from the start of the buffer to the first element, and to the end
  /// of the last.
  var offset: UInt64
  var end: UInt64
  var shape: (UInt32, UInt32, UInt32, UInt32, UInt32)
  var strides: (Int32, Int32, Int32, Int32, Int32)
}

/// The arguments of one task: tensors in the order in which its kernels see
/// them, then scalars. Valid only inside the closure of `submit`.
///
/// A mistake (a tensor too many, a tensor whose scope has ended) is kept and
/// thrown by `submit` as error 5.
@safe public struct TaskArguments: ~Copyable {
  let core: UnsafeMutablePointer<OrchestratorCore>

  /// The task reads the tensor: it waits for every task that last wrote any
  /// part of it.
  public mutating func input(_ tensor: Tensor) { unsafe core.pointee.stage(tensor, .input) }

  /// The task reads and writes the tensor in place: it waits for its writers
  /// and for everybody who still reads any part of it.
  public mutating func `inout`(_ tensor: Tensor) { unsafe core.pointee.stage(tensor, .inout) }

  /// The task writes a new tensor, for which the runtime takes memory from the
  /// heap ring of the current scope. The memory is not cleared. The tensor can
  /// be used by tasks submitted later, until the current scope ends.
  public mutating func output(_ shape: Shape, _ type: DataType) -> Tensor {
    unsafe core.pointee.stageOutput(shape, type)
  }

  /// Raw bits of a scalar.
  public mutating func scalar(_ bits: UInt64) { unsafe core.pointee.stageScalar(bits) }
  public mutating func scalar(_ value: Int) { scalar(UInt64(bitPattern: Int64(value))) }
  /// Bits of a float in the lower half: `pto2_scalar_f32` reads it.
  public mutating func scalar(_ value: Float) { scalar(UInt64(value.bitPattern)) }
}

extension OrchestratorCore {
  mutating func stageFailure(_ error: PTO2Error) {
    if stagedError == nil { stagedError = error }
  }

  /// Room for one more tensor; otherwise the error is kept.
  private mutating func hasTensorRoom() -> Bool {
    if stagedCount < Int(PTO2_MAX_TENSORS) { return true }
    stageFailure(
      PTO2Error(
        .invalidArgs, "a task can have \(PTO2_MAX_TENSORS) tensors at most",
        needed: UInt64(PTO2_MAX_TENSORS) + 1, available: UInt64(PTO2_MAX_TENSORS)))
    return false
  }

  mutating func stage(_ tensor: Tensor, _ access: Access) {
    guard hasTensorRoom() else { return }
    let buffer = liveBuffer(tensor)
    guard let buffer, buffer.owner == 0 || isOpen(scope: buffer.scope) else {
      return stageFailure(
        PTO2Error(
          .invalidArgs,
          "argument \(stagedCount) is a tensor \(tensor.shape) whose scope has ended: its memory may be in use by others. Submit the task inside that scope, or use an external tensor"
        ))
    }
    guard buffer.state == Buffer.placed else {
      return stageFailure(
        PTO2Error(
          .invalidArgs, "argument \(stagedCount) is an output of the very task that is submitted"))
    }
    unsafe (staged + stagedCount).initialize(
      to: StagedArgument(
        buffer: tensor.buffer, access: access.rawValue, rank: UInt8(tensor.shape.rank),
        dataType: tensor.dataType.rawValue, elementCount: UInt32(tensor.elementCount),
        offset: tensor.offset, end: tensor.offset + tensor.spanBytes,
        shape: tensor.shape.extents, strides: tensor.strides))
    stagedCount += 1
  }

  mutating func stageOutput(_ shape: Shape, _ type: DataType) -> Tensor {
    var tensor = Tensor(
      buffer: UInt32.max, generation: 0, shape: Shape(), dataType: type)
    guard hasTensorRoom() else { return tensor }
    guard shape.isValid, let count = shape.elementCount else {
      stageFailure(
        PTO2Error(
          .invalidArgs,
          "output \(stagedCount): shape \(shape) is not valid: expected 0 to 5 extents of at least 1 and fewer than 2^32 elements"
        ))
      return tensor
    }
    let bytes = UInt64(count) * UInt64(type.byteCount)
    let index = makeBuffer(bytes: HeapRing.rounded(bytes))
    unsafe buffers.elements[Int(index)].state = Buffer.declared
    tensor = unsafe Tensor(
      buffer: index, generation: buffers[index].generation, shape: shape, dataType: type)
    unsafe (staged + stagedCount).initialize(
      to: StagedArgument(
        buffer: index, access: Access.output.rawValue, rank: UInt8(shape.rank),
        dataType: type.rawValue, elementCount: UInt32(count), offset: 0, end: bytes,
        shape: shape.extents, strides: tensor.strides))
    stagedCount += 1
    return tensor
  }

  mutating func stageScalar(_ bits: UInt64) {
    guard stagedScalarCount < Int(PTO2_MAX_SCALARS) else {
      return stageFailure(
        PTO2Error(
          .invalidArgs, "a task can have \(PTO2_MAX_SCALARS) scalars at most",
          needed: UInt64(PTO2_MAX_SCALARS) + 1, available: UInt64(PTO2_MAX_SCALARS)))
    }
    unsafe stagedScalars[stagedScalarCount] = bits
    stagedScalarCount += 1
  }

  /// Empties the staging area; outputs named there lose their place.
  mutating func unstage(keepOutputs: Bool) {
    if !keepOutputs {
      for index in 0..<stagedCount where unsafe staged[index].access == Access.output.rawValue {
        freeBuffer(unsafe staged[index].buffer)
      }
    }
    isStaging = false
    stagedCount = 0
    stagedScalarCount = 0
    stagedError = nil
  }
}
