internal import CPTO2Faults
internal import Glibc
internal import Harness
internal import PTO2Faults
internal import PTO2Segment
internal import PTO2System

/// One session of real processes, stopped at a store, stepped, and killed there.
final class StepRun {
  /// What is started.
  struct Session {
    var executable: String
    var arguments: [String]
    var segment: String
  }

  /// How it came out.
  struct Outcome {
    /// Instructions stepped; to the end of the stretch when nothing was killed.
    var steps = 0
    /// The victim was killed there, or for a measurement came to the end.
    var isExercised = false
    /// wait(2) status of the orchestrator; nil: it did not end.
    var status: Int32?
    var output = ""
    var errors = ""
    var leftovers: [String] = []

    /// As a shell says it.
    var exitStatus: Int32? {
      status.map { $0 & 0x7F == 0 ? $0 >> 8 & 0xFF : 128 + $0 & 0x7F }
    }
  }

  /// How long a session may take, and one stretch.
  private static let limitMilliseconds: UInt64 = 60_000
  /// A stretch longer than this is waiting for something.
  static let maximumSteps = 300_000

  private let point: StepPoint
  private let hit: Int
  private let session: Session
  private let tracer: Tracer
  private var reader: SegmentReader?
  private var memory = WordMemory()
  private var hits = 0
  private var victim: TracedThread?
  /// The process that is killed so that another takes its place.
  private var firstLife: Int32?
  private var status: Int32?
  private var orchestrator: Int32 = 0

  init(_ session: Session, point: StepPoint, hit: Int) {
    self.session = session
    self.point = point
    self.hit = hit
    weak var run: StepRun?
    tracer = Tracer(
      segment: session.segment, watches: { role in run?.watches(role) },
      isWanted: { $0 == point.victim })
    run = self
    tracer.onMapped = { [unowned self] process in
      self.memory.remember(process.watches, in: self.reader!)
    }
    tracer.onHit = { [unowned self] thread, places in self.isStart(thread, places) }
    tracer.onChildEnd = { [unowned self] pid, status in
      if pid == self.orchestrator { self.status = status }
    }
    tracer.onEnd = { [unowned self] process, status in
      if process.id == self.orchestrator { self.status = status }
    }
  }

  /// Nil until the header is published.
  private func watches(_ role: ProcessRole) -> [WordWatch]? {
    if reader == nil { reader = try? SegmentReader.open(name: session.segment) }
    guard let reader else { return nil }
    return role == point.victim ? point.watches(in: reader) : []
  }

  private func isStart(_ thread: TracedThread, _ places: [Int]) -> Tracer.Verdict {
    if let firstLife, firstLife != thread.process.id, victim == nil, let reader,
      point.isSecondStart(places.map { thread.process.watches[$0] }, in: reader)
    {
      victim = thread
      return .hold
    }
    guard victim == nil, reaches(atEnd: false, thread, places) else { return .go }
    guard firstLife == nil else { return .go }
    hits += 1
    guard hits == hit else { return .go }
    if point.isOfSecondLife {
      // Its successor is the victim, from its own first store.
      firstLife = thread.process.id
      kill(thread.process.id, SIGKILL)
      return .go
    }
    victim = thread
    return .hold
  }

  /// Whether the words of these watches have just come to the beginning of the
  /// stretch, or to its end.
  private func reaches(atEnd: Bool, _ thread: TracedThread, _ places: [Int]) -> Bool {
    guard let reader else { return false }
    let changes = memory.changes(places.map { thread.process.watches[$0] }, in: reader)
    return point.isReached(atEnd: atEnd, by: changes, in: reader)
  }

  /// Runs the session.
  /// - Parameter killAt: instructions from the start of the stretch; nil: to its
  ///   end, and nobody is killed.
  func run(killAt: Int?) -> Outcome {
    var outcome = Outcome()
    let files = (temporaryFile(), temporaryFile())
    defer {
      close(files.0)
      close(files.1)
    }
    guard start(output: files.0, errors: files.1) else { return outcome }
    let deadline = Deadline(afterMilliseconds: Self.limitMilliseconds)
    while victim == nil, status == nil, !deadline.hasPassed { wait() }
    if let victim {
      (outcome.steps, outcome.isExercised) = step(victim, killAt: killAt, deadline: deadline)
      if killAt != nil, outcome.isExercised {
        outcome.isExercised = kill(victim.process.id, SIGKILL) == 0
      }
    }
    tracer.detachAll(deadline: Deadline(afterMilliseconds: 5000))
    while status == nil, !deadline.hasPassed { wait() }
    outcome.status = status
    outcome.leftovers = leftovers(of: session.segment)
    if status == nil { kill(orchestrator, SIGKILL) }
    // Those that were told to end may still be on their way.
    let patience = Deadline(afterMilliseconds: 20_000)
    while !outcome.leftovers.isEmpty, !patience.hasPassed {
      wait()
      outcome.leftovers = leftovers(of: session.segment)
    }
    for left in processIDs(of: session.segment) { kill(left, SIGKILL) }
    SharedMemoryObject.unlink(name: "/" + session.segment)
    tracer.drain()
    outcome.output = readFile("/proc/self/fd/\(files.0)")
    outcome.errors = readFile("/proc/self/fd/\(files.1)")
    return outcome
  }

  private func start(output: Int32, errors: Int32) -> Bool {
    var argv: [UnsafeMutablePointer<CChar>?] =
      unsafe ([session.executable] + session.arguments).map { unsafe strdup($0) }
    unsafe argv.append(nil)
    defer { for index in unsafe argv.indices { unsafe free(argv[index]) } }
    _ = unsafe setenv("SWIFT_BACKTRACE", "enable=no", 1)
    guard
      unsafe pto2_trace_spawn(
        session.executable, argv, environ, output, errors, &orchestrator) == 0,
      (try? tracer.attach(orchestrator, .orchestrator, children: true)) != nil
    else { return false }
    kill(orchestrator, SIGCONT)
    return true
  }

  /// Steps until the kill, or to the end of the stretch.
  private func step(_ thread: TracedThread, killAt: Int?, deadline: Deadline) -> (Int, Bool) {
    var steps = 0
    while steps < killAt ?? point.length ?? Self.maximumSteps {
      switch tracer.step(thread, deadline: deadline) {
      case .done: steps += 1
      case .hit(let places):
        steps += 1
        if killAt == nil, reaches(atEnd: true, thread, places) { return (steps, true) }
      case .ended, .late: return (steps, false)
      }
    }
    return (steps, killAt != nil || point.length != nil)
  }

  private func wait() {
    var entry = pollfd(fd: tracer.descriptor, events: Int16(POLLIN), revents: 0)
    _ = unsafe poll(&entry, 1, 5)
    tracer.drain()
  }
}

/// Names and processes of a session, in words.
private func leftovers(of segment: String) -> [String] {
  (isNamed(segment) ? ["/dev/shm/" + segment] : [])
    + processIDs(of: segment).map { "process \($0)" }
}

// MARK: Files

/// An open file without a name.
private func temporaryFile() -> Int32 {
  var path = Array("/tmp/pto2-steps-XXXXXX".utf8CString)
  let file = unsafe mkstemp(&path)
  _ = unsafe unlink(path)
  return file
}
