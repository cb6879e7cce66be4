public import ArgumentParser
public import PTO2
internal import PTO2Segment
internal import PTO2System

/// The command line of every orchestrator: what the session is made of.
public struct RuntimeOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Name of the segment in /dev/shm.", discussion: "By default a new name for each run.",
      valueName: "name"))
  public var segment: String?

  @Flag(
    help:
      "Keep the segment in a memfd instead of /dev/shm: no name is left behind, and nobody can change its size."
  )
  public var memfd: Bool = false

  @Option(
    help: ArgumentHelp(
      "Clusters of 1 AIC + 2 AIV cores, 1 to 40; one worker process per core.", valueName: "n"),
    transform: count)
  public var clusters: UInt32?

  @Option(
    help: ArgumentHelp(
      "Scheduler threads, 1 to 8; each polls every n-th cluster.", valueName: "n"), transform: count
  )
  public var threads: UInt32 = 1

  @Option(
    help: ArgumentHelp("Dispatches a core may hold at once, 1 to 64.", valueName: "n"),
    transform: count)
  public var lanes: UInt32 = 64

  @Option(
    help: ArgumentHelp(
      "Tasks per ring between submit and RELEASED: a power of two; one value or one per ring. Overrides PTO2_RING_TASK_WINDOW.",
      valueName: "n"))
  public var taskWindow: String?

  @Option(
    help: ArgumentHelp(
      "Tasks per ring between submit and CONSUMED (default: 4 x task window). Overrides PTO2_RING_CONSUMED_WINDOW.",
      valueName: "n"))
  public var consumedWindow: String?

  @Option(
    help: ArgumentHelp(
      "Bytes per ring for outputs, such as 4M. Overrides PTO2_RING_HEAP.", valueName: "bytes"))
  public var heap: String?

  @Option(
    help: ArgumentHelp(
      "Dependency-pool entries per ring: a power of two. Overrides PTO2_RING_DEP_POOL.",
      valueName: "n"))
  public var depPool: String?

  @Option(
    help: ArgumentHelp(
      "Records the TensorMap may hold, such as 4M. Overrides PTO2_TENSOR_MAP_ENTRIES.",
      valueName: "n"))
  public var tensorMap: String?

  @Option(
    help: ArgumentHelp(
      "Rings, 1 to 8; scopes deeper than that share the last one.", valueName: "n"),
    transform: ringCount
  )
  public var rings: Int = 4

  @Option(
    help: ArgumentHelp(
      "Bytes for the program's own tensors, such as 8G. Memory is taken as it is used.",
      valueName: "bytes"))
  public var arena: String = "4G"

  @Flag(
    inversion: .prefixedNo,
    help:
      "Start the scheduler and the workers. With --no-launch, start them by hand in other terminals."
  )
  public var launch: Bool = true

  @Option(
    help: ArgumentHelp("How long scheduler and workers may take to appear.", valueName: "seconds"),
    transform: seconds)
  public var attachTimeout: Double?

  @Option(
    help: ArgumentHelp(
      "Ends the run with error 100 when nothing has moved for so long: a kernel that does not return, a program that neither submits nor ends. By default nothing does.",
      valueName: "seconds"), transform: seconds)
  public var stallLimit: Double?

  @Option(
    help: ArgumentHelp(
      "How long a kernel may run: then its worker is killed, and the task is run again or fails as after any death of a worker. By default for ever.",
      valueName: "seconds"), transform: seconds)
  public var kernelDeadline: Double?

  @Option(
    help: ArgumentHelp(
      "How long a worker or the scheduler may be stopped (SIGSTOP): then it is killed, as after any death. One that runs and gets nowhere has at least 5 s. 0: for ever.",
      valueName: "seconds"), transform: seconds)
  public var stopGrace: Double = 5

  @Flag(
    help:
      "When this process dies, scheduler and workers still do every task that it has submitted; without it they end at once."
  )
  public var drain: Bool = false

  @Option(
    help: ArgumentHelp(
      "Bytes of dispatch descriptors that a core can address (default and most: 2 GiB); a task beyond is error 101.",
      valueName: "bytes"))
  public var addressSpace: String?

  @Option(help: ArgumentHelp("More kernel images, beside the program's own.", valueName: "path"))
  public var image: [String] = []

  @Option(
    help: ArgumentHelp(
      "Does the faults of a script to this session; a fault that never fires fails the run.",
      discussion: """
        For example {"faults": [{"at": 0.1, "do": "kill", "to": "worker aiv0"}]}; see \
        docs/fault-injection.md.
        """, valueName: "file"), completion: .file())
  public var faults: String?

  @Flag(help: "Dispatches a task only when its producers are COMPLETED, not ahead of that.")
  public var noAhead: Bool = false

  @Option(
    help: ArgumentHelp(
      "Where workers run: auto (a core that waits moves to a CPU that no other core uses), none (as Linux likes), or CPUs for the cores in turn, such as 0,2-5.",
      valueName: "auto|none|cpus"))
  public var pin = "auto"

  @Flag(help: "Print the report as one JSON object on standard output.")
  public var json: Bool = false

  @Flag(name: .shortAndLong, help: "No start-up line, no progress.")
  public var quiet: Bool = false

  @Option(help: .hidden, transform: count)
  public var firstPosition: UInt32 = 0

  public init() {}

  /// The configuration these options and the environment make.
  /// - Throws: `invalidArgs`, naming the option or variable, its value, and what it may be.
  public func configuration() throws(PTO2Error) -> PTO2.Configuration {
    do { return try checkedConfiguration() } catch { throw PTO2Error(error) }
  }

  private func checkedConfiguration() throws(ConfigurationError) -> PTO2.Configuration {
    guard (1...8).contains(rings) else {
      throw ConfigurationError(variable: "--rings", value: "\(rings)", range: "1 to 8")
    }
    guard let arenaBytes = parseSize(arena).flatMap({ Int(exactly: $0) }) else {
      throw ConfigurationError(
        variable: "--arena", value: arena, range: "bytes, with K, M or G")
    }
    let ringSettings = RingSettings(
      taskWindow: taskWindow, consumedWindow: consumedWindow, heap: heap, dependencyPool: depPool)
    var configuration = PTO2.Configuration()
    configuration.rings = try ringSettings.rings(count: rings, environment: environment(_:))
    configuration.tensorMapRanges = try tensorMapRanges(tensorMap, environment: environment(_:))
    configuration.clusters = Int(clusters ?? 1)
    // The debug registers that faults at points of the protocol need watch so many.
    configuration.lanes = Int(faults == nil ? lanes : min(lanes, 4))
    configuration.schedulerThreads = Int(threads)
    configuration.arenaBytes = arenaBytes
    configuration.addressSpaceBytes = try addressSpaceBytes()
    configuration.attachTimeout = try duration(
      "--attach-timeout", attachTimeout ?? (launch ? 10 : 120), maximum: 86400)
    configuration.stallLimit = try stallLimit.map { (limit) throws(ConfigurationError) in
      try duration("--stall-limit", limit)
    }
    configuration.kernelDeadline = try kernelDeadline.map { (limit) throws(ConfigurationError) in
      try duration("--kernel-deadline", limit)
    }
    configuration.stopGrace = stopGrace == 0 ? nil : try duration("--stop-grace", stopGrace)
    configuration.drainsAfterDeath = drain
    configuration.worksAhead = !noAhead
    configuration.workerPlacement = try workerPlacement()
    configuration.isQuiet = quiet
    configuration.launchesProcesses = launch
    configuration.segmentName = segment
    configuration.usesMemfd = memfd
    configuration.firstPosition = firstPosition
    configuration.handlesSignals = true
    return configuration
  }

  private func duration(_ option: String, _ seconds: Double, maximum: Double = 1_000_000)
    throws(ConfigurationError) -> Duration
  {
    guard seconds > 0, seconds <= maximum else {
      throw ConfigurationError(
        variable: option, value: "\(seconds)", range: "above 0, at most \(Int(maximum)) seconds")
    }
    return .nanoseconds(Int64(max(1_000_000, seconds * 1e9)))
  }

  private func workerPlacement() throws(ConfigurationError)
    -> PTO2.Configuration.WorkerPlacement
  {
    switch pin {
    case "auto": return .automatic
    case "none": return .byKernel
    default:
      guard let cpus = CPUSet.parse(pin) else {
        throw ConfigurationError(
          variable: "--pin", value: pin, range: "auto, none, or CPUs such as 0,2-5")
      }
      return .pinned(cpus)
    }
  }

  private func addressSpaceBytes() throws(ConfigurationError) -> Int? {
    guard let addressSpace else { return nil }
    guard let bytes = parseSize(addressSpace), bytes <= 1 << 31 else {
      throw ConfigurationError(
        variable: "--address-space", value: addressSpace, range: "at most 2G")
    }
    return Int(bytes)
  }
}

private func count(_ text: String) throws -> UInt32 { try readCount(text) }
private func ringCount(_ text: String) throws -> Int { Int(try readCount(text)) }
private func seconds(_ text: String) throws -> Double { try readSeconds(text) }
