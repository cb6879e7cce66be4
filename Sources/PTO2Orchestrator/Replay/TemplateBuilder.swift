internal import CPTO2Segment
internal import PTO2Protocol

/// From recorded tasks to a template: who depends on whom inside, found with a TensorMap
/// that knows the recorded tasks alone; and what each needs of, and leaves to, tasks
/// outside.
struct TemplateBuilder: ~Copyable {
  private let recording: Recording
  private var recorded: [AnyTensor] = []
  private var map = TensorMap()
  private var roots: [Root] = []
  /// Roots by buffer: of outputs, and of what is used without a hole.
  private var outputs: [UInt32: UInt32] = [:]
  private var fixed: [UInt32: UInt32] = [:]
  private var tasks = TemplateTasks()
  var boundary = TemplateBoundary()
  /// Places of views: in `boundary.probes`, and in `fixedViews`.
  private var probes: [ViewKey: UInt32] = [:]
  private var fixedViews: [ViewKey: Int] = [:]
  /// What the tasks enter, before those that a later one hides are left out.
  private var entries: [TemplateEntry] = []
  /// Edges of the task in hand, by producer.
  private var edges: [UInt32: Int] = [:]

  private struct Root {
    enum Kind { case hole, fixed, output }
    var kind: Kind
    var records = BufferRecords()
    /// The task that puts it out; -1 for others.
    var owner = -1
    /// Bytes from its buffer's start.
    var offset: UInt64 = 0
    /// Of an output: from the first one of its task, and in all.
    var place: UInt64 = 0
    var bytes: UInt64 = 0
  }

  init(_ recording: Recording) { self.recording = recording }

  mutating func build(outputs: [AnyTensor]) throws(PTO2Error) {
    for tensor in recording.tensors {
      boundary.holes.append(TemplateHole(tensor: tensor))
      roots.append(Root(kind: .hole, offset: tensor.offset))
    }
    // Roots of buffers come before those of outputs.
    makeRoots()
    for (number, task) in recording.tasks.enumerated() { try add(task, number) }
    let kept = try keep(outputs)
    chooseEntries(kept)
    noteWrites()
    tasks.rootCount = roots.count
    for task in recording.tasks {
      tasks.needs.outputs += HeapRing.rounded(task.needs.outputs)
      tasks.needs.payload += HeapRing.rounded(task.needs.payload)
    }
    recorded = outputs
  }

  consuming func finish(session: UInt64) -> TaskTemplate {
    TaskTemplate(
      session: session, tasks, boundary, scalarCount: recording.scalars.count,
      outputs: recorded)
  }

  // MARK: Roots

  private mutating func makeRoots() {
    var made: Set<UInt32> = []
    func uses(_ task: RecordedTask) -> [StagedArgument] {
      task.arguments + (task.predicate.map { [$0.argument] } ?? [])
    }
    for task in recording.tasks {
      for argument in uses(task) where argument.access != .output {
        let buffer = argument.buffer
        if made.contains(buffer) || fixed[buffer] != nil { continue }
        if holes(around: argument) != nil { continue }
        fixed[buffer] = UInt32(roots.count)
        boundary.fixed.append(FixedBuffer(buffer: buffer, generation: 0))
        roots.append(Root(kind: .fixed))
      }
      for argument in task.arguments where argument.access == .output {
        made.insert(argument.buffer)
      }
    }
  }

  /// The hole that has every byte of it.
  private func holes(around argument: StagedArgument) -> UInt32? {
    for (index, tensor) in recording.tensors.enumerated() where tensor.buffer == argument.buffer {
      if StagedArgument(tensor, .input).box.contains(argument.box) { return UInt32(index) }
    }
    return nil
  }

  /// The same from its root, which is its buffer from here on.
  private func relative(_ argument: StagedArgument, _ what: String) throws(PTO2Error)
    -> StagedArgument
  {
    var argument = argument
    if let root = outputs[argument.buffer] {
      argument.buffer = root
      return argument
    }
    if let hole = holes(around: argument) {
      argument.buffer = hole
      argument.offset -= roots[Int(hole)].offset
      argument.end -= roots[Int(hole)].offset
      return argument
    }
    for (index, tensor) in recording.tensors.enumerated() where tensor.buffer == argument.buffer {
      guard !StagedArgument(tensor, .input).box.meets(argument.box) else {
        throw PTO2Error(
          .invalidArgs,
          "record: \(what) has elements in common with tensor \(index) of the holes, and others. Make a hole of all of it"
        )
      }
    }
    argument.buffer = fixed[argument.buffer]!
    return argument
  }

  // MARK: Tasks

  private mutating func add(_ task: RecordedTask, _ number: Int) throws(PTO2Error) {
    edges = [:]
    var template = TemplateTask(
      header: task.header, calls: task.calls, needs: task.needs,
      tensors: Piece(first: UInt32(tasks.tensors.count), end: 0),
      scalars: Piece(first: UInt32(tasks.scalars.count), end: 0),
      edges: Piece(first: UInt32(tasks.edges.count), end: 0),
      predicate: Piece(first: UInt32(tasks.predicates.count), end: 0),
      kept: Piece(first: 0, end: 0),
      accesses: Piece(first: UInt32(boundary.accesses.count), end: 0),
      dependencies: Piece(first: UInt32(tasks.dependencies.count), end: 0))
    var place: UInt64 = 0
    let mayOverwrite = task.attributes.kernels.activeMask != 0 && task.predicate == nil
    var uses: [StagedArgument] = []
    for (index, argument) in task.arguments.enumerated() {
      var argument = argument
      let at = place
      if argument.access == .output {
        outputs[argument.buffer] = UInt32(roots.count)
        argument.buffer = UInt32(roots.count)
        let bytes = HeapRing.rounded(argument.end)
        roots.append(Root(kind: .output, owner: number, place: at, bytes: bytes))
        place += bytes
      } else {
        argument = try relative(argument, "argument \(index) of task \(number)")
        look(argument, mayOverwrite: mayOverwrite)
        uses.append(argument)
      }
      tasks.arguments.append(argument)
      tasks.tensors.append(
        TemplateTensor(
          tensor: argument.record(offset: argument.offset), root: argument.buffer,
          isOutput: argument.access == .output, place: at))
    }
    if var predicate = task.predicate {
      predicate.argument = try relative(predicate.argument, "the predicate of task \(number)")
      look(predicate.argument, mayOverwrite: false)
      uses.append(predicate.argument)
      tasks.predicates.append(predicate)
    }
    for dependency in task.dependencies {
      addEdge(dependency.task, dependency.flags)
      tasks.dependencies.append(dependency)
    }
    for scalar in task.scalars { tasks.scalars.append(scalar) }
    enter(uses, number)
    template.tensors.end = UInt32(tasks.tensors.count)
    template.scalars.end = UInt32(tasks.scalars.count)
    template.edges.end = UInt32(tasks.edges.count)
    template.predicate.end = UInt32(tasks.predicates.count)
    template.accesses.end = UInt32(boundary.accesses.count)
    template.dependencies.end = UInt32(tasks.dependencies.count)
    tasks.tasks.append(template)
    tasks.attributes.append(task.attributes)
  }

  private mutating func addEdge(_ task: UInt32, _ flags: UInt64) {
    if let place = edges[task] {
      tasks.edges[place].rawValue |= flags
    } else {
      edges[task] = tasks.edges.append(FaninWord(rawValue: UInt64(task) | flags))
    }
  }

  /// What `Producers.look` does, for producers inside; and what is to be looked up outside.
  private mutating func look(_ argument: StagedArgument, mayOverwrite: Bool) {
    let root = Int(argument.buffer)
    let flags = argument.faninFlags(mayOverwrite: mayOverwrite)
    if roots[root].owner >= 0 { addEdge(UInt32(roots[root].owner), flags.owner) }
    let firstProbe = UInt32(boundary.accessProbes.count)
    if argument.access != .noDependency && !argument.isEmpty {
      var found: [(UInt32, TensorMap.Dependency)] = []
      _ = map.look(roots[root].records, argument.extent, argument) { task, kind in
        found.append((UInt32(truncatingIfNeeded: task.ordinal), kind))
      }
      for (task, kind) in found {
        addEdge(task, kind == .writer ? flags.writer : PTO2_FANIN_WAIT)
      }
      if roots[root].kind != .output { noteProbes(argument) }
    }
    if roots[root].kind == .output { return }
    boundary.accesses.append(
      OutsideAccess(
        root: argument.buffer, isWrite: argument.access.isWrite, ownerFlags: flags.owner,
        writerFlags: flags.writer,
        probes: Piece(first: firstProbe, end: UInt32(boundary.accessProbes.count))))
  }

  private mutating func noteProbes(_ argument: StagedArgument) {
    if roots[Int(argument.buffer)].kind == .hole {
      boundary.holes[Int(argument.buffer)].isUsed = true
      if argument.access.isWrite { boundary.holes[Int(argument.buffer)].isWritten = true }
    } else {
      noteFixedView(argument)
    }
    for var part in map.unwritten(roots[Int(argument.buffer)].records, argument) {
      // Who has read it is found, too; readers do not ask for them.
      part.access = .inout
      let key = ViewKey(part)
      let place: UInt32
      if let known = probes[key] {
        place = known
      } else {
        place = UInt32(boundary.probes.append(part))
        probes[key] = place
      }
      boundary.accessProbes.append(place)
    }
  }

  private mutating func noteFixedView(_ argument: StagedArgument) {
    let key = ViewKey(argument)
    if let place = fixedViews[key] {
      if argument.access.isWrite { boundary.fixedViews[place].access = .inout }
    } else {
      var view = argument
      view.access = argument.access.isWrite ? .inout : .input
      fixedViews[key] = boundary.fixedViews.append(view)
    }
  }

  private mutating func enter(_ uses: [StagedArgument], _ number: Int) {
    // Ordinals start above 2^32: their lower half is the number.
    let task = TaskOrdinal(ring: 0, ordinal: 1 << 32 | UInt64(number))
    map.beginEntering()
    for argument in uses where argument.access != .noDependency && !argument.isEmpty {
      let root = Int(argument.buffer)
      if argument.access.isWrite {
        map.enterWrite(
          &roots[root].records, argument.extent, argument, task: task, at: nil,
          isLive: { _ in true })
      } else {
        map.enterRead(
          &roots[root].records, argument.extent, argument, task: task, at: nil,
          isLive: { _ in true })
      }
      entries.append(TemplateEntry(task: UInt32(number), argument: argument))
    }
  }

  // MARK: Afterwards

  /// What a replay returns; the roots that have a buffer then.
  private mutating func keep(_ list: [AnyTensor]) throws(PTO2Error) -> Set<UInt32> {
    var kept: Set<UInt32> = []
    for (index, tensor) in list.enumerated() {
      guard let root = outputs[tensor.buffer] else {
        throw PTO2Error(
          .invalidArgs,
          "record: output \(index), \(tensor.shape), was not put out by a recorded task")
      }
      var output = tensor
      output.buffer = root
      tasks.outputs.append(output)
      kept.insert(root)
    }
    let byTask = Dictionary(grouping: kept.sorted()) { roots[Int($0)].owner }
    for number in 0..<tasks.tasks.count {
      let first = UInt32(tasks.kept.count)
      for root in byTask[number] ?? [] {
        tasks.kept.append(
          KeptOutput(root: root, place: roots[Int(root)].place, bytes: roots[Int(root)].bytes))
      }
      tasks.tasks[number].kept = Piece(first: first, end: UInt32(tasks.kept.count))
    }
    return kept
  }

  /// Leaves out what a later write of the template hides, and what nobody can name.
  private mutating func chooseEntries(_ kept: Set<UInt32>) {
    func isOutside(_ root: UInt32) -> Bool {
      roots[Int(root)].kind != .output || kept.contains(root)
    }
    var lastWrites: [UInt32: [ViewKey: (entry: Int, box: ByteBox)]] = [:]
    for (index, entry) in entries.enumerated() where entry.argument.access.isWrite {
      let argument = entry.argument
      lastWrites[argument.buffer, default: [:]][ViewKey(argument)] = (index, argument.box)
    }
    var hiddenBefore: [ViewKey: Int] = [:]
    for (index, entry) in entries.enumerated() where isOutside(entry.argument.buffer) {
      let key = ViewKey(entry.argument)
      var bound = hiddenBefore[key] ?? -1
      if bound < 0 {
        let box = entry.argument.box
        bound = 0
        for (_, write) in lastWrites[entry.argument.buffer] ?? [:]
        where write.entry > bound && write.box.contains(box) {
          bound = write.entry
        }
        hiddenBefore[key] = bound
      }
      if index >= bound { boundary.entries.append(entry) }
    }
  }

  private mutating func noteWrites() {
    boundary.hasWrites = boundary.holes.contains { $0.isWritten }
    for index in 0..<boundary.fixedViews.count where boundary.fixedViews[index].access.isWrite {
      boundary.hasWrites = true
    }
  }
}

/// Which view of which root.
private struct ViewKey: Hashable {
  private let numbers: [Int64]

  init(_ argument: StagedArgument) {
    var numbers = [Int64(argument.buffer), Int64(argument.offset), Int64(argument.end)]
    if argument.hasGaps {
      let (shape, strides) = (argument.shape, argument.strides)
      numbers += [shape.0, shape.1, shape.2, shape.3, shape.4].map { Int64($0) }
      numbers += [strides.0, strides.1, strides.2, strides.3, strides.4].map { Int64($0) }
    }
    self.numbers = numbers
  }
}

extension FaninWord {
  /// Of a template's edge: the producer's number.
  @inline(__always)
  var task: UInt32 { UInt32(truncatingIfNeeded: rawValue) }
  @inline(__always)
  var flags: UInt64 { rawValue & ~PTO2_FANIN_ID_MASK }
}
