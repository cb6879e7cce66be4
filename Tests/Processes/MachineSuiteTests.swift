import Glibc
import Harness
import PTO2System
import Testing

/// How many ranks, and how they reach each other.
struct RankPlace: Sendable, CustomTestStringConvertible {
  var ranks: Int
  var transport: String

  var testDescription: String { "\(ranks) ranks, \(transport)" }

  /// With PTO2_TEST_RANKS=all (`make test-mpi`) 1 to 4 over shared memory and over TCP, else a
  /// few of these.
  static func chosen(_ few: RankPlace...) -> [RankPlace] {
    guard environment("PTO2_TEST_RANKS") == "all" else { return few }
    return (1...4).flatMap { ranks in
      ["self,vader", "self,tcp"].map { RankPlace(ranks: ranks, transport: $0) }
    }
  }
}

/// The conformance suite and the examples on several ranks: what one rank gives, bit for bit.
@Suite(.serialized) struct MachineSuiteTests {
  private func run(
    _ place: RankPlace, _ words: [String], segment: String, _ variables: [String: String] = [:]
  ) -> Command.Result {
    let result = Mpirun.start(
      place.ranks, words[0], Array(words.dropFirst()), by: place.transport, variables
    ).wait()
    for rank in 0..<place.ranks { expectClean("\(segment).r\(rank)") }
    return result
  }

  /// Tasks that ran on each rank, as the report says.
  private func tasksOfRanks(_ output: String) -> [Int] {
    output.split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ")
      guard words.count > 3, words[0] == "rank", words[3] == "tasks," else { return nil }
      return Int(words[2])
    }
  }

  // MARK: Conformance

  /// Four sessions of one process: MPI starts once. docs/machines.md says so.
  private static let refused = ["rounds"]
  /// Their tasks must be on one rank: they use a tensor without order, or in a manual scope, or
  /// there is one task or none.
  private static let oneRank = [
    "barriers", "dag-64", "manual-scope", "starvation", "together-1", "together-3", "spread",
    "most-arguments",
  ]

  /// Tasks and tensors are dealt to the ranks in turn. Where a case is about an error, all are
  /// on rank 0, where the same limit must be reached, and told of once.
  @Test(
    arguments: ConformanceCase.all.filter { !refused.contains($0.id) },
    RankPlace.chosen(RankPlace(ranks: 2, transport: "self,vader")))
  func caseEndsAsOnOneRank(row: ConformanceCase, place: RankPlace) {
    guard MachineTests.isThere else { return }
    let segment = uniqueSegmentName()
    let words = row.command(
      threads: 1 + place.ranks % 3, clusters: 1, first: place.ranks == 2 ? 4_294_967_290 : 0,
      segment: segment)
    let result = run(
      place, words, segment: segment, row.status == 0 ? ["PTO2_TEST_PLACED": "1"] : [:])
    #expect(result.status == row.status, "\(result.errors)")
    if row.status == 0 {
      let tasks = tasksOfRanks(result.output)
      let expected = place.ranks == 1 ? 0 : place.ranks
      #expect(tasks.count == expected, "\(result.output)")
      if !Self.oneRank.contains(row.id) {
        #expect(tasks.allSatisfy { $0 > 0 }, "\(result.output)")
      }
    } else {
      // A limit of standing still counts on each rank, and the first one says so.
      let message =
        row.id.hasPrefix("error-100") ? "error 100 SCHEDULER_TIMEOUT" : row.message
      let errors = result.messages.filter { $0.contains(": error ") }
      #expect(errors.count == 1 && errors[0].contains(message), "\(result.errors)")
    }
  }

  /// What the comparison of a case is worth on several ranks.
  @Test func programsOfTheSuiteNoticeAWrongValue() {
    guard MachineTests.isThere else { return }
    let segment = uniqueSegmentName()
    let words = [
      "pto2-orchestrator", "--program", Command.buildDirectory + "libTestProgram.so", "--quiet",
      "--segment", segment, "--", "chain", "100", "wrong",
    ]
    let result = run(
      RankPlace(ranks: 2, transport: "self,vader"), words, segment: segment,
      ["PTO2_TEST_PLACED": "1"])
    #expect(result.status == 19, "\(result.errors)")
    #expect(result.errors.contains("the sum is 4950, expected 4951"), "\(result.errors)")
  }

  // MARK: Examples

  /// Executable and arguments; what says that a result is the same, if not the program itself,
  /// which compares every bit.
  private static let examples: [(words: [String], hasChecksum: Bool)] = [
    (["vector-example", "--quiet", "--elements", "65536", "--tile", "4096"], false),
    (["bgemm", "--quiet", "--tile", "32"], false),
    (["stencil", "--quiet", "--rows", "64", "--columns", "96", "--steps", "20"], false),
    (["paged-attention", "--quiet", "--case", "small-b4"], true),
    (["cholesky", "6", "16"], true),
    (["cholesky-c", "6", "16"], true),
    (["cholesky-cpp", "6", "16"], false),
  ]

  private func checksum(_ output: String) -> Substring? {
    output.firstRange(of: "checksum").map { range in
      output[range.upperBound...].drop { $0 == " " }.prefix { $0.isNumber }
    }
  }

  @Test(
    arguments: examples.indices,
    RankPlace.chosen(
      RankPlace(ranks: 1, transport: "self,vader"), RankPlace(ranks: 3, transport: "self,vader"),
      RankPlace(ranks: 4, transport: "self,tcp")))
  func exampleGivesWhatOneRankGives(number: Int, place: RankPlace) throws {
    guard MachineTests.isThere else { return }
    let example = Self.examples[number]
    let segment = uniqueSegmentName()
    let isOwnMain = example.words[0].hasPrefix("cholesky")
    let words = example.words + (isOwnMain ? [] : ["--segment", segment])
    let result = run(place, words, segment: segment)
    #expect(result.status == 0, "\(result.errors)")
    if example.hasChecksum {
      let alone = Command.run(words[0], Array(words.dropFirst()))
      let expected = try #require(checksum(alone.output))
      #expect(expected.count > 5 && checksum(result.output) == expected, "\(result.output)")
    }
    if isOwnMain { return }
    // The report is one rank's, and each has done its part.
    #expect(result.output.split(separator: "\n").count { $0.contains(": done in ") } == 1)
    let tasks = tasksOfRanks(result.output)
    #expect(tasks.count == (place.ranks == 1 ? 0 : place.ranks) && tasks.allSatisfy { $0 > 0 })
  }
}
