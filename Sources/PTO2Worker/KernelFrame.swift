internal import CPTO2Segment
internal import PTO2Protocol

/// What a kernel is called with: the arguments of its task, tensors as addresses in this
/// process.
@safe struct KernelFrame: ~Copyable {
  let memory: SegmentBytes
  private let data: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  let arguments: UnsafeMutablePointer<pto2_kernel_args>

  init(_ memory: SegmentBytes, core: CoreID) {
    self.memory = memory
    unsafe data = .allocate(capacity: Int(PTO2_MAX_TENSORS))
    unsafe data.initialize(repeating: nil, count: Int(PTO2_MAX_TENSORS))
    unsafe arguments = .allocate(capacity: 1)
    unsafe arguments.initialize(to: pto2_kernel_args())
    unsafe arguments.pointee.core = UInt32(truncatingIfNeeded: core.index)
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
    let values = unsafe call.descriptor.arguments
    let tensors = call.word.tensors
    for tensor in 0..<tensors {
      guard let address = unsafe memory.address(values[tensor]) else {
        throw Garbage("tensor \(tensor) at offset \(unsafe values[tensor]) beyond the segment")
      }
      unsafe data[tensor] = address
    }
    unsafe arguments.pointee.data = UnsafePointer(data)
    unsafe arguments.pointee.tensor = call.slot.tensors
    unsafe arguments.pointee.scalar = values + tensors
    unsafe arguments.pointee.tensor_count = UInt32(truncatingIfNeeded: tensors)
    unsafe arguments.pointee.scalar_count = UInt32(truncatingIfNeeded: call.word.scalars)
    unsafe arguments.pointee.slot = subtask
    let isSPMD = call.word.isSPMD
    unsafe arguments.pointee.block_index = isSPMD ? lane.block : 0
    unsafe arguments.pointee.block_count = isSPMD ? call.slot.blockCount : 1
  }
}
