import CPTO2Link
import CPTO2Segment
import PTO2Link
import PTO2Protocol
import PTO2Segment
import PlayedRank
import Testing

/// What is sent by one rank arrives at another.
@Suite struct TransferTests {
  /// The message comes before its RECEIVE, or after.
  @Test(arguments: [false, true])
  func bytesArriveInBothOrders(receiveFirst: Bool) throws {
    let ranks = try Ranks()
    ranks[0].fill(64..<64 + 1000) { UInt8(truncatingIfNeeded: $0 &* 7) }
    let tensor = (ranks[0].tensor(at: 64, [1000]), ranks[1].tensor(at: 4096, [1000]))
    var tasks: (TaskID, TaskID)
    if receiveFirst {
      tasks.1 = ranks[1].start(.receive, 0, tensor.1)
      ranks.settle()
      #expect(ranks[1].takeEnds().isEmpty && ranks.isExpecting(1))
      tasks.0 = ranks[0].start(.send, 1, tensor.0)
    } else {
      tasks.0 = ranks[0].start(.send, 1, tensor.0)
      ranks.settle()
      #expect(ranks[0].takeEnds() == [.init(task: tasks.0, isCancelled: false)])
      tasks.1 = ranks[1].start(.receive, 0, tensor.1)
    }
    ranks.settle()
    if receiveFirst {
      #expect(ranks[0].takeEnds() == [.init(task: tasks.0, isCancelled: false)])
    }
    #expect(ranks[1].takeEnds() == [.init(task: tasks.1, isCancelled: false)])
    #expect(ranks[1].bytes(4096..<5096) == ranks[0].bytes(64..<1064))
    #expect(ranks[1][4095] == 0 && ranks[1][5096] == 0)
    #expect(!ranks.isExpecting(0) && !ranks.isExpecting(1))
    let traffic = (ranks[0].owner.linkPage.traffic(1), ranks[1].owner.linkPage.traffic(0))
    #expect(traffic.0.sent == 1 && traffic.0.sent_bytes == 1000 && traffic.0.received == 0)
    #expect(traffic.1.received == 1 && traffic.1.received_bytes == 1000 && traffic.1.sent == 0)
    #expect(ranks[0].owner.linkPage.taken.loadAcquire() == 1)
  }

  /// Columns of a matrix of int32 become rows of another, and the other way round.
  @Test func viewsWithGapsArePackedAndScattered() throws {
    let ranks = try Ranks()
    ranks[0].fill(0..<480) { UInt8(truncatingIfNeeded: $0) }
    // 12 rows of 10 elements of 4 bytes: columns 3 to 5 of every second row, transposed.
    let from = ranks[0].tensor(at: 12, [3, 6], strides: [1, 20], .int32)
    let to = ranks[1].tensor(at: 1024, [3, 2, 3], strides: [8, 4, 1], .int32)
    ranks[0].start(.send, 1, from)
    ranks[1].start(.receive, 0, to)
    ranks.settle()
    #expect(ranks[0].takeEnds().count == 1 && ranks[1].takeEnds().count == 1)
    var expected = [UInt8](repeating: 0, count: 3 * 8 * 4)
    for column in 0..<3 {
      for row in 0..<6 {
        let place = (column * 8 + row / 3 * 4 + row % 3) * 4
        for byte in 0..<4 {
          expected[place + byte] = UInt8(truncatingIfNeeded: 12 + (column + row * 20) * 4 + byte)
        }
      }
    }
    #expect(ranks[1].bytes(1024..<1024 + 96) == expected)
  }

  /// The message alone counts.
  @Test(arguments: [false, true])
  func transferOfNoBytes(hasTensor: Bool) throws {
    let ranks = try Ranks()
    let tensor = hasTensor ? ranks[0].tensor(at: 0, [0]) : nil
    let receive = ranks[1].start(.receive, 0, tensor)
    ranks.settle()
    #expect(ranks[1].takeEnds().isEmpty)
    ranks[0].start(.send, 1, tensor)
    ranks.settle()
    #expect(ranks[1].takeEnds() == [.init(task: receive, isCancelled: false)])
    #expect(ranks[0].takeEnds().count == 1)
  }

  /// There was nothing to send: the receiver's memory stays as it was.
  @Test(arguments: [0, 1, 2, 100_000], [false, true])
  func cancelledTransferCancelsItsReceive(count: UInt32, receiveFirst: Bool) throws {
    let ranks = try Ranks()
    ranks[0].fill(0..<UInt64(count)) { _ in 1 }
    ranks[1].fill(0..<UInt64(count)) { _ in 2 }
    let tensor = count == 0 ? nil : ranks[0].tensor(at: 0, [count])
    var receive: TaskID?
    if receiveFirst { receive = ranks[1].start(.receive, 0, tensor) }
    let send = ranks[0].start(.send, 1, tensor, isCancelled: true)
    ranks.settle()
    if !receiveFirst { receive = ranks[1].start(.receive, 0, tensor) }
    ranks.settle()
    #expect(ranks[0].takeEnds() == [.init(task: send, isCancelled: true)])
    #expect(ranks[1].takeEnds() == [.init(task: receive!, isCancelled: true)])
    #expect((0..<UInt64(count)).allSatisfy { ranks[1][$0] == 2 })
    #expect(ranks[1].owner.linkPage.traffic(0).received_bytes == 0)
    #expect(ranks[1].linkError == nil)
  }

  /// What comes for a RECEIVE that was not to be is taken, and dropped.
  @Test func cancelledReceiveDropsWhatComes() throws {
    let ranks = try Ranks()
    ranks[0].fill(0..<100) { _ in 1 }
    let tensor = ranks[0].tensor(at: 0, [100])
    ranks[0].start(.send, 1, tensor)
    let receive = ranks[1].start(.receive, 0, tensor, isCancelled: true)
    ranks.settle()
    #expect(ranks[1].takeEnds() == [.init(task: receive, isCancelled: true)])
    #expect(ranks[1].bytes(0..<100) == [UInt8](repeating: 0, count: 100))
  }

  /// RECEIVEs begin in another order than SENDs, in both directions at once; tags are used
  /// again.
  @Test func manyTransfersFindTheirOwn() throws {
    let ranks = try Ranks(tagLimit: 1024 + 2048 + 10)
    var generator = SystemRandomNumberGenerator()
    for round in 0..<8 {
      let first = UInt64(round * 500)
      for (from, to) in [(0, 1), (1, 0)] {
        for number in first..<first + 500 {
          ranks[from].fill(number % 1000 * 8..<number % 1000 * 8 + 8) {
            UInt8(truncatingIfNeeded: number >> ($0 % 8 * 8))
          }
        }
        for number in (first..<first + 500).shuffled(using: &generator) {
          ranks[from].start(
            .send, to, ranks[from].tensor(at: number % 1000 * 8, [1], .uint64), sequence: number)
          if number % 7 == 0 { ranks.step(from) }
        }
        ranks.settle([from])
        for number in (first..<first + 500).shuffled(using: &generator) {
          ranks[to].start(
            .receive, from, ranks[to].tensor(at: 65536 + number % 1000 * 8, [1], .uint64),
            sequence: number)
          if number % 5 == 0 { ranks.step(to) }
        }
        ranks.settle()
      }
      for rank in 0..<2 {
        #expect(ranks[rank].takeEnds().count == 1000)
        #expect(ranks[rank].linkError == nil)
        let begin = 65536 + first % 1000 * 8
        let sent = ranks[1 - rank].bytes(first % 1000 * 8..<first % 1000 * 8 + 4000)
        #expect(ranks[rank].bytes(begin..<begin + 4000) == sent)
      }
    }
  }

  /// A rank that runs ahead fills nobody's memory: from some point on its messages wait, and
  /// not for ever.
  @Test func runningAheadIsBounded() throws {
    let ranks = try Ranks()
    for _ in 0..<1500 {
      ranks[0].start(.send, 1, ranks[0].tensor(at: 0, [8]))
      ranks.step(0)
    }
    ranks.settle()
    #expect(ranks[0].takeEnds().count == 1024)
    #expect(ranks.network.synchronous == 1500 - 1024)
    for _ in 0..<1500 {
      ranks[1].start(.receive, 0, ranks[1].tensor(at: 0, [8]))
      ranks.step(1)
    }
    ranks.settle()
    #expect(ranks[0].takeEnds().count == 1500 - 1024 && ranks[1].takeEnds().count == 1500)
    // The sender has been told what was taken, but for the last 220.
    for _ in 0..<1024 - 220 {
      ranks[0].start(.send, 1, ranks[0].tensor(at: 0, [8]))
      ranks.step(0)
    }
    #expect(ranks.network.synchronous == 1500 - 1024)
    ranks[0].start(.send, 1, ranks[0].tensor(at: 0, [8]))
    ranks.settle()
    #expect(ranks.network.synchronous == 1500 - 1024 + 1)
  }

  /// A send is over when its bytes are free again, not before.
  @Test func sendEndsWithItsRequest() throws {
    let ranks = try Ranks()
    let send = ranks[0].start(.send, 1, ranks[0].tensor(at: 0, [100_000]))
    ranks.settle()
    #expect(ranks[0].takeEnds().isEmpty && ranks.isExpecting(0))
    ranks[1].start(.receive, 0, ranks[1].tensor(at: 0, [100_000]))
    ranks.settle()
    #expect(ranks[0].takeEnds() == [.init(task: send, isCancelled: false)])
  }

  /// Between two ranks of three, the third one's messages in between.
  @Test func ranksAreKeptApart() throws {
    let ranks = try Ranks(3)
    for rank in 0..<3 { ranks[rank].fill(0..<16) { _ in UInt8(rank + 1) } }
    for from in 0..<3 {
      for to in 0..<3 where to != from {
        ranks[from].start(.send, to, ranks[from].tensor(at: 0, [16]))
        ranks[to].start(.receive, from, ranks[to].tensor(at: 64 * UInt64(from + 1), [16]))
      }
    }
    ranks.settle()
    for to in 0..<3 {
      #expect(ranks[to].takeEnds().count == 4)
      for from in 0..<3 where from != to {
        #expect(ranks[to][64 * UInt64(from + 1)] == UInt8(from + 1))
      }
    }
  }

  @Test func otherLengthIsAnotherProgram() throws {
    let ranks = try Ranks()
    ranks.settle()
    ranks[0].start(.send, 1, ranks[0].tensor(at: 0, [100]))
    let task = ranks[1].start(.receive, 0, ranks[1].tensor(at: 0, [101]))
    ranks.settle()
    let error = try #require(ranks[1].linkError)
    #expect(error.code == .diverged && error.task == task)
    #expect(
      error.message.hasPrefix(
        "rank 0 (host0) has sent 100 bytes, and transfer 0 to rank 1 from rank 0"))
    #expect(!ranks[1].isLinkErrorEcho && ranks[1].linkControl == PTO2_LINK_FATAL)
    #expect(ranks[1].takeEnds().isEmpty)
  }

  /// An error of the transport names the rank.
  @Test func brokenTransportIsAnError() throws {
    let ranks = try Ranks()
    ranks.settle()
    ranks.network.failing = [1]
    ranks[0].start(.send, 1, ranks[0].tensor(at: 0, [100]))
    ranks.settle()
    let error = try #require(ranks[0].linkError)
    #expect(error.code == .rankDied)
    #expect(
      error.message
        == "rank 1 (host1): sending transfer 0 from rank 0 to rank 1 (task 0:0): no route")
    #expect(ranks.step(0) == 0)
  }
}
