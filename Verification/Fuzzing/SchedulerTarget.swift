import CFuzzer
import CPTO2Segment
import PTO2Protocol
import PTO2Scheduler
import PTO2Segment
import PTO2System

private protocol Stepping: AnyObject {
  func step() -> Int
  func checkHealth()
  func audit(_ now: UInt64)
  func park()
  func look()
  func workerDied(_ core: Int)
  var failure: PTO2Error? { get }
  var hasFailed: Bool { get }
}

private final class Thread<S: Sharing>: Stepping {
  private var scheduler: SchedulerThread<S>
  private let cores: Int
  init(_ shared: SchedulerState, _ index: Int, cores: Int) {
    scheduler = SchedulerThread(shared, index: index)
    self.cores = cores
    if index > 0 { return }
    if shared.isRestart { scheduler.restart() }
    scheduler.announce(isSupervised: false)
  }
  func step() -> Int { scheduler.step() }
  func checkHealth() { _ = scheduler.checkHealth(MonotonicClock.now()) }
  func audit(_ now: UInt64) { scheduler.audit(now) }
  func park() { scheduler.park(timeoutNanoseconds: 1) }
  func workerDied(_ core: Int) { scheduler.workerDied(core) }
  /// What the loop around `step` reads now and then.
  func look() {
    _ = scheduler.isDrained()
    _ = scheduler.request
    _ = scheduler.hasAllCores
    _ = scheduler.missingCores()
    _ = scheduler.errorOfMissingCore()
    for core in 0..<cores {
      _ = scheduler.coreProcess(core)
      _ = scheduler.coreError(core)
    }
  }
  var failure: PTO2Error? { scheduler.failure }
  var hasFailed: Bool { scheduler.hasFailed }
}

/// The real scheduler, of one or two threads stepped in turn, on a segment in
/// which the input has anything stored, at any time: in the sections of others, and in
/// the scheduler's own, where an accident may store too; a typed error or progress. Some
/// inputs have the scheduler die, and another one go on.
final class SchedulerTarget: FuzzTarget {
  private let segments: [SegmentUnderTest]

  // Per input.
  private var segment: SegmentUnderTest!
  private var orchestrator: ModelOrchestrator!
  private var cores: ModelCores!
  private var threads: [any Stepping] = []
  private var watermarks: [(released: UInt32, consumed: UInt32)] = []
  /// The scheduler's own sections say anything.
  private var isOwnDamaged = false
  /// The scheduler dies in between.
  private var restarts = false

  init() throws {
    segments = [
      try SegmentUnderTest(tinyConfiguration()),
      try SegmentUnderTest(tinyConfiguration(threads: 2)),
      try SegmentUnderTest(tinyConfiguration(rings: 1, pool: 4, lanes: 1, first: 0xFFFF_FFFC)),
      try SegmentUnderTest(
        tinyConfiguration(rings: 3, window: 2, consumed: 2, clusters: 2, threads: 2, first: ~0)),
    ]
  }

  func run(_ input: inout Input) throws {
    let choice = input.byte()
    segment = segments[Int(choice & 127) % segments.count]
    restarts = choice > 127
    segment.reset()
    orchestrator = ModelOrchestrator(segment)
    cores = ModelCores(segment)
    let configuration = segment.configuration
    for core in 0..<configuration.coreCount { cores.announce(core) }
    watermarks = configuration.rings.map { _ in
      (configuration.firstPosition, configuration.firstPosition)
    }
    isOwnDamaged = false
    for _ in 0..<(restarts ? 2 : 1) {
      do {
        try segment.withAttached(.scheduler) { attached in
          play(SchedulerState(attached), &input)
          threads = []
        }
      } catch {
        // The input damaged the header before the second scheduler came.
        if segment.isHeaderWhole { throw error }
        return
      }
      // One that has failed is the last.
      if segment.schedulerPage.control.loadAcquire() != PTO2_SCHED_ATTACHED { return }
    }
  }

  private func play(_ shared: SchedulerState, _ input: inout Input) {
    let configuration = segment.configuration
    threads =
      configuration.schedulerThreads == 1
      ? [Thread<OneThread>(shared, 0, cores: configuration.coreCount)]
      : (0..<Int(configuration.schedulerThreads)).map {
        Thread<SeveralThreads>(shared, $0, cores: configuration.coreCount)
      }
    var operations = 0
    while !input.isEmpty && operations < 256 {
      operations += 1
      // What is behind it is for the next scheduler.
      if restarts && input.takes(0xFF) { break }
      operate(&input)
    }
    // No FIN any more: a scheduler that still finds work goes round in circles.
    var rounds = 0
    var idle = 0
    while idle < threads.count {
      idle = step(rounds) > 0 ? 0 : idle + 1
      rounds += 1
      expect(rounds < 2000, "the scheduler does not come to rest")
    }
    for look in 1..<60 { threads[0].audit(UInt64(look) * 100_000_000) }
    for thread in threads {
      thread.look()
      thread.park()
    }
  }

  private func operate(_ input: inout Input) {
    switch input.byte() % 18 {
    case 0, 1: _ = step(Int(input.byte()))
    case 2, 3:
      submit(&input)
      orchestrator.publish()
    case 4:
      submit(&input)
      damageSlot(&input)
      orchestrator.publish()
    case 5: damageSlot(&input)
    case 6:
      orchestrator.endScope(input.index(segment.configuration.rings.count))
      orchestrator.publish()
    case 7: damageRecord(&input)
    case 8: damageFanin(&input)
    case 9: storeAnywhere(&input)
    case 10:
      let near = input.byte() & 1 == 0 ? orchestrator.submitted : 0
      segment.orchestrator.submitted.storeRelease(input.value(near: near))
    case 11: cores.finish(input.index(segment.configuration.coreCount))
    case 12: damageCondition(&input)
    case 13: runAll(Int(input.byte() & 15))
    case 14: orchestrator.publish()
    case 15:
      let choice = input.byte()
      let core = Int(choice >> 2) % segment.configuration.coreCount
      cores.die(core, hasCrashed: choice & 1 == 0, isFar: choice & 2 == 0)
      threads[0].workerDied(core)
    case 16: cores.revive(input.index(segment.configuration.coreCount))
    default:
      let thread = threads[input.index(threads.count)]
      switch input.byte() % 5 {
      case 0: thread.checkHealth()
      case 4: damageOwn(&input)
      case 1: thread.park()
      case 2: thread.look()
      default: cores.ack(input.index(segment.configuration.coreCount))
      }
    }
  }

  private func submit(_ input: inout Input) {
    var task = ModelOrchestrator.Task()
    let first = input.byte()
    task.ring = Int(first & 15) % segment.configuration.rings.count
    task.flags = first >> 4 & UInt8(PTO2_SLOT_RERUN | PTO2_SLOT_CANCELLED)
    if first & 0x10 == 0 { task.flags |= UInt8(PTO2_SLOT_HELD) }
    let shape = input.byte()
    task.mask = shape & 7
    if shape & 0x08 != 0 { task.blocks = UInt32(1 + input.index(4)) }
    if shape & 0x10 != 0 { task.flags |= UInt8(PTO2_SLOT_SYNC_START) }
    if shape & 0x20 != 0 {
      task.flags |= UInt8(PTO2_SLOT_PREDICATE)
      task.predicate = pto2_slot_predicate(
        offset: segment.layout.section(.arena).offset + UInt64(input.byte()) * 8,
        value: UInt64(input.byte()), dtype: input.byte() % 12, comparison: input.byte() % 8,
        reserved: (0, 0, 0, 0, 0, 0))
    }
    for _ in 0..<(shape >> 6) {
      let byte = input.byte()
      task.fanin.append(
        (
          Int(byte & 3) % segment.configuration.rings.count, UInt32(byte >> 3 & 7),
          UInt64(byte >> 6) << 62 | (byte & 4 == 0 ? 0 : PTO2_FANIN_DATA)
        ))
    }
    orchestrator.submit(task)
  }

  /// One field, or any word, of a recent task's slot.
  private func damageSlot(_ input: inout Input) {
    let (ring, local) = orchestrator.newest
    let slot = segment.slots(ring)[local &- UInt32(input.byte() & 3)]
    let choice = input.byte()
    switch choice % 8 {
    case 0: slot.header.scope_previous = input.value(near: local)
    case 1: slot.header.active_mask = input.byte()
    case 2: slot.header.flags = input.byte()
    case 3: slot.header.blocks = input.value(near: 1)
    case 4: slot.header.fanin_count = input.value(near: 4)
    case 5: slot.header.fanin_first = input.value(near: local)
    case 6:
      let end = UInt64(segment.layout.totalBytes)
      let near = choice & 8 == 0 ? end : segment.layout.section(.arena).offset
      let predicate = pto2_slot_predicate(
        offset: near &+ UInt64(bitPattern: Int64(Int8(bitPattern: input.byte()))),
        value: 1, dtype: choice >> 4, comparison: 1, reserved: (0, 0, 0, 0, 0, 0))
      segment.setPredicate(predicate, of: ring, local)
    default:
      let value = input.number(UInt32.self)
      withElements(&slot.header, of: UInt32.self) { $0[Int(input.byte() & 15)] = value }
    }
  }

  private func damageRecord(_ input: inout Input) {
    if input.byte() & 1 == 0 {
      orchestrator.append(
        pto2_log_record(
          kind: input.value(near: 1), ring: input.value(),
          id: input.value(near: orchestrator.newest.local), count: input.value(near: 2)))
      return orchestrator.publish()
    }
    let place = segment.log[orchestrator.submitted &- UInt32(input.byte() & 3)]
    var record = place.content
    let value = input.value(near: orchestrator.newest.local)
    withElements(&record, of: UInt32.self) { $0[Int(input.byte() & 3)] = value }
    place.store(record)
  }

  private func damageFanin(_ input: inout Input) {
    let ring = input.index(segment.configuration.rings.count)
    let value =
      input.byte() & 1 == 0
      ? UInt64(input.byte()) << 56 | UInt64(input.byte() & 7) << 32 | UInt64(input.value())
      : input.number(UInt64.self)
    segment.fanin(ring)[UInt32(input.byte())].store(FaninWord(rawValue: value))
  }

  private func damageCondition(_ input: inout Input) {
    let core = input.index(segment.configuration.coreCount)
    let lane = input.index(8)
    cores.look()
    cores.store(
      input.value(near: cores.lastWord(core: core, lane: lane)), core: core, lane: lane)
  }

  /// Any word of any section that somebody else writes.
  private func storeAnywhere(_ input: inout Input) {
    let sections = segment.sections { !$0.contains(.scheduler) }
    let section = sections[input.index(sections.count)]
    let offset = Int(input.number(UInt16.self))
    segment.damage(input.value(), section, at: offset)
  }

  /// Any word of any section of the scheduler's.
  private func damageOwn(_ input: inout Input) {
    isOwnDamaged = true
    cores.mayGetGarbage = true
    let sections = segment.sections { $0.contains(.scheduler) }
    let section = sections[input.index(sections.count)]
    segment.damage(input.value(), section, at: Int(input.number(UInt16.self)))
  }

  private func runAll(_ rounds: Int) {
    for _ in 0..<rounds {
      for thread in threads.indices { _ = step(thread) }
      if !cores.finishAll() { return }
    }
  }

  // MARK: Properties

  private func step(_ number: Int) -> Int {
    let thread = threads[number % threads.count]
    let hadFailed = thread.hasFailed
    let begin = fuzz_thread_nanoseconds()
    let work = thread.step()
    let nanoseconds = fuzz_thread_nanoseconds() &- begin
    expect(nanoseconds < 500_000_000, "a step took \(nanoseconds) ns of CPU")
    expect(work >= 0, "a step did \(work)")
    if hadFailed { expect(work == 0, "a scheduler that has failed goes on") }
    if thread.hasFailed {
      let failure = thread.failure
      expect(failure != nil, "failed without an error: \(hadFailed)")
      // A damaged record may have lost its text.
      expect(isOwnDamaged || failure?.message != "", "failed without a message: \(hadFailed)")
    }
    checkWatermarks()
    return work
  }

  private func checkWatermarks() {
    if isOwnDamaged { return }
    for (index, ring) in segment.configuration.rings.enumerated() {
      let released = segment.schedulerPage.released(index).loadAcquire()
      let consumed = segment.schedulerPage.consumed(index).loadAcquire()
      let before = watermarks[index]
      expect(released &- before.released < 1 << 31, "released of ring \(index) goes back")
      expect(consumed &- before.consumed < 1 << 31, "consumed of ring \(index) goes back")
      expect(
        released &- consumed <= ring.consumedWindow,
        "ring \(index): released \(released), consumed \(consumed)")
      watermarks[index] = (released, consumed)
    }
  }

  // MARK: Seeds

  static let seeds: [[UInt8]] = {
    var seeds: [[UInt8]] = []
    for configuration in UInt8(0)..<4 {
      for shape in UInt8(0)..<8 {
        var output = Output()
        output.put(configuration)
        // Five tasks with producers of their own, run, a scope that ends.
        for task in UInt8(0)..<5 {
          output.put(2, task, shape | (task % 3) << 6 | (shape & 1) << 3, 1)
          output.put(0xC0 | task, 0xC8)
          output.put(13, 3)
        }
        output.put(6, 0, 6, 1, 13, 15)
        seeds.append(output.bytes)
      }
      // Words of each of the scheduler's own sections, live and before a restart.
      for section in UInt8(0)..<8 {
        for offset in UInt8(0)..<16 {
          seeds.append([
            configuration | offset << 7, 2, 0, 0x41, 0xC0, 2, 0, 0x41, 0xC0, 0, 0, 17, 0, 4,
            section,
            offset & 3, offset, offset * 4, 0, 13, 4, 0xFF, 13, 4,
          ])
        }
      }
      // A predicate, blocks that start together, a look at everything.
      seeds.append([
        configuration, 2, 0, 0x21, 0, 0, 5, 0, 13, 2, 2, 0, 0x19, 1, 0, 0, 15, 0, 0, 15, 0, 1, 15,
        0,
        2, 15, 0, 3, 1, 11, 0, 12, 0, 0, 0, 1, 6, 0, 13, 9,
      ])
      // A worker that dies and comes again, with the tasks that wait for it.
      for flags in [UInt8(0), 0x40, 0x80] {
        seeds.append([
          configuration, 2, flags, 1, 2, flags, 2, 2, flags, 0x41, 0xC4, 0, 0, 17, 3, 0, 15, 0, 0,
          0, 16, 0, 0, 0, 15, 4, 0, 0, 16, 1, 0, 0, 13, 9, 6, 0, 13, 9,
        ])
      }
      // An AIC that stays away, and AIVs that die again and again.
      var deaths: [UInt8] = [configuration, 2, 0, 1, 2, 0, 1, 0, 0, 0, 1, 15, 2, 0, 0, 0, 1]
      for ring in UInt8(0)..<4 { deaths += [2, ring & 1, 0x0A, 3] }
      for _ in 0..<4 {
        for core in UInt8(1)...2 {
          deaths += [0, 0, 0, 1, 15, core << 2 | 2, 0, 0, 0, 1, 16, core]
        }
      }
      seeds.append(deaths)
      // One of each kind of damage.
      for kind in UInt8(0)..<8 {
        seeds.append([
          configuration, 2, 0, 0x41, 0xC0, 4, 0, 0x41, 0xC0, 0, kind, 6, 3, 13, 4, 0, 0,
        ])
        seeds.append([configuration, 2, 0, 1, 7, kind & 1, 1, kind, 0, 0, 0, 0, 1, 0, 13, 4])
        seeds.append([configuration, 2, 0, 1, 8, 0, kind & 1, kind << 5, kind, 0, 0, 0, 13, 4])
      }
    }
    return seeds
  }()
}
