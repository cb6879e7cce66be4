internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment

/// Whether a task that lost its worker may run again.
extension StagedTask {
  /// True when an attempt that was broken off leaves nothing that a second one
  /// would see: it only reads, and writes what it does not read.
  @inline(__always)
  mutating func mayRunAgain() -> Bool {
    switch attributes.recovery {
    case .automatic:
      attributes.isPure && (!attributes.hasOverwritten || overwrittenInput() == nil)
    case .again, .snapshot: true
    case .once: false
    }
  }

  /// An input and a tensor that is overwritten, with elements in common: after half a run
  /// the input is not what it was.
  @inline(never)
  mutating func overwrittenInput() -> (input: Int, output: Int)? {
    guard attributes.hasOverwritten else { return nil }
    for output in 0..<arguments.count where arguments[output].access == .outputExisting {
      for input in 0..<arguments.count where arguments[input].access == .input {
        if Self.overlaps(arguments[input], arguments[output]) { return (input, output) }
      }
    }
    return nil
  }

  private static func overlaps(_ a: StagedArgument, _ b: StagedArgument) -> Bool {
    a.buffer == b.buffer && !a.isEmpty && !b.isEmpty && a.offset < b.end && b.offset < a.end
      && a.box.meets(b.box)
  }
}

/// Room for what a task's INOUT tensors held before it: `Recovery.snapshot`.
extension StagedTask {
  /// Bytes of the task's snapshot, its header included; 0 when there is nothing to
  /// keep.
  /// - Throws: error 5 for a task whose tensors not it alone changes.
  @inline(never)
  mutating func snapshotBytes() throws(PTO2Error) -> UInt64 {
    let activeMask = attributes.kernels.activeMask
    guard activeMask != 0 else { return 0 }
    if let (input, output) = overwrittenInput() {
      throw PTO2Error(
        .invalidArgs,
        "recovery by snapshot: argument \(output) overwrites (PTO2_OUTPUT_EXISTING) elements of argument \(input), an input. Pass it as inout, so that a snapshot is taken of it"
      )
    }
    var bytes: UInt64 = 0
    for index in 0..<arguments.count {
      let argument = arguments[index]
      if argument.access == .noDependency {
        throw PTO2Error(
          .invalidArgs,
          "recovery by snapshot: argument \(index) is unordered (PTO2_NO_DEP): no snapshot is taken of it. Pass it in another way, or choose another recovery"
        )
      }
      guard argument.access == .inout else { continue }
      let size = UInt64(argument.dataType.byteCount)
      bytes += HeapRing.rounded(UInt64(argument.elementCount) * size)
    }
    if bytes == 0 { return 0 }
    guard activeMask.nonzeroBitCount == 1, attributes.blocks.count == 1 else {
      throw PTO2Error(
        .invalidArgs,
        "recovery by snapshot: a task that changes tensors in place has \(activeMask.nonzeroBitCount) kernels and \(attributes.blocks.count) blocks, expected one of each: what the others have stored would be undone. Split the task, or choose another recovery"
      )
    }
    return UInt64(PTO2_SNAPSHOT_ELEMENTS) + bytes
  }
}

extension Segment {
  /// Published with the task.
  @inline(never)
  func markSnapshotEmpty(at offset: UInt64) {
    unsafe OwnedWord(address(offset)).storeRelaxed(PTO2_SNAPSHOT_EMPTY)
  }
}
