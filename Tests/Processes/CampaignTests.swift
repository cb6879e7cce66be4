import Harness
import Testing

/// The campaign of random kills (docs/campaign.md), small; and that it can fail.
@Suite(.serialized) struct CampaignTests {
  @Test func killsLeaveResultsAsTheyAre() {
    let result = Command.run("pto2-campaign", ["--kills", "100", "--seed", "3", "--json"])
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    #expect(result.output.contains("\"exercised\":true"))
    #expect((number("lost_subtasks", in: result.output) ?? 0) > 0, "not exercised")
    #expect((number("scheduler_restarts", in: result.output) ?? 0) > 0, "not exercised")
    #expect((number("kills", in: result.output) ?? 0) >= 100)
  }

  /// Each session compares with a wrong result, and each is told with its replay.
  @Test func wrongResultsAreNoticed() {
    let result = Command.run(
      "pto2-campaign", ["--kills", "1000", "--seed", "5", "--sessions", "12", "--sabotage"])
    #expect(result.status == 1, "\(result.output)\(result.errors)")
    let violations = result.output.split(separator: "\n").filter { $0.hasPrefix("violation: ") }
    #expect(violations.count >= 6, "\(result.output)")
    #expect(violations.allSatisfy { $0.contains("--seed 5 --session ") }, "\(result.output)")
    for graph in ["chain", "independent", "fan", "grid", "random", "snapshot"] {
      #expect(
        violations.contains { $0.contains("violation: \(graph)") }, "\(graph) was not noticed")
    }
  }

  /// Each kind of fault comes to its end, and the table has a row for it.
  @Test func boundsAreMeasured() {
    let result = Command.run("pto2-campaign", ["--bounds", "--kills", "2", "--json"])
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    #expect(numbers("kills", in: result.output) == Array(repeating: 2, count: 11))
  }

  @Test func fewerKillsThanAskedForIsNotExercised() {
    let result = Command.run(
      "pto2-campaign", ["--kills", "1000", "--seed", "5", "--sessions", "1"])
    #expect(result.status == 3, "\(result.output)")
    #expect(result.output.contains("not exercised"))
  }
}
