internal import CPTO2Segment
package import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// Which processes host the cores.
extension SchedulerThread {
  /// True when the core has announced READY, and again since its last worker died.
  func isHosted(_ core: Int) -> Bool {
    cores[core].page.ready.loadAcquire() != own.fenced(core).loadOwn()
  }

  /// By what this process has admitted, whatever its page says.
  private var missing: [Int] {
    (0..<cores.count).filter { S.load(cores[$0].incarnation) == 0 }
  }

  package var hasAllCores: Bool { missing.isEmpty }

  /// Cores whose worker has not come, by name.
  package func missingCores() -> [String] { missing.map(coreName) }

  /// The error a worker has left in its core's page.
  package func coreError(_ core: Int) -> PTO2Error? { cores[core].page.error.readOfCore() }

  /// Why a worker that came did not serve, for the first missing core that has a
  /// reason.
  package func errorOfMissingCore() -> PTO2Error? {
    for core in missing {
      if let error = coreError(core) { return error }
    }
    return nil
  }

  /// The process hosting a core, once announced and while not known to be gone.
  package func coreProcess(_ index: Int) -> CoreHost? {
    if S.load(words.isDead(index)) != 0 { return nil }
    let core = cores[index]
    if S.load(core.incarnation) != 0, let host = core.host { return host }
    guard isHosted(index), let record = core.page.process.read() else { return nil }
    return CoreHost(record)
  }

  /// True when the process that announced the core is gone.
  func hasDied(_ core: Int) -> Bool {
    guard let process = cores[core].page.process.read() else { return false }
    return !process.identity.isAlive
  }

  /// True while the core has acknowledged a dispatch and not finished it: what waits
  /// behind a kernel has not begun.
  func isKernelRunning(_ index: Int) -> Bool {
    let core = cores[index]
    for lane in 0..<cores.laneCount {
      let word = core.word(lane)
      guard case .dispatch = word.content else { continue }
      let cond = core.cond(lane)
      if cond.progress(of: word, after: nil) == .acknowledged { return true }
    }
    return false
  }

  /// Cores without a worker for which whoever supervised the last one would start another.
  func coresToSupervise() -> [Int] {
    (0..<cores.count).filter { core in
      guard S.load(cores[core].incarnation) == 0 || S.load(words.isDead(core)) != 0 else {
        return false
      }
      return cores[core].page.process.read()?.isSupervised ?? true
    }
  }

  /// Nobody supervises this worker: its user starts the next one.
  /// - Parameter process: nil when it is not known.
  func reportDeath(of process: ProcessIdentity?, _ core: Int, nextWithin milliseconds: UInt64) {
    let pid = process.map { " (process \($0.pid))" } ?? ""
    let cause = shared.segment.crashPlace(core: core).map { " of \($0)" } ?? ""
    writeError(
      "pto2-scheduler: the worker of core \(coreName(core))\(pid) has died\(cause); start another within \(milliseconds / 1000) s with: pto2-worker --segment \(shared.segment.name) --cores \(coreName(core))"
    )
  }
}
