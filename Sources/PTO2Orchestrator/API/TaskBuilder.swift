public import PTO2Protocol

/// What an element must be for a task to run: `.greater(than: 0)`.
public struct Condition<Value: Sendable>: Sendable {
  /// How the element is to compare to the value.
  public var comparison: Comparison
  /// What it is compared to: an integer for tensors of integers, a Double for others.
  public var value: Value

  /// The element compares to `value` in this way.
  public init(_ comparison: Comparison, _ value: Value) {
    self.comparison = comparison
    self.value = value
  }

  /// The element equals it; real numbers as IEEE 754 has it: NaN equals nothing.
  public static func equal(to value: Value) -> Self { Self(.equal, value) }
  /// The element differs from it.
  public static func notEqual(to value: Value) -> Self { Self(.notEqual, value) }
  /// The element is greater.
  public static func greater(than value: Value) -> Self { Self(.greater, value) }
  /// The element is less.
  public static func less(than value: Value) -> Self { Self(.less, value) }
  /// The element is greater or equal.
  public static func atLeast(_ value: Value) -> Self { Self(.greaterOrEqual, value) }
  /// The element is less or equal.
  public static func atMost(_ value: Value) -> Self { Self(.lessOrEqual, value) }
}

/// Whether a task that lost its worker is run again; see `TaskBuilder.recovery`.
public enum Recovery: Sendable {
  /// If it has no `inout` and no `unordered` tensor.
  case automatic
  /// Always: running it twice, even after half of it, gives the same.
  case again
  /// Never: it must not begin a second time.
  case once
  /// If the worker has died, its `inout` tensors are given the contents back that
  /// they had before it.
  case snapshot
}

/// One task while it is put together: tensors in the order in which its kernels see
/// them, then scalars, and what else there is to say of it. Valid only inside the
/// closure of `submit`.
///
/// Who waits for whom is said for tasks of automatic scopes; in a manual scope
/// the task that put a tensor out is waited for, and otherwise only `after` and
/// `retain` count.
///
/// A mistake (a tensor too many, a tensor whose scope has ended) is kept and
/// thrown by `submit` as `PTO2ErrorCode.invalidArgs`.
@safe public struct TaskBuilder: ~Copyable {
  let orchestrator: UnsafeMutablePointer<Orchestrator>

  // MARK: Tensors

  /// The task reads the tensor: it waits for every task that last wrote any
  /// part of it.
  @inlinable
  public mutating func input<Element>(_ tensor: Tensor<Element>) { input(tensor.untyped) }
  /// The same for a tensor whose element type is known at run time.
  public mutating func input(_ tensor: AnyTensor) {
    unsafe orchestrator.pointee.stage(tensor, .input)
  }

  /// The task reads and writes the tensor in place: it waits for its writers
  /// and for everybody who still reads any part of it.
  @inlinable
  public mutating func `inout`<Element>(_ tensor: Tensor<Element>) { `inout`(tensor.untyped) }
  /// The same for a tensor whose element type is known at run time.
  public mutating func `inout`(_ tensor: AnyTensor) {
    unsafe orchestrator.pointee.stage(tensor, .inout)
  }

  /// The task writes the whole tensor in place and reads nothing of it: it
  /// waits for whoever last wrote it and for everybody who still reads it, but
  /// does not depend on what they computed.
  @inlinable
  public mutating func overwrite<Element>(_ tensor: Tensor<Element>) { overwrite(tensor.untyped) }
  /// The same for a tensor whose element type is known at run time.
  public mutating func overwrite(_ tensor: AnyTensor) {
    unsafe orchestrator.pointee.stage(tensor, .outputExisting)
  }

  /// The kernel gets the tensor, and nobody waits for anybody because of it.
  /// The memory stays alive while the task runs; who writes what, and when, is
  /// the program's matter.
  /// - Parameter afterCreator: the task waits for the one that put the tensor out, if it
  ///   is not external, and for nobody who has written it since.
  @inlinable
  public mutating func unordered<Element>(
    _ tensor: Tensor<Element>, afterCreator: Bool = false
  ) { unordered(tensor.untyped, afterCreator: afterCreator) }
  /// The same for a tensor whose element type is known at run time.
  public mutating func unordered(_ tensor: AnyTensor, afterCreator: Bool = false) {
    unsafe orchestrator.pointee.stage(tensor, .noDependency, afterCreator: afterCreator)
  }

  /// The task writes a new tensor, for which the runtime takes memory from the
  /// heap ring of the current scope. The memory is not cleared. The tensor can
  /// be used by tasks submitted later, until the current scope ends.
  @inlinable
  public mutating func output<Element>(of type: Element.Type, _ shape: Shape) -> Tensor<Element> {
    Tensor(unchecked: output(of: Element.dataType, shape))
  }

  /// The same of a data type that is known at run time.
  public mutating func output(of type: DataType, _ shape: Shape) -> AnyTensor {
    unsafe orchestrator.pointee.stageOutput(shape, type)
  }

  /// The task writes a new tensor that no scope ends: it lives until `Graph.free` or the end
  /// of the run, as an external tensor does, in whose memory (`--arena`) it lies. The memory
  /// is not cleared; tasks submitted later can use the tensor. For what goes from step to step:
  ///
  ///     let next = try graph.submit(aiv: step) { task in
  ///       task.input(state)
  ///       return task.keptOutput(of: Float.self, [n])
  ///     }
  ///     try graph.free(state)
  ///
  /// Where freed memory is all there is, this waits for the tasks that may use it.
  @inlinable
  public mutating func keptOutput<Element>(of type: Element.Type, _ shape: Shape)
    -> Tensor<Element>
  { Tensor(unchecked: keptOutput(of: Element.dataType, shape)) }

  /// The same of a data type that is known at run time.
  public mutating func keptOutput(of type: DataType, _ shape: Shape) -> AnyTensor {
    unsafe orchestrator.pointee.stageKeptOutput(shape, type)
  }

  // MARK: Scalars

  /// The kernel gets these bits.
  public mutating func scalar(bits: UInt64) { unsafe orchestrator.pointee.stageScalar(bits) }
  /// The kernel gets it as `int64_t`.
  public mutating func scalar(_ value: Int) { scalar(bits: UInt64(bitPattern: Int64(value))) }
  /// The bits of a float in the lower half: `pto2_scalar_f32` reads it.
  public mutating func scalar(_ value: Float) { scalar(bits: UInt64(value.bitPattern)) }

  /// The kernel gets the scalar that the recording that lasts, and each replay of it, has
  /// given for this hole; see `Graph.record`.
  /// - Parameter hole: its place in the recording's list.
  public mutating func scalar(hole: Int) { unsafe orchestrator.pointee.stageScalar(hole: hole) }

  // MARK: Order

  /// The id this task will have.
  public var id: TaskID { unsafe orchestrator.pointee.nextTaskID }

  /// The task starts only when another one is done. A task that is done
  /// already, however long ago, is no dependency any more.
  public mutating func after(_ task: TaskID) {
    unsafe orchestrator.pointee.stageDependency(task, false)
  }

  /// Like `after`, and the other task's outputs stay alive until this one is
  /// done: its scope must be open. Of a task without outputs there is nothing to
  /// retain, so that this is `after`.
  public mutating func retain(_ task: TaskID) {
    unsafe orchestrator.pointee.stageDependency(task, true)
  }

  // MARK: How it runs

  /// A name of the task, which the error of one that failed, `pto2 stuck`, `inspect` and traces
  /// show. Changes nothing else.
  /// - Parameter name: 60 bytes of it are kept. A session has room for 511 names of scopes and of
  ///   tasks in scopes of each name: tasks of more have none. An empty one is none.
  public mutating func name(_ name: String) {
    var name = name
    name.withUTF8 { unsafe self.name(UnsafeRawBufferPointer($0)) }
  }

  /// The same of bytes that should be UTF-8.
  package mutating func name(_ name: UnsafeRawBufferPointer) {
    unsafe orchestrator.pointee.stageName(name)
  }

  /// The rank on which the task runs, of a program that several ranks run: 0 to one less than
  /// `Graph.ranks`. What it reads is sent there. Otherwise it runs where most of the bytes
  /// are at home that it changes or overwrites, or else where most of those are that it
  /// reads, or else on the rank of its scope.
  public mutating func run(on rank: Int) { unsafe orchestrator.pointee.stageRank(rank) }

  /// SPMD: the kernels run once for each of `count` blocks (1 to 2^20), on as
  /// many cores as are free, and are told their block's index and the count.
  /// The task is done when every block is.
  /// - Parameter startTogether: no block starts before there is an idle core
  ///   (for mixed tasks: cluster) for each of them; more blocks than there are
  ///   cores is `requireSyncStartInvalid`.
  public mutating func blocks(_ count: Int, startTogether: Bool = false) {
    unsafe orchestrator.pointee.stageBlocks(count, startTogether)
  }

  /// A hint where the task is to run: on a core of this cluster, 0 to one less than the
  /// session's clusters, before others; a lone vector kernel on the AIV of its place before
  /// the other one. It goes elsewhere only where the cluster has no idle core for it and
  /// another one has, or where no core of it has room. For programs that know
  /// which tasks use the same data; without a hint a task goes behind its producers, or to
  /// the core that has had the least. A task that is run again, since its worker has died,
  /// runs anywhere. With several ranks the cluster is one of the rank on which it runs.
  ///
  /// Another cluster is `invalidArgs` at the submit.
  public mutating func near(cluster: Int) { unsafe orchestrator.pointee.stageCluster(cluster) }

  /// Runs the task only if an element fulfils a condition once the task is ready.
  /// Otherwise the task is done without running, its outputs are whatever the memory
  /// held, and its consumers go on. The task waits for the tensor's writers; the kernel
  /// does not see it. Integers are compared as numbers, whatever their type.
  ///
  ///     task.run(when: flags, at: [7], is: .greater(than: 0))
  public mutating func run<Element: IntegerTensorElement>(
    when tensor: Tensor<Element>, at index: [Int], is condition: Condition<Int>
  ) { run(when: tensor.untyped, at: index, is: condition) }

  /// The same for real numbers, compared as doubles; NaN is only ever not equal.
  public mutating func run<Element: RealTensorElement>(
    when tensor: Tensor<Element>, at index: [Int], is condition: Condition<Double>
  ) { run(when: tensor.untyped, at: index, is: condition) }

  /// For a tensor that must turn out to be one of integers.
  public mutating func run(when tensor: AnyTensor, at index: [Int], is condition: Condition<Int>) {
    unsafe orchestrator.pointee.stagePredicate(
      tensor, index, condition.comparison, UInt64(bitPattern: Int64(condition.value)),
      isReal: false)
  }

  /// For a tensor that must turn out to be one of real numbers.
  public mutating func run(
    when tensor: AnyTensor, at index: [Int], is condition: Condition<Double>
  ) {
    unsafe orchestrator.pointee.stagePredicate(
      tensor, index, condition.comparison, condition.value.bitPattern, isReal: true)
  }

  /// What happens when the worker dies while it runs this task.
  ///
  /// A task that was not begun is always run again; so is, by default, one that
  /// only reads tensors and writes others (`input`, `output`, `overwrite`, and
  /// no element both as `input` and as `overwrite`).
  /// Any other FAILED: the tasks that need it are CANCELLED, all others go on, and
  /// the next `wait` throws.
  ///
  /// With `.snapshot` a task that changes tensors in place is run again, too: its
  /// worker copies them before each first attempt, into memory that the task takes
  /// from the heap ring like an output. Such a task has one kernel, one block and no
  /// `unordered` tensor, otherwise `submit` throws `invalidArgs`. Nobody else may write
  /// its `inout` tensors while it runs, not even other elements of them.
  public var recovery: Recovery {
    get { unsafe orchestrator.pointee.staged.attributes.recovery }
    set { unsafe orchestrator.pointee.stageRecovery(newValue) }
  }
}

extension Graph {
  /// Submits a task of up to three kernels, which run on one cluster and see
  /// the same arguments; with none it is a barrier that only has dependencies.
  ///
  ///     let scores = try graph.submit(aic: qk) { task in
  ///       task.input(query)
  ///       task.input(keys)
  ///       return task.output(of: Float.self, [16, 128])
  ///     }
  ///
  /// Blocks while a ring is full. Allocates only where a table of the orchestrator has
  /// to grow beyond the largest size it has had.
  /// - Returns: what the closure returns, usually the task's outputs.
  /// - Throws: `invalidArgs`; `requireSyncStartInvalid` for blocks that can never start
  ///   together; `scopeDeadlock`, `flowControlDeadlock`, `heapRingDeadlock` or
  ///   `depPoolOverflow` when a ring, `tensorMapOverflow` when the TensorMap can never
  ///   take the task; whatever else has ended the run.
  @discardableResult
  public func submit<Result>(
    aic: Kernel? = nil, aiv0: Kernel? = nil, aiv1: Kernel? = nil,
    _ arguments: (inout TaskBuilder) -> Result
  ) throws(PTO2Error) -> Result {
    unsafe try orchestrator.pointee.beginStaging()
    let result = stage(arguments)
    _ = try submitStaged(aic, aiv0, aiv1)
    return result
  }

  /// Submits a task that runs one vector kernel.
  @discardableResult
  public func submit<Result>(aiv kernel: Kernel, _ arguments: (inout TaskBuilder) -> Result)
    throws(PTO2Error) -> Result
  {
    try submit(aiv0: kernel, arguments)
  }

  @inline(__always)
  private func stage<Result>(_ arguments: (inout TaskBuilder) -> Result) -> Result {
    var staging = unsafe TaskBuilder(orchestrator: orchestrator)
    return arguments(&staging)
  }

  @inline(__always)
  package func submitStaged(_ aic: Kernel?, _ aiv0: Kernel?, _ aiv1: Kernel?) throws(PTO2Error)
    -> TaskID
  {
    var set = KernelSet()
    if let aic {
      set.calls.0 = aic.call
      set.ids.0 = aic.id
    }
    if let aiv0 {
      set.calls.1 = aiv0.call
      set.ids.1 = aiv0.id
    }
    if let aiv1 {
      set.calls.2 = aiv1.call
      set.ids.2 = aiv1.id
    }
    if aic?.coreType == .aiv || aiv0?.coreType == .aic || aiv1?.coreType == .aic {
      unsafe orchestrator.pointee.stageFailure(
        PTO2Error(
          .invalidArgs,
          "a kernel of the other core type: AIC runs matrix kernels, AIV0 and AIV1 vector kernels"))
    }
    return unsafe try orchestrator.pointee.submit(set)
  }

  /// `submit` for the C ABI: the closure may find the arguments invalid, and
  /// the task's id is returned.
  package func submitRaw(
    _ aic: Kernel?, _ aiv0: Kernel?, _ aiv1: Kernel?,
    _ arguments: (inout TaskBuilder) throws(PTO2Error) -> Void
  ) throws(PTO2Error) -> TaskID {
    unsafe try orchestrator.pointee.beginStaging()
    var staging = unsafe TaskBuilder(orchestrator: orchestrator)
    do throws(PTO2Error) { try arguments(&staging) } catch {
      unsafe orchestrator.pointee.stageFailure(error)
    }
    return try submitStaged(aic, aiv0, aiv1)
  }
}
