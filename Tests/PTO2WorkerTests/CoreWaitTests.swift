import Testing

@testable import PTO2Worker

/// When a core that has nothing to do yields, moves, and parks.
@Suite struct CoreWaitTests {
  /// Rounds until it parks.
  private func rounds(
    _ wait: inout CoreWait, atGate: Bool = true, leaveCrowd: () -> Bool = { false }
  ) -> Int {
    var count = 0
    while !wait.next(atGate: atGate, leaveCrowd: leaveCrowd) && count < 5000 { count += 1 }
    return count
  }

  @Test func coreSpinsAndYieldsBeforeItParks() {
    var wait = CoreWait()
    #expect(rounds(&wait) == 0, "before its first task")
    wait.reset()
    wait.backoff.noteYield(nanoseconds: 500)
    // On a busy machine the first yield may take a time slice, and is the last one then.
    #expect(rounds(&wait) > 150)
  }

  @Test func afterALostTimeSliceItParksWithoutAYield() {
    var wait = CoreWait()
    wait.backoff.noteYield(nanoseconds: 2_000_000)
    for _ in 0..<3 {
      wait.reset()
      #expect(rounds(&wait) == 150)
    }
  }

  /// Two cores that wait for each other on one CPU, and park each time: neither would ever
  /// look at the others' CPUs.
  @Test func coreThatParksAtOnceMovesAllTheSame() {
    var wait = CoreWait()
    wait.backoff.noteYield(nanoseconds: 2_000_000)
    wait.reset()
    var looks = 0
    #expect(
      rounds(&wait) {
        looks += 1
        return false
      } == 150)
    #expect(looks == 1)
    wait.reset()
    for _ in 0..<150 { #expect(!wait.next(atGate: true) { false }) }
    #expect(!wait.next(atGate: true) { true }, "it looks for work on its new CPU first")
    // And yields there: the time slice was lost elsewhere.
    var looksThere = 0
    for _ in 0..<152 {
      _ = wait.next(atGate: true) {
        looksThere += 1
        return false
      }
    }
    #expect(looksThere == 2, "150 rounds are spins")
  }

  @Test func coreWithoutWorkStaysBeforeItParks() {
    var wait = CoreWait()
    var looks = 0
    for _ in 0..<3 {
      #expect(
        rounds(&wait, atGate: false) {
          looks += 1
          return true
        } == 0)
      wait.resume()
    }
    wait.reset()
    wait.backoff.noteYield(nanoseconds: 2_000_000)
    #expect(
      rounds(&wait, atGate: false) {
        looks += 1
        return true
      } == 150)
    #expect(looks == 0)
  }
}
