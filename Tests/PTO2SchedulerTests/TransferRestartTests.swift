import CPTO2Segment
import PTO2Protocol
import PTO2Segment
import PTO2System
import Testing

@testable import PTO2Orchestrator
@testable import PTO2Scheduler

/// A scheduler that dies between any two stores of a transfer: it is begun once, and ends once.
@Suite struct TransferRestartTests {
  private typealias Start = PlayedLink.Start

  /// What a scheduler had stored as it died while it gave a transfer to the link, latest first.
  enum Window: CaseIterable { case published, running, begun, intended, nothing }

  /// Takes back what was not stored yet.
  private func rewind(_ rig: Rig, _ task: TaskID, to window: Window) {
    let entry = rig.shared.rings.entry(task)
    let page = rig.shared.segment.ownSchedulerPage
    if window == .published { return }
    page.transfersStarted.storeRelease(page.transfersStarted.loadOwn() &- 1)
    if window == .running { return }
    entry.state.value = TaskState.ready.rawValue
    if window == .begun { return }
    entry.blocksStarted.value = 0
    if window == .intended { return }
    page.ownIntent.task.storeRelease(77)
    entry.state.value = TaskState.pending.rawValue
  }

  /// - Parameters:
  ///   - before: so many transfers have gone through the rings before.
  ///   - twice: the next scheduler dies as well, at once.
  private func check(
    _ window: Window, before: Int, twice: Bool, _ threads: UInt32, _ kind: (Rig) throws -> TaskID
  ) throws {
    let rig = try rankRig(threads: threads)
    let link = try PlayedLink(rig)
    for _ in 0..<before {
      let task = try rig.receive(nil)
      rig.settle()
      link.look()
      link.end(task)
      rig.settle()
    }
    let task = try kind(rig)
    let consumer = try rig.submit(aic: true) { $0.after(task) }
    rig.step()
    #expect(rig.state(task) == .running, "not exercised")
    rewind(rig, task, to: window)
    for _ in 0..<(twice ? 2 : 1) { try rig.restartScheduler() }
    rig.settle()
    #expect(link.look() == [Start(task: task)], "\(window): begun once")
    #expect(rig.state(task) == .running && rig.running.isEmpty, "\(window)")
    try rig.restartScheduler()
    rig.settle()
    #expect(link.look() == [], "\(window): and not again")
    rig.audit(1)
    link.end(task)
    rig.settle()
    #expect(rig.state(task) == .consumed && rig.runningTasks == [consumer], "\(window)")
    rig.runAll()
    #expect(rig.failure == nil && rig.isDrained, "\(window)")
  }

  @Test(arguments: Window.allCases, [UInt32(1), 2])
  func transferIsBegunOnce(window: Window, threads: UInt32) throws {
    for before in [0, 1, 63, 64, 65] {
      for twice in [false, true] {
        try check(window, before: before, twice: twice, threads) { try $0.receive(nil) }
      }
    }
  }

  /// Places that were never used look like task 0:0, and ends of it.
  @Test(arguments: Window.allCases)
  func firstTaskOfAllIsBegunOnce(window: Window) throws {
    try check(window, before: 0, twice: false, 1) { rig in
      let task = try rig.send(try rig.external(4))
      #expect(task.rawValue == 0, "not exercised")
      return task
    }
  }

  /// One that lasts, while those of another ring go round: its start is in the ring no more.
  @Test(arguments: [UInt32(1), 2])
  func transferThatOutlastsTheRingIsNotBegunAgain(threads: UInt32) throws {
    let rig = try rankRig(rings: 2, threads: threads)
    let link = try PlayedLink(rig)
    let long = try rig.receive(nil)
    rig.settle()
    try rig.graph.beginScope()
    for _ in 0..<Int(rig.configuration.transferCapacity) + 3 {
      let task = try rig.receive(nil)
      #expect(task.ring == 1, "not exercised")
      rig.settle()
      link.look()
      link.end(task)
      rig.settle()
    }
    try rig.restartScheduler()
    rig.settle()
    #expect(link.look() == [] && rig.state(long) == .running)
    link.end(long)
    rig.settle()
    #expect(rig.state(long) == .consumed && rig.failure == nil)
  }

  /// The place of the next start holds the record of one that still runs.
  @Test func placeOfOneThatRunsSaysNothing() throws {
    let rig = try rankRig(rings: 2)
    let link = try PlayedLink(rig)
    let long = try rig.receive(nil)
    rig.settle()
    try rig.graph.beginScope()
    for number in 1..<Int(rig.configuration.transferCapacity) {
      let task = try rig.receive(nil)
      rig.settle()
      // The last one before is the one that the intent names.
      #expect(link.look().last == Start(task: task), "\(number)")
      link.end(task)
      rig.settle()
    }
    let next = try rig.receive(nil)
    rig.step()
    rewind(rig, next, to: .running)
    try rig.restartScheduler()
    rig.settle()
    #expect(link.look() == [Start(task: next)])
    #expect(rig.state(long) == .running && rig.failure == nil)
  }

  /// Ends that nobody has taken, some of which somebody has.
  @Test(arguments: [UInt32(1), 2], [UInt32(0), PTO2_OUTCOME_CANCELLED])
  func endsAreTakenOnce(threads: UInt32, outcome: UInt32) throws {
    for taken in 0...3 {
      let rig = try rankRig(threads: threads)
      let link = try PlayedLink(rig)
      let tensors = try (0..<3).map { _ in try rig.external(4) }
      let tasks = try tensors.map { try rig.receive($0) }
      let readers = try tensors.map { tensor in try rig.submit(aic: true) { $0.input(tensor) } }
      rig.settle()
      for (number, task) in tasks.enumerated() {
        if number == taken { rig.settle() }
        link.end(task, outcome: outcome)
      }
      if taken == 3 { rig.settle() }
      try rig.restartScheduler()
      rig.settle()
      rig.audit(1)
      #expect(link.look().map(\.task) == tasks)
      #expect(tasks.allSatisfy { rig.state($0) != .running })
      if outcome == 0 {
        #expect(rig.running.map(\.task).first == readers[0])
      } else {
        #expect(readers.allSatisfy { rig.state($0) == .consumed }, "nothing came for them")
      }
      rig.runAll()
      #expect(rig.failure == nil && rig.isDrained)
    }
  }

  /// Its outcome is stored, and it is not COMPLETED.
  @Test func poisonOutlastsAScheduler() throws {
    let rig = try rankRig()
    let link = try PlayedLink(rig)
    let x = try rig.external(4)
    let receive = try rig.receive(x)
    let reader = try rig.submit(aic: true) { $0.input(x) }
    rig.settle()
    link.end(receive, outcome: PTO2_OUTCOME_CANCELLED)
    rig.shared.rings.entry(receive).outcome.value = PTO2_OUTCOME_CANCELLED
    try rig.restartScheduler()
    rig.settle()
    #expect(rig.state(reader) == .consumed && rig.running.isEmpty && rig.failure == nil)
  }

  /// A cancelled send that waits to be begun is cancelled still.
  @Test(arguments: Window.allCases)
  func cancelledSendIsBegunOnce(window: Window) throws {
    let rig = try rankRig()
    let link = try PlayedLink(rig)
    let x = try rig.external(4)
    try rig.submit(aic: true) { $0.inout(x) }
    let send = try rig.send(x)
    rig.settle()
    rig.die(core: 0, hasBegun: true)
    rig.step()
    #expect(rig.state(send) == .running, "not exercised")
    rewind(rig, send, to: window)
    try rig.restartScheduler()
    rig.settle()
    #expect(link.look() == [Start(task: send, outcome: PTO2_OUTCOME_CANCELLED)])
    link.end(send)
    rig.settle()
    #expect(rig.state(send) == .consumed && rig.failure == nil)
  }

  /// Transfers and kernels at random, and schedulers that die at random.
  @Test(arguments: 0..<30, [UInt32(1), 2])
  func randomGraphs(seed: Int, threads: UInt32) throws {
    var random = SplitMix64(seed: UInt64(seed) &* 31 &+ UInt64(threads))
    let rig = try rankRig(
      rings: Int.random(in: 1...2, using: &random), lanes: 4, threads: threads,
      worksAhead: threads == 1 && Bool.random(using: &random))
    let link = try PlayedLink(rig)
    let tensors = try (0..<4).map { _ in try rig.external(16) }
    var out: [TaskID] = []
    var submitted = 0
    var restarts = 0
    var depth = 0
    func play() throws {
      switch Int.random(in: 0..<8, using: &random) {
      case 0...2:
        _ = rig.runOne(&random)
      case 3...5:
        rig.settle()
        out += link.look().map(\.task)
        guard let place = out.indices.randomElement(using: &random) else { return }
        link.end(out.remove(at: place))
      case 6: rig.settle()
      default:
        rig.step()
        try rig.restartScheduler()
        restarts += 1
      }
      #expect(rig.failure == nil)
    }
    for _ in 0..<300 where rig.failure == nil {
      let tensor = tensors.randomElement(using: &random)!
      guard rig.hasRoom(outputBytes: 0) else {
        try play()
        continue
      }
      switch Int.random(in: 0..<8, using: &random) {
      case 0:
        try rig.send(tensor)
        submitted += 1
      case 1:
        try rig.receive(tensor)
        submitted += 1
      case 2:
        try rig.submit(aic: true) {
          $0.input(tensor)
          $0.inout(tensors.randomElement(using: &random)!)
        }
      case 3 where depth < 1:
        try rig.graph.beginScope()
        depth += 1
      default: try play()
      }
    }
    let transfers = submitted
    while depth > 0 {
      try rig.graph.endScope()
      depth -= 1
    }
    var rounds = 0
    while !rig.isDrained, rig.failure == nil, rounds < 5000 {
      try play()
      rounds += 1
    }
    #expect(rig.failure == nil && rig.isDrained)
    #expect(link.started.count == transfers && Set(link.started.map(\.task)).count == transfers)
    #expect(transfers > 20 && restarts > 3, "not exercised")
  }
}

/// What stands in the link's ring, or in a transfer's slot, after an accident.
@Suite struct DamagedTransferTests {
  private func expectViolation(_ rig: Rig, _ what: String, line: Int = #line) {
    rig.settle()
    #expect(rig.failure?.code == .protocolViolation, "line \(line)")
    #expect(rig.failure?.message.contains(what) == true, "\(rig.failure?.message ?? "none")")
  }

  @Test(arguments: [UInt32(1), 2])
  func endOfWhatDoesNotRunIsRefused(threads: UInt32) throws {
    let ids: [(Rig, TaskID) throws -> TaskID] = [
      // A kernel, a transfer that waits, one that is over, tasks that are none.
      { rig, _ in try rig.submit(aic: true) },
      { rig, task in
        let x = try rig.external(4)
        try rig.submit(aic: true) { $0.inout(x) }
        return try rig.send(x)
      },
      { _, _ in TaskID(ring: 0, local: 50) },
      { _, _ in TaskID(ring: 7, local: 0) },
      { _, _ in TaskID(rawValue: .max) },
      { _, task in TaskID(rawValue: task.rawValue | 1 << 40) },
      { _, task in TaskID(ring: 0, local: task.local &+ 64) },
    ]
    for id in ids {
      let rig = try rankRig(threads: threads)
      let link = try PlayedLink(rig)
      let task = try rig.receive(nil)
      let other = try id(rig, task)
      rig.settle()
      link.end(other)
      expectViolation(rig, "is no transfer that runs")
      #expect(rig.state(task) == .running)
    }
  }

  @Test(arguments: [UInt32(1), 2])
  func endThatComesTwiceIsRefused(threads: UInt32) throws {
    let rig = try rankRig(threads: threads)
    let link = try PlayedLink(rig)
    let task = try rig.receive(nil)
    try rig.receive(nil)
    rig.settle()
    link.end(task)
    rig.settle()
    #expect(rig.failure == nil)
    link.end(task)
    expectViolation(rig, "is no transfer that runs")
  }

  @Test func outcomeThatIsNoneIsRefused() throws {
    for outcome in [PTO2_ERROR_WORKER_DIED.rawValue, 1, .max] {
      let rig = try rankRig()
      let link = try PlayedLink(rig)
      let task = try rig.receive(nil)
      rig.settle()
      link.end(task, outcome: outcome)
      expectViolation(rig, "has ended with \(outcome)")
    }
  }

  /// More are said to be over than began, live and to the next scheduler.
  @Test(arguments: [UInt32(2), 64, .max], [false, true])
  func tooManyEndsAreRefused(ended: UInt32, isRestart: Bool) throws {
    let rig = try rankRig()
    let link = try PlayedLink(rig)
    // Places of the ring that nobody has written look like ends of it.
    let task = try rig.receive(nil)
    #expect(task.rawValue == 0, "not exercised")
    rig.settle()
    link.page.ended.storeRelease(ended)
    if isRestart {
      rig.isDamaged = true
      try rig.restartScheduler()
    }
    expectViolation(rig, isRestart ? "over" : "are said to be over")
    #expect(isRestart || rig.state(task) == .running)
  }

  /// Its own count of starts, found by the audit or by the next scheduler. (One less than it was
  /// is what a scheduler leaves that dies while it starts the last one.)
  @Test(arguments: [UInt32(0), 1, 4, 63, .max], [false, true])
  func changedCountOfStartsIsRefused(started: UInt32, isRestart: Bool) throws {
    let rig = try rankRig()
    let link = try PlayedLink(rig)
    let first = try rig.receive(nil)
    try rig.receive(nil)
    try rig.receive(nil)
    rig.settle()
    link.end(first)
    rig.settle()
    rig.isDamaged = true
    rig.shared.segment.ownSchedulerPage.transfersStarted.storeRelease(started)
    if isRestart { try rig.restartScheduler() } else { rig.audit(1) }
    rig.settle()
    #expect(rig.failure?.code == .protocolViolation)
  }

  static let slots: [DamageTests.Damage] = [
    .init(testDescription: "a kernel") { $0.change($1, \.active_mask, 1) },
    .init(testDescription: "two blocks") { $0.change($1, \.blocks, 2) },
    .init(testDescription: "two tensors") { $0.change($1, \.tensor_count, 2) },
    .init(testDescription: "two scalars") { $0.change($1, \.scalar_count, 2) },
    .init(testDescription: "a predicate") {
      $0.change($1, \.flags, UInt8(PTO2_SLOT_TRANSFER | PTO2_SLOT_PREDICATE))
    },
    .init(testDescription: "a snapshot") {
      $0.change($1, \.flags, UInt8(PTO2_SLOT_TRANSFER | PTO2_SLOT_SNAPSHOT))
    },
  ]

  @Test(arguments: slots, [UInt32(1), 2])
  func slotThatNoOrchestratorWritesIsRefused(damage: DamageTests.Damage, threads: UInt32) throws {
    let rig = try rankRig(threads: threads)
    let link = try PlayedLink(rig)
    damage.change(rig, try rig.send(try rig.external(4)))
    expectViolation(rig, "has active mask")
    #expect(link.look() == [])
  }

  @Test func transferWithoutALinkIsRefused() throws {
    let rig = try Rig(configuration())
    try rig.receive(nil)
    expectViolation(rig, "has active mask")
  }
}
