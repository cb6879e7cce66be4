internal import CPTO2Segment
package import PTO2Protocol
package import PTO2Segment
internal import PTO2System

/// Where the orchestrator can be held up.
package enum StallReason: Int, CaseIterable, Sendable {
  case submissionLog, mainRing, consumedRing, heap, dependencyPool, tensorMap

  package var name: String {
    switch self {
    case .submissionLog: "submission log"
    case .mainRing: "main ring"
    case .consumedRing: "consumed ring"
    case .heap: "heap ring"
    case .dependencyPool: "dependency pool"
    case .tensorMap: "TensorMap"
    }
  }
}

/// How often and how long back-pressure held the program up.
package struct Stall: Sendable {
  package var count: UInt64 = 0
  package var nanoseconds: UInt64 = 0
}

/// The orchestrator role: task ids, slots, output memory, producers, scopes,
/// and the submission log. `Graph` is its public face.
@safe package struct Orchestrator: ~Copyable {
  package let segment: Segment
  package let fault: FirstError
  let log: UnsafeMutablePointer<pto2_log_record>
  let logCapacity: UInt32
  let submittedWord: OwnedWord
  let parkedWord: OwnedWord
  let targetWord: OwnedWord
  let control: SharedWord
  let schedulerControl: SharedWord
  let schedulerParked: SharedWord
  let wiredWord: SharedWord
  /// Tasks that FAILED.
  let failedWord: SharedWord
  package let ringCount: Int
  let rings: UnsafeMutablePointer<RingProducer>
  let reservations: UnsafeMutablePointer<ProducerReservation>
  var arenaReserver: ChunkReserver
  var arenaUsed: UInt64 = 0

  var submitted: UInt64
  var map = unsafe TensorMap()
  /// Ranges the TensorMap may hold between two submissions.
  let mapLimit: Int
  package static let defaultMapLimit = 1 << 22
  var buffers = unsafe Pool<Buffer>(capacity: 1024)
  var freeBuffer = UInt32.max
  let scopes: UnsafeMutablePointer<Scope>
  package private(set) var scopeDepth = 0
  var scopeSerial: UInt64 = 0

  // The task being put together.
  package var isStaging = false
  let staged: UnsafeMutablePointer<StagedArgument>
  var stagedCount = 0
  var stagedDependencies = unsafe Pool<Dependency>(capacity: 16)
  let stagedScalars: UnsafeMutablePointer<UInt64>
  var stagedScalarCount = 0
  var stagedBlocks: UInt32 = 1
  var stagedSyncStart = false
  var stagedHasKernels = false
  /// No tensor so far that the task reads and writes.
  var stagedIsPure = true
  /// A tensor so far that the task overwrites in place.
  var stagedHasExisting = false
  var stagedRecovery = Recovery.automatic
  var stagedPredicate: StagedPredicate?
  var stagedError: PTO2Error?
  let collector: UnsafeMutablePointer<FaninCollector>

  var isSchedulerAttached = false
  var waitSet = WaitSet()
  package private(set) var tasks: UInt64 = 0
  package private(set) var edges: UInt64 = 0
  package var stalls = [Stall](repeating: Stall(), count: StallReason.allCases.count)
  /// True when tasks were submitted since the last completed `wait`.
  package private(set) var hasUnfinished = false

  /// Takes over a segment that is filled and not yet published.
  package init(_ segment: consuming Segment, mapLimit: Int = defaultMapLimit) {
    self.mapLimit = mapLimit
    let first = segment.configuration.firstPosition
    let own = unsafe segment.write(.orchestratorWords)
    let scheduler = unsafe segment.read(.schedulerWords)
    unsafe log = segment.write(.submissionLog).assumingMemoryBound(to: pto2_log_record.self)
    logCapacity = segment.configuration.logCapacity
    submittedWord = unsafe OwnedWord(own + Int(PTO2_ORCH_SUBMITTED))
    parkedWord = unsafe OwnedWord(own + Int(PTO2_ORCH_PARKED))
    targetWord = unsafe OwnedWord(own + Int(PTO2_ORCH_TARGET))
    control = unsafe OwnedWord(own + Int(PTO2_ORCH_CONTROL)).shared
    fault = unsafe FirstError(words: own, scheduler: scheduler)
    schedulerControl = unsafe SharedWord(scheduler + Int(PTO2_SCHED_CONTROL))
    schedulerParked = unsafe SharedWord(scheduler + Int(PTO2_SCHED_PARKED))
    wiredWord = unsafe SharedWord(scheduler + Int(PTO2_SCHED_WIRED))
    failedWord = unsafe SharedWord(scheduler + Int(PTO2_SCHED_FAILURES))
    ringCount = segment.configuration.rings.count
    unsafe rings = .allocate(capacity: ringCount)
    unsafe reservations = .allocate(capacity: ringCount)
    for ring in 0..<ringCount {
      unsafe (rings + ring).initialize(to: RingProducer(segment, ring: ring))
      unsafe (reservations + ring).initialize(to: ProducerReservation(segment.layout, ring: ring))
    }
    arenaReserver = ChunkReserver(
      segment.layout, .arena, chunkBytes: 1 << 20, isPopulated: false)
    submitted = UInt64(first)
    wiredKnown = UInt64(first)
    unsafe scopes = .allocate(capacity: Int(PTO2_MAX_SCOPE_DEPTH) + 1)
    unsafe staged = .allocate(capacity: Int(PTO2_MAX_TENSORS))
    unsafe stagedScalars = .allocate(capacity: Int(PTO2_MAX_SCALARS))
    unsafe collector = .allocate(capacity: 1)
    unsafe collector.initialize(to: FaninCollector(rings: rings))
    submittedWord.storeRelaxed(first)
    unsafe ProcessRecord.announce(isSupervised: false, at: own + Int(PTO2_ORCH_PROCESS))
    self.segment = segment
    openScope(isManual: false)
  }

  deinit {
    for ring in 0..<ringCount { unsafe rings[ring].memory.deallocate() }
    unsafe reservations.deinitialize(count: ringCount)
    unsafe reservations.deallocate()
    unsafe rings.deallocate()
    unsafe map.deallocate()
    unsafe stagedDependencies.deallocate()
    unsafe buffers.deallocate()
    unsafe scopes.deallocate()
    unsafe staged.deallocate()
    unsafe stagedScalars.deallocate()
    unsafe collector.pointee.deallocate()
    unsafe collector.deallocate()
  }

  // MARK: Scopes

  /// Ring of the innermost open scope.
  @inline(__always)
  var currentRing: Int { min(scopeDepth - 1, ringCount - 1) }

  package mutating func beginScope(isManual: Bool = false) throws(PTO2Error) {
    try fault.check()
    guard scopeDepth <= Int(PTO2_MAX_SCOPE_DEPTH) else {
      throw fault.raise(
        PTO2Error(
          .invalidArgs, "scopes are nested \(PTO2_MAX_SCOPE_DEPTH) deep at most",
          needed: UInt64(scopeDepth), available: UInt64(PTO2_MAX_SCOPE_DEPTH)))
    }
    openScope(isManual: isManual)
  }

  private mutating func openScope(isManual: Bool) {
    scopeSerial &+= 1
    let ring = min(scopeDepth, ringCount - 1)
    unsafe (scopes + scopeDepth).initialize(
      to: Scope(serial: scopeSerial, ring: ring, isManual: isManual))
    scopeDepth += 1
  }

  /// Ends the innermost scope: its tasks lose the reference it holds on them.
  package mutating func endScope() throws(PTO2Error) {
    try fault.check()
    guard scopeDepth > 1 else {
      throw fault.raise(PTO2Error(.invalidArgs, "scope end without a scope begin"))
    }
    try closeScope()
  }

  mutating func closeScope() throws(PTO2Error) {
    let scope = unsafe scopes[scopeDepth - 1]
    scopeDepth -= 1
    guard scope.count > 0 else { return }
    try append(
      pto2_log_record(
        kind: PTO2_LOG_SCOPE_END, ring: UInt32(scope.ring), id: scope.lastLocal, count: scope.count)
    )
  }

  /// True while the scope a buffer's owner was submitted in is open.
  @inline(__always)
  func isOpen(scope serial: UInt64) -> Bool {
    var depth = scopeDepth - 1
    while depth >= 0 {
      let open = unsafe scopes[depth].serial
      if open == serial { return true }
      // Serials grow with depth: deeper in the past means closed.
      if open < serial { return false }
      depth -= 1
    }
    return false
  }

  // MARK: The log

  /// Appends one record and publishes it; wakes the scheduler's first thread if
  /// that sleeps: it is the one that waits for submissions.
  mutating func append(_ record: pto2_log_record) throws(PTO2Error) {
    if submitted &- wiredKnown >= UInt64(logCapacity) { try waitForLog() }
    unsafe log[Int(UInt32(truncatingIfNeeded: submitted) & (logCapacity - 1))] = record
    submitted &+= 1
    // Pairs with the scheduler's acquire: it sees the record, and the slot,
    // descriptor and fanin list written before.
    submittedWord.storeRelease(UInt32(truncatingIfNeeded: submitted))
    // No look at `parked` may pass the store above; pairs with the scheduler's
    // fence between its `parked` and its last look at `submitted`.
    fullFence()
    if schedulerParked.loadRelaxed() & 1 != 0 { Futex.wake(submittedWord.shared) }
  }

  /// Log records known to be wired; refreshed when the log looks full.
  var wiredKnown: UInt64

  /// Begin of the period in which tasks are unfinished, and the sum of those
  /// that are over.
  private var busySince: UInt64 = 0
  package private(set) var busyNanoseconds: UInt64 = 0

  mutating func noteSubmitted(edges count: Int) {
    if !hasUnfinished { busySince = MonotonicClock.now() }
    tasks &+= 1
    edges &+= UInt64(count)
    hasUnfinished = true
  }

  mutating func noteFinished() {
    if hasUnfinished { busyNanoseconds += MonotonicClock.now() &- busySince }
    hasUnfinished = false
  }

  // MARK: External tensors

  /// Zero-filled memory in the arena, for tensors the program owns.
  package mutating func external(_ shape: Shape, _ type: DataType) throws(PTO2Error) -> AnyTensor {
    try fault.check()
    guard shape.isValid, let count = shape.elementCount else {
      throw fault.raise(
        PTO2Error(
          .invalidArgs,
          "external tensor: shape \(shape) is not valid: expected 0 to 5 extents of at least 1 and fewer than 2^32 elements"
        ))
    }
    let bytes = HeapRing.rounded(UInt64(count) * UInt64(type.byteCount))
    let arena = segment.layout.section(.arena)
    guard arenaUsed + bytes <= segment.configuration.arenaBytes else {
      throw fault.raise(
        PTO2Error(
          .outOfMemory,
          "external tensor \(shape) of \(bytes) bytes: the arena has \(segment.configuration.arenaBytes - arenaUsed) of \(segment.configuration.arenaBytes) bytes left. Make it larger with --arena",
          needed: bytes, available: segment.configuration.arenaBytes - arenaUsed))
    }
    do { try arenaReserver.ensure(segment, offset: arenaUsed, bytes: bytes) } catch {
      throw fault.raise(
        PTO2Error(.outOfMemory, "external tensor \(shape): \(error)", needed: bytes))
    }
    let index = makeBuffer(bytes: bytes)
    unsafe buffers.elements[Int(index)].offset = arena.offset + arenaUsed
    unsafe buffers.elements[Int(index)].state = Buffer.placed
    arenaUsed += bytes
    return unsafe AnyTensor(
      buffer: index, generation: buffers[index].generation, shape: shape, dataType: type)
  }

  mutating func makeBuffer(bytes: UInt64) -> UInt32 {
    guard freeBuffer != UInt32.max else {
      return unsafe buffers.append(Buffer(bytes: bytes))
    }
    let index = freeBuffer
    let old = unsafe buffers[index]
    freeBuffer = old.next
    unsafe buffers[index] = Buffer(bytes: bytes, generation: old.generation)
    return index
  }

  mutating func freeBuffer(_ index: UInt32) {
    let buffer = unsafe buffers.elements + Int(index)
    unsafe map.removeAll(&buffer.pointee.ranges)
    unsafe buffer.pointee.state = Buffer.free
    unsafe buffer.pointee.generation &+= 1
    unsafe buffer.pointee.next = freeBuffer
    freeBuffer = index
  }

  /// The first byte of a tensor in this process, or nil when its memory is
  /// gone or not there yet.
  package func address(of tensor: AnyTensor) -> UnsafeMutableRawPointer? {
    guard let buffer = liveBuffer(tensor), buffer.state == Buffer.placed else { return nil }
    return unsafe UnsafeMutableRawPointer(
      mutating: segment.mapping.base + Int(buffer.offset + tensor.offset))
  }

  /// False for an output whose scope has ended, whether or not its memory is
  /// in use by others already.
  package func isInScope(_ tensor: AnyTensor) -> Bool {
    guard let buffer = liveBuffer(tensor) else { return false }
    return buffer.owner == 0 || isOpen(scope: buffer.scope)
  }

  func liveBuffer(_ tensor: AnyTensor) -> Buffer? {
    guard Int(tensor.buffer) < (unsafe buffers.count) else { return nil }
    let buffer = unsafe buffers[tensor.buffer]
    guard buffer.generation == tensor.generation, buffer.state != Buffer.free,
      tensor.offset + tensor.spanBytes <= buffer.bytes
    else { return nil }
    return buffer
  }

  // MARK: For reports

  /// Ordinals of a ring: submitted, RELEASED, CONSUMED counts of this run.
  package func counts(ring: Int) -> (submitted: UInt64, released: UInt64, consumed: UInt64) {
    let first = UInt64(segment.configuration.firstPosition) + 1 << 32
    let state = unsafe rings[ring]
    return unsafe (state.current - first, state.released - first, state.consumed - first)
  }
}
