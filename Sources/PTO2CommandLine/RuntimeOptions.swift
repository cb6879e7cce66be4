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

  @Flag(
    help:
      "Keep kernels, by Landlock and seccomp, from opening the segment again and from touching other processes. Costs a worker's start about a millisecond."
  )
  public var confine: Bool = false

  @OptionGroup(title: "Sizes") public var sizes: SizeOptions
  @OptionGroup(title: "Limits of time") public var limits: LimitOptions

  @Flag(
    inversion: .prefixedNo,
    help:
      "Start the scheduler and the workers. With --no-launch, start them by hand in other terminals."
  )
  public var launch: Bool = true

  @Flag(
    help:
      "When this process dies, scheduler and workers still do every task that it has submitted; without it they end at once."
  )
  public var drain: Bool = false

  @Option(help: ArgumentHelp("More kernel images, beside the program's own.", valueName: "path"))
  public var image: [String] = []

  @Option(
    help: ArgumentHelp(
      "What every kernel sees as constants: the bytes of this file, at most 64 MiB.",
      valueName: "file"), completion: .file())
  public var constants: String?

  @Option(
    help: ArgumentHelp(
      "Does the faults of a script to this session; a fault that never fires fails the run.",
      discussion: """
        For example {"faults": [{"at": 0.1, "do": "kill", "to": "worker aiv0"}]}; see \
        docs/fault-injection.md.
        """, valueName: "file"), completion: .file())
  public var faults: String?

  @OptionGroup(title: "Trace") public var tracing: TraceOptions

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

  @Option(
    help: ArgumentHelp(
      "What the program logs is shown up to this level: error, warning, info or debug. Default: info, with --quiet error.",
      valueName: "level"))
  public var log: LogLevel?

  /// What is shown of what the program logs.
  var logLevel: LogLevel { log ?? (quiet ? .error : .info) }

  @Option(
    help: ArgumentHelp(
      "As one of so many ranks, of which there are no others: what a rank's part of a program costs. Results are wrong. 64, or 64:7 for rank 7 of them.",
      valueName: "ranks"))
  public var pretendRanks: String?

  @Option(help: .hidden, transform: count)
  public var firstPosition: UInt32 = 0

  public init() {}

  /// The configuration these options and the environment make.
  /// - Throws: `invalidArgs`, naming the option or variable, its value, and what it may be.
  public func configuration() throws(PTO2Error) -> PTO2.Configuration {
    var configuration: PTO2.Configuration
    do { configuration = try checkedConfiguration() } catch { throw PTO2Error(error) }
    configuration.workerPlacement = try PTO2.Configuration.WorkerPlacement(pin)
    return configuration
  }

  /// What `--pretend-ranks` says; nil without it.
  func pretended() throws(PTO2Error) -> RankEnvironment? {
    guard let text = pretendRanks else { return nil }
    guard let place = RankEnvironment(pretended: text) else {
      throw PTO2Error(
        ConfigurationError(
          variable: "--pretend-ranks", value: text,
          range: "2 to 256 ranks, and if need be a colon and which of them"))
    }
    return place
  }

  private func checkedConfiguration() throws(ConfigurationError) -> PTO2.Configuration {
    var configuration = PTO2.Configuration()
    try sizes.apply(to: &configuration, hasFaults: faults != nil)
    try limits.apply(to: &configuration, launches: launch)
    configuration.drainsAfterDeath = drain
    configuration.worksAhead = !noAhead
    configuration.isQuiet = quiet
    configuration.launchesProcesses = launch
    configuration.segment = memfd ? .memfd : segment.map { .named($0) } ?? .fresh
    configuration.confinesWorkers = confine
    if let constants { configuration.constants = try readConstants(constants) }
    configuration.trace = try tracing.configuration()
    configuration.firstPosition = firstPosition
    configuration.handlesSignals = true
    return configuration
  }
}

private func readConstants(_ path: String) throws(ConfigurationError) -> [UInt8] {
  guard let bytes = readBytes(path, limit: 64 << 20) else {
    throw ConfigurationError(
      variable: "--constants", value: path, range: "a file that can be read, at most 64 MiB")
  }
  return bytes
}

private func count(_ text: String) throws -> UInt32 { try readCount(text) }

extension LogLevel: ExpressibleByArgument {
  public init?(argument: String) {
    guard let level = Self.allCases.first(where: { "\($0)" == argument }) else { return nil }
    self = level
  }
  public static var allValueStrings: [String] { allCases.map { "\($0)" } }
}
