internal import CPTO2
internal import Glibc
internal import PTO2Orchestrator
internal import PTO2Protocol

/// A task that a program in C describes, put together and submitted. Allocates nothing
/// unless it fails.
extension CGraph {
  func submit(_ record: UnsafeRawPointer?) throws(PTO2Error) -> TaskID {
    var submission = unsafe pto2_submission()
    unsafe try CRecord.copy(
      record, into: &submission, least: CRecord.submissionBytes, "pto2_submission")
    let aic = unsafe try kernel(submission.kernels.0, submission.kernel_names.0)
    let aiv0 = unsafe try kernel(submission.kernels.1, submission.kernel_names.1)
    let aiv1 = unsafe try kernel(submission.kernels.2, submission.kernel_names.2)
    return try graph.submitRaw(aic, aiv0, aiv1) {
      (task: inout TaskBuilder) throws(PTO2Error) in
      unsafe try stage(submission, into: &task)
    }
  }
}

private func stage(_ submission: pto2_submission, into task: inout TaskBuilder) throws(PTO2Error) {
  let arguments = unsafe try CRecords(
    submission.arguments, count: submission.argument_count, "pto2_argument")
  for index in 0..<arguments.count {
    unsafe try stage(argument: arguments.at(index), index, into: &task)
  }
  guard unsafe submission.scalar_count == 0 || submission.scalars != nil else {
    throw PTO2Error(.invalidArgs, "\(unsafe submission.scalar_count) scalars at NULL")
  }
  // Before any is read: the count may be anything.
  guard unsafe submission.scalar_count <= UInt32(PTO2_MAX_SCALARS) else {
    throw PTO2Error(
      .invalidArgs,
      "a task can have \(PTO2_MAX_SCALARS) scalars at most, not \(unsafe submission.scalar_count)",
      needed: UInt64(unsafe submission.scalar_count), available: UInt64(PTO2_MAX_SCALARS))
  }
  for index in 0..<Int(unsafe submission.scalar_count) {
    if let holes = unsafe submission.scalar_holes, unsafe holes[index] > 0 {
      task.scalar(hole: unsafe Int(holes[index]) - 1)
    } else {
      task.scalar(bits: unsafe submission.scalars[index])
    }
  }
  let dependencies = unsafe try CRecords(
    submission.dependencies, count: submission.dependency_count, "pto2_dependency")
  for index in 0..<dependencies.count {
    unsafe try stage(dependency: dependencies.at(index), into: &task)
  }
  if unsafe submission.block_count > 1 || submission.require_sync_start != 0 {
    task.blocks(
      Int(unsafe max(1, submission.block_count)),
      startTogether: unsafe submission.require_sync_start != 0)
  }
  if let name = unsafe submission.name {
    unsafe task.name(UnsafeRawBufferPointer(start: name, count: strlen(name)))
  }
  if unsafe submission.near != 0 { task.near(cluster: Int(unsafe submission.near) - 1) }
  if unsafe submission.run_on != 0 { task.run(on: Int(unsafe submission.run_on) - 1) }
  switch unsafe submission.recovery {
  case PTO2_RECOVERY_AUTOMATIC: break
  case PTO2_RECOVERY_AGAIN: task.recovery = .again
  case PTO2_RECOVERY_ONCE: task.recovery = .once
  case PTO2_RECOVERY_SNAPSHOT: task.recovery = .snapshot
  default:
    throw PTO2Error(
      .invalidArgs,
      "recovery \(unsafe submission.recovery.rawValue): expected PTO2_RECOVERY_... (0 to 3)")
  }
  if let predicate = unsafe submission.predicate {
    unsafe try stage(predicate: predicate, into: &task)
  }
}

private func stage(
  argument record: UnsafeRawPointer, _ index: Int, into task: inout TaskBuilder
) throws(PTO2Error) {
  var argument = unsafe pto2_argument()
  unsafe try CRecord.copy(
    record, into: &argument, least: CRecord.argumentBytes, "pto2_argument")
  switch unsafe argument.access {
  case PTO2_INPUT: task.input(unsafe try TensorHandle.decode(argument.tensor))
  case PTO2_INOUT: task.inout(unsafe try TensorHandle.decode(argument.tensor))
  case PTO2_OUTPUT_EXISTING:
    task.overwrite(unsafe try TensorHandle.decode(argument.tensor))
  case PTO2_NO_DEP: task.unordered(unsafe try TensorHandle.decode(argument.tensor))
  case PTO2_NO_DEP_CREATED:
    task.unordered(unsafe try TensorHandle.decode(argument.tensor), afterCreator: true)
  case PTO2_OUTPUT, PTO2_OUTPUT_KEPT:
    let rank = unsafe Int(argument.rank)
    guard rank <= Int(PTO2_MAX_RANK) else {
      throw PTO2Error(
        .invalidArgs, "argument \(index): rank \(rank), expected 0 to \(PTO2_MAX_RANK)")
    }
    let type = unsafe try dataType(argument.dtype)
    let shape = unsafe Shape(rank: rank, extents: argument.shape)
    let tensor =
      unsafe argument.access == PTO2_OUTPUT
      ? task.output(of: type, shape) : task.keptOutput(of: type, shape)
    unsafe argument.tensor?.pointee = TensorHandle.encode(tensor)
  default:
    throw PTO2Error(
      .invalidArgs, "argument \(index): access \(unsafe argument.access.rawValue) is not valid")
  }
}

private func stage(
  dependency record: UnsafeRawPointer, into task: inout TaskBuilder
) throws(PTO2Error) {
  var dependency = pto2_dependency()
  unsafe try CRecord.copy(
    record, into: &dependency, least: CRecord.dependencyBytes, "pto2_dependency")
  let id = TaskID(rawValue: dependency.task.id)
  if dependency.retain != 0 { task.retain(id) } else { task.after(id) }
}

private func stage(
  predicate record: UnsafePointer<pto2_predicate>, into task: inout TaskBuilder
) throws(PTO2Error) {
  var predicate = unsafe pto2_predicate()
  unsafe try CRecord.copy(
    record, into: &predicate, least: CRecord.predicateBytes, "pto2_predicate")
  let tensor = unsafe try TensorHandle.decode(predicate.tensor)
  guard
    let comparison = Comparison(rawValue: UInt8(clamping: unsafe predicate.comparison.rawValue))
  else {
    throw PTO2Error(
      .invalidArgs, "comparison \(unsafe predicate.comparison.rawValue): expected 0 to 5")
  }
  guard unsafe tensor.shape.rank == 0 || predicate.index != nil else {
    throw PTO2Error(.invalidArgs, "predicate: the index is NULL")
  }
  let index = (0..<tensor.shape.rank).map { unsafe Int(predicate.index[$0]) }
  if tensor.dataType.isReal {
    task.run(
      when: tensor, at: index, is: Condition(comparison, unsafe predicate.real))
  } else {
    task.run(
      when: tensor, at: index, is: Condition(comparison, Int(unsafe predicate.integer)))
  }
}
