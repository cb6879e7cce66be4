public import ArgumentParser
internal import CPTO2Segment
internal import PTO2Launcher
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
      "Clusters of 1 AIC + 2 AIV cores, 1 to 40; one worker process per core.", valueName: "n"))
  public var clusters: UInt32?

  @Option(
    help: ArgumentHelp(
      "Scheduler threads, 1 to 8; each polls every n-th cluster.", valueName: "n"))
  public var threads: UInt32 = 1

  @Option(help: ArgumentHelp("Dispatches a core may hold at once, 1 to 8.", valueName: "n"))
  public var lanes: UInt32 = 2

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
      "Byte ranges the TensorMap may hold, such as 4M. Overrides PTO2_TENSOR_MAP_ENTRIES.",
      valueName: "n"))
  public var tensorMap: String?

  @Option(
    help: ArgumentHelp("Rings, 1 to 8; scopes deeper than that share the last one.", valueName: "n")
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
    help: ArgumentHelp("How long scheduler and workers may take to appear.", valueName: "seconds"))
  public var attachTimeout: Double?

  @Option(
    help: ArgumentHelp(
      "Ends the run with error 100 when nothing has moved for so long: a kernel that does not return, a program that neither submits nor ends. By default nothing does.",
      valueName: "seconds"))
  public var stallLimit: Double?

  @Option(
    help: ArgumentHelp(
      "How long a kernel may run: then its worker is killed, and the task is run again or fails as after any death of a worker. By default for ever.",
      valueName: "seconds"))
  public var kernelDeadline: Double?

  @Option(
    help: ArgumentHelp(
      "How long a worker or the scheduler may be stopped (SIGSTOP): then it is killed, as after any death. One that runs and gets nowhere has at least 5 s. 0: for ever.",
      valueName: "seconds"))
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

  @Flag(help: "Print the report as one JSON object on standard output.")
  public var json: Bool = false

  @Flag(name: .shortAndLong, help: "No start-up line, no progress.")
  public var quiet: Bool = false

  /// Whether a run that succeeds prints its report on standard output.
  @Flag(inversion: .prefixedNo, help: .hidden)
  public var report: Bool = true

  @Option(help: .hidden)
  public var firstPosition: UInt32 = 0

  public init() {}

  /// A time limit: 0 when there is none.
  private func milliseconds(_ option: String, _ seconds: Double?) throws(ConfigurationError)
    -> UInt32
  {
    guard let seconds else { return 0 }
    guard seconds > 0, seconds <= 1_000_000 else {
      throw ConfigurationError(
        variable: option, value: "\(seconds)", range: "above 0, at most 1000000 seconds")
    }
    return UInt32(max(1, seconds * 1000))
  }

  /// The configuration these options and the environment make.
  func configuration() throws(ConfigurationError) -> Configuration {
    guard (1...8).contains(rings) else {
      throw ConfigurationError(variable: "--rings", value: "\(rings)", range: "1 to 8")
    }
    guard let arenaBytes = parseSize(arena) else {
      throw ConfigurationError(
        variable: "--arena", value: arena, range: "bytes, with K, M or G")
    }
    let seconds = attachTimeout ?? (launch ? 10 : 120)
    guard seconds > 0, seconds <= 86400 else {
      throw ConfigurationError(
        variable: "--attach-timeout", value: "\(seconds)", range: "above 0, at most 86400 seconds")
    }
    let stallMilliseconds = try milliseconds("--stall-limit", stallLimit)
    let deadlineMilliseconds = try milliseconds("--kernel-deadline", kernelDeadline)
    let graceMilliseconds = stopGrace == 0 ? 0 : try milliseconds("--stop-grace", stopGrace)
    var offsetLimit = PTO2_WORD_OFFSET_MAX
    if let addressSpace {
      guard let bytes = parseSize(addressSpace), bytes >= UInt64(PTO2_DESC_STRIDE),
        bytes <= 1 << 31
      else {
        throw ConfigurationError(
          variable: "--address-space", value: addressSpace,
          range: "\(PTO2_DESC_STRIDE) bytes (one descriptor) to 2G")
      }
      // The last field whose descriptor ends inside.
      offsetLimit = UInt32(
        min(UInt64(offsetLimit), (bytes - UInt64(PTO2_DESC_STRIDE)) / 8 + 1))
    }
    let ringSettings = RingSettings(
      taskWindow: taskWindow, consumedWindow: consumedWindow, heap: heap, dependencyPool: depPool)
    let configuration = Configuration(
      rings: try ringSettings.rings(count: rings, environment: environment(_:)),
      clusters: clusters ?? 1, lanes: lanes, schedulerThreads: threads, arenaBytes: arenaBytes,
      firstPosition: firstPosition, attachTimeoutMilliseconds: UInt32(seconds * 1000),
      stallLimitMilliseconds: stallMilliseconds, offsetLimit: offsetLimit,
      kernelDeadlineMilliseconds: deadlineMilliseconds, stopGraceMilliseconds: graceMilliseconds,
      flags: (quiet ? PTO2_SESSION_QUIET : 0) | (drain ? PTO2_SESSION_DRAIN : 0))
    try configuration.validate()
    return configuration
  }
}

extension Configuration {
  /// The values that will be used, derived ones included.
  func startUpLine(name: String, tensorMap: Int) -> String {
    func perRing(_ value: (Ring) -> String) -> String {
      let values = rings.map(value)
      return Set(values).count == 1 ? values[0] : values.joined(separator: ",")
    }
    return "pto2: session \(name): \(clusters) cluster(s) = \(coreCount) cores, \(lanes) lane(s), "
      + "\(schedulerThreads) scheduler thread(s), \(rings.count) ring(s): task window "
      + perRing { "\($0.taskWindow)" } + ", consumed window "
      + perRing { "\($0.consumedWindow)" } + ", heap " + perRing { formatBytes($0.heapBytes) }
      + ", dep pool " + perRing { "\($0.dependencyPool)" } + "; TensorMap \(tensorMap)"
      + ", arena \(formatBytes(arenaBytes))"
  }
}
