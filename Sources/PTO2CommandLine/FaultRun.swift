internal import PTO2Faults
internal import PTO2Launcher
internal import PTO2Segment
internal import PTO2System

/// What one fault of a script came to.
struct FaultOutcome {
  var index: Int
  /// The fault in words.
  var summary: String
  /// How often it was done, and how often it might have been.
  var fired: UInt64
  var chances: UInt64
  var probability: Double
  /// When it was done last, CLOCK_MONOTONIC.
  var lastNanoseconds: UInt64 = 0

  var text: String { "\(summary): fired \(fired) of \(chances) times" }

  /// Why it counts as not exercised; nil when it has fired.
  var complaint: String? {
    guard fired == 0 else { return nil }
    let why =
      chances == 0
      ? "its time never came"
      : probability < 1
        ? "in \(chances) chances of probability \(probability) its dice said no"
        : "it could not be done: its victim was not there, made no such call, or the segment is sealed"
    return "fault \(index) (\(summary)) never fired: \(why)"
  }

  var json: JSONObject {
    var object = JSONObject()
    object.add("index", UInt64(index))
    object.add("fault", summary)
    object.add("fired", fired)
    object.add("chances", chances)
    return object
  }
}

/// The faults of `--faults` in one session.
struct FaultRun {
  private let script: FaultScript
  private let text: String
  private var injector: FaultInjector?

  /// Reads and checks the script; nothing has been started then.
  init(path: String, _ configuration: PTO2Segment.Configuration) throws(SessionFailure) {
    guard let text = readWholeFile(path, limit: FaultScript.maximumBytes) else {
      throw SessionFailure(
        text:
          "error: --faults \(path): cannot be read, or has more than \(FaultScript.maximumBytes) bytes",
        exitStatus: ExitStatus.usage)
    }
    self.text = text
    do {
      script = try FaultScript(text)
      try script.check(configuration)
    } catch {
      throw SessionFailure(
        text: "error: --faults \(path):\(error)", exitStatus: ExitStatus.usage)
    }
  }

  /// Before the segment is created, and before any thread: the session's own
  /// /dev/shm, if the script wants one.
  func enterSharedMemory(isUnnamed: Bool) throws(SessionFailure) {
    guard let bytes = script.sharedMemoryBytes else { return }
    guard !isUnnamed else {
      throw SessionFailure(
        text:
          "error: --faults: \"shm_bytes\" has no meaning with --memfd, which is not in /dev/shm",
        exitStatus: ExitStatus.usage)
    }
    do { try PrivateSharedMemory.enter(bytes: bytes) } catch {
      throw SessionFailure(
        text:
          "error: --faults: no /dev/shm of its own for \"shm_bytes\": \(error). It needs CAP_SYS_ADMIN or user namespaces",
        exitStatus: ExitStatus.cannotCreate)
    }
  }

  /// Starts the process that does them.
  mutating func start(segment: String, executable: () throws(SystemError) -> String)
    throws(SessionFailure)
  {
    let path: String
    do { path = try executable() } catch {
      throw SessionFailure(
        text: "error: \(error). Build it, or set PTO2_BIN_DIR",
        exitStatus: ExitStatus.cannotCreate)
    }
    do {
      injector = try FaultInjector(executable: path, segment: segment, script: text)
    } catch {
      let reason =
        switch error {
        case .system(let error): "\(error)"
        case .engine(let words):
          words
            + (words.hasPrefix("ptrace ")
              ? ". Tracing needs kernel.yama.ptrace_scope = 0, or CAP_SYS_PTRACE" : "")
        }
      throw SessionFailure(
        text: "error: --faults: \(reason)", exitStatus: ExitStatus.cannotCreate)
    }
  }

  /// Ends them, and tells what they were.
  mutating func finish() -> [FaultOutcome] {
    guard let injector else { return [] }
    self.injector = nil
    // An engine that has died has done nothing that could be relied on.
    let counts = injector.finish() ?? script.faults.map { _ in (0, 0, 0) }
    return zip(script.faults.indices, counts).map { index, count in
      FaultOutcome(
        index: index, summary: script.faults[index].summary, fired: count.fired,
        chances: count.chances, probability: script.faults[index].probability,
        lastNanoseconds: count.last)
    }
  }

  /// The run's failure: its own if it has one, else that a fault was not
  /// exercised.
  static func judge(_ outcomes: [FaultOutcome], _ failure: SessionFailure?) -> SessionFailure? {
    var result = failure
    let complaints = outcomes.compactMap(\.complaint)
    if !complaints.isEmpty {
      if result == nil {
        result = SessionFailure(
          text: "error: not exercised: " + complaints.joined(separator: "; "),
          exitStatus: ExitStatus.notExercised)
      } else {
        result!.text += ". Besides: " + complaints.joined(separator: "; ")
      }
    }
    result?.faults = outcomes
    return result
  }
}
