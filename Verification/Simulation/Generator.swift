internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// How large a simulated session is.
enum Size: String, CaseIterable {
  case tiny, small, large
  /// One rank of two: some tasks are transfers.
  case rank
  /// Two or three whole ranks.
  case ranks
}

/// A session made from a seed: its configuration and its program.
struct Scenario {
  var configuration: Configuration
  /// Cores that have a worker.
  var cores: [Int]
  var plan: Plan
  /// So many sessions run the program together.
  var ranks = 1
  /// For depth-first search: it leaves out setting up and the end.
  var isTiny = false

  init(configuration: Configuration, cores: [Int], plan: Plan) {
    isTiny = true
    self.configuration = configuration
    self.cores = cores
    self.plan = plan
  }

  /// Everything follows from the seed.
  init(seed: UInt64, size: Size) {
    var random = SplitMix64(seed: seed ^ 0x5EED)
    let isTiny = size == .tiny
    if size == .ranks { ranks = random.within(2...3) }
    let isRanked = ranks > 1
    let clusters =
      isRanked ? 1 : isTiny ? random.within(1...2) : random.within(1...(size == .large ? 5 : 3))
    let ringCount = random.within(1...(isTiny ? 2 : 4))
    let rings = (0..<ringCount).map { _ in
      let window = UInt32(random.among(isTiny ? [2, 4] : [2, 2, 4, 8, 16]))
      return Configuration.Ring(
        taskWindow: window,
        // How many transfers there are between the tasks of a scope nobody knows here.
        consumedWindow: isRanked
          ? 256 : window * UInt32(random.among(isTiny ? [1, 2] : [1, 2, 4])),
        heapBytes: UInt64(64 * random.among(isTiny ? [2, 4] : [4, 5, 8, 13])),
        dependencyPool: isRanked ? 64 : UInt32(random.among(isTiny ? [4, 8] : [4, 4, 8, 16])))
    }
    let starts: [UInt32] = [0, 0, 0xFFFF_FFFE, 0xFFFF_FFF0, 0x7FFF_FFFA]
    configuration = Configuration(
      rings: rings, clusters: UInt32(clusters), lanes: UInt32(random.within(1...3)),
      schedulerThreads: UInt32(random.among(isRanked ? [1, 1, 2] : [1, 2, 2, 3])),
      arenaBytes: isRanked ? 1 << 16 : 4096,
      firstPosition: random.among(starts), attachTimeoutMilliseconds: 1_000_000_000)
    if size == .rank { configuration.ranks = 2 }
    if isRanked { configuration.ranks = UInt32(ranks) }
    cores = Array(0..<configuration.coreCount)
    let tasks =
      switch size {
      case .tiny: random.within(1...4)
      case .small: random.within(5...40)
      case .large: random.within(100...400)
      case .rank, .ranks: random.within(3...30)
      }
    var generator = Generator(configuration, random, ranks: ranks)
    plan = generator.make(tasks: tasks)
  }
}

/// A random program that no ring can be too small for: it ends scopes before
/// what they hold fills a ring.
private struct Generator {
  private let configuration: Configuration
  private var random: SplitMix64
  private var plan = Plan()
  /// Memory and the depth of its scope; 0 = external.
  private var live: [(memory: Int, depth: Int)] = []
  private var scopes: [Int] = []
  /// Per ring, its tasks from the first on that has outputs and an open scope: scope,
  /// bytes.
  private var held: [[(scope: Int, bytes: Int, task: Int)]]
  private var nextScope = 0
  /// Many readers of the newest tensors, few other dependencies: producers with
  /// several consumers, in other rings.
  private let isWide: Bool
  private let ranks: Int

  init(_ configuration: Configuration, _ random: SplitMix64, ranks: Int) {
    self.configuration = configuration
    self.ranks = ranks
    self.random = random
    isWide = self.random.chance(1, in: 3)
    held = Array(repeating: [], count: configuration.rings.count)
  }

  private var ring: Int { min(scopes.count - 1, configuration.rings.count - 1) }

  mutating func make(tasks: Int) -> Plan {
    plan.ranks = ranks
    for _ in 0..<random.within(2...4) {
      live.append((plan.external(random.within(2...8)), 0))
    }
    scopes = [newScope()]
    var attempts = 0
    while plan.tasks.count < tasks && attempts < 20 * tasks {
      attempts += 1
      switch random.below(12) {
      case 0, 1: if scopes.count < 6 { begin() }
      case 2: if scopes.count > 1 { end() }
      // Of several ranks a look is a meeting of all.
      case 3 where (!configuration.hasLink || ranks > 1) && random.chance(1, in: 3): look()
      default: submit()
      }
    }
    while scopes.count > 1 && random.chance(3, in: 4) { end() }
    // Memory of a rank has what it has needed: the program looks at all.
    if ranks > 1 { plan.operations.append(.compare(plan.result)) }
    return plan
  }

  private mutating func newScope() -> Int {
    nextScope += 1
    return nextScope
  }

  private mutating func begin() {
    scopes.append(newScope())
    plan.operations.append(.beginScope)
  }

  private mutating func end() {
    live.removeAll { $0.depth == scopes.count }
    scopes.removeLast()
    plan.operations.append(.endScope)
    for ring in held.indices {
      while let first = held[ring].first, !scopes.contains(first.scope) || !hasOutputs(first.task) {
        held[ring].removeFirst()
      }
    }
  }

  /// A scope holds such a task.
  private func hasOutputs(_ task: Int) -> Bool { !plan.tasks[task].outputs.isEmpty }

  private mutating func look() {
    let memory = plan.externals[random.below(plan.externals.count)]
    let index = random.below(plan.memories[memory].count)
    switch random.below(3) {
    case 0: plan.operations.append(.compare(plan.result))
    case 1:
      plan.operations.append(
        .value(memory: memory, index: index, expected: plan.memories[memory][index]))
    default: plan.set(memory, index, UInt32(truncatingIfNeeded: random.next()))
    }
  }

  /// Room for one more task of the current scope, whatever is done by then.
  private func hasRoom(bytes: Int) -> Bool {
    let sizes = configuration.rings[ring]
    let used = held[ring].reduce(0) { $0 + $1.bytes }
    let largest = max(bytes, held[ring].map(\.bytes).max() ?? 0)
    return held[ring].count < Int(sizes.consumedWindow)
      // A wrap gap may be as large as a block.
      && used + bytes + largest <= Int(sizes.heapBytes)
  }

  private mutating func submit() {
    // The root scope ends with the program: from the first task it holds, none of its
    // ring is CONSUMED until then.
    if scopes.count == 1 && !random.chance(1, in: 10) { begin() }
    let clusters = Int(configuration.clusters)
    var task = TaskPlan(mask: UInt32(random.among([0, 1, 1, 2, 2, 4, 3, 5, 6, 7])))
    if ranks > 1 { task.rank = random.below(ranks) }
    if task.mask != 0 && random.chance(1, in: 6) {
      task.blocks = UInt32(random.within(2...4))
      let places = task.mask == 2 || task.mask == 4 ? 2 * clusters : clusters
      task.startTogether = Int(task.blocks) <= places && random.chance(1, in: 2)
    }
    var unused = live.indices.shuffled(using: &random)
    if isWide { unused = Array(live.indices.suffix(2)) }
    for _ in 0..<random.within(0...(isWide ? 1 : 3)) {
      guard let choice = unused.popLast() else { break }
      let count = plan.memories[live[choice].memory].count
      let begin = random.chance(1, in: 2) ? 0 : random.below(count)
      let end = random.chance(1, in: 2) ? count : random.within(begin + 1...count)
      task.tensors.append(
        .init(
          memory: live[choice].memory, range: begin..<end,
          use: isWide && random.chance(3, in: 4)
            ? .input
            : random.among([
              .input, .input, .update, .update, .update, .outputExisting,
              // Of several ranks one alone may use a tensor without order.
              ranks > 1 ? .input : .noDependency,
            ])))
    }
    var outputs: [Int] = []
    // What a task without kernels puts out holds whatever was there before.
    if scopes.count > 1 && task.mask != 0 && random.chance(1, in: 2) {
      outputs = (0..<random.within(1...2)).map { _ in random.logarithmic(1...20) }
    }
    if random.chance(1, in: 8) && !plan.tasks.isEmpty {
      let other = random.below(plan.tasks.count)
      // What has no outputs may be retained for ever after.
      task.dependencies.append((other, !hasOutputs(other) && random.chance(1, in: 2)))
    }
    if random.chance(1, in: 8), let own = held[ring].last, scopes.contains(own.scope) {
      task.dependencies.removeAll { $0.task == own.task }
      task.dependencies.append((own.task, true))
    }
    if random.chance(1, in: 10), outputs.isEmpty, let choice = unused.popLast() {
      let memory = live[choice].memory
      let index = random.below(plan.memories[memory].count)
      task.predicate = .init(
        memory: memory, index: index,
        value: random.chance(1, in: 2) ? plan.memories[memory][index] : 1,
        isEqual: random.chance(1, in: 2))
    }
    if configuration.hasLink, ranks == 1, !task.tensors.isEmpty, random.chance(1, in: 3) {
      let isSend = random.chance(1, in: 2)
      task = TaskPlan(mask: 0, tensors: [task.tensors[0]], transfer: isSend ? .send : .receive)
      task.tensors[0].use = isSend ? .input : .outputExisting
      outputs = []
    }
    let bytes = outputs.reduce(0) { $0 + ($1 * 4 + 63) / 64 * 64 }
    guard hasRoom(bytes: bytes) else {
      if scopes.count > 1 { end() } else { begin() }
      return
    }
    guard plan.fanin(of: task) <= Int(configuration.rings[ring].dependencyPool) else { return }
    if !outputs.isEmpty || !held[ring].isEmpty {
      held[ring].append((scopes[scopes.count - 1], bytes, plan.tasks.count))
    }
    for memory in plan.submit(task, outputs: outputs) { live.append((memory, scopes.count)) }
  }
}
