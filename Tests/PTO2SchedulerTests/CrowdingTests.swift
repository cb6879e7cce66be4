import CPTO2Segment
import PTO2Orchestrator
import PTO2Protocol
import PTO2System
import Testing

@testable import PTO2Scheduler

/// More cores of a kind than CPUs: who is favoured, and what the others still get.
@Suite struct CrowdingTests {
  private static let vector = 1

  /// So many kernels more, of so many microseconds; the worker wanted a CPU for a share of that.
  private struct Core {
    var counters = pto2_core_counters()
    var runnable: UInt64 = 0

    mutating func run(_ kernels: UInt64, microseconds: UInt64, wanting share: Double) {
      counters.kernels += kernels
      // Every other one was timed.
      counters.timed_kernels += kernels / 2
      counters.timed_nanoseconds += kernels / 2 * microseconds * 1000
      runnable += UInt64(Double(kernels * microseconds * 1000) * share)
    }
  }

  private func answer(_ kernels: UInt64, microseconds: UInt64, wanting share: Double) -> Bool? {
    var crowding = Crowding()
    var core = Core()
    crowding.add(Self.vector, core.counters, runnable: 0)
    core.run(kernels, microseconds: microseconds, wanting: share)
    crowding.add(Self.vector, core.counters, runnable: core.runnable)
    return crowding.isComputing(matrix: false)
  }

  @Test func kernelsThatWantACPUCompute() {
    #expect(answer(1000, microseconds: 100, wanting: 1) == true)
    #expect(answer(1000, microseconds: 100, wanting: 0.9) == true)
    // Its worker was awake between the kernels as well.
    #expect(answer(100_000, microseconds: 1, wanting: 3) == true)
  }

  @Test func kernelsThatSleepDoNot() {
    #expect(answer(1000, microseconds: 100, wanting: 0.01) == false)
    #expect(answer(4, microseconds: 1_000_000, wanting: 0.3) == false)
  }

  /// Whatever they wait for: a core that sleeps takes longer to come than they take.
  @Test func shortKernelsNeedNoCoreEach() {
    #expect(answer(1000, microseconds: 4, wanting: 0.01) == true)
    #expect(answer(1000, microseconds: 5, wanting: 0.01) == false)
  }

  @Test func fewKernelsSayNothing() {
    #expect(answer(998, microseconds: 1, wanting: 1) == nil)
    #expect(answer(40, microseconds: 100, wanting: 1) == nil)
    #expect(answer(0, microseconds: 0, wanting: 0) == nil)
  }

  /// A kernel of a second is counted at its end; until then its worker has wanted to run.
  @Test func longKernelCountsWithTheTimeBeforeItsEnd() {
    var crowding = Crowding()
    var core = Core()
    for _ in 0..<9 {
      core.runnable += 100_000_000
      crowding.add(Self.vector, core.counters, runnable: core.runnable)
      let early = crowding.isComputing(matrix: false)
      #expect(early == nil)
    }
    core.run(2, microseconds: 450_000, wanting: 0)
    crowding.add(Self.vector, core.counters, runnable: core.runnable)
    let answers = (crowding.isComputing(matrix: false), crowding.isComputing(matrix: false))
    #expect(answers.0 == true && answers.1 == nil, "an answer begins anew")
  }

  /// What a new worker has counted is no difference; nor is what a kernel left there.
  @Test func newWorkerAndSpoiltPageSayNothing() {
    var crowding = Crowding()
    var core = Core()
    core.run(1000, microseconds: 100, wanting: 1)
    crowding.add(Self.vector, core.counters, runnable: core.runnable)
    _ = crowding.isComputing(matrix: false)
    crowding.add(Self.vector, pto2_core_counters(), runnable: 0)
    var spoilt = core.counters
    spoilt.kernels = .max
    crowding.add(Self.vector, spoilt, runnable: 0)
    let answer = crowding.isComputing(matrix: false)
    #expect(answer == nil)
  }

  @Test func kindsAreApart() {
    var crowding = Crowding()
    var core = Core()
    core.run(1000, microseconds: 100, wanting: 1)
    crowding.add(0, core.counters, runnable: core.runnable)
    let answers = (crowding.isComputing(matrix: false), crowding.isComputing(matrix: true))
    #expect(answers.0 == nil && answers.1 == true)
  }

  /// Often until there is an answer, or nothing to ask.
  @Test(
    arguments: [
      (6, 2000, "unknown"), (72, 14400, "too little known"), (6, 20000, "answered"),
      (72, 144_000, "nothing to ask"),
    ])
  func looksAreApart(cores: Int, microseconds: UInt64, state: String) {
    var crowding = Crowding()
    var core = Core()
    crowding.add(Self.vector, core.counters, runnable: 0)
    core.run(state == "answered" ? 1000 : 10, microseconds: 100, wanting: 1)
    crowding.add(Self.vector, core.counters, runnable: core.runnable)
    if state != "unknown" { _ = crowding.isComputing(matrix: false) }
    if state == "nothing to ask" { crowding.noteSettled() }
    let due = [1, microseconds * 1000, microseconds * 1000 + 1].map {
      crowding.isDue($0, cores: cores)
    }
    #expect(due == [true, false, true])
  }

  // MARK: Placement

  /// Two clusters of which the two AIVs of the first are favoured.
  private func rig(lanes: UInt32 = 4) throws -> Rig {
    let rig = try Rig(configuration(clusters: 2, lanes: lanes, worksAhead: true))
    rig.settle()
    let vectors = rig.shared.dispatcher.table.present.ofKind(matrix: false)
    #expect(vectors.count == 4)
    rig.shared.dispatcher.table.favour(vectors.first(2), matrix: false)
    return rig
  }

  /// What each AIV was given.
  private func loads(_ rig: Rig) -> [UInt32] {
    [1, 2, 4, 5].map { rig.shared.cores[$0].started.value }
  }

  /// Steps of a stencil of four points.
  @Test func workGoesToTheFavoured() throws {
    let rig = try rig(lanes: 8)
    var step = try (0..<4).map { _ in try rig.submit(aiv0: true) }
    rig.settle()
    #expect(loads(rig) == [2, 2, 0, 0])
    for _ in 0..<3 {
      step = try (0..<4).map { point in
        try rig.submit(aiv0: true) {
          for producer in step[max(0, point - 1)...min(3, point + 1)] { $0.after(producer) }
        }
      }
      rig.settle()
    }
    // The depth of a core of which nothing is known is four.
    #expect(loads(rig) == [4, 4, 0, 0], "what has gates waits for room there")
    rig.runAll()
    #expect(rig.counts()[0] == 16 && rig.failure == nil)
  }

  /// What is READY when the favoured have no room goes to the others.
  @Test func readyTasksSpill() throws {
    let rig = try rig()
    for _ in 0..<11 { try rig.submit(aiv0: true) }
    rig.settle()
    #expect(loads(rig) == [4, 4, 2, 1])
    rig.runAll()
    #expect(rig.counts()[0] == 11 && rig.failure == nil)
  }

  /// Blocks that may wait for each other have a core each.
  @Test func blocksGetACoreEach() throws {
    let rig = try rig()
    try rig.submit(aiv0: true) { $0.blocks(4) }
    rig.settle()
    #expect(loads(rig) == [1, 1, 1, 1])
    rig.runAll()
    #expect(rig.counts()[0] == 1 && rig.failure == nil)
  }

  /// The favoured cores' workers die: the others take what is READY.
  @Test func othersWorkWhileTheFavouredAreAway() throws {
    let rig = try rig()
    rig.die(core: 1, hasBegun: false)
    rig.die(core: 2, hasBegun: false)
    rig.settle()
    let first = try rig.submit(aiv0: true)
    try rig.submit(aiv0: true) { $0.after(first) }
    rig.settle()
    rig.finish(first)
    #expect(loads(rig)[2...].reduce(0, +) == 2)
    rig.runAll()
    #expect(rig.counts()[0] == 2 && rig.failure == nil)
  }

  @Test func allAreFavouredAgain() throws {
    let rig = try rig()
    rig.shared.dispatcher.table.favourAll(matrix: false)
    for _ in 0..<4 { try rig.submit(aiv0: true) }
    rig.settle()
    #expect(loads(rig) == [1, 1, 1, 1])
  }
}
