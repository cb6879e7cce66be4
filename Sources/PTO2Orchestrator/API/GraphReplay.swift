public import PTO2Protocol

/// What a replay has submitted.
public struct Replayed: Sendable {
  /// What the recording's closure has named, made anew by the replay's tasks. They live as
  /// long as the scope of the replay.
  public let outputs: [AnyTensor]
  /// Tasks it has submitted.
  public let taskCount: Int
  private let first: TaskID

  package init(outputs: [AnyTensor], taskCount: Int, first: TaskID) {
    self.outputs = outputs
    self.taskCount = taskCount
    self.first = first
  }

  /// The id of a task by its number in the recording, from 0 on.
  public func task(_ number: Int) -> TaskID {
    precondition((0..<taskCount).contains(number), "no such task")
    return TaskID(ring: first.ring, local: first.local &+ UInt32(number))
  }
}

/// Tasks that are analysed once and submitted again and again.
extension Graph {
  /// Runs a closure and keeps the tasks it submits as a template. The tasks are submitted
  /// as always: the recording is their first run.
  ///
  ///     let step = try graph.record(tensors: [AnyTensor(x)], scalars: [7]) { outputs in
  ///       let y = try graph.submit(aiv: kernel) { task in
  ///         task.input(x)
  ///         task.scalar(hole: 0)
  ///         return task.output(of: Float.self, [16])
  ///       }
  ///       outputs.append(AnyTensor(y))
  ///     }
  ///     let next = try graph.replay(step, tensors: [AnyTensor(y)], scalars: [8])
  ///
  /// Only tasks can be recorded: a scope, a wait, a look at a tensor's elements, a filled
  /// tensor, another recording and a replay in the closure are `invalidArgs`, and so is a
  /// dependency by id on a task from before. Every other tensor that a task uses (views of
  /// holes and of outputs are none) is the same in every replay.
  /// - Parameters:
  ///   - tensors: the holes: tensors and views, no two with an element in common, for
  ///     which a replay has others.
  ///   - scalars: bits of scalars for which a replay has others: `task.scalar(hole:)`.
  ///   - tasks: submits; is given an empty list for outputs of its tasks, or views of
  ///     them, of which a replay is to return handles.
  /// - Throws: `invalidArgs`; what the closure throws, as `scope` does. Then what was
  ///   submitted runs, and nothing is kept.
  public func record(
    tensors: [AnyTensor] = [], scalars: [UInt64] = [],
    _ tasks: (_ outputs: inout [AnyTensor]) throws -> Void
  ) throws(PTO2Error) -> TaskTemplate {
    try beginRecording(tensors: tensors, scalars: scalars)
    var outputs: [AnyTensor] = []
    do { try tasks(&outputs) } catch {
      unsafe orchestrator.pointee.dropRecording()
      throw PTO2Error(ofProgram: error)
    }
    return try endRecording(outputs: outputs)
  }

  /// The two halves of `record`, for callers that cannot pass a closure.
  package func beginRecording(tensors: [AnyTensor], scalars: [UInt64]) throws(PTO2Error) {
    unsafe try orchestrator.pointee.beginRecording(tensors: tensors, scalars: scalars)
  }
  package func endRecording(outputs: [AnyTensor]) throws(PTO2Error) -> TaskTemplate {
    unsafe try orchestrator.pointee.endRecording(outputs: outputs)
  }

  /// Submits the tasks of a template in the current scope, which is not a manual one, with
  /// other tensors and scalars in its holes. What they compute is what submitting them one
  /// by one would; it costs less, since only the template's first and last uses of tensors
  /// from outside are looked up and remembered.
  ///
  /// All of it is published at once; where a ring has no room, it waits as `submit` does,
  /// and what was written until then is published before. Tensors given may overlap each
  /// other, and those used without a hole: where one of them is written, the tasks are then
  /// submitted one by one.
  /// - Parameters:
  ///   - tensors: as many as were recorded, each of the same shape, strides and element
  ///     type.
  ///   - scalars: as many as were recorded.
  /// - Throws: `invalidArgs`, before anything is submitted, for tensors that do not fit,
  ///   a template of another session, and a tensor used without a hole that is gone;
  ///   otherwise as `submit`.
  @discardableResult
  public func replay(
    _ template: TaskTemplate, tensors: [AnyTensor] = [], scalars: [UInt64] = []
  ) throws(PTO2Error) -> Replayed {
    var outputs: [AnyTensor] = []
    outputs.reserveCapacity(template.outputs.count)
    let first = unsafe try orchestrator.pointee.replay(
      template, tensors: tensors, scalars: scalars, outputs: &outputs)
    return Replayed(outputs: outputs, taskCount: template.taskCount, first: first)
  }
}
