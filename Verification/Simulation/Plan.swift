internal import PTO2Protocol

/// How a task of a simulated program uses a tensor.
enum Use { case input, update, outputExisting, noDependency }

/// One task, and what an interpreter knows of it.
struct TaskPlan {
  struct Tensor {
    var memory: Int
    var range: Range<Int>
    var use: Use
  }
  struct Predicate {
    var memory: Int
    var index: Int
    var value: UInt32
    /// Runs the task when the element equals the value; else when it differs.
    var isEqual: Bool
  }
  /// Bit per slot.
  var mask: UInt32
  var blocks: UInt32 = 1
  var startTogether = false
  var tensors: [Tensor] = []
  /// Memories it puts out.
  var outputs: [Int] = []
  var dependencies: [(task: Int, isRetained: Bool)] = []
  var predicate: Predicate?
  var salt: UInt32 = 0
  /// False when the predicate is: then no kernel of it runs.
  var runs = true
  /// Tasks whose kernels must be over before one of its kernels starts; found
  /// element by element, without the runtime.
  var producers: Set<Int> = []

  /// The rank that runs it.
  var rank = 0

  /// A transfer of its one tensor, which is read or overwritten; it has no kernels.
  var transfer: TransferOrder.Direction?
  /// What a send sends.
  var sent: [UInt32] = []

  /// A transfer counts as one.
  var kernels: Int {
    if transfer != nil { return 1 }
    return runs ? mask.nonzeroBitCount * Int(blocks) : 0
  }

  /// What comes from the other rank for an element.
  func received(_ place: Int) -> UInt32 { salt &+ 7919 &* UInt32(place) }
}

/// What the program does, in order.
enum Operation {
  case beginScope
  case endScope
  case submit(Int)
  /// Waits for everything and compares every external tensor.
  case compare([[UInt32]])
  /// `Graph.value` and `setValue` of an external tensor's element.
  case value(memory: Int, index: Int, expected: UInt32)
  case setValue(memory: Int, index: Int, value: UInt32)
}

/// A program with its result, interpreted task by task while it is made.
struct Plan {
  var externals: [Int] = []
  var operations: [Operation] = []
  var tasks: [TaskPlan] = []
  /// So many run it together.
  var ranks = 1
  /// Elements of each memory: externals first seen, then outputs.
  private(set) var memories: [[UInt32]] = []

  private struct Element {
    var writer: Int?
    var readers: [Int] = []
  }
  private var elements: [[Element]] = []
  private var owners: [Int?] = []

  mutating func external(_ count: Int) -> Int {
    externals.append(memories.count)
    return memory(count, owner: nil)
  }

  private mutating func memory(_ count: Int, owner: Int?) -> Int {
    memories.append([UInt32](repeating: 0, count: count))
    elements.append([Element](repeating: Element(writer: owner), count: count))
    owners.append(owner)
    return memories.count - 1
  }

  /// All externals as they are now.
  var result: [[UInt32]] { externals.map { memories[$0] } }

  /// Adds a task; its outputs have `outputs` elements each.
  /// - Returns: their memories.
  @discardableResult
  mutating func submit(_ task: TaskPlan, outputs: [Int] = []) -> [Int] {
    var task = task
    let index = tasks.count
    task.salt = UInt32(truncatingIfNeeded: index &* 2_654_435_769 &+ 12345)
    // Across ranks a task awaits what it needs of others alone: what they still read, or had
    // written, is a copy of theirs.
    let needed = sources(of: task)
    let found = producers(of: task).filter {
      tasks[$0].rank == task.rank || needed.contains($0)
    }
    for tensor in task.tensors where tensor.use != .noDependency {
      access(tensor.memory, tensor.range, index, isWrite: tensor.use != .input)
    }
    if let predicate = task.predicate {
      access(predicate.memory, predicate.index..<predicate.index + 1, index, isWrite: false)
      let value = memories[predicate.memory][predicate.index]
      task.runs = (value == predicate.value) == predicate.isEqual
    }
    // A task without kernels is over when its producers are.
    for producer in found {
      if tasks[producer].kernels > 0 {
        task.producers.insert(producer)
      } else {
        task.producers.formUnion(tasks[producer].producers)
      }
    }
    task.outputs = outputs.map { memory($0, owner: index) }
    if task.transfer == .send {
      task.sent = Array(memories[task.tensors[0].memory][task.tensors[0].range])
    }
    interpret(task)
    tasks.append(task)
    operations.append(.submit(index))
    return task.outputs
  }

  private mutating func access(_ memory: Int, _ range: Range<Int>, _ task: Int, isWrite: Bool) {
    for index in range {
      if isWrite {
        elements[memory][index] = Element(writer: task)
      } else {
        elements[memory][index].readers.append(task)
      }
    }
  }

  /// Tasks that one submitted now has to wait for.
  func producers(of task: TaskPlan) -> Set<Int> {
    var found = Set(task.dependencies.map(\.task))
    func look(_ memory: Int, _ range: Range<Int>, isWrite: Bool) {
      if let owner = owners[memory] { found.insert(owner) }
      for index in range {
        if let writer = elements[memory][index].writer { found.insert(writer) }
        if isWrite { found.formUnion(elements[memory][index].readers) }
      }
    }
    for tensor in task.tensors where tensor.use != .noDependency {
      look(tensor.memory, tensor.range, isWrite: tensor.use != .input)
    }
    if let predicate = task.predicate {
      look(predicate.memory, predicate.index..<predicate.index + 1, isWrite: false)
    }
    return found
  }

  /// Those whose results it uses, or that it is to come after.
  private func sources(of task: TaskPlan) -> Set<Int> {
    var found = Set(task.dependencies.map(\.task))
    for tensor in task.tensors where tensor.use == .input || tensor.use == .update {
      found.formUnion(elements[tensor.memory][tensor.range].compactMap(\.writer))
    }
    if let predicate = task.predicate,
      let writer = elements[predicate.memory][predicate.index].writer
    {
      found.insert(writer)
    }
    return found
  }

  /// Entries of its fanin list at most: the owner of a tensor in the heap is in
  /// there whatever the use.
  func fanin(of task: TaskPlan) -> Int {
    let others = task.tensors.filter { $0.use == .noDependency }.compactMap { owners[$0.memory] }
    return producers(of: task).union(others).count
  }

  /// For each task of each ring, in order: how many log records there are when the scope
  /// that holds it has ended. 0 for a task without outputs, which no scope holds.
  func scopeEnds(rings: Int) -> [[Int]] {
    var ends = [[Int]](repeating: [], count: rings)
    var open: [[(ring: Int, index: Int)]] = [[]]
    var records = 0
    func end() {
      let held = open.removeLast()
      if !held.isEmpty { records += 1 }
      for task in held { ends[task.ring][task.index] = records }
    }
    for operation in operations {
      switch operation {
      case .beginScope: open.append([])
      case .endScope: end()
      case .submit(let task):
        let ring = min(open.count, rings) - 1
        records += 1
        if !tasks[task].outputs.isEmpty {
          open[open.count - 1].append((ring, ends[ring].count))
        }
        ends[ring].append(0)
      default: break
      }
    }
    while !open.isEmpty { end() }
    return ends
  }

  mutating func set(_ memory: Int, _ index: Int, _ value: UInt32) {
    memories[memory][index] = value
    operations.append(.setValue(memory: memory, index: index, value: value))
  }

  /// What kernels.c does, one kernel after the other.
  private mutating func interpret(_ task: TaskPlan) {
    guard task.runs else { return }
    if task.transfer == .receive {
      let tensor = task.tensors[0]
      for (place, index) in tensor.range.enumerated() {
        memories[tensor.memory][index] = task.received(place)
      }
    }
    let shares = Int(task.blocks) * task.mask.nonzeroBitCount
    var hash = task.salt
    for tensor in task.tensors where tensor.use == .input {
      for index in tensor.range { hash = hash &* 31 &+ memories[tensor.memory][index] }
    }
    for _ in 0..<min(shares, 1) {
      for (number, tensor) in task.tensors.enumerated() {
        guard tensor.use == .update || tensor.use == .outputExisting else { continue }
        for (place, index) in tensor.range.enumerated() {
          var value = hash &+ 7919 &* UInt32(place) &+ UInt32(number)
          if tensor.use == .update { value &+= memories[tensor.memory][index] &* 2_654_435_761 }
          memories[tensor.memory][index] = value
        }
      }
      for (number, output) in task.outputs.enumerated() {
        for place in memories[output].indices {
          memories[output][place] =
            hash &+ 7919 &* UInt32(place) &+ UInt32(task.tensors.count + number)
        }
      }
    }
  }
}
