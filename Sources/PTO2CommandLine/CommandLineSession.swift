internal import Glibc
public import PTO2
internal import PTO2Launcher
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// What the command line adds to a session: lines on standard error, faults, and the end
/// of the process when the program does not come back.
final class CommandLineObserver: SessionObserver, @unchecked Sendable {
  // Sendable: `faults` is used by the program's thread alone, the rest does not change.
  private let program: String
  private let options: RuntimeOptions
  private let configuration: PTO2.Configuration
  private var faults: FaultRun?

  /// Reads the fault script, if there is one; nothing has been started then.
  init(_ program: String, _ options: RuntimeOptions, _ configuration: PTO2.Configuration)
    throws(SessionFailure)
  {
    self.program = program
    self.options = options
    self.configuration = configuration
    if options.memfd, let segment = options.segment {
      throw SessionFailure(
        text: "error: --memfd has no name in /dev/shm: leave out --segment \(segment)",
        exitStatus: ExitStatus.usage)
    }
    guard let path = options.faults else { return }
    let layout: PTO2Segment.Configuration
    do { layout = try configuration.segmentConfiguration() } catch {
      throw SessionFailure(PTO2Error(error))
    }
    faults = try FaultRun(path: path, layout)
    try faults?.enterSharedMemory(isUnnamed: options.memfd)
  }

  func willStart(_ processes: SessionProcesses) throws(PTO2Error) {
    ProgramEnd.shared.note(processes)
    let isJSON = options.json
    let program = program
    processes.withSegment { segment in
      segment.watchTruncation(
        isNameRemoved: true, says: { "\(program): \($0)" },
        output: isJSON
          ? { failureJSON(program: program, error: $0, exitStatus: $0.exitStatus) } : nil)
    }
    let isFirst = processes.withSegment { $0.configuration.rank == 0 }
    if !options.quiet && isFirst {
      for notice in ForeignVariables.notices(environment(_:)) { writeError(notice) }
      writeError(configuration.startUpLine(name: processes.name))
    }
    do throws(SessionFailure) {
      try faults?.start(
        segment: processes.name,
        executable: { () throws(SystemError) in
          try findExecutable("pto2-fault", first: configuration.directories.executables)
        })
    } catch { throw error.asError }
    if options.launch { return }
    let cores = (0..<configuration.coreCount).map(coreName).joined(separator: ",")
    writeError("pto2: waiting for the other processes; start them with")
    writeError("  pto2-scheduler --segment \(processes.name)")
    writeError("  pto2-worker --segment \(processes.name) --cores \(cores)")
  }

  func say(_ notice: String) { writeError(notice) }

  func programIsAbsent(_ error: PTO2Error, signal: Int32?) {
    let failure = SessionFailure(error, signal: signal)
    failure.print(program, json: options.json)
    _exit(failure.exitStatus)
  }

  /// Ends the faults: before the session's end, which is no target.
  func finishFaults() -> [FaultOutcome] { faults?.finish() ?? [] }
}

extension RuntimeOptions {
  /// Runs a program in a session of its own: creates the segment, starts (or waits for)
  /// scheduler and workers, calls the program with the graph, waits until everything is
  /// CONSUMED, ends the processes, and prints the report, whatever happens.
  ///
  /// Call it from the main thread; a process may run several sessions one after another.
  /// - Parameters:
  ///   - program: the program's name, for messages and the report.
  ///   - images: kernel images: a path with a slash, or a name that is looked
  ///     up as NAME and libNAME.so beside the executable and in PTO2_KERNEL_PATH.
  ///   - printsReport: whether a run that succeeds prints its report.
  ///   - body: builds the graph. What it throws ends the run.
  /// - Throws: `ExitCode` after the error has been printed; docs/operations.md
  ///   lists the exit statuses.
  @discardableResult
  public func run(
    _ program: String, images: [String] = [], printsReport: Bool = true,
    _ body: (Graph) throws -> Void
  ) throws -> RunReport {
    try run(
      program, images: images, imageDirectories: [], printsReport: printsReport, body)
  }

  package func run(
    _ program: String, images: [String], imageDirectories: [String], printsReport: Bool = true,
    _ body: (Graph) throws -> Void
  ) throws -> RunReport {
    let begin = MonotonicClock.now()
    holdStandardDescriptors()
    hearOfChildren()
    ProgramEnd.shared.expectNoExit(program, json: json, "its run was not over")
    defer { ProgramEnd.shared.letExit() }
    do throws(SessionFailure) {
      try requireMemory()
      var (report, faults, isFirst) = try runSession(
        program, images: images, imageDirectories: imageDirectories, body)
      report.seconds = Double(MonotonicClock.now() &- begin) / 1e9
      if printsReport && isFirst {
        // What the program printed comes first.
        let lost =
          flushOutput()
          ?? sendOutput(
            json ? report.json(program, faults: faults) : report.text(program, faults: faults))
        if let lost {
          throw SessionFailure(
            text: "error: the run has succeeded, and its report is lost: \(lost)",
            exitStatus: ExitStatus.cannotReport)
        }
      }
      if let lost = report.trace?.error {
        throw SessionFailure(
          text: "error: the run has succeeded, and its trace is lost: \(lost)",
          exitStatus: ExitStatus.cannotReport)
      }
      return report
    } catch {
      error.print(program, json: json)
      throw ExitCode(error.exitStatus)
    }
  }

  /// One session with one run.
  private func runSession(
    _ program: String, images: [String], imageDirectories: [String],
    _ body: (Graph) throws -> Void
  ) throws(SessionFailure) -> (RunReport, [FaultOutcome], isFirst: Bool) {
    let observer: CommandLineObserver
    let session: Session
    do throws(PTO2Error) {
      var configuration = try configuration()
      configuration.directories.images = imageDirectories
      do throws(SessionFailure) {
        observer = try CommandLineObserver(program, self, configuration)
      } catch { throw error.asError }
      session = try Session(
        configuration, images: images + image, observer: observer, pretended: try pretended())
    } catch { throw SessionFailure(error) }
    defer { TruncationWatch.end() }

    let progress = Progress(isQuiet: quiet || !session.isFirstRank)
    session.progressHandler = { progress.show($0, $1) }
    session.logHandler = { [logLevel] level, text in
      guard level <= logLevel else { return }
      progress.clear()
      writeError("\(program): \(level): \(text)")
    }
    var failure: SessionFailure?
    do throws(PTO2Error) { _ = try session.run(body) } catch {
      if isForkedCopy { endForkedCopy(program) }
      failure = SessionFailure(error, signal: session.signal)
    }
    progress.clear()
    let outcomes = observer.finishFaults()
    session.noteFaults(
      outcomes.filter { $0.lastNanoseconds > 0 }.map { ($0.lastNanoseconds, $0.summary) })
    // A fault that came after the program's last call still ends the run badly.
    if failure == nil, let late = session.fatalError {
      failure = SessionFailure(late, signal: session.signal)
    }
    guard let begun = session.lastReport else {
      // It has failed: no process came to run it.
      session.close()
      throw FaultRun.judge(outcomes, failure)!
    }
    let report = session.close(completing: begun)
    if let failure = FaultRun.judge(outcomes, failure) { throw failure }
    return (report, outcomes, session.isFirstRank)
  }
}

/// Before anything is started, or loaded, that would end halfway.
func requireMemory() throws(SessionFailure) {
  if let lack = lackOfMemory() {
    throw SessionFailure(text: "error: \(lack)", exitStatus: ExitStatus.cannotCreate)
  }
}

/// A child that the program made with fork(2) has come back from it.
private func endForkedCopy(_ program: String) -> Never {
  writeError(
    "\(program): a process that the program has forked came back from it: it ends here, the run is its parent's"
  )
  exitNow(ExitStatus.programFailed)
}

extension PTO2.Configuration {
  /// The values that will be used, derived ones included.
  func startUpLine(name: String) -> String {
    func perRing(_ value: (Ring) -> String) -> String {
      let values = rings.map(value)
      return Set(values).count == 1 ? values[0] : values.joined(separator: ",")
    }
    return "pto2: session \(name): \(clusters) cluster(s) = \(coreCount) cores, \(lanes) lane(s), "
      + "\(schedulerThreads) scheduler thread(s), \(rings.count) ring(s): task window "
      + perRing { "\($0.taskWindow)" } + ", consumed window "
      + perRing { "\($0.consumedWindow)" } + ", heap " + perRing { formatBytes($0.heapBytes) }
      + ", dep pool " + perRing { "\($0.dependencyPool)" } + "; TensorMap \(tensorMapRanges)"
      + ", arena \(formatBytes(arenaBytes))"
  }
}
