import Harness
import Testing

/// Programs that check their own results, in real processes, over cluster and
/// lane counts, small rings, and ids that wrap.
@Suite(.serialized, .elsewhereToo) struct GraphTests {
  static let programs = [
    ["chain", "3000"], ["aivchain", "1000"], ["rounds", "100"], ["mixed", "1500"],
    ["outputs", "1500"], ["spmd", "96"], ["wavefront", "48"], ["manual", "48"],
    ["views"], ["fills", "20"], ["elements", "20"], ["predicates"], ["predicate-types"],
    ["existing", "300"], ["records", "500"], ["replay", "120"],
  ]

  private func run(_ program: [String], _ options: [String]) -> Command.Result {
    Command.run(
      "pto2-orchestrator",
      ["--program", Command.buildDirectory + "libTestProgram.so", "--quiet", "--json"] + options
        + ["--"] + program)
  }

  @Test(arguments: programs, [["1", "1"], ["1", "8"], ["2", "2"], ["8", "2"]])
  func resultDoesNotDependOnCoresOrLanes(program: [String], shape: [String]) {
    let result = run(program, ["--clusters", shape[0], "--lanes", shape[1]])
    #expect(result.status == 0, "\(result.errors)")
  }

  @Test(arguments: programs)
  func smallRingsAndWrappingIdsChangeNoResult(program: [String]) {
    let result = run(
      program,
      [
        "--task-window", "4", "--consumed-window", "4096", "--heap", "4096", "--dep-pool", "16",
        "--tensor-map", "128", "--first-position", "4294967200",
      ])
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("\"result\":\"success\""))
  }

  /// What a program is told of an error: its code, what it is about, words.
  @Test func errorOfACallIsAValue() {
    let result = Command.run(
      "pto2-orchestrator",
      ["--program", Command.buildDirectory + "libTestProgram.so", "--quiet", "--", "refusal"])
    #expect(result.status == 15, "\(result.errors)")
    #expect(result.output == "as told\n")
  }

  @Test(arguments: ["1", "2", "8"])
  func anyNumberOfRingsGivesTheSameResult(rings: String) {
    let result = run(
      ["mixed", "1500"], ["--rings", rings, "--task-window", "8", "--consumed-window", "2048"])
    #expect(result.status == 0, "\(result.errors)")
  }

  /// Slow writers of more elements than the TensorMap has room for hold the
  /// program up; 10,000 elements fit, because old ones are forgotten.
  @Test func fullTensorMapIsBackPressure() throws {
    for clusters in ["1", "2"] {
      let result = run(["tiles", "10000"], ["--tensor-map", "64", "--clusters", clusters])
      #expect(result.status == 0, "\(result.errors)")
      let waits = try #require(result.output.firstRange(of: "\"for\":\"TensorMap\""))
      let count = try #require(number("count", in: String(result.output[waits.upperBound...])))
      #expect(count > 0, "not exercised")
      #expect(count < 10_000 / 8, "a wait for each task")
    }
  }

  @Test func taskWithMoreViewsThanTheTensorMapIsError11() {
    let fits = run(["comb", "16"], ["--tensor-map", "16"])
    #expect(fits.status == 0, "\(fits.errors)")
    let result = run(["comb", "20"], ["--tensor-map", "16"])
    #expect(result.status == 21)
    #expect(result.errors.contains("error 11 TENSORMAP_OVERFLOW"))
    #expect(result.errors.contains("task 0:0 are 20 records"))
    #expect(result.errors.contains("room for 16. Set PTO2_TENSOR_MAP_ENTRIES"))
    #expect(result.output.contains("\"needed\":20,\"available\":16"), "\(result.output)")
  }

  /// Nothing holds a task without outputs, so a chain may be longer than any window.
  @Test func chainInPlaceIsLongerThanTheConsumedWindow() {
    let result = run(
      ["chain", "300"],
      ["--task-window", "4", "--consumed-window", "16", "--first-position", "4294967290"])
    #expect(result.status == 0, "\(result.errors)")
  }

  /// A blocked Cholesky: 88,560 tasks in the outermost scope, with the default windows.
  @Test func longProgramInPlaceNeedsNoScopes() {
    let result = Command.run(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libConformanceProgram.so", "--quiet", "--",
        "in-place", "80",
      ])
    #expect(result.status == 0, "\(result.errors)")
  }

  /// Freed tensors of 40 MiB in an arena of 4; steps whose states have room for 61 of 3000 of
  /// them; a task without elements, whose kernel would crash; the machine, as program and
  /// kernel see it.
  @Test(
    arguments: [
      (["freed", "40"], ["--arena", "4M"]),
      (["kept", "3000"], ["--arena", "4K", "--heap", "4K", "--task-window", "64"]),
      (["empty", "20"], []),
      (["machine", "2"], ["--clusters", "2"]),
    ])
  func smallThingsOfThePrograms(program: [String], options: [String]) {
    let library = Command.buildDirectory + "libConformanceProgram.so"
    let result = Command.run(
      "pto2-orchestrator",
      ["--program", library, "--quiet"] + options + ["--"] + program)
    #expect(result.status == 0, "\(result.errors)")
  }

  @Test func variableOfTheOriginalWithoutEffectIsSaid() {
    let result = Command.run(
      "pto2-orchestrator",
      ["--program", Command.buildDirectory + "libTestProgram.so", "--", "chain", "3"],
      environment: ["PTO2_SCHEDULER_TIMEOUT_MS": "320000", "PTO2_RING_TASK_WINDOW": "4096"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(
      result.errors.contains("PTO2_SCHEDULER_TIMEOUT_MS is set and has no effect here; use --stall")
    )
    #expect(result.output.contains("/4096"), "\(result.output)")
  }

  /// The outermost scope holds every task with an output, so a consumed window smaller
  /// than their number is a proven deadlock, not a hang. Ids wrap in it.
  @Test func fullScopeIsAProvenDeadlock() {
    let result = Command.run(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libConformanceProgram.so", "--quiet",
        "--task-window", "4", "--consumed-window", "16", "--first-position", "4294967290", "--",
        "outputs", "100",
      ])
    #expect(result.status == 11)
    #expect(result.errors.contains("from task 0:4294967290 on"))
    #expect(result.errors.contains("PTO2_RING_CONSUMED_WINDOW"))
  }

  /// Eight open scopes of three tasks share what one of them would fit in.
  @Test func openScopesThatFillARingTogetherAreError3() {
    let small = ["--task-window", "4", "--consumed-window", "4"]
    let result = run(["nested", "8"], small)
    #expect(result.status == 13)
    #expect(result.errors.contains("error 3 FLOW_CONTROL_DEADLOCK"))
    #expect(result.errors.contains("has outputs that an open scope holds"))
    let wide = run(["nested", "8"], ["--task-window", "4", "--consumed-window", "32"])
    #expect(wide.status == 0, "\(wide.errors)")
  }

  /// 2 x 20 x 19 that were given, and none for the INOUT tensor.
  @Test func manualScopeHasTheExplicitEdgesAlone() throws {
    let result = run(["manual", "20"], [])
    #expect(result.status == 0, "\(result.errors)")
    #expect(number("edges", in: result.output) == 760)
  }

  /// The blocks wait for each other: had they not all started, they would say so.
  @Test(arguments: [("2", "1"), ("4", "2"), ("6", "3"), ("1", "1")])
  func blocksThatMustStartTogetherDo(blocks: String, clusters: String) {
    let result = run(["together", blocks], ["--clusters", clusters, "--lanes", "4"])
    #expect(result.status == 0, "\(result.errors)")
  }

  @Test(arguments: ["late-get", "late-set"])
  func elementThatIsLateIsError8(program: String) {
    let result = run([program], [])
    #expect(result.status == 18)
    #expect(result.errors.contains("error 8 TENSOR_WAIT_TIMEOUT"))
    #expect(result.errors.contains("task 0:0 is not done"))
  }

  @Test func moreBlocksThanPlacesIsError7() {
    let result = run(["together", "5"], ["--clusters", "2"])
    #expect(result.status == 17)
    #expect(result.errors.contains("5 blocks are to start together"))
    #expect(result.errors.contains("--clusters 3"))
  }

  /// In three languages, on the same tiles; each compares with a reference of its own.
  @Test(arguments: ["cholesky", "cholesky-c", "cholesky-cpp"], [["4", "8"], ["1", "5"]])
  func choleskyVerifies(program: String, size: [String]) {
    let result = Command.run(program, size)
    #expect(result.status == 0, "\(result.errors)")
    let words =
      "\(size[0]) x \(size[0]) tiles of \(size[1]): \(size[0] == "4" ? 20 : 1) tasks, verified"
    #expect(result.output.hasPrefix(words), "\(result.output)")
    #expect(result.errors == "")
    let wrong = Command.run(program, ["4", "none"])
    #expect(wrong.status == 64 && wrong.errors.hasPrefix("usage: \(program) "), "\(wrong.errors)")
  }

  @Test func otherExamplesVerify() {
    let vector = Command.run("vector-example", ["--elements", "100000", "--tile", "999", "-q"])
    #expect(vector.status == 0, "\(vector.errors)")
    let bgemm = Command.run("bgemm", ["--batch", "2", "--grid", "2", "--tile", "32", "-q"])
    #expect(bgemm.status == 0, "\(bgemm.errors)")
    let shared = Command.run(
      "pto2-orchestrator",
      ["--program", Command.buildDirectory + "libVectorProgram.so", "-q", "--", "5000"])
    #expect(shared.status == 0, "\(shared.errors)")
    #expect(shared.output.contains("4, 4 edges"), "\(shared.output)")
  }
}
