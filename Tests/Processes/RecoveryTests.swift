import Glibc
import Harness
import Testing

/// Workers that die cost an attempt of what they were running, not the run. A
/// test fails as "not exercised" when nothing was killed, or nothing was lost.
@Suite(.serialized, .elsewhereToo) struct RecoveryTests {
  /// Kills a worker of the session every so many microseconds until it ends.
  private func killWorkers(
    of command: Command, _ segment: String, every microseconds: UInt32, signal: Int32 = SIGKILL
  ) -> Int {
    var kills = 0
    while command.isRunning {
      usleep(microseconds)
      guard let victim = processes(segment, named: "pto2-worker").randomElement() else { continue }
      if kill(victim, signal) == 0 { kills += 1 }
    }
    return kills
  }

  /// Every task may be run again; the results are those of a run without kills.
  @Test(arguments: [("1", "1"), ("1", "3"), ("3", "2")])
  func killedWorkersCostNoResult(threads: String, clusters: String) {
    let segment = freshSegment("kills-\(threads)-\(clusters)")
    let command = conformance(
      ["pure", "3000"], segment: segment,
      options: [
        "--threads", threads, "--clusters", clusters, "--first-position", "4294967000",
        "--task-window", "64",
      ])
    let kills = killWorkers(of: command, segment, every: 25_000)
    let result = command.wait()
    #expect(result.status == 0, "\(kills) kills: \(result.errors)")
    #expect(result.errors.isEmpty)
    #expect(kills >= 3, "not exercised")
    #expect((number("lost_subtasks", in: result.output) ?? 0) > 0, "not exercised")
    #expect((number("worker_restarts", in: result.output) ?? 0) > 0)
    expectClean(segment)
  }

  /// A task that changes a tensor in place is not run again; what needs it is
  /// cancelled; everything else is done, and the run says which task it was.
  @Test(arguments: ["1", "2"])
  func taskThatCannotBeRunAgainFailsAlone(threads: String) {
    let segment = freshSegment("failed-\(threads)")
    let command = conformance(
      ["failing", "20"], segment: segment, options: ["--threads", threads, "--clusters", "2"])
    let result = command.wait()
    #expect(result.status == 40, "\(result.errors)")
    #expect(result.messages.count == 1, "\(result.errors)")
    #expect(result.errors.contains("task 0:3 failed"))
    #expect(result.errors.contains("it may have changed its tensors and is not run again"))
    #expect(result.errors.contains("SIGSEGV"))
    #expect(result.errors.contains("kernel c_crash"))
    #expect(result.errors.contains("21 tasks that depend on failed ones were cancelled"))
    #expect(result.output.contains("\"code\":200"))
    expectClean(segment)
  }

  /// A task that crashes every worker is poisoned after the second.
  @Test func taskThatCrashesTwoWorkersIsPoisoned() {
    let segment = freshSegment("poisoned")
    let result = conformance(["poison", "0"], segment: segment).wait()
    #expect(result.status == 40)
    #expect(result.errors.contains("2 workers died of it"), "\(result.errors)")
    expectClean(segment)
  }

  /// Changed in place, but the program says that it may be run again.
  @Test func taskThatSaysSoIsRunAgain() {
    let segment = freshSegment("again")
    let command = conformance(["again", "3000"], segment: segment)
    let kills = killWorkers(of: command, segment, every: 25_000)
    let result = command.wait()
    #expect(result.status == 0, "\(kills) kills: \(result.errors)")
    #expect((number("lost_subtasks", in: result.output) ?? 0) > 0, "not exercised")
    expectClean(segment)
  }

  /// Changed in place by kernels of which a second run after half of a first one
  /// gives something else: the tensors get their old contents back.
  @Test(arguments: ["1", "2"])
  func taskWithASnapshotIsRunAgain(threads: String) {
    let segment = freshSegment("snapshot-\(threads)")
    let command = conformance(
      ["snapshot", "3000"], segment: segment,
      options: ["--threads", threads, "--clusters", "2", "--task-window", "16"])
    let kills = killWorkers(of: command, segment, every: 25_000)
    let result = command.wait()
    #expect(result.status == 0, "\(kills) kills: \(result.errors)")
    #expect((number("lost_subtasks", in: result.output) ?? 0) > 0, "not exercised")
    expectClean(segment)
  }

  /// The example whose accumulators change in place, run until some of its tasks
  /// have lost their worker: verified by itself each time.
  @Test func pagedAttentionWithSnapshotsOutlivesItsWorkers() {
    var lost = 0.0
    for run in 0..<20 where lost < 3 {
      let segment = freshSegment("attention-\(run)")
      let command = Command(
        "paged-attention",
        [
          "--case", "ring", "--recovery", "snapshot", "--quiet", "--json", "--segment", segment,
          "--clusters", "2",
        ])
      let kills = killWorkers(of: command, segment, every: 8000)
      let result = command.wait()
      #expect(result.status == 0, "\(kills) kills: \(result.errors)")
      #expect(result.output.contains("\"verified\""))
      lost += number("lost_subtasks", in: result.output) ?? 0
      expectClean(segment)
    }
    #expect(lost >= 3, "not exercised")
  }

  /// Every task dies twice with part of its stores done.
  @Test func workersThatDieHalfwayLeaveNothingOfTheirStores() {
    let segment = freshSegment("halfway")
    let result = conformance(["halfway", "10"], segment: segment).wait()
    #expect(result.status == 0, "\(result.errors)")
    #expect(number("lost_subtasks", in: result.output) == 20)
    expectClean(segment)
  }

  @Test func taskThatMustRunOnceIsNotRunAgain() {
    let segment = freshSegment("once")
    let result = conformance(["once"], segment: segment).wait()
    #expect(result.status == 40)
    #expect(result.errors.contains("is not run again"), "\(result.errors)")
    expectClean(segment)
  }

  /// A kernel that does not return: the worker is killed, the others go on.
  @Test(arguments: ["1", "2"])
  func kernelThatRunsTooLongIsKilled(threads: String) {
    let segment = freshSegment("deadline-\(threads)")
    let command = conformance(
      ["overdue", "100"], segment: segment,
      options: ["--kernel-deadline", "0.2", "--threads", threads])
    let result = command.wait()
    #expect(result.status == 40, "\(result.errors)")
    #expect(result.errors.contains("its kernel ran longer than --kernel-deadline allows"))
    #expect(result.errors.contains("kernel c_sleep"))
    expectClean(segment)
  }

  /// Short kernels behind one another, more processes than CPUs: none is late.
  @Test func deadlineIsOfOneKernelAlone() {
    let segment = freshSegment("in-time")
    let result = conformance(
      ["pure", "6000"], segment: segment,
      options: ["--kernel-deadline", "0.5", "--clusters", "5", "--lanes", "8"]
    ).wait()
    #expect(result.status == 0, "\(result.errors)")
    #expect(number("worker_restarts", in: result.output) == 0)
    expectClean(segment)
  }

  /// A worker that dies before it serves is not started for ever.
  @Test func workerThatNeverServesEndsTheRun() {
    let segment = freshSegment("never")
    let directory = brokenWorkerDirectory()
    defer {
      for name in ["pto2-scheduler", "pto2-worker"] { unlink(directory + "/" + name) }
      rmdir(directory)
    }
    let result = Command.run(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libConformanceProgram.so", "--quiet", "--segment",
        segment, "--", "tasks", "1",
      ], environment: ["PTO2_BIN_DIR": directory])
    #expect(result.status == 40, "\(result.errors)")
    #expect(result.errors.contains("exited with status 3"), "\(result.errors)")
    expectClean(segment)
  }

  /// A directory with the real scheduler and a worker that ends at once.
  private func brokenWorkerDirectory() -> String {
    let directory = Command.temporaryDirectory()
    symlink(Command.buildDirectory + "pto2-scheduler", directory + "/pto2-scheduler")
    let script = fopen(directory + "/pto2-worker", "w")!
    fputs("#!/bin/sh\nexit 3\n", script)
    fclose(script)
    chmod(directory + "/pto2-worker", 0o755)
    return directory
  }
}
