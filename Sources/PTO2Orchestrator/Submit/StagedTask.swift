internal import CPTO2Segment
internal import PTO2Protocol

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
  var elementCount: UInt32
  /// Bytes from the start of the buffer to the first element, and to the end
  /// of the last.
  var offset: UInt64
  var end: UInt64
  var shape: (UInt32, UInt32, UInt32, UInt32, UInt32)
  var strides: (Int32, Int32, Int32, Int32, Int32)

  init(_ tensor: AnyTensor, _ access: Access) {
    buffer = tensor.buffer
    self.access = access
    rank = UInt8(truncatingIfNeeded: tensor.shape.rank)
    dataType = tensor.dataType
    elementCount = UInt32(tensor.elementCount)
    offset = tensor.offset
    end = tensor.offset + tensor.spanBytes
    shape = tensor.shape.extents
    strides = tensor.strides
  }

  /// The contiguous byte ranges of the view, in order; the whole span when there
  /// are more than `TensorMap.maximumRuns`.
  @inline(__always)
  func forEachRun(_ body: (UInt64, UInt64) -> Void) {
    let runs = ByteRuns(
      offset: offset, rank: Int(rank), shape: shape, strides: strides,
      elementBytes: UInt64(dataType.byteCount))
    if runs.count == 1 || runs.count > UInt64(TensorMap.maximumRuns) {
      return body(offset, end)
    }
    for (begin, end) in runs { body(begin, end) }
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
    /// No tensor so far that the task reads and writes.
    fileprivate(set) var isPure = true
    /// A tensor so far that the task overwrites in place.
    fileprivate(set) var hasOverwritten = false
    var recovery = Recovery.automatic
    var blocks: UInt32 = 1
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

  /// Keeps a mistake for `submit`, unless there is one already.
  mutating func fail(_ error: PTO2Error) {
    if self.error == nil { self.error = error }
  }

  /// - Returns: false when there is no room for one more tensor; the error is kept.
  mutating func hasRoomForTensor() -> Bool {
    if arguments.count < Int(PTO2_MAX_TENSORS) { return true }
    fail(
      PTO2Error(
        .invalidArgs, "a task can have \(PTO2_MAX_TENSORS) tensors at most",
        needed: UInt64(PTO2_MAX_TENSORS) + 1, available: UInt64(PTO2_MAX_TENSORS)))
    return false
  }

  /// `hasRoomForTensor` comes first.
  mutating func add(_ argument: StagedArgument) {
    switch argument.access {
    case .input: break
    case .output: attributes.outputBytes += HeapRing.rounded(argument.end)
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

  mutating func add(scalar bits: UInt64) {
    guard scalars.count < Int(PTO2_MAX_SCALARS) else {
      return fail(
        PTO2Error(
          .invalidArgs, "a task can have \(PTO2_MAX_SCALARS) scalars at most",
          needed: UInt64(PTO2_MAX_SCALARS) + 1, available: UInt64(PTO2_MAX_SCALARS)))
    }
    scalars.append(bits)
  }

  mutating func setBlocks(_ count: Int, startTogether: Bool) {
    guard (1...Int(BlockLimits.maximum)).contains(count) else {
      return fail(
        PTO2Error(.invalidArgs, "\(count) blocks: expected 1 to \(BlockLimits.maximum)"))
    }
    attributes.blocks = UInt32(count)
    attributes.startsTogether = startTogether
  }

  /// True when an attempt that was broken off leaves nothing that a second one
  /// would see: it only reads, and writes what it does not read.
  @inline(__always)
  mutating func mayRunAgain() -> Bool {
    switch attributes.recovery {
    case .automatic:
      attributes.isPure && (!attributes.hasOverwritten || overwrittenInput() == nil)
    case .again, .snapshot: true
    case .once: false
    }
  }

  /// An input and an outputExisting tensor with elements in common: after half a run
  /// the input is not what it was. A view of more than `TensorMap.maximumRuns` runs
  /// counts as everything from its first element to its last.
  @inline(never)
  mutating func overwrittenInput() -> (input: Int, output: Int)? {
    guard attributes.hasOverwritten else { return nil }
    for output in 0..<arguments.count where arguments[output].access == .outputExisting {
      for input in 0..<arguments.count where arguments[input].access == .input {
        if Self.overlaps(arguments[input], arguments[output]) { return (input, output) }
      }
    }
    return nil
  }

  private static func overlaps(_ a: StagedArgument, _ b: StagedArgument) -> Bool {
    guard a.buffer == b.buffer, a.offset < b.end, b.offset < a.end else { return false }
    var isFound = false
    a.forEachRun { begin, end in
      if isFound { return }
      b.forEachRun { otherBegin, otherEnd in
        if begin < otherEnd && otherBegin < end { isFound = true }
      }
    }
    return isFound
  }
}
