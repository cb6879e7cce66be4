import Glibc
import Harness
import Testing

/// `--faults`: what a script says is done to real processes, and what was not done
/// fails the run.
@Suite(.serialized, .elsewhereToo) struct FaultScriptRunTests {
  /// Runs the scene of tasks that may all be run again, whose results must be exact.
  private func run(
    _ label: String, _ script: String, options: [String] = [], tasks: Int = 1000,
    program: [String]? = nil, isNamed: Bool = true, isQuiet: Bool = true,
    location: SourceLocation = #_sourceLocation
  ) -> Command.Result {
    let segment = freshSegment("script-\(label)")
    let directory = Command.temporaryDirectory()
    let path = directory + "/faults.json"
    let file = fopen(path, "w")!
    fputs(script, file)
    fclose(file)
    let result = Command.run(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libConformanceProgram.so", "--json", "--faults",
        path,
      ] + (isQuiet ? ["--quiet"] : []) + (isNamed ? ["--segment", segment] : []) + options + ["--"]
        + (program ?? ["pure", "\(tasks)"]))
    unlink(path)
    rmdir(directory)
    let deadline = time(nil) + Command.watchdogSeconds
    while Leftovers.of(segment) != .none && time(nil) < deadline { usleep(2000) }
    #expect(Leftovers.of(segment) == .none, "\(result.errors)", sourceLocation: location)
    return result
  }

  private func fired(_ result: Command.Result) -> [Double] { numbers("fired", in: result.output) }

  /// A worker that dies at each kind of moment costs no result.
  @Test(arguments: [
    ("at", "{\"at\": 0.05, \"do\": \"kill\", \"to\": \"worker aiv0\"}"),
    ("every", "{\"every\": 0.03, \"count\": 3, \"do\": \"kill\", \"to\": \"worker\"}"),
    ("after", "{\"after\": 100, \"do\": \"kill\", \"to\": \"worker aic0\"}"),
    ("ack", "{\"point\": \"ack\", \"core\": \"aiv0\", \"hit\": 5, \"do\": \"kill\"}"),
    ("fin", "{\"point\": \"fin\", \"hit\": 20, \"count\": 3, \"do\": \"kill\"}"),
    ("attach", "{\"point\": \"attach\", \"core\": \"aiv1\", \"do\": \"kill\"}"),
    (
      "dispatch",
      "{\"point\": \"dispatch\", \"core\": \"aiv0\", \"hit\": 9, \"do\": \"kill\", \"to\": \"worker aiv0\"}"
    ),
    ("release", "{\"point\": \"release\", \"hit\": 9, \"do\": \"abrt\", \"to\": \"worker\"}"),
    ("consume", "{\"point\": \"consume\", \"hit\": 9, \"do\": \"segv\", \"to\": \"worker\"}"),
    ("publish", "{\"point\": \"publish\", \"hit\": 90, \"do\": \"ill\", \"to\": \"worker aiv0\"}"),
  ])
  func deathOfAWorkerCostsNoResult(label: String, fault: String) throws {
    let result = run(label, "{\"faults\": [\(fault)]}", tasks: 3000)
    #expect(result.status == 0, "\(result.errors)")
    let count = try #require(fired(result).first)
    #expect(count == (fault.contains("count") ? 3 : 1))
    #expect((number("worker_restarts", in: result.output) ?? 0) >= 1, "not exercised")
  }

  /// A task that must not be run again: killed at ACK it FAILED, at FIN it is done.
  @Test func ackAndFinAreNotTheSamePoint() {
    for (point, status) in [("ack", Int32(40)), ("fin", 0)] {
      let result = run(
        "once-\(point)",
        "{\"faults\": [{\"point\": \"\(point)\", \"hit\": 9, \"do\": \"kill\"}]}",
        program: ["alternate", "150"])
      #expect(result.status == status, "\(result.errors)")
      #expect(fired(result) == [1], "not exercised")
    }
  }

  /// A step that is run again finds the state of the one before as it was, though its memory
  /// was given back when the step was submitted.
  @Test func keptOutputsSurviveFiftyKills() {
    let result = run(
      "kept", "{\"faults\": [{\"point\": \"ack\", \"hit\": 7, \"count\": 50, \"do\": \"kill\"}]}",
      options: ["--arena", "4K"], program: ["kept", "1000"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(fired(result) == [50], "not exercised")
  }

  /// Threads of the scheduler, processes started later, several faults at once.
  @Test func everyThreadIsWatched() {
    let result = run(
      "threads",
      """
      {"faults": [
        {"point": "fin", "hit": 100, "count": 3, "do": "kill"},
        {"point": "consume", "ring": 1, "hit": 100, "do": "kill", "to": "worker"},
        {"point": "wire", "hit": 5, "do": "kill", "to": "worker"}]}
      """, options: ["--threads", "3", "--clusters", "3"], tasks: 2000)
    #expect(result.status == 0, "\(result.errors)")
    #expect(fired(result) == [3, 1, 1])
  }

  @Test(arguments: ["stop", "hang"])
  func whoStandsForAWhileGoesOn(what: String) {
    let result = run(
      what,
      """
      {"faults": [
        {"at": 0.03, "do": "\(what)", "for": 0.1, "to": "worker aiv0"},
        {"at": 0.04, "do": "\(what)", "for": 0.1, "to": "scheduler"},
        {"at": 0.05, "do": "\(what)", "for": 0.1, "to": "orchestrator"}]}
      """)
    #expect(result.status == 0, "\(result.errors)")
    #expect(fired(result) == [1, 1, 1])
    #expect((number("seconds", in: result.output) ?? 0) > 0.1)
    #expect(number("worker_restarts", in: result.output) == 0)
  }

  /// A scheduler that runs in circles is seen by its heartbeat; a worker by the
  /// deadline of its kernel, or because it takes no task.
  @Test(arguments: [
    ("loop-scheduler", "{\"after\": 100, \"do\": \"loop\", \"to\": \"scheduler\"}", "1"),
    ("loop-threads", "{\"after\": 100, \"do\": \"loop\", \"to\": \"scheduler\"}", "2"),
    ("loop-kernel", "{\"point\": \"ack\", \"core\": \"aiv0\", \"hit\": 9, \"do\": \"loop\"}", "1"),
    ("loop-idle", "{\"point\": \"fin\", \"core\": \"aiv0\", \"hit\": 9, \"do\": \"loop\"}", "1"),
  ])
  func whoRunsInCirclesIsReplaced(label: String, fault: String, threads: String) {
    let result = run(
      label, "{\"faults\": [\(fault)]}",
      options: ["--threads", threads, "--kernel-deadline", "1"], tasks: 3000, isQuiet: false)
    #expect(result.status == 0, "\(result.errors)")
    #expect(fired(result) == [1], "not exercised")
    let isWorker = label == "loop-kernel" || label == "loop-idle"
    #expect(number("scheduler_restarts", in: result.output) == (isWorker ? 0 : 1))
    #expect(number("worker_restarts", in: result.output) == (isWorker ? 1 : 0))
    #expect(
      result.errors.contains("has not gone round for 5.0 s: it is killed") == !isWorker,
      "\(result.errors)")
    #expect(
      result.errors.contains("has not taken a task for 5.0 s: it is killed")
        == (label == "loop-idle"), "\(result.errors)")
  }

  /// For longer than that, and nobody is killed.
  @Test(arguments: [
    "\"after\": 100, \"to\": \"scheduler\"", "\"point\": \"fin\", \"core\": \"aiv0\"",
  ])
  func whoIsHeldByADebuggerIsWaitedFor(place: String) {
    let result = run(
      "held", "{\"faults\": [{\(place), \"do\": \"hang\", \"for\": 6.5}]}", isQuiet: false)
    #expect(result.status == 0, "\(result.errors)")
    #expect(fired(result) == [1])
    #expect((number("seconds", in: result.output) ?? 0) > 6.4, "not exercised")
    #expect(number("scheduler_restarts", in: result.output) == 0)
    #expect(number("worker_restarts", in: result.output) == 0)
    #expect(
      result.errors.contains("is held by a debugger") == place.contains("scheduler"),
      "\(result.errors)")
  }

  /// Every wait has a limit, so a lost wake costs time only.
  @Test func lostWakesCostNoResult() {
    let result = run(
      "wakes",
      "{\"faults\": [{\"every\": 0.001, \"count\": 20, \"do\": \"drop-wake\", \"to\": \"scheduler\"}]}",
      tasks: 300)
    #expect(result.status == 0, "\(result.errors)")
    #expect((fired(result).first ?? 0) >= 1)
  }

  /// A word that no core stores; the worker is held until it is killed for it.
  @Test func damagedWordCostsItsWorkerAlone() {
    let result = run(
      "damage",
      """
      {"faults": [
        {"point": "ack", "core": "aiv0", "hit": 20, "do": "hang", "for": 20},
        {"point": "ack", "core": "aiv0", "hit": 20, "do": "corrupt", "word": "cond",
         "value": "0x12345678"}]}
      """, options: ["--lanes", "1"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(number("quarantined_workers", in: result.output) == 1, "not exercised")
    #expect(number("worker_restarts", in: result.output) == 1)
    #expect(fired(result) == [1, 1], "not exercised")
  }

  /// The same seed, the same decisions.
  @Test func diceFollowTheSeed() {
    func chances(_ seed: Int) -> [Double] {
      let result = run(
        "seed",
        """
        {"seed": \(seed), "faults": [
          {"point": "fin", "core": "aiv0", "probability": 0.05, "do": "continue"},
          {"point": "ack", "core": "aiv0", "probability": 0.05, "do": "continue"},
          {"point": "fin", "core": "aiv0", "probability": 0.05, "do": "continue"}]}
        """)
      #expect(result.status == 0, "\(result.errors)")
      return numbers("chances", in: result.output)
    }
    let first = chances(1)
    #expect(first.count == 3 && Set(first).count > 1, "not exercised: \(first)")
    #expect(chances(1) == first)
    #expect(chances(2) != first)
  }

  /// Even when every result is right.
  @Test(arguments: [
    ("{\"point\": \"ack\", \"hit\": 1000000, \"do\": \"kill\"}", "its time never came"),
    ("{\"at\": 1000, \"do\": \"kill\", \"to\": \"scheduler\"}", "its time never came"),
    (
      "{\"every\": 0.01, \"probability\": 0.000001, \"do\": \"kill\", \"to\": \"scheduler\"}",
      "its dice said no"
    ),
  ])
  func faultThatNeverFiredFailsTheRun(fault: String, why: String) {
    let result = run("unfired", "{\"faults\": [\(fault)]}", tasks: 300)
    #expect(result.status == 75, "\(result.errors)")
    #expect(result.messages.count == 1, "\(result.errors)")
    #expect(result.errors.contains("not exercised: fault 0"), "\(result.errors)")
    #expect(result.errors.contains(why), "\(result.errors)")
    #expect(fired(result) == [0])
  }

  @Test func truncationEndsTheRunWithACode() {
    let result = run(
      "truncated", "{\"faults\": [{\"after\": 100, \"do\": \"truncate\", \"bytes\": 0}]}")
    #expect(result.status == 50, "\(result.errors)")
    #expect(result.errors.contains("SEGMENT_TRUNCATED"), "\(result.errors)")
  }

  /// A /dev/shm of the session's own: full while the program submits, with room for
  /// what is still to come, never big enough.
  @Test(
    .enabled(if: mayUnshare(["--mount"]), "no mount namespaces here"),
    arguments: [
      (
        "full", 64 << 20, "{\"point\": \"publish\", \"hit\": 100, \"do\": \"fill\"}", Int32(48)
      ),
      ("roomy", 256 << 20, "{\"point\": \"publish\", \"do\": \"fill\", \"bytes\": 134217728}", 0),
      ("tiny", 1 << 20, "{\"after\": 100, \"do\": \"fill\"}", 48),
    ])
  func sharedMemoryThatIsFullEndsTheRun(
    label: String, bytes: Int, fault: String, status: Int32
  ) {
    let result = run(
      "shm-\(label)", "{\"shm_bytes\": \(bytes), \"faults\": [\(fault)]}", tasks: 5000)
    #expect(result.status == status, "\(result.errors)")
    #expect(result.messages.count == (status == 0 ? 0 : 1), "\(result.errors)")
    if status != 0 { #expect(result.errors.contains("/dev/shm is full"), "\(result.errors)") }
    if label != "tiny" { #expect(fired(result) == [1], "not exercised") }
  }

  /// A segment without a name: its descriptor leads to it.
  @Test func memfdHasFaultsToo() {
    let result = run(
      "memfd",
      """
      {"faults": [
        {"point": "ack", "core": "aiv0", "hit": 5, "do": "kill"},
        {"after": 100, "do": "kill", "to": "worker aiv1"}]}
      """, options: ["--memfd"], isNamed: false)
    #expect(result.status == 0, "\(result.errors)")
    #expect(fired(result) == [1, 1])
  }

  @Test func deathOfTheOrchestratorLeavesNothing() {
    let result = run(
      "orchestrator", "{\"faults\": [{\"point\": \"publish\", \"hit\": 50, \"do\": \"kill\"}]}")
    #expect(result.status == 137)
  }

  /// Before anything is started.
  @Test func wrongScriptIsRefused() {
    let result = run("wrong", "{\"faults\": [\n {\"at\": 1, \"doo\": \"kill\"}]}")
    #expect(result.status == 64)
    #expect(result.errors.contains("faults.json:2:2: a fault needs \"do\""), "\(result.errors)")
    let core = run(
      "core", "{\"faults\": [{\"at\": 1, \"do\": \"kill\", \"to\": \"worker aiv2\"}]}")
    #expect(core.status == 64)
    #expect(core.errors.contains("there is no core aiv2"), "\(core.errors)")
    let missing = Command.run(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libConformanceProgram.so", "--faults",
        "/nonexistent.json", "--", "pure", "1",
      ])
    #expect(missing.status == 64)
    #expect(missing.errors.contains("/nonexistent.json: cannot be read"), "\(missing.errors)")
  }
}
