import PTO2Protocol
import PTO2Segment
import PTO2Sight
import Testing

/// Diagnoses of pictures that no session gives at will; StuckTests has those that one does.
@Suite struct DiagnosisTests {
  private func later(_ picture: Picture, seconds: Double = 0.5) -> Picture {
    var later = picture
    later.time += UInt64(seconds * 1e9)
    return later
  }

  private func task(_ local: UInt32, _ state: TaskState, waitsFor producers: [UInt32] = [])
    -> TaskPicture
  {
    var task = TaskPicture(id: TaskID(ring: 0, local: local), stage: .at(state))
    task.subtasks = [.init(slot: 1, kernel: "k\(local)")]
    task.fanin.producers = producers.map {
      FaninWord(rawValue: 1 << 63 | 1 << 62 | TaskID(ring: 0, local: $0).rawValue)
    }
    task.fanin.count = UInt32(producers.count) + 1
    task.fanin.done = 1
    return task
  }

  /// Ring 0 has these tasks; the program waits for all of them.
  private func picture(_ tasks: [TaskPicture]) -> Picture {
    var picture = Sample.picture
    picture.rings = [
      Sample.ring(0, current: UInt32(tasks.count), released: 0, consumed: 0)
    ]
    picture.rings[0].tasks = tasks
    picture.orchestrator.wait = .released(ring: 0)
    picture.orchestrator.target = UInt32(tasks.count)
    for core in picture.cores.indices { picture.cores[core] = Sample.core(core) }
    return picture
  }

  private func diagnosed(_ picture: Picture) -> Diagnosis {
    diagnose(later(picture), since: [picture])
  }

  @Test func circleOfTasksEnds() {
    let diagnosis = diagnosed(
      picture([task(0, .pending, waitsFor: [1]), task(1, .pending, waitsFor: [0])]))
    #expect(diagnosis.verdict == .unknown && diagnosis.summary.contains("circle"))
  }

  @Test func pendingTaskLeadsToItsProducer() {
    var shown = picture([task(0, .pending, waitsFor: [1]), task(1, .running)])
    shown.cores[1].lanes = [
      Sample.lane(0, TaskID(ring: 0, local: 1), "k1", isRunning: true)
    ]
    let diagnosis = diagnosed(shown)
    #expect(diagnosis.cause == .kernelRuns && diagnosis.kernel == "k1")
    #expect(
      diagnosis.chain.contains(
        "Task 0:0 (kernel k0) is PENDING: it waits for 1 of its 1 producers, first for task 0:1 (kernel k1)."
      ), "\(diagnosis.chain)")
  }

  /// The program's task waits at a gate for a kernel elsewhere.
  @Test func gateLeadsToTheOtherCore() {
    var shown = picture([task(0, .running), task(1, .running)])
    var waiting = Sample.lane(0, TaskID(ring: 0, local: 0), "k0", isRunning: false)
    waiting.gates = [.init(core: 2, lane: 5, isOpen: false)]
    shown.cores[0].lanes = [waiting]
    shown.cores[2].lanes = [Sample.lane(5, TaskID(ring: 0, local: 1), "k1", isRunning: true)]
    let diagnosis = diagnosed(shown)
    #expect(diagnosis.cause == .kernelRuns && diagnosis.core == CoreID(2))
    #expect(
      diagnosis.chain.contains {
        $0.contains("waits at a gate until core aiv1 has finished task 0:1")
      },
      "\(diagnosis.chain)")
  }

  /// What is behind another dispatch on its core waits for that.
  @Test func dispatchBehindAnotherLeadsToTheFirst() {
    var shown = picture([task(0, .running), task(1, .running)])
    shown.cores[0].lanes = [
      Sample.lane(0, TaskID(ring: 0, local: 1), "k1", isRunning: true),
      Sample.lane(1, TaskID(ring: 0, local: 0), "k0", isRunning: false),
    ]
    let diagnosis = diagnosed(shown)
    #expect(diagnosis.cause == .kernelRuns && diagnosis.kernel == "k1")
    #expect(diagnosis.chain.contains { $0.contains("behind 1 others") }, "\(diagnosis.chain)")
  }

  /// A transfer is the link's while it runs: there is no lane to look at.
  @Test(arguments: [TransferOrder.Direction.send, .receive])
  func transferLeadsToTheOtherRank(direction: TransferOrder.Direction) {
    var transfer = task(1, .running)
    transfer.subtasks = []
    transfer.scopeDepth = 0
    transfer.flags = .transfer
    transfer.transfer = TransferOrder(direction, peer: 3, sequence: 9, bytes: 4096)
    let diagnosis = diagnosed(picture([task(0, .pending, waitsFor: [1]), transfer]))
    #expect(diagnosis.verdict == .stuck && diagnosis.cause == .otherRank)
    #expect(diagnosis.peer == 3)
    #expect(diagnosis.task == TaskID(ring: 0, local: 1))
    let isSend = direction == .send
    #expect(
      diagnosis.chain.contains {
        $0.contains(isSend ? "0:1 (sends 4096 bytes to rank 3)" : "receives 4096 bytes from rank 3")
      }, "\(diagnosis.chain)")
    #expect(
      diagnosis.summary
        == (isSend
          ? "task 0:1 is sending 4096 bytes (transfer 9) to rank 3, which has not taken it"
          : "task 0:1 waits for rank 3 to send 4096 bytes (transfer 9)"))
  }

  @Test func workerThatDoesNotTakeItsDispatchIsNamed() {
    var shown = picture([task(0, .running)])
    shown.cores[0].lanes = [
      Sample.lane(0, TaskID(ring: 0, local: 0), "k0", isRunning: false)
    ]
    #expect(diagnosed(shown).cause == .workerIdle)
    #expect(diagnose(shown).verdict == .unknown, "one look does not tell")
    shown.cores[0].process = ProcessFacts(pid: 7, activity: .gone)
    #expect(diagnosed(shown).cause == .workerDead)
  }

  @Test func schedulerThatDoesNotWireIsNamed() {
    let shown = picture([TaskPicture(id: TaskID(ring: 0, local: 0), stage: .submitted)])
    #expect(diagnosed(shown).cause == .schedulerBehind)
  }

  @Test func readyTaskWaitsForABusyCore() {
    var shown = picture([task(0, .ready), task(1, .running)])
    for core in shown.cores.indices where shown.cores[core].id.subtask != 0 {
      shown.cores[core].lanes = [
        Sample.lane(0, TaskID(ring: 0, local: 1), "k1", isRunning: true)
      ]
    }
    let diagnosis = diagnosed(shown)
    #expect(diagnosis.cause == .kernelRuns)
    #expect(
      diagnosis.chain.contains { $0.contains("READY, and waits for a core: 8 of 8 run a kernel") },
      "\(diagnosis.chain)")
  }

  /// What moved counts, and what moved a while ago does not hide what stands still.
  @Test func movementIsProgress() {
    let before = picture([task(0, .ready)])
    var after = later(before)
    after.cores[3].kernels += 1
    #expect(diagnose(after, since: [before]).verdict == .progress)
    #expect(diagnose(later(before), since: [before]).verdict == .stuck)
  }

  @Test func firstErrorByTimeIsTheCause() {
    var shown = picture([])
    shown.orchestrator.control = .failed
    shown.orchestrator.error = ErrorFacts(code: .outOfMemory, message: "second")
    shown.orchestrator.error?.nanoseconds = 9_000_000_000
    shown.scheduler.control = .failed
    shown.scheduler.error = ErrorFacts(code: .garbageWord, message: "first")
    shown.scheduler.error?.nanoseconds = 8_000_000_000
    let diagnosis = diagnose(shown)
    #expect(diagnosis.summary.contains("206 GARBAGE_WORD"))
    #expect(diagnosis.chain == ["The scheduler says: first.", "That was 2.0 s ago."])
  }

  @Test func endIsFinished() {
    var shown = picture([])
    shown.orchestrator.control = .done
    let diagnosis = diagnose(shown)
    #expect(diagnosis.verdict == .finished && diagnosis.chain.count == 1, "workers are left")
    for core in shown.cores.indices { shown.cores[core].process?.activity = .gone }
    #expect(diagnose(shown).chain.isEmpty)
  }

  /// Every cause has its name once, and every error its advice.
  @Test func namesAreWhole() {
    let names = Set(Diagnosis.Cause.allCases.map { $0.rawValue })
    #expect(names.count == Diagnosis.Cause.allCases.count)
    for code in PTO2ErrorCode.allCases { #expect(!code.advice.isEmpty) }
  }
}
