package import PTO2Protocol

/// Transfers in words.
extension TransferOrder {
  /// Such as `receives 64 bytes from rank 1`.
  package var text: String {
    direction == .send ? "sends \(what) to rank \(peer)" : "receives \(what) from rank \(peer)"
  }

  /// Which of the transfers from one rank to the other it is, and how much.
  package var what: String { bytes == 0 ? "a message" : "\(bytes) bytes" }

  /// Of a task that is RUNNING.
  package var waitText: String {
    direction == .send
      ? "is sending \(what) (transfer \(sequence)) to rank \(peer), which has not taken it"
      : "waits for rank \(peer) to send \(what) (transfer \(sequence))"
  }
}
