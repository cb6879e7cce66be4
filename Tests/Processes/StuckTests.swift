import Glibc
import Harness
import PTO2Sight
import PTO2System
import Testing

/// A row: what stands still, and what `pto2 stuck` says of it.
struct StuckCase: Sendable, CustomTestStringConvertible {
  /// Of StuckProgram.
  var scene: String
  var options: [String] = []
  /// As in the JSON.
  var cause: String
  /// Each of them is said.
  var words: [String]

  var testDescription: String { scene }

  static let small = ["--task-window", "8", "--consumed-window", "8", "--heap", "1024"]

  static let all = [
    StuckCase(
      scene: "heap", options: small, cause: "kernel-runs",
      words: [
        "stuck: kernel c_sleep on core aiv", "The program waits in submit for the heap of ring 1",
        "that is not CONSUMED is 1:0 (kernel c_fill, in scope \"layer\"): it holds 512",
        "given back: task 1:1 (kernel c_sleep, in scope \"layer\") needs them",
        "has run task 1:1 (kernel c_sleep) for at least 0.",
        "--heap 2048 (PTO2_RING_HEAP)",
      ]),
    StuckCase(
      scene: "window", options: ["--task-window", "4"], cause: "kernel-runs",
      words: [
        "the task window of ring 0 (4 of 4 tasks are not RELEASED)",
        "The oldest task of ring 0 that is not RELEASED is 0:0 (kernel c_sleep)",
        "--task-window 8 (PTO2_RING_TASK_WINDOW)", "kernel c_sleep on core aiv",
      ]),
    StuckCase(
      scene: "chain", options: ["--no-ahead"], cause: "kernel-runs",
      words: [
        "The program waits (wait, get or set) until the tasks of ring 0 up to 0:1 are RELEASED",
        "is 0:0 (kernel c_sleep)", ", which uses no CPU time) has run task 0:0",
        "--kernel-deadline SECONDS",
      ]),
    StuckCase(
      scene: "pool", options: ["--dep-pool", "4"], cause: "kernel-runs",
      words: ["the dependency pool of ring 0 (4 of 4 entries)", "--dep-pool 8", "kernel c_sleep"]),
    StuckCase(
      scene: "payload", options: ["--task-window", "8"], cause: "kernel-runs",
      words: ["the payload ring of ring 0 (2368 of 4096 bytes)", "kernel c_sleep"]),
    StuckCase(
      scene: "spins", cause: "kernel-runs",
      words: ["kernel c_mix on core aiv", ", which uses ", " % of a CPU) has run task 0:0"]),
    StuckCase(
      scene: "predicate", cause: "program-idle",
      words: [
        "every task is done, and the program does something of its own",
        "Task 0:0 was done without running: the predicate was false",
      ]),
    StuckCase(
      scene: "later", cause: "kernel-runs",
      words: ["up to 0:1 are RELEASED", "kernel c_sleep on core aiv"]),
    StuckCase(
      scene: "idle", cause: "program-idle",
      words: [
        "Every task that was submitted is RELEASED. Not CONSUMED: 1, since the scopes",
        "The program has neither submitted another nor ended: process ", "uses no CPU time",
      ]),
  ]
}

/// A row of sessions that are over: how it has ended, and what `pto2 stuck` says then.
struct EndCase: Sendable, CustomTestStringConvertible {
  /// Of StuckProgram; `isOne`: it stops before its end, where the test opens the segment.
  var scene: String
  var isOne = false
  var options: [String] = []
  var surroundings: [String] = []
  var status: Int32
  var words: [String]

  var testDescription: String { scene }

  private static func error(_ text: String) -> String {
    "stuck: the session has ended with error \(text)"
  }

  static let all = [
    EndCase(
      scene: "brief", isOne: true, status: 0, words: ["finished: the program has ended"]),
    EndCase(
      scene: "fails", isOne: true, status: 19,
      words: [
        error("9 EXPLICIT_ORCH_FATAL"), "The orchestrator says: as the test asked.",
        "To do: the program itself",
      ]),
    EndCase(
      scene: "scope", options: StuckCase.small, status: 11,
      words: [error("1 SCOPE_DEADLOCK"), "To do: end the scope earlier, or set a larger"]),
    EndCase(
      scene: "forgotten", options: StuckCase.small, status: 12,
      words: [error("2 HEAP_RING_DEADLOCK"), "end the scope earlier, or set a larger --heap"]),
    EndCase(
      scene: "big", options: StuckCase.small, status: 12,
      words: [error("2 HEAP_RING_DEADLOCK"), "32768", "a larger --heap"]),
    EndCase(
      scene: "flow", options: ["--task-window", "4", "--consumed-window", "4"], status: 13,
      words: [error("3 FLOW_CONTROL_DEADLOCK"), "a larger --consumed-window"]),
    EndCase(
      scene: "many", options: ["--dep-pool", "4"], status: 14,
      words: [error("4 DEP_POOL_OVERFLOW"), "--dep-pool, or give the task fewer producers"]),
    EndCase(
      scene: "one", options: ["--stall-limit", "0.5"], status: 30,
      words: [
        error("100 SCHEDULER_TIMEOUT"), "c_sleep",
        "the message says whose turn it was; or set a larger --stall-limit",
      ]),
    EndCase(
      scene: "idle", options: ["--stall-limit", "0.5"], status: 30,
      words: [error("100 SCHEDULER_TIMEOUT"), "orchestrator-starved"]),
    EndCase(
      scene: "late", status: 18,
      words: [error("8 TENSOR_WAIT_TIMEOUT"), "The orchestrator says: "]),
    // A /dev/shm of its own, which needs root.
    EndCase(
      scene: "full", surroundings: ["shm=48M"], status: 48,
      words: [
        error("208 OUT_OF_MEMORY"), "The orchestrator says: /dev/shm is full: ", " bytes needed",
        "To do: make /dev/shm larger, or the rings and the arena smaller",
      ]),
  ]
}

/// What `pto2 stuck` says of sessions that stand still, one cause each, in its own words.
@Suite(.serialized, .elsewhereToo) struct StuckTests {
  private func program(_ scene: String, _ segment: String, _ options: [String] = []) -> Command {
    Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libStuckProgram.so", "--quiet", "--segment", segment,
      ] + options + ["--", scene])
  }

  private func byHand(_ scene: String, _ segment: String) -> Command {
    program(scene, segment, ["--no-launch"])
  }

  private func stuck(_ place: String, _ options: [String] = []) -> Command.Result {
    Command.run("pto2", ["stuck", "--seconds", "0.2"] + options + [place])
  }

  /// Asks until all of it is said: a session takes a while to come to its stop.
  @discardableResult
  private func expect(
    _ place: String, says words: [String], status: Int32 = 1,
    location: SourceLocation = #_sourceLocation
  ) -> Command.Result {
    let deadline = Deadline(afterMilliseconds: 60_000)
    while true {
      let result = stuck(place)
      if result.status == status, words.allSatisfy(result.output.contains) { return result }
      guard !deadline.hasPassed else {
        let missing = words.filter { !result.output.contains($0) }
        Issue.record(
          "status \(result.status), not said: \(missing)\n\(result.output)\(result.errors)",
          sourceLocation: location)
        return result
      }
    }
  }

  /// Ends a session at once: its kernels sleep.
  private func end(_ command: Command, _ segment: String) {
    for pid in [command.pid] + processIDs(of: segment) { kill(pid, SIGCONT) }
    command.signal(SIGINT)
    usleep(20_000)
    command.signal(SIGINT)
    _ = command.wait()
    for pid in processIDs(of: segment) { kill(pid, SIGKILL) }
    _ = Command.run("pto2", ["reap", segment])
    expectClean(segment)
  }

  @Test(arguments: StuckCase.all)
  func causeIsNamed(row: StuckCase) {
    let segment = freshSegment("stuck-" + row.scene)
    let command = program(row.scene, segment, row.options)
    expect(segment, says: row.words)
    let json = stuck(segment, ["--json"])
    #expect(json.output.contains("\"cause\":\"\(row.cause)\""), "\(json.output)")
    #expect(json.output.contains("\"damage\":[]"), "\(json.output)")
    end(command, segment)
  }

  @Test func runThatGetsOnIsNotStuck() {
    let segment = freshSegment("stuck-busy")
    let command = program("busy", segment)
    let result = expect(segment, says: ["progress: ", " tasks submitted, "], status: 0)
    #expect(!result.output.contains("To do"), "\(result.output)")
    end(command, segment)
  }

  /// Words that move while a picture is taken contradict nothing.
  @Test(arguments: [[], ["--task-window", "64", "--consumed-window", "64"]])
  func runThatGetsOnIsNotDamaged(options: [String]) throws {
    let segment = freshSegment("stuck-moving")
    let command = program("busy", segment, options)
    var reader: PictureReader?
    try #require(
      command.waitUntil {
        reader = try? PictureReader(segment)
        return reader != nil
      })
    var (moves, pictures, last) = (0, 0, 0 as UInt64)
    var damage: [String] = []
    let hasMoved = command.waitUntil {
      guard let picture = reader?.picture() else { return false }
      damage += picture.damage
      let released = UInt64(picture.tasks(\.released))
      moves += released > last ? 1 : 0
      pictures += 1
      last = released
      return moves > 100 && pictures >= 1000
    }
    #expect(hasMoved, "\(moves) moves in \(pictures) pictures")
    #expect(damage.first == nil, "\(damage.count) of \(pictures)")
    end(command, segment)
  }

  // MARK: Processes

  @Test(arguments: ["scheduler", "worker", "orchestrator"])
  func stoppedProcessIsNamed(role: String) throws {
    let segment = freshSegment("stuck-stopped-" + role)
    let command = program("one", segment, ["--stop-grace", "0"])
    expect(segment, says: ["kernel c_sleep on core aiv"])
    let core = try #require(coreThatRuns(segment))
    let victim =
      switch role {
      case "orchestrator": command.pid
      case "scheduler": try #require(processes(segment, named: "pto2-scheduler").first)
      default:
        try #require(
          processes(segment, named: "pto2-worker").first { commandLine(of: $0).contains(core) })
      }
    kill(victim, SIGSTOP)
    let name = role == "worker" ? "the worker of core \(core)" : "the \(role)"
    expect(
      segment,
      says: [
        "stuck: \(name) (process \(victim)) is stopped (SIGSTOP)", "`kill -CONT \(victim)`",
      ])
    end(command, segment)
  }

  private func coreThatRuns(_ segment: String) -> String? {
    let json = stuck(segment, ["--json"]).output
    return json.firstRange(of: "\"core\":\"").map {
      String(json[$0.upperBound...].prefix { $0 != "\"" })
    }
  }

  @Test func schedulerThatWasNeverStartedIsNamed() {
    let segment = freshSegment("stuck-no-scheduler")
    let command = byHand("one", segment)
    expect(
      segment,
      says: [
        "stuck: no scheduler has attached",
        "`pto2-scheduler --segment \(segment)`", "error 204 after --attach-timeout (120 s)",
      ])
    end(command, segment)
  }

  /// A core of another kind is there.
  @Test func workerThatWasNeverStartedIsNamed() {
    let segment = freshSegment("stuck-no-worker")
    let command = byHand("one", segment)
    let scheduler = Command("pto2-scheduler", ["--segment", segment])
    let worker = Command("pto2-worker", ["--segment", segment, "--core", "aic0"])
    expect(
      segment,
      says: [
        "stuck: no worker was ever started for aiv0,aiv1, and task 0:0 needs an AIV core",
        "Task 0:0 (kernel c_sleep) is READY and needs an AIV core, and none of them is there",
        "`pto2-worker --segment \(segment) --cores aiv0,aiv1`",
      ])
    end(command, segment)
    for other in [scheduler, worker] { _ = other.wait() }
  }

  @Test func schedulerThatHasDiedIsNamed() {
    let segment = freshSegment("stuck-scheduler-died")
    let command = byHand("one", segment)
    let scheduler = Command("pto2-scheduler", ["--segment", segment])
    let worker = Command("pto2-worker", ["--segment", segment, "--cores", "aic0,aiv0,aiv1"])
    expect(segment, says: ["kernel c_sleep on core aiv"])
    scheduler.signal(SIGKILL)
    _ = scheduler.wait()
    expect(
      segment,
      says: [
        "stuck: the scheduler (process \(scheduler.pid)) has died",
        "`pto2-scheduler --segment \(segment)`",
      ])
    end(command, segment)
    worker.signal(SIGKILL)
    _ = worker.wait()
  }

  // MARK: Sessions that are over

  /// Its segment is looked at under its name, and as a copy elsewhere.
  @Test func deadSessionSaysWhatStoodThen() throws {
    let segment = freshSegment("stuck-dead")
    let command = program("heap", segment, StuckCase.small)
    expect(segment, says: ["kernel c_sleep on core aiv"])
    let all = processIDs(of: segment) + [command.pid]
    for pid in all { kill(pid, SIGSTOP) }
    for pid in all { kill(pid, SIGKILL) }
    _ = command.wait()
    let words = [
      "stuck: the session is dead: every process of it is gone",
      "Gone: orchestrator \(command.pid), scheduler ", "At that time:",
      "the heap of ring 1", "The oldest task of ring 1 that is not CONSUMED is 1:0",
      "task 1:1 (kernel c_sleep, in scope \"layer\")",
    ]
    expect(segment, says: words + ["`pto2 reap \(segment)` removes it"])
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    let copy = folder + "/segment"
    #expect(Command.run("/bin/cp", ["--sparse=always", "/dev/shm/" + segment, copy]).status == 0)
    expect(copy, says: words + ["this is a file: remove it when you have seen enough"])
    let inspect = Command.run("pto2", ["inspect", copy, "--task", "1:0"])
    #expect(inspect.status == 0 && inspect.output.contains("kernels       AIV0 c_fill"))
    #expect(inspect.output.contains("state         RELEASED"), "\(inspect.output)")
    #expect(Command.run("pto2", ["reap", segment]).status == 0)
    expectClean(segment)
  }

  /// A deadlock that is proven is an error at once: what stood then, in a copy that the program
  /// makes before it comes back.
  @Test(
    arguments: [
      (
        "forgotten", 12,
        [
          "The next submit would wait for the heap of ring 0 (1024 of 1024 bytes are in use).",
          "0:0 (kernel c_fill): it holds 512 bytes of the heap, its output int64[64]",
          "Task 0:0 is RELEASED, and the scope that it was submitted in (the outermost one) is open",
        ]
      ),
      (
        "scope", 11,
        [
          "the consumed window of ring 1 (8 of 8 tasks are not CONSUMED)",
          "(\"loop\", 1 deep inside the outermost one) is open: only the program can end it",
        ]
      ),
    ] as [(String, Int32, [String])])
  func scopeThatIsOpenIsNamed(scene: String, status: Int32, words: [String]) {
    let segment = freshSegment("stuck-" + scene)
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    let copy = folder + "/segment"
    let command = Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libStuckProgram.so", "--quiet", "--segment", segment,
      ] + StuckCase.small + [
        "--", scene, "cp --sparse=always /dev/shm/\(segment) \(copy)",
      ])
    let result = command.wait()
    #expect(result.status == status, "\(result.errors)")
    expect(copy, says: words)
    expectClean(segment)
  }

  /// The words of a session that has ended, which the test has kept open.
  @Test(arguments: EndCase.all)
  func endIsSaid(row: EndCase) throws {
    guard Surroundings(settings: row.surroundings).arePossible else { return }
    let segment = freshSegment("stuck-end-" + row.scene)
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    let fifo = folder + "/go"
    try #require(mkfifo(fifo, 0o600) == 0)
    let command = Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libStuckProgram.so", "--quiet", "--segment", segment,
      ] + row.options + ["--", row.isOne ? row.scene : "then", "cat \(fifo)", row.scene],
      surroundings: row.surroundings)
    try #require(command.waitUntil { command.output.contains("idle") })
    // Its own /dev/shm at times.
    let descriptor = open("/proc/\(command.pid)/root/dev/shm/" + segment, O_RDONLY)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    close(open(fifo, O_WRONLY))
    let result = command.wait()
    #expect(result.status == row.status, "\(result.errors)")
    let place = "/proc/\(getpid())/fd/\(descriptor)"
    expect(place, says: row.words, status: row.status == 0 ? 0 : 1)
    let cause = row.status == 0 ? "finished" : "error"
    #expect(stuck(place, ["--json"]).output.contains("\"cause\":\"\(cause)\""))
    expectClean(segment)
  }

  @Test func whatIsNoSegmentIsSaid() {
    let missing = stuck("no-such-segment-\(getpid())")
    #expect(missing.status == 73 && missing.errors.contains("no segment \"no-such"))
    #expect(stuck("/dev/null").errors.contains("/dev/null: no file"))
    #expect(stuck(Command.buildDirectory + "pto2").errors.contains("no segment of pto2"))
    #expect(Command.run("pto2", ["stuck"]).status == 64)
    #expect(Command.run("pto2", ["stuck", "--seconds", "0", "x"]).status == 64)
  }
}
