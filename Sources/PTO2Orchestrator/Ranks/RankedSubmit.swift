internal import CPTO2Segment
package import PTO2Protocol
internal import PTO2System

/// A submission of a program that several ranks run: each of them sees it, one runs it, and
/// gets what it lacks from the others.
extension Orchestrator {
  /// `submit` where there are other ranks; the task is staged.
  /// - Returns: an id that is the same on every rank.
  mutating func submitSomewhere() throws(PTO2Error) -> TaskID {
    if recording != nil { throw Self.refusal("recording a graph") }
    // What is wrong with a task is wrong everywhere.
    if staged.attributes.startsTogether { try checkBlocks() }
    if staged.isVoid { staged.becomeDummy() }
    if let inner = ranks.inner { return try submitInside(inner, outputs: stagedOutputs()) }
    let id = ranks.nextID
    if isForEveryRank {
      addToHistory(on: 0)
      let outputs = stagedOutputs()
      let local = try submitHere()
      for place in outputs {
        ranks.begin(place, buffers[place], home: nil, holders: ranks.all, writer: 0)
      }
      ranks.note(on: nil, rings.task(local) ?? .none)
      return id
    }
    let rank = chooseRank()
    addToHistory(on: rank)
    // A transfer that is submitted on the way is a task of its own.
    let dependencies = ranks.dependencies
    try bringArguments(to: rank)
    try bring(dependencies, to: rank)
    noteUses(by: rank)
    let outputs = stagedOutputs()
    if rank == ranks.own {
      let local = try submitHere()
      ranks.note(on: rank, rings.task(local) ?? .none)
    } else {
      leaveOutputs()
      unstage(keepOutputs: true)
      ranks.note(on: rank, .none)
    }
    for place in outputs {
      ranks.begin(
        place, buffers[place], home: rank, holders: RankSet(rank), writer: rank)
    }
    return id
  }

  /// A rank that the program has named; nil is fine.
  func checkRank(_ rank: Int?) throws(PTO2Error) {
    guard let rank, !(0..<ranks.count).contains(rank) else { return }
    throw fault.raise(
      PTO2Error(
        .invalidArgs,
        "rank \(rank): this program runs on \(ranks.count) rank\(ranks.count == 1 ? "" : "s"), so expected 0 to \(ranks.count - 1)"
      ))
  }

  package mutating func stageRank(_ rank: Int?) {
    guard let rank else { return }
    guard (0..<ranks.count).contains(rank) else {
      return staged.fail(
        PTO2Error(
          .invalidArgs,
          "a task on rank \(rank): expected 0 to \(ranks.count - 1), of which there are here"))
    }
    if !ranks.isAlone { ranks.chosen = rank }
  }

  static func refusal(_ what: String) -> PTO2Error {
    PTO2Error(.invalidArgs, "\(what) is not possible where a program runs on several ranks")
  }

  private mutating func stagedOutputs() -> [UInt32] {
    var places: [UInt32] = []
    for index in 0..<staged.arguments.count where staged.arguments[index].access == .output {
      places.append(staged.arguments[index].buffer)
    }
    return places
  }

  /// The outputs of a task that runs elsewhere: they have no memory here, unless they are
  /// needed.
  private mutating func leaveOutputs() {
    let scope = scopes.innermost.serial
    for index in 0..<staged.arguments.count {
      let argument = staged.arguments[index]
      switch argument.access {
      case .output:
        buffers[argument.buffer].state = .elsewhere
        buffers[argument.buffer].isCopy = true
        buffers[argument.buffer].scope = scope
        ranks.noteForeignOutput(argument.buffer, scope: scope)
      case .outputExisting where buffers[argument.buffer].state == .declared:
        // A kept output: its memory is there already.
        buffers[argument.buffer].state = .placed
        buffers[argument.buffer].isKept = true
      default: break
      }
    }
  }

  /// A scope has ended: so have the copies of what tasks elsewhere put out in it.
  mutating func endForeignOutputs(of scope: UInt64) {
    for place in ranks.takeForeignOutputs(of: scope) {
      if buffers[place].state == .placed {
        arena.free(
          buffers[place].offset, bytes: buffers[place].bytes,
          marks: (0..<rings.count).map { rings[$0].current })
      }
      buffers.free(place, &map)
    }
  }

  // MARK: What moves

  /// Whatever the task reads, and its rank lacks, is sent there. Its memory is there then.
  private mutating func bringArguments(to rank: Int) throws(PTO2Error) {
    let mayKeep =
      staged.attributes.kernels.activeMask == 0 || staged.predicate != nil
    for index in 0..<staged.arguments.count {
      let argument = staged.arguments[index]
      if argument.access == .output { continue }
      try checkUnordered(argument, on: rank)
      // What may be left as it was is needed as it was.
      if argument.access != .outputExisting || mayKeep {
        try bring(argument, to: rank)
      }
      if rank == ranks.own { try giveMemory(to: argument.buffer) }
    }
    if let predicate = staged.predicate {
      try checkUnordered(predicate.argument, on: rank)
      try bring(predicate.argument, to: rank)
    }
  }

  /// Sends what a rank lacks of a view, in as few messages as it lies in.
  /// - Parameter isLook: of the program itself, not of a task: all tasks without order have been
  ///   waited for.
  mutating func bring(_ argument: StagedArgument, to rank: Int, isLook: Bool = false)
    throws(PTO2Error)
  {
    if argument.isEmpty { return }
    var lacking: [LackingSpan] = []
    argument.forEachRun { begin, end in
      lacking += ranks[argument.buffer].bring(begin, end, to: rank)
    }
    guard let first = lacking.first else { return }
    if !isLook, scopes.innermost.isManual || argument.access == .noDependency {
      throw PTO2Error(
        .invalidArgs,
        "a tensor that rank \(first.source) has is used on rank \(rank) \(scopes.innermost.isManual ? "in a manual scope" : "without order"): nothing says when it is to be sent. Use it in an automatic scope first, or run the task there"
      )
    }
    let total = lacking.reduce(0) { $0 + ($1.end - $1.begin) }
    let isWhole =
      argument.hasGaps && total == argument.runs.reduce(0) { $0 + ($1.end - $1.begin) }
      && lacking.allSatisfy { $0.source == first.source }
      && total <= Self.largestMessage && argument.byteCount == total
    if isWhole {
      return try transfer(tensor(argument), bytes: total, from: first.source, to: rank)
    }
    for span in lacking {
      var begin = span.begin
      while begin < span.end {
        let end = min(span.end, begin + Self.largestMessage)
        let piece = bytes(of: argument.buffer, begin, end)
        try transfer(piece, bytes: end - begin, from: span.source, to: rank)
        begin = end
      }
    }
  }

  /// MPI counts with an int.
  private static let largestMessage: UInt64 = 1 << 30

  private func tensor(_ argument: StagedArgument) -> AnyTensor {
    AnyTensor(
      buffer: argument.buffer, generation: buffers[argument.buffer].generation,
      offset: argument.offset, shape: Shape(rank: Int(argument.rank), extents: argument.shape),
      strides: argument.strides, dataType: argument.dataType)
  }

  private func bytes(of place: UInt32, _ begin: UInt64, _ end: UInt64) -> AnyTensor {
    AnyTensor(
      buffer: place, generation: buffers[place].generation, offset: begin,
      shape: [Int(end - begin)], strides: (1, 0, 0, 0, 0), dataType: .uint8)
  }

  /// One message. The rank that has the bytes sends, the other receives; nobody else has
  /// anything to do with it.
  private mutating func transfer(
    _ tensor: AnyTensor?, bytes: UInt64, from source: Int, to rank: Int,
    after dependency: RankedDependency? = nil
  ) throws(PTO2Error) {
    if ranks.isPretended {
      if rank == ranks.own, let tensor { try giveMemory(to: tensor.buffer) }
      return
    }
    if source == ranks.own {
      let order = TransferOrder(
        .send, peer: rank, sequence: ranks.nextSent(to: rank), bytes: bytes)
      _ = try submitAside(order, tensor, after: dependency)
    } else if rank == ranks.own {
      if let tensor { try giveMemory(to: tensor.buffer) }
      let order = TransferOrder(
        .receive, peer: source, sequence: ranks.nextReceived(from: source), bytes: bytes)
      let id = try submitAside(order, tensor, after: nil)
      // The task that is put together waits for the message itself.
      if tensor == nil, let task = rings.task(id) {
        staged.add(Dependency(task: task, flags: PTO2_FANIN_WAIT | PTO2_FANIN_DATA))
      }
    }
  }

  /// Submits a transfer while another task is put together.
  private mutating func submitAside(
    _ order: TransferOrder, _ tensor: AnyTensor?, after dependency: RankedDependency?
  ) throws(PTO2Error) -> TaskID {
    swap(&staged, &stagedAside)
    defer {
      staged.reset()
      swap(&staged, &stagedAside)
    }
    return try submitTransfer(order, tensor: tensor, after: dependency?.ordinal)
  }

  /// What the task waits for on other ranks is told with messages of no bytes.
  private mutating func bring(_ dependencies: [RankedDependency], to rank: Int)
    throws(PTO2Error)
  {
    for dependency in dependencies {
      if let source = dependency.rank, source != rank {
        try transfer(nil, bytes: 0, from: source, to: rank, after: dependency)
      } else if rank == ranks.own {
        stageDependency(dependency.ordinal, isRetained: dependency.isRetained)
        if let error = staged.error { throw error }
      }
    }
  }

  /// A buffer of which this rank has had nothing gets memory in the arena, until its scope
  /// ends.
  mutating func giveMemory(to place: UInt32) throws(PTO2Error) {
    guard buffers[place].state == .elsewhere else { return }
    let bytes = buffers[place].bytes
    if !arena.hasRoom(bytes) { try reclaimArena(bytes) }
    buffers[place].offset = try arena.take(
      bytes, for: "a copy of an output of another rank,", isZeroed: false, in: segment)
    buffers[place].state = .placed
  }

  private mutating func noteUses(by rank: Int) {
    for index in 0..<staged.arguments.count {
      let argument = staged.arguments[index]
      if argument.access == .output { continue }
      if isUnordered(argument) {
        ranks.noteUnordered(argument.use(on: rank))
      }
      guard argument.access == .inout || argument.access == .outputExisting else { continue }
      argument.forEachRun { ranks[argument.buffer].noteWrite($0, $1, by: rank) }
      // A kept output is at home where it was put out.
      if buffers[argument.buffer].state == .declared { ranks[argument.buffer].home = rank }
    }
  }

  private func isUnordered(_ argument: StagedArgument) -> Bool {
    !argument.isEmpty && (scopes.innermost.isManual || argument.access == .noDependency)
  }

  /// Bytes that tasks of another rank use without order are that rank's until these have been
  /// waited for: nothing says when they are done with them.
  func checkUnordered(_ argument: StagedArgument, on rank: Int) throws(PTO2Error) {
    guard !argument.isEmpty, !isUnordered(argument),
      let other = ranks.unorderedElsewhere(argument.use(on: rank))
    else { return }
    throw PTO2Error(
      .invalidArgs,
      "a tensor that tasks on rank \(other) use without order, or in a manual scope, is used on rank \(rank): nothing says when they are done with it. Wait for them first (wait), or run the task there"
    )
  }

  // MARK: The program's own access

  /// What tasks without order have left is sent when they are done: each rank waits for its
  /// own ones.
  private mutating func settleUnordered() throws(PTO2Error) {
    guard ranks.hasUnordered else { return }
    try waitForAll()
    ranks.settleUnordered()
  }

  /// Every rank gets what it lacks of a tensor that the program looks at: it may go on by
  /// what it sees there. A wait comes next.
  /// - Parameter forWriting: it is about to change it.
  package mutating func bringEverywhere(_ tensor: AnyTensor, forWriting: Bool = false)
    throws(PTO2Error)
  {
    if ranks.isAlone { return }
    guard isInScope(tensor) else { return }
    if let inner = ranks.inner { return try checkLook(tensor, forWriting ? .inout : .input, inner) }
    try settleUnordered()
    do throws(PTO2Error) {
      let argument = StagedArgument(tensor, .input)
      for rank in 0..<ranks.count { try bring(argument, to: rank, isLook: true) }
      try giveMemory(to: tensor.buffer)
    } catch { throw fault.raise(error) }
  }

  /// The program keeps the address of a tensor: what is there on this rank is to be right
  /// after each wait.
  package mutating func expose(_ tensor: AnyTensor) throws(PTO2Error) {
    guard isInScope(tensor) else { return }
    ranks.expose(tensor.buffer, buffers[tensor.buffer].generation)
    try bringEverywhere(tensor)
  }

  /// Every rank gets what it lacks of the tensors of which the program has an address.
  package mutating func bringExposed() throws(PTO2Error) {
    if ranks.isAlone || ranks.inner != nil { return }
    try settleUnordered()
    for (place, generation) in ranks.exposed {
      guard buffers[place].generation == generation, buffers[place].state != .free else {
        continue
      }
      var begin: UInt64 = 0
      while begin < buffers[place].bytes {
        let end = min(buffers[place].bytes, begin + Self.largestMessage)
        try bringEverywhere(bytes(of: place, begin, end))
        begin = end
      }
    }
  }

  /// The program has written, on every rank the same.
  package mutating func noteProgramWrite(_ tensor: AnyTensor) {
    if ranks.isAlone || ranks.inner != nil || !isInScope(tensor) { return }
    let count = ranks.count
    let argument = StagedArgument(tensor, .inout)
    let home = ranks[tensor.buffer].home ?? 0
    argument.forEachRun { ranks[argument.buffer].noteWriteByAll($0, $1, of: count, home: home) }
  }

  // MARK: History

  /// What ranks that run one program agree on.
  private mutating func addToHistory(on rank: Int) {
    ranks.addToHash(UInt64(rank) << 8 | UInt64(staged.attributes.kernels.activeMask))
    let ids = staged.attributes.kernels.ids
    ranks.addToHash(UInt64(ids.0) | UInt64(ids.1) << 16 | UInt64(ids.2) << 32)
    for index in 0..<staged.arguments.count { addToHash(staged.arguments[index]) }
    ranks.record(staged.attributes.kernels, on: rank, tensors: staged.arguments.count)
  }

  /// Of a part of the program that one rank goes through.
  mutating func addToHistory(of arguments: [StagedArgument], on rank: Int) {
    ranks.addToHash(UInt64(rank) << 8 | 0xFF)
    for argument in arguments { addToHash(argument) }
    ranks.record(KernelSet(), on: rank, tensors: arguments.count)
  }

  private mutating func addToHash(_ argument: StagedArgument) {
    let serial = argument.access == .output ? 0 : ranks[argument.buffer].serial
    ranks.addToHash(serial << 8 | UInt64(argument.access.rawValue))
    ranks.addToHash(argument.offset << 32 ^ argument.end)
  }
}
