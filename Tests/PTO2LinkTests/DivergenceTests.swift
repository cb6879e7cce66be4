import CPTO2Link
import CPTO2Segment
import PTO2Link
import PTO2Protocol
import PTO2Segment
import PlayedRank
import Testing

/// The ranks do not run the same program: where they part is named, on both sides.
@Suite struct DivergenceTests {
  /// Both submit `count` tasks, of which one differs.
  private func submit(
    _ ranks: Ranks, _ count: Int, differing place: Int?, kernel: UInt16 = 3
  ) {
    for number in 0..<count {
      for rank in ranks.played {
        let differs = number == place && rank.rank == 1
        rank.submit(
          UInt64(number % 10), kernel: differs ? kernel : UInt16(number % 3),
          on: UInt8(number % 2))
      }
    }
  }

  private func expectDiverged(_ ranks: Ranks, _ text: String) {
    for rank in 0..<2 {
      #expect(ranks[rank].linkError?.code == .diverged)
      #expect(ranks[rank].linkError?.message == text)
      // One of them tells it.
      #expect(ranks[rank].isLinkErrorEcho == (rank == 1))
      #expect(ranks[rank].linkControl == PTO2_LINK_FATAL)
    }
  }

  private func text(_ place: Int, kernel: UInt16 = 3) -> String {
    let mine = "kernel kernel #\(place % 3) on rank \(place % 2)"
    return
      "the programs of rank 0 and rank 1 differ from submission \(place) on: \(mine) in that of rank 0, kernel kernel #\(kernel) on rank \(place % 2) in that of rank 1"
  }

  /// At the end of a run, before the meeting is answered.
  @Test(arguments: [0, 1, 15, 16, 17, 500, 998, 999])
  func firstDifferenceIsNamedAtAMeeting(place: Int) throws {
    let ranks = try Ranks()
    submit(ranks, 1000, differing: place)
    ranks[0].meet()
    ranks[1].meet()
    ranks.settle()
    // The one that asks is rank 1, so its text comes first.
    for rank in 0..<2 {
      let error = try #require(ranks[rank].linkError)
      #expect(error.code == .diverged && ranks[rank].isLinkErrorEcho == (rank == 1))
      #expect(
        error.message.hasPrefix(
          "the programs of rank 0 and rank 1 differ from submission \(place) on: "))
      #expect(error.message.contains("kernel kernel #3 on rank \(place % 2) in that of rank 1"))
      #expect(
        error.message.contains(
          "kernel kernel #\(place % 3) on rank \(place % 2) in that of rank 0"))
      #expect(ranks[rank].answered == 0)
    }
  }

  /// While one rank waits for a transfer that the other never sends.
  @Test(arguments: [0, 7, 999])
  func firstDifferenceIsNamedWhileATransferWaits(place: Int) throws {
    let ranks = try Ranks()
    submit(ranks, 1000, differing: place)
    ranks[0].start(.receive, 1, ranks[0].tensor(at: 0, [8]))
    ranks.pass(seconds: 4.9)
    #expect(ranks[0].linkError == nil)
    ranks.pass(seconds: 0.2)
    expectDiverged(ranks, text(place))
  }

  /// One of them has submitted less by then.
  @Test func commonPartIsCompared() throws {
    let ranks = try Ranks()
    submit(ranks, 100, differing: 40)
    for number in 0..<50 { ranks[1].submit(UInt64(number)) }
    ranks[0].start(.receive, 1, ranks[0].tensor(at: 0, [8]))
    ranks.pass(seconds: 5.1)
    expectDiverged(ranks, text(40))
  }

  /// Equal as far as both have come: that is no error, however long it takes.
  @Test func slowRankIsNoOtherProgram() throws {
    let ranks = try Ranks()
    submit(ranks, 100, differing: nil)
    for number in 0..<50 { ranks[1].submit(UInt64(number)) }
    ranks[0].start(.receive, 1, ranks[0].tensor(at: 0, [8]))
    ranks.pass(seconds: 60)
    #expect(ranks[0].linkError == nil && ranks[1].linkError == nil)
  }

  /// A program ends while another one has submitted more.
  @Test(arguments: [0, 1])
  func endedProgramWithFewerTasksIsNamed(short: Int) throws {
    let ranks = try Ranks()
    for rank in 0..<2 { ranks[rank].meet() }
    ranks.settle()
    submit(ranks, 100, differing: nil)
    ranks[1 - short].submit(1, kernel: 9, on: 1)
    ranks[1 - short].submit(2)
    ranks[short].meet()
    ranks[1 - short].start(.receive, short, ranks[0].tensor(at: 0, [8]))
    ranks.pass(seconds: 5.2)
    expectDiverged(
      ranks,
      "the program of rank \(short) has ended after 100 tasks, and that of rank \(1 - short) has submitted more: kernel kernel #9 on rank 1"
    )
  }

  @Test func fewerTasksAreNamedAtAMeeting() throws {
    let ranks = try Ranks()
    for rank in 0..<2 { ranks[rank].meet() }
    ranks.settle()
    submit(ranks, 10, differing: nil)
    ranks[0].submit(1, kernel: 9)
    for rank in 0..<2 { ranks[rank].meet() }
    ranks.settle()
    expectDiverged(
      ranks,
      "the program of rank 1 has ended after 10 tasks, and that of rank 0 has submitted more: kernel kernel #9 on rank 0"
    )
    for rank in 0..<2 { #expect(ranks[rank].answered == 1) }
  }

  /// What is named is equal, what is not named differs.
  @Test func tensorsMayDiffer() throws {
    let ranks = try Ranks()
    submit(ranks, 10, differing: nil)
    ranks[0].submit(1, kernel: 5)
    ranks[1].submit(2, kernel: 5)
    for rank in 0..<2 { ranks[rank].meet() }
    ranks.settle()
    expectDiverged(
      ranks,
      "the programs of rank 0 and rank 1 differ from submission 10 on: kernel kernel #5 on rank 0 in both, with other tensors or arguments"
    )
  }

  /// The first difference is known no more.
  @Test func differenceOfLongAgoIsSaidToBe() throws {
    let ranks = try Ranks()
    submit(ranks, 70_000, differing: 100)
    for rank in 0..<2 { ranks[rank].meet() }
    ranks.settle()
    let oldest = 70_000 - (65536 - 1024)
    for rank in 0..<2 {
      #expect(
        ranks[rank].linkError?.message.hasPrefix(
          "the programs of rank 0 and rank 1 differ from submission \(oldest) on, or from an earlier one: "
        ) == true)
    }
  }

  /// In the last 65,536, the search takes four questions and a name.
  @Test func searchIsShort() throws {
    let ranks = try Ranks()
    submit(ranks, 70_000, differing: 37_123)
    for rank in 0..<2 { ranks[rank].meet() }
    ranks.settle()
    #expect(
      ranks[0].linkError?.message.contains("differ from submission 37123 on: ") == true)
  }

  /// The third rank hears of it, as of another one's error.
  @Test func otherRanksHaveAnEcho() throws {
    let ranks = try Ranks(3)
    for number in 0..<20 {
      for rank in 0..<3 { ranks[rank].submit(UInt64(number == 7 && rank == 2 ? 99 : number)) }
    }
    for rank in 0..<3 { ranks[rank].meet() }
    ranks.settle()
    for rank in 0..<3 {
      #expect(ranks[rank].linkError?.code == .diverged)
      #expect(
        ranks[rank].linkError?.message.hasPrefix(
          "the programs of rank 0 and rank 2 differ from submission 7 on: ") == true)
      #expect(ranks[rank].isLinkErrorEcho == (rank > 0) && ranks[rank].answered == 0)
    }
  }

  /// Nobody answers: the meeting is held up for two seconds, no longer.
  @Test func meetingGoesOnWithoutAnAnswer() throws {
    let ranks = try Ranks()
    submit(ranks, 10, differing: 3)
    for rank in 0..<2 { ranks[rank].meet() }
    ranks.step(0)
    ranks.step(1)
    ranks.network.cut = [1]
    ranks.pass(seconds: 1.9)
    #expect(ranks[0].answered == 0)
    ranks.pass(seconds: 0.2)
    #expect(ranks[0].answered == 1 && ranks[0].met(1).submissions == 10)
  }

  /// At the start of a session the hash is of something else, and the orchestrators' matter.
  @Test func startOfASessionIsNotSearched() throws {
    let ranks = try Ranks()
    ranks[0].meet(hash: 1)
    ranks[1].meet(hash: 2)
    ranks.settle()
    for rank in 0..<2 { #expect(ranks[rank].answered == 1 && ranks[rank].linkError == nil) }
  }
}
