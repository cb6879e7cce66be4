package import PTO2Protocol

/// Transfers: tasks without kernels, which the link carries out.
extension Orchestrator {
  /// Submits a transfer. A send reads its tensor; a receive overwrites all of it: it waits for
  /// whoever reads or writes these bytes here, and needs nothing of what was there.
  /// - Parameters:
  ///   - tensor: what is sent or received; nil: the message alone counts.
  ///   - task: on this rank, done before it starts; nil: none.
  package mutating func submitTransfer(
    _ order: TransferOrder, tensor: AnyTensor?
  ) throws(PTO2Error) -> TaskID {
    try submitTransfer(order, tensor: tensor, after: nil)
  }

  mutating func submitTransfer(
    _ order: TransferOrder, tensor: AnyTensor?, after task: TaskOrdinal?
  ) throws(PTO2Error) -> TaskID {
    try refuseInRecording("a transfer")
    try beginStaging()
    staged.attributes.isTransfer = true
    if let tensor { stage(tensor, order.direction == .send ? .input : .outputExisting) }
    if let task { stageDependency(task, isRetained: false) }
    let (who, sequence, bytes) = order.scalars
    for scalar in [who, sequence, bytes] { stageScalar(scalar) }
    return try submit(KernelSet())
  }
}
