import CPTO2Segment
import Glibc
import PTO2Protocol
import PTO2System
import Synchronization
import Testing

@testable import PTO2Orchestrator

/// Runs the scheduler and the cores on a thread of its own, one kernel each
/// time the orchestrator is parked: every wait is really waited.
final class Driver: @unchecked Sendable {
  // Sendable: only the thread uses scheduler and cores until it is joined.
  private let rig: Rig
  /// Asked before each kernel; how often it said no, to be read after `join`.
  private let isSound: @Sendable (Rig) -> Bool
  private(set) var unsound = 0
  private let isOver = Atomic<Bool>(false)
  private var thread = pthread_t()

  init(_ rig: Rig, isSound: @escaping @Sendable (Rig) -> Bool = { _ in true }) {
    self.rig = rig
    self.isSound = isSound
    let box = Unmanaged.passRetained(self).toOpaque()
    pthread_create(
      &thread, nil,
      { context in
        Unmanaged<Driver>.fromOpaque(context!).takeRetainedValue().run()
        return nil
      }, box)
  }

  private func run() {
    let parked = rig.worker.orchestratorPage.parked
    var random = SplitMix64(seed: 1)
    while true {
      let isLast = isOver.load(ordering: .acquiring)
      if isLast || parked.loadAcquire() != 0 {
        rig.settle()
        if !isSound(rig) { unsound += 1 }
        if rig.failure == nil { _ = rig.runOne(&random) }
      } else {
        yieldProcessor()
      }
      if isLast && (rig.running.isEmpty || rig.failure != nil) { return }
    }
  }

  /// Waits until everything that was submitted has run.
  func join() {
    isOver.store(true, ordering: .releasing)
    pthread_join(thread, nil)
  }
}

@Suite struct BackPressureTests {
  private func stalls(_ rig: Rig, _ reason: StallReason) -> UInt64 {
    rig.graph.orchestrator.pointee.stalls[reason.rawValue].count
  }

  @Test func fullMainRingHoldsSubmissionUp() throws {
    let rig = try Rig(configuration(window: 4, consumed: 64))
    let driver = Driver(rig)
    for _ in 0..<20 { try rig.submit(aic: true) }
    driver.join()
    #expect(stalls(rig, .mainRing) > 0, "not exercised")
    #expect(rig.counts() == [20, 20] && rig.failure == nil)
  }

  @Test func fullConsumedRingHoldsSubmissionUpUntilAScopeHasEnded() throws {
    let rig = try Rig(configuration(rings: 2, window: 4, consumed: 4))
    let driver = Driver(rig)
    for _ in 0..<6 {
      try rig.graph.scope { for _ in 0..<3 { try rig.submit(aic: true) } }
    }
    driver.join()
    #expect(stalls(rig, .mainRing) + stalls(rig, .consumedRing) > 0, "not exercised")
    rig.runAll()
    #expect(rig.counts(ring: 1) == [18, 18] && rig.failure == nil)
  }

  @Test func fullHeapHoldsSubmissionUpUntilOutputsAreConsumed() throws {
    let rig = try Rig(configuration(rings: 2, heap: 256))
    let driver = Driver(rig)
    for _ in 0..<12 {
      try rig.graph.scope {
        var output: Tensor<Float>?
        try rig.submit(aic: true) { output = $0.output(of: Float.self, [30]) }
        try rig.submit(aiv0: true) { $0.input(output!) }
      }
    }
    driver.join()
    #expect(stalls(rig, .heap) > 0, "not exercised")
    rig.runAll()
    #expect(rig.counts(ring: 1) == [24, 24] && rig.failure == nil)
  }

  @Test func fullDependencyPoolHoldsSubmissionUp() throws {
    let rig = try Rig(configuration(pool: 4))
    let driver = Driver(rig)
    let a = try rig.external(4)
    let b = try rig.external(4)
    for _ in 0..<10 {
      try rig.submit(aic: true) { $0.inout(a) }
      try rig.submit(aiv0: true) { $0.inout(b) }
      try rig.submit(aiv1: true) {
        $0.input(a)
        $0.inout(b)
      }
    }
    driver.join()
    #expect(stalls(rig, .dependencyPool) > 0, "not exercised")
    #expect(rig.counts() == [30, 30] && rig.failure == nil)
  }

  /// Tasks of 1,280 bytes and of less, in a ring of 4,096: what runs keeps its payload,
  /// wherever the next one is placed.
  @Test func fullPayloadRingHoldsSubmissionUp() throws {
    let rig = try Rig(configuration(window: 8, pool: 256))
    let arena = rig.worker.layout.section(.arena).offset
    let driver = Driver(rig) { rig in
      rig.running.map(\.task).allSatisfy { task in
        let descriptor = rig.worker.descriptors(0)[task.local]
        let tensors = Int(rig.slot(task).tensor_count)
        guard let payload = rig.payload(task) else { return false }
        return payload.arguments(of: descriptor)[tensors + 15] == UInt64(task.local)
          && (0..<tensors).allSatisfy { payload.tensor($0).offset == arena }
      }
    }
    let x = try rig.external(4)
    for number in 0..<60 {
      try rig.submit(aic: number % 2 == 0, aiv0: number % 2 == 1) { task in
        for _ in 0..<[16, 11, 16, 5, 16][number % 5] { task.input(x) }
        for _ in 0..<16 { task.scalar(number) }
      }
    }
    driver.join()
    #expect(stalls(rig, .payload) > 0, "not exercised")
    #expect(driver.unsound == 0)
    #expect(rig.counts() == [60, 60] && rig.failure == nil)
  }

  /// Single elements, each of another task: the map takes eight of them at once.
  @Test func fullTensorMapHoldsSubmissionUp() throws {
    let rig = try Rig(configuration(window: 64, consumed: 128), mapLimit: 8)
    let driver = Driver(rig)
    let x = try rig.external(100)
    for k in 0..<100 {
      let cell = try x.slice(from: [k], shape: [1])
      try rig.submit(aiv0: true) { $0.inout(cell) }
    }
    driver.join()
    #expect(stalls(rig, .tensorMap) > 0, "not exercised")
    #expect(rig.counts() == [100, 100] && rig.failure == nil)
  }

  /// What is RELEASED makes room without a wait.
  @Test func retiredRangesAreForgottenWhenTheMapIsFull() throws {
    let rig = try Rig(configuration(window: 16, consumed: 128), mapLimit: 32)
    let x = try rig.external(100)
    for k in 0..<100 {
      let cell = try x.slice(from: [k], shape: [1])
      try rig.submit(aiv0: true) { $0.inout(cell) }
      rig.runAll()
    }
    #expect(stalls(rig, .tensorMap) == 0)
    #expect(rig.counts() == [100, 100] && rig.failure == nil)
  }

  /// Order survives a sweep: the writers that are forgotten are those that are
  /// done.
  @Test func liveWritersSurviveAFullMap() throws {
    let rig = try Rig(configuration(clusters: 2), mapLimit: 8)
    func submitOther() throws {
      let other = try rig.external(1)
      try rig.submit(aiv0: true) { $0.inout(other) }
    }
    for _ in 0..<6 { try submitOther() }
    rig.runAll()
    let x = try rig.external(100)
    let writer = try rig.submit(aic: true) { $0.inout(x) }
    for _ in 0..<3 { try submitOther() }
    let reader = try rig.submit(aic: true) { $0.input(x) }
    rig.settle()
    #expect(stalls(rig, .tensorMap) == 0 && rig.graph.orchestrator.pointee.map.count == 4)
    #expect(rig.started.contains(writer) && !rig.started.contains(reader))
    rig.runAll()
    #expect(rig.started.contains(reader) && rig.counts() == [11, 11])
  }

  /// A view with gaps is one record, however many runs of bytes it is.
  @Test func taskThatAloneOverflowsTheTensorMapIsError11() throws {
    let rig = try Rig(configuration(), mapLimit: 8)
    let x = try rig.external(72)
    let rows = try x.reshaped(to: [18, 4])
    let tiles = try (0..<9).map { try rows.slice(from: [2 * $0, 0], shape: [2, 3]) }
    try rig.submit(aiv0: true) { task in for tile in tiles[..<8] { task.inout(tile) } }
    rig.runAll()
    let error = #expect(throws: PTO2Error.self) {
      try rig.submit(aiv0: true) { task in for tile in tiles { task.input(tile) } }
    }
    #expect(error?.code == .tensorMapOverflow)
    #expect(error?.needed == 9 && error?.available == 8)
    #expect(error?.task?.local == 1)
  }

  /// Ever new views with gaps: what is RELEASED makes room, and order survives it.
  @Test func newViewsWithGapsOfAFullMap() throws {
    let rig = try Rig(configuration(window: 64, consumed: 256), mapLimit: 8)
    let driver = Driver(rig)
    let x = try rig.external(400)
    let matrix = try x.reshaped(to: [4, 100])
    for k in 0..<99 {
      let columns = try matrix.slice(from: [0, k], shape: [4, 2])
      try rig.submit(aiv0: true) { $0.inout(columns) }
    }
    driver.join()
    #expect(rig.counts() == [99, 99] && rig.failure == nil)
    #expect(rig.graph.orchestrator.pointee.map.count <= 8)
  }

  @Test func waitReturnsWhenEveryKernelIsOver() throws {
    let rig = try Rig(configuration(clusters: 2))
    let driver = Driver(rig)
    for _ in 0..<10 { try rig.submit(aiv0: true) }
    try rig.graph.wait()
    #expect(rig.counts()[0] == 10)
    driver.join()
    #expect(rig.finished.count == 10)
  }

  @Test func failedSchedulerEndsAWait() throws {
    let rig = try Rig(configuration(window: 4))
    for _ in 0..<4 { try rig.submit(aic: true) }
    rig.settle()
    try rig.append(pto2_log_record(kind: 9, ring: 0, id: 0, count: 0))
    let driver = Driver(rig)
    let error = #expect(throws: PTO2Error.self) { try rig.submit(aic: true) }
    #expect(error?.code == .protocolViolation)
    driver.join()
  }
}
