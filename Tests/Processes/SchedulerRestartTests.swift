import Glibc
import Harness
import Testing

/// A scheduler that is killed is started again and goes on where the dead one
/// was; kernels run meanwhile. A test fails as "not exercised" when none was
/// started again.
@Suite(.serialized, .elsewhereToo) struct SchedulerRestartTests {
  /// Kills a process of the session every so many microseconds until it ends;
  /// the first time once there is one.
  private func strike(
    _ command: Command, _ segment: String, _ names: [String], every microseconds: UInt32,
    signal: Int32 = SIGKILL
  ) {
    while command.isRunning {
      usleep(microseconds)
      let victims = names.flatMap { processes(segment, named: $0) }
      if let victim = victims.randomElement() { kill(victim, signal) }
    }
  }

  /// Counters begin just below the wrap; small windows, so that every ring and
  /// lane is used many times.
  @Test(arguments: [("1", "1"), ("1", "3"), ("2", "2"), ("3", "3")])
  func killedSchedulersCostNothing(threads: String, clusters: String) {
    let segment = freshSegment("schedulers-\(threads)-\(clusters)")
    let command = conformance(
      ["pure", "4000"], segment: segment,
      options: [
        "--threads", threads, "--clusters", clusters, "--first-position", "4294967000",
        "--task-window", "64",
      ])
    strike(command, segment, ["pto2-scheduler"], every: 20_000)
    let result = command.wait()
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.errors.isEmpty)
    #expect((number("scheduler_restarts", in: result.output) ?? 0) >= 3, "not exercised")
    #expect(number("lost_subtasks", in: result.output) == 0, "kernels were disturbed")
    expectClean(segment)
  }

  /// Whoever it is that dies next.
  @Test(arguments: ["1", "3"])
  func schedulersAndWorkersMayDieTogether(threads: String) {
    let segment = freshSegment("both-\(threads)")
    let command = conformance(
      ["pure", "4000"], segment: segment, options: ["--threads", threads, "--clusters", "1"])
    strike(command, segment, ["pto2-scheduler", "pto2-worker"], every: 25_000)
    let result = command.wait()
    #expect(result.status == 0, "\(result.errors)")
    #expect((number("scheduler_restarts", in: result.output) ?? 0) > 0, "not exercised")
    #expect((number("worker_restarts", in: result.output) ?? 0) > 0, "not exercised")
    expectClean(segment)
  }

  /// Mixed tasks, SPMD blocks, nested scopes, predicates, against an interpreter.
  @Test(arguments: 1...12)
  func randomProgramsDoNotNotice(seed: Int) {
    let segment = freshSegment("random-\(seed)")
    let command = Command(
      "pto2-random", ["--seed", "\(seed)", "--repeat", "3", "--segment", segment])
    strike(command, segment, ["pto2-scheduler"], every: 6_000)
    let result = command.wait()
    #expect(result.status == 0, "\(result.output) \(result.errors)")
    expectClean(segment)
  }

  /// A long kernel runs on while there is no scheduler.
  @Test func schedulerThatCrashesAgainAndAgainEndsTheRun() {
    let segment = freshSegment("crashing")
    let command = conformance(["idle", "60000"], segment: segment)
    strike(command, segment, ["pto2-scheduler"], every: 20_000, signal: SIGSEGV)
    let result = command.wait()
    #expect(result.status == 41, "\(result.errors)")
    #expect(result.messages.count == 1)
    #expect(result.errors.contains("SCHEDULER_DIED"))
    #expect(result.errors.contains("SIGSEGV"))
    expectClean(segment)
  }

  @Test func schedulerStartedByHandCanBeStartedAgain() throws {
    let segment = freshSegment("by-hand")
    let command = conformance(["pure", "60000"], segment: segment, options: ["--no-launch"])
    let worker = Command("pto2-worker", ["--segment", segment, "--cores", "aic0,aiv0,aiv1"])
    var scheduler = Command("pto2-scheduler", ["--segment", segment])
    var restarts = 0
    while command.isRunning && restarts < 3 {
      // Before it has announced itself there is nobody to miss.
      let announcement = "\"scheduler\":{\"pid\":\(scheduler.pid),"
      #expect(
        scheduler.waitUntil {
          Command.run("pto2", ["inspect", "--json", segment]).output.contains(announcement)
        })
      usleep(50_000)
      scheduler.signal(SIGKILL)
      #expect(scheduler.wait().status == 137)
      scheduler = Command("pto2-scheduler", ["--segment", segment])
      restarts += 1
    }
    #expect(restarts == 3, "not exercised")
    let result = command.wait()
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.errors.contains("start another within"))
    #expect(scheduler.wait().status == 0)
    #expect(worker.wait().status == 0)
    expectClean(segment)
  }

  /// Without a second one the run ends when the time to attach is over.
  @Test func schedulerStartedByHandThatIsNotStartedAgainEndsTheRun() throws {
    let segment = freshSegment("by-hand-gone")
    let command = conformance(
      ["idle", "60000"], segment: segment, options: ["--no-launch", "--attach-timeout", "1"])
    let worker = Command("pto2-worker", ["--segment", segment, "--cores", "aic0,aiv0,aiv1"])
    let scheduler = Command("pto2-scheduler", ["--segment", segment])
    usleep(300_000)
    scheduler.signal(SIGKILL)
    _ = scheduler.wait()
    let result = command.wait()
    #expect(result.status == 41, "\(result.errors)")
    #expect(result.errors.contains("no other attached in time"))
    _ = worker.wait()
    expectClean(segment)
  }
}
