import PTO2
import PTO2CommandLine
import PTO2System

/// Session options for a description: small rings, so that every kind of
/// back-pressure happens, but large enough for what open scopes hold.
struct SessionShape {
  var clusters: UInt32
  var lanes: UInt32
  var threads: UInt32
  var rings: Int
  var firstPosition: UInt32
  var taskWindows: [Int]
  var consumedWindows: [Int]
  var heaps: [Int]
  var dependencyPools: [Int]
  var tensorMap: Int

  /// - Parameter rings: how many, when the command line says so.
  init(_ description: Description, seed: UInt64, rings chosen: Int?) {
    // Not the generator's numbers: options must not change the program.
    var random = SplitMix64(seed: ~seed)
    clusters = UInt32.random(in: 1...3, using: &random)
    lanes = UInt32.random(in: 1...8, using: &random)
    let count = Int.random(in: 1...8, using: &random)
    rings = chosen ?? count
    // Positions that wrap during the run, as 32 bits and as signed 32 bits.
    let before = UInt32.random(in: 0..<600, using: &random)
    firstPosition = [0, 0 &- before, 0 &- before, 0x8000_0000 &- before].randomElement(
      using: &random)!

    let needs = Self.needs(description, rings: rings)
    taskWindows = (0..<rings).map { _ in 4 << Int.random(in: 0...4, using: &random) }
    let windows = taskWindows
    consumedWindows = needs.indices.map { powerOfTwo(max(windows[$0], needs[$0].tasks)) }
    // A block that wraps leaves a gap smaller than itself.
    heaps = needs.map { need in
      let bytes = need.bytes + need.largestBlock
      return max(64, bytes + [0, 0, 64, bytes / 128 * 64].randomElement(using: &random)!)
    }
    // Producers are owners of tensors, retained, or not RELEASED: at most the
    // windows.
    let pool = powerOfTwo(windows.reduce(0, +) + 20)
    dependencyPools = (0..<rings).map { _ in pool << Int.random(in: 0...1, using: &random) }
    threads = [1, 1, 2, 3].randomElement(using: &random)!
    let largest = description.operations.map(Self.records).max() ?? 0
    let factor = [1, 1, 1, 10000].randomElement(using: &random)!
    // Replays need more of it than a task, and of a small one have no use.
    tensorMap = largest * (description.hasReplays ? 10001 - factor : factor)
  }

  func apply(to options: inout RuntimeOptions, isGiven: (String) -> Bool) {
    func list(_ values: [Int]) -> String { values.map(String.init).joined(separator: ",") }
    if !isGiven("--clusters") { options.sizes.clusters = clusters }
    if !isGiven("--lanes") { options.sizes.lanes = lanes }
    if !isGiven("--threads") { options.sizes.threads = threads }
    if !isGiven("--rings") { options.sizes.rings = rings }
    if !isGiven("--first-position") { options.firstPosition = firstPosition }
    if !isGiven("--heap") { options.sizes.heap = list(heaps) }
    if !isGiven("--arena") { options.sizes.arena = "1M" }
    if !isGiven("--tensor-map") { options.sizes.tensorMap = "\(max(1, tensorMap))" }
    if !isGiven("--task-window") {
      options.sizes.taskWindow = list(taskWindows)
      if !isGiven("--dep-pool") { options.sizes.depPool = list(dependencyPools) }
      if !isGiven("--consumed-window") { options.sizes.consumedWindow = list(consumedWindows) }
    } else if !isGiven("--consumed-window") {
      options.sizes.consumedWindow = "64K"
    }
  }

  /// Records of the TensorMap that one task needs at most: one for a view with gaps,
  /// the places between the ends of those without.
  private static func records(_ operation: Operation) -> Int {
    operation.tasks.map { 2 + 2 * $0.arguments.count }.max() ?? 0
  }

  private struct Need {
    var tasks = 0
    var bytes = 0
    var largestBlock = 0
  }

  /// What each ring must hold at most so that it can always drain: everything from the
  /// oldest task with outputs and an open scope on.
  private static func needs(_ description: Description, rings: Int) -> [Need] {
    struct Scope {
      /// Tasks and bytes submitted to its ring before its own first task with outputs.
      var tasksBefore: Int?
      var bytesBefore = 0
    }
    var needs = [Need](repeating: Need(), count: rings)
    var tasks = [Int](repeating: 0, count: rings)
    var bytes = [Int](repeating: 0, count: rings)
    var scopes = [Scope()]
    func submit(_ task: TaskDescription) {
      let ring = min(scopes.count - 1, rings - 1)
      let hasOutputs = task.arguments.contains { $0.access == .output }
      if hasOutputs, scopes[scopes.count - 1].tasksBefore == nil {
        scopes[scopes.count - 1] = Scope(tasksBefore: tasks[ring], bytesBefore: bytes[ring])
      }
      let block = heapBytes(task, description)
      tasks[ring] += 1
      bytes[ring] += block
      let oldest = scopes.enumerated().filter {
        $0.element.tasksBefore != nil && min($0.offset, rings - 1) == ring
      }.map(\.element)
      let tasksBefore = oldest.map { $0.tasksBefore! }.min() ?? tasks[ring] - 1
      let bytesBefore = oldest.map(\.bytesBefore).min() ?? bytes[ring] - block
      needs[ring].tasks = max(needs[ring].tasks, tasks[ring] - tasksBefore)
      needs[ring].bytes = max(needs[ring].bytes, bytes[ring] - bytesBefore)
      needs[ring].largestBlock = max(needs[ring].largestBlock, block)
    }
    for operation in description.operations {
      switch operation {
      case .openScope: scopes.append(Scope())
      case .closeScope: scopes.removeLast()
      default: for task in operation.tasks { submit(task) }
      }
    }
    return needs
  }
}

/// What a task takes from the heap: its outputs, and its snapshot.
private func heapBytes(_ task: TaskDescription, _ description: Description) -> Int {
  let kept = task.recovery == .snapshot && task.parts == 1
  return task.arguments.reduce(kept ? 64 : 0) { sum, argument in
    let tensor = description.tensors[argument.view.tensor]
    switch argument.access {
    case .output: return sum + tensor.heapBytes
    case .inout where kept:
      return sum + (argument.view.elements.count * tensor.type.byteCount + 63) / 64 * 64
    default: return sum
    }
  }
}

private func powerOfTwo(_ atLeast: Int) -> Int {
  var value = 4
  while value < atLeast { value *= 2 }
  return value
}
