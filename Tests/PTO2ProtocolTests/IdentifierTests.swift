import PTO2Protocol
import Testing

@Suite struct PositionTests {
  @Test func distanceIsRightAcrossTheWrap() {
    for start in [UInt32(0), 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFF0, UInt32.max] {
      for count in [UInt32(0), 1, 15, 16, 17, 1 << 20, 0x7FFF_FFFF] {
        let from = Position(start)
        let to = Position(start &+ count)
        #expect(to.distance(from: from) == Int32(count))
        #expect(from.distance(from: to) == -Int32(count))
      }
    }
    #expect(Position(2).distance(from: Position(0xFFFF_FFFE)) == 4)
  }
}

@Suite struct TaskIDTests {
  @Test func ringAndLocalIdAreKeptApart() {
    for ring in 0..<8 {
      for local in [UInt32(0), 1, 0x7FFF_FFFF, 0x8000_0000, UInt32.max] {
        let id = TaskID(ring: ring, local: local)
        #expect(id.ring == ring && id.local == local)
        #expect(id.rawValue == UInt64(ring) * 0x1_0000_0000 + UInt64(local))
        #expect(TaskID(rawValue: id.rawValue) == id)
        #expect(id.description == "\(ring):\(local)")
      }
    }
  }

  @Test func statesHaveTheOriginalsNumbers() {
    #expect(TaskState.allCases.map(\.rawValue) == [0, 1, 2, 3, 4, 5])
    #expect(TaskState.released.rawValue == 4 && TaskState.consumed.rawValue == 5)
    #expect(SubtaskSlot.allCases.map(\.rawValue) == [0, 1, 2])
  }
}
