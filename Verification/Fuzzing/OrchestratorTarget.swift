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
      segment.scheduler.released(ring).storeRelease(first)
      segment.scheduler.consumed(ring).storeRelease(first)
    }
    segment.scheduler.wired.storeRelease(first)
    segment.scheduler.control.storeRelease(PTO2_SCHED_ATTACHED)
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
    var tensors = [try graph.externalTensor(of: Float.self, Shape(64))]
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
        let value: Float = try graph.element(of: tensors[0], at: [0])
        _ = value
      default:
        let shape = input.byte()
        let which = Int(input.byte())
        let aiv = Kernel(call: 1 << 56 | 0x200, id: 1, coreType: .aiv)
        let new: Tensor<Float>? = try graph.submit(aiv0: aiv) { task in
          let tensor = tensors[which % tensors.count]
          switch shape & 3 {
          case 0: task.input(tensor)
          case 1: task.inout(tensor)
          case 2: task.overwrite(tensor)
          default: break
          }
          if shape & 8 != 0 { task.input(tensors[0]) }
          return shape & 4 != 0 ? task.output(of: Float.self, Shape(1 + Int(shape >> 4) * 8)) : nil
        }
        if let new { tensors.append(new) }
      }
      // Outputs whose scope has ended are not used again: that is error 5, which
      // has tests of its own.
      tensors.removeAll { !graph.orchestrator.pointee.isInScope(AnyTensor($0)) }
    }
    try graph.orchestrator.pointee.finishRun()
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
        segment.orchestratorPage.parked.loadAcquire() != 0
      {
        perform()
        wake()
      }
      isBusy.store(false, ordering: .sequentiallyConsistent)
      usleep(20)
    }
  }

  private func wake() {
    let page = segment.schedulerPage
    for ring in segment.configuration.rings.indices {
      Futex.wake(page.released(ring))
      Futex.wake(page.consumed(ring))
    }
    Futex.wake(page.wired)
    Futex.wake(page.control)
  }

  /// One operation of the script.
  func perform() { lock.withLock { _ in performNext() } }

  private func performNext() {
    guard !script.isEmpty else { return fail() }
    let choice = script.byte()
    let ring = script.index(segment.configuration.rings.count)
    let page = segment.scheduler
    let current = segment.orchestratorPage.currentTaskIndex(ring).loadAcquire()
    switch choice % 8 {
    case 0: advance(page.released(ring), current, by: UInt32(script.byte()))
    case 1: advance(page.consumed(ring), current, by: UInt32(script.byte()))
    case 2:
      let submitted = segment.orchestratorPage.submitted.loadAcquire()
      page.wired.storeRelease(
        script.byte() & 1 == 0 ? submitted : script.value(near: submitted))
    case 3:
      let word = script.byte() & 1 == 0 ? page.released(ring) : page.consumed(ring)
      word.storeRelease(script.value(near: current))
    case 4: page.control.storeRelease(script.value(near: 2))
    case 5:
      var error = page.ownError.whole
      let value: UInt32 = script.number()
      withElements(&error, of: UInt32.self) { $0[Int(script.byte()) % $0.count] = value }
      page.ownError.whole = error
    default:
      let offset = Int(script.number(UInt16.self)) % 4096
      segment.damage(script.value(), segment.layout.section(.schedulerWords), at: offset)
    }
  }

  /// Never beyond what was submitted.
  private func advance(_ word: OwnedWord, _ current: UInt32, by count: UInt32) {
    let now = word.loadOwn()
    word.storeRelease(now &+ min(count, current &- now))
  }

  /// With an error block, or with what is there: either must end every wait.
  private func fail() {
    if hasErrorBlock {
      segment.scheduler.ownError.write(PTO2Error(.schedulerDied, "the script is over"))
    }
    segment.scheduler.control.storeRelease(PTO2_SCHED_FATAL)
  }
}
