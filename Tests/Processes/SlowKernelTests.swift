import Harness
import Testing

/// A kernel that runs for a second is reported while it runs, once.
@Suite(.serialized, .elsewhereToo) struct SlowKernelTests {
  private func run(_ arguments: [String], _ options: [String] = []) -> Command.Result {
    Command.run(
      "pto2-orchestrator",
      ["--program", Command.buildDirectory + "libConformanceProgram.so", "--segment"]
        + [freshSegment("slow")] + options + ["--"] + arguments)
  }

  private func warnings(_ result: Command.Result) -> [Substring] {
    result.messages.filter { $0.contains("warning: ") }
  }

  @Test(arguments: ["1", "2"])
  func slowKernelIsReportedOnce(threads: String) {
    let result = run(["slow", "5000"], ["--threads", threads])
    #expect(result.status == 0)
    #expect(warnings(result).count == 1, "\(result.errors)")
    #expect(
      warnings(result).allSatisfy {
        $0.contains("warning: core aiv")
          && $0.hasSuffix(" has been running task 0:0, kernel c_sleep for 1 s")
      },
      "\(result.errors)")
  }

  @Test func quietRunSaysNothing() {
    let result = run(["slow", "1500"], ["--quiet"])
    #expect(result.status == 0)
    #expect(result.errors.isEmpty, "\(result.errors)")
  }

  @Test func manyShortKernelsAreNotSlow() {
    let result = run(["pure", "12000"], ["--lanes", "8"])
    #expect(result.status == 0)
    #expect(warnings(result).isEmpty, "\(result.errors)")
  }
}
