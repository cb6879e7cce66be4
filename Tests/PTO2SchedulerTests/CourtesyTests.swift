import Testing

@testable import PTO2System

/// When a role that has work yields its CPU, by what its yields took.
@Suite struct CourtesyTests {
  private let alone: UInt64 = 400
  private let partner: UInt64 = 5000
  private let hog: UInt64 = 3_000_000

  /// How long after a yield that took so long the next one comes.
  private func pause(_ courtesy: inout Courtesy, after taken: UInt64) -> UInt64 {
    courtesy.note(1_000_000, 1_000_000 + taken)
    var pause: UInt64 = 0
    while !courtesy.isOver(at: 1_000_000 + taken + pause) { pause += 1000 }
    return pause
  }

  @Test func yieldEndsEachTurn() {
    var courtesy = Courtesy()
    #expect(courtesy.isOver(at: 0))
    #expect(pause(&courtesy, after: alone) == Courtesy.turn)
    #expect(pause(&courtesy, after: partner) == Courtesy.turn)
  }

  /// One lost time slice costs 3 ms; a hog that stays costs one in more than a second.
  @Test func somebodyWhoComputesGetsNoMoreTurns() {
    var courtesy = Courtesy()
    let pauses = (0..<9).map { _ in pause(&courtesy, after: hog) / 1_000_000 }
    #expect(pauses == [20, 40, 80, 160, 320, 640, 1280, 1280, 1280])
  }

  @Test func hogThatIsGoneIsForgotten() {
    var courtesy = Courtesy()
    for _ in 0..<9 { _ = pause(&courtesy, after: hog) }
    for _ in 0..<500 { courtesy.note(0, partner) }
    #expect((400_000_000..<1_280_000_000).contains(pause(&courtesy, after: hog)))
    for _ in 0..<10_000 { courtesy.note(0, partner) }
    #expect(pause(&courtesy, after: hog) == Courtesy.shortestTruce)
  }

  @Test func offersAreMadeBetweenTwoTurns() {
    var courtesy = Courtesy()
    courtesy.offer()
    #expect(!courtesy.isOver(at: 0))
  }
}
