import Glibc
import Harness
import Testing

/// Every way a run ends: bounded time (the watchdog), its own exit status, one
/// clear message, no process and no segment left.
@Suite(.serialized, .elsewhereToo) struct EndingTests {
  private func program(_ arguments: [String], segment: String, options: [String] = [])
    -> Command
  {
    Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libTestProgram.so", "--quiet", "--segment", segment,
      ] + options + ["--"] + arguments)
  }

  private func expectOneMessage(
    _ result: Command.Result, status: Int32, containing text: String,
    location: SourceLocation = #_sourceLocation
  ) {
    #expect(result.status == status, "\(result.errors)", sourceLocation: location)
    #expect(result.messages.count == 1, "\(result.errors)", sourceLocation: location)
    #expect(result.errors.contains(text), "\(result.errors)", sourceLocation: location)
  }

  @Test func successLeavesNothing() {
    let segment = freshSegment("success")
    let result = program(["chain", "100"], segment: segment).wait()
    #expect(result.status == 0)
    #expect(result.errors.isEmpty)
    expectClean(segment)
  }

  @Test func programErrorIsReported() {
    let segment = freshSegment("program")
    expectOneMessage(
      program(["fail"], segment: segment).wait(), status: 19,
      containing: "error 9 EXPLICIT_ORCH_FATAL: as the test asked")
    expectClean(segment)
    expectOneMessage(
      program(["status", "3"], segment: segment).wait(), status: 1,
      containing: "the program returned 3")
    expectClean(segment)
  }

  /// The program is in code of its own when the run fails, for longer than the
  /// grace: the process ends without it.
  @Test func programThatDoesNotComeBackAfterAnErrorIsEnded() {
    let segment = freshSegment("absent")
    let command = Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libConformanceProgram.so", "--quiet", "--segment",
        segment, "--stall-limit", "0.1", "--json", "--", "idle", "25000",
      ])
    let result = command.wait()
    expectOneMessage(result, status: 30, containing: "orchestrator-starved")
    #expect(number("code", in: result.output) == 100)
    expectClean(segment)
  }

  @Test func missingKernelImageIsReported() {
    let segment = freshSegment("image")
    expectOneMessage(
      program(["chain"], segment: segment, options: ["--image", "nowhere"]).wait(), status: 45,
      containing: "kernel image \"nowhere\" not found")
    expectClean(segment)
  }

  @Test func workerThatNeverComesIsReported() {
    let segment = freshSegment("worker-missing")
    let orchestrator = program(
      ["chain"], segment: segment, options: ["--no-launch", "--attach-timeout", "1"])
    let scheduler = Command("pto2-scheduler", ["--segment", segment])
    let result = orchestrator.wait()
    #expect(result.status == 43)
    #expect(result.errors.contains("no worker announced core aic0, aiv0, aiv1"))
    #expect(scheduler.wait().status == 43)
    expectClean(segment)
  }

  @Test func schedulerThatNeverComesIsReported() {
    let segment = freshSegment("scheduler-missing")
    let result = program(
      ["chain"], segment: segment, options: ["--no-launch", "--attach-timeout", "0.3"]
    ).wait()
    #expect(result.status == 44)
    #expect(result.errors.contains("error 204 SCHEDULER_MISSING"))
    expectClean(segment)
  }

  @Test(arguments: [(SIGINT, 130, "SIGINT"), (SIGTERM, 143, "SIGTERM")])
  func signalEndsTheRun(signal: Int32, status: Int32, name: String) throws {
    let segment = freshSegment(name)
    let command = program(["endless"], segment: segment)
    try #require(command.waitUntil { command.output.contains("running") })
    command.signal(signal)
    expectOneMessage(command.wait(), status: status, containing: "interrupted by \(name)")
    expectClean(segment)
  }

  @Test func killedOrchestratorTakesEverythingWithIt() throws {
    let segment = freshSegment("kill-orchestrator")
    let command = program(["endless"], segment: segment)
    try #require(command.waitUntil { command.output.contains("running") })
    try #require(command.waitUntil { processes(segment, named: "pto2-worker").count == 3 })
    command.signal(SIGKILL)
    #expect(command.wait().status == 137)
    expectClean(segment)
  }

  @Test(arguments: [
    (SIGSEGV, "SIGSEGV"), (SIGABRT, "SIGABRT"), (SIGFPE, "SIGFPE"), (SIGILL, "SIGILL"),
  ])
  func crashingKernelIsNamed(signal: Int32, name: String) {
    let segment = freshSegment("crash-\(name)")
    let result = program(["crash", "\(signal)"], segment: segment).wait()
    expectOneMessage(result, status: 40, containing: "kernel t_crash")
    #expect(result.errors.contains(name))
    #expect(result.errors.contains("task 0:5"))
    expectClean(segment)
  }

  /// The heap and the arena lie behind every protocol section: a store that
  /// goes back over 1 GiB of heap lands in pages the worker may not write.
  @Test func wildStoreFaultsInItsWorker() {
    let segment = freshSegment("wild")
    let distance = 4 * (256 << 20) + 64 * 4096
    let result = program(["wild", "\(distance)"], segment: segment).wait()
    expectOneMessage(result, status: 40, containing: "SIGSEGV")
    #expect(result.errors.contains("kernel t_wild_store"))
    expectClean(segment)
  }

  @Test func liveNameIsRefusedAndLeftAlone() throws {
    let segment = freshSegment("twice")
    let first = program(["endless"], segment: segment)
    try #require(first.waitUntil { first.output.contains("running") })
    let second = program(["chain"], segment: segment).wait()
    #expect(second.status == 73)
    #expect(second.errors.contains("in use by process \(first.pid)"))
    first.signal(SIGINT)
    #expect(first.wait().status == 130)
    expectClean(segment)
  }

  /// A tmpfs of its own, in a mount namespace: full at creation, full while
  /// running. Needs root.
  @Test(
    .enabled(if: mayUnshare(["--mount"]), "no mount namespaces here"),
    arguments: [("1M", "small-33"), ("24M", "ring")])
  func fullSharedMemoryIsReported(size: String, workload: String) {
    let segment = freshSegment("full-\(size)")
    let script = """
      mount -t tmpfs -o size=\(size) tmpfs /dev/shm || exit 99
      \(Command.buildDirectory)paged-attention -q --case \(workload) --segment \(segment)
      status=$?
      ls -A /dev/shm
      exit $status
      """
    let result = Command.run("/usr/bin/unshare", ["--mount", "sh", "-c", script])
    #expect(result.status == 48, "\(result.errors)")
    #expect(result.messages.count == 1, "\(result.errors)")
    #expect(result.errors.contains("/dev/shm is full"))
    #expect(result.errors.contains("bytes needed"))
    #expect(result.output.isEmpty, "left in /dev/shm: \(result.output)")
    expectClean(segment)
  }
}
