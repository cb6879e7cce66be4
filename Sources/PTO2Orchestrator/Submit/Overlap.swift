internal import PTO2Protocol

/// Tensors of one task that share elements.
extension Orchestrator {
  /// An input and an outputExisting tensor of the staged task with elements in
  /// common: after half a run the input is not what it was. A view of more than
  /// `TensorMap.maximumRuns` runs counts as everything from its first element to its
  /// last.
  func overwrittenInput() -> (input: Int, output: Int)? {
    guard stagedHasExisting else { return nil }
    for output in 0..<stagedCount {
      guard unsafe staged[output].access == Access.outputExisting.rawValue else { continue }
      for input in 0..<stagedCount
      where unsafe staged[input].access == Access.input.rawValue
        && overlaps(staged + input, staged + output)
      {
        return (input, output)
      }
    }
    return nil
  }

  private func overlaps(
    _ a: UnsafeMutablePointer<StagedArgument>, _ b: UnsafeMutablePointer<StagedArgument>
  ) -> Bool {
    guard unsafe a.pointee.buffer == b.pointee.buffer, unsafe a.pointee.offset < b.pointee.end,
      unsafe b.pointee.offset < a.pointee.end
    else { return false }
    var isFound = false
    unsafe Self.forEachRun(a) { begin, end in
      if isFound { return }
      unsafe Self.forEachRun(b) { otherBegin, otherEnd in
        if begin < otherEnd && otherBegin < end { isFound = true }
      }
    }
    return isFound
  }
}
