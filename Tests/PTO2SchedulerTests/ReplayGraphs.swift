import CPTO2Segment
import PTO2Protocol
import PTO2System
import Testing

@testable import PTO2Orchestrator

/// Random tasks as data, that a test submits as they are, records and replays.
struct ReplayBody {
  /// Where the views of a body's tasks lie.
  enum Views: CaseIterable {
    /// Any ranges of bytes.
    case ranges
    /// Tiles of a matrix: the same one or disjoint.
    case tiles
    /// Any slices with steps of a matrix.
    case mixed
  }

  /// 64 elements, one dimension or two.
  static func shape(_ views: Views) -> Shape { views == .ranges ? Shape(64) : Shape(8, 8) }

  struct Use {
    enum Tensor {
      case hole(Int)
      case fixed(Int)
      case made(Int)
    }
    var tensor: Tensor
    var access: Access
    var begin: [Int]
    var extent: [Int]
    var steps: [Int]
  }
  struct Task {
    var mask: Int
    var uses: [Use]
    var outputs: Int
    var scalars: [(value: UInt64, hole: Int?)]
    var after: [(task: Int, isRetained: Bool)]
    var predicate: Use?
    var blocks: Int
    var recovery: Recovery
  }

  let views: Views
  let holes = 3
  let fixed = 2
  let scalars = 2
  var tasks: [Task] = []
  /// Of the outputs made, those that are handed out.
  var returned: [Int] = []

  init(_ views: Views, tasks count: Int, _ random: inout SplitMix64) {
    self.views = views
    var made = 0
    for number in 0..<count {
      var task = Task(
        mask: Int.random(in: 0..<8, using: &random), uses: [],
        outputs: [0, 0, 1, 2].randomElement(using: &random)!, scalars: [], after: [],
        predicate: nil, blocks: 1, recovery: .automatic)
      for _ in 0..<Int.random(in: 0...3, using: &random) { task.uses.append(use(made, &random)) }
      for _ in 0..<Int.random(in: 0...3, using: &random) {
        let isHole = Bool.random(using: &random)
        task.scalars.append(
          (random.next(), isHole ? Int.random(in: 0..<scalars, using: &random) : nil))
      }
      if number > 0, Int.random(in: 0..<4, using: &random) == 0 {
        task.after.append(
          (Int.random(in: 0..<number, using: &random), Bool.random(using: &random)))
      }
      if Int.random(in: 0..<6, using: &random) == 0 {
        task.predicate = use(made, &random)
        task.predicate!.extent = task.predicate!.extent.map { _ in 1 }
      }
      if Int.random(in: 0..<6, using: &random) == 0 { task.blocks = 3 }
      if task.blocks == 1 && task.mask.nonzeroBitCount == 1
        && !task.uses.contains(where: { $0.access == .noDependency || $0.access == .outputExisting }
        )
      {
        task.recovery = [.automatic, .again, .snapshot].randomElement(using: &random)!
      }
      made += task.outputs
      self.tasks.append(task)
    }
    returned = (0..<made).filter { _ in Int.random(in: 0..<3, using: &random) == 0 }
  }

  private func use(_ made: Int, _ random: inout SplitMix64) -> Use {
    let tensor: Use.Tensor =
      switch Int.random(in: 0..<4, using: &random) {
      case 0, 1: .hole(Int.random(in: 0..<holes, using: &random))
      case 2 where made > 0: .made(Int.random(in: 0..<made, using: &random))
      default: .fixed(Int.random(in: 0..<fixed, using: &random))
      }
    let access: Access =
      [.input, .input, .inout, .outputExisting, .noDependency].randomElement(using: &random)!
    var use = Use(tensor: tensor, access: access, begin: [], extent: [], steps: [])
    switch views {
    case .ranges:
      // Some often, so that the same view comes again.
      let begin = Bool.random(using: &random) ? 0 : Int.random(in: 0..<64, using: &random)
      let end = begin == 0 ? 32 : Int.random(in: begin + 1...64, using: &random)
      (use.begin, use.extent, use.steps) = ([begin], [end - begin], [1])
    case .tiles:
      let place = [0, 4].randomElement(using: &random)!
      use.begin = [place, [0, 4].randomElement(using: &random)!]
      (use.extent, use.steps) = ([4, 4], [1, 1])
    case .mixed:
      use.steps = (0..<2).map { _ in Int.random(in: 1...3, using: &random) }
      use.begin = (0..<2).map { _ in Int.random(in: 0..<4, using: &random) }
      use.extent = (0..<2).map { d in
        Int.random(in: 1...(7 - use.begin[d]) / use.steps[d] + 1, using: &random)
      }
    }
    return use
  }

  /// Submits the tasks.
  /// - Parameters:
  ///   - isRecorded: scalars that are holes are said to be.
  ///   - submitted: each task's number and id.
  /// - Returns: the outputs to be handed out.
  func submit(
    _ rig: Rig, holes: [AnyTensor], fixed: [AnyTensor], scalars: [UInt64], isRecorded: Bool,
    submitted: (Int, TaskID) -> Void = { _, _ in }
  ) throws -> [AnyTensor] {
    var made: [AnyTensor] = []
    var ids: [TaskID] = []
    func view(_ use: Use) throws -> AnyTensor {
      let base =
        switch use.tensor {
        case .hole(let index): holes[index]
        case .fixed(let index): fixed[index]
        case .made(let index): made[index]
        }
      return try base.slice(from: use.begin, shape: Shape(use.extent), steps: use.steps)
    }
    for (number, task) in tasks.enumerated() {
      let uses = try task.uses.map { ($0.access, try view($0)) }
      let predicate = try task.predicate.map { try view($0) }
      var outputs: [AnyTensor] = []
      let id = try rig.submit(
        aic: task.mask & 1 != 0, aiv0: task.mask & 2 != 0, aiv1: task.mask & 4 != 0
      ) { arguments in
        outputs = describe(task, uses, scalars, isRecorded: isRecorded, to: &arguments)
        for (other, isRetained) in task.after {
          if isRetained { arguments.retain(ids[other]) } else { arguments.after(ids[other]) }
        }
        if let predicate {
          arguments.run(
            when: predicate, at: Array(repeating: 0, count: predicate.shape.rank),
            is: .atLeast(1) as Condition<Int>)
        }
        arguments.blocks(task.blocks)
        arguments.recovery = task.recovery
      }
      ids.append(id)
      submitted(number, id)
      made += outputs
    }
    return returned.map { made[$0] }
  }

  /// Tensors and scalars of a task; returns its outputs.
  private func describe(
    _ task: Task, _ uses: [(Access, AnyTensor)], _ scalars: [UInt64], isRecorded: Bool,
    to arguments: inout TaskBuilder
  ) -> [AnyTensor] {
    var outputs: [AnyTensor] = []
    for (access, tensor) in uses {
      switch access {
      case .input, .output: arguments.input(tensor)
      case .inout: arguments.inout(tensor)
      case .outputExisting: arguments.overwrite(tensor)
      case .noDependency: arguments.unordered(tensor)
      }
    }
    for _ in 0..<task.outputs {
      outputs.append(arguments.output(of: .int8, Self.shape(views)))
    }
    for (value, hole) in task.scalars {
      if let hole {
        if isRecorded {
          arguments.scalar(hole: hole)
        } else {
          arguments.scalar(bits: scalars[hole])
        }
      } else {
        arguments.scalar(bits: value)
      }
    }
    return outputs
  }
}

/// What stands in the segment of one task, ids and all.
struct WrittenTask: Equatable {
  var header: [UInt8]
  var calls: [UInt64]
  var tensors: [[UInt8]]
  var scalars: [UInt64]
  var predicate: [UInt8]
  /// With flags.
  var fanin: Set<UInt64>

  init(_ task: TaskID, _ rig: Rig) {
    let slot = rig.slot(task)
    var same = slot
    // Compared by what is in the list.
    (same.fanin_first, same.fanin_count) = (0, 0)
    header = withUnsafeBytes(of: same) { Array($0) }
    let descriptor = rig.worker.descriptors(task.ring)[task.local]
    calls = (0..<3).map { descriptor.call($0).rawValue }
    let payload = rig.payload(task)!
    let count = Int(slot.tensor_count)
    tensors = (0..<count).map { index in withUnsafeBytes(of: payload.tensor(index)) { Array($0) } }
    let arguments = payload.arguments(of: descriptor)
    scalars = (0..<count + Int(slot.scalar_count)).map { arguments[$0] }
    predicate =
      SlotFlags(rawValue: slot.flags).contains(.predicate)
      ? withUnsafeBytes(of: payload.predicate) { Array($0) } : []
    let list = rig.fanin(task)
    fanin = Set(list.map(\.rawValue))
    #expect(Set(list.map(\.producer)).count == list.count, "a producer twice")
  }
}

extension Rig {
  /// A task's fanin list.
  func fanin(_ task: TaskID) -> [FaninWord] {
    let slot = slot(task)
    return (0..<slot.fanin_count).map { worker.fanin(task.ring)[slot.fanin_first &+ $0].word }
  }
}
