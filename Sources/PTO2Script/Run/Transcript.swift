internal import PTO2Protocol
internal import PTO2Segment
package import PTO2Sight
internal import PTO2System

/// Writes a run as a script: the same tasks, tensors, scopes and sizes.
package struct Transcript {
  package struct Failure: Error, CustomStringConvertible { package var description: String }

  /// Tensors of the program, which overlap nothing else.
  private struct Piece {
    var offset: UInt64
    var bytes: UInt64
    var type: DataType
    var shape: [Int]
    var name = ""
    var isWritten: Bool
  }

  private struct Output {
    var offset: UInt64
    var bytes: UInt64
    var tensor: RecordedRun.Tensor
    var name: String
  }

  private let run: RecordedRun
  private var pieces: [Piece] = []
  /// By ring, in the order of submission.
  private var outputs: [[Output]]
  private var outputCount = 0
  private var named: Set<UInt64> = []
  private var earlier: [UInt64: RecordedRun.Task] = [:]
  private var lines: [String] = []
  private var depth = 0
  /// Of the scopes that are open, from the outermost but one on.
  private var scopeNames: [String] = []

  /// - Throws: a run that no script can say.
  package static func text(_ run: RecordedRun) throws(Failure) -> String {
    var transcript = Transcript(run)
    return try transcript.write()
  }

  private init(_ run: RecordedRun) {
    self.run = run
    outputs = run.heaps.map { _ in [] }
  }

  private mutating func write() throws(Failure) -> String {
    let tasks = run.events.compactMap { if case .task(let task) = $0 { task } else { nil } }
    guard !tasks.isEmpty else { throw Failure(description: "the session has had no task") }
    try findPieces(tasks)
    for task in tasks {
      earlier[task.id.rawValue] = task
      named.formUnion(dependencies(of: task).map(\.producer.rawValue))
    }
    lines.append("graph:")
    for (place, event) in run.events.enumerated() {
      switch event {
      case .task(let task):
        close(to: task.depth)
        // A scope has one name: this is the next one at its depth.
        if depth > 0, depth == task.depth, scopeNames.last != task.scopeName {
          close(to: depth - 1)
        }
        open(to: task.depth, from: place)
        try write(task)
      // The outermost one ends with the run.
      case .scopeEnd(let ended) where ended > 0: close(to: ended - 1)
      case .scopeEnd: break
      }
    }
    return (head(tasks.count) + tensorLines() + lines + expectations())
      .joined(separator: "\n") + "\n"
  }

  // MARK: The program's tensors

  private func heap(of offset: UInt64) -> Int? { run.heaps.firstIndex { $0.contains(offset) } }

  /// Views that share bytes are of one tensor.
  private mutating func findPieces(_ tasks: [RecordedRun.Task]) throws(Failure) {
    var views: [(tensor: RecordedRun.Tensor, isWritten: Bool)] = []
    for task in tasks {
      for tensor in task.tensors where heap(of: tensor.offset) == nil {
        views.append((tensor, tensor.access != 0))
      }
      if let predicate = task.predicate, heap(of: predicate.offset) == nil {
        views.append((predicate.element, false))
      }
    }
    views.sort {
      ($0.tensor.offset, $1.tensor.bytes) < ($1.tensor.offset, $0.tensor.bytes)
    }
    for (tensor, isWritten) in views {
      let size = UInt64(tensor.type.byteCount)
      let bytes = max(tensor.bytes, size)
      let last = pieces.count - 1
      guard last >= 0, tensor.offset < pieces[last].offset + pieces[last].bytes else {
        let shape = tensor.isContiguous && !tensor.isEmpty ? tensor.shape : [Int(bytes / size)]
        pieces.append(
          Piece(
            offset: tensor.offset, bytes: bytes, type: tensor.type, shape: shape,
            isWritten: isWritten))
        continue
      }
      guard pieces[last].type == tensor.type else {
        throw Failure(
          description:
            "a tensor is used as \(pieces[last].type.name) and as \(tensor.type.name): scripts have no such views"
        )
      }
      let end = max(pieces[last].offset + pieces[last].bytes, tensor.offset + bytes)
      if end > pieces[last].offset + pieces[last].bytes {
        pieces[last].bytes = end - pieces[last].offset
        pieces[last].shape = [Int(pieces[last].bytes / size)]
      }
      if isWritten { pieces[last].isWritten = true }
    }
    for index in pieces.indices { pieces[index].name = "x\(index)" }
  }

  // MARK: Views

  /// As the script calls the elements.
  private func reference(_ tensor: RecordedRun.Tensor) throws(Failure) -> String {
    let (name, offset, type, shape) = try base(of: tensor.offset)
    guard type == tensor.type else {
      throw Failure(
        description:
          "a tensor is used as \(type.name) and as \(tensor.type.name): scripts have no such views")
    }
    if shape == tensor.shape, tensor.offset == offset, tensor.isContiguous { return name }
    let first = (tensor.offset - offset) / UInt64(type.byteCount)
    let numbers = ([Int(first)] + tensor.shape + tensor.strides).map { "\($0)" }
    return "\"\(name).strided(\(numbers.joined(separator: ", ")))\""
  }

  private func base(of offset: UInt64) throws(Failure) -> (String, UInt64, DataType, [Int]) {
    if let ring = heap(of: offset) {
      // The newest one that has been there.
      let found = outputs[ring].last {
        $0.offset <= offset && offset < $0.offset + max($0.bytes, 1)
      }
      if let found { return (found.name, found.offset, found.tensor.type, found.tensor.shape) }
    } else {
      var (low, high) = (0, pieces.count)
      while low < high {
        let middle = (low + high) / 2
        if pieces[middle].offset <= offset { low = middle + 1 } else { high = middle }
      }
      if low > 0, offset < pieces[low - 1].offset + pieces[low - 1].bytes {
        let piece = pieces[low - 1]
        return (piece.name, piece.offset, piece.type, piece.shape)
      }
    }
    throw Failure(description: "a tensor lies where no task has put one out")
  }

  // MARK: Scopes

  private var indent: String { String(repeating: "  ", count: 2 * depth + 1) }

  private mutating func add(_ step: String) {
    lines.append(indent + "- " + step)
  }

  private mutating func open(to wanted: Int, from place: Int) {
    while depth < wanted {
      let name = scopeName(at: depth + 1, from: place)
      // One without a name has that of the scope around it.
      let isOwn = !name.isEmpty && name != scopeNames.last
      add("scope: " + (isOwn ? "{name: \(Self.quotedText(name))}" : "automatic"))
      lines.append(indent + "  do:")
      depth += 1
      scopeNames.append(name)
    }
  }

  /// Of the scope that begins before this event, as the first task directly in it has it.
  private func scopeName(at wanted: Int, from place: Int) -> String {
    for event in run.events[place...] {
      switch event {
      case .task(let task) where task.depth == wanted: return task.scopeName
      case .task(let task) where task.depth > wanted: continue
      case .scopeEnd(let ended) where ended > wanted: continue
      default: return scopeNames.last ?? ""
      }
    }
    return scopeNames.last ?? ""
  }

  private mutating func close(to wanted: Int) {
    depth = min(depth, wanted)
    scopeNames.removeLast(scopeNames.count - depth)
  }

  // MARK: Tasks

  /// Producers of which the tensors do not tell.
  private func dependencies(of task: RecordedRun.Task) -> [FaninWord] {
    let own = task.uses
    return task.producers.filter { word in
      guard let producer = earlier[word.producer.rawValue] else { return false }
      return !own.contains { mine in
        producer.uses.contains { other in
          (mine.access != 0 || other.access != 0) && mine.offset < other.offset + other.bytes
            && other.offset < mine.offset + mine.bytes
        }
      }
    }
  }

  private static let accesses = ["in", "out", "inout", "overwrite", "unordered"]

  private mutating func write(_ task: RecordedRun.Task) throws(Failure) {
    var parts: [String] = []
    if task.kernels.isEmpty { parts.append("task: none") }
    for kernel in task.kernels {
      let key =
        kernel.slot == 0
        ? "aic"
        : task.kernels.count == 1 && kernel.slot == 1
          ? "task" : "aiv\(kernel.slot - 1)"
      parts.append("\(key): \(Self.quoted(kernel.name))")
    }
    if named.contains(task.id.rawValue) {
      parts.append("name: \(Self.name(task.id))")
    } else if !task.name.isEmpty, !task.name.hasPrefix(Self.prefix) {
      parts.append("name: \(Self.quotedText(task.name))")
    }
    var arguments: [String] = []
    var made: [Output] = []
    for tensor in task.tensors {
      let key = Self.accesses[Int(tensor.access)]
      guard tensor.access == 1 else {
        arguments.append("{\(key): \(try reference(tensor))}")
        continue
      }
      let output = Output(
        offset: tensor.offset, bytes: tensor.bytes, tensor: tensor, name: "t\(outputCount)")
      outputCount += 1
      made.append(output)
      let shape = tensor.shape.map { "\($0)" }.joined(separator: ", ")
      arguments.append("{out: \(output.name), type: \(tensor.type.name), shape: [\(shape)]}")
    }
    if !arguments.isEmpty { parts.append("args: [\(arguments.joined(separator: ", "))]") }
    if !task.scalars.isEmpty {
      let scalars = task.scalars.map { "\(Int64(bitPattern: $0))" }
      parts.append("scalars: [\(scalars.joined(separator: ", "))]")
    }
    if task.blocks.count != 1 { parts.append("blocks: \(task.blocks.count)") }
    if let cluster = task.blocks.cluster { parts.append("near: \(cluster)") }
    if task.flags.contains(.syncStart) { parts.append("together: true") }
    if let predicate = task.predicate { parts.append("when: \(try text(predicate))") }
    let producers = dependencies(of: task)
    for (key, retains) in [("after", false), ("retain", true)] {
      let names = producers.filter { $0.retains == retains }.map { Self.name($0.producer) }
      if !names.isEmpty { parts.append("\(key): [\(names.joined(separator: ", "))]") }
    }
    if let recovery = recovery(task) { parts.append("recovery: \(recovery)") }
    add("{\(parts.joined(separator: ", "))}")
    for output in made {
      if let ring = heap(of: output.offset) { outputs[ring].append(output) }
    }
  }

  private static func name(_ id: TaskID) -> String { "\(prefix)\(id.ring)_\(id.local)" }
  /// Of the names of tasks that later ones name; no other has it.
  private static let prefix = "task_"

  /// Braces stand for themselves.
  private static func quotedText(_ text: String) -> String {
    JSONObject.quoted(text.replacing("{", with: "{{").replacing("}", with: "}}"))
  }

  private static func quoted(_ text: String) -> String {
    let isPlain = text.unicodeScalars.allSatisfy {
      $0.isASCII && ($0.properties.isAlphabetic || $0.properties.numericType != nil || $0 == "_")
    }
    return isPlain && !text.isEmpty && text != "none" ? text : JSONObject.quoted(text)
  }

  private func text(_ predicate: RecordedRun.Predicate) throws(Failure) -> String {
    let (name, offset, type, shape) = try base(of: predicate.offset)
    guard type == predicate.type else {
      throw Failure(description: "a predicate looks at \(type.name) as \(predicate.type.name)")
    }
    var place = Int((predicate.offset - offset) / UInt64(type.byteCount))
    var index: [Int] = []
    for extent in shape.reversed() {
      index.insert(place % max(1, extent), at: 0)
      place /= max(1, extent)
    }
    let signs: [Comparison: String] = [
      .equal: "==", .notEqual: "!=", .greater: ">", .less: "<", .greaterOrEqual: ">=",
      .lessOrEqual: "<=",
    ]
    let value =
      type.isReal
      ? "\(Double(bitPattern: predicate.bits))" : "\(Int64(bitPattern: predicate.bits))"
    let places = index.map { "\($0)" }.joined(separator: ", ")
    return "\"\(name)[\(places)] \(signs[predicate.comparison] ?? "==") \(value)\""
  }

  /// By what its flags say, and what they would say by themselves.
  private func recovery(_ task: RecordedRun.Task) -> String? {
    if task.flags.contains(.snapshot) { return "snapshot" }
    let isPure = task.tensors.allSatisfy { $0.access != 2 && $0.access != 4 }
    if task.kernels.isEmpty || task.flags.contains(.rerun) == isPure { return nil }
    return isPure ? "once" : "again"
  }

  // MARK: The rest

  private func head(_ count: Int) -> [String] {
    let sizes = run.configuration
    func each(_ value: (PTO2Segment.Configuration.Ring) -> String) -> String {
      let values = sizes.rings.map(value)
      return Set(values).count == 1 ? values[0] : "\"" + values.joined(separator: ",") + "\""
    }
    var options = [
      "clusters: \(sizes.clusters)", "threads: \(sizes.schedulerThreads)", "lanes: \(sizes.lanes)",
      "rings: \(sizes.rings.count)", "task-window: \(each { "\($0.taskWindow)" })",
      "consumed-window: \(each { "\($0.consumedWindow)" })",
      "heap: \(each { "\($0.heapBytes)" })", "dep-pool: \(each { "\($0.dependencyPool)" })",
    ]
    if sizes.flags.contains(.noAhead) { options.append("no-ahead: true") }
    if sizes.stallLimitMilliseconds > 0 {
      options.append("stall-limit: \(Double(sizes.stallLimitMilliseconds) / 1000)")
    }
    if sizes.kernelDeadlineMilliseconds > 0 {
      options.append("kernel-deadline: \(Double(sizes.kernelDeadlineMilliseconds) / 1000)")
    }
    let images = run.images.filter { !$0.hasSuffix("/lib\(BuiltIn.image).so") }
      .map(JSONObject.quoted)
    let lines = [
      "# Written by pto2 record. What the program itself has stored in its tensors, its waits and",
      "# what it has freed is not in a segment; every scope is automatic here.",
      "description: \(count) tasks of a recorded run",
      "session: {\(options.joined(separator: ", "))}",
    ]
    return images.isEmpty ? lines : lines + ["images: [\(images.joined(separator: ", "))]"]
  }

  private func tensorLines() -> [String] {
    if pieces.isEmpty { return [] }
    return ["tensors:"]
      + pieces.map { piece in
        let shape = piece.shape.map { "\($0)" }.joined(separator: ", ")
        return "  \(piece.name): {type: \(piece.type.name), shape: [\(shape)]}"
      }
  }

  private func expectations() -> [String] {
    var lines: [String] = []
    if let error = run.error {
      // A submit that fails leaves no task behind.
      let comes: Set<PTO2ErrorCode> = [
        .workerDied, .schedulerTimeout, .schedulerDied, .garbageWord, .protocolViolation,
      ]
      lines.append(
        comes.contains(error.code)
          ? "  error: \(error.name)"
          : "  # The run has ended with error \(error.number) \(error.name): what came after these tasks."
      )
    }
    if !pieces.isEmpty {
      lines.append("  results:")
      lines += pieces.map { "    \($0.name): any" }
    }
    let isEmpty = lines.allSatisfy { $0.hasPrefix("  #") }
    return isEmpty ? lines : ["expect:"] + lines
  }
}

extension RecordedRun.Task {
  /// What orders it: its tensors but the unordered ones, and what its predicate looks at.
  fileprivate var uses: [RecordedRun.Tensor] {
    tensors.filter { $0.access != 4 } + (predicate.map { [$0.element] } ?? [])
  }
}
