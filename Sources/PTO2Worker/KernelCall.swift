internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment

/// A subtask that can be called: checked, and its function found.
@safe struct KernelCall {
  let function: UInt
  let word: CallWord
  let descriptor: Descriptor
  let payload: Payload
  let slot: MainSlot
}

/// Finds the descriptor, payload, main slot and function that a dispatch word names.
struct CallDecoder {
  private struct Ring {
    /// First byte of the ring's descriptors, from dispatch_base.
    var begin: UInt64
    var descriptors: RingTable<Descriptor>
    var slots: RingTable<MainSlot>
  }

  private let rings: [Ring]
  private let memory: SegmentBytes
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
    memory = segment.bytes
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
    let shape = PayloadShape(tensors: call.tensors, scalars: call.scalars)
    guard let payload = Payload(of: descriptor, shape, in: memory) else {
      throw Garbage("a payload of \(shape.bytes) bytes at offset \(descriptor.payload)")
    }
    return KernelCall(
      function: function, word: call, descriptor: descriptor, payload: payload,
      slot: rings[ring].slots[position])
  }
}

/// What a kernel is called with: the arguments of its task, tensors as addresses in this
/// process.
@safe struct KernelFrame: ~Copyable {
  let memory: SegmentBytes
  private let data: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  let arguments: UnsafeMutablePointer<pto2_kernel_args>

  /// - Parameter constants: of the session; nil when there are none.
  init(
    _ memory: SegmentBytes, core: CoreID, clusters: UInt32,
    constants: UnsafeRawBufferPointer? = nil
  ) {
    self.memory = memory
    unsafe data = .allocate(capacity: Int(PTO2_MAX_TENSORS))
    unsafe data.initialize(repeating: nil, count: Int(PTO2_MAX_TENSORS))
    unsafe arguments = .allocate(capacity: 1)
    unsafe arguments.initialize(to: pto2_kernel_args())
    unsafe arguments.pointee.core = UInt32(truncatingIfNeeded: core.index)
    unsafe arguments.pointee.slot = UInt32(
      truncatingIfNeeded: core.index % Int(PTO2_CORES_PER_CLUSTER))
    unsafe arguments.pointee.block_count = 1
    unsafe arguments.pointee.constants = constants?.baseAddress
    unsafe arguments.pointee.constant_bytes = UInt64(constants?.count ?? 0)
    unsafe arguments.pointee.cluster_count = clusters
    unsafe arguments.pointee.core_count = clusters * UInt32(PTO2_CORES_PER_CLUSTER)
  }

  deinit {
    unsafe data.deallocate()
    unsafe arguments.deallocate()
  }

  /// - Parameter lane: where the block of an SPMD dispatch stands.
  @inline(__always)
  func fill(
    _ call: KernelCall, subtask: UInt32, lane: Lane<SharedWord>
  ) throws(Garbage) {
    let values = unsafe call.payload.arguments(of: call.descriptor)
    let tensors = call.word.tensors
    for tensor in 0..<tensors {
      guard let address = unsafe memory.address(values[tensor]) else {
        throw Garbage("tensor \(tensor) at offset \(unsafe values[tensor]) beyond the segment")
      }
      unsafe data[tensor] = address
    }
    unsafe arguments.pointee.data = UnsafePointer(data)
    unsafe arguments.pointee.tensor = call.payload.tensors
    unsafe arguments.pointee.scalar = values + tensors
    unsafe arguments.pointee.tensor_count = UInt32(truncatingIfNeeded: tensors)
    unsafe arguments.pointee.scalar_count = UInt32(truncatingIfNeeded: call.word.scalars)
    unsafe arguments.pointee.slot = subtask
    let isSPMD = call.word.isSPMD
    unsafe arguments.pointee.block_index = isSPMD ? lane.block : 0
    unsafe arguments.pointee.block_count = isSPMD ? call.slot.blocks.count : 1
  }
}
