import CPTO2Segment
import Harness
import PTO2Protocol
import PTO2Segment
import PTO2System
import PlayedRank
import Synchronization
import Testing

@testable import PTO2Link

/// Who sleeps is woken. A sleep that nobody ends has failed when its time is over.
@Suite struct ParkTests {
  private static let limit: Int64 = 20_000_000_000

  /// Runs the sleeper in a thread, wakes it once it sleeps, and waits for its end.
  private func expectWake(
    _ name: String, isParked: () -> Bool, wake: () -> Void,
    sleeper: @escaping @Sendable () -> Void
  ) throws {
    let begin = MonotonicClock.now()
    let thread = try spawnThread(name, sleeper)
    while !isParked() { yieldProcessor() }
    // Into the system call, most likely: either way it must not be lost.
    sleepNanoseconds(20_000_000)
    wake()
    thread.join()
    #expect(MonotonicClock.now() - begin < UInt64(Self.limit))
  }

  private final class Box: @unchecked Sendable {
    // Sendable: one thread at a time has it.
    let ranks: Ranks
    init(_ ranks: Ranks) { self.ranks = ranks }
  }

  @Test(arguments: ["transfer", "meeting", "end"])
  func linkIsWokenForWhatIsNew(what: String) throws {
    let ranks = try Ranks()
    ranks.settle()
    let box = Box(ranks)
    let rank = ranks[0]
    try expectWake(
      "link", isParked: { rank.owner.linkPage.parked.loadAcquire() == 1 },
      wake: {
        switch what {
        case "transfer": rank.start(.send, 1)
        case "meeting": rank.meet()
        default: rank.control(PTO2_CONTROL_DONE)
        }
      },
      sleeper: { box.ranks.park(0, nanoseconds: Self.limit) })
    #expect(rank.owner.linkPage.parked.loadAcquire() == 0)
    #expect(what == "end" || ranks.step(0) > 0)
  }

  /// What has come before it sleeps keeps it awake.
  @Test func linkDoesNotSleepOverNews() throws {
    for isMeeting in [false, true] {
      let ranks = try Ranks()
      ranks.settle()
      if isMeeting { ranks[0].meet() } else { ranks[0].start(.send, 1) }
      let begin = MonotonicClock.now()
      ranks.park(0, nanoseconds: Self.limit)
      #expect(MonotonicClock.now() - begin < UInt64(Self.limit))
    }
  }

  /// One that cannot do anything any more does not look for it all the time.
  @Test func brokenLinkSleeps() throws {
    let ranks = try Ranks(tagLimit: 10)
    #expect(ranks[0].linkError?.code == .linkDied)
    ranks[0].start(.send, 1)
    ranks[0].meet()
    ranks.settle()
    let begin = MonotonicClock.now()
    ranks.park(0, nanoseconds: 100_000_000)
    #expect(MonotonicClock.now() - begin >= 100_000_000)
  }

  /// The scheduler sleeps on `ended`, and says so.
  @Test func schedulerIsWokenWhenATransferIsOver() throws {
    let ranks = try Ranks()
    ranks.settle()
    let rank = ranks[0]
    let flag = Flag()
    try expectWake(
      "scheduler", isParked: { flag.isSet.load(ordering: .acquiring) },
      wake: {
        rank.start(.send, 1)
        ranks.settle([0])
      },
      sleeper: {
        rank.sleep(true)
        var words = WaitSet()
        words.insert(rank.owner.linkPage.ended, while: 0)
        flag.isSet.store(true, ordering: .releasing)
        words.wait(timeoutNanoseconds: Self.limit)
      })
  }

  /// The orchestrator sleeps on `answered`.
  @Test func orchestratorIsWokenByAMeetingAndAnError() throws {
    for isError in [false, true] {
      let ranks = try Ranks()
      ranks.settle()
      let rank = ranks[0]
      let flag = Flag()
      try expectWake(
        "orchestrator", isParked: { flag.isSet.load(ordering: .acquiring) },
        wake: {
          if isError {
            rank.start(.send, 1) { $0.slot.flags = 0 }
          } else {
            rank.meet()
            ranks[1].meet()
          }
          ranks.settle()
        },
        sleeper: {
          var words = WaitSet()
          words.insert(rank.owner.linkPage.answered, while: 0)
          flag.isSet.store(true, ordering: .releasing)
          words.wait(timeoutNanoseconds: Self.limit)
        })
    }
  }

  private final class Flag: Sendable {
    let isSet = Atomic<Bool>(false)
  }
}
