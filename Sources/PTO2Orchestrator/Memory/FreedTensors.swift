package import PTO2Protocol

/// External tensors and kept outputs that the program gives back before its run ends.
extension Orchestrator {
  /// Waits for nothing: who uses the tensor has its address. Its handles are refused from
  /// now on.
  package mutating func free(_ tensor: AnyTensor) throws(PTO2Error) {
    try fault.check()
    try refuseInside("a tensor that is freed")
    guard !staged.attributes.isOpen else {
      throw fault.raise(PTO2Error(.invalidArgs, "free inside the closure of a submit"))
    }
    guard let buffer = buffers.live(tensor), buffer.state == .placed, buffer.isOfProgram else {
      throw fault.raise(
        PTO2Error(
          .invalidArgs,
          "free: tensor \(tensor.shape) is neither external nor a kept output, or was freed before. Other outputs are freed when their scope ends"
        ))
    }
    arena.free(
      buffer.offset, bytes: buffer.bytes, marks: (0..<rings.count).map { rings[$0].current })
    buffers.free(tensor.buffer, &map)
  }

  /// Makes room in the arena of what was freed. Blocks for as long as tasks use all of it.
  mutating func reclaimArena(_ bytes: UInt64) throws(PTO2Error) {
    refreshAll()
    while true {
      let released = (0..<rings.count).map { rings[$0].released }
      arena.reclaim { released[$0] }
      guard !arena.hasRoom(bytes), let marks = arena.oldestMarks else { return }
      for ring in marks.indices {
        try wait(on: .released(ring), target: marks[ring]) {
          $0.rings[ring].released >= marks[ring]
        }
      }
    }
  }
}
