import CPTO2Link
import CPTO2Segment
import PTO2Link
import PTO2Protocol
import PTO2Segment
import PlayedRank
import Testing

/// All ranks come together, and hear what each of them says.
@Suite struct MeetingTests {
  /// More than there are bits in a word, too.
  @Test(arguments: [3, 72])
  func everyRankHearsEveryOther(count: Int) throws {
    let ranks = try Ranks(count)
    for rank in 0..<count {
      for other in 0..<count { #expect(ranks[other].answered == 0) }
      ranks[rank].meet(text: "from \(rank)", hash: UInt64(7 * rank))
      ranks.settle()
      #expect(ranks.isExpecting(rank) == (rank < count - 1))
    }
    for rank in 0..<count {
      #expect(ranks[rank].answered == 1 && !ranks.isExpecting(rank))
      for other in 0..<count {
        #expect(
          ranks[rank].met(other)
            == Meeting(number: 1, hash: UInt64(7 * other), text: "from \(other)"))
      }
      #expect(ranks[rank].linkError == nil && ranks[rank].linkControl == PTO2_LINK_READY)
    }
  }

  /// A rank that has the others' words comes to the next meeting while one has not.
  @Test func rankMayBeOneMeetingAhead() throws {
    let ranks = try Ranks(3)
    for rank in 0..<3 { ranks[rank].meet() }
    ranks.settle([0, 1])
    // Rank 2 has said what it has to say, and takes nothing.
    let late = ranks.network.arrived[2]
    ranks.network.arrived[2] = []
    ranks.step(2)
    ranks.settle([0, 1])
    #expect(ranks[0].answered == 1 && ranks[1].answered == 1 && ranks[2].answered == 0)
    for rank in 0..<2 { ranks[rank].meet(text: "second") }
    ranks.settle([0, 1])
    #expect(ranks[0].answered == 1)
    // Both words of each at once.
    ranks.network.arrived[2].insert(contentsOf: late, at: 0)
    ranks.settle()
    #expect(ranks[2].answered == 1 && ranks[2].met(1).text == "")
    ranks[2].meet(text: "second")
    ranks.settle()
    for rank in 0..<3 { #expect(ranks[rank].answered == 2 && ranks[rank].met(1).text == "second") }
  }

  /// An error goes with the meeting; it is no error of the link's.
  @Test func everyoneHearsOfAnError() throws {
    let ranks = try Ranks()
    ranks[0].meet(code: 7, text: "did not work")
    ranks.settle()
    ranks[1].meet(code: 7, isEcho: true, text: "another one's")
    ranks.settle()
    for rank in 0..<2 {
      #expect(ranks[rank].met(0) == Meeting(number: 1, code: 7, text: "did not work"))
      #expect(ranks[rank].met(1).isEcho && ranks[rank].linkError == nil)
      #expect(ranks.hasEveryoneHeardOfError(rank))
    }
  }

  /// The program of the other rank does not come in time.
  @Test(arguments: [
    (UInt32(8), PTO2ErrorCode.tensorWaitTimeout, false), (1002, .explicitOrchFatal, false),
    (4711, .rankDied, false), (8, .tensorWaitTimeout, true),
  ])
  func failureReachesAProgramThatDoesNotCome(
    code: UInt32, expected: PTO2ErrorCode, isEcho: Bool
  ) throws {
    let ranks = try Ranks(3)
    ranks[1].meet(code: code, isEcho: isEcho, text: "what happened")
    ranks.pass(seconds: 1.9)
    #expect(ranks[0].linkError == nil && ranks[1].linkError == nil)
    // Rank 2 comes by itself, with an error of its own.
    ranks[2].meet(code: 9, isEcho: true, text: "third")
    ranks.pass(seconds: 0.2)
    let error = try #require(ranks[0].linkError)
    #expect(error.code == expected && ranks[0].isLinkErrorEcho)
    #expect(ranks[0].linkControl == PTO2_LINK_FATAL)
    let text = isEcho ? "what happened" : "rank 1 (host1): what happened"
    #expect(error.message.hasPrefix(text))
    #expect(ranks[1].linkError == nil && ranks[2].linkError == nil)
    // The link goes on, so that all hear how it ends; its own program has heard.
    #expect(!ranks.hasEveryoneHeardOfError(0))
    ranks[0].meet(code: code, isEcho: true)
    ranks.settle()
    for rank in 0..<3 {
      #expect(ranks[rank].answered == (rank == 0 ? 0 : 1))
      #expect(ranks.hasEveryoneHeardOfError(rank))
    }
  }

  /// Who has the error itself is named, not who has heard of it.
  @Test(arguments: [1, 2])
  func echoIsOfTheRankThatHasTheError(origin: Int) throws {
    let ranks = try Ranks(3)
    ranks[3 - origin].meet(code: 8, isEcho: true, text: "heard of it")
    ranks[origin].meet(code: 8, text: "here")
    ranks.pass(seconds: 2.1)
    #expect(ranks[0].linkError?.message == "rank \(origin) (host\(origin)): here")
  }

  /// Whatever the program is doing, it may take its time for it.
  @Test func slowProgramIsNoError() throws {
    let ranks = try Ranks()
    ranks[0].meet()
    ranks.pass(seconds: 300)
    #expect(ranks[0].linkError == nil && ranks[1].linkError == nil)
    #expect(ranks.isExpecting(0))
  }

  /// Nothing at all is heard of the other rank: its link, or the network, is gone.
  @Test func silentRankIsAnError() throws {
    let ranks = try Ranks()
    ranks.settle()
    ranks[0].meet()
    ranks.pass(seconds: 29, [0])
    #expect(ranks[0].linkError == nil)
    ranks.pass(seconds: 2, [0])
    let error = try #require(ranks[0].linkError)
    #expect(error.code == .peerSilent)
    #expect(
      error.message
        == "rank 1 (host1) was not heard of for 30.0 s (PTO2_PEER_TIMEOUT); meeting 1 waits for it")
  }

  @Test func silentRankOfATransferIsAnError() throws {
    for direction in [TransferOrder.Direction.send, .receive] {
      let ranks = try Ranks { $0.peerMilliseconds = 5000 }
      ranks.settle()
      ranks[0].start(direction, 1, ranks[0].tensor(at: 0, [100_000]))
      ranks.pass(seconds: 6, [0])
      let error = try #require(ranks[0].linkError)
      #expect(error.code == .peerSilent)
      let way = direction == .send ? "from rank 0 to rank 1" : "to rank 0 from rank 1"
      #expect(error.message.hasSuffix("; transfer 0 \(way) (task 0:0) waits for it"))
    }
  }

  /// Nobody is asked anything while nothing waits.
  @Test func restingLinksAreSilent() throws {
    let ranks = try Ranks()
    ranks.settle()
    let before = ranks.network.next()
    ranks.pass(seconds: 60)
    #expect(ranks.network.next() == before + 1)
    ranks.pass(seconds: 60, [0])
    #expect(ranks[0].linkError == nil)
  }

  // MARK: The end

  @Test func ranksLeaveTogether() throws {
    let ranks = try Ranks(3)
    ranks.settle()
    ranks.sayGoodbye(0)
    ranks.sayGoodbye(1)
    ranks.pass(seconds: 100)
    #expect(!ranks.isAlone(0) && !ranks.isAlone(1) && !ranks.isAlone(2))
    ranks.sayGoodbye(2)
    ranks.settle()
    for rank in 0..<3 { #expect(ranks.isAlone(rank) && ranks[rank].linkError == nil) }
  }

  /// What was never received holds nobody up after an error.
  @Test(arguments: [UInt32(0), 8])
  func transferUnderWayIsWaitedForInAGoodEndAlone(code: UInt32) throws {
    let ranks = try Ranks()
    ranks[0].start(.send, 1, ranks[0].tensor(at: 0, [100_000]))
    ranks.settle()
    for rank in 0..<2 { ranks.sayGoodbye(rank, code) }
    ranks.settle()
    #expect(ranks.isAlone(0) == (code != 0) && ranks.isAlone(1))
  }

  /// One rank's program ends its session, and another one's goes on with it.
  @Test(arguments: [UInt32(0), 200])
  func rankThatHasLeftIsNotWaitedFor(code: UInt32) throws {
    let ranks = try Ranks()
    ranks[1].meet()
    ranks.settle()
    ranks.sayGoodbye(0, code)
    ranks.pass(seconds: 0.1)
    let error = try #require(ranks[1].linkError)
    #expect(error.code == (code == 0 ? .diverged : .rankDied))
    #expect(
      error.message
        == (code == 0
          ? "the program of rank 0 has ended its session, and that of rank 1 goes on: meeting 1 waits for it"
          : "rank 0 (host0) has ended with error 200; meeting 1 waits for it"))
  }

  /// Another one's run has failed: it has said so before it left, and what waits for it ends with
  /// that, not with its leaving.
  @Test func errorOfARankThatHasLeftIsItsOwn() throws {
    let ranks = try Ranks()
    ranks[0].start(.receive, 1)
    ranks[1].meet(code: 8, text: "here")
    ranks.settle()
    #expect(ranks[0].linkError == nil)
    ranks.sayGoodbye(1, 8)
    ranks.pass(seconds: 0.1)
    let error = try #require(ranks[0].linkError)
    #expect(error.code == .tensorWaitTimeout && ranks[0].isLinkErrorEcho)
    #expect(error.message == "rank 1 (host1): here")
  }

  // MARK: What MPI says

  @Test func tagsMustSuffice() throws {
    let ranks = try Ranks(tagLimit: 1000)
    let error = try #require(ranks[0].linkError)
    #expect(error.code == .linkDied && error.message.contains("tags up to 1000"))
    #expect(ranks[0].linkControl == PTO2_LINK_FATAL)
  }
}
