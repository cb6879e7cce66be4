internal import CPTO2Segment
internal import PTO2Protocol

/// Tasks that were recorded once and can be submitted again with other tensors and
/// scalars: see `Graph.record`. Valid in every run of the session that recorded it, as
/// long as the tensors are that it names without a hole.
public final class TaskTemplate {
  /// Of the session that has recorded it.
  let session: UInt64
  let tasks: TemplateTasks
  let boundary: TemplateBoundary

  /// Tasks of a replay.
  public var taskCount: Int { tasks.tasks.count }
  /// Tensors that a replay is given.
  public var tensorCount: Int { boundary.holes.count }
  /// Scalars that a replay is given.
  public let scalarCount: Int
  /// What the recording itself has put out.
  public let outputs: [AnyTensor]

  init(
    session: UInt64, _ tasks: consuming TemplateTasks, _ boundary: consuming TemplateBoundary,
    scalarCount: Int, outputs: [AnyTensor]
  ) {
    self.session = session
    self.scalarCount = scalarCount
    self.outputs = outputs
    self.tasks = tasks
    self.boundary = boundary
  }
}

/// A piece of a list that the tasks of a template share.
struct Piece: BitwiseCopyable {
  var first: UInt32
  var end: UInt32

  @inline(__always)
  var range: Range<Int> { Int(first)..<Int(end) }
}

/// What the tasks of a template are made of.
///
/// A tensor is named by its *root* and where it lies from there. Roots are, in this order,
/// the holes, the buffers used without a hole, and the outputs of the template's tasks.
struct TemplateTasks: ~Copyable {
  var tasks = PlainArray<TemplateTask>(capacity: 64)
  var tensors = PlainArray<TemplateTensor>(capacity: 64)
  var scalars = PlainArray<TemplateScalar>(capacity: 64)
  /// Producers inside the template: numbers of tasks, with PTO2_FANIN_... flags.
  var edges = PlainArray<FaninWord>(capacity: 64)
  var predicates = PlainArray<StagedPredicate>(capacity: 4)
  /// Outputs with a buffer of their own: somebody may name them after the replay.
  var kept = PlainArray<KeptOutput>(capacity: 4)

  /// Holes, fixed buffers and outputs.
  var rootCount = 0
  /// Of all tasks, each one's in whole cache lines.
  var needs = TaskNeeds(outputs: 0, payload: 0)

  // For a submission task by task.

  /// One for each of `tensors`.
  var arguments = PlainArray<StagedArgument>(capacity: 64)
  /// One for each of `tasks`.
  var attributes: [StagedTask.Attributes] = []
  /// Dependencies that the program has named: numbers of tasks and flags.
  var dependencies = PlainArray<FaninWord>(capacity: 4)

  /// What a replay returns: views of outputs; `buffer` is the root.
  var outputs: [AnyTensor] = []
}

/// A task as it is the same in every replay.
struct TemplateTask: BitwiseCopyable {
  /// Without ids, positions and offsets.
  var header: pto2_main_slot
  var calls: (CallWord, CallWord, CallWord)
  var needs: TaskNeeds
  var tensors: Piece
  var scalars: Piece
  var edges: Piece
  var predicate: Piece
  var kept: Piece
  /// Of `TemplateBoundary.accesses`.
  var accesses: Piece
  var dependencies: Piece

  var shape: PayloadShape {
    @inline(__always) get {
      PayloadShape(tensors: tensors.range.count, scalars: scalars.range.count)
    }
  }
}

struct TemplateTensor: BitwiseCopyable {
  /// The offset is from the root.
  var tensor: pto2_tensor
  var root: UInt32
  var isOutput: Bool
  /// Of an output: bytes from the first one that the task puts out.
  var place: UInt64
}

struct TemplateScalar: BitwiseCopyable {
  var bits: UInt64
  /// The hole that says what it is; -1 for none.
  var hole: Int32 = -1
}

struct KeptOutput: BitwiseCopyable {
  var root: UInt32
  var place: UInt64
  var bytes: UInt64
}

/// Where a template meets the tasks before it and those after it.
struct TemplateBoundary: ~Copyable {
  /// What the tensors given to a replay must be like.
  var holes: [TemplateHole] = []
  /// Buffers used without a hole.
  var fixed: [FixedBuffer] = []
  /// Views of them that are looked up, against holes that overlap them.
  var fixedViews = PlainArray<StagedArgument>(capacity: 4)
  /// Roots of holes and fixed buffers together.
  var rootCount: Int { holes.count + fixed.count }
  /// A hole, or a view of a fixed buffer that is in `fixedViews`, is written.
  var hasWrites = false

  /// Accesses to tensors from outside, by task.
  var accesses = PlainArray<OutsideAccess>(capacity: 64)
  /// Places of `probes`, by access.
  var accessProbes = PlainArray<UInt32>(capacity: 64)
  /// The distinct views of tensors from outside of which some task needs whoever has
  /// used them before the template; `buffer` is the root.
  var probes = PlainArray<StagedArgument>(capacity: 64)
  /// What the TensorMap has to know afterwards, in the order of the tasks.
  var entries = PlainArray<TemplateEntry>(capacity: 64)
}

struct TemplateHole {
  /// As it was recorded.
  var tensor: AnyTensor
  /// Some task looks it up, or writes it.
  var isUsed = false
  var isWritten = false
}

struct FixedBuffer {
  var buffer: UInt32
  var generation: UInt32
}

/// A task's access to a tensor from outside.
struct OutsideAccess: BitwiseCopyable {
  var root: UInt32
  var isWrite: Bool
  /// PTO2_FANIN_... for the tensor's owner, and for tasks that have written it since.
  var ownerFlags: UInt64
  var writerFlags: UInt64
  var probes: Piece
}

/// An access that is entered in the TensorMap.
struct TemplateEntry: BitwiseCopyable {
  var task: UInt32
  /// `buffer` is the root.
  var argument: StagedArgument
}
