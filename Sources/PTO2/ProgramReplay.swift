internal import CPTO2
internal import PTO2Orchestrator
internal import PTO2Protocol

/// Record and replay for a program in C.
extension CGraph {
  func beginRecording(_ record: UnsafePointer<pto2_holes>?) throws(PTO2Error) {
    let holes = unsafe try Holes(record)
    try graph.beginRecording(tensors: holes.tensors, scalars: holes.scalars)
  }

  func endRecording(_ outputs: UnsafePointer<pto2_tensor_handle>?, _ count: UInt32)
    throws(PTO2Error) -> pto2_template
  {
    let list = unsafe try handles(outputs, count, "outputs")
    return kernels.handle(try graph.endRecording(outputs: list))
  }

  func replay(
    _ template: pto2_template, _ record: UnsafePointer<pto2_holes>?,
    _ outputs: UnsafeMutablePointer<pto2_tensor_handle>?,
    _ tasks: UnsafeMutablePointer<pto2_task>?
  ) throws(PTO2Error) {
    let template = try kernels.template(template)
    let holes = unsafe try Holes(record)
    guard unsafe template.outputs.count == 0 || outputs != nil else {
      throw PTO2Error(.invalidArgs, "replay: \(template.outputs.count) outputs at NULL")
    }
    let replayed = try graph.replay(template, tensors: holes.tensors, scalars: holes.scalars)
    for (index, output) in replayed.outputs.enumerated() {
      unsafe outputs![index] = TensorHandle.encode(output)
    }
    if let tasks = unsafe tasks {
      for number in 0..<replayed.taskCount {
        unsafe tasks[number].id = replayed.task(number).rawValue
      }
    }
  }
}

/// What a `pto2_holes` says.
private struct Holes {
  var tensors: [AnyTensor] = []
  var scalars: [UInt64] = []

  /// - Parameter record: NULL for none.
  init(_ record: UnsafePointer<pto2_holes>?) throws(PTO2Error) {
    guard let record = unsafe record else { return }
    var holes = unsafe pto2_holes()
    unsafe try CRecord.copy(
      UnsafeRawPointer(record), into: &holes, least: CRecord.holesBytes, "pto2_holes")
    tensors = unsafe try handles(holes.tensors, holes.tensor_count, "tensors of the holes")
    guard unsafe holes.scalar_count == 0 || holes.scalars != nil else {
      throw PTO2Error(.invalidArgs, "\(unsafe holes.scalar_count) scalars of the holes at NULL")
    }
    scalars = (0..<Int(unsafe holes.scalar_count)).map { unsafe holes.scalars[$0] }
  }
}

private func handles(
  _ first: UnsafePointer<pto2_tensor_handle>?, _ count: UInt32, _ what: String
) throws(PTO2Error) -> [AnyTensor] {
  guard unsafe count == 0 || first != nil else {
    throw PTO2Error(.invalidArgs, "\(count) \(what) at NULL")
  }
  var list: [AnyTensor] = []
  list.reserveCapacity(Int(count))
  for index in 0..<Int(count) {
    list.append(unsafe try TensorHandle.decode(first! + index))
  }
  return list
}
