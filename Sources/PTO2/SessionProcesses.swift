internal import Glibc
internal import PTO2Launcher
package import PTO2Orchestrator
package import PTO2Protocol
package import PTO2Segment
internal import PTO2System
internal import PTO2Trace

/// The segment, the scheduler and the workers of a session, and the orchestrator's part
/// of it; replaced as a whole when they cannot go on.
@safe package final class SessionProcesses: SupervisedSession, @unchecked Sendable {
  // Sendable: the supervisor's thread uses `fault`, words of the segment that any thread
  // may read, and what does not change; the rest belongs to the program's thread.
  package let configuration: Configuration
  /// The segment's name.
  package let name: String
  package let graph: Graph
  private let orchestrator: UnsafeMutablePointer<Orchestrator>
  private let fault: FirstError
  private let observer: (any SessionObserver)?
  private var supervisor: Supervisor?
  private(set) var collector: TraceCollector?
  /// Once the session has ended.
  private(set) var traceFile: RunReport.TraceFile?
  private var isOver = false
  private var hasMet = false

  /// Creates the segment and starts the processes.
  /// - Parameter number: of the segment among the session's, from 1 on.
  /// - Throws: `outOfMemory` when /dev/shm is full; `invalidArgs` around a `SegmentError`
  ///   when there can be no segment; `schedulerMissing` around a `SystemError` when there
  ///   are no executables.
  init(
    _ configuration: Configuration, number: Int, layout: PTO2Segment.Configuration,
    images: [KernelImage], pretended: RankEnvironment?,
    signalDescriptor: Int32, observer: (any SessionObserver)?
  ) throws(PTO2Error) {
    self.configuration = configuration
    self.observer = observer
    if configuration.segment == .fresh { Segment.sweepDefaultNames() }
    let orchestrator: Orchestrator
    do throws(SegmentError) {
      let segment = try Segment.create(
        name: Self.name(configuration, layout), configuration: layout,
        images: images, constants: configuration.constants,
        isUnnamed: configuration.segment == .memfd)
      name = segment.name
      orchestrator = Orchestrator(
        segment, mapLimit: configuration.tensorMapRanges,
        pretended: pretended.map { (Int($0.rank), Int($0.ranks)) })
    } catch { throw Self.error(error) }
    graph = try Graph(orchestrator, images: images)
    unsafe self.orchestrator = graph.orchestrator
    fault = unsafe graph.orchestrator.pointee.fault
    withSegment { segment in
      let fault = fault
      segment.leaveInParent { fault.disown() }
      segment.publish()
    }
    do throws(PTO2Error) {
      try startTrace(number)
      try observer?.willStart(self)
      try start(signalDescriptor: signalDescriptor, layout)
    } catch {
      end(after: error)
      throw error
    }
  }

  /// A name that the user has given is one a rank.
  private static func name(_ configuration: Configuration, _ layout: PTO2Segment.Configuration)
    -> String
  {
    guard let name = configuration.segment.name else { return freshName() }
    return layout.hasLink ? "\(name).r\(layout.rank)" : name
  }

  private static func freshName() -> String {
    let identity = ProcessIdentity.current()
    return Segment.defaultNamePrefix + "\(identity.pid)-"
      + String(MonotonicClock.now() & 0xFFFF_FFFF, radix: 16)
  }

  private static func error(_ error: SegmentError) -> PTO2Error {
    if case .noSpace(let needed, let available) = error {
      return PTO2Error(.outOfMemory, "\(error)", needed: needed, available: available)
    }
    return PTO2Error(.invalidArgs, "\(error)", underlying: error)
  }

  private func start(signalDescriptor: Int32, _ layout: PTO2Segment.Configuration)
    throws(PTO2Error)
  {
    do throws(SystemError) {
      supervisor = try Supervisor(
        self, segment: name, launches: configuration.launchesProcesses ? try launches(layout) : [],
        signalDescriptor: signalDescriptor,
        attachTimeoutMilliseconds: UInt64(layout.attachTimeoutMilliseconds),
        stopGraceMilliseconds: layout.stopGraceMilliseconds,
        relaysOutput: !configuration.drainsAfterDeath)
    } catch {
      let isMissing = error.call == "exec"
      throw PTO2Error(
        .schedulerMissing, "\(error)\(isMissing ? ". Build it, or set PTO2_BIN_DIR" : "")",
        underlying: error)
    }
  }

  // MARK: The trace

  private func startTrace(_ number: Int) throws(PTO2Error) {
    guard let trace = configuration.trace else { return }
    let rank = withSegment { $0.configuration.hasLink ? "r\($0.configuration.rank)" : nil }
    let marks = [rank, number == 1 ? nil : "\(number)"].compactMap(\.self)
    let path = marks.reduce(trace.file) { Self.marked($0, $1) }
    let collector = withSegment { segment -> Result<TraceCollector, SystemError> in
      do throws(SystemError) { return .success(try TraceCollector(segment, path: path)) } catch {
        return .failure(error)
      }
    }
    do throws(SystemError) {
      self.collector = try collector.get()
      try self.collector?.start()
    } catch {
      throw PTO2Error(.invalidArgs, "--trace \(path): \(error)", underlying: error)
    }
  }

  /// `run.2.pftrace`, `run.r1.pftrace`.
  private static func marked(_ path: String, _ mark: String) -> String {
    let name = path.split(separator: "/", omittingEmptySubsequences: false).last ?? ""
    guard let dot = name.lastIndex(of: "."), dot != name.startIndex else {
      return path + ".\(mark)"
    }
    return path[..<dot] + ".\(mark)" + path[dot...]
  }

  /// - Parameter saysWhy: a trace that is not written is told of here; otherwise the report has
  ///   it.
  private func finishTrace(saysWhy: Bool) {
    guard let collector else { return }
    let outcome = collector.finish(
      names: withSegment { TraceNames($0.scopeNames, count: $0.scopeNameCount) })
    self.collector = nil
    traceFile = RunReport.TraceFile(
      path: outcome.path, bytes: Int(clamping: outcome.bytes),
      records: Int(clamping: outcome.records), dropped: Int(clamping: outcome.dropped),
      error: outcome.error.map { "\($0)" })
    if let error = outcome.error, saysWhy {
      say("pto2: warning: the trace \(outcome.path) is not written: \(error)")
    }
  }

  private func launches(_ layout: PTO2Segment.Configuration) throws(SystemError) -> [Launch] {
    let pid = ProcessIdentity.current().pid
    let directory = configuration.directories.executables
    var launches = [
      Launch(
        name: "scheduler", role: .scheduler,
        executable: try findExecutable("pto2-scheduler", first: directory),
        arguments: SupervisedLaunch(segment: name, parent: pid).arguments)
    ]
    if layout.hasLink {
      launches.append(
        Launch(
          name: "link", role: .link, executable: try findExecutable("pto2-link", first: directory),
          arguments: SupervisedLaunch(segment: name, parent: pid).arguments))
    }
    let worker = try findExecutable("pto2-worker", first: directory)
    for core in 0..<configuration.coreCount {
      var launch = Launch(
        name: "worker \(coreName(core))", role: .worker(core), executable: worker,
        arguments: SupervisedLaunch(segment: name, parent: pid, core: coreName(core)).arguments)
      if case .pinned(let cpus) = configuration.workerPlacement {
        launch.cpu = cpus[core % cpus.count]
      }
      launches.append(launch)
    }
    return launches
  }

  // MARK: Runs

  /// Runs one graph, until everything is CONSUMED. The run before has succeeded, or was
  /// abandoned.
  /// - Returns: what it did, and its first error, or what has ended the session.
  func run(_ program: (Graph) throws -> Void) -> (RunReport, PTO2Error?) {
    graph.begin()
    unsafe orchestrator.pointee.beginRun()
    let start = RunStart(self)
    var error: PTO2Error?
    guardThread()
    defer { ThreadGuard.end() }
    do {
      try meetAtStart()
      try program(graph)
      if isForkedCopy { throw PTO2Error(.invalidArgs, FirstError.forkText) }
      unsafe try orchestrator.pointee.finishRun()
    } catch let thrown { error = first(PTO2Error(ofProgram: thrown)) }
    // What came after the program's last call still ends the run badly.
    supervisor?.checkDescriptors()
    error = error ?? fatalError
    if error != nil { giveUpName() }
    error = unsafe orchestrator.pointee.meetAtEnd(error)
    return (RunReport(self, since: start), error ?? fatalError)
  }

  /// Several sessions run this program: they see that they are of one make.
  private func meetAtStart() throws(PTO2Error) {
    guard !hasMet else { return }
    hasMet = true
    let description = withSegment { segment in
      let images = segment.imageRecords
      let names = (0..<Int(segment.configuration.imageCount)).map { index in
        let record = images[index]
        let name = record.path.split(separator: "/").last ?? ""
        let build = record.identity.prefix(8).map {
          String(UInt16($0) + 256, radix: 16).dropFirst()
        }
        return name + " " + build.joined()
      }
      return
        "segment layout \(String(segment.layout.hash, radix: 16)) (rings, windows, clusters), images \(names.isEmpty ? "none" : names.joined(separator: ", "))"
    }
    unsafe try orchestrator.pointee.meetAtStart(description)
  }

  /// A program that ends its thread (pthread_exit) never comes back: that ends the session.
  private func guardThread() {
    ThreadGuard.begin { [self] in
      if isForkedCopy { return }
      let error = PTO2Error(
        .explicitOrchFatal,
        "the program ended the thread that runs it, with pthread_exit(3) or pthread_cancel(3)")
      fault.fail(error)
      supervisor?.killChildren()
      if observer == nil { end(after: error) } else { programIsAbsent(signal: nil) }
    }
  }

  /// The process is about to end in the middle of a run.
  package func abandonProcess() {
    supervisor?.killChildren()
    withSegment { $0.unlink() }
  }

  /// What the program met may be the echo of an earlier fault.
  private func first(_ error: PTO2Error) -> PTO2Error {
    if let truncated = withSegment({ $0.truncationError() }) { fault.fail(truncated) }
    fault.raise(error)
    return fault.first ?? error
  }

  /// Makes ready for the next run after one that has failed.
  /// - Returns: false when that cannot be, and this must be replaced.
  func abandonRun() -> Bool {
    // The other ranks' transfers would be taken for those of the next run.
    if fault.hasFailed || withSegment({ $0.configuration.hasLink }) { return false }
    return unsafe orchestrator.pointee.abandonRun(deadline: Deadline(afterMilliseconds: 2000))
  }

  // MARK: The end

  /// What has ended the session, if anything has.
  package var fatalError: PTO2Error? { fault.hasFailed ? fault.first : nil }
  /// The signal that asked this process to end.
  package var signal: Int32? { supervisor?.signal }
  /// Workers and schedulers that were started in the place of one that had died.
  var restarts: (workers: Int, schedulers: Int) { supervisor?.restarts ?? lastRestarts }
  private var lastRestarts = (workers: 0, schedulers: 0)

  /// Ends every process, in bounded time, and removes the segment.
  /// - Parameter error: why, when it is one.
  package func end(after error: PTO2Error? = nil) {
    if isOver || isForkedCopy { return }
    isOver = true
    supervisor?.beginEnding()
    if let error {
      fault.raise(error)
      fault.publish()
    } else {
      fault.finish()
    }
    // After an error nobody waits for a long kernel; after none a link waits for other ranks.
    let isLinked = withSegment { $0.configuration.hasLink }
    let deadline = Deadline(afterMilliseconds: error != nil ? 2000 : isLinked ? 20_000 : 4000)
    let killed = supervisor?.endChildren(deadline: deadline) ?? []
    if error == nil && !killed.isEmpty {
      say("pto2: warning: \(killed.joined(separator: ", ")) did not end in time and was killed")
    }
    // Processes started by hand let go of their places when they leave.
    while unsafe orchestrator.pointee.segment.hasPeers(), !deadline.hasPassed {
      sleepNanoseconds(1_000_000)
    }
    unsafe orchestrator.pointee.segment.unlink()
    if error != nil && isLinked { MPIMemory.remove() }
    lastRestarts = restarts
    supervisor?.stop()
    supervisor = nil
    finishTrace(saysWhy: error != nil)
  }

  // MARK: For the supervisor

  package func withSegment<Result>(_ body: (borrowing Segment) -> Result) -> Result {
    unsafe body(orchestrator.pointee.segment)
  }
  package var hasFailed: Bool { fault.hasFailed }
  package func fail(_ error: PTO2Error) {
    fault.fail(withSegment { $0.truncationError() } ?? error)
    giveUpName()
  }

  /// A session of several ranks is over with its first error, and mpirun(1) may kill this
  /// process a second later: nothing is to be left of it then.
  private func giveUpName() {
    withSegment { if $0.configuration.hasLink { $0.unlink() } }
  }
  package func noteWorkerDeath(core: Int, ending: String) {
    fault.noteDeath(core: core, ending: ending)
  }
  package func say(_ notice: String) { observer?.say(notice) }

  package func programIsAbsent(signal: Int32?) {
    if let observer {
      withSegment { $0.unlink() }
      let error = fatalError ?? PTO2Error(.interrupted, "interrupted")
      return observer.programIsAbsent(error, signal: signal)
    }
    // The second signal does what it does where nobody handles it.
    if let signal, configuration.handlesSignals { Supervisor.passOn(signal) }
  }
}
