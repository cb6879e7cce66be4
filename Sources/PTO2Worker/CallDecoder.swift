internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment

/// A subtask that can be called: checked, and its function found.
@safe struct KernelCall {
  let function: UInt
  let word: CallWord
  let descriptor: Descriptor
  let slot: MainSlot
}

/// Finds the descriptor, the main slot and the function that a dispatch word names.
struct CallDecoder {
  private struct Ring {
    /// First byte of the ring's descriptors, from dispatch_base.
    var begin: UInt64
    var descriptors: RingTable<Descriptor>
    var slots: RingTable<MainSlot>
  }

  private let rings: [Ring]
  private let directory: KernelDirectory

  init(_ segment: borrowing Segment, _ directory: KernelDirectory) {
    var rings: [Ring] = []
    for ring in segment.configuration.rings.indices {
      let begin = segment.layout.section(.dispatchTable, ring: ring).offset
      rings.append(
        // dispatch_base as the header said when it was checked.
        Ring(
          begin: begin - segment.layout.dispatchBase, descriptors: segment.descriptors(ring),
          slots: segment.mainRing(ring)))
    }
    self.rings = rings
    self.directory = directory
  }

  /// - Parameter offset: as a dispatch word gives it.
  @inline(__always)
  func decode(_ offset: UInt64, subtask: UInt32) throws(Garbage) -> KernelCall {
    var ring = rings.count - 1
    while ring > 0 && offset < rings[ring].begin { ring -= 1 }
    let (index, rest) = (offset - rings[ring].begin)
      .quotientAndRemainder(dividingBy: UInt64(Descriptor.stride))
    guard rest == 0, index < UInt64(rings[ring].descriptors.count) else {
      throw Garbage("no descriptor begins at offset \(offset)")
    }
    let position = UInt32(truncatingIfNeeded: index)
    let descriptor = rings[ring].descriptors[position]
    let call = descriptor.call(subtask)
    let function = directory.function(of: call)
    guard function != 0, call.tensors <= Int(PTO2_MAX_TENSORS),
      call.scalars <= Int(PTO2_MAX_SCALARS)
    else { throw Garbage("no image has a kernel at 0x\(String(call.rawValue, radix: 16))") }
    return KernelCall(
      function: function, word: call, descriptor: descriptor,
      slot: rings[ring].slots[position])
  }
}
