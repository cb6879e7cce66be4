package import PTO2Protocol

/// Transfers: tasks without kernels, which the link carries out.
extension Orchestrator {
  /// Submits a transfer. A send reads its tensor; a receive overwrites all of it: it waits for
  /// whoever reads or writes these bytes here, and needs nothing of what was there.
  /// - Parameter tensor: what is sent or received; nil: the message alone counts.
  package mutating func submitTransfer(
    _ order: TransferOrder, tensor: AnyTensor?
  ) throws(PTO2Error) -> TaskID {
    try refuseInRecording("a transfer")
    try beginStaging()
    staged.attributes.isTransfer = true
    if let tensor { stage(tensor, order.direction == .send ? .input : .outputExisting) }
    let (who, sequence, bytes) = order.scalars
    for scalar in [who, sequence, bytes] { stageScalar(scalar) }
    return try submit(KernelSet())
  }
}
