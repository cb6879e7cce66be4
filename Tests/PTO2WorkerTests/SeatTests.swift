import CPTO2Segment
import Harness
import PTO2Protocol
import PTO2Segment
import PTO2System
import Testing

@testable import PTO2Worker

/// On which CPU a core runs.
@Suite struct SeatTests {
  /// Two cores of a segment: a seat of core 1, and what core 2 says.
  private func withNeighbour(
    moves: Bool = true, _ body: (inout Seat, CorePage<OwnedWord>, CorePage<OwnedWord>) -> Void
  ) throws {
    let name = uniqueSegmentName()
    let owner = try Segment.create(
      name: name,
      configuration: Configuration(
        rings: [
          Configuration.Ring(taskWindow: 4, consumedWindow: 8, heapBytes: 1024, dependencyPool: 8)
        ], arenaBytes: 4096), images: [])
    defer { owner.unlink() }
    owner.publish()
    let worker = try Segment.attach(name: name, role: .worker, timeoutMilliseconds: 0)
    let own = try worker.openCore(1)
    let other = try worker.openCore(2)
    var seat = Seat(CoreID(1), own.cpu, worker.corePeers, moves: moves)
    body(&seat, own, other)
  }

  @Test func waitingCoreLeavesACPUThatAnotherOneUses() throws {
    let before = CPUSet.allowed()
    try withNeighbour { seat, own, other in
      let cpu = UInt32(CPUSet.current + 1)
      other.cpu.storeRelaxed(cpu)
      // Linux may have moved this thread before.
      let hasMoved = seat.leaveCrowd() || own.cpu.loadOwn() != cpu
      #expect(hasMoved == (before.count > 1))
      #expect(before.count == 1 || before.contains(Int(own.cpu.loadOwn()) - 1))
    }
    #expect(CPUSet.allowed().description == before.description, "it may go on from there")
  }

  /// It sleeps, its CPU is not known, or this core leaves it to Linux: no reason to move.
  @Test(arguments: ["asleep", "unknown", "off"])
  func otherwiseItStays(why: String) throws {
    try withNeighbour(moves: why != "off") { seat, own, other in
      seat.note()
      other.cpu.storeRelaxed(why == "unknown" ? 0 : own.cpu.loadOwn())
      other.parked.storeRelaxed(why == "asleep" ? 1 : 0)
      let hasMoved = seat.leaveCrowd()
      #expect(!hasMoved)
    }
  }

  @Test func damagedPageOfAnotherCoreIsNoCPU() throws {
    try withNeighbour { seat, _, other in
      other.cpu.storeRelaxed(0xFFFF_FFFF)
      let hasMoved = seat.leaveCrowd()
      #expect(!hasMoved)
    }
  }

  @Test func listsOfCPUs() {
    #expect(CPUSet.parse("0,2-5")! == [0, 2, 3, 4, 5])
    #expect(CPUSet.parse("3,1")! == [3, 1])
    for text in ["", ",", "a", "1-", "-1", "2-1", "1-2-3", "1024", "0,"] {
      #expect(CPUSet.parse(text) == nil, "\(text)")
    }
    #expect(CPUSet([5, 2, 0, 3, 4]).description == "0,2-5")
    #expect(CPUSet().description == "")
  }
}
