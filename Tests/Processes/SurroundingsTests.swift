import Glibc
import Harness
import Testing

/// Whatever the surroundings do: a run ends as it does anywhere, or says what it lacks;
/// nothing is left in either case.
@Suite(.serialized) struct SurroundingsTests {
  @Test(arguments: Surroundings.bearable, Scene.all)
  func runGoesOnAsEver(surroundings: Surroundings, scene: Scene) {
    guard surroundings.arePossible else { return }
    let segment = freshSegment("bearable")
    let command = scene.command(segment, surroundings)
    let result = command.wait()
    #expect(result.status == 0, "\(result.errors)")
    if !surroundings.isSilent {
      // A reader between here and there may write a little later.
      _ = command.waitUntil { command.output.hasSuffix("}\n") }
      let lines = command.output.split(separator: "\n")
      #expect(
        lines.last?.hasPrefix("{\"program\":") == true && lines.last?.hasSuffix("}") == true,
        "\(result.output)")
      #expect(number("tasks", in: command.output) ?? 0 > 0)
    }
    expectClean(segment)
  }

  @Test(arguments: Surroundings.unbearable)
  func whatIsLackingIsSaid(surroundings: Surroundings) {
    guard surroundings.arePossible else { return }
    let segment = freshSegment("unbearable")
    let result = Scene.all[0].command(segment, surroundings).wait()
    #expect(result.status == surroundings.status, "\(result.errors)")
    #expect(result.messages.count == 1, "\(result.errors)")
    for word in surroundings.words {
      #expect(result.errors.contains(word), "\(result.errors)")
    }
    expectClean(segment)
  }

  /// A worker that dies there is started again, once: two crashes, and the task has FAILED.
  @Test(arguments: [
    Surroundings("close=0,1,2", isSilent: true), Surroundings("ignore=17"),
    Surroundings("nofile=12"), Surroundings("deny=1:434,424"), Surroundings("proc=none"),
    Surroundings("cpus=1", "nice=10"),
  ])
  func workerThatDiesIsStartedAgain(surroundings: Surroundings) {
    guard surroundings.arePossible else { return }
    let segment = freshSegment("again")
    let result = Scene(
      program: "libRudeProgram.so", arguments: ["run", "again", "null_store", "count"]
    ).command(segment, surroundings).wait()
    #expect(result.status == 40, "\(result.errors)")
    if !surroundings.isSilent {
      #expect(result.errors.contains("; 2 workers died of it"), "\(result.errors)")
    }
    expectClean(segment)
  }

  /// Kernels print: the report on standard output is one JSON object all the same.
  @Test func outputOfKernelsGoesToStandardError() {
    let segment = freshSegment("print")
    let result = Scene(program: "libConformanceProgram.so", arguments: ["alternate", "150"])
      .command(segment, Surroundings()).wait()
    #expect(result.output.split(separator: "\n").count == 1, "\(result.output)")
    let printed = Command.run(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libRudeProgram.so", "-q", "--json", "--segment",
        segment, "--", "run", "print", "read_input", "descriptors",
      ])
    #expect(printed.status == 0)
    #expect(!printed.output.contains("kernel line"))
    #expect(printed.errors.ranges(of: "kernel line ").count == 4000, "all of it, and once")
    // read_input found the end of an empty file; descriptors 0, 1 and 2 are open.
    #expect(printed.output.contains("elements 3 3 "), "\(printed.output)")
    expectClean(segment)
  }

  /// Nobody reads standard error: kernels that write megabytes end all the same.
  @Test func readerThatSleepsStopsNoKernel() {
    let segment = freshSegment("stuck")
    let result = Scene(
      program: "libRudeProgram.so", arguments: ["run"] + [String](repeating: "talk", count: 8)
    ).command(segment, Surroundings("stuck=2")).wait()
    #expect(result.status == 0)
    #expect(number("kernels", in: result.output) == 8)
    expectClean(segment)
  }

  /// nohup, and background jobs of a shell: what the parent ignores does not end the run.
  @Test(arguments: [SIGHUP, SIGINT, SIGTERM])
  func ignoredSignalDoesNotEndTheRun(signal: Int32) throws {
    let segment = freshSegment("ignored-\(signal)")
    let command = Scene(program: "libRudeProgram.so", arguments: ["linger", "1"])
      .command(segment, Surroundings("ignore=\(signal)"))
    try #require(command.waitUntil { command.output.contains("running") })
    command.signal(signal)
    let result = command.wait()
    #expect(result.status == 0, "\(result.errors)")
    expectClean(segment)
  }

  /// Whichever thread gets it: a library's that was there before anybody blocked anything.
  @Test(
    arguments: [
      (SIGTERM, 143), (SIGHUP, 129), (SIGQUIT, 131), (SIGUSR1, 138), (SIGXCPU, 152),
    ] as [(Int32, Int32)])
  func signalEndsTheRunWithAReport(signal: Int32, status: Int32) throws {
    let segment = freshSegment("signal-\(signal)")
    let command = Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libRudeProgram.so", "--quiet", "--json", "--segment",
        segment, "--", "linger", "600",
      ], environment: ["HAS_THREAD": "1"])
    try #require(command.waitUntil { command.output.contains("running") })
    command.signal(signal)
    let result = command.wait()
    #expect(result.status == status, "\(result.errors)")
    #expect(result.messages.count == 1 && result.errors.contains("error 209"), "\(result.errors)")
    #expect(number("code", in: result.output) == 209)
    expectClean(segment)
  }

  /// A timer that the parent has set before it executed this.
  @Test func alarmOfTheParentEndsTheRunWithAReport() {
    let segment = freshSegment("alarm")
    let result = Scene(program: "libRudeProgram.so", arguments: ["linger", "600"])
      .command(segment, Surroundings("alarm=1")).wait()
    #expect(result.status == 142, "\(result.errors)")
    #expect(result.errors.contains("interrupted by SIGALRM"), "\(result.errors)")
    expectClean(segment)
  }

  /// Neither the start-up line nor what kernels print.
  @Test func standardErrorThatIsGoneEndsNothing() {
    let segment = freshSegment("broken")
    let result = Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libRudeProgram.so", "--json", "--segment", segment,
        "--", "run", "print", "count",
      ], surroundings: ["broken=2"]
    ).wait()
    #expect(result.status == 0, "the start-up line is no reason to die of SIGPIPE")
    expectClean(segment)
  }
}
