internal import CPTO2Segment
package import PTO2Protocol

/// The tasks of a recording that lasts, as they were staged.
final class Recording {
  let tensors: [AnyTensor]
  let scalars: [UInt64]
  private let ring: Int
  private let first: UInt64
  private(set) var tasks: [RecordedTask] = []
  /// Scalars of the task being staged that are holes: which one, and the hole.
  private var scalarHoles: [(scalar: Int, hole: Int)] = []

  /// - Parameter first: ordinal of the ring's next task.
  init(tensors: [AnyTensor], scalars: [UInt64], ring: Int, first: UInt64) {
    self.tensors = tensors
    self.scalars = scalars
    self.ring = ring
    self.first = first
  }

  /// It is one of the recorded tasks.
  func contains(_ task: TaskOrdinal) -> Bool { task.ring == ring && task.ordinal >= first }

  func foreignDependency(on id: TaskID) -> PTO2Error {
    PTO2Error(
      .invalidArgs,
      "dependency on task \(id) from before the recording: a replay comes after other tasks. Order them by a tensor that is a hole",
      task: id)
  }

  /// The task's next scalar is a hole.
  func noteHole(scalar: Int, hole: Int) { scalarHoles.append((scalar, hole)) }

  /// A task was submitted.
  func note(_ staged: inout StagedTask, _ id: TaskID, _ rings: inout Rings) {
    // It was found out before that it fits.
    let snapshot =
      staged.attributes.recovery == .snapshot ? (try? staged.snapshotBytes()) ?? 0 : 0
    var scalars = (0..<staged.scalars.count).map { TemplateScalar(bits: staged.scalars[$0]) }
    for (scalar, hole) in scalarHoles { scalars[scalar].hole = Int32(hole) }
    scalarHoles = []
    let (ring, first) = (ring, first)
    tasks.append(
      RecordedTask(
        header: rings[ring].main[id.local].header.template(named: staged.attributes.name),
        calls: staged.calls(hasSnapshot: snapshot > 0),
        needs: TaskNeeds(
          outputs: staged.attributes.outputBytes + snapshot, payload: staged.payloadBytes),
        attributes: staged.attributes,
        arguments: (0..<staged.arguments.count).map { staged.arguments[$0] }, scalars: scalars,
        predicate: staged.predicate,
        dependencies: (0..<staged.dependencies.count).map {
          let dependency = staged.dependencies[$0]
          return FaninWord(rawValue: dependency.task.ordinal - first | dependency.flags)
        }))
  }
}

struct RecordedTask {
  var header: pto2_main_slot
  var calls: (CallWord, CallWord, CallWord)
  var needs: TaskNeeds
  var attributes: StagedTask.Attributes
  var arguments: [StagedArgument]
  var scalars: [TemplateScalar]
  var predicate: StagedPredicate?
  /// Numbers of recorded tasks, with flags.
  var dependencies: [FaninWord]
}

extension pto2_main_slot {
  /// What is the same in every replay.
  fileprivate func template(named name: UInt16) -> pto2_main_slot {
    var header = self
    header.task_id = 0
    header.fanin_first = 0
    header.fanin_count = 0
    header.scope_previous = 0
    header.scope = ScopePlace(name: Int(name), depth: 0).rawValue
    header.output_offset = 0
    header.heap_begin = 0
    header.heap_end = 0
    header.flags &= ~UInt8(PTO2_SLOT_CANCELLED)
    return header
  }
}

extension Orchestrator {
  /// - Throws: error 5 while a recording lasts.
  package func refuseInRecording(_ what: String) throws(PTO2Error) {
    if recording == nil { return }
    throw fault.raise(
      PTO2Error(
        .invalidArgs,
        "\(what) in a recording: only tasks can be recorded. Do it before or after"))
  }

  /// From here on submitted tasks are recorded, too.
  package mutating func beginRecording(tensors: [AnyTensor], scalars: [UInt64])
    throws(PTO2Error)
  {
    if !ranks.isAlone { throw fault.raise(Self.refusal("recording a graph")) }
    try fault.check()
    try refuseInRecording("a recording")
    do throws(PTO2Error) {
      try checkReplayIsPossible("record")
      for (index, tensor) in tensors.enumerated() {
        try checkHole(tensor, index)
        let box = StagedArgument(tensor, .input).box
        for other in 0..<index where tensors[other].buffer == tensor.buffer {
          guard !box.meets(StagedArgument(tensors[other], .input).box) else {
            throw PTO2Error(
              .invalidArgs,
              "record: tensors \(other) and \(index) have elements in common. Holes of a recording are different tensors"
            )
          }
        }
      }
    } catch { throw fault.raise(error) }
    let ring = scopes.innermost.ring
    recording = Recording(
      tensors: tensors, scalars: scalars, ring: ring, first: rings[ring].current)
  }

  /// What was recorded; `outputs` are what a replay is to return.
  package mutating func endRecording(outputs: [AnyTensor]) throws(PTO2Error) -> TaskTemplate {
    try fault.check()
    guard let recording else {
      throw fault.raise(PTO2Error(.invalidArgs, "the end of a recording that was not begun"))
    }
    self.recording = nil
    do throws(PTO2Error) {
      for (index, output) in outputs.enumerated() where buffers.live(output) == nil {
        throw PTO2Error(
          .invalidArgs, "record: output \(index), \(output.shape), has no memory")
      }
      var builder = TemplateBuilder(recording)
      try builder.build(outputs: outputs)
      for index in builder.boundary.fixed.indices {
        let buffer = builder.boundary.fixed[index].buffer
        builder.boundary.fixed[index].generation = buffers[buffer].generation
      }
      return builder.finish(session: replaying.session)
    } catch { throw fault.raise(error) }
  }

  /// Forgets what was recorded.
  package mutating func dropRecording() { recording = nil }

  mutating func stageScalar(hole: Int) {
    guard let recording else {
      return staged.fail(
        PTO2Error(.invalidArgs, "scalar hole \(hole) of a task that is not recorded"))
    }
    guard recording.scalars.indices.contains(hole) else {
      return staged.fail(
        PTO2Error(
          .invalidArgs, "scalar hole \(hole): the recording has \(recording.scalars.count)"))
    }
    recording.noteHole(scalar: staged.scalars.count, hole: hole)
    staged.add(scalar: recording.scalars[hole])
  }

  /// A task is not being put together, and the scope is not a manual one.
  func checkReplayIsPossible(_ call: String) throws(PTO2Error) {
    guard !staged.attributes.isOpen else {
      throw PTO2Error(.invalidArgs, "\(call) inside the closure of a submit")
    }
    guard !scopes.innermost.isManual else {
      throw PTO2Error(
        .invalidArgs,
        "\(call) in a manual scope: there tensors order nothing. Open an automatic scope in it")
    }
  }

  /// A tensor that tasks can use in this scope.
  func checkHole(_ tensor: AnyTensor, _ index: Int) throws(PTO2Error) {
    guard isInScope(tensor), let buffer = buffers.live(tensor), buffer.state == .placed else {
      throw PTO2Error(
        .invalidArgs,
        "tensor \(index) of the holes, \(tensor.shape), has no memory: its scope has ended")
    }
  }
}
