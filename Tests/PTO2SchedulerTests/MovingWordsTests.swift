import CPTO2Segment
import PTO2Protocol
import PTO2Segment
import PTO2Sight
import PTO2System
import Synchronization
import Testing

@testable import PTO2Scheduler

/// What `PictureReader` makes of a core whose words move while it copies them.
@Suite struct MovingWordsTests {
  /// A core that is told and has done thousands of dispatches between two copies: the two
  /// words of most pictures belong to different ones.
  @Test func wordsOfTwoMomentsAreNoDamage() throws {
    let rig = try Rig(configuration())
    let words = (0..<64).map { index in
      DispatchWord(
        descriptorOffset: UInt64(64 * index), slot: 0, toggle: index & 1 == 0, limit: .max)!
    }
    let pictures = Atomic<Int>(0)
    let damage = Mutex<[String]>([])
    let name = rig.name
    let tool = try spawnThread("tool") {
      let reader = try? PictureReader(name)
      for _ in 0..<500 {
        let found = reader?.picture().damage ?? ["no picture"]
        damage.withLock { $0 += found }
        pictures.add(1, ordering: .relaxed)
      }
    }
    let told = rig.shared.segment.ownDispatchLanes(0)[0].word
    var rounds = 0
    while pictures.load(ordering: .relaxed) < 500 {
      for word in words {
        told.storeRelease(word.rawValue)
        rig.store(ConditionWord.ack(word).rawValue, core: 0, lane: 0)
        rig.store(ConditionWord.fin(word).rawValue, core: 0, lane: 0)
      }
      rounds += 1
    }
    tool.join()
    let found = damage.withLock { $0 }
    #expect(found.first == nil, "\(found.count) of 500")
    #expect(rounds > 500, "not exercised")

    rig.store(ConditionWord.fin(words[3]).rawValue, core: 0, lane: 0)
    #expect(try PictureReader(name).picture().damage.count == 1, "what stays as it is, is")
  }
}
