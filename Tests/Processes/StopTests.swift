import Glibc
import Harness
import Testing

/// Processes that are stopped (SIGSTOP) are waited for; a worker or scheduler that
/// stays stopped is killed, and its tasks go the way of any death.
@Suite(.serialized, .elsewhereToo) struct StopTests {
  private func program(_ arguments: [String], _ segment: String, _ options: [String]) -> Command {
    Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libConformanceProgram.so", "--json", "--segment",
        segment,
      ] + options + ["--"] + arguments)
  }

  private func state(_ pid: pid_t) -> Character? {
    let text = readFile("/proc/\(pid)/stat")
    return text.lastIndex(of: ")").flatMap { text[$0...].dropFirst(2).first }
  }

  /// CPU time of a process in clock ticks.
  private func ticks(_ pid: pid_t) -> Int {
    let text = readFile("/proc/\(pid)/stat")
    guard let end = text.lastIndex(of: ")") else { return 0 }
    let fields = text[end...].split(separator: " ")
    return fields.count > 13 ? (Int(fields[12]) ?? 0) + (Int(fields[13]) ?? 0) : 0
  }

  /// A worker that has run kernels.
  private func busyWorker(_ command: Command, _ segment: String) -> pid_t? {
    var victim: pid_t?
    _ = command.waitUntil {
      victim = processes(segment, named: "pto2-worker").first { ticks($0) >= 5 }
      return victim != nil || !command.isRunning
    }
    return victim
  }

  /// Every role, for 20 ms at a time: nothing is run again.
  @Test(arguments: ["1", "3"])
  func stoppedAndContinuedProcessesLoseNothing(threads: String) {
    let segment = freshSegment("storm-\(threads)")
    let command = program(["pure", "4000"], segment, ["--quiet", "--threads", threads])
    var stops: [String: Int] = [:]
    while command.isRunning {
      let names = ["pto2-worker", "pto2-worker", "pto2-scheduler", "pto2-orchestrator"]
      let name = names.randomElement()!
      guard let victim = processes(segment, named: name).randomElement(), kill(victim, SIGSTOP) == 0
      else { continue }
      usleep(20_000)
      if state(victim) == "T" { stops[name, default: 0] += 1 }
      kill(victim, SIGCONT)
      usleep(3000)
    }
    let result = command.wait()
    #expect(result.status == 0, "\(result.errors)")
    #expect(stops.count == 3 && stops.values.reduce(0, +) >= 10, "not exercised: \(stops)")
    #expect(number("lost_subtasks", in: result.output) == 0)
    #expect(number("worker_restarts", in: result.output) == 0)
    expectClean(segment)
  }

  /// Stopped for longer than the deadline of its kernel: that is not the kernel's time.
  @Test func timeInWhichAWorkerIsStoppedIsNotItsKernels() throws {
    let segment = freshSegment("stopped-deadline")
    let command = program(
      ["pure", "20000"], segment, ["--kernel-deadline", "0.4", "--stop-grace", "0"])
    let victim = try #require(busyWorker(command, segment))
    kill(victim, SIGSTOP)
    #expect(
      command.waitUntil { command.errors.contains("(process \(victim)) is stopped") },
      "not exercised")
    // Three times the deadline, by the clock that the deadline goes by.
    usleep(1_200_000)
    #expect(state(victim) == "T", "not exercised")
    kill(victim, SIGCONT)
    let result = command.wait()
    #expect(result.status == 0, "\(result.errors)")
    #expect(number("lost_subtasks", in: result.output) == 0)
    #expect(number("worker_restarts", in: result.output) == 0)
    expectClean(segment)
  }

  @Test(arguments: ["1", "2"])
  func workerThatStaysStoppedIsReplaced(threads: String) throws {
    let segment = freshSegment("stopped-worker-\(threads)")
    let command = program(
      ["pure", "20000"], segment, ["--quiet", "--stop-grace", "0.3", "--threads", threads])
    let victim = try #require(busyWorker(command, segment))
    kill(victim, SIGSTOP)
    let result = command.wait()
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.errors.isEmpty)
    #expect((number("lost_subtasks", in: result.output) ?? 0) > 0, "not exercised")
    #expect(number("worker_restarts", in: result.output) == 1)
    expectClean(segment)
  }

  @Test func taskOfAStoppedWorkerFailsWithTheReason() throws {
    let segment = freshSegment("stopped-task")
    let command = program(["overdue", "100"], segment, ["--stop-grace", "0.3", "--quiet"])
    // The worker whose kernel sleeps: those of the others are parked on a futex.
    var victim: pid_t?
    try #require(
      command.waitUntil {
        victim = processes(segment, named: "pto2-worker").first {
          readFile("/proc/\($0)/wchan").contains("nanosleep")
            || readFile("/proc/\($0)/syscall").hasPrefix("230 ")
        }
        return victim != nil
      }, "not exercised: no kernel sleeps")
    kill(victim!, SIGSTOP)
    let result = command.wait()
    #expect(result.status == 40, "\(result.errors)")
    #expect(
      result.errors.contains("it was stopped (SIGSTOP) for longer than --stop-grace"),
      "\(result.errors)")
    #expect(result.errors.contains("kernel c_sleep"), "\(result.errors)")
    expectClean(segment)
  }

  @Test func schedulerThatStaysStoppedIsReplaced() throws {
    let segment = freshSegment("stopped-scheduler")
    let command = program(["pure", "20000"], segment, ["--stop-grace", "0.3"])
    _ = try #require(busyWorker(command, segment))
    let victim = try #require(processes(segment, named: "pto2-scheduler").first)
    kill(victim, SIGSTOP)
    let result = command.wait()
    #expect(
      result.errors.contains(
        "the scheduler (process \(victim)) was stopped (SIGSTOP) for longer than --stop-grace"),
      "\(result.errors)")
    #expect(result.status == 0, "\(result.errors)")
    #expect(number("scheduler_restarts", in: result.output) == 1)
    expectClean(segment)
  }

  /// A user's Ctrl-Z: it is waited for, and said.
  @Test func orchestratorThatIsStoppedIsWaitedFor() throws {
    let segment = freshSegment("stopped-orchestrator")
    let command = program(["pure", "8000"], segment, ["--stop-grace", "0.2"])
    _ = try #require(busyWorker(command, segment))
    command.signal(SIGSTOP)
    #expect(
      command.waitUntil {
        command.errors.contains("the orchestrator (process \(command.pid)) is stopped")
      },
      "not exercised: \(command.errors)")
    command.signal(SIGCONT)
    let result = command.wait()
    #expect(result.status == 0, "\(result.errors)")
    #expect(number("worker_restarts", in: result.output) == 0)
    expectClean(segment)
  }
}
