import Harness
import Testing

/// A sample of the kills between any two instructions; `make steps` has all.
@Suite(.serialized) struct StepTests {
  /// Without `rebuild`, which is long.
  private let points =
    "reset,attach,reset-scheduler,attach-scheduler,publish,wire,dispatch,ack,fin,release,consume"

  @Test func deathAfterAnyInstructionIsSurvived() {
    let result = Command.run(
      "pto2-steps", ["--points", points, "--hit", "5", "--limit", "3", "--json"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(number("violations", in: result.output) == 0)
    // Eleven points, three kills each; each stretch is longer than that. To announce a
    // process takes a few stores, the others have loops or calls in them.
    #expect(numbers("runs", in: result.output).last == 33, "\(result.output)")
    let instructions = numbers("instructions", in: result.output)
    #expect(instructions.count == 11, "\(instructions)")
    for (point, count) in zip(points.split(separator: ","), instructions) {
      #expect(count > (point.hasPrefix("attach") ? 10 : 30), "\(point)")
    }
  }

  /// With the threads that share the scheduler's work.
  @Test func deathOfASchedulerThreadIsSurvived() {
    let result = Command.run(
      "pto2-steps",
      ["--points", "dispatch,release", "--hit", "4", "--limit", "4", "--threads", "2", "--json"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(numbers("runs", in: result.output).last == 8, "\(result.output)")
  }

  /// The campaign notices: a stretch that never begins is not passed over.
  @Test func stretchThatNeverBeginsIsAViolation() {
    let result = Command.run(
      "pto2-steps", ["--points", "fin", "--hit", "100000", "--limit", "1"])
    #expect(result.status == 1)
    #expect(result.errors.contains("the run without a kill"), "\(result.errors)")
  }

  /// Nor an end that differs from what is expected.
  @Test func otherEndIsAViolation() {
    let result = Command.run(
      "pto2-steps", ["--points", "dispatch", "--hit", "5", "--limit", "1", "--sabotage"])
    #expect(result.status == 1)
    #expect(
      result.errors.contains("again: pto2-steps --point dispatch --hit 5 --step "),
      "\(result.errors)")
  }

  @Test func wrongPointIsRefused() {
    let result = Command.run("pto2-steps", ["--points", "fin,fine"])
    #expect(result.status == 64)
    #expect(result.errors.contains("point \"fine\": expected one of"), "\(result.errors)")
  }
}
