import CPTO2Segment
import PTO2Protocol
import PTO2Segment
import PTO2System
import Testing

@testable import PTO2Orchestrator
@testable import PTO2Scheduler

/// Random programs on random rings with random FIN order, against a model that
/// knows of every byte who wrote it last and who has read it since.
struct ProgramModel {
  struct Memory {
    var writer: [TaskID?]
    var readers: [[TaskID]]
    var owner: TaskID?
  }
  var memories: [Memory] = []
  /// Producers each task must not start before.
  var producers: [TaskID: Set<TaskID>] = [:]

  mutating func add(bytes: Int, owner: TaskID?) -> Int {
    memories.append(
      Memory(
        writer: Array(repeating: owner, count: bytes), readers: Array(repeating: [], count: bytes),
        owner: owner))
    return memories.count - 1
  }

  mutating func access(_ memory: Int, _ bytes: Range<Int>, _ task: TaskID, isWrite: Bool) {
    var found = Set([memories[memory].owner].compactMap { $0 })
    for byte in bytes {
      if let writer = memories[memory].writer[byte] { found.insert(writer) }
      if isWrite {
        found.formUnion(memories[memory].readers[byte])
        memories[memory].writer[byte] = task
        memories[memory].readers[byte] = []
      } else {
        memories[memory].readers[byte].append(task)
      }
    }
    producers[task, default: []].formUnion(found.subtracting([task]))
  }
}

@Suite struct RandomGraphTests {
  private struct Live {
    var tensor: Tensor<Int8>
    var memory: Int
    /// Depth of the scope whose end makes it unusable; 0 for external tensors.
    var depth: Int
  }

  @Test(arguments: 0..<30, [UInt32(1), 3])
  func everyTaskStartsAfterItsProducersAndEverythingIsReclaimed(seed: Int, threads: UInt32) throws {
    var random = SplitMix64(seed: UInt64(seed))
    let rig = try Rig(
      configuration(
        rings: Int.random(in: 2...4, using: &random),
        window: [4, 8, 16].randomElement(using: &random)!, consumed: 256,
        heap: [2048, 4096].randomElement(using: &random)!, pool: 64,
        clusters: UInt32.random(in: 1...3, using: &random),
        lanes: UInt32.random(in: 1...3, using: &random),
        first: [0, 0xFFFF_FFF0, 0x7FFF_FFF0].randomElement(using: &random)!, threads: threads))
    var model = ProgramModel()
    var tensors: [Live] = []
    for _ in 0..<3 {
      tensors.append(
        Live(
          tensor: try rig.graph.externalTensor(of: Int8.self, [64]),
          memory: model.add(bytes: 64, owner: nil),
          depth: 0))
    }
    var depth = 1
    var checked = 0
    var blocks: [TaskID: Range<UInt64>] = [:]

    func checkStarted() {
      for task in rig.started[checked...] {
        let missing = (model.producers[task] ?? []).filter {
          rig.state($0).map { $0.rawValue < 3 } ?? false
        }
        #expect(missing.isEmpty, "\(task) started before \(missing)")
      }
      checked = rig.started.count
    }
    func endScope() throws {
      try rig.graph.endScope()
      tensors.removeAll { $0.depth == depth }
      depth -= 1
      rig.settle()
      checkStarted()
    }

    for _ in 0..<200 {
      if depth < 4, Int.random(in: 0..<8, using: &random) == 0 {
        try rig.graph.beginScope()
        depth += 1
      } else if depth > 1, Int.random(in: 0..<8, using: &random) == 0 {
        try endScope()
      }
      var outputs = depth > 1 ? Int.random(in: 0...2, using: &random) : 0
      // Room, so that submission never blocks: run kernels, then end scopes.
      while !rig.hasRoom(outputBytes: UInt64(outputs) * 128) {
        if rig.runOne(&random) {
          checkStarted()
        } else if depth > 1 {
          try endScope()
          // The root scope never ends: its outputs would pin the heap.
          if depth == 1 { outputs = 0 }
        } else {
          Issue.record("nothing runs and ring 0 is full")
          return
        }
      }
      var uses: [(Live, Range<Int>, Bool)] = []
      for _ in 0..<Int.random(in: 0...3, using: &random) {
        let live = tensors.randomElement(using: &random)!
        let begin = Int.random(in: 0..<64, using: &random)
        uses.append(
          (
            live, begin..<Int.random(in: begin + 1...64, using: &random),
            Bool.random(using: &random)
          ))
      }
      var new: [Tensor<Int8>] = []
      let mask = Int.random(in: 0..<8, using: &random)
      let task = try rig.submit(aic: mask & 1 != 0, aiv0: mask & 2 != 0, aiv1: mask & 4 != 0) {
        arguments in
        for (live, bytes, isWrite) in uses {
          let view = try! live.tensor.slice(from: [bytes.lowerBound], shape: Shape(bytes.count))
          if isWrite { arguments.inout(view) } else { arguments.input(view) }
        }
        for _ in 0..<outputs { new.append(arguments.output(of: Int8.self, [65])) }
      }
      for (live, bytes, isWrite) in uses {
        model.access(live.memory, bytes, task, isWrite: isWrite)
      }
      for tensor in new {
        tensors.append(
          Live(tensor: tensor, memory: model.add(bytes: 65, owner: task), depth: depth))
      }
      // Outputs never lie over those of a task that is not CONSUMED.
      if outputs > 0 {
        let begin = rig.slot(task).output_offset
        let mine = begin..<begin + UInt64(outputs) * 128
        blocks = blocks.filter { !rig.isConsumed($0.key) }
        for (other, range) in blocks {
          #expect(!range.overlaps(mine), "outputs of \(task) and \(other)")
        }
        blocks[task] = mine
      }
      if Bool.random(using: &random) { rig.settle() }
      checkStarted()
      while Bool.random(using: &random), rig.runOne(&random) { checkStarted() }
    }
    while depth > 1 { try endScope() }
    rig.settle()
    while rig.runOne(&random) { checkStarted() }
    try rig.graph.orchestrator.pointee.drainByHand(rig)
    #expect(rig.failure == nil)
    for ring in rig.configuration.rings.indices {
      let counts = rig.counts(ring: ring)
      #expect(counts[0] == counts[1] && counts[0] == rig.submitted(ring: ring))
    }
    #expect(rig.finished.count > 150, "hardly anything ran: not exercised")
  }
}

extension Rig {
  /// Whether a task in the current scope can be submitted without waiting.
  func hasRoom(outputBytes: UInt64) -> Bool {
    graph.orchestrator.pointee.refreshAll()
    return hasRoom(
      in: graph.orchestrator.pointee.rings[graph.orchestrator.pointee.scopes.innermost.ring],
      outputBytes)
  }

  private func hasRoom(in ring: borrowing RingProducer, _ outputBytes: UInt64) -> Bool {
    ring.current - ring.released < ring.window
      && ring.current - ring.consumed < ring.consumedWindow
      // Three uses of 64 bytes have few producers; half the pool is plenty.
      && ring.poolHead - ring.poolTail <= ring.pool / 4
      && ring.heap.place(bytes: outputBytes) != nil
  }

  func submitted(ring: Int) -> UInt32 {
    UInt32(graph.orchestrator.pointee.counts(ring: ring).submitted)
  }

  func isConsumed(_ task: TaskID) -> Bool {
    Int32(bitPattern: watermarks(ring: task.ring).consumed &- task.local) > 0
  }
}
