import PTO2
import PTO2System

/// Makes a description from a seed: the same one, always and everywhere.
struct Generator {
  private var random: SplitMix64
  private var description = Description()
  /// The external tensors are the first ones.
  private var externals = 0
  /// Outputs that can be used, by the scope whose end makes them unusable.
  private var usable: [[Int]] = [[]]
  private var extras: Extras
  private var order = Order()
  private var submittedTasks = 0
  /// Per open scope: whether it is manual, and tasks submitted directly in it.
  private var isManual = [false]
  private var scopeMembers: [[Int]] = [[]]
  /// Tasks by when each open scope ends at the latest: rings go round.
  private var deadlines = [Int.max]

  // What kind of program it is.
  private let maximumDepth: Int
  private let scopeChance: Int
  private let scopeTasks: Int
  private let submitsAtRoot: Bool
  private let maximumElements: Int
  private let viewPercent: Int
  private let externalPercent: Int
  private let inoutPercent: Int
  private let spinPercent: Int
  private let longSpinPercent: Int
  private let programPercent: Int
  private let isRecoverable: Bool

  /// Without bool and 8-bit floats, of which predicates see less than the kernels here store.
  private static let types = DataType.allCases.filter { $0.rawValue <= DataType.uint64.rawValue }

  /// - Parameters:
  ///   - isRecoverable: each task can be run again when its worker has died.
  ///   - isReplayed: there are no explicit dependencies and nothing that needs some.
  ///   - isPlaced: tasks run on several ranks: no manual scope, no tensor without order.
  init(
    seed: UInt64, isRecoverable: Bool = false, isReplayed: Bool = false, isPlaced: Bool = false
  ) {
    self.isRecoverable = isRecoverable
    random = SplitMix64(seed: seed)
    extras = Extras(seed: seed, isReplayed: isReplayed, isPlaced: isPlaced)
    maximumDepth = [1, 2, 3, 4, 6, 10, 64].randomElement(using: &random)!
    scopeChance = Int.random(in: 2...15, using: &random)
    scopeTasks = [10, 30, 100, 1000].randomElement(using: &random)!
    submitsAtRoot = Int.random(in: 0..<4, using: &random) == 0
    maximumElements = [8, 40, 150, 600].randomElement(using: &random)!
    viewPercent = [0, 40, 70, 95].randomElement(using: &random)!
    externalPercent = Int.random(in: 5...80, using: &random)
    inoutPercent = Int.random(in: 5...70, using: &random)
    spinPercent = [0, 5, 20, 60].randomElement(using: &random)!
    longSpinPercent = [0, 2, 10].randomElement(using: &random)!
    programPercent = [0, 1, 4].randomElement(using: &random)!
  }

  mutating func run(tasks: Int?) -> Description {
    let tasks = tasks ?? number(300...1000)
    // One tensor wide enough that no wrong write comes out equal by chance.
    description.tensors.append(
      TensorDescription(shape: [maximumElements], type: .int64, isExternal: true))
    for _ in 0..<number(0...4) { _ = makeTensor(elements: maximumElements, isExternal: true) }
    externals = description.tensors.count
    var submitted = 0
    while submitted < tasks {
      while deadlines.contains(where: { $0 <= submitted }) { closeScope() }
      if usable.count <= maximumDepth, usable.count == 1 && !submitsAtRoot || chance(scopeChance) {
        isManual.append(extras.isManualScope())
        scopeMembers.append([])
        description.operations.append(.openScope(isManual: isManual.last!))
        usable.append([])
        deadlines.append(submitted + number(1...scopeTasks))
      } else if usable.count > 1, chance(scopeChance) {
        closeScope()
      }
      if chance(programPercent) { touchFromProgram() }
      submitted += submit()
    }
    // Scopes that are left open are ended by the runtime.
    while usable.count > 1, !chance(20) { closeScope() }
    for index in 0..<externals {
      description.operations.append(.check(View(whole: index, of: description.tensors[index])))
    }
    return description
  }

  // MARK: Operations

  private mutating func closeScope() {
    description.operations.append(.closeScope)
    usable.removeLast()
    isManual.removeLast()
    scopeMembers.removeLast()
    deadlines.removeLast()
  }

  private mutating func touchFromProgram() {
    if chance(20) { return description.operations.append(.wait) }
    var view = someView()
    if !view.isContiguous { view = View(whole: view.tensor, of: description.tensors[view.tensor]) }
    description.operations.append(
      chance(50) ? .check(view) : .write(view, salt: random.next()))
  }

  /// Submits one task, or two; returns how many.
  private mutating func submit() -> Int {
    var task = TaskDescription(kernels: someKernels())
    let kernels = task.kernels.count { $0 != nil }
    extras.addBlocks(to: &task)
    for _ in 0..<number(0...5) {
      let access: Argument.Access = chance(inoutPercent) ? .inout : .input
      var argument = Argument(access: access, view: someView())
      extras.vary(&argument, in: task, maximumElements: maximumElements)
      // No part of a task must read what another one writes.
      let conflicts =
        task.parts > 1
        && task.arguments.contains {
          (!$0.isRead || !argument.isRead) && $0.view.overlaps(argument.view)
        }
      if !conflicts { task.arguments.append(argument) }
    }
    var outputs: [Int] = []
    for _ in 0..<[0, 0, 1, 1, 1, 2, 3].randomElement(using: &random)! {
      let index = makeTensor(elements: min(maximumElements, 300), isExternal: false)
      outputs.append(index)
      task.arguments.insert(
        Argument(access: .output, view: View(whole: index, of: description.tensors[index])),
        at: number(0...task.arguments.count))
    }
    for _ in 0..<number(0...3) { task.scalars.append(random.next()) }
    task.overwrites = chance(10)
    // A few long ones, which others overtake.
    if chance(longSpinPercent) {
      task.spinMicroseconds = UInt64(number(100...500))
    } else if chance(spinPercent) {
      task.spinMicroseconds = UInt64(number(1...30))
    }
    if extras.wantsPredicate() {
      let view = someView()
      task.predicate = extras.predicate(on: view, description.tensors[view.tensor].type)
    }
    append(task)
    usable[usable.count - 1] += outputs
    guard (kernels == 0 || task.predicate != nil) && !outputs.isEmpty else { return 1 }

    // Nobody may have written these outputs: another task fills them in place.
    var fill = TaskDescription(kernels: [0, nil, nil])
    while fill.kernels == [0, nil, nil] { fill.kernels = someKernels(orNone: false) }
    fill.overwrites = true
    fill.arguments = outputs.map {
      Argument(access: .inout, view: View(whole: $0, of: description.tensors[$0]))
    }
    append(fill)
    return 2
  }

  private mutating func append(_ task: TaskDescription) {
    var task = task
    if isRecoverable { task.makeRecoverable() }
    task.dependencies = extras.dependencies(
      submitted: submittedTasks, open: scopeMembers.flatMap { $0.suffix(20) })
    let needed = order.enter(
      task, number: submittedTasks, isManual: isManual.last!, tensors: description.tensors.count)
    task.dependencies += needed.map { Dependency(task: $0, isRetained: false) }
    description.operations.append(.submit(task))
    scopeMembers[scopeMembers.count - 1].append(submittedTasks)
    submittedTasks += 1
  }

  private mutating func someKernels(orNone: Bool = true) -> [Int?] {
    // AIC, AIV0, AIV1
    let masks = [0b100, 0b100, 0b010, 0b010, 0b010, 0b001, 0b011, 0b110, 0b101, 0b111, 0b111]
    let mask = orNone && chance(6) ? 0 : masks.randomElement(using: &random)!
    return (0..<3).map { mask >> (2 - $0) & 1 == 1 ? number(0...1) : nil }
  }

  // MARK: Tensors and views

  private mutating func makeTensor(elements: Int, isExternal: Bool) -> Int {
    let rank = number(0...5)
    var shape: [Int] = []
    var room = elements
    for dimension in 0..<rank {
      let extent = dimension == 0 && chance(50) ? room : number(1...max(1, min(room, 9)))
      shape.append(max(1, extent))
      room /= shape.last!
    }
    shape.shuffle(using: &random)
    let type = chance(50) ? .int64 : Self.types.randomElement(using: &random)!
    description.tensors.append(
      TensorDescription(shape: shape, type: type, isExternal: isExternal))
    return description.tensors.count - 1
  }

  private mutating func someView() -> View {
    let outputs = usable.flatMap { $0 }
    let index: Int
    if outputs.isEmpty || chance(externalPercent) {
      index = number(0...externals - 1)
    } else {
      // Mostly recent ones, so that chains form; sometimes any.
      index =
        chance(70)
        ? outputs.suffix(8).randomElement(using: &random)!
        : outputs.randomElement(
          using: &random)!
    }
    var view = View(whole: index, of: description.tensors[index])
    guard chance(viewPercent) else { return view }
    for _ in 0..<number(1...3) {
      if chance(30), view.isContiguous {
        view.reshape(factors(of: view.elements.count))
      } else {
        let extents = view.shape.map { chance(40) ? $0 : number(1...$0) }
        let offsets = zip(view.shape, extents).map { number(0...$0 - $1) }
        view.slice(offsets, extents)
      }
    }
    return view
  }

  /// A shape of so many elements.
  private mutating func factors(of count: Int) -> [Int] {
    var shape: [Int] = []
    var rest = count
    for _ in 0..<number(0...4) {
      let divisors = (1...min(rest, 12)).filter { rest % $0 == 0 }
      shape.append(divisors.randomElement(using: &random)!)
      rest /= shape.last!
    }
    if rest > 1 || shape.isEmpty && chance(50) { shape.append(rest) }
    return shape.shuffled(using: &random)
  }

  // MARK: Chance

  private mutating func number(_ range: ClosedRange<Int>) -> Int {
    Int.random(in: range, using: &random)
  }

  private mutating func chance(_ percent: Int) -> Bool { number(0...99) < percent }
}

extension Description {
  /// The last write by a task that stays visible to the end: to an external
  /// tensor that nobody overwrites unread later, and wide enough not to come
  /// out equal by chance. For `--sabotage`.
  var lastLastingWrite: (operation: Int, argument: Int)? {
    var overwritten: Set<Int> = []
    for (index, operation) in operations.enumerated().reversed() {
      switch operation {
      case .write(let view, _): overwritten.insert(view.tensor)
      case .submit(let task) where task.kernels.contains { $0 != nil }:
        for (position, argument) in task.arguments.enumerated().reversed()
        where !argument.isRead && tensors[argument.view.tensor].isExternal {
          let view = argument.view
          if task.predicate == nil, !overwritten.contains(view.tensor),
            view.elements.count * tensors[view.tensor].type.byteCount >= 8
          {
            return (index, position)
          }
          if task.overwrites || argument.access == .outputExisting {
            overwritten.insert(view.tensor)
          }
        }
      default: break
      }
    }
    return nil
  }
}
