import CTaskBench
import PTO2Orchestrator
import PTO2Protocol

/// A task of the graph, and when its kernel ran, by the virtual clock.
struct VirtualTask {
  var step: UInt32
  var copy: Int
  var point: UInt32
  var core = 0
  var begin = 0
  var end = 0
  var runs = 0
}

/// Submits graphs of Task Bench that lie beside one another, as `taskbench-pto2` does, and
/// checks afterwards what became of them. Of the points of a step every third one is an AIC's.
final class VirtualProgram {
  let graph: Graph
  private var shape = taskbench_graph()
  private let copies: Int
  private(set) var tasks: [VirtualTask] = []
  /// Numbers of the first task of each copy in each step.
  private var firsts: [[Int]] = []
  /// What the last two steps put out, by copy and point.
  private var before: [[Tensor<Int64>?]]
  private var current: [[Tensor<Int64>?]]
  private var next: (step: UInt32, copy: Int, points: UInt64)
  private(set) var isDone = false

  private static let kernels = [
    Kernel(call: CallWord(image: 0, offset: 64).rawValue, id: 0, coreType: .aic),
    Kernel(call: CallWord(image: 0, offset: 128).rawValue, id: 1, coreType: .aiv),
  ]

  init(_ graph: Graph, _ setting: Setting) throws {
    self.graph = graph
    copies = setting.copies
    shape.pattern = setting.pattern
    shape.width = UInt32(setting.width)
    shape.steps = UInt32(setting.steps)
    shape.radix = 5
    taskbench_prepare(&shape)
    before = Array(
      repeating: Array(repeating: nil, count: setting.width), count: setting.copies)
    current = before
    next = (0, 0, taskbench_points(&shape, 0))
    tasks.reserveCapacity(count)
    // A submit that has to wait would wait for ever, as nothing goes on meanwhile.
    graph.waitHandler = { true }
    try graph.beginScope()
  }

  /// Tasks of all graphs.
  var count: Int { copies * Int(taskbench_tasks(&shape)) }
  var dependencies: Int { copies * Int(taskbench_dependencies(&shape)) }

  /// Submits the next task; with the last one the scope ends.
  func submitOne() throws {
    let (step, copy) = (next.step, next.copy)
    if firsts.count == Int(step) { firsts.append([]) }
    if firsts[Int(step)].count == copy { firsts[Int(step)].append(tasks.count) }
    let point = taskbench_next(&next.points)
    var producers = taskbench_inputs(&shape, step, point)
    var output: Tensor<Int64>?
    let isMatrix = (copy * Int(shape.width) + Int(point)) % 3 == 0
    let id = try graph.submitRaw(
      isMatrix ? Self.kernels[0] : nil, isMatrix ? nil : Self.kernels[1], nil
    ) { (task: inout TaskBuilder) in
      while producers != 0 { task.input(before[copy][Int(taskbench_next(&producers))]!) }
      output = task.output(of: Int64.self, Shape(2))
    }
    guard id.local == UInt32(tasks.count) else {
      throw ScalingError("task \(tasks.count) of the graph is task \(id.local) of the ring")
    }
    current[copy][Int(point)] = output
    tasks.append(VirtualTask(step: step, copy: copy, point: point))
    if next.points == 0 { try goOn() }
  }

  /// To the next copy, or step.
  private func goOn() throws {
    next.copy += 1
    if next.copy == copies {
      (next.copy, next.step) = (0, next.step + 1)
      swap(&before, &current)
    }
    if next.step == shape.steps {
      isDone = true
      try graph.endScope()
    } else {
      next.points = taskbench_points(&shape, next.step)
    }
  }

  /// A core has run a task.
  func didRun(_ task: TaskID, core: Int, from begin: Int, to end: Int) throws {
    let number = Int(task.local)
    guard tasks.indices.contains(number) else {
      throw ScalingError("a core was given task \(task), which was not submitted")
    }
    tasks[number].core = core
    tasks[number].begin = begin
    tasks[number].end = end
    tasks[number].runs += 1
  }

  // MARK: Afterwards

  /// Every task has run once, and not before the tasks that the pattern says it needs, and each
  /// core ran one at a time: the runtime is not asked.
  func check() throws {
    guard tasks.count == count else {
      throw ScalingError("\(tasks.count) of \(count) tasks were submitted")
    }
    for (number, task) in tasks.enumerated() {
      guard task.runs == 1 else { throw ScalingError("task \(number) was run \(task.runs) times") }
      var producers = taskbench_inputs(&shape, task.step, task.point)
      while producers != 0 {
        let producer = self.number(task.step - 1, task.copy, taskbench_next(&producers))
        guard tasks[producer].end <= task.begin else {
          throw ScalingError(
            "task \(number) began at \(task.begin) ns, and task \(producer), whose output it reads, ended at \(tasks[producer].end) ns"
          )
        }
      }
    }
    let order = tasks.indices.sorted {
      (tasks[$0].core, tasks[$0].begin) < (tasks[$1].core, tasks[$1].begin)
    }
    for (one, other) in zip(order, order.dropFirst())
    where tasks[one].core == tasks[other].core && tasks[one].end > tasks[other].begin {
      throw ScalingError("core \(tasks[one].core) ran task \(one) and task \(other) at once")
    }
  }

  private func number(_ step: UInt32, _ copy: Int, _ point: UInt32) -> Int {
    let below = taskbench_points(&shape, step) & (UInt64(1) << UInt64(point) &- 1)
    return firsts[Int(step)][copy] + below.nonzeroBitCount
  }
}

struct ScalingError: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}
