internal import CPTO2Segment
package import PTO2Protocol
package import PTO2Segment
internal import PTO2System

/// The orchestrator role: task ids, slots, output memory, producers, scopes,
/// and the submission log. `Graph` is its public face.
///
/// One thread uses it. A session runs one graph after another in it: see Run.swift.
@safe package struct Orchestrator: ~Copyable {
  package let segment: Segment
  /// The run's first error, and the session's.
  package let fault: FirstError
  package internal(set) var counters = Counters()

  // What the segment holds, as this role fills it.
  var log: SubmissionLog
  var rings: Rings
  var arena: Arena

  // What this process alone knows.
  var map: TensorMap
  var buffers = BufferTable()
  var scopes = ScopeStack()
  var scopeNames: ScopeNames
  var failed: FailedTasks
  var waiting: Waiting
  var courtesy = Courtesy()
  let trace: TraceWriter

  // The task of the submit that lasts.
  var staged = StagedTask()
  var producers = Producers()

  // The recording that lasts, and what a replay works with.
  var recording: Recording?
  var replaying = ReplayState()

  /// The other ranks, if there are any, and the task that waits while a transfer for it is
  /// submitted.
  var ranks: Ranks
  var stagedAside = StagedTask()

  /// Records that the TensorMap may hold between two submissions.
  package static let defaultMapLimit = 1 << 22

  /// Takes over a segment that is filled and not yet published; the first run has begun.
  /// - Parameter pretended: which rank of how many this one is to take itself for.
  package init(
    _ segment: consuming Segment, mapLimit: Int = defaultMapLimit,
    pretended: (rank: Int, ranks: Int)? = nil
  ) {
    map = TensorMap(limit: mapLimit)
    fault = FirstError(page: segment.ownOrchestratorPage, scheduler: segment.schedulerPage)
    log = SubmissionLog(segment)
    rings = Rings(segment)
    arena = Arena(segment)
    failed = FailedTasks(segment.schedulerPage.failures)
    waiting = Waiting(segment)
    scopeNames = ScopeNames(segment)
    trace = segment.traceWriter(.orchestrator)
    ranks = Ranks(segment, pretended: pretended)
    segment.ownOrchestratorPage.ownProcess.announce(isSupervised: false)
    self.segment = segment
    beginRun()
  }

  // MARK: Tensors

  /// Zero-filled memory in the arena, for tensors the program owns.
  /// - Parameter rank: where tasks that write it run unless something else says so; nil: on
  ///   rank 0.
  package mutating func external(_ shape: Shape, _ type: DataType, on rank: Int? = nil)
    throws(PTO2Error) -> AnyTensor
  {
    try fault.check()
    try checkRank(rank)
    try refuseInside("an external tensor")
    guard shape.isValid, let count = shape.elementCount else {
      throw fault.raise(
        PTO2Error(
          .invalidArgs,
          "external tensor: shape \(shape) is not valid: expected 0 to 5 extents, none negative, and fewer than 2^32 elements"
        ))
    }
    do throws(PTO2Error) {
      let tensor = try arenaTensor("external tensor", shape, count, type, isZeroed: true, .placed)
      if !ranks.isAlone { ranks[tensor.buffer].home = rank ?? 0 }
      return tensor
    } catch { throw fault.raise(error) }
  }

  /// A tensor that belongs to the program. Blocks while freed memory that it needs is in use.
  /// - Parameters:
  ///   - what: for messages.
  ///   - count: elements of `shape`.
  mutating func arenaTensor(
    _ what: String, _ shape: Shape, _ count: Int, _ type: DataType, isZeroed: Bool,
    _ state: Buffer.State
  ) throws(PTO2Error) -> AnyTensor {
    // A tensor without elements has an address, too.
    let bytes = HeapRing.rounded(UInt64(max(1, count)) * UInt64(type.byteCount))
    if !arena.hasRoom(bytes) { try reclaimArena(bytes) }
    let offset = try arena.take(
      bytes, for: "\(what) \(shape)", isZeroed: isZeroed, in: segment)
    let place = buffers.make(bytes: bytes, state: state)
    buffers[place].offset = offset
    if !ranks.isAlone {
      ranks.begin(place, buffers[place], home: nil, holders: ranks.all, writer: 0)
    }
    return AnyTensor(
      buffer: place, generation: buffers[place].generation, shape: shape, dataType: type)
  }

  /// The first byte of a tensor in this process, or nil when its memory is
  /// gone or not there yet.
  package func address(of tensor: AnyTensor) -> UnsafeMutableRawPointer? {
    guard let buffer = buffers.live(tensor), buffer.state == .placed else { return nil }
    return unsafe segment.address(buffer.offset + tensor.offset)
  }

  /// False for an output whose scope has ended, whether or not its memory is
  /// in use by others already.
  package func isInScope(_ tensor: AnyTensor) -> Bool {
    guard let buffer = buffers.live(tensor) else { return false }
    return buffer.isOfProgram || scopes.isOpen(buffer.scope)
  }

  // MARK: For reports

  package var tasks: UInt64 { counters.tasks }
  package var edges: UInt64 { counters.edges }
  package var stalls: [Stall] { counters.stalls }
  package var hasUnfinished: Bool { counters.hasUnfinished }
  package var busyNanoseconds: UInt64 { counters.busyNanoseconds }

  /// Counts of a ring in this run: tasks submitted, RELEASED, CONSUMED.
  package func counts(ring: Int) -> (submitted: UInt64, released: UInt64, consumed: UInt64) {
    let first = rings[ring].first
    return (
      rings[ring].current - first, rings[ring].released - first, rings[ring].consumed - first
    )
  }
}
