import CPTO2Link
import CPTO2Segment
import Harness
import PTO2Link
import PTO2Protocol
import PTO2Segment
import PTO2System
import PlayedRank
import Testing

/// The segment was overwritten: error 207, whatever stands there, and no trap.
@Suite struct GarbageTests {
  private typealias Spoil = @Sendable (inout PlayedRank.Parts, PlayedRank) -> Void

  private static let spoils: [(text: String, spoil: Spoil)] = [
    (
      "task 34359738368, of a ring that there is not", { parts, _ in parts.start.task_id = 8 << 32 }
    ),
    (
      "task 18446744073709551615, of a ring that there is not",
      { parts, _ in parts.start.task_id = .max }
    ),
    ("its slot is of task 0:0", { parts, _ in parts.start.task_id = 1024 }),
    ("its task is none of the link's (flags 0)", { parts, _ in parts.slot.flags = 0 }),
    ("its task is none of the link's (flags 64)", { parts, _ in parts.slot.active_mask = 2 }),
    ("2 tensors and 3 scalars", { parts, _ in parts.slot.tensor_count = 2 }),
    (
      "255 tensors and 255 scalars",
      { parts, _ in
        (parts.slot.tensor_count, parts.slot.scalar_count) = (255, 255)
      }
    ),
    ("1 tensors and 2 scalars", { parts, _ in parts.slot.scalar_count = 2 }),
    ("outcome 7", { parts, _ in parts.start.outcome = 7 }),
    ("a payload at offset 8", { parts, _ in parts.payload = 8 }),
    ("a payload at offset 18446744073709551552", { parts, _ in parts.payload = .max - 63 }),
    ("a payload at offset", { parts, rank in parts.payload = rank.owner.layout.totalBytes }),
    ("with rank 2, way 1", { parts, _ in parts.scalars.0 = 2 << 32 | 1 }),
    ("with rank 0, way 1", { parts, _ in parts.scalars.0 = 1 }),
    ("with rank 1, way 3", { parts, _ in parts.scalars.0 = 1 << 32 | 3 }),
    (
      "100 bytes and no tensor",
      { parts, _ in
        parts.slot.tensor_count = 0
        parts.tensor = nil
      }
    ),
    ("99 bytes of a tensor", { parts, _ in parts.scalars.2 = 99 }),
    ("100 bytes of a tensor", { parts, _ in parts.tensor!.rank = 6 }),
    ("100 bytes of a tensor", { parts, _ in parts.tensor!.dtype = 200 }),
    ("100 bytes of a tensor", { parts, _ in parts.tensor!.strides.0 = -1 }),
    ("100 bytes of a tensor", { parts, _ in parts.tensor!.offset = 0 }),
    (
      "100 bytes of a tensor",
      { parts, rank in
        parts.tensor!.offset = rank.owner.layout.section(.heap).offset - 1
      }
    ),
    (
      "100 bytes of a tensor",
      { parts, rank in
        parts.tensor!.offset = rank.owner.layout.totalBytes - 99
      }
    ),
    ("100 bytes of a tensor", { parts, _ in parts.tensor!.offset = .max }),
    (
      "bytes of a tensor",
      { parts, _ in
        parts.tensor!.rank = 5
        parts.tensor!.shape = (.max, .max, .max, .max, .max)
        parts.tensor!.strides = (.max, .max, .max, .max, .max)
        parts.scalars.2 = .max
      }
    ),
    (
      "bytes of a tensor",
      { parts, _ in
        parts.tensor!.rank = 5
        parts.tensor!.shape = (65536, 65536, 65536, 65536, 65536)
        parts.tensor!.strides = (1, 1, 1, 1, 1)
        parts.scalars.2 = 0
      }
    ),
  ]

  @Test(arguments: spoils.indices, [TransferOrder.Direction.send, .receive])
  func startThatNoOrchestratorWrites(index: Int, direction: TransferOrder.Direction) throws {
    let ranks = try Ranks()
    let rank = ranks[0]
    // A good one before it, which is carried out all the same.
    rank.start(.send, 1, rank.tensor(at: 0, [8]))
    rank.start(direction, 1, rank.tensor(at: 0, [100])) { parts in
      Self.spoils[index].spoil(&parts, rank)
    }
    ranks.settle()
    let error = try #require(rank.linkError)
    #expect(error.code == .protocolViolation)
    #expect(error.message.contains(Self.spoils[index].text), "\(error.message)")
    #expect(error.message.hasSuffix("The segment was overwritten"))
    #expect(rank.linkControl == PTO2_LINK_FATAL && !rank.isLinkErrorEcho)
    #expect(rank.takeEnds().count == 1)
  }

  /// Any bytes at all, in every record that the link reads.
  @Test func randomBytesAreNoTrap() throws {
    for seed in 1...300 as ClosedRange<UInt64> {
      var random = SplitMix64(seed: seed)
      let ranks = try Ranks()
      let rank = ranks[0]
      rank.start(
        seed % 2 == 0 ? .send : .receive, 1, rank.tensor(at: 0, [4, 5, 5], .int32)
      ) { parts in
        func spoil<Value>(_ value: inout Value) {
          withUnsafeMutableBytes(of: &value) { bytes in
            for _ in 0...random.next() % 3 {
              let place = Int(random.next() % UInt64(bytes.count))
              bytes[place] = UInt8(truncatingIfNeeded: random.next())
            }
          }
        }
        switch random.next() % 4 {
        case 0: spoil(&parts.slot)
        case 1: spoil(&parts.scalars)
        case 2: spoil(&parts.start)
        default: spoil(&parts.tensor!)
        }
      }
      ranks.settle()
      if let error = rank.linkError { #expect(error.code == .protocolViolation) }
    }
  }

  @Test func moreStartsThanPlacesAreGarbage() throws {
    let ranks = try Ranks()
    let word = ranks[0].scheduler.ownSchedulerPage.transfersStarted
    word.storeRelease(ranks[0].owner.configuration.transferCapacity + 1)
    ranks.settle()
    #expect(ranks[0].linkError?.code == .protocolViolation)
    #expect(ranks[0].linkError?.message.hasPrefix("a transfer: 1025 begin at once") == true)
  }

  @Test func twoReceivesOfOneNumberAreGarbage() throws {
    let ranks = try Ranks()
    for _ in 0..<2 { ranks[0].start(.receive, 1, ranks[0].tensor(at: 0, [8]), sequence: 5) }
    ranks.settle()
    #expect(ranks[0].linkError?.code == .protocolViolation)
    #expect(ranks[0].linkError?.message.contains("another one has its number") == true)
  }

  @Test(arguments: [0, 1, 2])
  func meetingThatNoOrchestratorAsksFor(way: Int) throws {
    let ranks = try Ranks()
    switch way {
    case 0: ranks[0].meet { $0.number = 2 }
    case 1: ranks[0].owner.ownRankPage.asked.storeRelease(7)
    default:
      ranks[0].meet()
      ranks.settle()
      ranks[0].meet()
    }
    ranks.settle()
    #expect(ranks[0].linkError?.code == .protocolViolation)
  }

  /// The text of a meeting can be of any length to those who have overwritten it.
  @Test func lengthOfATextIsLookedAt() throws {
    let ranks = try Ranks()
    ranks[0].meet { $0.text_length = .max }
    ranks[1].meet()
    ranks.settle()
    #expect(ranks[1].met(0).text.utf8.count == Int(PTO2_MEETING_TEXT_BYTES))
  }

  // MARK: What another rank sends

  /// Not as long as the record that it should be; of another version; of another kind.
  @Test(arguments: 0..<8)
  func strangeMessageIsAnError(way: Int) throws {
    let ranks = try Ranks()
    ranks.settle()
    var word = pto2_link_word()
    (word.version, word.kind) = (PTO2_LINK_WORD_VERSION, PTO2_LINK_WORD_HELLO)
    var meeting = pto2_meeting()
    meeting.number = 9
    var (tag, source) = (Int(PTO2_LINK_TAG_WORD), 1)
    var bytes = [UInt8](repeating: 0, count: 100)
    switch way {
    case 0: break
    case 1: tag = Int(PTO2_LINK_TAG_MEETING)
    case 2:
      word.version = 77
      bytes = withUnsafeBytes(of: word) { Array($0) }
    case 3:
      word.kind = 77
      bytes = withUnsafeBytes(of: word) { Array($0) }
    case 4:
      tag = Int(PTO2_LINK_TAG_MEETING)
      bytes = withUnsafeBytes(of: meeting) { Array($0) }
    case 5: source = 2
    case 6: source = 0
    default:
      tag = 5
      _ = ranks.network.send(bytes, from: 1, to: 0, tag: tag, isSynchronous: false)
    }
    _ = ranks.network.send(bytes, from: source, to: 0, tag: tag, isSynchronous: false)
    ranks.settle()
    #expect(ranks[0].linkError?.code == .protocolViolation)
  }

  /// Counts and lengths in a word can be anything.
  @Test func numbersInAWordAreLookedAt() throws {
    let ranks = try Ranks()
    ranks.settle()
    for kind in [PTO2_LINK_WORD_HELLO, PTO2_LINK_WORD_ASK, PTO2_LINK_WORD_TELL] {
      var word = pto2_link_word()
      (word.version, word.kind) = (PTO2_LINK_WORD_VERSION, kind)
      (word.positions_count, word.text_length, word.oldest) = (.max, .max, .max)
      (word.taken, word.taken_bytes, word.submitted) = (.max, .max, .max)
      word.number = 1
      let bytes = withUnsafeBytes(of: word) { Array($0) }
      _ = ranks.network.send(
        bytes, from: 1, to: 0, tag: Int(PTO2_LINK_TAG_WORD), isSynchronous: false)
    }
    ranks.settle()
    #expect(ranks[0].linkError == nil)
  }
}
