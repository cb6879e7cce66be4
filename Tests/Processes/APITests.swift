import Harness
import Testing

/// The Swift program API in real processes.
@Suite(.serialized, .elsewhereToo) struct APITests {
  private func run(_ scene: String, _ options: [String] = []) -> Command.Result {
    Command.run("pto2-api-test", [scene, "--quiet"] + options)
  }

  @Test(arguments: ["views", "elements", "allocate", "manual", "fill"], ["1", "2"])
  func sceneComputesWhatItShould(scene: String, clusters: String) {
    let result = run(scene, ["--clusters", clusters])
    #expect(result.status == 0, "\(result.errors)")
  }

  @Test func sessionsOfOneProcessLeakNoState() {
    let segment = freshSegment("sessions")
    let result = run("elements", ["--sessions", "4", "--segment", segment])
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.ranges(of: "pto2-api-test: done").count == 4)
    #expect(Leftovers.of(segment) == .none)
  }

  @Test func elementThatIsLateIsError8() {
    let result = run("lateElement")
    #expect(result.status == 18)
    #expect(result.errors.contains("error 8 TENSOR_WAIT_TIMEOUT"))
    #expect(result.errors.contains("task 0:0 is not done"))
  }

  @Test(
    arguments: [
      ("nestedSubmit", "submit inside the closure of another submit"),
      ("writtenBroadcast", "is a broadcast view: it can only be read"),
      ("writtenFill", "is a broadcast view: it can only be read"),
      ("endedFill", "whose scope has ended"),
      ("fillBeyond", "300 is not a value of uint8"),
      ("fillFraction", "0.5 is not a value of int64"),
      ("endedScope", "whose scope has ended"),
      ("retainEnded", "cannot retain task 1:0"),
    ])
  func misuseIsError5(scene: String, message: String) {
    let result = run(scene)
    #expect(result.status == 15)
    #expect(result.messages.count == 1)
    #expect(result.errors.contains(message), "\(result.errors)")
  }
}
