import PTO2
import PTO2System

/// Tasks of a program that are recorded where they are submitted, and submitted again
/// later, with other tensors and scalars: for `--replay`.
struct ReplayDescription {
  /// The recording's number, from 0 on.
  var recording: Int
  /// What is submitted, as tasks of their own.
  var tasks: [TaskDescription]
  /// Tensors of the holes, by number.
  var holes: [Int]
  var scalars: [UInt64]
  /// Numbers of the tensors that are returned.
  var returned: [Int]
}

/// The next tasks are recorded.
struct RecordingDescription {
  var count: Int
  var holes: [Int]
  var scalars: [UInt64]
  /// Of a scalar beside scalar 0, by task and place there: its hole.
  var scalarHoles: [[Int: Int]]
  /// Numbers of the outputs that are returned.
  var returned: [Int]
}

extension Operation {
  /// What it submits.
  var tasks: [TaskDescription] {
    switch self {
    case .submit(let task): [task]
    case .replay(let replay): replay.tasks
    default: []
    }
  }
}

/// Puts recordings and replays into a program without explicit dependencies and manual
/// scopes.
struct ReplayMaker {
  private var random: SplitMix64
  private var description: Description
  private var operations: [Operation] = []
  private var recordings = 0
  private let isRecoverable: Bool

  /// - Parameter isRecoverable: holes stay different tensors, so that what a task can be
  ///   run again for stays true.
  init(seed: UInt64, _ description: Description, isRecoverable: Bool) {
    self.isRecoverable = isRecoverable
    random = SplitMix64(seed: seed &* 0xD129_0000_1F35 ^ 0x9E9)
    self.description = description
  }

  /// A tensor for each hole, which the end of the program compares.
  private var clones: [Int] = []
  /// Replays that wait for their place: before an operation of this depth's scope ends.
  private var pending: [(depth: Int, ReplayDescription)] = []

  mutating func run() -> Description {
    var depth = 0
    var next = 0
    let given = description.operations
    while next < given.count {
      switch given[next] {
      case .submit:
        let end = given[next...].firstIndex { if case .submit = $0 { false } else { true } }
        next = add(given[next..<(end ?? given.count)], depth)
        continue
      case .openScope: depth += 1
      case .closeScope:
        while let last = pending.last, last.depth == depth { replay(pending.removeLast().1) }
        depth -= 1
      default: break
      }
      operations.append(given[next])
      next += 1
    }
    while let last = pending.popLast() {
      if last.depth == depth { replay(last.1) }
    }
    for clone in clones {
      operations.append(.check(View(whole: clone, of: description.tensors[clone])))
    }
    description.operations = operations
    return description
  }

  /// Tasks that are submitted one after another; returns what comes after them.
  private mutating func add(_ run: ArraySlice<Operation>, _ depth: Int) -> Int {
    var next = run.startIndex
    while next < run.endIndex {
      let count = min(number(1...24), run.endIndex - next)
      if count < 2 || number(0...2) == 0 {
        operations += run[next..<next + count]
      } else {
        record(run[next..<next + count].flatMap(\.tasks), depth)
      }
      next += count
    }
    return next
  }

  private mutating func record(_ tasks: [TaskDescription], _ depth: Int) {
    var made: [Int] = []
    var used: [Int] = []
    for task in tasks {
      for argument in task.arguments where argument.access == .output {
        made.append(argument.view.tensor)
      }
      for view in task.arguments.map(\.view) + [task.predicate?.view].compactMap({ $0 })
      where !made.contains(view.tensor) && !used.contains(view.tensor) {
        used.append(view.tensor)
      }
    }
    let holes = used.filter { _ in number(0...2) > 0 }
    var recording = RecordingDescription(
      count: tasks.count, holes: holes, scalars: [], scalarHoles: [], returned: [])
    for task in tasks {
      var places: [Int: Int] = [:]
      for place in task.scalars.indices where number(0...1) == 0 {
        places[place] = recording.scalars.count
        recording.scalars.append(task.scalars[place])
      }
      recording.scalarHoles.append(places)
      // What no kernel has surely written is not to be looked at.
      guard task.predicate == nil, task.kernels.contains(where: { $0 != nil }) else { continue }
      for argument in task.arguments where argument.access == .output && number(0...2) == 0 {
        recording.returned.append(argument.view.tensor)
      }
    }
    operations.append(.record(recording))
    operations += tasks.map { .submit($0) }
    for _ in 0..<number(1...2) {
      let replay = again(tasks, recording, made)
      if number(0...1) == 0 { self.replay(replay) } else { pending.append((depth, replay)) }
    }
    recordings += 1
  }

  /// The tasks once more: their outputs are new tensors, the holes others of their kind,
  /// or the same.
  private mutating func again(
    _ tasks: [TaskDescription], _ recording: RecordingDescription, _ made: [Int]
  ) -> ReplayDescription {
    var names: [Int: Int] = [:]
    for tensor in made {
      description.tensors.append(description.tensors[tensor])
      names[tensor] = description.tensors.count - 1
    }
    for hole in recording.holes where number(0...3) > 0 {
      names[hole] = clone(of: hole, notOf: isRecoverable ? Set(names.values) : [])
    }
    let scalars = recording.scalars.map { _ in random.next() }
    var copies = tasks
    for index in copies.indices {
      for place in copies[index].arguments.indices {
        let tensor = copies[index].arguments[place].view.tensor
        copies[index].arguments[place].view.tensor = names[tensor] ?? tensor
      }
      if let tensor = copies[index].predicate?.view.tensor {
        copies[index].predicate!.view.tensor = names[tensor] ?? tensor
      }
      for (place, hole) in recording.scalarHoles[index] {
        copies[index].scalars[place] = scalars[hole]
      }
    }
    return ReplayDescription(
      recording: recordings, tasks: copies, holes: recording.holes.map { names[$0] ?? $0 },
      scalars: scalars, returned: recording.returned.map { names[$0]! })
  }

  /// An external tensor of the same kind: one of those there are, or a new one. Two holes
  /// may get the same.
  private mutating func clone(of tensor: Int, notOf taken: Set<Int>) -> Int {
    let kind = description.tensors[tensor]
    let known = clones.filter {
      description.tensors[$0].shape == kind.shape && description.tensors[$0].type == kind.type
        && !taken.contains($0)
    }
    if known.count > 2 || number(0...2) == 0, let one = known.randomElement(using: &random) {
      return one
    }
    var copy = kind
    copy.isExternal = true
    description.tensors.append(copy)
    clones.append(description.tensors.count - 1)
    return clones.last!
  }

  private mutating func replay(_ replay: ReplayDescription) {
    // Parts of a task may not read what others write, as two holes that are one would.
    let isSound = replay.tasks.allSatisfy { task in
      task.parts == 1
        || task.arguments.indices.allSatisfy { index in
          task.arguments[..<index].allSatisfy { other in
            other.isRead && task.arguments[index].isRead
              || !other.view.overlaps(task.arguments[index].view)
          }
        }
    }
    guard isSound else { return }
    operations.append(.replay(replay))
    for tensor in replay.returned where number(0...3) == 0 {
      operations.append(.check(View(whole: tensor, of: description.tensors[tensor])))
    }
  }

  private mutating func number(_ range: ClosedRange<Int>) -> Int {
    Int.random(in: range, using: &random)
  }
}

extension Description {
  var hasReplays: Bool { operations.contains { if case .replay = $0 { true } else { false } } }
}
