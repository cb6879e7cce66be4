public import ArgumentParser
internal import PTO2
package import PTO2Segment
internal import PTO2System

/// Cores, rings and memory of a session.
public struct SizeOptions: ParsableArguments {
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
    help: ArgumentHelp(
      "Dispatches a core may hold at once, 1 to 64 (default: 64; 4 with --faults).", valueName: "n"),
    transform: count)
  public var lanes: UInt32?

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

  @Option(
    help: ArgumentHelp(
      "Bytes of dispatch descriptors that a core can address (default and most: 2 GiB); a task beyond is error 101.",
      valueName: "bytes"))
  public var addressSpace: String?

  public init() {}

  /// None says anything else than it does by itself.
  package var areDefaults: Bool {
    let texts = [taskWindow, consumedWindow, heap, depPool, tensorMap, addressSpace]
    return clusters == nil && threads == 1 && lanes == nil && texts.allSatisfy { $0 == nil }
      && rings == 4 && arena == "4G"
  }

  func apply(to configuration: inout PTO2.Configuration, hasFaults: Bool)
    throws(ConfigurationError)
  {
    guard (1...8).contains(rings) else {
      throw ConfigurationError(variable: "--rings", value: "\(rings)", range: "1 to 8")
    }
    guard let arenaBytes = parseSize(arena).flatMap({ Int(exactly: $0) }) else {
      throw ConfigurationError(
        variable: "--arena", value: arena, range: "bytes, with K, M or G")
    }
    let ringSettings = RingSettings(
      taskWindow: taskWindow, consumedWindow: consumedWindow, heap: heap, dependencyPool: depPool)
    configuration.rings = try ringSettings.rings(count: rings, environment: environment(_:))
    configuration.tensorMapRanges = try tensorMapRanges(tensorMap, environment: environment(_:))
    configuration.clusters = Int(clusters ?? 1)
    // The debug registers that faults at points of the protocol need watch so many.
    configuration.lanes = Int(lanes ?? (hasFaults ? 4 : 64))
    configuration.schedulerThreads = Int(threads)
    configuration.arenaBytes = arenaBytes
    configuration.addressSpaceBytes = try addressSpaceBytes()
  }

  /// What a segment of these sizes is laid out by.
  package func segmentConfiguration() throws(ConfigurationError) -> PTO2Segment.Configuration {
    var configuration = PTO2.Configuration()
    try apply(to: &configuration, hasFaults: false)
    return try configuration.segmentConfiguration()
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

/// How long things may take.
public struct LimitOptions: ParsableArguments {
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

  public init() {}

  func apply(to configuration: inout PTO2.Configuration, launches: Bool)
    throws(ConfigurationError)
  {
    configuration.limits.attachTimeout = try duration(
      "--attach-timeout", attachTimeout ?? (launches ? 10 : 120), maximum: 86400)
    configuration.limits.stallLimit = try stallLimit.map { (limit) throws(ConfigurationError) in
      try duration("--stall-limit", limit)
    }
    configuration.limits.kernelDeadline = try kernelDeadline.map {
      (limit) throws(ConfigurationError) in try duration("--kernel-deadline", limit)
    }
    configuration.limits.stopGrace =
      stopGrace == 0 ? nil : try duration("--stop-grace", stopGrace)
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
}

private func count(_ text: String) throws -> UInt32 { try readCount(text) }
private func ringCount(_ text: String) throws -> Int { Int(try readCount(text)) }
private func seconds(_ text: String) throws -> Double { try readSeconds(text) }
