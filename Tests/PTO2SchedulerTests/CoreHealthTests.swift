import CPTO2Segment
import PTO2Protocol
import PTO2Segment
import PTO2System
import Testing

@testable import PTO2Scheduler

/// What is found of a core, look by look, without a segment.
@Suite struct CoreHealthTests {
  /// Looks every 100 ms at a core that gets nowhere; returns the looks, from 1 on, at
  /// which each finding was made.
  private func looks(
    _ configuration: Configuration, count: Int, isKernelRunning: Bool,
    worker: ProcessIdentity? = nil
  ) -> [[CoreHealth.Findings]] {
    var health = CoreHealth(configuration)
    return (0...count).map { look in
      let found = health.observe(
        CoreHealth.Observation(
          retired: 7, hasDispatch: true, isKernelRunning: isKernelRunning, worker: worker,
          now: 1_000_000_000 + UInt64(look) * 100_000_000))
      let all: [CoreHealth.Findings] = [
        .stalled, .overdue, .slow, .stopped, .stoppedTooLong, .takesNothing,
      ]
      return all.filter { found.contains($0) }
    }
  }

  private func limits(stall: UInt32 = 0, deadline: UInt32 = 0, grace: UInt32 = 0) -> Configuration {
    var limits = configuration(stallLimitMilliseconds: stall)
    limits.kernelDeadlineMilliseconds = deadline
    limits.stopGraceMilliseconds = grace
    return limits
  }

  @Test func deadlineThenStall() {
    let found = looks(limits(stall: 1000, deadline: 500), count: 12, isKernelRunning: true)
    #expect(found.firstIndex { $0.contains(.overdue) } == 5)
    #expect(found.firstIndex { $0.contains(.stalled) } == 10)
  }

  @Test func withoutLimitsNothingIsFound() {
    #expect(looks(limits(), count: 100, isKernelRunning: true).allSatisfy { $0.isEmpty })
  }

  @Test func slowKernelIsReportedOnce() {
    let found = looks(
      limits(), count: 40, isKernelRunning: true, worker: ProcessIdentity.current())
    #expect(found.filter { $0.contains(.slow) }.count == 1)
    #expect(found.firstIndex { $0.contains(.slow) } == 10)
  }

  /// At least 5 s, however short the grace is.
  @Test func workerThatTakesNothingIsFoundWhenItRuns() {
    let found = looks(
      limits(grace: 100), count: 60, isKernelRunning: false, worker: ProcessIdentity.current())
    #expect(found.firstIndex { $0.contains(.takesNothing) } == 50)
    #expect(!found.joined().contains(.slow), "no kernel runs")
    let unknown = looks(limits(grace: 100), count: 60, isKernelRunning: false)
    #expect(unknown.allSatisfy { $0.isEmpty }, "nobody hosts the core")
  }

  @Test func progressStartsEveryClockAgain() {
    var health = CoreHealth(limits(stall: 300, deadline: 300))
    for look in 0..<UInt64(40) {
      let found = health.observe(
        CoreHealth.Observation(
          retired: UInt32(look / 2), hasDispatch: true, isKernelRunning: true, worker: nil,
          now: 1_000_000_000 + look * 100_000_000))
      #expect(found.isEmpty)
    }
  }
}

@Suite struct RerunRuleTests {
  @Test func whatHasNotBegunRunsAgainWhateverItIs() {
    #expect(RerunRule.allows(hasBegun: false, flags: [], kills: 9, crashes: 9))
  }

  @Test(arguments: UInt8(0)...4, UInt8(0)...3)
  func whatHasBegunRunsAgainIfItMay(kills: UInt8, crashes: UInt8) {
    #expect(!RerunRule.allows(hasBegun: true, flags: [], kills: kills, crashes: crashes))
    #expect(
      RerunRule.allows(hasBegun: true, flags: .rerun, kills: kills, crashes: crashes)
        == (kills < 3 && crashes < 2))
  }
}

/// A core's lanes after a restart, from its words and COND alone.
@Suite struct LaneReadingTests {
  private func word(_ task: UInt64, toggle: Bool) -> DispatchWord {
    DispatchWord(descriptorOffset: task * 64, slot: 0, toggle: toggle)!
  }

  @Test func freshLanesAreIdle() {
    let reading = LaneReading(Array(repeating: (.idle, .coreIdle), count: 4), left: nil)
    #expect(reading.outstanding.isEmpty)
    #expect(reading.nextLane == 0 && reading.oldestLane == 0)
  }

  /// The second time around: lanes 0 and 1 have the newer toggle.
  @Test func dispatchesWithoutFinLieBeforeTheNextLane() {
    let words = [
      word(4, toggle: false), word(5, toggle: false), word(2, toggle: true), word(3, toggle: true),
    ]
    let lanes = [
      (words[0], ConditionWord.ack(words[0])), (words[1], .fin(word(1, toggle: true))),
      (words[2], .fin(words[2])), (words[3], .fin(words[3])),
    ]
    let reading = LaneReading(lanes, left: nil)
    #expect(reading.nextLane == 2 && reading.lastLane == 1 && reading.oldestLane == 0)
    #expect(reading.outstanding.map(\.lane) == [0, 1])
    #expect(
      reading.outstanding.map(\.condBefore) == [.ack(words[0]), .fin(word(1, toggle: true))])
  }

  /// Between two workers COND says nothing.
  @Test func whatADeadWorkerHasLeftIsCounted() {
    let words = [
      word(4, toggle: false), word(5, toggle: false), word(2, toggle: true), word(3, toggle: true),
    ]
    let reading = LaneReading(words.map { ($0, .fin($0)) }, left: 3)
    #expect(reading.nextLane == 2 && reading.oldestLane == 3)
    #expect(reading.outstanding.map(\.lane) == [3, 0, 1])
    #expect(reading.outstanding.map(\.condBefore) == [3, 0, 1].map { .notTaken(words[$0]) })
  }
}
