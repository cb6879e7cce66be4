public import PTO2Protocol

/// How a predicate compares an element with its value.
public enum Comparison: UInt8, Sendable, CaseIterable {
  case equal = 0
  case notEqual, greater, less, greaterOrEqual, lessOrEqual
}

/// Whether a task that lost its worker is run again; see `TaskArguments.recovery`.
public enum Recovery: Sendable {
  /// If it has no `inout` and no `noDependency` tensor.
  case automatic
  /// Always: running it twice, even after half of it, gives the same.
  case again
  /// Never: it must not begin a second time.
  case once
  /// If the worker has died, its `inout` tensors are given the contents back that
  /// they had before it.
  case snapshot
}

/// The arguments of one task: tensors in the order in which its kernels see
/// them, then scalars. Valid only inside the closure of `submit`.
///
/// Who waits for whom is said for tasks of automatic scopes; in a manual scope
/// the task that put a tensor out is waited for, and otherwise only `after` and
/// `retain` count.
///
/// A mistake (a tensor too many, a tensor whose scope has ended) is kept and
/// thrown by `submit` as error 5.
@safe public struct TaskArguments: ~Copyable {
  let orchestrator: UnsafeMutablePointer<Orchestrator>

  /// The task reads the tensor: it waits for every task that last wrote any
  /// part of it.
  public mutating func input(_ tensor: Tensor) { unsafe orchestrator.pointee.stage(tensor, .input) }

  /// The task reads and writes the tensor in place: it waits for its writers
  /// and for everybody who still reads any part of it.
  public mutating func `inout`(_ tensor: Tensor) { unsafe orchestrator.pointee.stage(tensor, .inout) }

  /// The task writes the whole tensor in place and reads nothing of it: it
  /// waits for whoever last wrote it and for everybody who still reads it, but
  /// does not depend on what they computed.
  public mutating func outputExisting(_ tensor: Tensor) {
    unsafe orchestrator.pointee.stage(tensor, .outputExisting)
  }

  /// The kernel gets the tensor, and nobody waits for anybody because of it.
  /// The memory stays alive while the task runs; who writes what, and when, is
  /// the program's matter.
  public mutating func noDependency(_ tensor: Tensor) {
    unsafe orchestrator.pointee.stage(tensor, .noDependency)
  }

  /// The task starts only when another one is done. A task that is done
  /// already, however long ago, is no dependency any more.
  public mutating func after(_ task: TaskID) { unsafe orchestrator.pointee.stageDependency(task, false) }

  /// Like `after`, and the other task's outputs stay alive until this one is
  /// done. Its scope must be open.
  public mutating func retain(_ task: TaskID) { unsafe orchestrator.pointee.stageDependency(task, true) }

  /// SPMD: the kernels run once for each of `count` blocks (1 to 2^20), on as
  /// many cores as are free, and are told their block's index and the count.
  /// The task is done when every block is.
  /// - Parameter startTogether: no block starts before there is an idle core
  ///   (for mixed tasks: cluster) for each of them; more blocks than there are
  ///   cores is error 7.
  public mutating func blocks(_ count: Int, startTogether: Bool = false) {
    unsafe orchestrator.pointee.stageBlocks(count, startTogether)
  }

  /// Runs the task only if an element of an integer tensor compares to `value`
  /// in this way once the task is ready. Otherwise the task is done without
  /// running, its outputs are whatever the memory held, and its consumers go on.
  /// The task waits for the tensor's writers; the kernel does not see it.
  public mutating func when(
    _ tensor: Tensor, at index: [Int], _ comparison: Comparison, _ value: Int
  ) {
    unsafe orchestrator.pointee.stagePredicate(
      tensor, index, comparison, UInt64(bitPattern: Int64(value)), isReal: false)
  }

  /// The same for a tensor of a real data type.
  public mutating func when(
    _ tensor: Tensor, at index: [Int], _ comparison: Comparison, _ value: Double
  ) {
    unsafe orchestrator.pointee.stagePredicate(
      tensor, index, comparison, value.bitPattern, isReal: true)
  }

  /// What happens when the worker dies while it runs this task.
  ///
  /// A task that was not begun is always run again; so is, by default, one that
  /// only reads tensors and writes others (`input`, `output`, `outputExisting`, and
  /// no element both as `input` and as `outputExisting`).
  /// Any other FAILED: the tasks that need it are CANCELLED, all others go on, and
  /// the next `wait` throws.
  ///
  /// With `.snapshot` a task that changes tensors in place is run again, too: its
  /// worker copies them before each first attempt, into memory that the task takes
  /// from the heap ring like an output. Such a task has one kernel, one block and no
  /// `noDependency` tensor, otherwise `submit` throws error 5. Nobody else may write
  /// its `inout` tensors while it runs, not even other elements of them.
  public mutating func recovery(_ recovery: Recovery) {
    unsafe orchestrator.pointee.stagedRecovery = recovery
  }

  /// The id this task will have.
  public var id: TaskID { unsafe orchestrator.pointee.nextTaskID }

  /// The task writes a new tensor, for which the runtime takes memory from the
  /// heap ring of the current scope. The memory is not cleared. The tensor can
  /// be used by tasks submitted later, until the current scope ends.
  public mutating func output(_ shape: Shape, _ type: DataType) -> Tensor {
    unsafe orchestrator.pointee.stageOutput(shape, type)
  }

  /// Raw bits of a scalar.
  public mutating func scalar(_ bits: UInt64) { unsafe orchestrator.pointee.stageScalar(bits) }
  public mutating func scalar(_ value: Int) { scalar(UInt64(bitPattern: Int64(value))) }
  /// Bits of a float in the lower half: `pto2_scalar_f32` reads it.
  public mutating func scalar(_ value: Float) { scalar(UInt64(value.bitPattern)) }
}
