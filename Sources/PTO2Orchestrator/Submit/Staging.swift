internal import CPTO2Segment
internal import PTO2Protocol

/// How a task uses a tensor.
enum Access: UInt8 {
  case input = 0
  case output
  case `inout`
  case outputExisting
  case noDependency
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

/// The predicate of the task being put together.
struct StagedPredicate {
  var argument: StagedArgument
  var value: UInt64
  var comparison: UInt8
}

/// An explicit dependency of the task being put together.
struct Dependency: BitwiseCopyable {
  var task: UInt64
  var flags: UInt64
}

extension Orchestrator {
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

  mutating func stage(_ tensor: AnyTensor, _ access: Access) {
    guard hasTensorRoom(), let argument = stagedArgument(tensor, access) else { return }
    unsafe (staged + stagedCount).initialize(to: argument)
    stagedCount += 1
    if access == .inout || access == .noDependency { stagedIsPure = false }
    if access == .outputExisting { stagedHasExisting = true }
  }

  mutating func stageBlocks(_ count: Int, _ startTogether: Bool) {
    guard (1...1 << 20).contains(count) else {
      return stageFailure(
        PTO2Error(.invalidArgs, "\(count) blocks: expected 1 to \(1 << 20)"))
    }
    stagedBlocks = UInt32(count)
    stagedSyncStart = startTogether
  }

  mutating func stagePredicate(
    _ tensor: AnyTensor, _ index: [Int], _ comparison: Comparison, _ value: UInt64, isReal: Bool
  ) {
    let type = tensor.dataType
    guard isReal == (type == .float32 || type == .float16 || type == .bfloat16) else {
      return stageFailure(
        PTO2Error(
          .invalidArgs,
          "predicate on a tensor of \(type): compare integers with Int, real types with Double"))
    }
    do throws(PTO2Error) {
      let element = try tensor.element(at: index)
      guard let argument = stagedArgument(element, .input) else { return }
      stagedPredicate = StagedPredicate(
        argument: argument, value: value, comparison: comparison.rawValue)
    } catch { stageFailure(error) }
  }

  /// Checks a tensor; an error is kept.
  private mutating func stagedArgument(_ tensor: AnyTensor, _ access: Access) -> StagedArgument? {
    if access != .input && access != .noDependency && tensor.isBroadcast {
      stageFailure(
        PTO2Error(
          .invalidArgs, "argument \(stagedCount) is a broadcast view: it can only be read"))
      return nil
    }
    let buffer = liveBuffer(tensor)
    guard let buffer, buffer.owner == 0 || isOpen(scope: buffer.scope) else {
      stageFailure(
        PTO2Error(
          .invalidArgs,
          "argument \(stagedCount) is a tensor \(tensor.shape) whose scope has ended: its memory may be in use by others. Submit the task inside that scope, or use an external tensor"
        ))
      return nil
    }
    guard buffer.state == Buffer.placed else {
      stageFailure(
        PTO2Error(
          .invalidArgs, "argument \(stagedCount) is an output of the very task that is submitted"))
      return nil
    }
    return StagedArgument(
      buffer: tensor.buffer, access: access.rawValue, rank: UInt8(tensor.shape.rank),
      dataType: tensor.dataType.rawValue, elementCount: UInt32(tensor.elementCount),
      offset: tensor.offset, end: tensor.offset + tensor.spanBytes,
      shape: tensor.shape.extents, strides: tensor.strides)
  }

  mutating func stageOutput(_ shape: Shape, _ type: DataType) -> AnyTensor {
    var tensor = AnyTensor(
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
    tensor = unsafe AnyTensor(
      buffer: index, generation: buffers[index].generation, shape: shape, dataType: type)
    unsafe (staged + stagedCount).initialize(
      to: StagedArgument(
        buffer: index, access: Access.output.rawValue, rank: UInt8(shape.rank),
        dataType: type.rawValue, elementCount: UInt32(count), offset: 0, end: bytes,
        shape: shape.extents, strides: tensor.strides))
    stagedCount += 1
    return tensor
  }

  /// The id of the task that is submitted next in the current scope.
  var nextTaskID: TaskID {
    TaskOrdinal(ring: currentRing, ordinal: unsafe rings[currentRing].current).id
  }

  mutating func stageDependency(_ id: TaskID, _ isRetained: Bool) {
    guard let task = submittedTask(id) else {
      return stageFailure(
        PTO2Error(
          .invalidArgs, "dependency on task \(id), which was not submitted in this run", task: id))
    }
    let ring = unsafe rings[task.ring]
    let isRemembered = unsafe task.ordinal >= ring.consumed
    if isRetained {
      guard isRemembered,
        isOpen(scope: unsafe ring.memory(of: task.ordinal).pointee.scope)
      else {
        return stageFailure(
          PTO2Error(
            .invalidArgs,
            "cannot retain task \(id): its scope has ended, so its outputs may be gone", task: id))
      }
    }
    let flags = PTO2_FANIN_WAIT | PTO2_FANIN_DATA | (isRetained ? PTO2_FANIN_RETAIN : 0)
    _ = unsafe stagedDependencies.append(Dependency(task: task.rawValue, flags: flags))
  }

  /// The task with this id, by its distance from the newest one of its ring.
  func submittedTask(_ id: TaskID) -> TaskOrdinal? {
    guard id.ring < ringCount else { return nil }
    let current = unsafe rings[id.ring].current
    let distance = UInt32(truncatingIfNeeded: current) &- id.local
    guard distance > 0, UInt64(distance) <= counts(ring: id.ring).submitted else { return nil }
    return TaskOrdinal(ring: id.ring, ordinal: current - UInt64(distance))
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
    stagedBlocks = 1
    stagedSyncStart = false
    stagedIsPure = true
    stagedHasExisting = false
    stagedRecovery = .automatic
    stagedPredicate = nil
    stagedCount = 0
    unsafe stagedDependencies.removeAll()
    stagedScalarCount = 0
    stagedError = nil
  }
}
