import Glibc
import Harness
import PTO2Protocol
import PTO2Segment
import PTO2System

/// What became of a session.
struct SessionResult {
  var shape: GraphShape
  /// Signals that reached a live process of the session and ended it.
  var kills: [Role: Int] = [:]
  var stops = 0
  var lostSubtasks = 0
  var workerRestarts = 0
  var schedulerRestarts = 0
  /// A task lost its worker as often as a task may.
  var gaveUp = false
  /// The orchestrator died before anybody was there to remove the name.
  var wasSwept = false
  var seconds = 0.0
  /// Nobody's death ended it: its results were compared.
  var isVerified = false
  var violations: [String] = []

  var allKills: Int { kills.values.reduce(0, +) }
}

/// Runs one session and does to it what the plan says.
struct SessionRunner {
  private var plan: SessionPlan
  private let segment: String
  private let orchestrator: Command
  private var view: SegmentReader?
  private var result: SessionResult
  /// Per core, workers killed one after the other before they served: a third would
  /// rightly end the run.
  private var unserved: [String: Int] = [:]
  private var killed: Set<pid_t> = []
  /// A scheduler was serving when the orchestrator was killed: it removes the name.
  private var hadScheduler = false

  /// Longer than anything takes, even with many more processes than CPUs.
  private static let limitSeconds = 60
  private static let leavingSeconds = 15

  static func run(_ plan: SessionPlan) -> SessionResult {
    let descriptors = openDescriptors()
    let begin = MonotonicClock.now()
    var runner = SessionRunner(plan)
    runner.strike()
    runner.judge()
    runner.expectNothingLeft()
    runner.view = nil
    var result = runner.result
    result.seconds = Double(MonotonicClock.now() - begin) / 1e9
    let left = openDescriptors()
    if left != descriptors {
      result.violations.append("the campaign had \(descriptors) descriptors and now has \(left)")
    }
    return result
  }

  private init(_ plan: SessionPlan) {
    self.plan = plan
    segment = "test-pto2-campaign-\(getpid())-\(plan.number)"
    result = SessionResult(shape: plan.shape)
    orchestrator = Command(
      plan.executable, plan.arguments + ["--segment", segment, "--json", "--quiet"])
  }

  private mutating func strike() {
    if !plan.isEarly {
      let deadline = MonotonicClock.now() + UInt64(Self.limitSeconds) * 1_000_000_000
      while orchestrator.poll() == nil, MonotonicClock.now() < deadline {
        view = try? SegmentReader.open(name: segment)
        if let view, view.isSchedulerAttached { break }
        usleep(200)
      }
    }
    for strike in plan.strikes {
      usleep(UInt32(strike.delayMicroseconds))
      if orchestrator.poll() != nil { return }
      if strike.role == .orchestrator && strike.signal != SIGSTOP {
        if let view, view.isSchedulerAttached {
          // One that was just killed may not know it yet.
          let pid = view.schedulerPid
          hadScheduler = !killed.contains(pid) && Victim(pid, segment: segment) != nil
        }
        orchestrator.signal(strike.signal)
        result.kills[.orchestrator, default: 0] += 1
      } else if strike.role == .orchestrator {
        orchestrator.signal(SIGSTOP)
        usleep(UInt32(strike.stopMicroseconds))
        orchestrator.signal(SIGCONT)
        result.stops += 1
      } else {
        strikeChild(strike)
      }
    }
  }

  private mutating func strikeChild(_ strike: Strike) {
    let wanted = strike.role == .worker ? "pto2-worker" : "pto2-scheduler"
    let pids = children(of: orchestrator.pid).shuffled(using: &plan.random)
    for pid in pids where !killed.contains(pid) {
      guard let victim = Victim(pid, segment: segment), victim.name == wanted else { continue }
      if strike.signal == SIGSTOP {
        guard victim.signal(SIGSTOP) else { continue }
        usleep(UInt32(strike.stopMicroseconds))
        _ = victim.signal(SIGCONT)
        result.stops += 1
        return
      }
      if let core = victim.core, let view, let index = CoreID(named: core)?.index,
        index < view.coreCount
      {
        let isServing = view.isServed(core: index) && view.workerPid(index) == pid
        if isServing { unserved[core] = 0 } else if unserved[core, default: 0] == 2 { continue }
        unserved[core, default: 0] += isServing ? 0 : 1
      }
      guard victim.signal(strike.signal) else { continue }
      killed.insert(pid)
      result.kills[strike.role, default: 0] += 1
      return
    }
  }

  /// Compares how the orchestrator ended with what was done.
  private mutating func judge() {
    guard let status = orchestrator.end(within: Self.limitSeconds) else {
      result.violations.append("hangs")
      orchestrator.signal(SIGKILL)
      _ = orchestrator.end(within: 5)
      return
    }
    let output = orchestrator.output
    let errors = orchestrator.errors
    let firstError =
      (errors + output).split(separator: "\n").first.map { String($0.prefix(300)) } ?? "no message"
    if status == 0 {
      result.isVerified = true
      checkReport(output)
      if !errors.isEmpty { result.violations.append("succeeds, but says: \(firstError)") }
      return
    }
    if let signal = plan.endsOrchestrator, result.kills[.orchestrator, default: 0] > 0 {
      if signal != SIGTERM && status == 128 + signal { return }
      if signal == SIGTERM && (status == 143 || status == 1 && errors.contains("error 209")) {
        return
      }
    }
    // Three deaths, or two of signals that look like the kernel's own.
    if status == 40 || status == 1, errors.contains("workers died of it"),
      result.kills[.worker, default: 0] >= 2
    {
      result.gaveUp = true
      return
    }
    result.violations.append("ends with status \(status): \(firstError)")
  }

  /// Every task was done once: the report counts them, the program has compared.
  private mutating func checkReport(_ output: String) {
    let expected = plan.shape == .random ? " 0 failed" : "\"label\":\"result\""
    guard output.contains("\"result\":\"success\""), output.contains(expected) else {
      result.violations.append("succeeds without a result")
      return
    }
    let submitted = numbers("submitted", in: output)
    let released = numbers("released", in: output)
    let consumed = numbers("consumed", in: output)
    let tasks = numbers("tasks", in: output).first ?? -1
    if submitted.reduce(0, +) != tasks || released != submitted || consumed != submitted {
      result.violations.append(
        "of \(tasks) tasks \(submitted) were submitted, \(released) released, \(consumed) consumed"
      )
    }
    result.lostSubtasks = Int(number("lost_subtasks", in: output) ?? 0)
    result.workerRestarts = Int(number("worker_restarts", in: output) ?? 0)
    result.schedulerRestarts = Int(number("scheduler_restarts", in: output) ?? 0)
  }

  /// No process, no name.
  private mutating func expectNothingLeft() {
    let deadline = MonotonicClock.now() + UInt64(Self.leavingSeconds) * 1_000_000_000
    var left = processIDs(of: segment)
    while !left.isEmpty || isNamed(segment) {
      // Nobody is there any more who could remove it.
      if left.isEmpty && !hadScheduler && result.kills[.orchestrator, default: 0] > 0 {
        sweep()
        if !isNamed(segment) { return }
      }
      if MonotonicClock.now() > deadline { break }
      usleep(500)
      left = processIDs(of: segment)
    }
    if !left.isEmpty {
      let names = left.map { "\(commandLine(of: $0).first ?? "?") (\($0))" }.joined(separator: ", ")
      result.violations.append("leaves processes: \(names)")
      for pid in left { _ = Victim(pid, segment: segment)?.signal(SIGKILL) }
    }
    if isNamed(segment) {
      result.violations.append("leaves its name in /dev/shm")
      unlink("/dev/shm/" + segment)
    }
  }

  /// What the next run, or `pto2 reap`, does.
  private mutating func sweep() {
    let reap = Command("pto2", ["reap", segment])
    if reap.end(within: 10) == 0 { result.wasSwept = true }
  }
}
