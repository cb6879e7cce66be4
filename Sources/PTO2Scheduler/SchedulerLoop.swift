internal import CPTO2ABI
package import PTO2Protocol
package import PTO2Segment
internal import PTO2System

/// A scheduler process from attach to exit.
package struct SchedulerLoop: ~Copyable {
  private var scheduler: Scheduler
  private let orchestrator: ProcessHandle?
  private let attachDeadline: Deadline
  private var workers: [Int: WorkerWatch] = [:]
  private var nextCheck: UInt64 = 0

  /// A worker started by hand: nobody but the scheduler watches it.
  private final class WorkerWatch {
    let handle: ProcessHandle?
    init(_ identity: ProcessIdentity) { handle = ProcessHandle(identity) }
  }

  /// How often the other processes are looked at.
  private static let checkNanoseconds: UInt64 = 20_000_000
  /// How long cores may take to acknowledge EXIT.
  private static let stopMilliseconds: UInt64 = 2000

  package init(name: String, isSupervised: Bool, attachTimeoutMilliseconds: UInt64)
    throws(SegmentError)
  {
    let segment = try Segment.attach(
      name: name, role: .scheduler, timeoutMilliseconds: attachTimeoutMilliseconds)
    orchestrator = ProcessHandle(segment.creator())
    attachDeadline = Deadline(
      afterMilliseconds: UInt64(segment.configuration.attachTimeoutMilliseconds))
    scheduler = Scheduler(segment)
    scheduler.announce(isSupervised: isSupervised)
  }

  /// Runs until the session is over.
  /// - Returns: the error that ended it, nil after a clean end.
  package mutating func run() -> PTO2Error? {
    var backoff = Backoff()
    var rounds: UInt32 = 0
    while true {
      if scheduler.step() > 0 {
        backoff.reset()
        rounds &+= 1
        if rounds & 1023 == 0 { checkPeers() }
      } else if scheduler.failure == nil {
        switch scheduler.request {
        case .run: break
        case .leave: if scheduler.isDrained() { return finish() }
        case .abort: return finish()
        }
        if backoff.next() {
          checkPeers()
          scheduler.park(timeoutNanoseconds: Int64(Self.checkNanoseconds))
        }
      }
      if let failure = scheduler.failure {
        _ = finish()
        return failure
      }
      if scheduler.request == .abort { return finish() }
    }
  }

  private mutating func finish() -> PTO2Error? {
    let deadline = Deadline(afterMilliseconds: Self.stopMilliseconds)
    let late = scheduler.stop(deadline: deadline)
    if scheduler.failure?.code == .orchestratorDied { scheduler.segment.unlink() }
    return late.isEmpty || scheduler.request == .abort
      ? nil
      : PTO2Error(.workerDied, "cores \(late.joined(separator: ", ")) did not acknowledge EXIT")
  }

  /// Looks whether the others live, at most every 20 ms.
  private mutating func checkPeers() {
    let now = MonotonicClock.now()
    guard now >= nextCheck else { return }
    nextCheck = now &+ Self.checkNanoseconds
    if orchestrator?.hasEnded() ?? true {
      return scheduler.fail(
        PTO2Error(.orchestratorDied, "the orchestrator has ended without finishing its run"))
    }
    if !scheduler.hasAllCores && attachDeadline.hasPassed {
      let missing = scheduler.missingCores()
      if let refusal = scheduler.errorOfMissingCore() { return scheduler.fail(refusal) }
      return scheduler.fail(
        PTO2Error(
          .workerMissing,
          "no worker announced core \(missing.joined(separator: ", ")) in time. Start it with: pto2-worker --segment \(scheduler.segment.name) --cores \(missing.joined(separator: ","))"
        ))
    }
    for core in 0..<scheduler.coreCount {
      guard let process = scheduler.coreProcess(core), !process.isSupervised else { continue }
      if workers[core] == nil { workers[core] = WorkerWatch(process.identity) }
      if workers[core]?.handle?.hasEnded() ?? true {
        return scheduler.fail(
          scheduler.coreError(core)
            ?? PTO2Error(
              .workerDied,
              "the worker of core \(coreName(core)) (process \(process.identity.pid)) has died"),
          core: core)
      }
    }
  }
}
