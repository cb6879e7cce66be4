import CPTO2Segment
import PTO2Protocol
import PTO2Segment
import PTO2System
import Testing

@testable import PTO2Orchestrator
@testable import PTO2Scheduler

/// What a scheduler computes that comes after another equals what that one knew.
@Suite struct RebuildTests {
  /// A task's counts, as differences where only these matter.
  private struct TaskView: Equatable {
    var state: UInt32
    var references: UInt32
    var missing: UInt32?
    var left: UInt32?
    var outcome: UInt32
    /// Consumers on the fanout list; nil when it is closed.
    var consumers: Set<TaskID>?
  }

  private struct RingView: Equatable {
    var positions: [UInt32]
    var heapTail: UInt64
    var tasks: [UInt32: TaskView] = [:]
  }

  private struct CoreView: Equatable {
    var nextLane: UInt32
    var outstanding: [TaskID]
  }

  private func rings(_ rig: Rig) -> [RingView] {
    rig.configuration.rings.indices.map { index in
      let ring = rig.shared.rings[index]
      var view = RingView(
        positions: [
          ring.wired, ring.released.position, ring.consumed.position, ring.poolHead, ring.poolTail,
        ].map(\.value), heapTail: ring.heapTail.value)
      var local = ring.consumed.position.value
      while local != ring.wired.value {
        let entry = ring.entry(local).whole
        let isPending = entry.state < TaskState.completed.rawValue
        let slot = ring.slotState(local)
        var consumers: Set<TaskID>? = isPending ? [] : nil
        var reference = entry.fanout_head
        while isPending && reference != PTO2_EDGE_NONE {
          let place = EdgeReference(rawValue: reference)
          let edge = rig.shared.rings[place.ring].edge(place.index)
          consumers!.insert(edge.consumer)
          reference = edge.next
        }
        view.tasks[local] = TaskView(
          state: entry.state, references: entry.fanout_count &- entry.fanout_refcount,
          missing: isPending ? slot.faninCount &- slot.faninRefcount.value : nil,
          left: isPending ? entry.subtasks_left : nil, outcome: entry.outcome,
          consumers: consumers)
        local &+= 1
      }
      return view
    }
  }

  private func cores(_ rig: Rig) -> [CoreView] {
    let cores = rig.shared.cores
    return (0..<cores.count).map { index in
      let core = cores[index]
      return CoreView(
        nextLane: core.nextLane.value,
        outstanding: (0..<core.outstanding(OneThread.self)).map {
          core.lane((core.oldestLane.value + $0) % cores.laneCount).value.task
        })
    }
  }

  /// One task: what it reads, changes and perhaps puts out.
  private func submitOne(
    _ rig: Rig, _ tensors: inout [Tensor<Float>], _ depths: inout [Int], depth: Int,
    _ random: inout SplitMix64
  ) throws {
    let picks = (0..<Int.random(in: 1...3, using: &random)).compactMap { _ in
      tensors.indices.randomElement(using: &random)
    }
    var output: Tensor<Float>?
    let mask = Int.random(in: 0...7, using: &random)
    let blocks = Int.random(in: 1...4, using: &random)
    let isChange = Bool.random(using: &random)
    let used = Set(picks).map { tensors[$0] }
    let hasOutput = Int.random(in: 0..<3, using: &random) > 0
    try rig.submit(aic: mask & 1 != 0, aiv0: mask & 2 != 0, aiv1: mask & 4 != 0) { task in
      for (place, tensor) in used.enumerated() {
        if place == 0 && isChange { task.inout(tensor) } else { task.input(tensor) }
      }
      if hasOutput { output = task.output(of: Float.self, Shape(16)) }
      if mask != 0 { task.blocks(blocks) }
    }
    guard let output else { return }
    tensors.append(output)
    depths.append(depth)
  }

  @Test(arguments: 0..<40, [UInt32(1), 2])
  func computedStateEqualsTheLiveOne(seed: Int, threads: UInt32) throws {
    var random = SplitMix64(seed: UInt64(seed) &* 7919 &+ UInt64(threads))
    let rig = try Rig(
      configuration(
        rings: Int.random(in: 1...3, using: &random), window: 64, consumed: 256, heap: 1 << 16,
        pool: 256, clusters: UInt32.random(in: 1...3, using: &random),
        lanes: UInt32.random(in: 1...4, using: &random),
        first: [0, 0xFFFF_FFF0, 0x7FFF_FFF0].randomElement(using: &random)!, threads: threads))
    var tensors = [try rig.external(16), try rig.external(16)]
    var depths = [0, 0]
    var depth = 1
    var restarts = 0
    var tasksSeen = 0
    var dispatchesSeen = 0
    for _ in 0..<120 {
      switch Int.random(in: 0..<10, using: &random) {
      case 0 where depth < 4:
        try rig.graph.orchestrator.pointee.beginScope()
        depth += 1
      case 1 where depth > 1:
        while depths.last == depth {
          tensors.removeLast()
          depths.removeLast()
        }
        try rig.graph.orchestrator.pointee.endScope()
        depth -= 1
      case 2...5:
        if rig.graph.orchestrator.pointee.counts(ring: 0).submitted < 60 {
          try submitOne(rig, &tensors, &depths, depth: depth, &random)
        }
      case 6:
        rig.settle()
        let before = (rings(rig), cores(rig))
        tasksSeen += before.0.reduce(0) { $0 + $1.tasks.count }
        dispatchesSeen += before.1.reduce(0) { $0 + $1.outstanding.count }
        try rig.restartScheduler()
        #expect(rings(rig) == before.0)
        #expect(cores(rig) == before.1)
        restarts += 1
      default: _ = rig.runOne(&random)
      }
    }
    #expect(restarts > 0 && tasksSeen > 0 && dispatchesSeen > 0, "not exercised")
    while depth > 1 {
      try rig.graph.orchestrator.pointee.endScope()
      depth -= 1
    }
    try rig.graph.orchestrator.pointee.closeScope()
    rig.runAll()
    #expect(rig.failure == nil)
    #expect(rig.isDrained)
  }

  /// A kernel has stored into a lane of its core that is idle. Its worker lives, so it
  /// was not being fenced: it keeps its core.
  @Test func spoiltIdleLaneOfALiveCoreIsNoFence() throws {
    let rig = try Rig(configuration(clusters: 1, lanes: 2))
    rig.settle()
    rig.store(0x8000_0004, core: 1, lane: 0)
    try rig.restartScheduler()
    rig.settle()
    #expect(rig.missingCores == [])
  }
}
