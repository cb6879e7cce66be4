import CPTO2Segment
import Testing

@testable import PTO2Scheduler

@Suite struct CoreSetTests {
  /// Of up to 64 clusters: every core is taken out once, in order.
  @Test(arguments: [1, 2, 63, 64, 100])
  func coresThatWerePutInComeOutOnce(stride: Int) {
    var set = CoreSet()
    #expect(set.isEmpty && set.removeFirst() == nil)
    let cores = Array(Swift.stride(from: 0, to: Int(PTO2_MAX_CORES), by: stride))
    for core in cores + cores.reversed() { set.insert(core) }
    var found: [Int] = []
    while let core = set.removeFirst() {
      #expect(set.isEmpty == (core == cores.last))
      found.append(core)
    }
    #expect(found == cores)
  }
}
