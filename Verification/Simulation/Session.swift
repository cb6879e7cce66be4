internal import CPTO2Segment
internal import CSimulation
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

@testable internal import PTO2Orchestrator

/// How one run came out.
struct RunResult {
  var steps: Int
  var slices: Int
  var failure: Failure?
  /// The error that ended it, if one did.
  var error: PTO2Error?
  /// Scheduling points of each role, by name.
  var points: [(role: String, points: Int)]
  var ranks: Int
}

/// One session, or one for each of several ranks that run a program together: the real
/// orchestrator, scheduler, worker and link code, on a segment a rank.
final class Session {
  static let orchestratorPid: Int32 = 1
  static let schedulerPid: Int32 = 2
  static let linkPid: Int32 = 8
  static func workerPid(_ core: Int, isSecond: Bool = false) -> Int32 {
    Int32((isSecond ? 1000 : 10) + core)
  }
  static func core(ofWorker pid: Int32) -> Int { Int(pid) - (pid >= 1000 ? 1000 : 10) }
  /// Those are the processes of rank 0; others have so much more a rank.
  static let pidsOfRank: Int32 = 10_000

  /// Deaths in one session, and so schedulers beside the first one.
  static let maximumDeaths = 2

  private let scenario: Scenario
  private let images: [KernelImage]
  private let engine = Engine.shared

  init(_ scenario: Scenario, images: [KernelImage]) {
    self.scenario = scenario
    self.images = images
  }

  func run(
    _ strategy: Strategy, _ settings: Engine.Settings, crash policy: Recover?,
    trace: ((String) -> Void)? = nil
  ) throws -> RunResult {
    var ranks: [RankSession] = []
    var settings = settings
    settings.onCrash = { [engine] pid in
      policy?.processDied(pid, engine: engine) { ranks[$0].supervisors[$1] }
    }
    engine.prepare(strategy, settings)
    let tasks = TaskChecks(scenario.plan)
    let network = SimulatedNetwork(ranks: scenario.ranks, seed: UInt64(scenario.plan.tasks.count))
    for rank in 0..<scenario.ranks {
      ranks.append(try RankSession(rank, scenario, images, tasks))
    }
    engine.watch(
      ranks.map(\.checks), trace.map { Trace(ranks.map(\.checks.names), $0) })
    for rank in ranks { try rank.addRoles(network, policy) }

    engine.run()
    var failure = engine.failure
    if failure == nil {
      let outcomes = ranks.map(\.outcome)
      // A task that FAILED leaves results behind; without one all must be right.
      let isWhole =
        policy?.isFired != true || (policy!.isWhole && outcomes.allSatisfy { $0 == nil })
      let problem = isWhole ? ranks.lazy.compactMap { $0.judge() }.first : nil
      let verdict =
        problem ?? outcomes.lazy.compactMap { policy?.judge($0) }.first ?? differ(outcomes)
      if let (invariant, detail) = verdict {
        failure = Failure(invariant: invariant, detail: detail, step: engine.steps, role: "the end")
      }
    }
    return RunResult(
      steps: engine.steps, slices: engine.slices, failure: failure,
      error: failure == nil ? ranks.lazy.compactMap(\.outcome).first : nil,
      points: engine.roles.dropFirst().map { ($0.name, $0.points) },
      ranks: scenario.ranks)
  }

  /// What ends one rank ends all.
  private func differ(_ outcomes: [PTO2Error?]) -> (String, String)? {
    if Set(outcomes.map { $0?.code }).count == 1 { return nil }
    let texts = outcomes.map { $0.map { "\($0.code.name): \($0.message)" } ?? "well" }
    return ("all ranks end alike", "they end \(texts)")
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
