import Harness
import Testing

/// Random programs in sessions of real processes, bit for bit against an
/// interpreter. docs/testing.md tells how to replay a seed.
@Suite(.serialized) struct DifferentialTests {
  @Test(arguments: Array(stride(from: 1, to: 200, by: 20)))
  func seedsEqualTheInterpreter(first: Int) {
    let result = Command.run("pto2-random", ["--seeds", "\(first)-\(first + 19)"])
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    #expect(result.output.contains("20 sessions"))
  }

  /// The test can fail: a write that the interpreter leaves out is noticed,
  /// with the command that shows it again.
  @Test func aMissingWriteIsNoticed() {
    let result = Command.run("pto2-random", ["--seeds", "1-10", "--sabotage"])
    #expect(result.status == 1)
    #expect(result.output.contains("10 failed"), "\(result.output)")
    for seed in 1...10 {
      #expect(result.output.contains("pto2-random --seed \(seed) --sabotage"))
    }
  }

  @Test func aSeedIsTheSameProgramEveryTime() {
    let once = Command.run("pto2-random", ["--seed", "5", "--verbose"])
    let again = Command.run("pto2-random", ["--seed", "5", "--verbose", "--clusters", "1"])
    #expect(once.status == 0 && again.status == 0, "\(once.errors)\(again.errors)")
    let program = { (result: Command.Result) in
      result.output.split(separator: "\n").prefix { $0.first!.isNumber }
    }
    #expect(program(once).count > 300)
    #expect(program(once) == program(again))
  }
}
