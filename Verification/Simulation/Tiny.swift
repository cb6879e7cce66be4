internal import PTO2Protocol
internal import PTO2Segment

/// Programs of one to three tasks, small enough for depth-first search.
enum Tiny: String, CaseIterable {
  /// One task, no scope but the root's.
  case one
  /// A consumer that may be wired before or after its producer is done.
  case chain
  /// A producer in the heap, consumed in its scope, which then ends.
  case scope
  /// Two consumers of one producer.
  case fork
  /// One consumer of two producers.
  case join
  /// More tasks than main slots: back-pressure, and slots used again.
  case reuse
  /// A task without kernels between two others.
  case dummy
  /// A send, and a receive, each between two kernels: one rank of two.
  case transfer
  /// Consumers in another ring than their producers: their slots and pool entries
  /// are used again while a producer's completion is still going on.
  case rings

  private var plan: Plan {
    var plan = Plan()
    func task(_ memory: Int, _ use: Use, mask: UInt32 = 1) -> TaskPlan {
      TaskPlan(mask: mask, tensors: [.init(memory: memory, range: 0..<1, use: use)])
    }
    let x = plan.external(1)
    switch self {
    case .one: plan.submit(task(x, .update))
    case .chain:
      plan.submit(task(x, .update))
      plan.submit(task(x, .update))
    case .scope:
      plan.operations.append(.beginScope)
      let output = plan.submit(task(x, .input), outputs: [1])[0]
      plan.submit(task(output, .input))
      plan.operations.append(.endScope)
    case .fork:
      plan.submit(task(x, .update))
      plan.submit(task(x, .input))
      plan.submit(task(x, .input))
    case .join:
      let y = plan.external(1)
      plan.submit(task(x, .update))
      plan.submit(task(y, .update))
      var both = task(x, .input)
      both.tensors.append(.init(memory: y, range: 0..<1, use: .update))
      plan.submit(both)
    case .reuse:
      for _ in 0..<3 {
        plan.operations.append(.beginScope)
        plan.submit(task(x, .update))
        plan.operations.append(.endScope)
      }
    case .dummy:
      plan.submit(task(x, .update))
      plan.submit(task(x, .input, mask: 0))
      plan.submit(task(x, .update))
    case .transfer:
      let y = plan.external(1)
      func transfer(_ memory: Int, _ direction: TransferOrder.Direction) -> TaskPlan {
        var transfer = task(memory, direction == .send ? .input : .outputExisting, mask: 0)
        transfer.transfer = direction
        return transfer
      }
      // Of the last thread: the first one takes the ends.
      plan.submit(task(x, .update, mask: 2))
      plan.submit(transfer(x, .send))
      plan.submit(transfer(y, .receive))
      var both = task(y, .input)
      both.tensors.append(.init(memory: x, range: 0..<1, use: .update))
      plan.submit(both)
    case .rings:
      let y = plan.external(1)
      let z = plan.external(1)
      plan.submit(task(x, .update))
      plan.submit(task(y, .update))
      plan.submit(task(x, .input, mask: 2))
      plan.operations.append(.beginScope)
      var both = task(x, .input, mask: 2)
      both.tensors.append(.init(memory: y, range: 0..<1, use: .input))
      plan.submit(both)
      let w = plan.external(1)
      for _ in 0..<5 {
        plan.submit(task(z, .update, mask: 2))
        plan.submit(task(w, .update, mask: 2))
      }
      plan.operations.append(.endScope)
    }
    return plan
  }

  /// - Parameters:
  ///   - threads: of the scheduler, each with a cluster and one core of it.
  func scenario(threads: Int) -> Scenario {
    var rings = [
      Configuration.Ring(
        taskWindow: 2, consumedWindow: self == .reuse ? 2 : 4, heapBytes: 128, dependencyPool: 4)
    ]
    var cores = (0..<threads).map { CoreID(cluster: $0, subtask: 0).index }
    if self == .rings {
      rings[0].taskWindow = 4
      rings.append(
        Configuration.Ring(taskWindow: 4, consumedWindow: 16, heapBytes: 128, dependencyPool: 4))
    }
    if self == .rings || self == .transfer {
      // The last cluster's AIVs take all consumers, or what is sent.
      cores += [1, 2].map { CoreID(cluster: threads - 1, subtask: $0).index }
    }
    var configuration = Configuration(
      rings: rings, clusters: UInt32(threads), lanes: 1, schedulerThreads: UInt32(threads),
      arenaBytes: 4096, firstPosition: 0xFFFF_FFFF, attachTimeoutMilliseconds: 1_000_000_000)
    if self == .transfer { configuration.ranks = 2 }
    return Scenario(configuration: configuration, cores: cores, plan: plan)
  }
}
