internal import CPTO2Segment
internal import CSimulation
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

@testable internal import PTO2Orchestrator
@testable internal import PTO2Scheduler
@testable internal import PTO2Worker

/// How one run came out.
struct RunResult {
  var steps: Int
  var slices: Int
  var failure: Failure?
  /// The error that ended it, if one did.
  var error: PTO2Error?
  /// Scheduling points of each role, by name.
  var points: [(role: String, points: Int)]
}

/// One session: the real orchestrator, scheduler and worker code on one segment.
final class Session {
  static let orchestratorPid: Int32 = 1
  static let schedulerPid: Int32 = 2
  static let linkPid: Int32 = 8
  static func workerPid(_ core: Int, isSecond: Bool = false) -> Int32 {
    Int32((isSecond ? 1000 : 10) + core)
  }
  static func core(ofWorker pid: Int32) -> Int { Int(pid) - (pid >= 1000 ? 1000 : 10) }

  private let scenario: Scenario
  private let images: [KernelImage]
  private let engine = Engine.shared
  private var results: [[UInt32]] = []
  private var orchestratorError: PTO2Error?
  private var schedulerError: PTO2Error?
  private var mismatch: String?
  private var supervisors: [Int] = []
  /// First thread of each scheduler that may be started, by number.
  private var schedulers: [Int] = []
  private var isEnding = false

  init(_ scenario: Scenario, images: [KernelImage]) {
    self.scenario = scenario
    self.images = images
  }

  func run(
    _ strategy: Strategy, _ settings: Engine.Settings, crash policy: Recover?,
    trace: ((String) -> Void)? = nil
  ) throws -> RunResult {
    var settings = settings
    settings.onCrash = { [unowned self] pid in
      policy?.processDied(pid, engine: engine, supervisors: supervisors)
    }
    engine.prepare(strategy, settings)

    sim_set_pid(Self.orchestratorPid)
    let name = "pto2-simulation"
    let segment = try Segment.create(
      name: name, configuration: scenario.configuration, images: images)
    let graph = try Graph(Orchestrator(segment), images: images)
    unsafe graph.orchestrator.pointee.segment.publish()
    let checks = Checks(scenario, try SegmentReader.open(name: name)) { Engine.shared.fail($0, $1) }
    engine.watch(checks, trace.map { Trace(checks.names, $0) })

    engine.add("orchestrator", .orchestrator, pid: Self.orchestratorPid) { [unowned self] in
      orchestrate(graph)
    }
    schedulers = [addScheduler(name, checks.names, number: 0)]
    for core in scenario.cores {
      sim_set_pid(Self.workerPid(core))
      let loop = try WorkerLoop(
        name: name, cores: [core], isSupervised: true, attachTimeoutMilliseconds: 0)
      engine.add(coreName(core), .core, core: core, pid: Self.workerPid(core)) { loop.host(core) }
    }
    if scenario.configuration.hasLink {
      sim_set_pid(Self.linkPid)
      let link = PlayedLink(
        try Segment.attach(name: name, role: .link, timeoutMilliseconds: 0), scenario, checks)
      engine.add("link", .link, pid: Self.linkPid) { link.run() }
    }
    // The worker that the launcher starts in the place of one that has died.
    var second: WorkerLoop?
    var secondCore = 0
    let replacement = engine.add(
      "second worker", .core, pid: Self.workerPid(0, isSecond: true), isDormant: true
    ) { second?.host(secondCore) }
    let fault = unsafe graph.orchestrator.pointee.fault
    if policy != nil {
      for number in 1...Self.maximumDeaths {
        schedulers.append(addScheduler(name, checks.names, number: number))
      }
    }
    // The thread of the orchestrator's process that watches the others, once for
    // each death.
    supervisors = (0..<Self.maximumDeaths).map { death in
      engine.add(
        "supervisor", .orchestrator, pid: Self.orchestratorPid, isDormant: true
      ) { [unowned self] in
        guard let remedy = policy?.remedies[death], !isEnding, !fault.hasFailed else { return }
        switch remedy {
        case .scheduler(let number): engine.start(schedulers[number])
        case .worker(let core):
          let pid = Self.workerPid(core, isSecond: true)
          sim_set_pid(pid)
          second = try? WorkerLoop(
            name: name, cores: [core], isSupervised: true, attachTimeoutMilliseconds: 0)
          sim_set_pid(Self.orchestratorPid)
          secondCore = core
          engine.adopt(replacement, core: core, pid: pid)
          engine.start(replacement)
        }
      }
    }

    engine.run()
    var failure = engine.failure
    if failure == nil {
      // A task that FAILED leaves results behind; without one all must be right.
      let isWhole = policy?.isFired != true || (policy!.isWhole && outcome(fault) == nil)
      let problem = isWhole ? judge(checks) : nil
      if let (invariant, detail) = problem ?? policy?.judge(outcome(fault)) {
        failure = Failure(invariant: invariant, detail: detail, step: engine.steps, role: "the end")
      }
    }
    return RunResult(
      steps: engine.steps, slices: engine.slices, failure: failure,
      error: failure == nil ? outcome(fault) : nil,
      points: engine.roles.dropFirst().map { ($0.name, $0.points) })
  }

  private func outcome(_ fault: FirstError) -> PTO2Error? {
    fault.first ?? orchestratorError ?? schedulerError
  }

  private func judge(_ checks: Checks) -> (String, String)? {
    if let error = orchestratorError ?? schedulerError {
      return ("no error", "\(error.code.name): \(error.message)")
    }
    if let mismatch { return ("the interpreter's result", mismatch) }
    return checks.checkEnd(results)
  }

  // MARK: Roles

  /// Deaths in one session, and so schedulers beside the first one.
  static let maximumDeaths = 2

  /// - Parameter number: 0 for the one that is there from the beginning.
  private func addScheduler(_ name: String, _ names: Names, number: Int) -> Int {
    let pid = Self.schedulerPid + Int32(number)
    let title = number == 0 ? "scheduler" : "scheduler-\(number + 1)"
    let threads = Int(scenario.configuration.schedulerThreads)
    var helpers: [Int] = []
    var shared: SchedulerState?
    let first = engine.add(title, .scheduler, pid: pid, isDormant: number > 0) {
      [unowned self] in
      guard
        let segment = try? Segment.attach(name: name, role: .scheduler, timeoutMilliseconds: 0)
      else { return engine.fail("attach", "\(title) finds no segment, or its place taken") }
      let state = SchedulerState(segment)
      names.learn(state)
      if threads == 1 {
        var loop = SchedulerProcess<OneThread>(state, isSupervised: true)
        schedulerError = loop.run()
        return
      }
      // What `SchedulerProcess.run` does, with coroutines for threads.
      var loop = SchedulerProcess<SeveralThreads>(state, isSupervised: true)
      shared = state
      for helper in helpers { engine.start(helper) }
      loop.schedule()
      loop.scheduler.stopOthers()
      for helper in helpers { engine.join(helper) }
      schedulerError = loop.finish()
    }
    for thread in 1..<max(threads, 1) {
      helpers.append(
        engine.add("\(title).\(thread)", .scheduler, pid: pid, isDormant: true) {
          HelperThread<SeveralThreads>(shared!, index: thread).run()
        })
    }
    return first
  }

  private func orchestrate(_ graph: Graph) {
    if scenario.isTiny {
      // The others are there and asleep when the interesting part begins.
      engine.sleep(1_000_000)
      engine.explore(true)
    }
    do {
      try Program(scenario.plan, graph).run { [unowned self] in mismatch = mismatch ?? $0 }
      unsafe try graph.orchestrator.pointee.finishRun()
    } catch let error as PTO2Error {
      orchestratorError = unsafe graph.orchestrator.pointee.fault.raise(error)
      unsafe graph.orchestrator.pointee.fault.publish()
    } catch {
      mismatch = "the program failed: \(error)"
    }
    isEnding = true
    if scenario.isTiny { engine.explore(false) }
    if orchestratorError == nil {
      unsafe graph.orchestrator.pointee.fault.finish()
      results = scenario.plan.externals.map { _ in [] }
      results = Program.externals(scenario.plan, graph)
    }
  }
}

/// The kernel image of simulated programs, which lies beside this executable.
enum Kernels {
  static func load(_ path: String) throws -> [KernelImage] {
    let image = try KernelImage(path: path)
    let object = try LoadedImage(path: path)
    guard let access = unsafe object.symbol("simulation_access"),
      let phase = unsafe object.symbol("simulation_phase")
    else { throw Problem("\(path) is not the image of kernels for simulations") }
    unsafe sim_connect_kernels(access, phase)
    return [image]
  }
}

/// A request that cannot be met.
struct Problem: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}
