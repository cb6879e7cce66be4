internal import CPTO2
package import PTO2Faults
internal import PTO2Orchestrator
internal import PTO2Protocol

extension Plan {
  /// Works a script out for a seed.
  package init(_ script: Script, seed: Int) throws(TextError) {
    var planner = Planner(script, seed: seed)
    try planner.add(script.graph, ["seed": seed])
    self = planner.plan
  }
}

private struct Planner {
  var plan: Plan
  private let models: [String: BuiltIn]
  /// Names of tensors by open scope.
  private var names: [[String: Int]]
  private var tasks: [String: Int] = [:]
  private var taskCount = 0
  private var scopes = [0]
  private var scopeCount = 0
  /// Rounds of loops and steps.
  private var work = 0
  private var outputElements = 0

  init(_ script: Script, seed: Int) {
    plan = Plan(seed: seed)
    models = script.models
    names = [[:]]
    for tensor in script.tensors {
      names[0][tensor.name] = plan.buffers.count
      plan.buffers.append(
        Buffer(name: tensor.name, type: tensor.type, shape: tensor.shape, values: tensor.values))
    }
  }

  mutating func add(_ steps: [Step], _ variables: Variables) throws(TextError) {
    for step in steps {
      try count(step.place)
      if let condition = step.condition, !(try condition.isTrue(variables)) { continue }
      try add(step, variables)
    }
  }

  private mutating func count(_ place: TextPlace) throws(TextError) {
    work += 1
    guard work <= Plan.mostOperations else {
      throw TextError(
        place, "the graph has more than \(Plan.mostOperations) steps here: a loop is too long")
    }
  }

  private mutating func add(_ step: Step, _ variables: Variables) throws(TextError) {
    switch step.kind {
    case .task(let task): try add(task, step.place, variables)
    case .scope(let mode, let name, let steps):
      plan.operations.append(.beginScope(mode, name: try name?.text(variables) ?? ""))
      names.append([:])
      scopeCount += 1
      scopes.append(scopeCount)
      try add(steps, variables)
      scopes.removeLast()
      names.removeLast()
      plan.operations.append(.endScope)
    case .loop(let variable, let from, let below, let stride, let steps):
      let far = -(1 << 40)...(1 << 40)
      let end = try below.whole(variables, "the end of the loop", far, step.place)
      let by = try stride.whole(variables, "the step of the loop", far, step.place)
      guard by != 0 else { throw TextError(step.place, "the step of the loop is 0") }
      var value = try from.whole(variables, "the start of the loop", far, step.place)
      var inner = variables
      while by > 0 ? value < end : value > end {
        try count(step.place)
        if let variable { inner[variable] = value }
        try add(steps, inner)
        value += by
      }
    case .wait: plan.operations.append(.wait)
    case .get(let reference, let seconds):
      let (view, index) = try element(reference, variables)
      plan.operations.append(.get(view, index: index, seconds: seconds))
    case .set(let reference, let value, let seconds):
      let (view, index) = try element(reference, variables)
      plan.operations.append(
        .set(view, index: index, try value.value(variables), seconds: seconds))
    case .free(let name):
      plan.operations.append(.free(buffer: try buffer(name, variables)))
    case .pause(let seconds): plan.operations.append(.pause(seconds))
    case .fail(let text): plan.operations.append(.fail(try text.text(variables)))
    case .print(let text): plan.operations.append(.print(try text.text(variables)))
    }
  }

  // MARK: Tensors

  private func buffer(_ name: Template, _ variables: Variables) throws(TextError) -> Int {
    let text = try name.text(variables)
    for scope in names.reversed() {
      if let buffer = scope[text] { return buffer }
    }
    let known = names.flatMap(\.keys).sorted()
    let meant = nearest(text, known).map { ": did you mean \"\($0)\"?" } ?? ""
    throw TextError(
      name.place,
      "no tensor \"\(text)\" here\(meant.isEmpty ? ": there" : meant + " There") is \(known.isEmpty ? "none" : known.joined(separator: ", ")). Outputs end with their scope"
    )
  }

  private func view(_ reference: Reference, _ variables: Variables) throws(TextError) -> View {
    let index = try buffer(reference.name, variables)
    var view = View(buffer: index, shape: plan.buffers[index].shape)
    for (change, place) in reference.changes {
      let planned: View.Change
      switch change {
      case .slice(let ranges): planned = try slice(view.shape, ranges, place, variables)
      case .transpose(let a, let b):
        planned = .transpose(
          try a.whole(variables, "a dimension", 0...4, place),
          try b.whole(variables, "a dimension", 0...4, place))
      case .reshape(let extents): planned = .reshape(try shape(extents, variables, place))
      case .broadcast(let extents): planned = .broadcast(try shape(extents, variables, place))
      case .strided(let numbers): planned = try strided(numbers, variables, place)
      }
      if let wrong = view.apply(planned) { throw TextError(place, wrong) }
    }
    return view
  }

  private func shape(_ extents: [Expression], _ variables: Variables, _ place: TextPlace)
    throws(TextError) -> [Int]
  {
    var shape: [Int] = []
    for extent in extents {
      shape.append(try extent.whole(variables, "an extent", 0...(1 << 24), place))
      guard shape.count <= 5, shape.reduce(1, *) <= 1 << 24 else {
        throw TextError(place, "expected at most 5 extents and \(1 << 24) elements")
      }
    }
    return shape
  }

  private func strided(_ numbers: [Expression], _ variables: Variables, _ place: TextPlace)
    throws(TextError) -> View.Change
  {
    let rank = numbers.count / 2
    let from = try numbers[0].whole(variables, "the first element", 0...(1 << 24), place)
    let extents = try shape(
      Array(numbers.dropFirst().prefix(rank)), variables, place)
    var strides: [Int] = []
    for number in numbers.dropFirst(rank + 1) {
      strides.append(try number.whole(variables, "a stride", 0...(1 << 24), place))
    }
    return .strided(from: from, shape: extents, strides: strides)
  }

  private func slice(
    _ extents: [Int], _ ranges: [Reference.Range], _ place: TextPlace, _ variables: Variables
  ) throws(TextError) -> View.Change {
    guard ranges.count <= extents.count else {
      throw TextError(place, "\(ranges.count) ranges for a tensor \(extents)")
    }
    var (from, shape, steps) = (
      [Int](repeating: 0, count: extents.count), extents, [Int](repeating: 1, count: extents.count)
    )
    for (d, range) in ranges.enumerated() {
      let extent = extents[d]
      if let first = range.from {
        from[d] = try first.whole(
          variables, "the start of dimension \(d)", 0...extent, place)
      }
      if range.isIndex {
        guard from[d] < extent else {
          throw TextError(place, "index \(from[d]) of dimension \(d), which has \(extent)")
        }
        shape[d] = 1
        continue
      }
      let end =
        try range.to.map { (to) throws(TextError) in
          try to.whole(variables, "the end of dimension \(d)", from[d]...extent, place)
        } ?? extent
      if let step = range.step {
        steps[d] = try step.whole(variables, "the step of dimension \(d)", 1...(1 << 24), place)
      }
      shape[d] = (end - from[d] + steps[d] - 1) / steps[d]
    }
    return .slice(from: from, shape: shape, steps: steps)
  }

  /// A tensor and the index of one of its elements.
  private func element(_ reference: Reference, _ variables: Variables) throws(TextError)
    -> (View, [Int])
  {
    var whole = reference
    guard let last = whole.changes.popLast(), case .slice(let ranges) = last.change,
      ranges.allSatisfy(\.isIndex)
    else { throw TextError(reference.place, "expected one element, such as x[3] or x[0, i]") }
    let view = try view(whole, variables)
    guard ranges.count == view.shape.count,
      case .slice(let index, _, _) = try slice(view.shape, ranges, last.place, variables)
    else {
      throw TextError(last.place, "\(ranges.count) indexes for a tensor \(view.shape)")
    }
    return (view, index)
  }

  // MARK: Tasks

  private mutating func add(_ step: TaskStep, _ place: TextPlace, _ variables: Variables)
    throws(TextError)
  {
    let name = try step.name?.text(variables)
    var task = PlannedTask(name: name ?? "", place: place)
    task.scope = scopes.last ?? 0
    // The scope whose end is that of its name, and the buffer.
    var outputs: [(Int, Int)] = []
    for argument in step.arguments {
      if argument.access.isNew {
        let buffer = try output(argument, task, variables)
        outputs.append((argument.access == .kept ? 0 : names.count - 1, buffer))
        task.arguments.append(
          .init(
            access: argument.access, view: View(buffer: buffer, shape: plan.buffers[buffer].shape)))
      } else {
        task.arguments.append(
          .init(access: argument.access, view: try view(argument.reference, variables)))
      }
    }
    for (scalar, _) in step.scalars { task.scalars.append(try scalar.value(variables)) }
    if let blocks = step.blocks {
      task.blocks = try blocks.whole(variables, "the number of blocks", 0...(1 << 21), place)
    }
    task.near = try step.near.map { (near) throws(TextError) in
      try near.whole(variables, "the number of a cluster", 0...Int(PTO2_MAX_CLUSTERS) - 1, place)
    }
    task.startsTogether = step.startsTogether
    task.predicate = try step.predicate.map { (predicate) throws(TextError) in
      let (view, index) = try element(predicate.reference, variables)
      return .init(
        view: view, index: index, comparison: predicate.comparison,
        value: try predicate.value.value(variables))
    }
    for name in step.after { task.after += try earlier(name, variables) }
    for name in step.retain { task.retain += try earlier(name, variables) }
    task.recovery = step.recovery
    task.isNamed = name != nil
    try addKernels(step, &task, place)
    if task.name.isEmpty { task.name = step.kernels.first?.name ?? "none" }
    plan.operations.append(.task(task))
    for (scope, buffer) in outputs { names[scope][plan.buffers[buffer].name] = buffer }
    if let name { tasks[name] = taskCount }
    taskCount += 1
  }

  /// The last task of a name.
  private func earlier(_ name: Template, _ variables: Variables) throws(TextError) -> [Int] {
    let text = try name.text(variables)
    if let number = tasks[text] { return [number] }
    let meant = nearest(text, tasks.keys.sorted()).map { ": did you mean \"\($0)\"?" } ?? ""
    throw TextError(name.place, "no earlier task has the name \"\(text)\"\(meant)")
  }

  /// Type and shape are by default those of the task's first tensor.
  private mutating func output(
    _ argument: TaskStep.Argument, _ task: PlannedTask, _ variables: Variables
  ) throws(TextError) -> Int {
    let first = task.arguments.first?.view
    let place = argument.place
    guard let type = argument.type ?? first.map({ plan.buffers[$0.buffer].type }) else {
      throw TextError(place, "the output has no \"type\", and no tensor stands before it")
    }
    let extents = try argument.shape.map { (extents) throws(TextError) in
      try shape(extents, variables, place)
    }
    guard let shape = extents ?? first?.shape else {
      throw TextError(place, "the output has no \"shape\", and no tensor stands before it")
    }
    let name = try argument.reference.name.text(variables)
    plan.buffers.append(Buffer(name: name, type: type, shape: shape, values: nil))
    outputElements += shape.reduce(1, *)
    guard outputElements <= 1 << 24 else {
      throw TextError(place, "the outputs have more than \(1 << 24) elements in all")
    }
    return plan.buffers.count - 1
  }

  private func addKernels(_ step: TaskStep, _ task: inout PlannedTask, _ place: TextPlace)
    throws(TextError)
  {
    var (argument, scalar) = (0, 0)
    var kinds: [Int: BuiltIn.Scalar] = [:]
    var types: [Int: DataType] = [:]
    for kernel in step.kernels {
      let own = BuiltIn(rawValue: kernel.name)
      let does = own ?? models[kernel.name]
      var planned = PlannedTask.Kernel(
        slot: kernel.slot,
        name: own?.kernelName(isMatrix: kernel.slot == .aic) ?? kernel.name, does: does)
      if let does {
        (planned.firstArgument, planned.firstScalar) = (argument, scalar)
        try check(kernel, does, task, argument, scalar)
        for (index, kind) in does.scalars.enumerated() {
          kinds[scalar + index] = kind
          if let written = does.uses.indices.last(where: {
            does.uses[$0] == .write || does.uses[$0] == .change
          }) {
            types[scalar + index] =
              plan.buffers[task.arguments[argument + written].view.buffer].type
          }
        }
        // A kernel that is alone has all of them.
        argument += does.mayCopy && step.kernels.count > 1 ? 0 : does.uses.count
        scalar += does.scalars.count
      }
      task.kernels.append(planned)
    }
    task.words = task.scalars.enumerated().map { index, value in
      Self.word(value, kinds[index], types[index])
    }
    guard step.kernels.count > 1, task.kernels.contains(where: { $0.does != nil }) else { return }
    var places: UInt64 = 0x5C41 << 48
    for kernel in task.kernels {
      let shift = 16 * UInt64(kernel.slot.rawValue)
      places |= UInt64(kernel.firstArgument & 0xFF) << shift
      places |= UInt64(kernel.firstScalar & 0xFF) << (shift + 8)
    }
    task.words.append(places)
  }

  private func check(
    _ kernel: TaskStep.Kernel, _ does: BuiltIn, _ task: PlannedTask, _ first: Int, _ scalar: Int
  ) throws(TextError) {
    let name = kernel.name
    guard task.arguments.count >= first + does.uses.count else {
      throw TextError(
        kernel.place,
        "\(name) takes \(does.uses.count) tensors, found \(task.arguments.count - first)")
    }
    guard task.scalars.count >= scalar + does.scalars.count else {
      throw TextError(
        kernel.place,
        "\(name) takes \(does.scalars.count) scalars, found \(task.scalars.count - scalar)")
    }
    let own = Array(task.arguments[first..<first + does.uses.count])
    for (index, use) in does.uses.enumerated() {
      let (argument, position) = (own[index], first + index)
      if use == .write || use == .change {
        guard argument.access.isWritten else {
          throw TextError(
            kernel.place,
            "\(name) writes tensor \(position): expected out, keep, inout or overwrite")
        }
        guard !(use == .change && argument.access.isNew) else {
          throw TextError(kernel.place, "\(name) changes tensor \(position): expected inout")
        }
      }
      if use == .marker {
        guard plan.buffers[argument.view.buffer].type == .int32, argument.view.count > 0 else {
          throw TextError(kernel.place, "\(name) counts in tensor \(position): expected int32")
        }
      }
    }
    let counted = own.indices.filter { does.uses[$0] != .marker }
    for index in counted.dropFirst() {
      let (a, b) = (own[counted[0]].view, own[index].view)
      guard plan.buffers[a.buffer].type == plan.buffers[b.buffer].type else {
        throw TextError(
          kernel.place,
          "\(name) takes tensors of one type, found \(plan.buffers[a.buffer].type.name) and \(plan.buffers[b.buffer].type.name)"
        )
      }
      guard does == .sum || a.count == b.count else {
        throw TextError(
          kernel.place, "\(name) takes as many elements of each, found \(a.count) and \(b.count)")
      }
    }
  }

  /// The bits that a kernel gets.
  private static func word(_ value: Number, _ kind: BuiltIn.Scalar?, _ type: DataType?) -> UInt64 {
    if kind == .element, let type, type.isReal { return value.asReal.bitPattern }
    switch value {
    case .whole(let whole): return UInt64(bitPattern: Int64(whole))
    // What pto2_scalar_f32 reads; a count is cut to a whole number.
    case .real(let real):
      if kind == nil { return UInt64(Float(real).bitPattern) }
      return UInt64(bitPattern: Int64(exactly: real.rounded(.towardZero)) ?? 0)
    }
  }
}
