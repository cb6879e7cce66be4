import CPTO2Segment
import Glibc
import PTO2Protocol
import PTO2System
import Synchronization
import Testing

@testable import PTO2Orchestrator

/// Notes every position of the log that it sees, on a thread of its own.
private final class SubmittedWatcher: @unchecked Sendable {
  // Sendable: only the thread uses `seen` until it is joined.
  private let word: SharedWord
  private let isOver = Atomic<Bool>(false)
  private var seen: [UInt32]
  private var thread = pthread_t()

  init(_ rig: Rig) {
    word = rig.worker.orchestratorPage.submitted
    seen = [word.loadAcquire()]
    let box = Unmanaged.passRetained(self).toOpaque()
    pthread_create(
      &thread, nil,
      { context in
        Unmanaged<SubmittedWatcher>.fromOpaque(context!).takeRetainedValue().run()
        return nil
      }, box)
  }

  private func run() {
    var isLast = false
    while !isLast {
      isLast = isOver.load(ordering: .acquiring)
      let now = word.loadAcquire()
      if now != seen.last { seen.append(now) }
    }
  }

  /// Waits for the thread; returns what it has seen.
  func join() -> [UInt32] {
    isOver.store(true, ordering: .releasing)
    pthread_join(thread, nil)
    return seen
  }
}

/// Replayed tasks against the same tasks submitted one by one, in another session of the
/// same sizes: all that stands of them in the segment.
@Suite struct ReplayTests {
  /// One of the two sessions, and what is in it.
  private final class Side {
    let rig: Rig
    let isReplayed: Bool
    private(set) var pool: [AnyTensor] = []
    private(set) var fixed: [AnyTensor] = []
    private var template: TaskTemplate?

    init(_ body: ReplayBody, isReplayed: Bool, mapLimit: Int = Orchestrator.defaultMapLimit)
      throws
    {
      self.isReplayed = isReplayed
      rig = try Rig(
        configuration(
          rings: 2, window: 1024, consumed: 1024, heap: 1 << 20, pool: 1 << 16, clusters: 3),
        mapLimit: mapLimit)
      let shape = ReplayBody.shape(body.views)
      for _ in 0..<3 { pool.append(try rig.graph.externalTensor(of: .int8, shape)) }
      for _ in 0..<body.fixed { fixed.append(try rig.graph.externalTensor(of: .int8, shape)) }
      // Tensors with an owner can be holes as well.
      try rig.graph.beginScope()
      for _ in 0..<3 {
        try rig.submit(aic: true) { self.pool.append($0.output(of: .int8, shape)) }
      }
    }

    /// The body once more.
    func run(_ body: ReplayBody, holes: [AnyTensor], scalars: [UInt64]) throws -> [AnyTensor] {
      func submit(isRecorded: Bool) throws -> [AnyTensor] {
        try body.submit(
          rig, holes: holes, fixed: fixed, scalars: scalars, isRecorded: isRecorded)
      }
      guard isReplayed else { return try submit(isRecorded: false) }
      if let template {
        return try rig.graph.replay(template, tensors: holes, scalars: scalars).outputs
      }
      let template = try rig.graph.record(tensors: holes, scalars: scalars) { outputs in
        outputs = try submit(isRecorded: true)
      }
      self.template = template
      return template.outputs
    }

    /// One task on its own, that uses parts of everything there is.
    func touch(_ tensors: [AnyTensor], _ random: inout SplitMix64) throws {
      var uses: [(AnyTensor, Bool)] = []
      for _ in 0..<3 {
        let tensor = tensors.randomElement(using: &random)!
        let begin = (0..<tensor.shape.rank).map { _ in Int.random(in: 0..<5, using: &random) }
        uses.append(
          (
            try tensor.slice(from: begin, shape: Shape(begin.map { _ in 3 })),
            Bool.random(using: &random)
          ))
      }
      try rig.submit(aiv0: true) { task in
        for (tensor, isWrite) in uses {
          if isWrite { task.inout(tensor) } else { task.input(tensor) }
        }
      }
    }

    var tasks: [TaskID] {
      (0..<rig.submitted(ring: 1)).map {
        TaskID(ring: 1, local: rig.configuration.firstPosition &+ $0)
      }
    }
  }

  /// Holes for the first run, which are different tensors, and for a later one.
  private func holes(_ pool: [AnyTensor], isFirst: Bool, _ random: inout SplitMix64) -> [Int] {
    if isFirst || Int.random(in: 0..<3, using: &random) > 0 {
      return Array(Array(pool.indices).shuffled(using: &random).prefix(3))
    }
    return (0..<3).map { _ in Int.random(in: pool.indices, using: &random) }
  }

  private func bothRun(_ seed: Int, _ views: ReplayBody.Views, mapLimit: Int) throws -> [Side] {
    var random = SplitMix64(seed: UInt64(seed))
    let body = ReplayBody(
      views, tasks: Int.random(in: 1...14, using: &random), &random)
    let sides = try [false, true].map {
      try Side(body, isReplayed: $0, mapLimit: mapLimit)
    }
    var made: [[AnyTensor]] = [[], []]
    for round in 0..<6 {
      let places = holes(sides[0].pool, isFirst: round == 0, &random)
      let scalars = [random.next(), random.next()]
      let touches = Int.random(in: 0...4, using: &random)
      let state = random
      for (index, side) in sides.enumerated() {
        random = state
        for _ in 0..<touches {
          try side.touch(side.pool + side.fixed + made[index].suffix(4), &random)
        }
        made[index] += try side.run(
          body, holes: places.map { side.pool[$0] }, scalars: scalars)
      }
    }
    let state = random
    for (index, side) in sides.enumerated() {
      random = state
      for _ in 0..<20 { try side.touch(side.pool + side.fixed + made[index], &random) }
    }
    return sides
  }

  @Test(arguments: 0..<40, [ReplayBody.Views.ranges, .tiles])
  func replayWritesWhatSubmittingWrites(seed: Int, views: ReplayBody.Views) throws {
    let sides = try bothRun(seed, views, mapLimit: Orchestrator.defaultMapLimit)
    #expect(sides[0].tasks == sides[1].tasks && sides[0].tasks.count > 20)
    for task in sides[0].tasks {
      let (plain, replayed) = (WrittenTask(task, sides[0].rig), WrittenTask(task, sides[1].rig))
      #expect(plain == replayed, "task \(task)")
      if plain != replayed { return }
    }
    for side in sides { side.rig.runAll() }
    for side in sides { #expect(side.rig.failure == nil) }
  }

  /// Where views with gaps overlap in part, a replayed task may also wait for those whom
  /// its producers wait for, and no others.
  @Test(arguments: 0..<40) func replayOfAnyViewsHasTheSameOrder(seed: Int) throws {
    let sides = try bothRun(seed, .mixed, mapLimit: Orchestrator.defaultMapLimit)
    #expect(sides[0].tasks == sides[1].tasks)
    var before: [[TaskID: Set<TaskID>]] = [[:], [:]]
    for task in sides[0].tasks {
      var (plain, replayed) = (WrittenTask(task, sides[0].rig), WrittenTask(task, sides[1].rig))
      for (index, side) in sides.enumerated() {
        var all: Set<TaskID> = []
        for word in side.rig.fanin(task) where word.waits {
          all.insert(word.producer)
          all.formUnion(before[index][word.producer] ?? [])
        }
        before[index][task] = all
      }
      #expect(before[0][task] == before[1][task], "task \(task)")
      (plain.fanin, replayed.fanin) = ([], [])
      #expect(plain == replayed, "task \(task)")
      if before[0][task] != before[1][task] || plain != replayed { return }
    }
  }

  /// Rings that are a little larger than what is in use: outputs and payloads of a replay lie
  /// where submitting puts them, around the ends too, and with a window that holds up one task
  /// of three.
  @Test(arguments: [UInt32(4), 16])
  func replayTakesTheRoomThatSubmittingTakes(window: UInt32) throws {
    let rigs = try (0..<2).map { _ in
      try Rig(configuration(rings: 2, window: window, consumed: 32, heap: 11 * 64, pool: 8))
    }
    let tensors = try rigs.map { try $0.external(16) }
    func submit(_ rig: Rig, _ x: Tensor<Float>) throws {
      for lines in 1...3 {
        try rig.submit(aiv0: true) { task in
          task.input(x)
          _ = task.output(of: Float.self, Shape(16 * lines))
        }
      }
    }
    var template: TaskTemplate?
    var (wraps, last) = (0, UInt64(0))
    for round in UInt32(0)..<60 {
      for (rig, x) in zip(rigs, tensors) {
        try rig.graph.beginScope()
        if rig === rigs[0] {
          try submit(rig, x)
        } else if let template {
          try rig.graph.replay(template, tensors: [AnyTensor(x)])
        } else {
          template = try rig.graph.record(tensors: [AnyTensor(x)]) { _ in try submit(rig, x) }
        }
      }
      for task in UInt32(0)..<3 {
        let id = TaskID(ring: 1, local: 3 * round + task)
        #expect(WrittenTask(id, rigs[0]) == WrittenTask(id, rigs[1]), "task \(id)")
        let offset = rigs[1].slot(id).output_offset
        if offset < last { wraps += 1 }
        last = offset
      }
      for rig in rigs {
        rig.runAll()
        try rig.graph.endScope()
        rig.runAll()
        #expect(rig.counts(ring: 1) == [3 * round + 3, 3 * round + 3] && rig.failure == nil)
      }
    }
    #expect(wraps > 10, "the heap never wrapped: not exercised")
  }

  /// The map is too small for the analysis to be left out.
  @Test(arguments: 0..<6) func replayInASmallMapIsSubmittedOneByOne(seed: Int) throws {
    // Nothing runs here: no submit may find the map full.
    let unlimited = try bothRun(seed, .tiles, mapLimit: Orchestrator.defaultMapLimit)
    let limit = unlimited[0].rig.graph.orchestrator.pointee.map.count + 64
    let sides = try bothRun(seed, .tiles, mapLimit: limit)
    #expect(sides[0].tasks == sides[1].tasks)
    for task in sides[0].tasks {
      #expect(WrittenTask(task, sides[0].rig) == WrittenTask(task, sides[1].rig))
    }
    #expect(sides[1].rig.graph.orchestrator.pointee.map.count <= limit)
  }

  // MARK: While it runs

  /// Nothing holds tasks without outputs: those of a replay that waits may be CONSUMED
  /// before the ones that need them are written.
  @Test func producersInsideThatAreConsumedAreNone() throws {
    let rig = try Rig(configuration(window: 16, consumed: 64))
    let x = try rig.external(16)
    let driver = Driver(rig)
    let template = try rig.graph.record(tensors: [AnyTensor(x)]) { _ in
      try rig.submit(aic: true) { $0.inout(x) }
      for _ in 0..<16 { try rig.submit(aic: true) }
      try rig.submit(aic: true) { $0.input(x) }
    }
    try rig.graph.wait()
    // The 17th waits until two are RELEASED, so the last one does not.
    let replayed = try rig.graph.replay(template, tensors: [AnyTensor(x)])
    #expect(rig.slot(replayed.task(17)).fanin_count == 0)
    driver.join()
    #expect(rig.counts() == [36, 36] && rig.failure == nil)
  }

  /// Windows of a few tasks: a replay waits in its middle, and the kernels run in an order
  /// that a model allows which knows of every byte who used it.
  @Test(arguments: 0..<12, [UInt32(1), 3])
  func replayWaitsForRoomInItsMiddle(seed: Int, threads: UInt32) throws {
    var random = SplitMix64(seed: UInt64(seed))
    let body = ReplayBody(.ranges, tasks: 12, &random)
    let rig = try Rig(
      configuration(
        rings: 2, window: 4, consumed: 32, heap: 8192, pool: 64, clusters: 3, lanes: 2,
        first: 0xFFFF_FFF0, threads: threads))
    let driver = Driver(rig)
    let pool = try (0..<4).map { _ in try rig.graph.externalTensor(of: .int8, [64]) }
    let fixed = try (0..<2).map { _ in try rig.graph.externalTensor(of: .int8, [64]) }
    var template: TaskTemplate?
    var order: [[Int: TaskID]] = []
    var places: [[Int]] = []
    for _ in 0..<8 {
      places.append(holes(pool, isFirst: true, &random))
      let holes = places.last!.map { pool[$0] }
      try rig.graph.scope {
        var ids: [Int: TaskID] = [:]
        if let template {
          let replayed = try rig.graph.replay(template, tensors: holes, scalars: [1, 2])
          for number in 0..<replayed.taskCount { ids[number] = replayed.task(number) }
        } else {
          template = try rig.graph.record(tensors: holes, scalars: [1, 2]) { _ in
            _ = try body.submit(
              rig, holes: holes, fixed: fixed, scalars: [1, 2], isRecorded: true
            ) { ids[$0] = $1 }
          }
        }
        order.append(ids)
      }
    }
    try rig.graph.wait()
    driver.join()
    #expect(rig.failure == nil && rig.counts(ring: 1)[0] == 96)
    let stalls = rig.graph.orchestrator.pointee.stalls.reduce(0) { $0 + $1.count }
    #expect(stalls > 0, "not exercised")
    let producers = model(body, places, order)
    var done: Set<TaskID> = []
    let ran = Set(rig.finished)
    for task in rig.finished {
      let missing = (producers[task] ?? []).filter { ran.contains($0) && !done.contains($0) }
      #expect(missing.isEmpty, "\(task) ran before \(missing)")
      done.insert(task)
    }
    #expect(rig.finished.count > 30, "hardly anything ran")
  }

  /// Whom each task must come after, byte by byte.
  private func model(_ body: ReplayBody, _ places: [[Int]], _ order: [[Int: TaskID]])
    -> [TaskID: Set<TaskID>]
  {
    var model = ProgramModel()
    let externals = (0..<6).map { _ in model.add(bytes: 64, owner: nil) }
    for (round, ids) in order.enumerated() {
      var made: [Int] = []
      for (number, task) in body.tasks.enumerated() {
        let id = ids[number]!
        for use in task.uses + [task.predicate].compactMap({ $0 }) {
          let isPredicate = task.predicate.map { $0.begin == use.begin && $0.extent == use.extent }
          if use.access == .noDependency && isPredicate != true { continue }
          let memory =
            switch use.tensor {
            case .hole(let index): externals[places[round][index]]
            case .fixed(let index): externals[4 + index]
            case .made(let index): made[index]
            }
          model.access(
            memory, use.begin[0]..<use.begin[0] + use.extent[0], id,
            isWrite: use.access.isWrite && isPredicate != true)
        }
        model.producers[id, default: []].formUnion(task.after.map { ids[$0.task]! })
        for _ in 0..<task.outputs { made.append(model.add(bytes: 64, owner: id)) }
      }
    }
    return model.producers
  }

  /// A scheduler sees all of a replay or nothing, where the ring has room for it.
  @Test func replayIsPublishedAtOnce() throws {
    let rig = try Rig(configuration(window: 2048, consumed: 4096, pool: 4096))
    let x = try rig.external(16)
    let template = try rig.graph.record(tensors: [AnyTensor(x)]) { _ in
      for _ in 0..<1000 { try rig.submit(aiv0: true) { $0.input(x) } }
    }
    let watcher = SubmittedWatcher(rig)
    try rig.graph.replay(template, tensors: [AnyTensor(x)])
    #expect(watcher.join() == [1000, 2000])
  }

  /// What is not published is not there; what a dead scheduler had read is.
  @Test(arguments: [UInt32(1), 3])
  func schedulerThatComesAgainGoesOnInAReplay(threads: UInt32) throws {
    let rig = try Rig(
      configuration(window: 8, consumed: 256, pool: 64, clusters: 2, threads: threads))
    let x = try rig.external(16)
    let template = try rig.graph.record(tensors: [AnyTensor(x)]) { _ in
      for _ in 0..<6 { try rig.submit(aiv0: true) { $0.inout(x) } }
    }
    for _ in 0..<10 {
      rig.runAll()
      let y = try rig.external(16)
      try rig.graph.replay(template, tensors: [AnyTensor(y)])
      rig.settle()
      for core in rig.queues.indices.prefix(2) where !rig.queues[core].isEmpty {
        rig.finish(core: core)
      }
      try rig.restartScheduler()
    }
    rig.runAll()
    #expect(rig.counts() == [66, 66] && rig.failure == nil)
  }

  /// A task of a template needs what a task before it has put out, which FAILED.
  @Test func failedProducersCancelReplayedTasks() throws {
    let rig = try Rig(configuration(clusters: 2))
    let (x, y) = (try rig.external(8), try rig.external(8))
    let template = try rig.graph.record(tensors: [AnyTensor(x)]) { _ in
      try rig.submit(aiv0: true) { $0.input(x) }
      try rig.submit(aiv0: true) { $0.overwrite(x) }
      try rig.submit(aiv0: true) { $0.input(x) }
    }
    rig.runAll()
    try rig.submit(aic: true) { $0.inout(y) }
    rig.settle()
    let core = rig.running[0].core
    rig.die(core: core, hasBegun: true)
    rig.comeAgain(core: core)
    rig.runAll()
    let replayed = try rig.graph.replay(template, tensors: [AnyTensor(y)])
    func isCancelled(_ number: Int) -> Bool {
      SlotFlags(rawValue: rig.slot(replayed.task(number)).flags).contains(.cancelled)
    }
    #expect(isCancelled(0) && !isCancelled(1) && !isCancelled(2))
    rig.runAll()
    #expect(!rig.started.contains(replayed.task(0)) && rig.started.contains(replayed.task(2)))
  }

  /// In two rings, in two runs, with what the template names without a hole.
  @Test func templateServesInAnyAutomaticScopeAndRun() throws {
    let rig = try Rig(configuration(rings: 2))
    let x = try rig.external(8)
    let template = try rig.graph.record(tensors: [AnyTensor(x)]) { outputs in
      var output: AnyTensor?
      try rig.submit(aic: true) {
        $0.inout(x)
        output = $0.output(of: .int8, [64])
      }
      outputs = [try output!.slice(from: [8], shape: [4])]
    }
    #expect(template.outputs[0].offset == 8)
    try rig.graph.scope {
      try rig.graph.scope {
        let replayed = try rig.graph.replay(template, tensors: [AnyTensor(x)])
        #expect(replayed.task(0) == TaskID(ring: 1, local: 0))
        #expect(replayed.outputs[0].offset == 8 && replayed.outputs[0].shape == [4])
        let reader = try rig.submit(aiv0: true) { $0.input(replayed.outputs[0]) }
        #expect(rig.fanin(reader).map(\.producer) == [replayed.task(0)])
      }
    }
    rig.runAll()
    try rig.graph.orchestrator.pointee.drainByHand(rig)
    try rig.graph.orchestrator.pointee.finishRun()
    rig.graph.orchestrator.pointee.beginRun()
    let y = try rig.external(8)
    try rig.graph.replay(template, tensors: [AnyTensor(y)])
    rig.runAll()
    #expect(rig.failure == nil)
  }
}
