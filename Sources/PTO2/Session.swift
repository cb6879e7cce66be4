internal import ArgumentParser
internal import CPTO2Segment
internal import PTO2Faults
internal import PTO2Launcher
public import PTO2Orchestrator
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

extension RuntimeOptions {
  /// Runs a program in a session of its own: creates the segment, starts (or
  /// waits for) scheduler and workers, calls the program with the graph, waits
  /// until everything is CONSUMED, ends the processes, prints the report, and
  /// removes the segment, whatever happens.
  ///
  /// Call it once per run, from the main thread; a process may run several
  /// sessions one after another.
  /// - Parameters:
  ///   - program: the program's name, for messages and the report.
  ///   - images: kernel images: a path with a slash, or a name that is looked
  ///     up as NAME and libNAME.so beside the executable and in PTO2_KERNEL_PATH.
  ///   - body: builds the graph. What it throws ends the run.
  /// - Throws: `ExitCode` after the error has been printed; docs/operations.md
  ///   lists the exit statuses.
  public func run(_ program: String, images: [String] = [], _ body: (Graph) throws -> Void) throws {
    try runSession(program, images: images, imageDirectories: [], body)
  }

  /// Runs a program as `run` does, prints nothing but errors, and returns what
  /// the report would say: for programs that run several graphs and compare.
  public func measure(
    _ program: String, images: [String] = [], _ body: (Graph) throws -> Void
  ) throws -> RunFigures {
    var options = self
    options.quiet = true
    return RunFigures(
      try options.session(program, images: images, imageDirectories: [], body))
  }

  package func runSession(
    _ program: String, images: [String], imageDirectories: [String], _ body: (Graph) throws -> Void
  ) throws {
    let outcome = try session(
      program, images: images, imageDirectories: imageDirectories, body)
    guard report else { return }
    flushOutput()  // what the program printed comes first
    writeOutput(json ? outcome.json : outcome.text)
  }

  private func session(
    _ program: String, images: [String], imageDirectories: [String], _ body: (Graph) throws -> Void
  ) throws -> Report {
    let begin = MonotonicClock.now()
    do {
      let session = try Session(
        self, program: program, images: images + image, imageDirectories: imageDirectories)
      return try session.run(begin: begin, body)
    } catch let failure as SessionFailure {
      failure.print(program: program, json: json)
      throw ExitCode(failure.exitStatus)
    }
  }
}

/// Why a run did not succeed, and what the process exits with.
struct SessionFailure: Error {
  var error: PTO2Error
  var text: String
  var exitStatus: Int32
  /// What `--faults` has done.
  var faults: [FaultOutcome] = []

  init(_ error: PTO2Error, signal: Int32? = nil) {
    self.error = error
    text = error.description
    exitStatus = error.code == .interrupted ? 128 + (signal ?? 2) : error.code.exitStatus
  }

  init(text: String, exitStatus: Int32, code: PTO2ErrorCode = .invalidArgs) {
    error = PTO2Error(code, text)
    self.text = text
    self.exitStatus = exitStatus
  }

  func print(program: String, json: Bool) {
    if json {
      writeOutput(
        failureJSON(program: program, error: error, exitStatus: exitStatus, faults: faults))
    }
    writeError("\(program): \(text)")
  }
}

/// Exit statuses that stand for no error code.
enum ExitStatus {
  static let programFailed: Int32 = 1
  static let usage: Int32 = 64
  /// A fault of `--faults` never fired.
  static let notExercised: Int32 = 75
  static let cannotCreate: Int32 = 73
}

/// One run: from the segment's creation to its removal.
final class Session {
  private let options: RuntimeOptions
  private let program: String
  private let graph: Graph
  private let configuration: Configuration
  private let tensorMap: Int
  private let supervisor: Supervisor
  private let signalDescriptor: Int32
  private let name: String
  private var faults: FaultRun?

  init(
    _ options: RuntimeOptions, program: String, images names: [String], imageDirectories: [String]
  )
    throws
  {
    self.options = options
    self.program = program
    do {
      configuration = try options.configuration()
      tensorMap = try tensorMapLimit(options.tensorMap, environment: environment(_:))
    } catch {
      throw SessionFailure(text: "error: \(error)", exitStatus: ExitStatus.usage)
    }
    if options.memfd, let segment = options.segment {
      throw SessionFailure(
        text: "error: --memfd has no name in /dev/shm: leave out --segment \(segment)",
        exitStatus: ExitStatus.usage)
    }
    if let path = options.faults {
      faults = try FaultRun(path: path, configuration)
      try faults?.enterSharedMemory(isUnnamed: options.memfd)
    }
    let images = try loadImages(names, directories: imageDirectories)
    let label = options.segment ?? Self.freshName()
    if options.segment == nil { Segment.sweepDefaultNames() }
    // Before any thread exists, so that every thread inherits the mask.
    signalDescriptor = Supervisor.blockSignals()

    let orchestrator: Orchestrator
    do {
      let segment = try Segment.create(
        name: label, configuration: configuration, images: images, isUnnamed: options.memfd)
      name = segment.name
      orchestrator = Orchestrator(segment, mapLimit: tensorMap)
    } catch {
      if case .noSpace(let needed, let available) = error {
        throw SessionFailure(
          PTO2Error(.outOfMemory, "\(error)", needed: needed, available: available))
      }
      let isUsage = if case .invalidName = error { true } else { false }
      throw SessionFailure(
        text: "error: \(error)", exitStatus: isUsage ? ExitStatus.usage : ExitStatus.cannotCreate)
    }
    graph = try Graph(orchestrator, images: images)
    unsafe graph.orchestrator.pointee.segment.publish()
    let segmentName = name
    let isJSON = options.json
    unsafe graph.orchestrator.pointee.segment.watchTruncation(
      isNameRemoved: true, says: { "\(program): \($0)" },
      output: isJSON
        ? { failureJSON(program: program, error: $0, exitStatus: $0.code.exitStatus) } : nil)
    do {
      supervisor = try Supervisor(
        segment: segmentName, signalDescriptor: signalDescriptor,
        attachTimeoutMilliseconds: UInt64(configuration.attachTimeoutMilliseconds),
        stopGraceMilliseconds: configuration.stopGraceMilliseconds,
        hooks: Self.hooks(graph, program: program, json: options.json))
    } catch {
      SharedMemoryObject.unlink(name: "/" + segmentName)
      throw SessionFailure(text: "error: \(error)", exitStatus: ExitStatus.cannotCreate)
    }
  }

  deinit { TruncationWatch.end() }

  private static func freshName() -> String {
    let identity = ProcessIdentity.current()
    return Segment.defaultNamePrefix + "\(identity.pid)-"
      + String(MonotonicClock.now() & 0xFFFF_FFFF, radix: 16)
  }

  /// The supervisor's view of the segment, which outlives its thread.
  private static func hooks(_ graph: Graph, program: String, json: Bool) -> Supervisor.Hooks {
    nonisolated(unsafe) let orchestrator = unsafe graph.orchestrator
    let fault = unsafe orchestrator.pointee.fault
    return Supervisor.Hooks(
      onFault: { fault.raise(unsafe orchestrator.pointee.segment.truncationError() ?? $0) },
      workerError: { index in
        unsafe orchestrator.pointee.segment.truncationError()
          ?? ErrorBlock(orchestrator.pointee.segment.readCore(index) + Int(PTO2_CORE_ERROR)).readOfCore()
      },
      runningTask: { index in
        let task = unsafe orchestrator.pointee.segment.runningTask(core: index)
        guard let place = unsafe orchestrator.pointee.segment.crashPlace(core: index) else { return task }
        return (task ?? "a kernel") + ", by " + place
      },
      readyWord: { index in
        unsafe SharedWord(orchestrator.pointee.segment.readCore(index) + Int(PTO2_CORE_READY)).loadAcquire()
      },
      onWorkerDeath: { fault.noteDeath(core: $0, ending: $1) },
      schedulerProcess: {
        unsafe ProcessRecord(
          orchestrator.pointee.segment.read(.schedulerWords) + Int(PTO2_SCHED_PROCESS)
        ).read()?.identity
      },
      schedulerHeartbeat: {
        unsafe ProcessRecord(
          orchestrator.pointee.segment.read(.schedulerWords) + Int(PTO2_SCHED_PROCESS)
        ).heartbeat()
      },
      hasSchedulerError: {
        unsafe ErrorBlock(orchestrator.pointee.segment.read(.schedulerWords) + Int(PTO2_SCHED_ERROR))
          .read() != nil
      },
      hasFailed: { fault.hasFailed },
      emergency: { signal in
        unsafe orchestrator.pointee.segment.unlink()
        let error = fault.firstOfBoth ?? PTO2Error(.interrupted, "interrupted")
        let failure = SessionFailure(error, signal: signal)
        failure.print(program: program, json: json)
        return failure.exitStatus
      })
  }

  func run(begin: UInt64, _ body: (Graph) throws -> Void) throws -> Report {
    if !options.quiet { writeError(configuration.startUpLine(name: name, tensorMap: tensorMap)) }
    let progress = Progress(isQuiet: options.quiet)
    graph.progressHandler = { progress.show($0, $1) }
    let fault = unsafe graph.orchestrator.pointee.fault
    var failure: SessionFailure?
    do {
      try launch()
      try body(graph)
      unsafe try graph.orchestrator.pointee.drain()
    } catch let error as SessionFailure {
      fault.raise(error.error)
      failure = error
    } catch let error as PTO2Error {
      // What the program met may be the echo of an earlier fault.
      let first = unsafe fault.raise(graph.orchestrator.pointee.segment.truncationError() ?? error)
      failure = SessionFailure(fault.firstOfBoth ?? first, signal: supervisor.signal)
    } catch {
      let first = fault.raise(PTO2Error(.explicitOrchFatal, "the program failed: \(error)"))
      failure =
        first.code == .explicitOrchFatal
        ? SessionFailure(
          text: "error: \(error)", exitStatus: ExitStatus.programFailed, code: .explicitOrchFatal)
        : SessionFailure(first, signal: supervisor.signal)
    }
    progress.clear()
    // Before the session's end, which is no target.
    let outcomes = faults?.finish() ?? []
    // A fault that came after the program's last call still ends the run badly.
    if failure == nil, let late = fault.firstOfBoth {
      failure = SessionFailure(late, signal: supervisor.signal)
    }
    end(succeeded: failure == nil)
    failure = FaultRun.judge(outcomes, failure)
    if let failure { throw failure }
    return unsafe Report(
      graph, program: program, seconds: Double(MonotonicClock.now() &- begin) / 1e9,
      graphSeconds: Double(graph.orchestrator.pointee.busyNanoseconds) / 1e9,
      workerRestarts: supervisor.restarts, schedulerRestarts: supervisor.schedulerRestarts,
      faults: outcomes)
  }

  /// Starts scheduler and workers, or tells how to.
  private func launch() throws {
    try faults?.start(
      segment: name,
      executable: { () throws(SystemError) in
        try findExecutable("pto2-fault")
      })
    guard options.launch else {
      let cores = (0..<configuration.coreCount).map(coreName).joined(separator: ",")
      writeError("pto2: waiting for the other processes; start them with")
      writeError("  pto2-scheduler --segment \(name)")
      return writeError("  pto2-worker --segment \(name) --cores \(cores)")
    }
    let pid = ProcessIdentity.current().pid
    do throws(SystemError) {
      try supervisor.launch(
        name: "scheduler", core: nil, executable: try findExecutable("pto2-scheduler"),
        arguments: SupervisedLaunch(segment: name, parent: pid).arguments)
      let worker = try findExecutable("pto2-worker")
      for core in 0..<configuration.coreCount {
        try supervisor.launch(
          name: "worker \(coreName(core))", core: core, executable: worker,
          arguments: SupervisedLaunch(segment: name, parent: pid, core: coreName(core)).arguments)
      }
    } catch {
      throw SessionFailure(
        text: "error: \(error). Build it, or set PTO2_BIN_DIR", exitStatus: ExitStatus.cannotCreate,
        code: .schedulerMissing)
    }
  }

  /// Ends every process, in bounded time, and removes the segment.
  private func end(succeeded: Bool) {
    supervisor.beginEnding()
    if succeeded { unsafe graph.orchestrator.pointee.fault.finish() }
    // After an error nobody waits for a long kernel.
    let deadline = Deadline(afterMilliseconds: succeeded ? 4000 : 2000)
    let killed = supervisor.endChildren(deadline: deadline)
    if succeeded && !killed.isEmpty {
      writeError(
        "pto2: warning: \(killed.joined(separator: ", ")) did not end in time and was killed")
    }
    // Processes started by hand let go of their places when they leave.
    while unsafe graph.orchestrator.pointee.segment.hasPeers(), !deadline.hasPassed {
      sleepNanoseconds(1_000_000)
    }
    unsafe graph.orchestrator.pointee.segment.unlink()
    supervisor.stop()
    Supervisor.unblockSignals(signalDescriptor)
  }
}

/// The executable in PTO2_BIN_DIR, beside this one, or on the PATH.
private func findExecutable(_ name: String) throws(SystemError) -> String {
  var directories: [String] = []
  if let chosen = environment("PTO2_BIN_DIR") { directories.append(chosen + "/") }
  directories.append(executableDirectory())
  directories += searchPath("PATH")
  for directory in directories where isAccessible(directory + name, execute: true) {
    return directory + name
  }
  throw SystemError("exec", name, errno: SystemError.notFound)
}

/// The directories of a search path in the environment, each with its slash.
private func searchPath(_ variable: String) -> [String] {
  (environment(variable) ?? "").split(separator: ":").map { String($0) + "/" }
}

/// Finds and loads kernel images; kernel names are unique over all of them.
private func loadImages(_ names: [String], directories: [String]) throws -> [KernelImage] {
  do throws(KernelImageError) {
    guard names.count <= Int(PTO2_MAX_IMAGES) else {
      throw .tooMany(what: "kernel images", count: names.count, maximum: Int(PTO2_MAX_IMAGES))
    }
    var images: [KernelImage] = []
    var owners: [String: String] = [:]
    for name in names {
      let image = try KernelImage(path: try findImage(name, directories: directories))
      if images.contains(where: { $0.path == image.path }) { continue }
      for kernel in image.kernels {
        if let first = owners.updateValue(image.path, forKey: kernel.name) {
          throw .duplicateKernel(name: kernel.name, first: first, second: image.path)
        }
      }
      images.append(image)
    }
    guard owners.count <= Int(PTO2_MAX_KERNELS) else {
      throw .tooMany(what: "kernels", count: owners.count, maximum: Int(PTO2_MAX_KERNELS))
    }
    return images
  } catch {
    throw SessionFailure(PTO2Error(.imageRefused, "\(error)"))
  }
}

private func findImage(_ name: String, directories: [String]) throws(KernelImageError) -> String {
  var tried = [name]
  if !name.contains("/") {
    let search = directories + [executableDirectory()] + searchPath("PTO2_KERNEL_PATH")
    tried = search.flatMap { (directory: String) -> [String] in
      [directory + name, directory + "lib\(name).so"]
    }
  }
  for path in tried where isAccessible(path) {
    if let resolved = resolvedPath(path) { return resolved }
  }
  throw .notFound(name: name, tried: tried)
}
