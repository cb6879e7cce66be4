package import PTO2Protocol

/// A part of the program that one rank alone goes through. The others see one task that reads
/// and writes what the scope says, and go on: what they save is the cost of seeing the rest.
struct RankScope {
  /// Depth of its own scope.
  var depth: Int
  var reads: [StagedArgument]
  var writes: [StagedArgument]
  /// There are tasks in it whose order nothing knows: of manual scopes, or without order.
  var isUnordered = false
}

extension Orchestrator {
  /// Begins such a part, on every rank.
  /// - Returns: false on a rank that leaves it out.
  package mutating func beginRankScope(
    on rank: Int, reads: [AnyTensor], writes: [AnyTensor]
  ) throws(PTO2Error) -> Bool {
    try fault.check()
    try refuseInRecording("a scope of one rank")
    try checkRank(rank)
    if ranks.inner != nil {
      throw fault.raise(
        PTO2Error(.invalidArgs, "a scope of one rank inside another: the rank is chosen already"))
    }
    if ranks.isAlone {
      try beginScope()
      return true
    }
    do throws(PTO2Error) {
      let reads = try reads.map { (t) throws(PTO2Error) in try declared(t, .input) }
      let writes = try writes.map { (t) throws(PTO2Error) in try declared(t, .inout) }
      for argument in reads + writes { try checkUnordered(argument, on: rank) }
      for argument in reads { try bring(argument, to: rank) }
      for argument in writes {
        try bring(argument, to: rank)
        argument.forEachRun { ranks[argument.buffer].noteWrite($0, $1, by: rank) }
      }
      for argument in reads + writes where rank == ranks.own {
        try giveMemory(to: argument.buffer)
      }
      addToHistory(of: reads + writes, on: rank)
      guard rank == ranks.own else { return false }
      try beginScope()
      ranks.inner = RankScope(depth: scopes.depth, reads: reads, writes: writes)
      return true
    } catch { throw fault.raise(error) }
  }

  /// On the rank that has gone through it.
  package mutating func endRankScope() throws(PTO2Error) {
    // What is sent of it later is what they have left.
    if ranks.inner?.isUnordered == true { try waitForAll() }
    ranks.inner = nil
    try endScope()
  }

  private func declared(_ tensor: AnyTensor, _ access: Access) throws(PTO2Error)
    -> StagedArgument
  {
    guard isInScope(tensor) else {
      throw PTO2Error(
        .invalidArgs, "a scope of one rank: tensor \(tensor.shape) is not there any more")
    }
    let argument = StagedArgument(tensor, access)
    guard !argument.hasGaps else {
      throw PTO2Error(
        .invalidArgs,
        "a scope of one rank: the view \(tensor.shape) has gaps; say what is used in views without"
      )
    }
    return argument
  }

  /// A task inside: like one of a program that is alone, with what the scope has said.
  mutating func submitInside(_ inner: RankScope, outputs: [UInt32]) throws(PTO2Error) -> TaskID {
    for index in 0..<staged.arguments.count {
      try check(staged.arguments[index], inner)
      if scopes.innermost.isManual || staged.arguments[index].access == .noDependency {
        ranks.inner?.isUnordered = true
      }
    }
    if let predicate = staged.predicate { try check(predicate.argument, inner) }
    for dependency in ranks.dependencies {
      guard dependency.rank == nil || dependency.rank == ranks.own else {
        throw PTO2Error(
          .invalidArgs,
          "a task in a scope of one rank waits for one of rank \(dependency.rank ?? 0): let it wait for what that one has written"
        )
      }
      stageDependency(dependency.ordinal, isRetained: dependency.isRetained)
    }
    if let error = staged.error { throw error }
    if let chosen = ranks.chosen, chosen != ranks.own {
      throw PTO2Error(.invalidArgs, "a task on rank \(chosen) in a scope of rank \(ranks.own)")
    }
    let id = try submitHere()
    for place in outputs {
      ranks.begin(
        place, buffers[place], home: ranks.own, holders: RankSet(ranks.own), writer: ranks.own)
    }
    return id
  }

  /// The program looks at a tensor inside, or writes it: on this rank alone.
  func checkLook(_ tensor: AnyTensor, _ access: Access, _ inner: RankScope) throws(PTO2Error) {
    do throws(PTO2Error) { try check(StagedArgument(tensor, access), inner) } catch {
      throw fault.raise(error)
    }
  }

  /// What would outlive the scope, and be unknown elsewhere.
  func refuseInside(_ what: String) throws(PTO2Error) {
    guard ranks.inner != nil else { return }
    throw fault.raise(
      PTO2Error(
        .invalidArgs,
        "\(what) in a scope of one rank: the other ranks would not know of it. Make it before"))
  }

  private func check(_ argument: StagedArgument, _ inner: RankScope) throws(PTO2Error) {
    if argument.access == .output || argument.isEmpty || ranks[argument.buffer].isInner { return }
    func isIn(_ list: [StagedArgument]) -> Bool {
      list.contains {
        $0.buffer == argument.buffer && $0.offset <= argument.offset && $0.end >= argument.end
      }
    }
    if isIn(inner.writes) || !argument.access.isWrite && isIn(inner.reads) { return }
    throw PTO2Error(
      .invalidArgs,
      "a scope of one rank \(argument.access.isWrite ? "writes" : "reads") bytes \(argument.offset) to \(argument.end) of a tensor, and does not say so: name them in its \(argument.access.isWrite ? "writes" : "reads")"
    )
  }
}
