import Glibc
import Harness
import PTO2System
import Testing

/// Programs on several ranks, under a real mpirun. Where there is none, or no
/// libpto2-link-mpi.so (`make link`), nothing is checked.
@Suite(.serialized) struct MachineTests {
  static let isThere: Bool = {
    if !Mpirun.isThere { print("no mpirun, or no libpto2-link-mpi.so: not checked") }
    return Mpirun.isThere
  }()

  private func start(
    _ ranks: Int, _ program: String, _ arguments: [String], by transport: String = "self,vader",
    _ variables: [String: String] = [:]
  ) -> Command { Mpirun.start(ranks, program, arguments, by: transport, variables) }

  /// One run of a program, after which no rank has left anything.
  private func run(
    _ ranks: Int, _ program: String, _ arguments: [String], by transport: String = "self,vader",
    _ variables: [String: String] = [:]
  ) -> Command.Result {
    let segment = uniqueSegmentName()
    let naming = ["runs", "between"].contains(arguments.first) ? [] : ["--segment", segment]
    let result = start(ranks, program, arguments + naming, by: transport, variables).wait()
    for rank in 0..<ranks { expectClean("\(segment).r\(rank)") }
    return result
  }

  /// Lines of ours on standard error: mpirun has its own.
  private func messages(_ result: Command.Result) -> [Substring] {
    result.messages.filter { $0.hasPrefix("machine: ") || $0.hasPrefix("pto2") }
  }

  // MARK: Results

  @Test(arguments: [1, 2, 3, 4], ["self,vader", "self,tcp"])
  func randomProgramsGiveWhatTheInterpreterSays(ranks: Int, transport: String) {
    guard Self.isThere else { return }
    let first = 1000 * ranks + (transport.contains("tcp") ? 500 : 0)
    let result = run(
      ranks, "pto2-random", ["--seeds", "\(first)-\(first + 62)", "--placed", "--quiet"],
      by: transport)
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("63 seeds on \(ranks) ranks"), "\(result.output)")
  }

  @Test func comparisonWouldNoticeAWrongResult() {
    guard Self.isThere else { return }
    let result = run(2, "pto2-random", ["--seed", "5", "--placed", "--quiet", "--sabotage"])
    #expect(result.status != 0)
    #expect(result.errors.contains(", expected "), "\(result.errors)")
  }

  @Test(arguments: [1, 2, 3, 4], ["values", "scope", "unordered"])
  func programsSeeTheSameEverywhere(ranks: Int, scene: String) {
    guard Self.isThere else { return }
    let result = run(ranks, "pto2-machine-test", [scene, "--quiet"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("scene \(scene) on \(ranks) ranks: done\n"))
  }

  @Test func severalRunsInOneSession() {
    guard Self.isThere else { return }
    let result = run(2, "pto2-machine-test", ["runs"])
    #expect(result.status == 0 && result.output.contains("5 runs: done\n"), "\(result.errors)")
  }

  /// An error that comes while no graph runs is the next run's, and after it there is none.
  @Test func linkThatDiesBetweenRunsIsTold() {
    guard Self.isThere else { return }
    let result = run(2, "pto2-machine-test", ["between"])
    let lines = result.output.split(separator: "\n").filter { $0.hasPrefix("run: ") }
    #expect(
      lines.count == 2 && lines[0].hasPrefix("run: error 213 LINK_DIED: ")
        && lines[1].hasPrefix("run: error 5 INVALID_ARGS: a session of several ranks is over"),
      "\(result.output) \(result.errors)")
  }

  /// A rank that computes is not silent.
  @Test func rankThatIsLateIsWaitedFor() {
    guard Self.isThere else { return }
    let result = run(
      2, "pto2-machine-test", ["late", "--quiet"], by: "self,vader", ["PTO2_PEER_TIMEOUT": "1.5"])
    #expect(result.status == 0, "\(result.errors)")
  }

  // MARK: Tools

  /// Each transfer is a slice, from when the link was given it, and the other rank has the other
  /// half; the traces of all ranks become one, with an arrow for each.
  @Test func tracesOfRanksBecomeOne() throws {
    guard Self.isThere else { return }
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    let result = run(
      2, "pto2-machine-test",
      ["values", "--quiet", "--trace", folder + "/run.pftrace", "--trace-edges"])
    #expect(result.status == 0, "\(result.errors)")
    let files = (0..<2).map { folder + "/run.r\($0).pftrace" }
    var halves: [[Int64: WireTrace.Slice]] = []
    var count = 0
    for (rank, file) in files.enumerated() {
      var trace = WireTrace(file)
      let slices = trace.slices()
      #expect(trace.faults.isEmpty, "\(trace.faults.prefix(5))")
      count += slices.count
      for name in ["send to rank \(1 - rank)", "receive from rank \(1 - rank)"] {
        let own = slices.filter { trace.tracks[$0.begin.track] == name }
        #expect(!own.isEmpty && own.allSatisfy { $0.begin.name == name }, "\(name)")
        // It was READY before the link had it.
        #expect(own.allSatisfy { $0.begin.numbers["since_ready_ns"] ?? -1 >= 0 })
        let numbers = own.compactMap { $0.begin.numbers["transfer"] }
        #expect(Set(numbers) == Set(0..<Int64(own.count)), "\(name): \(numbers)")
        halves.append(Dictionary(zip(numbers, own)) { first, _ in first })
      }
      let summary = Command.run("pto2", ["trace", "--json", file])
      #expect(summary.status == 0, "\(summary.errors)")
    }
    for (sent, received) in [(halves[0], halves[3]), (halves[2], halves[1])] {
      #expect(Set(sent.keys) == Set(received.keys))
      for (number, slice) in sent {
        #expect(received[number].map { slice.begin.time <= $0.end } ?? false, "\(number)")
      }
    }
    let merged = folder + "/all.pftrace"
    let merge = Command.run("pto2", ["trace", "--merge", merged, "--json"] + files.reversed())
    #expect(merge.status == 0 && merge.output.contains("\"ranks\":2"), "\(merge.errors)")
    var all = WireTrace(merged)
    let slices = all.slices()
    #expect(all.faults.isEmpty && slices.count == count, "\(all.faults.prefix(5))")
    for rank in 0..<2 { #expect(all.tracks.values.contains("rank \(rank) workers")) }
    let begun = slices.flatMap(\.begin.flows)
    #expect(Set(begun) == Set(slices.flatMap(\.begin.endedFlows)))
    // Those between ranks, and the dependencies of each.
    #expect(begun.count { $0 >> 63 == 1 } == halves[0].count + halves[2].count)
    #expect(begun.contains { $0 >> 63 == 0 })
    // What one file cannot be.
    for (words, status, text) in [
      (["trace", merged], Int32(73), "several ranks"),
      (["trace", files[0], files[1]], 64, "--merge"),
      (["trace", files[0], files[0], "--merge", merged], 64, "both of rank 0"),
      (["trace", files[0], "--merge", merged], 64, "one file"),
      (["trace"] + files + ["--merge", merged, "--npy", folder], 64, "--npy"),
      (["trace"] + files + ["--merge", "/nowhere/all.pftrace"], 74, "/nowhere/all.pftrace"),
    ] {
      let result = Command.run("pto2", words)
      #expect(result.status == status && result.errors.contains(text), "\(result.errors)")
    }
  }

  /// A rank that waits for another is followed there.
  @Test func stuckLooksAtTheOtherRank() {
    guard Self.isThere else { return }
    let segment = uniqueSegmentName()
    let command = start(2, "pto2-machine-test", ["hangs", "--quiet", "--segment", segment])
    let words = [
      "stuck: rank 1: kernel t_add on core aiv", "waits for rank 1 to send 256 bytes (transfer 0)",
      "Rank 1 (segment \(segment).r1): kernel t_add on core aiv",
      "To do: look what kernel t_add does",
    ]
    var text = ""
    #expect(
      command.waitUntil {
        text = Command.run("pto2", ["stuck", "--seconds", "0.2", segment + ".r0"]).output
        return words.allSatisfy(text.contains)
      }, "\(text)")
    command.signal(SIGTERM)
    _ = command.wait()
    for rank in 0..<2 { expectClean("\(segment).r\(rank)") }
  }

  // MARK: Errors

  @Test(arguments: [
    ("undeclared", 15, "error 5 INVALID_ARGS: a scope of one rank writes bytes 0 to 256"),
    ("unwritten", 15, "error 5 INVALID_ARGS: a scope of one rank writes bytes 0 to 256"),
    (
      "unordered-early", 15,
      "error 5 INVALID_ARGS: a tensor that tasks on rank 1 use without order, or in a manual"
    ),
    ("manual", 15, "error 5 INVALID_ARGS: a tensor that rank 1 has is used on rank 0 in a manual"),
    (
      "differs", 52, "error 212 DIVERGED: the programs of rank 0 and rank 1 differ from submission "
    ),
    ("ends-early", 52, "error 212 DIVERGED: "),
    ("throws", 19, "error 9 EXPLICIT_ORCH_FATAL: rank 1 has had enough"),
    ("crash", 40, "error 200 WORKER_DIED: task "),
  ])
  func errorIsToldOnceAndEndsAllRanks(scene: String, status: Int32, text: String) {
    guard Self.isThere else { return }
    let result = run(
      2, "pto2-machine-test", [scene, "--quiet"], by: "self,vader", ["PTO2_PEER_TIMEOUT": "10"])
    #expect(result.status == status, "\(result.errors)")
    #expect(messages(result).count == 1, "\(result.errors)")
    #expect(result.errors.contains("machine: " + text), "\(result.errors)")
  }

  @Test func ranksThatAreStartedDifferentlyAreToldSo() {
    guard Self.isThere else { return }
    let program = Command.buildDirectory + "pto2-machine-test"
    let result = Command(
      "mpirun",
      [
        "-n", "1", program, "values", "--quiet", ":", "-n", "1", program, "values", "--quiet",
        "--clusters", "2",
      ],
      environment: Mpirun.variables, isOnPath: true
    ).wait()
    #expect(result.status == 52, "\(result.errors)")
    #expect(result.errors.contains("was started in another way than rank"), "\(result.errors)")
  }

  // MARK: Kills

  /// Any process of any rank, at any time: a worker or scheduler costs nothing, the others end
  /// all ranks within seconds, with one message.
  @Test(arguments: [2, 3])
  func killedProcessIsSurvivedOrToldOnce(ranks: Int) {
    guard Self.isThere else { return }
    let kills = 4 * ranks
    let result = Command.run(
      "pto2-campaign", ["--ranks", "\(ranks)", "--kills", "\(kills)", "--seed", "7", "--json"])
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    // The sum, then each role of each rank.
    let expected = [Double(kills)] + Array(repeating: 1, count: kills)
    #expect(numbers("kills", in: result.output) == expected, "\(result.output)")
  }

  /// Nor of Open MPI's shared memory, which mpirun would have removed.
  @Test func mpirunThatIsKilledLeavesNothing() {
    guard Self.isThere else { return }
    let segment = uniqueSegmentName()
    let command = start(
      2, "pto2-random", ["--seeds", "1-100000", "--placed", "--quiet", "--segment", segment])
    var shared: Set<Substring> = []
    let hasBegun = command.waitUntil {
      for rank in 0..<2 {
        for link in processes("\(segment).r\(rank)", named: "pto2-link") {
          shared.formUnion(
            readFile("/proc/\(link)/maps").split(separator: "\n").compactMap {
              $0.split(separator: " ").last
            }.filter { $0.contains("vader_segment") })
        }
      }
      return shared.count == 2
    }
    #expect(hasBegun)
    command.signal(SIGKILL)
    _ = command.wait()
    for rank in 0..<2 { expectClean("\(segment).r\(rank)") }
    let deadline = Deadline(afterMilliseconds: UInt64(Command.watchdogSeconds) * 1000)
    while shared.contains(where: { isAccessible(String($0)) }), !deadline.hasPassed { usleep(2000) }
    #expect(shared.filter { isAccessible(String($0)) }.isEmpty)
  }
}
