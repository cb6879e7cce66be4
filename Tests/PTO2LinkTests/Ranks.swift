import Harness
import PTO2Protocol
import PTO2Segment
import PTO2System
import PlayedRank
import Testing

@testable import PTO2Link

/// Several ranks of one process, each with a real link; a test steps them, and says what time
/// it is.
final class Ranks {
  let network: MemoryNetwork
  let played: [PlayedRank]
  private var links: [SteppedLink] = []
  /// Nanoseconds.
  private(set) var now: UInt64 = 1_000_000_000

  final class SteppedLink {
    var link: Link<MemoryTransport>
    init(_ link: consuming Link<MemoryTransport>) { self.link = link }
  }

  init(
    _ count: Int = 2, tagLimit: Int = 1 << 20, images: [KernelImage] = [],
    _ change: (inout LinkTimes) -> Void = { _ in }
  ) throws {
    network = MemoryNetwork(ranks: count, tagLimit: tagLimit)
    played = try (0..<count).map {
      try PlayedRank(name: uniqueSegmentName(), rank: $0, of: count, images: images)
    }
    var times = LinkTimes()
    change(&times)
    for rank in 0..<count {
      let segment = try Segment.attach(
        name: played[rank].name, role: .link, timeoutMilliseconds: 0)
      let link = Link(segment, MemoryTransport(network: network, rank: rank), times: times)
      link.announce()
      links.append(SteppedLink(link))
    }
  }

  subscript(rank: Int) -> PlayedRank { played[rank] }

  /// One step of one of them.
  @discardableResult
  func step(_ rank: Int) -> Int { links[rank].link.step(now) }

  func isExpecting(_ rank: Int) -> Bool { links[rank].link.isExpecting }
  func isAlone(_ rank: Int) -> Bool { links[rank].link.isAlone }
  func hasEveryoneHeardOfError(_ rank: Int) -> Bool { links[rank].link.hasEveryoneHeardOfError }
  func sayGoodbye(_ rank: Int, _ error: UInt32 = 0) { links[rank].link.sayGoodbye(error) }

  /// Sleeps as the process does.
  func park(_ rank: Int, nanoseconds: Int64) {
    var sleeper = Sleeper()
    let control = played[rank].owner.orchestratorPage.control
    links[rank].link.park(&sleeper, control, nanoseconds: nanoseconds)
  }

  /// Steps of all until none has anything to do.
  func settle(_ ranks: [Int]? = nil) {
    var idle = 0
    while idle < 3 {
      idle = (ranks ?? Array(played.indices)).reduce(0) { $0 + step($1) } == 0 ? idle + 1 : 0
    }
  }

  /// So much time goes by, for those that run.
  func pass(seconds: Double, _ ranks: [Int]? = nil) {
    let end = now + UInt64(seconds * 1e9)
    while now < end {
      now = min(end, now + 50_000_000)
      settle(ranks)
    }
  }
}
