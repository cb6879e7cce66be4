import PTO2System
import Testing

struct StallTimerTests {
  private let second: UInt64 = 1_000_000_000

  /// Looks at it every 100 ms.
  private func isStalled(
    _ watch: inout StallTimer, seconds: UInt64, from begin: UInt64,
    progress: (UInt64) -> UInt64 = { _ in 7 }
  ) -> Bool {
    var isStalled = false
    for tenth in 0..<seconds * 10 {
      isStalled =
        watch.isStalled(progress: progress(tenth), now: begin + tenth * second / 10) || isStalled
    }
    return isStalled
  }

  @Test func nothingForLongerThanTheLimitIsAStall() {
    var watch = StallTimer(stopGraceMilliseconds: 1)
    #expect(watch.limitText == "5.0 s")
    #expect(!isStalled(&watch, seconds: 5, from: second))
    #expect(isStalled(&watch, seconds: 1, from: 6 * second))
    var longer = StallTimer(stopGraceMilliseconds: 8000)
    #expect(!isStalled(&longer, seconds: 8, from: second))
    #expect(isStalled(&longer, seconds: 1, from: 9 * second))
  }

  @Test func progressNowAndThenIsNone() {
    var watch = StallTimer(stopGraceMilliseconds: 5000)
    #expect(!isStalled(&watch, seconds: 60, from: second) { $0 / 40 })
  }

  @Test func noGraceIsForEver() {
    var watch = StallTimer(stopGraceMilliseconds: 0)
    #expect(!isStalled(&watch, seconds: 60, from: second))
  }

  /// A machine that stood still for an hour.
  @Test func timeInWhichNobodyLookedProvesNothing() {
    var watch = StallTimer(stopGraceMilliseconds: 5000)
    #expect(!isStalled(&watch, seconds: 4, from: second))
    let afterAnHour = watch.isStalled(progress: 7, now: 3600 * second)
    #expect(!afterAnHour)
  }
}
