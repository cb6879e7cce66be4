internal import PTO2Launcher
public import PTO2Orchestrator
public import PTO2Protocol
internal import PTO2Segment
internal import PTO2System
internal import PTO2Trace
internal import Synchronization

/// A scheduler and a worker process per core, and the shared memory between them, ready
/// to run task graphs one after another.
///
///     let session = try Session(images: ["libkernels.so"])
///     let report = try session.run { graph in
///       let square = try graph.kernel("square")
///       let x = try graph.externalTensor(of: Float.self, [1024])
///       try graph.submit(aiv: square) { $0.inout(x) }
///     }
///
/// Every run begins with an empty graph: no task, tensor or error of the one before is
/// left. After a run that has failed the next one uses the same processes if they can go
/// on, and new ones otherwise.
///
/// Use a session from one thread at a time. It prints nothing but what the program logs,
/// and leaves signals and exit statuses to the program.
public final class Session {
  public let configuration: Configuration
  /// Told how far a program says it is, by `Graph.progress`.
  public var progressHandler: ((_ text: String, _ fraction: Double) -> Void)?
  /// Asked on the program's thread, every 20 to 70 ms, while a run waits: true ends the
  /// run with `interrupted`. It may use nothing of the session. Runs that begin later have
  /// what is set then.
  public var waitHandler: (() -> Bool)?

  /// Told what a program logs, by `Graph.log`. By default a line on standard error, unless
  /// it is of level `debug`.
  public var logHandler: ((_ level: LogLevel, _ text: String) -> Void)? = { level, text in
    if level < .debug { writeError("pto2: \(level): \(text)") }
  }

  private let layout: PTO2Segment.Configuration
  private let pretended: RankEnvironment?
  private let images: [KernelImage]
  private let observer: (any SessionObserver)?
  private let signalDescriptor: Int32
  private var processes: SessionProcesses?
  private var isRunning = false
  private var isClosed = false
  /// Segments of the session so far.
  private var segmentCount = 0
  /// The error of the last run, after which nothing has been put right yet.
  private var lastError: PTO2Error?
  /// What the last run did, if it failed as far as it came; nil when its processes could
  /// not be started.
  public private(set) var lastReport: RunReport?

  /// Loads the kernel images, creates the segment, and starts scheduler and workers. Does
  /// not wait until they are there.
  /// - Parameter images: kernel images: a path with a slash, or a name that is looked
  ///   up as NAME and libNAME.so; see `Configuration.directories.images`.
  /// - Throws: `invalidArgs` for a configuration that is not valid, or when there can be
  ///   no segment; `imageRefused`; `outOfMemory` when /dev/shm is full;
  ///   `schedulerMissing` when there are no executables.
  public convenience init(
    _ configuration: Configuration = Configuration(), images: [String] = []
  ) throws(PTO2Error) {
    try self.init(configuration, images: images, observer: nil)
  }

  package init(
    _ configuration: Configuration, images: [String], observer: (any SessionObserver)?,
    pretended: RankEnvironment? = nil
  ) throws(PTO2Error) {
    self.configuration = configuration
    self.observer = observer
    do {
      var layout = try configuration.segmentConfiguration()
      let place =
        if let pretended { pretended } else { try RankEnvironment(environment: environment(_:)) }
      if !place.isPretended { (layout.rank, layout.ranks) = (place.rank, place.ranks) }
      self.layout = layout
      self.pretended = pretended
    } catch { throw PTO2Error(error) }
    if layout.hasLink && !configuration.launchesProcesses {
      throw PTO2Error(
        .invalidArgs,
        "--no-launch: a rank that mpirun has started starts its processes itself, since MPI knows its children alone"
      )
    }
    try Self.takeRank(layout)
    try Self.checkConfinement(configuration)
    // Before anything can be left behind, and before an image's constructors run.
    signalDescriptor = configuration.handlesSignals ? Supervisor.takeSignals() : -1
    do throws(PTO2Error) {
      self.images = try loadImages(images, directories: configuration.directories.images)
    } catch {
      if signalDescriptor >= 0 { Supervisor.releaseSignals(signalDescriptor) }
      throw error
    }
    do throws(PTO2Error) { try open() } catch {
      releaseSignals()
      throw error
    }
  }

  deinit { close() }

  /// MPI is started once in a process, and not again.
  private static let hasTakenRank = Atomic<Bool>(false)

  private static func takeRank(_ layout: PTO2Segment.Configuration) throws(PTO2Error) {
    guard layout.hasLink, hasTakenRank.exchange(true, ordering: .relaxed) else { return }
    throw PTO2Error(
      .invalidArgs,
      "a program that mpirun has started on several ranks has one session, for any number of runs: MPI cannot be started twice. PTO2_RANKS=off makes each process a session by itself"
    )
  }

  /// Landlock has no say in what has no name.
  private static func checkConfinement(_ configuration: Configuration) throws(PTO2Error) {
    guard configuration.confinesWorkers else { return }
    if configuration.segment == .memfd {
      throw PTO2Error(
        .invalidArgs,
        "--confine keeps workers from names in /dev/shm, and a memfd has none: leave out --memfd or --confine"
      )
    }
    if let problem = confinementProblem() {
      throw PTO2Error(
        .invalidArgs,
        "--confine needs Landlock (Linux 5.13, and lsm= of the boot line): \(problem). Leave it out, or keep untrusted kernels away by a user of their own"
      )
    }
  }

  private func open() throws(PTO2Error) {
    segmentCount += 1
    processes = try SessionProcesses(
      configuration, number: segmentCount, layout: layout, images: images,
      pretended: pretended, signalDescriptor: signalDescriptor, observer: observer)
  }

  private func releaseSignals() {
    if signalDescriptor >= 0 { Supervisor.releaseSignals(signalDescriptor) }
  }

  /// The segment's name in /dev/shm, for processes that are started by hand; the path of
  /// a memfd.
  public var name: String { processes?.name ?? "" }

  /// Runs one graph: calls the program, then waits until every task is done and its
  /// memory given back.
  ///
  /// Waits up to 2 s for the tasks of a run before that has failed.
  /// - Parameter program: builds the graph. What it throws ends the run.
  /// - Throws: the run's first error. What the program threw itself is
  ///   `explicitOrchFatal` with it as `underlying`, unless it is a `PTO2Error`.
  @discardableResult
  public func run(_ program: (Graph) throws -> Void) throws(PTO2Error) -> RunReport {
    guard !isRunning else {
      throw PTO2Error(.invalidArgs, "a run inside the closure of another run of one session")
    }
    lastReport = nil
    let processes = try ready()
    isRunning = true
    defer { isRunning = false }
    processes.graph.progressHandler = progressHandler
    processes.graph.logHandler = logHandler
    processes.graph.waitHandler = waitHandler
    let (report, error) = processes.run(program)
    lastReport = report
    lastError = error
    if let error { throw error }
    return report
  }

  /// The processes, able to run a graph: new ones where they must be.
  private func ready() throws(PTO2Error) -> SessionProcesses {
    guard !isClosed else { throw PTO2Error(.invalidArgs, "the session is closed") }
    if let processes {
      let canGoOn = lastError == nil ? processes.fatalError == nil : processes.abandonRun()
      if canGoOn {
        lastError = nil
        return processes
      }
      let fatalError = lastError == nil ? processes.fatalError : nil
      processes.end(after: lastError ?? fatalError)
      self.processes = nil
      // Between two runs, so that nobody was told of it.
      if layout.hasLink, let fatalError {
        lastError = fatalError
        throw fatalError
      }
    }
    if layout.hasLink && segmentCount > 0 {
      throw PTO2Error(
        .invalidArgs,
        "a session of several ranks is over with its first error: \(lastError.map { "\($0)" } ?? "")"
      )
    }
    lastError = nil
    try open()
    return processes!
  }

  /// Ends the processes, within seconds, and removes the segment. `deinit` does so, too.
  public func close() {
    // The session is the parent's.
    if isClosed || isForkedCopy { return }
    isClosed = true
    processes?.end(after: lastError ?? processes?.fatalError)
    if let file = processes?.traceFile { lastReport?.trace = file }
    releaseSignals()
  }

  // MARK: For the command line

  /// The rank that speaks for all: it prints what they have in common.
  package var isFirstRank: Bool { layout.rank == 0 }

  /// What a fault script has done, and when: for the trace.
  package func noteFaults(_ faults: [(time: UInt64, text: String)]) {
    processes?.collector?.note(faults.map { TraceInstant(.fault, at: $0.time, text: $0.text) })
  }

  /// Ends the session, and brings a report to what the processes said at their end: of
  /// try-locks the scheduler tells every 20 ms only.
  package func close(completing report: RunReport) -> RunReport {
    close()
    return processes.map { report.completed($0) } ?? report
  }

  /// What has ended the session, if anything has.
  package var fatalError: PTO2Error? { processes?.fatalError }
  /// The signal that asked this process to end.
  package var signal: Int32? { processes?.signal }
}
