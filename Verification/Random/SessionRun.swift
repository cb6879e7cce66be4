import PTO2
import PTO2System

/// The first difference between what a session shows and the reference.
struct Mismatch: CustomStringConvertible {
  var operation: Int
  var view: View
  var place: Int
  var expected: UInt64
  var found: UInt64

  var description: String {
    "operation \(operation), check \(view): element \(place) (\(view.elements[place]) of t\(view.tensor)) is \(found), expected \(expected)"
  }
}

/// Runs a description in a session.
struct SessionRun {
  let description: Description
  let expected: [[UInt64]]
  private(set) var mismatch: Mismatch?
  private var tensors: [AnyTensor?]
  /// Of the tasks submitted so far, in order.
  private var ids: [TaskID] = []
  private var templates: [TaskTemplate] = []
  /// Of the task to be submitted: holes of its scalars.
  private var scalarHoles: [Int: Int] = [:]
  private var isRecording = false
  // Which outputs are kept is no part of the program: it changes no result.
  private var random: SplitMix64
  private let keptPercent: Int
  /// Kept outputs of the open scopes, which are freed when these end, and their bytes.
  private var kept: [[(tensor: AnyTensor, bytes: Int)]] = [[]]
  private var keptBytes = 0
  /// Where tensors are at home and tasks run: no part of the program either.
  private var places: SplitMix64
  private let placedPercent: Int

  /// - Parameter isPlaced: by chance, on any rank; otherwise nothing is said of that.
  init(_ description: Description, expected: [[UInt64]], seed: UInt64, isPlaced: Bool = false) {
    self.description = description
    self.expected = expected
    random = SplitMix64(seed: seed &* 0x9E37_79B9_7F4A_7C15 ^ 0x4E97)
    keptPercent = [0, 0, 20, 60].randomElement(using: &random)!
    tensors = Array(repeating: nil, count: description.tensors.count)
    places = SplitMix64(seed: seed &* 0x9E37_79B9_7F4A_7C15 ^ 0x9ACE)
    let placed = [10, 50, 100].randomElement(using: &places)!
    placedPercent = isPlaced ? placed : 0
  }

  private mutating func place(_ graph: Graph) -> Int? {
    guard placedPercent > 0, Int.random(in: 0..<100, using: &places) < placedPercent else {
      return nil
    }
    return Int.random(in: 0..<graph.ranks, using: &places)
  }

  /// Stops at the first difference.
  mutating func run(_ graph: Graph) throws {
    let aic = [try graph.kernel("random_aic_a"), try graph.kernel("random_aic_b")]
    let aiv = [try graph.kernel("random_aiv_a"), try graph.kernel("random_aiv_b")]
    for (index, tensor) in description.tensors.enumerated() where tensor.isExternal {
      tensors[index] = try graph.externalTensor(
        of: tensor.type, Shape(tensor.shape), on: place(graph))
    }
    func submit(_ task: TaskDescription, _ run: inout SessionRun) throws {
      try run.submit(
        task, graph, task.kernels[0].map { aic[$0] }, task.kernels[1].map { aiv[$0] },
        task.kernels[2].map { aiv[$0] })
    }
    var checks = expected.makeIterator()
    var recorded = 0
    for (index, operation) in description.operations.enumerated() {
      switch operation {
      case .submit where recorded > 0: recorded -= 1
      case .record(let recording):
        recorded = recording.count
        let tasks = description.operations[index + 1...index + recorded].flatMap(\.tasks)
        isRecording = true
        defer { isRecording = false }
        try record(recording, graph) { run in
          for (number, task) in tasks.enumerated() {
            run.scalarHoles = recording.scalarHoles[number]
            try submit(task, &run)
          }
          run.scalarHoles = [:]
        }
      case .replay(let replay): try self.replay(replay, graph)
      case .openScope(let isManual):
        try graph.beginScope(isManual ? .manual : .automatic)
        kept.append([])
      case .closeScope:
        try graph.endScope()
        for (tensor, bytes) in kept.removeLast() {
          keptBytes -= bytes
          try graph.free(tensor)
        }
      case .wait: try graph.wait()
      case .submit(let task): try submit(task, &self)
      case .write(let view, let salt):
        let target = try tensor(view)
        switch target.dataType.byteCount {
        case 1: try write(graph, target, salt, as: UInt8.self)
        case 2: try write(graph, target, salt, as: UInt16.self)
        case 4: try write(graph, target, salt, as: UInt32.self)
        default: try write(graph, target, salt, as: UInt64.self)
        }
      case .check(let view):
        let found = try elements(graph, try tensor(view))
        let expected = checks.next()!
        if let place = found.indices.first(where: { found[$0] != expected[$0] }) {
          mismatch = Mismatch(
            operation: index, view: view, place: place, expected: expected[place],
            found: found[place])
          return
        }
      }
    }
    // Those that the program leaves open end with it, also where others come after it.
    for _ in kept.dropFirst() { try graph.endScope() }
  }

  private mutating func record(
    _ recording: RecordingDescription, _ graph: Graph, _ body: (inout SessionRun) throws -> Void
  ) throws {
    let holes = recording.holes.map { tensors[$0]! }
    templates.append(
      try graph.record(tensors: holes, scalars: recording.scalars) { outputs in
        try body(&self)
        outputs = recording.returned.map { tensors[$0]! }
      })
  }

  private mutating func replay(_ replay: ReplayDescription, _ graph: Graph) throws {
    let replayed = try graph.replay(
      templates[replay.recording], tensors: replay.holes.map { tensors[$0]! },
      scalars: replay.scalars)
    for number in 0..<replayed.taskCount { ids.append(replayed.task(number)) }
    for (tensor, output) in zip(replay.returned, replayed.outputs) { tensors[tensor] = output }
  }

  private func tensor(_ view: View) throws -> AnyTensor {
    var tensor = tensors[view.tensor]!
    for step in view.steps {
      switch step {
      case .slice(let offsets, let shape):
        tensor = try tensor.slice(from: offsets, shape: Shape(shape))
      case .every(let steps, let offsets, let shape):
        tensor = try tensor.slice(from: offsets, shape: Shape(shape), steps: steps)
      case .reshape(let shape): tensor = try tensor.reshaped(to: Shape(shape))
      case .transpose(let first, let second): tensor = try tensor.transposed(first, second)
      case .broadcast(let shape): tensor = try tensor.broadcast(to: Shape(shape))
      }
    }
    return tensor
  }

  private mutating func submit(
    _ task: TaskDescription, _ graph: Graph, _ aic: Kernel?, _ aiv0: Kernel?, _ aiv1: Kernel?
  ) throws {
    let arguments = try task.arguments.map { argument in
      argument.access == .output ? nil : try tensor(argument.view)
    }
    let isKept = task.arguments.map { $0.access == .output && wantsKept($0.view.tensor) }
    let predicate = try task.predicate.map { ($0, try tensor($0.view)) }
    let rank = place(graph)
    let (outputs, id) = try graph.submit(aic: aic, aiv0: aiv0, aiv1: aiv1) { staged in
      var outputs: [(Int, AnyTensor)] = []
      for (place, (argument, tensor)) in zip(task.arguments, arguments).enumerated() {
        switch argument.access {
        case .input: staged.input(tensor!)
        case .inout: staged.inout(tensor!)
        case .outputExisting: staged.overwrite(tensor!)
        case .readUntracked, .updatedUntracked: staged.unordered(tensor!)
        case .output:
          let tensor = description.tensors[argument.view.tensor]
          let shape = Shape(tensor.shape)
          outputs.append(
            (
              argument.view.tensor,
              isKept[place]
                ? staged.keptOutput(of: tensor.type, shape) : staged.output(of: tensor.type, shape)
            ))
        }
      }
      staged.recovery = task.recovery
      if let rank { staged.run(on: rank) }
      staged.scalar(bits: task.control)
      for (place, scalar) in task.scalars.enumerated() {
        if let hole = scalarHoles[place] {
          staged.scalar(hole: hole)
        } else {
          staged.scalar(bits: scalar)
        }
      }
      if task.blocks > 1 || task.startTogether {
        staged.blocks(task.blocks, startTogether: task.startTogether)
      }
      if let (predicate, tensor) = predicate {
        switch predicate.value {
        case .integer(let value):
          staged.run(
            when: tensor, at: predicate.index, is: Condition(predicate.comparison, value))
        case .real(let value):
          staged.run(
            when: tensor, at: predicate.index, is: Condition(predicate.comparison, value))
        }
      }
      for dependency in task.dependencies {
        let id = ids[dependency.task]
        if dependency.isRetained { staged.retain(id) } else { staged.after(id) }
      }
      return (outputs, staged.id)
    }
    ids.append(id)
    for (index, tensor) in outputs { tensors[index] = tensor }
    for (argument, isKept) in zip(task.arguments, isKept) where isKept {
      let tensor = argument.view.tensor
      kept[kept.count - 1].append((tensors[tensor]!, description.tensors[tensor].heapBytes))
    }
  }

  /// By chance, while the arena has room.
  private mutating func wantsKept(_ tensor: Int) -> Bool {
    let bytes = description.tensors[tensor].heapBytes
    guard !isRecording, keptBytes + bytes <= 256 << 10,
      Int.random(in: 0..<100, using: &random) < keptPercent
    else { return false }
    keptBytes += bytes
    return true
  }

  private func write<Element: IntegerTensorElement>(
    _ graph: Graph, _ tensor: AnyTensor, _ salt: UInt64, as type: Element.Type
  ) throws {
    try graph.write(tensor.bitCast(to: type)) { elements in
      for i in elements.indices {
        elements[i] = Element(truncatingIfNeeded: Reference.written(i, salt))
      }
    }
  }

  private func elements(_ graph: Graph, _ tensor: AnyTensor) throws -> [UInt64] {
    func read<Element: IntegerTensorElement>(_ type: Element.Type) throws -> [UInt64] {
      try graph.read(tensor.bitCast(to: type)) { elements in elements.map { UInt64($0) } }
    }
    return switch tensor.dataType.byteCount {
    case 1: try read(UInt8.self)
    case 2: try read(UInt16.self)
    case 4: try read(UInt32.self)
    default: try read(UInt64.self)
    }
  }
}
