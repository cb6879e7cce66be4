import CPTO2Segment
import PTO2Protocol
import PTO2Segment
import PTO2System
import Testing

@testable import PTO2Orchestrator
@testable import PTO2Scheduler

extension Rig {
  /// A task's main slot, to be doctored between submit and step.
  func ownSlot(_ task: TaskID) -> OwnedMainSlot {
    graph.orchestrator.pointee.segment.ownMainRing(task.ring)[task.local]
  }

  func change<Value>(
    _ task: TaskID, _ field: WritableKeyPath<pto2_main_slot, Value>, _ value: Value
  ) {
    ownSlot(task).header[keyPath: field] = value
  }

  func changePredicate(_ task: TaskID, offset: UInt64, dataType: UInt8) {
    change(task, \.flags, UInt8(PTO2_SLOT_PREDICATE))
    // Of a task without arguments: the ring's first line is free for it.
    let start = graph.orchestrator.pointee.segment.ownPayloads(task.ring)
    OwnedPayload(at: start, PayloadShape(tensors: 0, scalars: 0)).setPredicate(
      pto2_slot_predicate(
        offset: offset, value: 0, dtype: dataType, comparison: 0, reserved: (0, 0, 0, 0, 0, 0)))
    graph.orchestrator.pointee.segment.ownDescriptors(task.ring)[task.local].setPayload(
      worker.layout.section(.payload, ring: task.ring).offset)
  }

  func store(_ value: UInt64, fanin position: UInt32, ring: Int = 0) {
    graph.orchestrator.pointee.segment.ownFanin(ring)[position].store(FaninWord(rawValue: value))
  }

  /// A record that the orchestrator itself would not write.
  func append(_ record: pto2_log_record) throws { graph.orchestrator.pointee.log.append(record) }
}

/// Everything that fuzzing found, one by one: what the orchestrator's sections
/// hold after an accident ends the session with error 207, at once.
@Suite struct DamageTests {
  struct Damage: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var change: @Sendable (Rig, TaskID) -> Void
  }

  private func expectViolation(_ rig: Rig, sourceLocation: SourceLocation = #_sourceLocation) {
    rig.settle()
    #expect(rig.failure?.code == .protocolViolation, sourceLocation: sourceLocation)
  }

  static let slots: [Damage] = [
    Damage(testDescription: "fanin count of all ones") { $0.change($1, \.fanin_count, ~0) },
    Damage(testDescription: "fanin count beyond the pool") { $0.change($1, \.fanin_count, 5) },
    Damage(testDescription: "fanin entries of other tasks") { $0.change($1, \.fanin_first, 7) },
    Damage(testDescription: "fourth kernel") { $0.change($1, \.active_mask, 8) },
    Damage(testDescription: "no block") { $0.change($1, \.blocks, 0) },
    Damage(testDescription: "2^32 - 1 blocks") { $0.change($1, \.blocks, ~0) },
    Damage(testDescription: "near a cluster that is not there") {
      $0.change($1, \.blocks, 2 << UInt32(PTO2_BLOCKS_NEAR_SHIFT) | 1)
    },
    Damage(testDescription: "more subtasks than 2^32") {
      $0.change($1, \.active_mask, 7)
      $0.change($1, \.blocks, 0x8000_0000)
    },
    Damage(testDescription: "predicate of an element that ends beyond the segment") { rig, task in
      rig.changePredicate(
        task, offset: rig.worker.layout.totalBytes - 1, dataType: UInt8(PTO2_INT64.rawValue))
    },
    Damage(testDescription: "predicate of a word of the protocol") { rig, task in
      rig.changePredicate(task, offset: 4096, dataType: UInt8(PTO2_INT32.rawValue))
    },
    Damage(testDescription: "predicate of an unknown data type") { rig, task in
      rig.changePredicate(
        task, offset: rig.worker.layout.section(.arena).offset, dataType: UInt8(PTO2_DTYPE_COUNT))
    },
    Damage(testDescription: "more blocks at once than places") {
      $0.change($1, \.blocks, 2)
      $0.change($1, \.flags, UInt8(PTO2_SLOT_SYNC_START))
    },
  ]

  @Test(arguments: slots, [UInt32(1), 2])
  func slotThatNoOrchestratorWritesIsRefused(damage: Damage, threads: UInt32) throws {
    let rig = try Rig(configuration(pool: 4, threads: threads))
    let good = try rig.submit(aic: true)
    let task = try rig.submit(aic: true) { $0.after(good) }
    damage.change(rig, task)
    rig.settle()
    // What is looked at only when the task is ready.
    if rig.failure == nil { rig.finish(good) }
    expectViolation(rig)
    #expect(rig.startedTasks(beside: good).isEmpty, "nothing of it was started")
  }

  /// Records run ahead of the windows: entries of tasks that run would be
  /// written over.
  @Test(arguments: [UInt32(1), 2])
  func taskBeyondTheWindowIsRefused(threads: UInt32) throws {
    let rig = try Rig(configuration(window: 4, consumed: 8, threads: threads))
    for _ in 0..<4 { try rig.submit(aic: true) }
    rig.settle()
    // The slot of task 0 says task 4.
    rig.change(TaskID(ring: 0, local: 0), \.task_id, 4)
    try rig.append(pto2_log_record(kind: PTO2_LOG_TASK, ring: 0, id: 4, count: 0))
    expectViolation(rig)
  }

  @Test func taskBeyondTheConsumedWindowIsRefused() throws {
    let rig = try Rig(configuration(window: 4, consumed: 4))
    for _ in 0..<4 { try rig.submit { _ = $0.output(of: Float.self, [1]) } }
    rig.settle()
    #expect(rig.counts() == [4, 0], "not exercised")
    rig.change(TaskID(ring: 0, local: 0), \.task_id, 4)
    try rig.append(pto2_log_record(kind: PTO2_LOG_TASK, ring: 0, id: 4, count: 0))
    expectViolation(rig)
  }
}

extension Rig {
  func startedTasks(beside task: TaskID) -> [TaskID] { started.filter { $0 != task } }
}

/// References that are given back by records and lists which name a task twice,
/// or another task than when they were wired.
@Suite struct DamagedReferenceTests {
  /// Without the check, the second end takes a running task for CONSUMED.
  @Test(arguments: [UInt32(1), 2])
  func scopeThatEndsTwiceIsRefused(threads: UInt32) throws {
    let rig = try Rig(configuration(threads: threads))
    try rig.graph.beginScope()
    let task = try rig.submit(aic: true) { _ = $0.output(of: Float.self, [1]) }
    try rig.graph.endScope()
    rig.settle()
    #expect(rig.runningTasks == [task])
    try rig.append(
      pto2_log_record(kind: PTO2_LOG_SCOPE_END, ring: 0, id: task.local, count: 1))
    rig.settle()
    #expect(rig.failure?.code == .protocolViolation && rig.counts() == [0, 0])
  }

  /// It would lose its own reference while it runs.
  @Test(arguments: [UInt32(1), 2])
  func scopeEndOfATaskWithoutOutputsIsRefused(threads: UInt32) throws {
    let rig = try Rig(configuration(threads: threads))
    let task = try rig.submit(aic: true)
    rig.settle()
    try rig.append(
      pto2_log_record(kind: PTO2_LOG_SCOPE_END, ring: 0, id: task.local, count: 1))
    rig.settle()
    #expect(rig.failure?.code == .protocolViolation && rig.runningTasks == [task])
  }

  /// The list of a scope's tasks leads in a circle.
  @Test func scopeOfFourBillionTasksIsRefused() throws {
    let rig = try Rig(configuration())
    let task = try rig.submit(aic: true) { _ = $0.output(of: Float.self, [1]) }
    rig.change(task, \.scope_previous, task.local)
    try rig.append(
      pto2_log_record(kind: PTO2_LOG_SCOPE_END, ring: 0, id: task.local, count: ~0))
    rig.settle()
    #expect(rig.failure?.code == .protocolViolation)
  }

  /// The list is read at wiring, and once more when the task is RELEASED.
  @Test(arguments: [UInt64(7 << 32), UInt64(3 << 32 | 5), UInt64(9)])
  func faninThatChangesWhileItsTaskRunsIsRefused(other: UInt64) throws {
    let rig = try Rig(configuration(rings: 2))
    let data = try rig.external(4)
    try rig.submit(aiv0: true) { $0.inout(data) }
    let task = try rig.submit(aic: true) { $0.input(data) }
    rig.settle()
    rig.finish(core: 1)
    rig.settle()
    #expect(rig.runningTasks == [task], "not exercised")
    rig.store(other, fanin: 0)
    rig.finish(core: 0)
    rig.settle()
    #expect(rig.failure?.code == .protocolViolation)
  }

  /// It would wait for itself.
  @Test func taskThatIsItsOwnProducerIsRefused() throws {
    let rig = try Rig(configuration())
    let first = try rig.submit(aic: true)
    let task = try rig.submit(aic: true) { $0.after(first) }
    rig.store(PTO2_FANIN_WAIT | task.rawValue, fanin: 0)
    rig.settle()
    #expect(rig.failure?.code == .protocolViolation)
  }

  /// Zeros are also the id of task 0:0: an entry without a task is no producer,
  /// and the edge would be lost when that task comes.
  @Test func entryWithoutATaskIsNoProducer() throws {
    let rig = try Rig(configuration(rings: 2, first: 0xFFFF_FFFE))
    let first = try rig.submit(aic: true)
    let task = try rig.submit(aic: true) { $0.after(first) }
    rig.store(PTO2_FANIN_WAIT | PTO2_FANIN_RETAIN, fanin: 0xFFFF_FFFE)
    rig.runAll()
    #expect(rig.state(task) == .consumed && rig.failure == nil)
  }

  /// Position 0 was wired long ago; the orchestrator says it has not come to it.
  @Test func submittedThatGoesBackIsRefused() throws {
    let rig = try Rig(configuration())
    try rig.submit()
    rig.settle()
    rig.graph.orchestrator.pointee.segment.ownOrchestratorPage.submitted.storeRelease(0)
    rig.settle()
    #expect(rig.failure?.message.contains("said to be submitted") == true)
  }

  /// Its entry is fresh memory, which looks like that of task 0:0.
  @Test func scopeEndOfATaskThatWasNeverSubmittedIsRefused() throws {
    let rig = try Rig(configuration())
    try rig.append(pto2_log_record(kind: PTO2_LOG_SCOPE_END, ring: 0, id: 0, count: 1))
    rig.settle()
    #expect(rig.failure?.code == .protocolViolation)
  }
}
