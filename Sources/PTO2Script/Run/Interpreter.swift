internal import PTO2Protocol

/// Runs a plan task by task on plain arrays: what the runtime's results are compared with. It
/// knows no rings, no dependencies and no strides of the runtime's.
struct Interpreter {
  private let plan: Plan
  /// Elements of each buffer, and which of them the script determines.
  private(set) var elements: [[UInt64]]
  private(set) var isKnown: [[Bool]]
  /// Kernels of images that it cannot know.
  private(set) var unknownKernels: Set<String> = []

  init(_ plan: Plan) {
    self.plan = plan
    elements = plan.buffers.map { buffer in
      let format = ElementFormat(type: buffer.type)
      return format.elements(buffer.values ?? .zero, count: buffer.count, seed: plan.seed)
    }
    isKnown = plan.buffers.map { [Bool](repeating: $0.values != nil, count: $0.count) }
    for operation in plan.operations {
      switch operation {
      case .task(let task): run(task)
      case .set(let view, let index, let number, _):
        let place = self.place(view, index)
        elements[view.buffer][place] = format(view).element(number)
        isKnown[view.buffer][place] = true
      default: break
      }
    }
  }

  private func format(_ view: View) -> ElementFormat {
    ElementFormat(type: plan.buffers[view.buffer].type)
  }

  private func place(_ view: View, _ index: [Int]) -> Int { view.element(index).places[0] }

  private mutating func run(_ task: PlannedTask) {
    var isRun = true
    if let predicate = task.predicate {
      let place = place(predicate.view, predicate.index)
      guard isKnown[predicate.view.buffer][place] else { return forget(task) }
      isRun = holds(predicate, elements[predicate.view.buffer][place])
    }
    // A task that may write no element is done without running.
    let written = task.arguments.filter { $0.access.isWritten }
    let sized = written.isEmpty ? task.arguments : written
    if !isRun || (!sized.isEmpty && sized.allSatisfy { $0.view.count == 0 }) { return }
    for kernel in task.kernels {
      if let does = kernel.does {
        run(does, kernel, task)
      } else {
        unknownKernels.insert(kernel.name)
        forget(task)
      }
    }
  }

  private mutating func forget(_ task: PlannedTask) {
    for argument in task.arguments where argument.access.isWritten {
      for place in argument.view.places { isKnown[argument.view.buffer][place] = false }
    }
  }

  private func holds(_ predicate: PlannedTask.Predicate, _ element: UInt64) -> Bool {
    let format = format(predicate.view)
    if format.type.isReal {
      return compare(predicate.comparison, format.asReal(element), predicate.value.asReal)
    }
    guard case .whole(let value) = predicate.value else { return false }
    if format.type == .uint64 {
      return value < 0
        ? [.notEqual, .greater, .greaterOrEqual].contains(predicate.comparison)
        : compare(predicate.comparison, element, UInt64(value))
    }
    return compare(predicate.comparison, Int64(bitPattern: element), Int64(value))
  }

  private func compare<Value: Comparable>(_ comparison: Comparison, _ a: Value, _ b: Value) -> Bool
  {
    switch comparison {
    case .equal: a == b
    case .notEqual: a != b
    case .greater: a > b
    case .less: a < b
    case .greaterOrEqual: a >= b
    case .lessOrEqual: a <= b
    }
  }

  // MARK: Kernels

  /// The views of a kernel, by their place among its own.
  private struct Call {
    let arguments: ArraySlice<PlannedTask.Argument>
    let words: ArraySlice<UInt64>
    func view(_ index: Int) -> View { arguments[arguments.startIndex + index].view }
    func word(_ index: Int) -> UInt64 { words[words.startIndex + index] }
  }

  private mutating func run(_ does: BuiltIn, _ kernel: PlannedTask.Kernel, _ task: PlannedTask) {
    let call = Call(
      arguments: task.arguments[kernel.firstArgument...], words: task.words[kernel.firstScalar...])
    switch does {
    case .copy, .stumble: map(call, [0], to: 1) { a, _, _ in a }
    case .add: map(call, [0, 1], to: 2) { $2.plus($0, $1) }
    case .multiply: map(call, [0, 1], to: 2) { $2.times($0, $1) }
    case .scale: map(call, [0], to: 1) { a, _, format in format.times(a, call.word(0)) }
    case .fill: map(call, [], to: 0) { _, _, _ in call.word(0) }
    case .increase: map(call, [0], to: 0) { a, _, format in format.plus(a, call.word(0)) }
    case .accumulate: map(call, [0, 1], to: 1) { $2.plus($1, $0) }
    case .sum: sum(call)
    case .mark: mark(call, blocks: task.blocks)
    case .meet: mark(call, blocks: task.blocks)
    case .spin, .sleep:
      if task.arguments.count >= kernel.firstArgument + 2, mayCopy(call) {
        map(call, [0], to: 1) { a, _, _ in a }
      }
    case .crash, .fail: forget(task)
    }
    // Counters of blocks, and of workers that were killed.
    if does == .meet { count(call.view(1), max(1, task.blocks)) }
    if does == .stumble { count(call.view(2), Int(Int64(bitPattern: call.word(0)))) }
  }

  private func mayCopy(_ call: Call) -> Bool {
    let (a, b) = (call.view(0), call.view(1))
    return plan.buffers[a.buffer].type == plan.buffers[b.buffer].type && a.count == b.count
      && call.arguments[call.arguments.startIndex + 1].access != .input
  }

  /// Element by element, of one or two sources.
  private mutating func map(
    _ call: Call, _ sources: [Int], to target: Int,
    _ body: (UInt64, UInt64, ElementFormat) -> UInt64
  ) {
    let view = call.view(target)
    let format = format(view)
    let places = sources.map { call.view($0).places }
    let buffers = sources.map { call.view($0).buffer }
    for (index, place) in view.places.enumerated() {
      var (a, b): (UInt64, UInt64) = (0, 0)
      var known = true
      for source in sources.indices {
        let (buffer, from) = (buffers[source], places[source][index])
        if source == 0 { a = elements[buffer][from] } else { b = elements[buffer][from] }
        known = known && isKnown[buffer][from]
      }
      elements[view.buffer][place] = format.rounded(body(a, b, format))
      isKnown[view.buffer][place] = known
    }
  }

  private mutating func sum(_ call: Call) {
    let (from, to) = (call.view(0), call.view(1))
    guard to.count > 0 else { return }
    let format = format(to)
    var sum: UInt64 = 0
    var known = true
    for place in from.places {
      sum = format.plus(sum, elements[from.buffer][place])
      known = known && isKnown[from.buffer][place]
    }
    let place = to.places[0]
    elements[to.buffer][place] = format.rounded(sum)
    isKnown[to.buffer][place] = known
  }

  private mutating func mark(_ call: Call, blocks: Int) {
    let view = call.view(0)
    let format = format(view)
    let places = view.places
    let blocks = max(1, blocks)
    for block in 0..<blocks {
      let own = format.type.isReal ? Double(block).bitPattern : UInt64(block)
      for index in places.count * block / blocks..<places.count * (block + 1) / blocks {
        elements[view.buffer][places[index]] = format.rounded(format.plus(call.word(0), own))
        isKnown[view.buffer][places[index]] = true
      }
    }
  }

  private mutating func count(_ view: View, _ number: Int) {
    let place = view.places[0]
    let value = Int64(bitPattern: elements[view.buffer][place]) &+ Int64(number)
    elements[view.buffer][place] = UInt64(bitPattern: value)
  }
}
