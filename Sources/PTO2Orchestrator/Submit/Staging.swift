internal import CPTO2Segment
internal import PTO2Protocol

/// What `TaskArguments` stages: each tensor checked against buffers and scopes.
extension Orchestrator {
  /// A run lasts and has no error so far, so a scope is open.
  @inline(__always)
  mutating func beginStaging() throws(PTO2Error) {
    try fault.check()
    guard !staged.attributes.isOpen else {
      throw fault.raise(PTO2Error(.invalidArgs, "submit inside the closure of another submit"))
    }
    staged.attributes.isOpen = true
  }

  mutating func stageFailure(_ error: PTO2Error) { staged.fail(error) }

  mutating func stage(_ tensor: AnyTensor, _ access: Access) {
    guard staged.hasRoomForTensor(), isUsable(tensor, access) else { return }
    staged.add(StagedArgument(tensor, access))
  }

  mutating func stageBlocks(_ count: Int, _ startTogether: Bool) {
    staged.setBlocks(count, startTogether: startTogether)
  }

  mutating func stageRecovery(_ recovery: Recovery) { staged.attributes.recovery = recovery }

  mutating func stageScalar(_ bits: UInt64) { staged.add(scalar: bits) }

  mutating func stagePredicate(
    _ tensor: AnyTensor, _ index: [Int], _ comparison: Comparison, _ value: UInt64, isReal: Bool
  ) {
    let type = tensor.dataType
    guard isReal == (type == .float32 || type == .float16 || type == .bfloat16) else {
      return staged.fail(
        PTO2Error(
          .invalidArgs,
          "predicate on a tensor of \(type): compare integers with Int, real types with Double"))
    }
    do throws(PTO2Error) {
      let element = try tensor.element(at: index)
      guard isUsable(element, .input) else { return }
      staged.add(
        StagedPredicate(
          argument: StagedArgument(element, .input), value: value, comparison: comparison.rawValue))
    } catch { staged.fail(error) }
  }

  /// Checks a tensor; an error is kept.
  private mutating func isUsable(_ tensor: AnyTensor, _ access: Access) -> Bool {
    if access.isWrite && tensor.isBroadcast {
      staged.fail(
        PTO2Error(
          .invalidArgs,
          "argument \(staged.arguments.count) is a broadcast view: it can only be read"))
      return false
    }
    guard let buffer = buffers.live(tensor),
      buffer.owner == .none || scopes.isOpen(buffer.scope)
    else {
      staged.fail(
        PTO2Error(
          .invalidArgs,
          "argument \(staged.arguments.count) is a tensor \(tensor.shape) whose scope has ended: its memory may be in use by others. Submit the task inside that scope, or use an external tensor"
        ))
      return false
    }
    guard buffer.state == .placed else {
      staged.fail(
        PTO2Error(
          .invalidArgs,
          "argument \(staged.arguments.count) is an output of the very task that is submitted"))
      return false
    }
    return true
  }

  mutating func stageOutput(_ shape: Shape, _ type: DataType) -> AnyTensor {
    let nothing = AnyTensor(buffer: Buffer.none, generation: 0, shape: Shape(), dataType: type)
    guard staged.hasRoomForTensor() else { return nothing }
    guard shape.isValid, let count = shape.elementCount else {
      staged.fail(
        PTO2Error(
          .invalidArgs,
          "output \(staged.arguments.count): shape \(shape) is not valid: expected 0 to 5 extents of at least 1 and fewer than 2^32 elements"
        ))
      return nothing
    }
    let bytes = UInt64(count) * UInt64(type.byteCount)
    let place = buffers.make(bytes: HeapRing.rounded(bytes), state: .declared)
    let tensor = AnyTensor(
      buffer: place, generation: buffers[place].generation, shape: shape, dataType: type)
    staged.add(StagedArgument(tensor, .output))
    return tensor
  }

  /// The id of the task that is submitted next in the current scope.
  var nextTaskID: TaskID {
    let ring = scopes.innermost.ring
    return TaskOrdinal(ring: ring, ordinal: rings[ring].current).id
  }

  mutating func stageDependency(_ id: TaskID, _ isRetained: Bool) {
    guard let task = rings.task(id) else {
      return staged.fail(
        PTO2Error(
          .invalidArgs, "dependency on task \(id), which was not submitted in this run", task: id))
    }
    if isRetained {
      guard task.ordinal >= rings[task.ring].consumed,
        scopes.isOpen(rings[task.ring][memory: task.ordinal].scope)
      else {
        return staged.fail(
          PTO2Error(
            .invalidArgs,
            "cannot retain task \(id): its scope has ended, so its outputs may be gone", task: id))
      }
    }
    staged.add(
      Dependency(
        task: task,
        flags: PTO2_FANIN_WAIT | PTO2_FANIN_DATA | (isRetained ? PTO2_FANIN_RETAIN : 0)))
  }

  /// Empties the staging area; outputs named there lose their place.
  mutating func unstage(keepOutputs: Bool) {
    if !keepOutputs {
      for index in 0..<staged.arguments.count where staged.arguments[index].access == .output {
        buffers.free(staged.arguments[index].buffer, &map)
      }
    }
    staged.reset()
  }
}
