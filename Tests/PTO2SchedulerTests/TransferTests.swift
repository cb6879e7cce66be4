import CPTO2Segment
import PTO2Protocol
import PTO2Segment
import PTO2Sight
import PTO2System
import Testing

@testable import PTO2Orchestrator
@testable import PTO2Scheduler

/// Transfers between this rank and another, whose part a test plays.
@Suite struct TransferTests {
  private typealias Start = PlayedLink.Start

  /// Behind its producers, and before its consumers.
  @Test(arguments: [UInt32(1), 2, 3])
  func transferStandsInItsPlaceOfTheGraph(threads: UInt32) throws {
    let rig = try rankRig(threads: threads)
    let link = try PlayedLink(rig)
    let (x, y) = (try rig.external(16), try rig.external(16))
    let writer = try rig.submit(aic: true) { $0.inout(x) }
    let send = try rig.send(x)
    let next = try rig.submit(aic: true) { $0.inout(x) }
    let receive = try rig.receive(y)
    let reader = try rig.submit(aiv0: true) { $0.input(y) }
    rig.settle()
    #expect(link.look() == [Start(task: receive)])
    #expect(rig.runningTasks == [writer])
    #expect(rig.state(send) == .pending && rig.state(receive) == .running)
    rig.finish(writer)
    #expect(link.look() == [Start(task: send)])
    #expect(rig.running.isEmpty && rig.state(reader) == .pending)
    link.end(receive)
    rig.settle()
    #expect(rig.runningTasks == [reader] && rig.state(next) == .pending)
    link.end(send)
    rig.settle()
    #expect(rig.runningTasks == [next, reader])
    rig.runAll()
    #expect(rig.failure == nil && rig.counts() == [5, 5])
  }

  /// What the link is told stands in the task's payload.
  @Test func payloadSaysWhatIsToBeDone() throws {
    let rig = try rankRig()
    let x = try rig.external(16)
    let task = try rig.receive(x, sequence: 7)
    let slot = rig.slot(task)
    #expect(slot.flags & UInt8(PTO2_SLOT_TRANSFER) != 0)
    #expect(slot.active_mask == 0 && slot.tensor_count == 1 && slot.scalar_count == 3)
    let payload = try #require(rig.payload(task))
    #expect(payload.tensor(0).element_count == 16)
    let words = unsafe payload.arguments(of: rig.worker.descriptors(0)[task.local])
    let scalars = unsafe (words[1], words[2], words[3])
    #expect(
      TransferOrder(scalars: scalars, ranks: 2)
        == TransferOrder(.receive, peer: 1, sequence: 7, bytes: 64))
  }

  @Test(arguments: [UInt32(1), 2])
  func endsComeInAnyOrder(threads: UInt32) throws {
    let rig = try rankRig(threads: threads)
    let link = try PlayedLink(rig)
    let tensors = try (0..<5).map { _ in try rig.external(4) }
    let receives = try tensors.map { try rig.receive($0) }
    let readers = try tensors.map { tensor in try rig.submit(aic: true) { $0.input(tensor) } }
    rig.settle()
    #expect(link.look().map(\.task) == receives)
    for place in [3, 0, 4, 2, 1] {
      link.end(receives[place])
      rig.settle()
      #expect(rig.runningTasks == [readers[place]])
      rig.finish(readers[place])
    }
    #expect(rig.failure == nil && rig.counts() == [10, 10])
  }

  /// A message that has no tensor only orders.
  @Test func transferWithoutATensor() throws {
    let rig = try rankRig()
    let link = try PlayedLink(rig)
    let receive = try rig.receive(nil)
    let task = try rig.submit(aic: true) { $0.after(receive) }
    rig.settle()
    #expect(rig.state(receive) == .running && rig.running.isEmpty)
    link.end(receive)
    rig.settle()
    #expect(rig.runningTasks == [task])
  }

  /// More transfers than the rings have places, one after the other.
  @Test func ringsGoRound() throws {
    let rig = try rankRig()
    let link = try PlayedLink(rig)
    let x = try rig.external(4)
    let count = 3 * Int(rig.configuration.transferCapacity)
    for number in 0..<count {
      let task = try rig.receive(x, sequence: UInt64(number))
      rig.settle()
      #expect(link.look() == [Start(task: task)])
      link.end(task)
      rig.settle()
    }
    #expect(rig.failure == nil && rig.counts() == [UInt32(count), UInt32(count)])
  }

  /// A replay would send the same messages once more, under numbers that were used.
  @Test func transferIsNotRecorded() throws {
    let rig = try rankRig()
    let orchestrator = rig.graph.orchestrator
    try orchestrator.pointee.beginRecording(tensors: [], scalars: [])
    let error = #expect(throws: PTO2Error.self) { try rig.send(nil) }
    #expect(error?.code == .invalidArgs && error?.message.contains("a transfer in a") == true)
  }

  /// Tools read the order from the segment.
  @Test func toolsNameTheOtherRank() throws {
    let rig = try rankRig()
    let x = try rig.external(16)
    let receive = try rig.receive(x, sequence: 5)
    let reader = try rig.submit(aic: true) { $0.input(x) }
    rig.settle()
    let picture = try PictureReader(rig.name).picture()
    let order = TransferOrder(.receive, peer: 1, sequence: 5, bytes: 64)
    #expect(picture.task(receive)?.transfer == order)
    #expect(picture.task(reader)?.transfer == nil)
    #expect(picture.damage == [])
    #expect(Inspection(picture).ring(0)?.contains("receives 64 bytes from rank 1") == true)
    let shown = Inspection(picture).task(try #require(picture.task(receive)))
    #expect(shown.contains("receives 64 bytes from rank 1, transfer 5"))
  }

  // MARK: Memory

  /// A receive waits for whoever reads and whoever writes what it overwrites.
  @Test func receiveWaitsForReadersAndWriters() throws {
    let rig = try rankRig()
    let link = try PlayedLink(rig)
    let x = try rig.external(16)
    let writer = try rig.submit(aic: true) { $0.inout(x) }
    let reader = try rig.submit(aiv0: true) { $0.input(try! x.slice(from: [8], shape: [4])) }
    let receive = try rig.receive(x)
    rig.settle()
    rig.finish(writer)
    #expect(rig.runningTasks == [reader] && rig.state(receive) == .pending)
    #expect(link.look().isEmpty)
    rig.finish(reader)
    #expect(link.look() == [Start(task: receive)])
  }

  /// Nor does it need what a task that FAILED was to write there.
  @Test func receiveNeedsNothingOfWhatWasThere() throws {
    let rig = try rankRig()
    let link = try PlayedLink(rig)
    let x = try rig.external(16)
    let writer = try rig.submit(aic: true) { $0.inout(x) }
    let receive = try rig.receive(x)
    let reader = try rig.submit(aiv0: true) { $0.input(x) }
    rig.settle()
    #expect(rig.runningTasks == [writer])
    rig.die(core: 0, hasBegun: true)
    #expect(link.look() == [Start(task: receive)])
    link.end(receive)
    rig.settle()
    #expect(rig.runningTasks == [reader])
  }

  // MARK: Poison

  /// The other rank had nothing to send: who reads it is CANCELLED, however late it comes.
  @Test(arguments: [UInt32(1), 2])
  func poisonCancelsTheConsumers(threads: UInt32) throws {
    let rig = try rankRig(threads: threads)
    let link = try PlayedLink(rig)
    let (x, y) = (try rig.external(16), try rig.external(16))
    let receive = try rig.receive(x)
    let reader = try rig.submit(aic: true) {
      $0.input(x)
      $0.inout(y)
    }
    let behind = try rig.submit(aic: true) { $0.input(y) }
    let other = try rig.submit(aiv0: true)
    rig.settle()
    link.end(receive, outcome: PTO2_OUTCOME_CANCELLED)
    rig.settle()
    #expect(rig.state(reader) == .consumed && rig.state(behind) == .consumed)
    #expect(rig.runningTasks == [other])
    #expect(rig.graph.orchestrator.pointee.failureCounts.cancelled == 3)
    rig.graph.orchestrator.pointee.refreshAll()
    let late = try rig.submit(aic: true) { $0.input(x) }
    rig.settle()
    #expect(rig.state(late) == .consumed && rig.runningTasks == [other])
    // What overwrites it all is well.
    let again = try rig.receive(x)
    rig.settle()
    #expect(link.look().map(\.task) == [receive, again])
    link.end(again)
    let read = try rig.submit(aic: true) { $0.input(x) }
    rig.settle()
    #expect(Set(rig.runningTasks) == [read, other] && rig.failure == nil)
  }

  /// There is nothing to send, and the other rank waits for it: that is what is sent.
  @Test(arguments: [UInt32(1), 2])
  func cancelledSendIsStarted(threads: UInt32) throws {
    let rig = try rankRig(threads: threads)
    let link = try PlayedLink(rig)
    let x = try rig.external(16)
    let writer = try rig.submit(aic: true) { $0.inout(x) }
    let send = try rig.send(x)
    rig.settle()
    #expect(rig.runningTasks == [writer])
    rig.die(core: 0, hasBegun: true)
    rig.settle()
    #expect(link.look() == [Start(task: send, outcome: PTO2_OUTCOME_CANCELLED)])
    #expect(rig.state(send) == .running)
    link.end(send)
    rig.settle()
    #expect(rig.state(send) == .consumed && rig.failure == nil)
    #expect(rig.graph.orchestrator.pointee.failureCounts.cancelled == 1)
    // One that is submitted when its producer is long done.
    rig.graph.orchestrator.pointee.refreshAll()
    let late = try rig.send(x)
    rig.settle()
    #expect(link.look() == [Start(task: late, outcome: PTO2_OUTCOME_CANCELLED)])
  }

  // MARK: Beside other work

  /// No core says FIN of a transfer, so nobody can wait for it at a gate.
  @Test func nothingIsDispatchedAheadOfATransfer() throws {
    let rig = try rankRig(lanes: 4, worksAhead: true)
    let link = try PlayedLink(rig)
    let (x, y) = (try rig.external(16), try rig.external(16))
    let writer = try rig.submit(aic: true) { $0.inout(x) }
    let ahead = try rig.submit(aiv0: true) { $0.input(x) }
    let send = try rig.send(x)
    let receive = try rig.receive(y)
    let reader = try rig.submit(aic: true) { $0.input(y) }
    rig.settle()
    #expect(rig.state(ahead) == .running, "not exercised")
    #expect(link.look() == [Start(task: receive)])
    #expect(rig.state(send) == .pending && rig.state(reader) == .pending)
    #expect(rig.queues[0].map(\.task) == [writer])
    link.end(receive)
    rig.settle()
    #expect(rig.queues[0].map(\.task) == [writer, reader])
    rig.runAll()
    #expect(link.look() == [Start(task: send)])
    link.end(send)
    rig.settle()
    #expect(rig.failure == nil && rig.counts() == [5, 5])
  }

  /// Another rank may take as long as it likes: its own limit says when it has stalled.
  @Test(arguments: [UInt32(1), 2])
  func waitForAnotherRankIsNoStall(threads: UInt32) throws {
    let rig = try rankRig(threads: threads, stallLimitMilliseconds: 30)
    let link = try PlayedLink(rig)
    let x = try rig.external(16)
    let receive = try rig.receive(x)
    let reader = try rig.submit(aic: true) { $0.input(x) }
    rig.settle()
    func look() {
      for _ in 0..<20 where rig.failure == nil {
        rig.checkHealth()
        sleepNanoseconds(10_000_000)
      }
    }
    look()
    rig.auditForSixSeconds()
    #expect(rig.failure == nil)
    link.end(receive)
    rig.settle()
    rig.finish(reader)
    look()
    #expect(rig.failure?.message.hasPrefix("orchestrator-starved") == true)
  }

  // MARK: Waking

  /// A core that has enough before it wakes nobody until half of that is left, but with what
  /// another rank waits for.
  @Test(arguments: [nil, 0, 1, 2, 3])
  func coreSaysWhatATransferWaitsFor(sent: Int?) throws {
    let rig = try rankRig(lanes: 4, worksAhead: true)
    let tensors = try (0..<4).map { _ in try rig.external(16) }
    for tensor in tensors { try rig.submit(aic: true) { $0.inout(tensor) } }
    if let sent { try rig.send(tensors[sent]) }
    rig.settle()
    #expect(rig.queues[0].count == 4, "not exercised")
    rig.park()
    let lanes = rig.worker.dispatchLanes(0)
    let lane = UInt32(min(sent ?? 2, 2))
    #expect(lanes.wakeAt.loadAcquire() == lanes[lane].position.loadAcquire())
  }

  /// The link sleeps when a transfer is started, by this scheduler or by one that died before
  /// it could wake the link.
  @Test(arguments: [false, true])
  func linkIsWoken(isRestart: Bool) throws {
    let rig = try rankRig()
    let link = try PlayedLink(rig)
    try rig.receive(nil)
    let results = Results()
    let thread = try spawnThread("link") {
      results.isWoken = link.sleepUntilStarted(milliseconds: 5000)
    }
    let deadline = Deadline(afterMilliseconds: 5000)
    while link.page.parked.loadOwn() == 0, !deadline.hasPassed { yieldProcessor() }
    sleepNanoseconds(5_000_000)
    if isRestart {
      link.page.parked.storeRelease(0)
      rig.settle()
      link.page.parked.storeRelease(1)
      try rig.restartScheduler()
    } else {
      rig.settle()
    }
    thread.join()
    #expect(results.isWoken)
  }

  private final class Results: @unchecked Sendable { var isWoken = false }

  /// Scheduler threads that sleep, and have nothing else to wait for.
  @Test func endWakesTheScheduler() throws {
    let rig = try rankRig(threads: 2)
    let link = try PlayedLink(rig)
    rig.settle()
    rig.startThreads()
    defer { _ = rig.stopThreads() }
    var times: [UInt64] = []
    let deadline = Deadline(afterMilliseconds: 20_000)
    for number in 0..<15 where !deadline.hasPassed {
      let task = try rig.receive(nil, sequence: UInt64(number))
      while link.look().isEmpty, !deadline.hasPassed { yieldProcessor() }
      sleepNanoseconds(1_000_000)
      while rig.worker.schedulerPage.parked.loadAcquire() & 1 == 0, !deadline.hasPassed {
        yieldProcessor()
      }
      let begin = MonotonicClock.now()
      link.endAndWake(task)
      while rig.counts()[0] != UInt32(number + 1), !deadline.hasPassed { yieldProcessor() }
      times.append(MonotonicClock.now() &- begin)
    }
    #expect(!deadline.hasPassed)
    // Without a wake it would be the 20 ms of its sleep.
    let median = times.sorted()[times.count / 2]
    #expect(median < 8_000_000, "\(times)")
  }
}
