internal import CPTO2Segment
internal import PTO2Protocol

/// A value a user gave that cannot be used: which, what it was, what it may be.
package struct ConfigurationError: Error, Equatable, CustomStringConvertible {
  /// The flag or environment variable, as the user wrote it.
  package var variable: String
  package var value: String
  package var range: String

  package init(variable: String, value: String, range: String) {
    self.variable = variable
    self.value = value
    self.range = range
  }

  package var description: String { "\(variable)=\(value) is not valid: expected \(range)" }
}

/// Everything the layout of a segment is computed from.
package struct Configuration: Equatable, Sendable {
  package struct Ring: Equatable, Sendable {
    /// Tasks between submit and RELEASED. A power of two.
    package var taskWindow: UInt32
    /// Tasks between submit and CONSUMED. A power of two, >= taskWindow.
    package var consumedWindow: UInt32
    /// Bytes for runtime-allocated outputs. A multiple of 64.
    package var heapBytes: UInt64
    /// Fanin entries, and as many fanout edges. A power of two.
    package var dependencyPool: UInt32
    /// Bytes for tensor records and long argument lists of tasks between submit and
    /// RELEASED: some for each slot, and enough for any one task.
    package var payloadBytes: UInt64 {
      max(
        UInt64(PTO2_PAYLOAD_BYTES_LEAST), UInt64(taskWindow) * UInt64(PTO2_PAYLOAD_BYTES_PER_SLOT))
    }

    package init(
      taskWindow: UInt32, consumedWindow: UInt32, heapBytes: UInt64, dependencyPool: UInt32
    ) {
      self.taskWindow = taskWindow
      self.consumedWindow = consumedWindow
      self.heapBytes = heapBytes
      self.dependencyPool = dependencyPool
    }
  }

  /// One to eight; ring index = min(scope depth, rings.count - 1).
  package var rings: [Ring]
  /// 1 AIC + 2 AIV each.
  package var clusters: UInt32
  /// Register pairs per core: how many dispatches one core may hold.
  package var lanes: UInt32
  package var schedulerThreads: UInt32
  /// How long without any progress is error 100; 0 = never.
  package var stallLimitMilliseconds: UInt32
  /// How long a kernel may run before its worker is killed; 0 = for ever.
  package var kernelDeadlineMilliseconds: UInt32
  /// How long a stopped scheduler or worker is waited for; 0 = for ever.
  package var stopGraceMilliseconds: UInt32
  package var flags: Flags
  /// Largest offset field of a dispatch word: the descriptors that can be
  /// named. Less than PTO2_WORD_OFFSET_MAX for a core that addresses less.
  package var offsetLimit: UInt32
  /// Bytes for tensors the program owns.
  package var arenaBytes: UInt64
  /// Where every free-running counter starts. 0 but in tests of the wrap.
  package var firstPosition: UInt32
  /// How long a scheduler or worker may take to appear.
  package var attachTimeoutMilliseconds: UInt32
  /// Of each trace buffer: a multiple of 64 KiB; 0 = nothing is traced.
  package var traceBytes: UInt64 = 0
  /// Of the session's constants.
  package var constantBytes: UInt64 = 0
  /// Which of the sessions that run one program together this is, and how many they are.
  package var rank: UInt32 = 0
  package var ranks: UInt32 = 1
  package var imageCount: UInt32 = 0
  package var kernelCount: UInt32 = 0

  package static let defaultRingCount = 4
  package static let defaultTaskWindow: UInt32 = 16384
  package static let consumedWindowFactor: UInt32 = 4
  package static let defaultHeapBytes: UInt64 = 256 << 20
  package static let defaultDependencyPool: UInt32 = 65536
  package static let defaultArenaBytes: UInt64 = 4 << 30
  package static let defaultStopGraceMilliseconds: UInt32 = 5000

  package init(
    rings: [Ring]? = nil, clusters: UInt32 = 1, lanes: UInt32 = 64,
    schedulerThreads: UInt32 = 1,
    arenaBytes: UInt64 = Self.defaultArenaBytes, firstPosition: UInt32 = 0,
    attachTimeoutMilliseconds: UInt32 = 10_000, stallLimitMilliseconds: UInt32 = 0,
    offsetLimit: UInt32 = PTO2_WORD_OFFSET_MAX, kernelDeadlineMilliseconds: UInt32 = 0,
    stopGraceMilliseconds: UInt32 = Self.defaultStopGraceMilliseconds, flags: Flags = []
  ) {
    self.rings =
      rings
      ?? [Ring](
        repeating: Ring(
          taskWindow: Self.defaultTaskWindow,
          consumedWindow: Self.defaultTaskWindow * Self.consumedWindowFactor,
          heapBytes: Self.defaultHeapBytes, dependencyPool: Self.defaultDependencyPool),
        count: Self.defaultRingCount)
    self.clusters = clusters
    self.lanes = lanes
    self.schedulerThreads = schedulerThreads
    self.arenaBytes = arenaBytes
    self.firstPosition = firstPosition
    self.attachTimeoutMilliseconds = attachTimeoutMilliseconds
    self.stallLimitMilliseconds = stallLimitMilliseconds
    self.offsetLimit = offsetLimit
    self.kernelDeadlineMilliseconds = kernelDeadlineMilliseconds
    self.stopGraceMilliseconds = stopGraceMilliseconds
    self.flags = flags
  }

  package struct Flags: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// No warnings on standard error.
    package static let quiet = Flags(rawValue: PTO2_SESSION_QUIET)
    /// What is published is done even if the orchestrator dies.
    package static let drains = Flags(rawValue: PTO2_SESSION_DRAIN)
    /// No task is dispatched before its producers are COMPLETED.
    package static let noAhead = Flags(rawValue: PTO2_SESSION_NO_AHEAD)
    package static let noMoves = Flags(rawValue: PTO2_SESSION_NO_MOVES)
    /// The trace has every dependency.
    package static let traceEdges = Flags(rawValue: PTO2_SESSION_TRACE_EDGES)
    /// Workers keep their kernels from the segment's name and from other processes.
    package static let confined = Flags(rawValue: PTO2_SESSION_CONFINE)
  }

  package var isQuiet: Bool { flags.contains(.quiet) }
  package var confinesWorkers: Bool { flags.contains(.confined) }
  package var drains: Bool { flags.contains(.drains) }
  /// Tasks are dispatched ahead of their producers' FINs; one thread alone does.
  package var worksAhead: Bool { !flags.contains(.noAhead) && schedulerThreads == 1 }

  /// Cores choose the CPU they run on.
  package var movesCores: Bool { !flags.contains(.noMoves) }

  package var coreCount: Int { Int(clusters) * Int(PTO2_CORES_PER_CLUSTER) }

  /// Log records: enough for every task that can be in flight and its scope
  /// ends, at most 65536, a power of two.
  package var logCapacity: UInt32 {
    let tasks = rings.reduce(UInt64(64)) { $0 + 2 * UInt64($1.taskWindow) }
    var capacity: UInt32 = 64
    while UInt64(capacity) < min(tasks, 65536) { capacity *= 2 }
    return capacity
  }

  /// There are other ranks, and a process that carries tensors to and from them.
  package var hasLink: Bool { ranks > 1 }

  /// Places of the two rings of transfers: one for every task between submit and RELEASED.
  package var transferCapacity: UInt32 {
    var capacity: UInt32 = 64
    while capacity < rings.reduce(0, { $0 + $1.taskWindow }) { capacity *= 2 }
    return capacity
  }

  package static let maximumDependencyPool = UInt64(PTO2_DEP_POOL_MAX)
  package static let maximumTaskWindow: UInt32 = 1 << 20
  package static let maximumConsumedWindow: UInt32 = 1 << 24
  package static let maximumHeapBytes: UInt64 = 1 << 40
  package static let maximumArenaBytes: UInt64 = 1 << 42
  package static let maximumConstantBytes: UInt64 = 64 << 20

  /// Checks every relation the protocol relies on. A header that fails this is
  /// refused, whoever wrote it.
  package func validate() throws(ConfigurationError) {
    func check(
      _ variable: String, _ value: UInt64, _ range: ClosedRange<UInt64>, powerOfTwo: Bool = false,
      multiple: UInt64 = 1
    ) throws(ConfigurationError) {
      let fits = range.contains(value) && value % multiple == 0
      if fits && !(powerOfTwo && value & (value &- 1) != 0) { return }
      var text = "\(range.lowerBound) to \(range.upperBound)"
      if powerOfTwo { text = "a power of two, " + text }
      if multiple > 1 { text = "a multiple of \(multiple), " + text }
      throw ConfigurationError(variable: variable, value: "\(value)", range: text)
    }
    try check("rings", UInt64(rings.count), 1...UInt64(PTO2_MAX_RINGS))
    try check("--clusters", UInt64(clusters), 1...UInt64(PTO2_MAX_CLUSTERS))
    try check("--lanes", UInt64(lanes), 1...UInt64(PTO2_MAX_LANES))
    try check("--threads", UInt64(schedulerThreads), 1...UInt64(PTO2_MAX_SCHEDULER_THREADS))
    try check("offset limit", UInt64(offsetLimit), 1...UInt64(PTO2_WORD_OFFSET_MAX))
    try check("--arena", arenaBytes, 4096...Self.maximumArenaBytes)
    try check(
      "--trace-buffer", traceBytes, 0...UInt64(PTO2_TRACE_BYTES_MOST),
      multiple: UInt64(PTO2_TRACE_BYTES_LEAST))
    try check("bytes of constants", constantBytes, 0...Self.maximumConstantBytes)
    try check("ranks", UInt64(ranks), 1...UInt64(PTO2_MAX_RANKS))
    try check("rank", UInt64(rank), 0...UInt64(ranks) - 1)
    try check("images", UInt64(imageCount), 0...UInt64(PTO2_MAX_IMAGES))
    try check("kernels", UInt64(kernelCount), 0...UInt64(PTO2_MAX_KERNELS))
    for ring in rings {
      try check(
        "PTO2_RING_TASK_WINDOW (--task-window)", UInt64(ring.taskWindow),
        2...UInt64(Self.maximumTaskWindow),
        powerOfTwo: true)
      try check(
        "PTO2_RING_CONSUMED_WINDOW (--consumed-window)", UInt64(ring.consumedWindow),
        UInt64(ring.taskWindow)...UInt64(Self.maximumConsumedWindow), powerOfTwo: true)
      try check(
        "PTO2_RING_HEAP (--heap)", ring.heapBytes, UInt64(PTO2_HEAP_ALIGN)...Self.maximumHeapBytes,
        multiple: UInt64(PTO2_HEAP_ALIGN))
      try check(
        "PTO2_RING_DEP_POOL (--dep-pool)", UInt64(ring.dependencyPool),
        4...Self.maximumDependencyPool,
        powerOfTwo: true)
    }
  }
}

extension Configuration {
  /// The record as it stands in the header.
  var record: pto2_configuration {
    var record = pto2_configuration()
    record.rings = UInt32(rings.count)
    record.clusters = clusters
    record.lanes = lanes
    record.scheduler_threads = schedulerThreads
    record.log_capacity = logCapacity
    record.first_position = firstPosition
    record.image_count = imageCount
    record.kernel_count = kernelCount
    record.attach_timeout_milliseconds = attachTimeoutMilliseconds
    record.stall_limit_milliseconds = stallLimitMilliseconds
    record.offset_limit = offsetLimit
    record.kernel_deadline_milliseconds = kernelDeadlineMilliseconds
    record.stop_grace_milliseconds = stopGraceMilliseconds
    record.flags = flags.rawValue
    record.arena_bytes = arenaBytes
    record.trace_bytes = traceBytes
    record.constant_bytes = constantBytes
    record.rank = rank
    record.ranks = ranks
    func fill<Value>(_ values: UnsafeMutableBufferPointer<Value>, _ value: (Ring) -> Value) {
      for (index, ring) in rings.enumerated() { unsafe values[index] = value(ring) }
    }
    unsafe withElements(&record.task_window, of: UInt32.self) { unsafe fill($0, \.taskWindow) }
    unsafe withElements(&record.consumed_window, of: UInt32.self) {
      unsafe fill($0, \.consumedWindow)
    }
    unsafe withElements(&record.dep_pool, of: UInt32.self) { unsafe fill($0, \.dependencyPool) }
    unsafe withElements(&record.heap_bytes, of: UInt64.self) { unsafe fill($0, \.heapBytes) }
    return record
  }

  /// Reads a header's record; every value is checked before it is used.
  init(_ record: pto2_configuration) throws(ConfigurationError) {
    guard (1...UInt32(PTO2_MAX_RINGS)).contains(record.rings) else {
      throw ConfigurationError(
        variable: "rings", value: "\(record.rings)", range: "1 to \(PTO2_MAX_RINGS)")
    }
    var record = record
    var rings: [Ring] = []
    for index in 0..<Int(record.rings) {
      rings.append(
        unsafe Ring(
          taskWindow: withElements(&record.task_window, of: UInt32.self) { unsafe $0[index] },
          consumedWindow: withElements(&record.consumed_window, of: UInt32.self) {
            unsafe $0[index]
          },
          heapBytes: withElements(&record.heap_bytes, of: UInt64.self) { unsafe $0[index] },
          dependencyPool: withElements(&record.dep_pool, of: UInt32.self) { unsafe $0[index] }))
    }
    self.init(
      rings: rings, clusters: record.clusters, lanes: record.lanes,
      schedulerThreads: record.scheduler_threads, arenaBytes: record.arena_bytes,
      firstPosition: record.first_position,
      attachTimeoutMilliseconds: record.attach_timeout_milliseconds,
      stallLimitMilliseconds: record.stall_limit_milliseconds, offsetLimit: record.offset_limit,
      kernelDeadlineMilliseconds: record.kernel_deadline_milliseconds,
      stopGraceMilliseconds: record.stop_grace_milliseconds, flags: Flags(rawValue: record.flags))
    traceBytes = record.trace_bytes
    constantBytes = record.constant_bytes
    rank = record.rank
    ranks = record.ranks
    imageCount = record.image_count
    kernelCount = record.kernel_count
    try validate()
    guard record.log_capacity == logCapacity else {
      throw ConfigurationError(
        variable: "log capacity", value: "\(record.log_capacity)", range: "\(logCapacity)")
    }
  }
}
