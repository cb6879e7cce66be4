internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment

/// What `TaskArguments` stages: each tensor checked against buffers and scopes.
extension Orchestrator {
  /// A run lasts and has no error so far, so a scope is open.
  @inline(__always)
  mutating func beginStaging() throws(PTO2Error) {
    try fault.check()
    guard !staged.attributes.isOpen else {
      throw fault.raise(PTO2Error(.invalidArgs, "submit inside the closure of another submit"))
    }
    staged.attributes.isOpen = true
  }

  mutating func stageFailure(_ error: PTO2Error) { staged.fail(error) }

  mutating func stage(_ tensor: AnyTensor, _ access: Access, afterCreator: Bool = false) {
    guard staged.hasRoomForTensor(), isUsable(tensor, access) else { return }
    var argument = StagedArgument(tensor, access)
    argument.waitsForOwner = afterCreator
    staged.add(argument)
  }

  mutating func stageBlocks(_ count: Int, _ startTogether: Bool) {
    staged.setBlocks(count, startTogether: startTogether)
  }

  mutating func stageCluster(_ cluster: Int) {
    staged.setCluster(cluster, of: segment.configuration.clusters)
  }

  mutating func stageRecovery(_ recovery: Recovery) { staged.attributes.recovery = recovery }

  @inline(__always)
  mutating func stageScalar(_ bits: UInt64) { staged.add(scalar: bits) }

  mutating func stagePredicate(
    _ tensor: AnyTensor, _ index: [Int], _ comparison: Comparison, _ value: UInt64, isReal: Bool
  ) {
    let type = tensor.dataType
    guard isReal == type.isReal else {
      return staged.fail(
        PTO2Error(
          .invalidArgs,
          "predicate on a tensor of \(type): compare integers with Int, real types with Double"))
    }
    do throws(PTO2Error) {
      let element = try tensor.element(at: index)
      guard isUsable(element, .input) else { return }
      staged.add(
        StagedPredicate(
          argument: StagedArgument(element, .input), value: value, comparison: comparison.rawValue))
    } catch { staged.fail(error) }
  }

  /// Checks a tensor; an error is kept.
  @inline(__always)
  private mutating func isUsable(_ tensor: AnyTensor, _ access: Access) -> Bool {
    if access.isWrite && tensor.isBroadcast {
      return refuse { "argument \($0) is a broadcast view: it can only be read" }
    }
    guard let buffer = buffers.live(tensor),
      buffer.isOfProgram || scopes.isOpen(buffer.scope)
    else {
      return refuse {
        "argument \($0) is a tensor \(tensor.shape) whose scope has ended, or which was freed: its memory may be in use by others. Submit the task before that, or use an external tensor"
      }
    }
    guard buffer.state == .placed || buffer.state == .elsewhere else {
      return refuse { "argument \($0) is an output of the very task that is submitted" }
    }
    return true
  }

  /// Keeps what is wrong with the next argument.
  /// - Returns: false.
  @inline(never)
  private mutating func refuse(_ message: (Int) -> String) -> Bool {
    staged.fail(PTO2Error(.invalidArgs, message(staged.arguments.count)))
    return false
  }

  mutating func stageOutput(_ shape: Shape, _ type: DataType) -> AnyTensor {
    guard let count = countElements(shape) else { return nothing(of: type) }
    let bytes = UInt64(count) * UInt64(type.byteCount)
    let place = buffers.make(bytes: HeapRing.rounded(bytes), state: .declared)
    let tensor = AnyTensor(
      buffer: place, generation: buffers[place].generation, shape: shape, dataType: type)
    staged.add(StagedArgument(tensor, .output))
    return tensor
  }

  /// An output in the arena, which the program gives back: to the kernel, and to everybody
  /// later, an external tensor that the task overwrites. Blocks while freed memory that it
  /// needs is in use.
  mutating func stageKeptOutput(_ shape: Shape, _ type: DataType) -> AnyTensor {
    guard let count = countElements(shape) else { return nothing(of: type) }
    do throws(PTO2Error) {
      try refuseInRecording("a kept output")
      try refuseInside("a kept output")
      let tensor = try arenaTensor(
        "kept output", shape, count, type, isZeroed: false, .declared)
      staged.add(StagedArgument(tensor, .outputExisting))
      staged.attributes.hasKept = true
      return tensor
    } catch {
      staged.fail(error)
      return nothing(of: type)
    }
  }

  /// Their task is submitted: others may use them.
  @inline(never)
  mutating func placeKeptOutputs(of task: TaskID) {
    for index in 0..<staged.arguments.count
    where staged.arguments[index].access == .outputExisting {
      let place = staged.arguments[index].buffer
      guard buffers[place].state == .declared, let owner = rings.task(task) else { continue }
      buffers[place].state = .placed
      buffers[place].owner = owner
      buffers[place].isKept = true
    }
  }

  /// Elements of an output; nil when it cannot be one more, and the error is kept.
  @inline(__always)
  private mutating func countElements(_ shape: Shape) -> Int? {
    guard staged.hasRoomForTensor() else { return nil }
    if shape.isValid, let count = shape.elementCount { return count }
    staged.fail(
      PTO2Error(
        .invalidArgs,
        "output \(staged.arguments.count): shape \(shape) is not valid: expected 0 to 5 extents, none negative, and fewer than 2^32 elements"
      ))
    return nil
  }

  private func nothing(of type: DataType) -> AnyTensor {
    AnyTensor(buffer: Buffer.none, generation: 0, shape: Shape(), dataType: type)
  }

  /// The id of the task that is submitted next in the current scope.
  var nextTaskID: TaskID {
    if !ranks.isAlone && ranks.inner == nil { return ranks.nextID }
    let ring = scopes.innermost.ring
    return TaskOrdinal(ring: ring, ordinal: rings[ring].current).id
  }

  mutating func stageDependency(_ id: TaskID, _ isRetained: Bool) {
    if !ranks.isAlone, let task = ranks.task(id) {
      ranks.dependencies.append(
        RankedDependency(rank: task.rank, ordinal: task.ordinal, isRetained: isRetained))
      return
    }
    guard let task = rings.task(id) else {
      return staged.fail(
        PTO2Error(
          .invalidArgs, "dependency on task \(id), which was not submitted in this run", task: id))
    }
    if let recording, !recording.contains(task) {
      return staged.fail(recording.foreignDependency(on: id))
    }
    stageDependency(task, isRetained: isRetained)
  }

  mutating func stageDependency(_ task: TaskOrdinal, isRetained: Bool) {
    var flags = PTO2_FANIN_WAIT | PTO2_FANIN_DATA
    // Of a task without outputs there is nothing to retain.
    if isRetained, let memory = rings.memory(of: task), memory.hasOutputs {
      guard scopes.isOpen(memory.scope) else {
        return staged.fail(
          PTO2Error(
            .invalidArgs,
            "cannot retain task \(task.id): its scope has ended, so its outputs may be gone",
            task: task.id))
      }
      flags |= PTO2_FANIN_RETAIN
    }
    staged.add(Dependency(task: task, flags: flags))
  }

  /// Empties the staging area; outputs named there lose their place.
  mutating func unstage(keepOutputs: Bool) {
    if !keepOutputs {
      for index in 0..<staged.arguments.count where staged.arguments[index].access == .output {
        buffers.free(staged.arguments[index].buffer, &map)
      }
    }
    staged.reset()
    if !ranks.isAlone { ranks.unstage() }
  }
}

/// How a task uses a tensor.
enum Access: UInt8 {
  case input = 0
  case output
  case `inout`
  case outputExisting
  case noDependency

  var isWrite: Bool { self != .input && self != .noDependency }
}

/// One tensor of the task being put together.
struct StagedArgument: BitwiseCopyable {
  var buffer: UInt32
  var access: Access
  var rank: UInt8
  var dataType: DataType
  /// Its bytes are not one range; see `box`.
  var hasGaps: Bool
  /// Of `noDependency`: who put the tensor out is waited for, too.
  var waitsForOwner = false
  var elementCount: UInt32
  /// Bytes from the start of the buffer to the first element, and to the end
  /// of the last.
  var offset: UInt64
  var end: UInt64
  var shape: (UInt32, UInt32, UInt32, UInt32, UInt32)
  var strides: (Int32, Int32, Int32, Int32, Int32)

  @inline(__always)
  init(_ tensor: AnyTensor, _ access: Access) {
    buffer = tensor.buffer
    self.access = access
    rank = UInt8(truncatingIfNeeded: tensor.shape.rank)
    dataType = tensor.dataType
    hasGaps = tensor.isContiguous ? false : Self.hasGaps(tensor)
    elementCount = UInt32(truncatingIfNeeded: tensor.elementCount)
    offset = tensor.offset
    end = tensor.offset + tensor.spanBytes
    shape = tensor.shape.extents
    strides = tensor.strides
  }

  /// What is transposed or repeated may have no gaps all the same.
  @inline(never)
  private static func hasGaps(_ tensor: AnyTensor) -> Bool {
    guard tensor.isBroadcast || tensor.spanBytes <= tensor.byteCount else { return true }
    return !ByteBox(
      offset: tensor.offset, shape: tensor.shape.extents, strides: tensor.strides,
      elementBytes: tensor.dataType.byteCount
    ).isRun
  }

  /// It has no elements, so that no task writes or reads it.
  var isEmpty: Bool {
    @inline(__always) get { elementCount == 0 }
  }

  var extent: Extent {
    @inline(__always) get {
      Extent(
        buffer: buffer, hasGaps: hasGaps, isWrite: access.isWrite, begin: offset, end: end)
    }
  }

  /// As kernels see it.
  @inline(__always)
  func record(offset: UInt64) -> pto2_tensor {
    pto2_tensor(
      offset: offset, shape: shape, strides: strides, dtype: dataType.rawValue, rank: rank,
      access: access.rawValue, reserved: 0, element_count: elementCount, reserved2: 0)
  }

  /// The bytes of the view.
  var box: ByteBox {
    hasGaps ? measuredBox() : ByteBox(begin: offset, end: end)
  }

  @inline(never)
  private func measuredBox() -> ByteBox {
    ByteBox(offset: offset, shape: shape, strides: strides, elementBytes: dataType.byteCount)
  }
}

/// The predicate of the task being put together.
struct StagedPredicate: BitwiseCopyable {
  var argument: StagedArgument
  var value: UInt64
  var comparison: UInt8
}

/// An explicit dependency of the task being put together.
struct Dependency: BitwiseCopyable {
  var task: TaskOrdinal
  /// PTO2_FANIN_...
  var flags: UInt64
}

/// The kernels of a task by subtask slot; 0 = inactive. Each is a call word
/// without arity.
package struct KernelSet {
  package var calls: (UInt64, UInt64, UInt64) = (0, 0, 0)
  package var ids: (UInt16, UInt16, UInt16) = (0, 0, 0)
  package init() {}

  var activeMask: UInt8 {
    (calls.0 != 0 ? 1 : 0) | (calls.1 != 0 ? 2 : 0) | (calls.2 != 0 ? 4 : 0)
  }
}

/// The task being put together, from the first argument to its submission. What
/// follows it is a new value, in the same memory.
///
/// Functions that are called and not inlined take it `inout`, also where they change
/// nothing: a borrow would copy it.
struct StagedTask: ~Copyable {
  private(set) var arguments = PlainArray<StagedArgument>(capacity: Int(PTO2_MAX_TENSORS))
  private(set) var scalars = PlainArray<UInt64>(capacity: Int(PTO2_MAX_SCALARS))
  private(set) var dependencies = PlainArray<Dependency>(capacity: 16)
  /// One at most.
  private var predicates = PlainArray<StagedPredicate>(capacity: 1)
  var attributes = Attributes()
  /// The first mistake.
  private(set) var error: PTO2Error?

  /// Everything of a task but its lists.
  struct Attributes {
    /// Between the begin of a submit and its end.
    var isOpen = false
    var startsTogether = false
    /// The link sends or receives; there are no kernels.
    var isTransfer = false
    /// No tensor so far that the task reads and writes.
    fileprivate(set) var isPure = true
    /// An output so far, of any size.
    fileprivate(set) var hasOutputs = false
    /// Tensors so far that the task may write, and those of them that have elements.
    fileprivate(set) var written: (all: UInt32, nonempty: UInt32) = (0, 0)
    /// A tensor so far that has elements.
    fileprivate(set) var hasElements = false
    /// A tensor so far that the task overwrites in place.
    fileprivate(set) var hasOverwritten = false
    /// A kept output so far.
    fileprivate(set) var hasKept = false
    var recovery = Recovery.automatic
    /// Its number; 0 for none.
    var name: UInt16 = 0
    var blocks = BlockWord(count: 1, near: nil)
    /// Bytes of heap for the outputs so far.
    fileprivate(set) var outputBytes: UInt64 = 0
    var kernels = KernelSet()
  }

  /// The next task: new attributes, and lists that are empty in the same memory.
  @inline(__always)
  mutating func reset() {
    arguments.removeAll()
    scalars.removeAll()
    dependencies.removeAll()
    predicates.removeAll()
    attributes = Attributes()
    if error != nil { error = nil }
  }

  @inline(__always)
  var predicate: StagedPredicate? {
    predicates.count == 0 ? nil : predicates[0]
  }

  var payloadShape: PayloadShape {
    @inline(__always) get { PayloadShape(tensors: arguments.count, scalars: scalars.count) }
  }

  var payloadBytes: UInt64 {
    @inline(__always) get {
      UInt64(truncatingIfNeeded: payloadShape.bytes(hasPredicate: predicates.count != 0))
    }
  }

  /// The task's calls by subtask slot.
  @inline(__always)
  mutating func calls(hasSnapshot: Bool) -> (CallWord, CallWord, CallWord) {
    let (tensors, scalars) = (arguments.count, scalars.count)
    let kind =
      (attributes.blocks.count > 1 ? PTO2_CALL_SPMD : 0) | (hasSnapshot ? PTO2_CALL_SNAPSHOT : 0)
    func call(_ kernel: UInt64) -> CallWord {
      kernel == 0
        ? CallWord(rawValue: 0)
        : CallWord(kernel: kernel | kind, tensors: tensors, scalars: scalars)
    }
    let calls = attributes.kernels.calls
    return (call(calls.0), call(calls.1), call(calls.2))
  }

  /// Keeps a mistake for `submit`, unless there is one already.
  mutating func fail(_ error: PTO2Error) {
    if self.error == nil { self.error = error }
  }

  /// - Returns: false when there is no room for one more tensor; the error is kept.
  @inline(__always)
  mutating func hasRoomForTensor() -> Bool {
    arguments.count < Int(PTO2_MAX_TENSORS) || refuseTensor()
  }

  @inline(never)
  private mutating func refuseTensor() -> Bool {
    fail(
      PTO2Error(
        .invalidArgs, "a task can have \(PTO2_MAX_TENSORS) tensors at most",
        needed: UInt64(PTO2_MAX_TENSORS) + 1, available: UInt64(PTO2_MAX_TENSORS)))
    return false
  }

  /// There is nothing to do: it has tensors, and those that it may write, or all if it
  /// writes none, have no elements.
  var isVoid: Bool {
    @inline(__always) get {
      arguments.count != 0
        && (attributes.written.all != 0
          ? attributes.written.nonempty == 0 : !attributes.hasElements)
    }
  }

  /// All of what it overwrites in place is overwritten, unless it is CANCELLED.
  var overwrites: Bool {
    @inline(__always) get {
      (attributes.kernels.activeMask != 0 || attributes.isTransfer) && predicate == nil
    }
  }

  /// Its kernels do not run: it is done when its producers are.
  @inline(never)
  mutating func becomeDummy() {
    attributes.kernels = KernelSet()
    attributes.blocks = BlockWord(count: 1, near: nil)
    attributes.startsTogether = false
  }

  /// `hasRoomForTensor` comes first.
  @inline(__always)
  mutating func add(_ argument: StagedArgument) {
    let nonempty: UInt32 = argument.isEmpty ? 0 : 1
    if argument.access != .input {
      attributes.written.all += 1
      attributes.written.nonempty += nonempty
    }
    if nonempty != 0 { attributes.hasElements = true }
    switch argument.access {
    case .input: break
    case .output:
      attributes.hasOutputs = true
      attributes.outputBytes += HeapRing.rounded(argument.end)
    case .inout, .noDependency: attributes.isPure = false
    case .outputExisting: attributes.hasOverwritten = true
    }
    arguments.append(argument)
  }

  /// The last one counts.
  mutating func add(_ predicate: StagedPredicate) {
    predicates.removeAll()
    predicates.append(predicate)
  }

  mutating func add(_ dependency: Dependency) { dependencies.append(dependency) }

  @inline(__always)
  mutating func add(scalar bits: UInt64) {
    if scalars.count == Int(PTO2_MAX_SCALARS) { return refuseScalar() }
    scalars.append(bits)
  }

  @inline(never)
  private mutating func refuseScalar() {
    fail(
      PTO2Error(
        .invalidArgs, "a task can have \(PTO2_MAX_SCALARS) scalars at most",
        needed: UInt64(PTO2_MAX_SCALARS) + 1, available: UInt64(PTO2_MAX_SCALARS)))
  }

  mutating func setBlocks(_ count: Int, startTogether: Bool) {
    guard (1...Int(BlockLimits.maximum)).contains(count) else {
      return fail(
        PTO2Error(.invalidArgs, "\(count) blocks: expected 1 to \(BlockLimits.maximum)"))
    }
    attributes.blocks = BlockWord(count: UInt32(count), near: attributes.blocks.cluster)
    attributes.startsTogether = startTogether
  }

  /// - Parameter clusters: of the session.
  mutating func setCluster(_ cluster: Int, of clusters: UInt32) {
    guard (0..<Int(clusters)).contains(cluster) else {
      return fail(
        PTO2Error(
          .invalidArgs,
          "near cluster \(cluster): expected 0 to \(clusters - 1), of which there are in this session"
        ))
    }
    attributes.blocks = BlockWord(count: attributes.blocks.count, near: cluster)
  }
}
