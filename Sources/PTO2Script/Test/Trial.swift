internal import Glibc
internal import PTO2
internal import PTO2Faults
internal import PTO2Segment
internal import PTO2Sight
internal import PTO2System

/// One run of a script: a real orchestrator in a process of its own, watched to its end.
final class Trial {
  let number: Int
  let file: ScriptFile
  let seed: Int
  private let plan: Plan
  private let segment: String
  private let folder: String
  private let began = MonotonicClock.now()
  private let deadline: Deadline
  private var keeper: Keeper
  private var orchestrator: Launched
  private var helpers: [(process: Launched, action: Action)] = []
  private var waiting: [Action]
  private var reader: PictureReader?
  private var lastLook: UInt64 = 0
  /// How long processes may take to follow their orchestrator.
  private var endDeadline: Deadline?

  /// Starts it.
  init(_ number: Int, _ file: ScriptFile, seed: Int, tool: String) throws {
    self.number = number
    self.file = file
    self.seed = seed
    plan = try file.plan(seed: seed)
    segment = "pto2-test-\(getpid())-\(number)"
    folder = try makeFolder()
    keeper = Keeper(segment: segment)
    deadline = Deadline(afterMilliseconds: UInt64(file.script.timeout * 1000))
    waiting = file.script.actions
    var arguments = ["run", file.path, "--seed", "\(seed)", "--results", folder + "/results"]
    if !file.script.options.contains("--memfd") { arguments += ["--segment", segment] }
    arguments.append("--json")
    do {
      orchestrator = try Launched(tool, arguments, files: folder + "/orchestrator")
    } catch {
      removeFolder(folder)
      throw error
    }
  }

  /// Nothing of it is left behind.
  deinit {
    for helper in helpers where helper.process.status == nil { helper.process.signal(SIGKILL) }
    orchestrator.signal(SIGKILL)
    let limit = Deadline(afterMilliseconds: 10_000)
    while isAnyRunning(), !limit.hasPassed { sleepNanoseconds(1_000_000) }
    let remains = Remains(segment: segment)
    remains.clear()
    while !remains.processes.isEmpty, !limit.hasPassed { sleepNanoseconds(1_000_000) }
    removeFolder(folder)
  }

  private var seconds: Double { Double(MonotonicClock.now() &- began) / 1e9 }

  private func isAnyRunning() -> Bool {
    var isAny = orchestrator.isRunning()
    for index in helpers.indices where helpers[index].process.isRunning() { isAny = true }
    return isAny
  }

  // MARK: Watching

  /// Looks once.
  /// - Returns: what came of it, when it is over.
  func poll(keepsTo keepPath: String?) -> TrialResult? {
    keeper.look()
    if orchestrator.isRunning() {
      if deadline.hasPassed { return end(keepPath, hang(of: "")) }
      act()
      return nil
    }
    // Those who follow it.
    let limit = endDeadline ?? Deadline(afterMilliseconds: 10_000)
    endDeadline = limit
    let isWaited = file.script.expectations.leftovers != .any
    if isAnyRunning() || (isWaited && !Remains(segment: segment).processes.isEmpty) {
      if deadline.hasPassed || (limit.hasPassed && !isAnyRunning()) {
        return end(keepPath, judge() + hang(of: " though the orchestrator has ended"))
      }
      return nil
    }
    return end(keepPath, judge())
  }

  private func hang(of what: String) -> [String] {
    var text = "it has not ended after \(fixed(file.script.timeout, 1)) s (timeout)\(what)"
    if let reader = openReader() {
      let (_, diagnosis) = observe(reader, seconds: 0.2)
      text += "; pto2 stuck says: " + diagnosis.lines.joined(separator: "; ")
    }
    return [text]
  }

  private func end(_ keepPath: String?, _ failures: [String]) -> TrialResult {
    var result = TrialResult(file: file, seed: seed, seconds: seconds, failures: failures)
    guard !failures.isEmpty else { return result }
    result.errors = orchestrator.errors
    result.output = orchestrator.output
    if let keepPath, keeper.copy(to: keepPath) { result.kept = keepPath }
    return result
  }

  private func judge() -> [String] {
    act(hasEnded: true)
    var helperStatuses: [(Action, Int)] = []
    for index in helpers.indices {
      _ = helpers[index].process.isRunning()
      helperStatuses.append((helpers[index].action, helpers[index].process.status ?? -1))
    }
    let evidence = Evidence(
      status: orchestrator.status ?? -1, output: orchestrator.output, errors: orchestrator.errors,
      results: readBytes(folder + "/results"), seconds: seconds,
      processes: Remains(segment: segment).processes.map { "\($0.name) (process \($0.pid))" },
      hasName: Remains(segment: segment).hasName, helpers: helperStatuses, undone: waiting)
    return Judge(file.script, plan).failures(evidence)
  }

  // MARK: Acting

  /// - Parameter hasEnded: then nothing is done any more, but what was waited for may have come.
  private func act(hasEnded: Bool = false) {
    guard !waiting.isEmpty else { return }
    let now = MonotonicClock.now()
    // Pictures are not free, and who looks takes part of a CPU.
    if !hasEnded && lastLook != 0 && now &- lastLook < 2_000_000 { return }
    lastLook = now
    var picture: Picture?
    var index = 0
    while index < waiting.count {
      let action = waiting[index]
      if hasEnded, !action.isCheck {
        index += 1
        continue
      }
      if needsPicture(action) && picture == nil { picture = openReader()?.picture() }
      if case .previous = action.when, index > 0, waiting[index - 1].number == action.number - 1 {
        index += 1
      } else if holds(action.when, picture), perform(action, picture) {
        waiting.remove(at: index)
      } else {
        index += 1
      }
    }
  }

  private func needsPicture(_ action: Action) -> Bool {
    if case .signal(_, _, let process) = action.what, process != .orchestrator { return true }
    switch action.when {
    case .now, .previous, .seconds, .says: return false
    default: return true
    }
  }

  private func openReader() -> PictureReader? {
    if reader == nil { reader = try? PictureReader(segment) }
    return reader
  }

  private func holds(_ when: Action.When, _ picture: Picture?) -> Bool {
    switch when {
    case .now, .previous: return true
    case .seconds(let limit): return seconds >= limit
    case .says(let text): return orchestrator.errors.contains(text)
    default: break
    }
    guard let picture else { return false }
    let first = picture.session.configuration.firstPosition
    func sum(_ position: KeyPath<RingPicture, UInt32>) -> Int {
      picture.rings.reduce(0) { $0 + Int($1[keyPath: position] &- first) }
    }
    switch when {
    case .submitted(let count): return sum(\.current) >= count
    case .released(let count): return sum(\.released) >= count
    case .consumed(let count): return sum(\.consumed) >= count
    case .running(let kernels):
      return picture.cores.contains { $0.running.map { kernels.contains($0.kernel) } ?? false }
    case .waiting: return picture.orchestrator.wait != nil
    case .attached(let process): return pid(of: process, picture) != nil
    default: return false
    }
  }

  private func pid(of process: Action.Process, _ picture: Picture?) -> Int32? {
    switch process {
    case .orchestrator: return orchestrator.pid
    case .scheduler:
      guard let facts = picture?.scheduler.process, !facts.isGone else { return nil }
      return facts.pid
    case .worker(let name):
      guard let core = picture?.cores.first(where: { "\($0.id)" == name }), core.isServed,
        let facts = core.process, !facts.isGone
      else { return nil }
      return facts.pid
    }
  }

  /// False when it is to be tried again.
  private func perform(_ action: Action, _ picture: Picture?) -> Bool {
    switch action.what {
    case .signal(let number, _, let process):
      guard let pid = pid(of: process, picture) else { return false }
      // Of this session, and no stranger that has the pid by now.
      guard pid == orchestrator.pid || commandLine(of: pid).contains(segment) else { return false }
      kill(pid, number)
      return true
    case .start(let process, let cores, _):
      var arguments = ["--segment", segment]
      var name = "pto2-scheduler"
      if process != .scheduler {
        name = "pto2-worker"
        arguments += ["--cores", cores.joined(separator: ",")]
      }
      guard let path = try? findExecutable(name),
        let helper = try? Launched(path, arguments, files: folder + "/helper\(helpers.count)")
      else { return false }
      helpers.append((helper, action))
      return true
    case .nothing: return true
    case .stuck(let text):
      guard let reader = openReader() else { return false }
      let (_, diagnosis) = observe(reader, seconds: 0.1)
      return diagnosis.lines.joined(separator: "\n").contains(text)
    }
  }
}

/// What has come of a run.
package struct TrialResult: Sendable {
  package let file: ScriptFile
  package let seed: Int
  package let seconds: Double
  /// What did not hold; none: it has passed.
  package var failures: [String]
  package var output = ""
  package var errors = ""
  /// Where its segment was copied to.
  package var kept: String?

  package var hasPassed: Bool { failures.isEmpty }
}

/// Nil when there is no such file.
private func readBytes(_ path: String) -> [UInt8]? {
  let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { return nil }
  defer { close(descriptor) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    let count = unsafe read(descriptor, &buffer, buffer.count)
    if count < 0 && errno == EINTR { continue }
    guard count > 0 else { return bytes }
    bytes += buffer[..<count]
  }
}
