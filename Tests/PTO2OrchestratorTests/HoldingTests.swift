import PTO2System
import Testing

@testable import PTO2Orchestrator

/// Which ranks have which bytes, against a reference with an entry a byte.
struct HoldingTests {
  private struct Byte: Equatable {
    var holders: Set<Int>
    var writer: Int
  }

  /// The members of a set, from the writer on, around.
  private static func ordered(_ byte: Byte, _ ranks: Int) -> [Int] {
    (0..<ranks).map { (byte.writer + $0) % ranks }.filter { byte.holders.contains($0) }
  }

  @Test(arguments: [2, 3, 7, 64, 65, 200, 256])
  func spansAreWhatEachByteSays(ranks: Int) {
    var random = SplitMix64(seed: UInt64(ranks))
    let bytes = 96
    var moved = 0
    for _ in 0..<40 {
      var holding = Holding(
        serial: 0, bytes: UInt64(bytes), home: 0, holders: .all(ranks), writer: 0)
      var reference = [Byte](
        repeating: Byte(holders: Set(0..<ranks), writer: 0), count: bytes)
      for _ in 0..<60 {
        let begin = Int.random(in: 0...bytes, using: &random)
        let end = Int.random(in: begin...bytes, using: &random)
        let rank = Int.random(in: 0..<ranks, using: &random)
        switch Int.random(in: 0..<7, using: &random) {
        case 0...2:
          holding.noteWrite(UInt64(begin), UInt64(end), by: rank)
          for i in begin..<end { reference[i] = Byte(holders: [rank], writer: rank) }
        case 3:
          holding.noteWriteByAll(UInt64(begin), UInt64(end), of: ranks, home: rank)
          for i in begin..<end { reference[i] = Byte(holders: Set(0..<ranks), writer: rank) }
        default:
          let lacking = holding.bring(UInt64(begin), UInt64(end), to: rank)
          var expected: [LackingSpan] = []
          for i in begin..<end where !reference[i].holders.contains(rank) {
            let holders = Self.ordered(reference[i], ranks)
            let source = holders[(holders.count - 1) / 2]
            if let last = expected.last, last.end == UInt64(i), last.source == source {
              expected[expected.count - 1].end += 1
            } else {
              expected.append(
                LackingSpan(begin: UInt64(i), end: UInt64(i) + 1, source: source))
            }
            reference[i].holders.insert(rank)
          }
          #expect(lacking == expected)
          moved += expected.count
        }
        var position: UInt64 = 0
        for (index, span) in holding.spans.enumerated() {
          #expect(span.begin == position && span.end > span.begin)
          position = span.end
          for i in Int(span.begin)..<Int(span.end) {
            #expect(Set((0..<ranks).filter { span.holders.contains($0) }) == reference[i].holders)
            #expect(Int(span.writer) == reference[i].writer)
          }
          if index > 0 {
            let before = holding.spans[index - 1]
            #expect(before.holders != span.holders || before.writer != span.writer)
          }
        }
        #expect(position == UInt64(bytes))
      }
    }
    #expect(moved > 100)
  }

  /// Every rank asks in turn: nobody has sent more often than a tree asks for.
  @Test func copiesFormATree() {
    let ranks = 16
    var holding = Holding(serial: 0, bytes: 64, home: 0, holders: .all(ranks), writer: 0)
    holding.noteWrite(0, 64, by: 5)
    var sent = [Int](repeating: 0, count: ranks)
    var has: Set<Int> = [5]
    for step in 1..<ranks {
      let rank = (5 + step) % ranks
      let lacking = holding.bring(0, 64, to: rank)
      #expect(lacking.count == 1 && has.contains(lacking[0].source))
      sent[lacking[0].source] += 1
      has.insert(rank)
    }
    #expect(sent.max()! <= 2 && holding.spans.count == 1)
  }
}
