internal import CPTO2Linux
internal import CPTO2Segment
internal import Glibc
package import PTO2Protocol
package import PTO2Segment
internal import PTO2System

/// A link process from attach to exit.
/// - Parameter parent: the orchestrator that has started this process, if one has.
/// - Returns: the error that ended it, nil after a clean end. Does not return when all ranks are
///   to end.
/// - Throws: when the segment cannot be attached.
package func runLink(
  name: String, parent: Int32?, attachTimeoutMilliseconds: UInt64
) throws(SegmentError) -> PTO2Error? {
  let segment = try Segment.attach(
    name: name, role: .link, timeoutMilliseconds: attachTimeoutMilliseconds)
  guard segment.configuration.hasLink else {
    return PTO2Error(.linkDied, "segment \(name) is of a session that is the only rank")
  }
  guard segment.linkPage.control.loadAcquire() == PTO2_LINK_ABSENT else {
    throw .abandoned(name: name)
  }
  // One place for all that ends a process from outside; looked at between steps.
  let signals = pto2_signal_descriptor()
  let page = segment.ownLinkPage
  page.ownProcess.announce(isSupervised: parent != nil)
  func refuse(_ text: String) -> PTO2Error {
    let error = PTO2Error(.linkDied, text)
    page.ownError.write(error, now: MonotonicClock.now())
    page.control.storeRelease(PTO2_LINK_FATAL)
    Futex.wake(page.control.shared)
    return error
  }
  var times = LinkTimes()
  if let text = environment("PTO2_PEER_TIMEOUT") {
    guard let limit = parseSeconds(text), (0.1...86400).contains(limit) else {
      return refuse("PTO2_PEER_TIMEOUT=\(text): expected 0.1 to 86400 seconds")
    }
    times.peerMilliseconds = UInt32(limit * 1000)
  }
  var transport: MPITransport
  do throws(LinkFault) {
    transport = try MPITransport()
    // MPI waits for the other ranks here, and cannot be told that the orchestrator is gone.
    if let parent { _ = followParent(parent) }
    try transport.join()
    if parent != nil { outliveParent() }
  } catch { return refuse(error.text) }
  segment.watchTruncation(says: parent != nil ? nil : { "pto2-link: \($0)" })
  // Not MPI's own threads.
  askForShortSlices()
  var process = LinkProcess(segment, transport, times, signals: signals)
  return process.run()
}

struct LinkProcess: ~Copyable {
  private var link: Link<MPITransport>
  private let orchestrator: ProcessHandle?
  private let control: SharedWord
  /// signalfd(2).
  private let signals: Int32
  private var sleeper = Sleeper()
  private var nextCheck: UInt64 = 0
  /// The orchestrator is gone, or a signal has come.
  private var isOrphan = false

  private static var checkNanoseconds: UInt64 { 20_000_000 }
  /// The longest sleep while nothing is expected: a message that comes meanwhile is seen late.
  private static var idleNanoseconds: UInt64 { 20_000_000 }
  /// While something is: a sixteenth of the wait so far, between these.
  private static var sleepNanoseconds: ClosedRange<UInt64> { 50_000...2_000_000 }

  init(
    _ segment: consuming Segment, _ transport: MPITransport, _ times: LinkTimes, signals: Int32
  ) {
    orchestrator = ProcessHandle(segment.creator())
    control = segment.orchestratorPage.control
    self.signals = signals
    link = Link(segment, transport, times: times)
    link.announce()
  }

  /// Carries out what the scheduler and the program ask for, until they ask no more.
  mutating func run() -> PTO2Error? {
    serve { $0.request != .run }
    if request == .leave && !isOrphan {
      // Until all ranks have come to their ends, however long that takes.
      link.sayGoodbye(link.failure?.number ?? 0)
      serve { $0.link.isAlone || $0.link.isBroken || $0.request == .abort }
      if link.isAlone { return leave() }
    }
    return end()
  }

  /// Steps until the condition holds, or the orchestrator is gone.
  private mutating func serve(
    until deadline: UInt64 = .max, _ isOver: (borrowing LinkProcess) -> Bool
  ) {
    var backoff = Backoff()
    var courtesy = Courtesy()
    var progressAt = MonotonicClock.now()
    while !isOver(self) {
      let now = MonotonicClock.now()
      if now >= nextCheck { check(now) }
      if isOrphan || now >= deadline { return }
      if link.step(now) > 0 {
        progressAt = now
        backoff.reset()
        courtesy.offer()
      } else if backoff.next() {
        let wait =
          link.isExpecting
          ? min(
            max((now &- progressAt) / 16, Self.sleepNanoseconds.lowerBound),
            Self.sleepNanoseconds.upperBound)
          : Self.idleNanoseconds
        park(nanoseconds: min(wait, deadline &- now))
        backoff.resume()
      }
    }
  }

  /// Whether the orchestrator lives, and what came as a signal.
  private mutating func check(_ now: UInt64) {
    nextCheck = now &+ Self.checkNanoseconds
    if orchestrator?.hasEnded() ?? true {
      isOrphan = true
      link.fail(
        PTO2Error(.orchestratorDied, "the orchestrator has ended without finishing its run"))
    }
    while case let signal = pto2_read_signal(signals), signal != 0 {
      isOrphan = true
      link.fail(
        PTO2Error(
          .interrupted, "pto2-link was told to end by \(signalName(signal)): all ranks end"))
    }
  }

  private mutating func park(nanoseconds: UInt64) {
    link.park(&sleeper, control, nanoseconds: Int64(nanoseconds))
  }

  private enum Request { case run, leave, abort }

  private var request: Request {
    switch control.loadAcquire() {
    case PTO2_CONTROL_DONE: .leave
    case PTO2_CONTROL_FATAL: .abort
    default: .run
    }
  }

  // MARK: The end

  /// After an error: how long all have to hear of it, and then to come to their ends; the
  /// orchestrator kills this process after two seconds.
  private static var graceNanoseconds: (UInt64, UInt64) { (1_000_000_000, 1_500_000_000) }

  /// After an error: together with the others, if they come to their ends soon.
  private mutating func end() -> PTO2Error? {
    let error = link.errorOfSession
    let status = error?.exitStatus ?? PTO2ErrorCode.linkDied.exitStatus
    if !link.isBroken && !isOrphan {
      // The programs meet first, if they come, so that they know which of them tells of it.
      let begin = MonotonicClock.now()
      serve(until: begin &+ Self.graceNanoseconds.0) {
        $0.link.hasEveryoneHeardOfError || $0.link.isBroken
      }
      link.sayGoodbye(error?.number ?? PTO2ErrorCode.linkDied.rawValue)
      serve(until: begin &+ Self.graceNanoseconds.1) { $0.link.isAlone || $0.link.isBroken }
      if link.isAlone { return leave() }
    } else if isOrphan {
      // The orchestrator is told by whoever waits for this process, the others by this.
      link.sayGoodbye(error?.number ?? PTO2ErrorCode.linkDied.rawValue)
    }
    link.stopped()
    link.abort(status)
  }

  /// Together with the others, which are there.
  private mutating func leave() -> PTO2Error? {
    let failure = link.failure
    let status = failure?.exitStatus ?? 0
    // MPI waits for them once more, and some may be slow to come: not when this rank's program is
    // gone, nor for long after an error.
    let (parent, tenths) = (getppid(), failure == nil ? 150 : 10)
    let watch = try? spawnThread("end of the link", stackBytes: 256 << 10) {
      for _ in 0..<tenths where getppid() == parent { PTO2System.sleepNanoseconds(100_000_000) }
      exitNow(status)
    }
    watch?.detach()
    link.leave()
    return failure
  }
}

extension Link where Transport: ~Copyable {
  /// Sleeps until there is something new to do, or the time is over.
  mutating func park(_ sleeper: inout Sleeper, _ control: SharedWord, nanoseconds: Int64) {
    sleeper.announce(1, in: own.parked)
    // After an error what begins is left alone, and no news; nor is anything to one that
    // cannot do it.
    if failure == nil || isEcho {
      sleeper.watch(scheduler.transfersStarted, while: started)
    }
    if !isBroken { sleeper.watch(orders.asked, while: asked) }
    _ = sleeper.watch(control)
    _ = sleeper.sleep(timeoutNanoseconds: nanoseconds)
    sleeper.withdraw(from: own.parked)
  }

  /// What the session ends with: the earliest error of those that are known.
  var errorOfSession: PTO2Error? {
    let errors = [
      segment.orchestratorPage.error.read(), segment.schedulerPage.error.read(),
      own.error.read(),
    ]
    return errors.compactMap { $0 }.min { $0.timeNanoseconds < $1.timeNanoseconds }?.error
  }

  func stopped() {
    own.control.storeRelease(PTO2_LINK_STOPPED)
    Futex.wake(own.control.shared)
  }
}

extension Link where Transport == MPITransport {
  /// Leaves MPI, as all do.
  mutating func leave() {
    do throws(LinkFault) { try transport.leave() } catch { abort(1) }
    stopped()
  }

  /// Ends all ranks.
  func abort(_ status: Int32) -> Never { transport.abort(status) }
}
