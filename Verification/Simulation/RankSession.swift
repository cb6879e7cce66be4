internal import CPTO2Segment
internal import CSimulation
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

@testable internal import PTO2Orchestrator
@testable internal import PTO2Scheduler
@testable internal import PTO2Worker

/// The session of one rank, or the only one.
final class RankSession {
  let checks: Checks
  /// The thread of the orchestrator's process that watches the others, once for each death.
  private(set) var supervisors: [Int] = []

  private let rank: Int
  private let name: String
  private let scenario: Scenario
  private let configuration: Configuration
  private let graph: Graph
  private let engine = Engine.shared
  private var results: [[UInt32]]?
  private var orchestratorError: PTO2Error?
  private var schedulerError: PTO2Error?
  private var linkError: PTO2Error?
  private var mismatch: String?
  /// First thread of each scheduler that may be started, by number.
  private var schedulers: [Int] = []
  private var isEnding = false

  init(
    _ rank: Int, _ scenario: Scenario, _ images: [KernelImage], _ tasks: TaskChecks
  ) throws {
    self.rank = rank
    self.scenario = scenario
    name = "pto2-simulation" + (scenario.ranks > 1 ? ".r\(rank)" : "")
    var configuration = scenario.configuration
    configuration.rank = UInt32(rank)
    self.configuration = configuration
    sim_set_pid(Session.pidsOfRank * Int32(rank) + Session.orchestratorPid)
    let segment = try Segment.create(name: name, configuration: configuration, images: images)
    graph = try Graph(Orchestrator(segment), images: images)
    unsafe graph.orchestrator.pointee.segment.publish()
    checks = Checks(scenario, tasks, try SegmentReader.open(name: name)) {
      Engine.shared.fail($0, $1)
    }
  }

  private func pid(_ local: Int32) -> Int32 { Session.pidsOfRank * Int32(rank) + local }
  private func title(_ role: String) -> String {
    scenario.ranks > 1 ? "rank \(rank) \(role)" : role
  }
  private func add(
    _ role: String, _ kind: RoleKind, core: Int = -1, pid local: Int32, isDormant: Bool = false,
    _ body: @escaping () -> Void
  ) -> Int {
    engine.add(
      title(role), kind, core: core, rank: rank, pid: pid(local), isDormant: isDormant, body)
  }

  func addRoles(_ network: SimulatedNetwork, _ policy: Recover?) throws {
    _ = add("orchestrator", .orchestrator, pid: Session.orchestratorPid) { [unowned self] in
      orchestrate()
    }
    schedulers = [addScheduler(number: 0)]
    for core in scenario.cores {
      sim_set_pid(pid(Session.workerPid(core)))
      let loop = try WorkerLoop(
        name: name, cores: [core], isSupervised: true, attachTimeoutMilliseconds: 0)
      _ = add(coreName(core), .core, core: core, pid: Session.workerPid(core)) { loop.host(core) }
    }
    if configuration.hasLink { try addLink(network) }
    // The worker that the launcher starts in the place of one that has died.
    var second: WorkerLoop?
    var secondCore = 0
    let replacement = add(
      "second worker", .core, pid: Session.workerPid(0, isSecond: true), isDormant: true
    ) { second?.host(secondCore) }
    let fault = unsafe graph.orchestrator.pointee.fault
    if policy != nil {
      for number in 1...Session.maximumDeaths { schedulers.append(addScheduler(number: number)) }
    }
    supervisors = (0..<Session.maximumDeaths).map { death in
      add("supervisor", .orchestrator, pid: Session.orchestratorPid, isDormant: true) {
        [unowned self] in
        guard let remedy = policy?.remedies[death], !isEnding, !fault.hasFailed else { return }
        switch remedy {
        case .scheduler(let number): engine.start(schedulers[number])
        case .worker(let core):
          let pid = pid(Session.workerPid(core, isSecond: true))
          sim_set_pid(pid)
          second = try? WorkerLoop(
            name: name, cores: [core], isSupervised: true, attachTimeoutMilliseconds: 0)
          sim_set_pid(self.pid(Session.orchestratorPid))
          secondCore = core
          engine.adopt(replacement, core: core, pid: pid)
          engine.start(replacement)
        }
      }
    }
  }

  private func addLink(_ network: SimulatedNetwork) throws {
    sim_set_pid(pid(Session.linkPid))
    let segment = try Segment.attach(name: name, role: .link, timeoutMilliseconds: 0)
    if scenario.ranks == 1 {
      let link = PlayedLink(segment, scenario, checks)
      _ = add("link", .link, pid: Session.linkPid) { link.run() }
    } else {
      let fault = unsafe graph.orchestrator.pointee.fault
      var error: PTO2Error?
      let supervisor = add(
        "link's supervisor", .orchestrator, pid: Session.orchestratorPid, isDormant: true
      ) { if let error { fault.fail(error) } }
      let link = SimulatedLink(segment, network, rank) { [engine] in
        error = $0
        engine.start(supervisor)
      }
      _ = add("link", .link, pid: Session.linkPid) { [unowned self] in linkError = link.run() }
    }
  }

  // MARK: The end

  /// What has ended it, if anything.
  var outcome: PTO2Error? {
    unsafe graph.orchestrator.pointee.fault.first ?? orchestratorError ?? schedulerError
      ?? linkError
  }

  func judge() -> (String, String)? {
    if let error = orchestratorError ?? schedulerError ?? linkError {
      return ("no error", "\(error.code.name): \(error.message)")
    }
    if let mismatch { return ("the interpreter's result", mismatch) }
    return checks.checkEnd(scenario.ranks == 1 ? results ?? [] : nil)
  }

  // MARK: Roles

  /// - Parameter number: 0 for the one that is there from the beginning.
  private func addScheduler(number: Int) -> Int {
    let (name, names) = (name, checks.names)
    let pid = Session.schedulerPid + Int32(number)
    let title = number == 0 ? "scheduler" : "scheduler-\(number + 1)"
    let threads = Int(configuration.schedulerThreads)
    var helpers: [Int] = []
    var shared: SchedulerState?
    let first = add(title, .scheduler, pid: pid, isDormant: number > 0) {
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
        add("\(title).\(thread)", .scheduler, pid: pid, isDormant: true) {
          HelperThread<SeveralThreads>(shared!, index: thread).run()
        })
    }
    return first
  }

  private func orchestrate() {
    if scenario.isTiny {
      // The others are there and asleep when the interesting part begins.
      engine.sleep(1_000_000)
      engine.explore(true)
    }
    var error: PTO2Error?
    do {
      if scenario.ranks > 1 { unsafe try graph.orchestrator.pointee.meetAtStart("simulation") }
      try Program(scenario.plan, graph).run { [unowned self] in mismatch = mismatch ?? $0 }
      unsafe try graph.orchestrator.pointee.finishRun()
    } catch let thrown as PTO2Error {
      error = unsafe graph.orchestrator.pointee.fault.raise(thrown)
    } catch {
      mismatch = "the program failed: \(error)"
    }
    if scenario.ranks > 1 { error = unsafe graph.orchestrator.pointee.meetAtEnd(error) }
    if let error {
      orchestratorError = unsafe graph.orchestrator.pointee.fault.raise(error)
      unsafe graph.orchestrator.pointee.fault.publish()
    }
    isEnding = true
    if scenario.isTiny { engine.explore(false) }
    if orchestratorError == nil {
      unsafe graph.orchestrator.pointee.fault.finish()
      results = Program.externals(scenario.plan, graph)
    }
  }
}
