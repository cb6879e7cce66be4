internal import CPTO2Segment
internal import Glibc
internal import PTO2Orchestrator
internal import PTO2Protocol
internal import PTO2System

private func shape(_ rank: UInt32, _ extents: UnsafePointer<UInt32>?) throws(PTO2Error) -> Shape {
  guard rank <= UInt32(PTO2_MAX_RANK) else {
    throw PTO2Error(.invalidArgs, "rank \(rank): expected 0 to \(PTO2_MAX_RANK)")
  }
  guard rank > 0 else { return Shape() }
  guard let extents = unsafe extents else { throw PTO2Error(.invalidArgs, "a shape is NULL") }
  return Shape((0..<Int(rank)).map { unsafe Int(extents[$0]) })
}

/// One number per dimension.
private func numbers(_ rank: Int, _ list: UnsafePointer<UInt32>?, _ what: String) throws(PTO2Error)
  -> [Int]
{
  guard rank > 0 else { return [] }
  guard let list = unsafe list else {
    throw PTO2Error(.invalidArgs, "\(what) of rank \(rank): the list is NULL")
  }
  return (0..<rank).map { unsafe Int(list[$0]) }
}

/// Calls the closure with an element's place and size once its tasks are done.
private func accessElement(
  _ box: ProgramBox, _ handle: UnsafePointer<pto2_tensor_handle>?, _ index: UnsafePointer<UInt32>?,
  _ limit: Double, _ element: UnsafeRawPointer?, includingReaders: Bool = false,
  _ body: (UnsafeMutableRawPointer, Int) -> Void
) -> Int32 {
  box.call {
    let tensor = unsafe try TensorHandle.decode(handle)
    guard unsafe element != nil else { throw PTO2Error(.invalidArgs, "the element is NULL") }
    let place = unsafe try box.graph.element(
      tensor, numbers(tensor.shape.rank, index, "the index"), includingReaders: includingReaders,
      limitSeconds: limit)
    unsafe body(place, tensor.dataType.byteCount)
  }
}

private func dataType(_ raw: UInt32) throws(PTO2Error) -> DataType {
  guard raw < UInt32(PTO2_DTYPE_COUNT), let type = DataType(rawValue: UInt8(raw)) else {
    throw PTO2Error(.invalidArgs, "data type \(raw): expected 0 to \(PTO2_DTYPE_COUNT - 1)")
  }
  return type
}

/// The functions of pto2_program.h.
var programAPI: pto2_program_api {
  unsafe pto2_program_api(
    major: UInt32(PTO2_PROGRAM_MAJOR), bytes: UInt32(MemoryLayout<pto2_program_api>.size),
    external_tensor: { handle, type, rank, extents, out in
      let box = unsafe ProgramBox.of(handle)
      return box.call {
        let tensor = try box.graph.external(unsafe shape(rank, extents), dataType(type))
        unsafe out?.pointee = TensorHandle.encode(tensor)
      }
    },
    slice: { handle, base, offsets, extents, out in
      unsafe ProgramBox.of(handle).call {
        let tensor = unsafe try TensorHandle.decode(base)
        let rank = tensor.shape.rank
        let view = try tensor.slice(
          unsafe numbers(rank, offsets, "offsets"), unsafe shape(UInt32(rank), extents))
        unsafe out?.pointee = TensorHandle.encode(view)
      }
    },
    reshape: { handle, base, rank, extents, out in
      unsafe ProgramBox.of(handle).call {
        let view = unsafe try TensorHandle.decode(base).reshape(shape(rank, extents))
        unsafe out?.pointee = TensorHandle.encode(view)
      }
    },
    data: { handle, tensor in
      let box = unsafe ProgramBox.of(handle)
      var address: UnsafeMutableRawPointer?
      _ = box.call {
        unsafe address = unsafe box.graph.orchestrator.pointee.address(of: try TensorHandle.decode(tensor))
      }
      return unsafe address
    },
    scope_begin: { handle in
      let box = unsafe ProgramBox.of(handle)
      return box.call { try box.graph.beginScope() }
    },
    scope_end: { handle in
      let box = unsafe ProgramBox.of(handle)
      return box.call { try box.graph.endScope() }
    },
    submit: { handle, submission, task in
      let box = unsafe ProgramBox.of(handle)
      return box.call {
        guard let submission = unsafe submission else {
          throw PTO2Error(.invalidArgs, "the submission is NULL")
        }
        let id = unsafe try submitFromC(box, submission.pointee)
        unsafe task?.pointee.id = id.rawValue
      }
    },
    wait: { handle in
      let box = unsafe ProgramBox.of(handle)
      return box.call { try box.graph.wait() }
    },
    fail: { handle, message in
      let box = unsafe ProgramBox.of(handle)
      let text = unsafe message.map { unsafe String(cString: $0) } ?? "the program failed"
      return box.call { throw box.graph.fail(text) }
    },
    error_message: { handle in unsafe UnsafePointer(ProgramBox.of(handle).message) },
    scope_begin_manual: { handle in
      let box = unsafe ProgramBox.of(handle)
      return box.call { try box.graph.beginScope(.manual) }
    },
    slice_steps: { handle, base, offsets, extents, steps, out in
      unsafe ProgramBox.of(handle).call {
        let tensor = unsafe try TensorHandle.decode(base)
        let rank = tensor.shape.rank
        let view = try tensor.slice(
          unsafe numbers(rank, offsets, "offsets"), unsafe shape(UInt32(rank), extents),
          steps: unsafe numbers(rank, steps, "steps"))
        unsafe out?.pointee = TensorHandle.encode(view)
      }
    },
    transpose: { handle, base, first, second, out in
      unsafe ProgramBox.of(handle).call {
        let view = unsafe try TensorHandle.decode(base).transpose(Int(first), Int(second))
        unsafe out?.pointee = TensorHandle.encode(view)
      }
    },
    broadcast: { handle, base, rank, extents, out in
      unsafe ProgramBox.of(handle).call {
        let view = unsafe try TensorHandle.decode(base).broadcast(to: shape(rank, extents))
        unsafe out?.pointee = TensorHandle.encode(view)
      }
    },
    allocate: { handle, type, rank, extents, out in
      let box = unsafe ProgramBox.of(handle)
      return box.call {
        let tensor = try box.graph.allocate(unsafe shape(rank, extents), dataType(type))
        unsafe out?.pointee = TensorHandle.encode(tensor)
      }
    },
    fill: { handle, type, rank, extents, element, out in
      let box = unsafe ProgramBox.of(handle)
      return box.call {
        guard let element = unsafe element else {
          throw PTO2Error(.invalidArgs, "fill: the element is NULL")
        }
        let type = try dataType(type)
        var bits: UInt64 = 0
        unsafe memcpy(&bits, element, type.byteCount)
        let tensor = try box.graph.fill(unsafe shape(rank, extents), type, bits: bits)
        unsafe out?.pointee = TensorHandle.encode(tensor)
      }
    },
    get: { handle, tensor, index, limit, element in
      unsafe accessElement(ProgramBox.of(handle), tensor, index, limit, element) { place, bytes in
        unsafe memcpy(element!, place, bytes)
      }
    },
    set: { handle, tensor, index, limit, element in
      unsafe accessElement(
        ProgramBox.of(handle), tensor, index, limit, element, includingReaders: true
      ) { place, bytes in unsafe memcpy(place, element!, bytes) }
    })
}

private func submitFromC(_ box: ProgramBox, _ submission: pto2_submission) throws -> TaskID {
  let aic = unsafe try box.kernel(submission.kernels.0)
  let aiv0 = unsafe try box.kernel(submission.kernels.1)
  let aiv1 = unsafe try box.kernel(submission.kernels.2)
  if unsafe (submission.argument_count > 0 && submission.arguments == nil)
    || (submission.scalar_count > 0 && submission.scalars == nil)
    || (submission.dependency_count > 0 && submission.dependencies == nil)
  {
    throw PTO2Error(.invalidArgs, "arguments, scalars or dependencies are NULL")
  }
  return try box.graph.submitRaw(aic, aiv0, aiv1) { (task: inout TaskArguments) throws(PTO2Error) in
    unsafe try stage(submission, into: &task)
  }
}

private func stage(_ predicate: pto2_predicate, into task: inout TaskArguments) throws(PTO2Error) {
  guard let handle = unsafe predicate.tensor else { return }
  let tensor = unsafe try TensorHandle.decode(handle)
  guard let comparison = Comparison(rawValue: UInt8(clamping: unsafe predicate.comparison)) else {
    throw PTO2Error(.invalidArgs, "comparison \(unsafe predicate.comparison): expected 0 to 5")
  }
  guard unsafe tensor.shape.rank == 0 || predicate.index != nil else {
    throw PTO2Error(.invalidArgs, "predicate: the index is NULL")
  }
  let index = (0..<tensor.shape.rank).map { unsafe Int(predicate.index[$0]) }
  switch tensor.dataType {
  case .float32, .float16, .bfloat16:
    task.when(tensor, at: index, comparison, unsafe predicate.real)
  default: task.when(tensor, at: index, comparison, Int(unsafe predicate.integer))
  }
}

private func stage(_ submission: pto2_submission, into task: inout TaskArguments) throws(PTO2Error)
{
  for index in 0..<Int(unsafe submission.argument_count) {
    let argument = unsafe submission.arguments[index]
    switch unsafe argument.access {
    case PTO2_INPUT.rawValue: task.input(unsafe try TensorHandle.decode(argument.tensor))
    case PTO2_INOUT.rawValue: task.inout(unsafe try TensorHandle.decode(argument.tensor))
    case PTO2_OUTPUT_EXISTING.rawValue:
      task.outputExisting(unsafe try TensorHandle.decode(argument.tensor))
    case PTO2_NO_DEP.rawValue: task.noDependency(unsafe try TensorHandle.decode(argument.tensor))
    case PTO2_OUTPUT.rawValue:
      let e = unsafe argument.shape
      let rank = unsafe Int(argument.rank)
      guard rank <= Int(PTO2_MAX_RANK) else {
        throw PTO2Error(
          .invalidArgs, "argument \(index): rank \(rank), expected 0 to \(PTO2_MAX_RANK)")
      }
      let tensor = task.output(Shape(rank: rank, extents: e), try dataType(unsafe argument.dtype))
      unsafe argument.tensor?.pointee = TensorHandle.encode(tensor)
    default:
      throw PTO2Error(
        .invalidArgs, "argument \(index): access \(unsafe argument.access) is not valid")
    }
  }
  for index in 0..<Int(unsafe submission.scalar_count) {
    task.scalar(unsafe submission.scalars[index])
  }
  for index in 0..<Int(unsafe submission.dependency_count) {
    let dependency = unsafe submission.dependencies[index]
    let id = TaskID(rawValue: dependency.task.id)
    if dependency.retain != 0 { task.retain(id) } else { task.after(id) }
  }
  if unsafe submission.block_count > 1 || submission.require_sync_start != 0 {
    task.blocks(
      Int(unsafe max(1, submission.block_count)),
      startTogether: unsafe submission.require_sync_start != 0)
  }
  switch unsafe submission.recovery {
  case PTO2_RECOVERY_AUTOMATIC: break
  case PTO2_RECOVERY_AGAIN: task.recovery(.again)
  case PTO2_RECOVERY_ONCE: task.recovery(.once)
  case PTO2_RECOVERY_SNAPSHOT: task.recovery(.snapshot)
  default:
    throw PTO2Error(
      .invalidArgs, "recovery \(unsafe submission.recovery): expected PTO2_RECOVERY_... (0 to 3)")
  }
  unsafe try stage(submission.predicate, into: &task)
}
