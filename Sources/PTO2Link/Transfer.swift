internal import CPTO2Link
internal import CPTO2Segment
package import PTO2Protocol
internal import PTO2Segment

/// A transfer as its task says it, checked: nothing of it can lead out of the segment.
package struct Transfer {
  package var task: TaskID
  package var order: TransferOrder
  /// Where its elements lie; nil for a transfer of no bytes.
  var runs: ByteRuns?
  /// There is nothing to send, and that is what is sent; what is received is dropped.
  var isCancelled: Bool

  /// The length of the message that says so.
  static func cancelledBytes(of bytes: UInt64) -> UInt64 { bytes == 0 ? 1 : 0 }
}

/// Finds out what a start record asks for. The segment may have been overwritten: every value
/// is looked at before it is used.
@safe struct TransferReader {
  private let configuration: Configuration
  /// Heaps and arena, which lie at the segment's end: all that tensors may touch.
  private let begin: UInt64
  private let end: UInt64

  init(_ segment: borrowing Segment) {
    configuration = segment.configuration
    begin = segment.layout.section(.heap).offset
    end = segment.layout.totalBytes
  }

  func read(_ start: pto2_transfer_start, in segment: borrowing Segment) throws(PTO2Error)
    -> Transfer
  {
    let id = TaskID(rawValue: start.task_id)
    guard id.rawValue >> 32 < UInt64(configuration.rings.count) else {
      throw Self.garbage("task \(start.task_id), of a ring that there is not", nil)
    }
    let slot = segment.mainRing(id.ring)[id.local].header
    guard slot.task_id == id.rawValue else {
      throw Self.garbage("its slot is of task \(TaskID(rawValue: slot.task_id))", id)
    }
    guard SlotFlags(rawValue: slot.flags).contains(.transfer), slot.active_mask == 0 else {
      throw Self.garbage("its task is none of the link's (flags \(slot.flags))", id)
    }
    let (tensors, scalars) = (Int(slot.tensor_count), Int(slot.scalar_count))
    guard tensors <= 1, scalars == Int(PTO2_TRANSFER_SCALARS) else {
      throw Self.garbage("\(tensors) tensors and \(scalars) scalars", id)
    }
    guard start.outcome == 0 || start.outcome == UInt32(PTO2_OUTCOME_CANCELLED) else {
      throw Self.garbage("outcome \(start.outcome)", id)
    }
    let descriptor = segment.descriptors(id.ring)[id.local]
    guard
      let payload = Payload(
        of: descriptor, PayloadShape(tensors: tensors, scalars: scalars), in: segment.bytes)
    else { throw Self.garbage("a payload at offset \(descriptor.payload)", id) }
    let arguments = unsafe payload.arguments(of: descriptor)
    let values = unsafe (arguments[tensors], arguments[tensors + 1], arguments[tensors + 2])
    guard let order = TransferOrder(scalars: values, ranks: Int(configuration.ranks)),
      order.peer != Int(configuration.rank)
    else { throw Self.garbage("with rank \(values.0 >> 32), way \(values.0 & 0xFFFF_FFFF)", id) }
    let isCancelled = start.outcome != 0
    guard tensors == 1 else {
      guard order.bytes == 0 else {
        throw Self.garbage("\(order.bytes) bytes and no tensor", id)
      }
      return Transfer(task: id, order: order, runs: nil, isCancelled: isCancelled)
    }
    let tensor = payload.tensor(0)
    guard let (runs, bytes) = checkedRuns(tensor), bytes == order.bytes else {
      throw Self.garbage(
        "\(order.bytes) bytes of a tensor at offset \(tensor.offset), of rank \(tensor.rank), type \(tensor.dtype), shape \(tensor.shape) and strides \(tensor.strides)",
        id)
    }
    return Transfer(task: id, order: order, runs: runs, isCancelled: isCancelled)
  }

  static func garbage(_ what: String, _ task: TaskID?) -> PTO2Error {
    let name = task.map { "the transfer of task \($0)" } ?? "a transfer"
    return PTO2Error(
      .protocolViolation, "\(name): \(what). The segment was overwritten", task: task)
  }

  /// The runs of the tensor's elements, nil runs without any, and their bytes; nil unless all
  /// of them lie in memory for data.
  private func checkedRuns(_ tensor: pto2_tensor) -> (runs: ByteRuns?, bytes: UInt64)? {
    guard tensor.rank <= UInt8(PTO2_MAX_RANK), let type = DataType(rawValue: tensor.dtype) else {
      return nil
    }
    let (shape, strides) = (tensor.shape, tensor.strides)
    let extents = [shape.0, shape.1, shape.2, shape.3, shape.4].prefix(Int(tensor.rank))
    if extents.contains(0) { return (nil, 0) }
    let steps = [strides.0, strides.1, strides.2, strides.3, strides.4]
    let size = UInt64(type.byteCount)
    var count: UInt64 = 1
    var span: UInt64 = 1
    for (extent, step) in zip(extents, steps) where extent > 1 && step != 0 {
      guard step > 0 else { return nil }
      // Neither overflows: both are at most `end` before, and factors have 32 bits.
      count *= UInt64(extent)
      span += UInt64(extent - 1) * UInt64(step)
      guard count <= min(end, UInt64(UInt32.max)), span <= end else { return nil }
    }
    guard tensor.offset >= begin, tensor.offset <= end, span * size <= end - tensor.offset
    else { return nil }
    let runs = ByteRuns(
      offset: tensor.offset, rank: Int(tensor.rank), shape: shape, strides: strides,
      elementBytes: size)
    return (runs, count * size)
  }
}
