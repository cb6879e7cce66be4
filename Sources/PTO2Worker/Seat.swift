internal import PTO2Protocol
internal import PTO2System

/// On which CPU a core's thread runs.
///
/// Linux leaves two cores that wait for one another on one CPU while another one sleeps:
/// each of them has run within half a millisecond, so its data count as warm there. A core
/// that waits therefore looks who else is awake on its CPU, and moves to one where no core
/// is. It stays free to leave that again, and where there are more cores awake than CPUs
/// nobody moves.
@safe struct Seat {
  private let peers: CorePeers
  private let index: Int
  /// The CPU as the other cores see it; of this core's page.
  private let word: OwnedWord
  private let cpus: CPUSet
  private let isFree: Bool
  private var nextLook: UInt64 = 0

  private static var period: UInt64 { 200_000 }

  /// - Parameter moves: false leaves it all to Linux.
  init(_ core: CoreID, _ word: OwnedWord, _ peers: CorePeers, moves: Bool) {
    index = core.index
    self.word = word
    self.peers = peers
    cpus = CPUSet.allowed()
    isFree = moves && cpus.count > 1
  }

  /// Before a kernel: whoever waits for it can see where it runs.
  @inline(__always)
  func note() {
    let cpu = UInt32(truncatingIfNeeded: CPUSet.current + 1)
    if word.loadOwn() != cpu { word.storeRelaxed(cpu) }
  }

  /// While there is nothing to do.
  /// - Returns: true when it has moved.
  mutating func leaveCrowd() -> Bool {
    guard isFree else { return false }
    let now = MonotonicClock.now()
    guard now >= nextLook else { return false }
    nextLook = now &+ Self.period
    note()
    var taken = CPUSet()
    for core in 0..<peers.count where core != index {
      let page = peers.page(core)
      if page.parked.loadRelaxed() == 0 { taken.insert(Int(page.cpu.loadRelaxed()) - 1) }
    }
    guard taken.contains(Int(word.loadOwn()) - 1), let cpu = cpus.first(outside: taken) else {
      return false
    }
    // First, so that no other one takes the same.
    word.storeRelaxed(UInt32(truncatingIfNeeded: cpu + 1))
    cpus.move(to: cpu)
    return true
  }
}
