import Glibc
import PTO2
import PTO2CommandLine

/// A program for several ranks: started by mpirun from ProcessTests, a scene at a time.
@main
struct MachineProgram: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pto2-machine-test",
    abstract: "Scenes of a program on several ranks. Example: mpirun -n 2 pto2-machine-test values")

  @Argument(help: "Which scene.")
  var scene: String

  @OptionGroup var runtime: RuntimeOptions

  func run() throws {
    if scene == "runs" { return try runs() }
    if scene == "between" { return try linkDiesBetweenRuns() }
    try runtime.run("machine", images: ["TestKernels"]) { graph in
      switch scene {
      case "values": try values(graph)
      case "scope": try scope(graph)
      case "undeclared": try undeclared(graph)
      case "unwritten": try unwritten(graph)
      case "manual": try manual(graph)
      case "unordered": try unordered(graph)
      case "unordered-early": try unorderedEarly(graph)
      case "differs": try differs(graph)
      case "ends-early": try endsEarly(graph)
      case "throws": try throwsOnOne(graph)
      case "crash": try crash(graph)
      case "late": try late(graph)
      case "hangs": try hangs(graph)
      default: try graph.fail("no scene \(scene)")
      }
      if graph.rank == 0 { print("scene \(scene) on \(graph.ranks) ranks: done") }
    }
  }

  private func check(_ graph: Graph, _ condition: Bool, _ what: String) throws {
    if !condition { try graph.fail("rank \(graph.rank): \(what)") }
  }

  /// A task that adds to each element.
  private func add(_ graph: Graph, _ x: Tensor<Int64>, _ value: Int, on rank: Int?) throws {
    try graph.submit(aiv: try graph.kernel("t_add")) { task in
      if let rank { task.run(on: rank) }
      task.inout(x)
      task.scalar(value)
      task.scalar(0)
    }
  }

  /// Every way in which a program and tasks look at tensors that are elsewhere.
  private func values(_ graph: Graph) throws {
    let fill = try graph.kernel("c_fill")
    let last = graph.ranks - 1
    let x = try graph.externalTensor(of: Int64.self, [64], on: last)
    try graph.write(x) { for i in $0.indices { $0[i] = Int64(i) } }
    // A chain that goes round the ranks, three times.
    for step in 0..<3 * graph.ranks {
      try add(graph, x, 1, on: step % graph.ranks)
    }
    let count = Int64(3 * graph.ranks)
    try check(graph, try graph.element(of: x, at: [63]) == 63 + count, "element")
    try graph.setElement(of: x, at: [5], to: -1)
    try check(graph, try graph.array(x)[5] == -1, "setElement")
    // An output of the last rank, used on the first, by a view with gaps.
    try graph.scope {
      let made = try graph.submit(aiv: fill) { task in
        task.run(on: last)
        let tensor = task.output(of: Int64.self, [8, 8])
        task.scalar(7)
        return tensor
      }
      let column = try made.slice(from: [0, 3], shape: [8, 1])
      let gathered = try graph.submit(aiv: try graph.kernel("t_gather")) { task in
        task.run(on: 0)
        task.input(column)
        return task.output(of: Int64.self, [8])
      }
      try add(graph, try column.slice(from: [2, 0], shape: [1, 1]), 100, on: 0)
      let all = try graph.array(made)
      let expected = (0..<64).map { Int64($0 + 7 + ($0 == 19 ? 100 : 0)) }
      try check(graph, all == expected, "an output of another rank is \(all)")
      let part = try graph.array(gathered)
      try check(graph, part == (0..<8).map { 10 + 8 * $0 }, "a view with gaps is \(part)")
    }
    // A kept output outlives its scope, and goes on from rank to rank.
    var kept = try graph.submit(aiv: fill) { task in
      task.run(on: last)
      let tensor = task.keptOutput(of: Int64.self, [16])
      task.scalar(1)
      return tensor
    }
    for step in 1...graph.ranks {
      let next = try graph.submit(aiv: try graph.kernel("t_gather")) { task in
        task.run(on: step % graph.ranks)
        task.input(kept)
        return task.keptOutput(of: Int64.self, [16])
      }
      try graph.free(kept)
      kept = next
    }
    try check(graph, try graph.array(kept) == (1...16).map { $0 }, "a kept output")
    // Order by id alone, over ranks: no tensor tells of it, but the time does.
    let slow = try graph.externalTensor(of: Int64.self, [1], on: 0)
    let next = try graph.externalTensor(of: Int64.self, [1], on: last)
    let clock = ContinuousClock()
    let begin = clock.now
    let first = try graph.submit(aiv: try graph.kernel("t_add")) { task in
      task.inout(slow)
      task.scalar(1)
      task.scalar(300_000)
      return task.id
    }
    try graph.submit(aiv: try graph.kernel("t_add")) { task in
      task.after(first)
      task.inout(next)
      task.scalar(1)
      task.scalar(0)
    }
    try check(graph, try graph.element(of: next, at: [0]) == 1, "what comes after")
    // Ranks do not come here at one moment.
    let waited = clock.now - begin
    try check(graph, waited >= .milliseconds(150), "it came before, after \(waited)")
    let y = try graph.externalTensor(of: Int64.self, [4])
    var before: TaskID?
    for step in 0..<2 * graph.ranks {
      before = try graph.submit(aiv: try graph.kernel("t_add")) { task in
        task.run(on: step % graph.ranks)
        if let before { task.after(before) }
        task.inout(y)
        task.scalar(1)
        task.scalar(0)
        return task.id
      }
    }
    try check(graph, try graph.array(y)[0] == Int64(2 * graph.ranks), "after")
  }

  /// Parts of the program that one rank goes through alone.
  private func scope(_ graph: Graph) throws {
    let fill = try graph.kernel("c_fill")
    let parts = try (0..<8).map { _ in try graph.externalTensor(of: Int64.self, [32]) }
    var entered = 0
    for (number, part) in parts.enumerated() {
      let before = parts[(number + 7) % 8]
      try graph.scope(
        on: number % graph.ranks, reads: [AnyTensor(before)], writes: [AnyTensor(part)]
      ) {
        entered += 1
        let made = try graph.submit(aiv: fill) { task in
          let tensor = task.output(of: Int64.self, [32])
          task.scalar(number)
          return tensor
        }
        let value = try graph.array(made)[0] + graph.array(before)[31]
        try add(graph, part, Int(value), on: nil)
      }
      // And tasks that all ranks see, between them.
      try add(graph, part, 100, on: (number + 1) % graph.ranks)
    }
    try check(
      graph, entered == (8 - graph.rank + graph.ranks - 1) / graph.ranks,
      "entered \(entered) of 8 scopes")
    var sum: Int64 = 0
    for (number, part) in parts.enumerated() {
      sum += Int64(number + 100)
      let found = try graph.array(part)
      try check(
        graph, found == Array(repeating: sum, count: 32), "part \(number): \(found)")
    }
  }

  private func undeclared(_ graph: Graph) throws {
    let x = try graph.externalTensor(of: Int64.self, [32])
    let y = try graph.externalTensor(of: Int64.self, [32])
    try graph.scope(on: graph.ranks - 1, reads: [AnyTensor(x)], writes: []) {
      try add(graph, y, 1, on: nil)
    }
  }

  /// The program itself writes what it has said it reads.
  private func unwritten(_ graph: Graph) throws {
    let x = try graph.externalTensor(of: Int64.self, [32])
    try graph.scope(on: graph.ranks - 1, reads: [AnyTensor(x)], writes: []) {
      _ = try graph.array(x)
      try graph.write(x) { $0[0] = 1 }
    }
  }

  private func manual(_ graph: Graph) throws {
    let x = try graph.externalTensor(of: Int64.self, [32])
    try add(graph, x, 1, on: 1)
    try graph.scope(.manual) { try add(graph, x, 1, on: 0) }
  }

  /// A task that uses a tensor without order, for 50 ms; after the one before.
  private func addLoosely(
    _ graph: Graph, _ x: Tensor<Int64>, on rank: Int, after before: TaskID? = nil
  ) throws -> TaskID {
    try graph.submit(aiv: try graph.kernel("t_add")) { task in
      task.run(on: rank)
      if let before { task.after(before) }
      task.unordered(x)
      task.scalar(1)
      task.scalar(50_000)
      return task.id
    }
  }

  /// A wait and a look come after tasks without order, on whichever rank they are.
  private func unordered(_ graph: Graph) throws {
    let last = graph.ranks - 1
    let x = try graph.externalTensor(of: Int64.self, [32])
    let first = try addLoosely(graph, x, on: last)
    _ = try addLoosely(graph, x, on: last, after: first)
    try check(graph, try graph.array(x) == Array(repeating: 2, count: 32), "a look")
    try add(graph, x, 1, on: 0)
    try check(graph, try graph.array(x)[31] == 3, "in order, after that")
    try graph.scope(.manual) {
      var before: TaskID?
      for _ in 0..<2 {
        before = try graph.submit(aiv: try graph.kernel("t_add")) { task in
          task.run(on: last)
          if let before { task.after(before) }
          task.inout(x)
          task.scalar(1)
          task.scalar(50_000)
          return task.id
        }
      }
    }
    try graph.wait()
    try add(graph, x, 1, on: 0)
    try check(graph, try graph.array(x)[0] == 6, "after a manual scope")
    // What all ranks use so is what all have.
    let (table, sums) = (
      try graph.externalTensor(of: Int64.self, [1]), try graph.externalTensor(of: Int64.self, [4])
    )
    try graph.write(table) { $0[0] = 40 }
    for rank in 0..<graph.ranks {
      let sum = try sums.slice(from: [rank], shape: [1])
      try graph.submit(aiv: try graph.kernel("t_copy")) { task in
        task.run(on: rank)
        task.unordered(table)
        task.overwrite(sum)
        task.scalar(0)
        task.scalar(0)
      }
    }
    for rank in 0..<graph.ranks {
      try check(graph, try graph.element(of: sums, at: [rank]) == 40, "a table")
    }
    try check(graph, try graph.array(table) == [40], "the table itself")
  }

  /// Nothing says when the task is done with it.
  private func unorderedEarly(_ graph: Graph) throws {
    let x = try graph.externalTensor(of: Int64.self, [32])
    _ = try addLoosely(graph, x, on: 1)
    try add(graph, x, 1, on: 0)
    _ = try graph.array(x)
  }

  /// The ranks do not run the same program.
  private func differs(_ graph: Graph) throws {
    let (first, second) = (try graph.kernel("t_add"), try graph.kernel("c_fill"))
    let x = try graph.externalTensor(of: Int64.self, [32])
    for step in 0..<1000 {
      try graph.submit(aiv: step == 567 && graph.rank == 1 ? second : first) { task in
        task.run(on: step % graph.ranks)
        task.inout(x)
        task.scalar(1)
        task.scalar(0)
      }
    }
    _ = try graph.array(x)
  }

  /// One of them has fewer tasks, and the others wait for what it does not send.
  private func endsEarly(_ graph: Graph) throws {
    let x = try graph.externalTensor(of: Int64.self, [32])
    for step in 0..<(graph.rank == 1 ? 100 : 200) {
      try add(graph, x, 1, on: step % graph.ranks)
    }
  }

  private func throwsOnOne(_ graph: Graph) throws {
    let x = try graph.externalTensor(of: Int64.self, [32])
    for step in 0..<200 {
      if step == 100 && graph.rank == 1 { try graph.fail("rank 1 has had enough") }
      try add(graph, x, 1, on: step % graph.ranks)
    }
    _ = try graph.array(x)
  }

  /// A kernel on rank 1 kills its worker; what it was to compute is needed on rank 0.
  private func crash(_ graph: Graph) throws {
    let crash = try graph.kernel("t_crash")
    let x = try graph.externalTensor(of: Int64.self, [32])
    try graph.submit(aiv: crash) { task in
      task.run(on: 1)
      task.inout(x)
      task.scalar(Int(SIGSEGV))
    }
    try add(graph, x, 1, on: 0)
    _ = try graph.array(x)
  }

  /// One rank's program computes for longer than others may be silent.
  private func late(_ graph: Graph) throws {
    let x = try graph.externalTensor(of: Int64.self, [32])
    if graph.rank == 1 { usleep(3_500_000) }
    try add(graph, x, 1, on: 1)
    try check(graph, try graph.array(x)[0] == 1, "the late rank's result")
  }

  /// Rank 0 waits for a result of rank 1, whose kernel sleeps.
  private func hangs(_ graph: Graph) throws {
    let x = try graph.externalTensor(of: Int64.self, [32], on: 1)
    try graph.submit(aiv: try graph.kernel("t_add")) { task in
      task.run(on: 1)
      task.inout(x)
      task.scalar(1)
      task.scalar(600_000_000)
    }
    try add(graph, x, 1, on: 0)
  }

  /// Several runs, one after another, in one session.
  private func runs() throws {
    let session = try Session(images: ["TestKernels"])
    for number in 1...5 {
      let report = try session.run { graph in
        let x = try graph.externalTensor(of: Int64.self, [32])
        for step in 0..<50 {
          try add(graph, x, number, on: step % graph.ranks)
        }
        try check(graph, try graph.array(x)[31] == Int64(50 * number), "run \(number)")
      }
      guard report.ranks.reduce(0, { $0 + $1.tasks }) == 50 else {
        print("run \(number): \(report.ranks)")
        throw ExitCode(1)
      }
    }
    print("5 runs: done")
  }

  /// The next run says what has happened, not that there cannot be one.
  private func linkDiesBetweenRuns() throws {
    let session = try Session(images: ["TestKernels"])
    var rank = 0
    try session.run { graph in
      rank = graph.rank
      try add(graph, graph.externalTensor(of: Int64.self, [32]), 1, on: 0)
    }
    // The others are there until mpirun ends them.
    guard rank == 0 else {
      sleep(20)
      return
    }
    // Its child, as the shell is.
    guard unsafe system("pkill -9 -P $PPID -x pto2-link") == 0 else { throw ExitCode(1) }
    usleep(500_000)
    for _ in 0..<2 {
      do { try session.run { _ in } } catch {
        print("run: \(error)")
      }
    }
  }
}
