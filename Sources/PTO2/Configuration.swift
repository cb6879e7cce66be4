internal import CPTO2Segment
public import PTO2Protocol
package import PTO2Segment
internal import PTO2System

/// What a session is made of: cores, rings, memory, limits of time. A value that is
/// not valid is refused by `Session.init`, which says which, and what it may be.
public struct Configuration: Equatable, Sendable {
  /// One task ring: what scopes of one depth use.
  public struct Ring: Equatable, Sendable {
    /// Tasks between submit and RELEASED: a power of two, 2 to 2^20.
    public var taskWindow: Int
    /// Tasks between submit and CONSUMED: a power of two, task window to 2^24.
    public var consumedWindow: Int
    /// Bytes for outputs: a multiple of 64.
    public var heapBytes: Int
    /// Dependencies of the tasks between submit and RELEASED, a power of two; also the
    /// most producers of one task.
    public var dependencyPool: Int

    /// - Parameter consumedWindow: nil: four times the task window.
    public init(
      taskWindow: Int = 16384, consumedWindow: Int? = nil, heapBytes: Int = 256 << 20,
      dependencyPool: Int = 65536
    ) {
      self.taskWindow = taskWindow
      self.consumedWindow =
        consumedWindow ?? taskWindow.multipliedReportingOverflow(by: 4).partialValue
      self.heapBytes = heapBytes
      self.dependencyPool = dependencyPool
    }
  }

  /// How long things may take.
  public struct Limits: Equatable, Sendable {
    /// How long scheduler and workers may take to appear.
    public var attachTimeout = Duration.seconds(10)
    /// Ends the session with `schedulerTimeout` when nothing has moved for so long; nil:
    /// never.
    public var stallLimit: Duration?
    /// How long a kernel may run; then its worker is killed, and the task is run again or
    /// fails as after any death of a worker. Nil: for ever.
    public var kernelDeadline: Duration?
    /// How long a worker or the scheduler may be stopped (SIGSTOP); then it is killed.
    /// Nil: for ever.
    public var stopGrace: Duration? = .seconds(5)

    /// Ten seconds for processes to come up, five for stopped ones, nothing else limited.
    public init() {}
  }

  /// On which CPUs, of those that this process may use (sched_getaffinity(2)), workers run.
  public enum WorkerPlacement: Sendable, Equatable {
    /// A core that waits moves away from a CPU that another core uses, to one that none
    /// does, if there is one.
    case automatic
    /// As Linux likes.
    case byKernel
    /// The worker of core c stays on the CPU at c, wrapping; at least one. A CPU that this
    /// process may not use is `invalidArgs`.
    case pinned([Int])

    /// As `--pin` has it: `auto`, `none`, or CPUs such as `0,2-5`.
    package init(_ text: String) throws(PTO2Error) {
      switch text {
      case "auto": self = .automatic
      case "none": self = .byKernel
      default:
        guard let cpus = CPUSet.parse(text) else {
          throw PTO2Error(
            ConfigurationError(
              variable: "--pin", value: text, range: "auto, none, or CPUs such as 0,2-5"))
        }
        self = .pinned(cpus)
      }
    }
  }

  /// Where executables and kernel images are looked for first.
  public struct Directories: Equatable, Sendable {
    /// Of pto2-scheduler and pto2-worker; then PTO2_BIN_DIR, beside the executable of this
    /// process, and PATH.
    public var executables: String?
    /// Of kernel images that are named without a slash; then beside the executable of this
    /// process, and in PTO2_KERNEL_PATH.
    public var images: [String] = []

    /// None but where this process's executable and the environment say.
    public init() {}
  }

  /// Where processes find the shared memory.
  public enum SegmentPlace: Equatable, Sendable {
    /// In /dev/shm, under a new name, which `Session.name` then says.
    case fresh
    /// In /dev/shm, under this name: 1 to 250 bytes, no slash.
    case named(String)
    /// In a memfd_create(2) file of a fixed size without a name: nothing can be left behind.
    case memfd

    /// The name in /dev/shm that is asked for.
    var name: String? { if case .named(let name) = self { name } else { nil } }
  }

  /// What is recorded of each task, and where it goes.
  public struct Trace: Equatable, Sendable {
    /// The file, which is made or emptied when the session begins and written when it ends:
    /// Chrome's JSON where the name ends in `.json`, otherwise Perfetto's format. A session
    /// that has to begin anew writes a second one with `.2` in its name, and so on.
    public var file: String
    /// Bytes of each of the buffers: one of the program's thread, one a scheduler thread, one
    /// a core. A multiple of 64 KiB, 64 KiB to 1 GiB. What does not fit is dropped, and counted.
    public var bufferBytes = 4 << 20
    /// Every dependency, too.
    public var hasEdges = false

    /// To a file, in buffers of 4 MiB, without dependencies.
    public init(file: String) { self.file = file }
  }

  /// Clusters of one matrix core (AIC) and two vector cores (AIV), 1 to 40; one worker
  /// process a core.
  public var clusters = 1
  /// Dispatches a core may hold at once, 1 to 64. How many it is given within that follows
  /// how long its kernels take; with several scheduler threads it is two.
  public var lanes = 64
  /// 1 to 8; thread t polls clusters t, t + n, ...
  public var schedulerThreads = 1
  /// 1 to 8; scopes deeper than that share the last one.
  public var rings = [Ring](repeating: Ring(), count: 4)
  /// Bytes for external tensors. Memory is taken as it is used.
  public var arenaBytes = 4 << 30
  /// Records the TensorMap may hold: ranges of bytes, and views with gaps.
  public var tensorMapRanges = 1 << 22
  /// Bytes of dispatch descriptors that a core can address, at most and by default
  /// 2 GiB; a task beyond is `encodingOverflow`.
  public var addressSpaceBytes: Int?

  /// What every kernel sees beside its arguments (`constants` of `pto2_kernel_args`), at most
  /// 64 MiB: parameters that are the same for all tasks. An init function of an image sees them
  /// first.
  public var constants: [UInt8] = []

  /// How long things may take.
  public var limits = Limits()

  /// When this process dies, scheduler and workers still do every task that it has
  /// submitted; otherwise they end at once.
  public var drainsAfterDeath = false
  /// A task is dispatched when its producers are dispatched; the core it goes to waits for
  /// them. Otherwise, and with several scheduler threads, when they are COMPLETED.
  public var worksAhead = true
  /// On which CPUs the workers run.
  public var workerPlacement = WorkerPlacement.automatic
  /// Scheduler and workers say nothing on standard error.
  public var isQuiet = true
  /// Starts scheduler and workers. Otherwise somebody else starts them, with
  /// `Session.name`.
  public var launchesProcesses = true
  /// SIGINT, SIGTERM, SIGHUP and SIGQUIT end the session with `interrupted`, unless they are
  /// ignored, and so do other signals that would end the process (SIGALRM, SIGUSR1, ...),
  /// unless somebody handles or ignores them; whichever thread gets them. A second one ends
  /// the process as it would without this.
  public var handlesSignals = false

  /// Nil: nothing is recorded.
  public var trace: Trace?

  /// Where the segment is.
  public var segment = SegmentPlace.fresh
  /// Workers give up, with Landlock and seccomp, to open anything in /dev/shm or /proc for
  /// writing, and to trace or change other processes: a kernel that means harm can spoil the
  /// data and its own core's page, no more. Linux 5.13; not together with `.memfd`.
  public var confinesWorkers = false
  /// Where executables and kernel images are looked for first.
  public var directories = Directories()

  /// Where every free-running counter starts: for tests of the wrap.
  package var firstPosition: UInt32 = 0

  /// The defaults: one cluster, four rings.
  public init() {}

  /// Cores of the session.
  public var coreCount: Int { clusters * Int(PTO2_CORES_PER_CLUSTER) }
}

// MARK: Environment

extension Configuration {
  /// The defaults, with ring sizes from the variables that the original reads, too:
  /// PTO2_RING_TASK_WINDOW, PTO2_RING_CONSUMED_WINDOW, PTO2_RING_HEAP and
  /// PTO2_RING_DEP_POOL, one value or one a ring, separated by commas; and
  /// PTO2_TENSOR_MAP_ENTRIES.
  /// - Throws: `invalidArgs`, naming the variable, its value, and what it may be.
  public static func fromEnvironment(rings: Int = 4) throws(PTO2Error) -> Configuration {
    var configuration = Configuration()
    do {
      configuration.rings = try RingSettings().rings(count: rings, environment: environment(_:))
      configuration.tensorMapRanges = try PTO2.tensorMapRanges(nil, environment: environment(_:))
    } catch { throw PTO2Error(error) }
    return configuration
  }
}

extension PTO2Error {
  package init(_ error: ConfigurationError) {
    self.init(.invalidArgs, "\(error)", underlying: error)
  }
}

// MARK: The segment's own

extension Configuration {
  /// What the segment is laid out by, checked.
  package func segmentConfiguration() throws(ConfigurationError)
    -> PTO2Segment.Configuration
  {
    func checked<Value: FixedWidthInteger>(_ name: String, _ value: Int)
      throws(ConfigurationError) -> Value
    {
      guard let result = Value(exactly: value) else {
        throw ConfigurationError(
          variable: name, value: "\(value)", range: "0 to \(Value.max)")
      }
      return result
    }
    guard (1...1 << 30).contains(tensorMapRanges) else {
      throw ConfigurationError(
        variable: "--tensor-map", value: "\(tensorMapRanges)", range: "1 to \(1 << 30)")
    }
    var segmentRings: [PTO2Segment.Configuration.Ring] = []
    for ring in rings {
      segmentRings.append(
        PTO2Segment.Configuration.Ring(
          taskWindow: try checked("--task-window", ring.taskWindow),
          consumedWindow: try checked("--consumed-window", ring.consumedWindow),
          heapBytes: try checked("--heap", ring.heapBytes),
          dependencyPool: try checked("--dep-pool", ring.dependencyPool)))
    }
    if case .pinned(let cpus) = workerPlacement {
      let allowed = CPUSet.allowed()
      let strange = cpus.first { !allowed.contains($0) }
      guard strange == nil, !cpus.isEmpty else {
        throw ConfigurationError(
          variable: "--pin", value: strange.map(String.init) ?? "no CPU",
          range: "CPUs that this process may use: \(allowed)")
      }
    }
    if let trace, trace.bufferBytes < Int(PTO2_TRACE_BYTES_LEAST) {
      throw ConfigurationError(
        variable: "--trace-buffer", value: "\(trace.bufferBytes)",
        range: "a multiple of \(PTO2_TRACE_BYTES_LEAST), up to 1 GiB")
    }
    var result = PTO2Segment.Configuration(
      rings: segmentRings, clusters: try checked("--clusters", clusters),
      lanes: try checked("--lanes", lanes),
      schedulerThreads: try checked("--threads", schedulerThreads),
      arenaBytes: try checked("--arena", arenaBytes), firstPosition: firstPosition,
      attachTimeoutMilliseconds: try milliseconds(
        "--attach-timeout", limits.attachTimeout, maximum: .seconds(86400)),
      stallLimitMilliseconds: try milliseconds("--stall-limit", limits.stallLimit),
      offsetLimit: try offsetLimit(),
      kernelDeadlineMilliseconds: try milliseconds("--kernel-deadline", limits.kernelDeadline),
      stopGraceMilliseconds: try milliseconds("--stop-grace", limits.stopGrace),
      flags: PTO2Segment.Configuration.Flags(isQuiet ? [.quiet] : [])
        .union(drainsAfterDeath ? [.drains] : []).union(worksAhead ? [] : [.noAhead])
        .union(workerPlacement == .automatic ? [] : [.noMoves])
        .union(confinesWorkers ? [.confined] : [])
        .union(trace?.hasEdges ?? false ? [.traceEdges] : []))
    result.constantBytes = UInt64(constants.count)
    if let trace { result.traceBytes = try checked("--trace-buffer", trace.bufferBytes) }
    try result.validate()
    return result
  }

  /// A limit of time: 0 when there is none.
  private func milliseconds(
    _ name: String, _ duration: Duration?, maximum: Duration = .seconds(1_000_000)
  ) throws(ConfigurationError) -> UInt32 {
    guard let duration else { return 0 }
    guard duration > .zero, duration <= maximum else {
      throw ConfigurationError(
        variable: name, value: "\(duration.inSeconds)",
        range: "above 0, at most \(maximum.components.seconds) seconds")
    }
    return duration.inMilliseconds
  }

  /// The last field of a dispatch word whose descriptor ends inside the address space.
  private func offsetLimit() throws(ConfigurationError) -> UInt32 {
    guard let bytes = addressSpaceBytes else { return PTO2_WORD_OFFSET_MAX }
    guard bytes >= Descriptor.stride, bytes <= 1 << 31 else {
      throw ConfigurationError(
        variable: "--address-space", value: "\(bytes)",
        range: "\(Descriptor.stride) bytes (one descriptor) to 2G")
    }
    return min(PTO2_WORD_OFFSET_MAX, UInt32((bytes - Descriptor.stride) / 8 + 1))
  }
}
