import CPTO2Segment
import Glibc
import PTO2Orchestrator
import PTO2Protocol
import PTO2Segment
import PTO2System
import Synchronization

/// A program on the real orchestrator, while the words of the scheduler hold
/// anything: a typed error or progress. A second thread plays the scheduler
/// whenever the program waits, and fails in the end, so that every wait ends.
final class OrchestratorTarget: FuzzTarget {
  private let segments: [SegmentUnderTest]
  private let scheduler = ScriptedScheduler()

  init() throws {
    segments = [
      try SegmentUnderTest(tinyConfiguration()),
      try SegmentUnderTest(tinyConfiguration(rings: 3, pool: 4, first: 0xFFFF_FFFA)),
    ]
    scheduler.start()
  }

  func run(_ input: inout Input) throws {
    let segment = segments[input.index(segments.count)]
    segment.reset()
    let first = segment.configuration.firstPosition
    for ring in segment.configuration.rings.indices {
      for word in [PTO2_SCHED_RELEASED, PTO2_SCHED_CONSUMED] {
        segment.store(first, .schedulerWords, Int(PTO2_SCHED_RINGS) + 64 * ring + Int(word))
      }
    }
    segment.store(first, .schedulerWords, Int(PTO2_SCHED_WIRED))
    segment.store(PTO2_SCHED_ATTACHED, .schedulerWords, Int(PTO2_SCHED_CONTROL))
    // The first half of the bytes is the program, the second half the scheduler.
    var program: [UInt8] = []
    let count = Int(input.byte())
    for _ in 0..<count where !input.isEmpty { program.append(input.byte()) }

    program.append(0)
    try segment.withAttached(.orchestrator) { attached in
      let graph = try Graph(Orchestrator(attached), images: [])
      scheduler.begin(segment, input)
      defer { scheduler.end() }
      try program.withUnsafeBufferPointer { bytes in
        var input = Input(bytes)
        do {
          try play(graph, &input)
        } catch let error as PTO2Error {
          expect(error.code.exitStatus > 0, "\(error)")
          // It stays.
          do {
            try graph.wait()
            broken("after \(error), a wait succeeds")
          } catch let error as PTO2Error { expect(error.code.exitStatus > 0, "\(error)") }
        }
      }
    }
  }

  private func play(_ graph: Graph, _ input: inout Input) throws {
    var tensors = [try graph.external(Shape(64), .float32)]
    var depth = 0
    for _ in 0..<48 where !input.isEmpty {
      switch input.byte() % 8 {
      case 0:
        if depth < 4 {
          try graph.beginScope()
          depth += 1
        }
      case 1:
        if depth > 0 {
          try graph.endScope()
          depth -= 1
        }
      case 2: try graph.wait()
      case 3:
        scheduler.perform()
      case 4:
        let value: Float = try graph.value(of: tensors[0], at: [0], as: Float.self)
        _ = value
      default:
        let shape = input.byte()
        let which = Int(input.byte())
        let aiv = Kernel(call: 1 << 56 | 0x200, id: 1, coreType: .aiv)
        let new: Tensor? = try graph.submit(aiv0: aiv) { task in
          let tensor = tensors[which % tensors.count]
          switch shape & 3 {
          case 0: task.input(tensor)
          case 1: task.inout(tensor)
          case 2: task.outputExisting(tensor)
          default: break
          }
          if shape & 8 != 0 { task.input(tensors[0]) }
          return shape & 4 != 0 ? task.output(Shape(1 + Int(shape >> 4) * 8), .float32) : nil
        }
        if let new { tensors.append(new) }
      }
      // Outputs whose scope has ended are not used again: that is error 5, which
      // has tests of its own.
      tensors.removeAll { !graph.orchestrator.pointee.isInScope($0) }
    }
    try graph.orchestrator.pointee.drain()
  }

  static let seeds: [[UInt8]] = {
    var seeds: [[UInt8]] = []
    for configuration in UInt8(0)..<2 {
      for kind in UInt8(0)..<12 {
        let program: [UInt8] = [
          5, 0x14, 0, 5, 0x11, 0, 0, 5, 0x24, 1, 5, 1, 1, 5, 1, 2, 3, 1, 5, 0x14, 0, 2, 5, 1, 0, 4,
        ]
        var scheduler: [UInt8] = [kind >> 3]
        for _ in 0..<6 { scheduler += [0, 0, 4, 0, 1, 4, 1, 0, 4, 1, 1, 4, 2, 0, 8] }
        scheduler += [kind, kind & 1, 3, 1, 2, 0, 0, 7]
        seeds.append([configuration, UInt8(program.count)] + program + scheduler)
      }
    }
    return seeds
  }()
}

/// Plays a script of stores into the scheduler's words: one operation whenever
/// the program parks, or asks for one; at the script's end it fails.
private final class ScriptedScheduler: @unchecked Sendable {
  // Sendable: `turn` says which thread may touch the rest.
  private let isActive = Atomic<Bool>(false)
  private let isBusy = Atomic<Bool>(false)
  private let lock = Mutex(())
  private var segment: SegmentUnderTest!
  private var script: Input!
  private var hasErrorBlock = true

  func start() {
    var thread = pthread_t()
    let me = Unmanaged.passUnretained(self).toOpaque()
    pthread_create(
      &thread, nil,
      { context in
        Unmanaged<ScriptedScheduler>.fromOpaque(context!).takeUnretainedValue().loop()
      }, me)
  }

  func begin(_ segment: SegmentUnderTest, _ script: Input) {
    self.segment = segment
    self.script = script
    hasErrorBlock = self.script.byte() & 1 == 0
    isActive.store(true, ordering: .sequentiallyConsistent)
  }

  func end() {
    isActive.store(false, ordering: .sequentiallyConsistent)
    while isBusy.load(ordering: .sequentiallyConsistent) { sched_yield() }
  }

  private func loop() -> Never {
    while true {
      isBusy.store(true, ordering: .sequentiallyConsistent)
      if isActive.load(ordering: .sequentiallyConsistent),
        segment.word(.orchestratorWords, Int(PTO2_ORCH_PARKED)) != 0
      {
        perform()
        wake()
      }
      isBusy.store(false, ordering: .sequentiallyConsistent)
      usleep(20)
    }
  }

  private func wake() {
    for ring in segment.configuration.rings.indices {
      for word in [PTO2_SCHED_RELEASED, PTO2_SCHED_CONSUMED] {
        Futex.wake(
          SharedWord(
            segment.address(.schedulerWords) + Int(PTO2_SCHED_RINGS) + 64 * ring + Int(word)))
      }
    }
    Futex.wake(SharedWord(segment.address(.schedulerWords) + Int(PTO2_SCHED_WIRED)))
    Futex.wake(SharedWord(segment.address(.schedulerWords) + Int(PTO2_SCHED_CONTROL)))
  }

  /// One operation of the script.
  func perform() { lock.withLock { _ in performNext() } }

  private func performNext() {
    guard !script.isEmpty else { return fail() }
    let choice = script.byte()
    let ring = script.index(segment.configuration.rings.count)
    let words = Int(PTO2_SCHED_RINGS) + 64 * ring
    switch choice % 8 {
    case 0: advance(words + Int(PTO2_SCHED_RELEASED), ring, by: UInt32(script.byte()))
    case 1: advance(words + Int(PTO2_SCHED_CONSUMED), ring, by: UInt32(script.byte()))
    case 2:
      let submitted = segment.word(.orchestratorWords, Int(PTO2_ORCH_SUBMITTED))
      segment.store(
        script.byte() & 1 == 0 ? submitted : script.value(near: submitted), .schedulerWords,
        Int(PTO2_SCHED_WIRED))
    case 3:
      let word = words + Int(script.byte() & 1) * 4
      let near = segment.word(.orchestratorWords, Int(PTO2_ORCH_RINGS) + 64 * ring)
      segment.store(script.value(near: near), .schedulerWords, word)
    case 4: segment.store(script.value(near: 2), .schedulerWords, Int(PTO2_SCHED_CONTROL))
    case 5:
      segment.store(
        script.number(), .schedulerWords,
        Int(PTO2_SCHED_ERROR) + Int(script.byte()) * 4)
    default:
      let offset = Int(script.number(UInt16.self)) % 4096 & ~3
      segment.store(script.value(), .schedulerWords, offset)
    }
  }

  /// Never beyond what was submitted.
  private func advance(_ offset: Int, _ ring: Int, by count: UInt32) {
    let now = segment.word(.schedulerWords, offset)
    let current = segment.word(.orchestratorWords, Int(PTO2_ORCH_RINGS) + 64 * ring)
    segment.store(now &+ min(count, current &- now), .schedulerWords, offset)
  }

  /// With an error block, or with what is there: either must end every wait.
  private func fail() {
    if hasErrorBlock {
      ErrorBlock.write(
        PTO2Error(.schedulerDied, "the script is over"),
        to: segment.address(.schedulerWords) + Int(PTO2_SCHED_ERROR))
    }
    segment.store(PTO2_SCHED_FATAL, .schedulerWords, Int(PTO2_SCHED_CONTROL))
  }
}
