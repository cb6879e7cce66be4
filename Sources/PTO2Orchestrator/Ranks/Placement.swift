internal import PTO2Protocol

/// On which rank a task runs. It follows from what every rank knows, so that all come to
/// the same.
extension Orchestrator {
  /// In this order: where the program says; the home of most of the bytes that it writes in
  /// place; the rank that has most of the bytes that it reads; the rank of the scope. The
  /// lowest of several.
  mutating func chooseRank() -> Int {
    if let chosen = ranks.chosen { return chosen }
    // Most tasks write what is at home on one rank: nothing is counted then.
    var first: Int?
    var isOneHome = true
    forEachHome { home, _ in
      if let first, first != home { isOneHome = false }
      first = first ?? home
    }
    if let first, isOneHome { return first }
    var bytes = [UInt64](repeating: 0, count: ranks.count)
    forEachHome { bytes[$0] += $1 }
    if let most = Self.most(bytes) { return most }
    for index in 0..<staged.arguments.count {
      let argument = staged.arguments[index]
      if argument.access == .output || argument.isEmpty { continue }
      // Gaps count as well: a rank that has a part of a view has a part of them.
      ranks[argument.buffer].count(argument.offset, argument.end, into: &bytes)
    }
    // What all have says nothing.
    if bytes.contains(where: { $0 != bytes[0] }), let most = Self.most(bytes) { return most }
    return scopes.innermost.rank
  }

  /// Calls `body` for each tensor that the task writes in place: with its home and its bytes.
  private func forEachHome(_ body: (Int, UInt64) -> Void) {
    for index in 0..<staged.arguments.count {
      let argument = staged.arguments[index]
      guard argument.access == .inout || argument.access == .outputExisting,
        argument.byteCount > 0, let home = ranks[argument.buffer].home
      else { continue }
      body(home, argument.byteCount)
    }
  }

  private static func most(_ bytes: [UInt64]) -> Int? {
    var best = 0
    for rank in bytes.indices where bytes[rank] > bytes[best] { best = rank }
    return bytes[best] == 0 ? nil : best
  }

  /// Every rank runs the task: it has no kernel and reads nothing, so that its outputs are
  /// memory whose contents nobody has written yet.
  var isForEveryRank: Bool {
    mutating get {
      guard staged.attributes.kernels.activeMask == 0, staged.predicate == nil,
        ranks.dependencies.isEmpty, ranks.chosen == nil
      else { return false }
      for index in 0..<staged.arguments.count where staged.arguments[index].access != .output {
        return false
      }
      return true
    }
  }
}

extension StagedArgument {
  var byteCount: UInt64 { UInt64(elementCount) * UInt64(dataType.byteCount) }

  /// All from the first to the last.
  func use(on rank: Int) -> UnorderedUse {
    UnorderedUse(
      place: buffer, begin: offset, end: end, rank: rank, mayWrite: access == .noDependency)
  }

  /// Its bytes, in the order of its elements; without repeated ones.
  var runs: ByteRuns {
    ByteRuns(
      offset: offset, rank: Int(rank), shape: shape, strides: strides,
      elementBytes: UInt64(dataType.byteCount))
  }

  /// Calls `body` with each of its ranges of bytes.
  func forEachRun(_ body: (UInt64, UInt64) -> Void) {
    if isEmpty { return }
    if !hasGaps { return body(offset, end) }
    for run in runs { body(run.begin, run.end) }
  }
}
