import Glibc
import Harness
import PTO2Segment
import Testing

/// `--drain`: what the orchestrator has published is done even if it dies.
@Suite(.serialized, .elsewhereToo) struct DrainTests {
  /// As many as the arena has room for: nobody comes too late.
  static let tasks = 120_000

  private func orchestrator(_ segment: String, _ options: [String], _ scene: [String]) -> Command {
    Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libConformanceProgram.so", "--quiet", "--arena",
        "1M",
        "--segment", segment,
      ] + options + ["--"] + scene)
  }

  private func waitForNoProcess(_ segment: String) -> Bool {
    let deadline = time(nil) + Command.watchdogSeconds
    while !Leftovers.of(segment).processes.isEmpty {
      if time(nil) > deadline { return false }
      usleep(2000)
    }
    return true
  }

  /// The arena of a session, which outlives it here; the program's first tensor
  /// begins there.
  private func arena(_ segment: String) -> UnsafePointer<UInt64>? {
    let descriptor = shm_open("/" + segment, O_RDONLY, 0)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var status = stat()
    // While it is made it has a page.
    guard fstat(descriptor, &status) == 0, status.st_size > 1 << 20,
      let base = mmap(nil, status.st_size, PROT_READ, MAP_SHARED, descriptor, 0),
      base != MAP_FAILED
    else { return nil }
    return UnsafePointer(
      (base + status.st_size - (1 << 20)).assumingMemoryBound(to: UInt64.self))
  }

  /// What the program `pure` makes of the first tasks, and of no other.
  private func expectResults(_ cells: UnsafePointer<UInt64>, done: Int) {
    var expected = [UInt64](repeating: 0, count: Self.tasks + 4)
    for i in 0..<done {
      expected[i + 4] = 3 &* expected[i] &+ expected[i + i % 3] &+ UInt64(i)
    }
    let wrong = expected.indices.filter { cells[$0] != expected[$0] }
    #expect(wrong.isEmpty, "\(wrong.count) of \(done) results, first \(wrong.first ?? 0)")
  }

  private func done(_ errors: String) -> Int? {
    errors.firstRange(of: "its run; the ").flatMap {
      Int(errors[$0.upperBound...].prefix(while: \.isNumber))
    }
  }

  /// The arena of the run, when the hundredth task has stored its result.
  private func resultsOnceTasksRun(_ command: Command, _ segment: String) throws
    -> UnsafePointer<UInt64>
  {
    var cells: UnsafePointer<UInt64>?
    try #require(
      command.waitUntil {
        cells = cells ?? arena(segment)
        return cells.map { $0[100] != 0 } ?? false
      }, "not exercised: no task has run")
    return try #require(cells)
  }

  @Test(arguments: ["1", "2"])
  func publishedTasksAreDone(threads: String) throws {
    let segment = freshSegment("drain-\(threads)")
    let command = orchestrator(
      segment, ["--drain", "--threads", threads], ["pure", "\(Self.tasks)"])
    let cells = try resultsOnceTasksRun(command, segment)
    command.signal(SIGKILL)
    try #require(command.waitUntil { command.errors.contains("(--drain)") }, "\(command.errors)")
    let errors = command.errors
    #expect(command.wait().status == 137)
    let count = try #require(done(errors), "\(errors)")
    #expect(count > 100 && count < Self.tasks, "not exercised: \(count)")
    #expect(waitForNoProcess(segment))
    #expect(Leftovers.of(segment) == .none)
    expectResults(cells, done: count)
  }

  @Test func processesStartedByHandDrainToo() throws {
    let segment = freshSegment("drain-by-hand")
    let command = orchestrator(segment, ["--drain", "--no-launch"], ["pure", "\(Self.tasks)"])
    let scheduler = Command("pto2-scheduler", ["--segment", segment])
    let worker = Command("pto2-worker", ["--segment", segment, "--cores", "aic0,aiv0,aiv1"])
    let cells = try resultsOnceTasksRun(command, segment)
    command.signal(SIGKILL)
    #expect(command.wait().status == 137)
    let result = scheduler.wait()
    #expect(result.status == 42, "\(result.errors)")
    #expect(worker.wait().status == 0)
    let count = try #require(done(result.errors), "\(result.errors)")
    expectResults(cells, done: count)
    #expect(Leftovers.of(segment) == .none)
  }

  /// The scheduler dies, too: the workers see it, and the last one removes the name.
  @Test func nothingIsLeftWhenTheSchedulerDiesInBetween() throws {
    let segment = freshSegment("drain-scheduler")
    let command = orchestrator(segment, ["--drain"], ["pure", "\(Self.tasks)"])
    _ = try resultsOnceTasksRun(command, segment)
    let scheduler = try #require(processes(segment, named: "pto2-scheduler").first, "not exercised")
    // It sees nothing of the orchestrator's death.
    kill(scheduler, SIGSTOP)
    command.signal(SIGKILL)
    _ = command.wait()
    kill(scheduler, SIGKILL)
    #expect(waitForNoProcess(segment))
    #expect(Leftovers.of(segment) == .none)
  }

  /// Tasks are published and not RELEASED.
  private func hasWork(_ segment: String) -> Bool {
    let report = Command.run("pto2", ["stat", segment, "--json"]).output
    return report.split(separator: "\"main_used\":").dropFirst().contains { $0.first != "0" }
  }

  enum Loss: CaseIterable {
    /// The scheduler has seen the workers go before the orchestrator does.
    case before
    /// It sees all at once.
    case together
  }

  /// Nobody is there who would start workers again: whoever looks is told how, and the session
  /// ends with a word when nobody has.
  @Test(arguments: Loss.allCases, [true, false])
  func workersThatAreLostWithTheOrchestratorAreAskedFor(loss: Loss, isReplaced: Bool) throws {
    let segment = freshSegment("drain-workers-\(loss)-\(isReplaced)")
    let command = orchestrator(
      segment, ["--drain", "--stop-grace", "300", "--attach-timeout", isReplaced ? "300" : "2"],
      ["pure", "\(Self.tasks)"])
    let cells = try resultsOnceTasksRun(command, segment)
    let scheduler = try #require(processes(segment, named: "pto2-scheduler").first)
    let workers = processes(segment, named: "pto2-worker")
    try #require(workers.count == 3)
    kill(scheduler, SIGSTOP)
    try #require(command.waitUntil { hasWork(segment) }, "not exercised")
    // It would start others.
    command.signal(SIGSTOP)
    for worker in workers { kill(worker, SIGKILL) }
    if loss == .before {
      kill(scheduler, SIGCONT)
      let words = try SegmentReader.open(name: segment)
      try #require(
        command.waitUntil { !(0..<3).contains { words.isServed(core: $0) } }, "not exercised")
    }
    command.signal(SIGKILL)
    #expect(command.wait().status == 137)
    kill(scheduler, SIGCONT)
    let names = ["aic0", "aiv0", "aiv1"]
    try #require(
      command.waitUntil {
        names.allSatisfy {
          command.errors.contains("with: pto2-worker --segment \(segment) --cores \($0)\n")
        }
      }, "\(command.errors)")
    if isReplaced {
      let next = Command(
        "pto2-worker", ["--segment", segment, "--cores", names.joined(separator: ",")]
      ).wait()
      #expect(next.status == 0, "\(next.errors)")
    }
    #expect(waitForNoProcess(segment))
    #expect(Leftovers.of(segment) == .none)
    let lines = command.errors.split(separator: "\n")
    #expect(lines.count == 4, "three requests and the end: \(command.errors)")
    if isReplaced {
      expectResults(cells, done: try #require(done(command.errors), "\(command.errors)"))
    } else {
      #expect(
        lines.last?.hasPrefix("pto2-scheduler: error 203 WORKER_MISSING: ") == true,
        "\(command.errors)")
    }
  }

  /// Without it: a worker that was started by hand and is in a long kernel.
  @Test func workerStartedByHandEndsWithItsSession() throws {
    let segment = freshSegment("orphan")
    let command = orchestrator(segment, ["--no-launch"], ["overdue", "100"])
    let scheduler = Command("pto2-scheduler", ["--segment", segment])
    let worker = Command("pto2-worker", ["--segment", segment, "--cores", "aic0,aiv0,aiv1"])
    try #require(
      command.waitUntil {
        isAsleep(worker.pid, in: segment)
      }, "not exercised: no kernel sleeps")
    let begin = time(nil)
    command.signal(SIGKILL)
    _ = command.wait()
    #expect(scheduler.wait().status == 42)
    #expect(worker.wait().status == 42)
    #expect(time(nil) - begin < 18, "the kernel returned first")
    #expect(Leftovers.of(segment) == .none)
  }

  /// True when the process has mapped the segment and a thread of it is in
  /// nanosleep(2), as the kernel that sleeps is.
  private func isAsleep(_ pid: pid_t, in segment: String) -> Bool {
    guard readFile("/proc/\(pid)/maps").contains(segment),
      let directory = opendir("/proc/\(pid)/task")
    else { return false }
    defer { closedir(directory) }
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if readFile("/proc/\(pid)/task/\(name)/wchan").contains("nanosleep")
        || readFile("/proc/\(pid)/task/\(name)/syscall").hasPrefix("230 ")
      {
        return true
      }
    }
    return false
  }
}
