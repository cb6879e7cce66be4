internal import PTO2Protocol
package import PTO2Segment
package import PTO2System

/// A worker process from attach to exit: one thread per core.
@safe package final class WorkerLoop: @unchecked Sendable {
  // Sendable: nothing here changes; each thread has a core of its own.
  let segment: Segment
  private let directory: KernelDirectory
  let orchestrator: ProcessHandle?
  private let cores: [Int]
  /// Those of `cores`, in the same order.
  private let pages: [CorePage<OwnedWord>]
  let isSupervised: Bool
  /// Linux kills this process when the orchestrator dies.
  let followsParent: Bool

  /// What ends a worker before it serves.
  package enum Failure: Error, CustomStringConvertible {
    case segment(SegmentError)
    case image(KernelImageError)
    case noSuchCore(name: String, clusters: Int)
    case confinement(SystemError)

    package var description: String {
      switch self {
      case .segment(let error): error.description
      case .image(let error): error.description
      case .confinement(let error): "--confine: \(error)"
      case .noSuchCore(let name, let clusters):
        "core \(name) does not exist: this session has \(clusters) cluster(s), aic0 to aic\(clusters - 1) and aiv0 to aiv\(2 * clusters - 1)"
      }
    }
  }

  /// Attaches, takes the cores, and loads every kernel image. What user code is not to have, a
  /// descriptor that can write among it, is given up before: an image has constructors.
  package init(
    name: String, cores: [Int], isSupervised: Bool, followsParent: Bool = true,
    attachTimeoutMilliseconds: UInt64
  ) throws(Failure) {
    let segment: Segment
    do {
      segment = try Segment.attach(
        name: name, role: .worker, timeoutMilliseconds: attachTimeoutMilliseconds)
    } catch { throw .segment(error) }
    segment.watchTruncation(says: isSupervised ? nil : { "pto2-worker: \($0)" })
    for core in cores where core >= segment.configuration.coreCount {
      throw .noSuchCore(name: "\(CoreID(core))", clusters: Int(segment.configuration.clusters))
    }
    do {
      var pages: [CorePage<OwnedWord>] = []
      for core in cores { pages.append(try segment.openCore(core)) }
      self.pages = pages
    } catch { throw .segment(error) }
    // The first core's page tells the launcher, or the scheduler when its time to wait for
    // the core is over.
    let (first, page) = (cores.first ?? 0, pages.first)
    func refuse(_ code: PTO2ErrorCode, _ text: String) {
      page?.ownError.write(PTO2Error(code, "worker \(CoreID(first)): \(text)"), core: first)
    }
    segment.giveUpWriting()
    segment.leaveInParent()
    if segment.configuration.confinesWorkers {
      do { try confine() } catch {
        refuse(.invalidArgs, "--confine: \(error)")
        throw .confinement(error)
      }
    }
    do {
      directory = KernelDirectory(try segment.loadImages())
    } catch {
      refuse(.imageRefused, "\(error)")
      throw .image(error)
    }
    orchestrator = ProcessHandle(segment.creator())
    self.cores = cores
    self.isSupervised = isSupervised
    self.followsParent = followsParent
    self.segment = segment
    if isSessionDead { throw .segment(.abandoned(name: name)) }
    watchSessionEnd()
  }

  /// Serves all cores until EXIT or the end of the session. Ends the process
  /// when a core cannot be served.
  package func run() {
    var threads: [SpawnedThread] = []
    for core in cores.dropFirst() {
      // A core without a thread is reported missing by the scheduler.
      if let thread = try? spawnThread(
        "core \(CoreID(core))", stackBytes: coreStackBytes, { self.host(core) })
      {
        threads.append(thread)
      }
    }
    if let first = cores.first { host(first) }
    for thread in threads { thread.join() }
    if orchestrator?.hasEnded() ?? true { segment.leaveForGood() }
  }

  /// - Parameter index: one of the process's cores.
  func host(_ index: Int) {
    guard let place = cores.firstIndex(of: index) else { return }
    var core = Core(segment, core: index, page: pages[place], directory: directory)
    guard core.awaitFence() else { return }
    do { try core.initialise(directory) } catch {
      core.publish(PTO2Error(.imageRefused, "\(error)"))
      if !isSupervised { writeError("pto2-worker: error: \(error)") }
      exitNow(PTO2ErrorCode.imageRefused.exitStatus)
    }
    core.announce(isSupervised: isSupervised)
    runTasks(of: &core)
    endCrashRecord()
  }

  private func runTasks(of core: inout Core) {
    var wait = CoreWait()
    while true {
      let outcome = core.step()
      switch outcome {
      case .ran: wait.reset()
      case .idle, .gated:
        guard wait.next(atGate: outcome == .gated, leaveCrowd: { core.leaveCrowd() }) else {
          continue
        }
        if !core.isSessionRunning || isSessionDead { return core.leave() }
        core.park(timeoutNanoseconds: 100_000_000)
        wait.resume()
      case .exited: return
      case .garbage(let garbage):
        let error = PTO2Error(
          .garbageWord, "core \(core.id): \(garbage.text). The segment was overwritten"
        )
        core.publish(error)
        // The other cores' threads go with the process: what this one read is
        // not to be trusted by them either.
        exitNow(error.code.exitStatus)
      }
    }
  }
}
