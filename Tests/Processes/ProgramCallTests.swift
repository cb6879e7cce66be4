import Harness
import Testing

/// Calls of pto2_program.h whose whole effect a program can see: each scene checks itself.
@Suite(.serialized, .elsewhereToo) struct ProgramCallTests {
  @Test(arguments: [["bit-cast", "5"], ["creator", "6"], ["refused-view", "4"]])
  func sceneSeesWhatItShould(scene: [String]) {
    let segment = freshSegment("call")
    let result = conformance(scene, segment: segment, options: ["--clusters", "2"]).wait()
    #expect(result.status == 0, "\(result.errors)")
    expectClean(segment)
  }

  /// Exit status, report and words have a code of the program's own.
  @Test(arguments: [(1000, 80), (1007, 87), (1039, 119)])
  func programEndsWithACodeOfItsOwn(code: Int, status: Int32) {
    let segment = freshSegment("own")
    let result = conformance(["own-code", "\(code)"], segment: segment).wait()
    #expect(result.status == status)
    #expect(result.errors.contains("error \(code) PROGRAM: out of \"luck\""), "\(result.errors)")
    #expect(
      result.output.contains("\"code\":\(code),\"name\":\"PROGRAM\""), "\(result.output)")
    #expect(result.output.contains("\"exit_status\":\(status)"), "\(result.output)")
    expectClean(segment)
  }

  @Test(arguments: ["0", "9", "999", "1040"]) func codeOfNobodyIsError5(code: String) {
    let result = conformance(["own-code", code], segment: freshSegment("nobody")).wait()
    #expect(result.status == 15)
    #expect(
      result.errors.contains("a program's own codes are 1000 to 1039, not \(code): out of"),
      "\(result.errors)")
  }

  @Test func toolsKnowTheCode() {
    let result = Command.run("pto2", ["decode", "--error", "1007"])
    #expect(result.status == 0)
    #expect(result.output.contains("error 1007  PROGRAM, exit status 87"), "\(result.output)")
  }

  /// A program that looks at nothing still fails, by the use of what there is not, and one
  /// that returns because of a view with that view's words.
  @Test(
    arguments: [
      ("refused-and-used", "a view that could not be made"),
      ("refused-and-left", "reaches beyond"),
    ])
  func viewThatIsNoneIsNeverUsed(scene: String, words: String) {
    let result = conformance([scene], segment: freshSegment("none")).wait()
    #expect(result.status == 15)
    #expect(result.errors.contains(words), "\(result.errors)")
  }

  /// Lines by level, after the program's name; `--quiet` leaves errors.
  @Test(
    arguments: [
      ([], 3), (["--quiet"], 1), (["--log", "debug"], 4), (["--quiet", "--log", "debug"], 4),
      (["--log", "warning"], 2),
    ] as [([String], Int)])
  func programLogsUpToALevel(options: [String], count: Int) {
    let library = Command.buildDirectory + "libConformanceProgram.so"
    let result = Command.run(
      "pto2-orchestrator", ["--program", library] + options + ["--", "logs", "7"])
    #expect(result.status == 0, "\(result.errors)")
    let lines = [
      "error: all is lost", "warning: all may be lost", "info: 7 of all", "debug: x is 1",
    ].map { "libConformanceProgram.so: " + $0 }
    let found = result.errors.split(separator: "\n").map(String.init)
      .filter { $0.hasPrefix("libConformanceProgram.so: ") }
    #expect(found == Array(lines.prefix(count)), "\(result.errors)")
    #expect(!result.output.contains("lost"), "a report is not mixed with it")
  }

  @Test func levelOfNobodyIsRefused() {
    let library = Command.buildDirectory + "libConformanceProgram.so"
    let result = Command.run(
      "pto2-orchestrator", ["--program", library, "--log", "loud", "--", "logs", "7"])
    #expect(result.status == 64)
    #expect(result.errors.contains("loud"), "\(result.errors)")
  }
}
