import CPTO2Linux
import Glibc
import Harness
import Testing

/// `--memfd`: a segment without a name, whose size nobody can change.
@Suite(.serialized, .elsewhereToo) struct MemfdTests {
  private func program(_ library: String, _ arguments: [String], options: [String] = []) -> Command
  {
    Command(
      "pto2-orchestrator",
      ["--program", Command.buildDirectory + library, "--memfd"] + options + ["--"] + arguments)
  }

  /// The path that the start-up line names.
  private func path(_ command: Command) -> String {
    let line = command.errors.firstRange(of: "session ").map { command.errors[$0.upperBound...] }
    return String(line?.prefix { $0 != ":" } ?? "")
  }

  private func expectNoProcess(_ segment: String, location: SourceLocation = #_sourceLocation) {
    let deadline = time(nil) + Command.watchdogSeconds
    while Leftovers.of(segment) != .none && time(nil) < deadline { usleep(2000) }
    #expect(Leftovers.of(segment) == .none, sourceLocation: location)
  }

  @Test func sizeCannotBeChangedAndPlacesAreTaken() throws {
    let command = program("libTestProgram.so", ["endless"])
    try #require(command.waitUntil { command.output.contains("running") })
    let segment = path(command)
    try #require(segment.hasPrefix("/proc/\(command.pid)/fd/"), "\(command.errors)")
    #expect(command.waitUntil { processes(segment, named: "pto2-worker").count == 3 })
    let descriptor = open(segment, O_RDWR)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    var status = stat()
    #expect(fstat(descriptor, &status) == 0)
    #expect(status.st_mode & 0o777 == 0o600)
    for size in [0, 4096, status.st_size - 1, status.st_size + 4096] {
      #expect(ftruncate(descriptor, size) == -1 && errno == EPERM)
    }
    #expect(posix_fallocate(descriptor, status.st_size, 4096) == EPERM)

    // The program runs before its scheduler and workers have attached: whoever is first
    // has the place (`LockByte`: the scheduler's, and that of core 2).
    for byte: Int64 in [1 << 50 + 1, 1 << 50 + 18] {
      #expect(command.waitUntil { pto2_byte_is_locked(descriptor, byte) == 1 })
    }
    let scheduler = Command.run("pto2-scheduler", ["--segment", segment])
    #expect(scheduler.status == 73)
    #expect(scheduler.errors.contains("is already taken"), "\(scheduler.errors)")
    let worker = Command.run("pto2-worker", ["--segment", segment, "--core", "aiv1"])
    #expect(worker.status == 73)
    #expect(worker.errors.contains("core aiv1 of this segment is already taken"))
    command.signal(SIGINT)
    #expect(command.wait().status == 130)
    expectNoProcess(segment)
  }

  /// A worker that is started again attaches as the first one did.
  @Test func killedWorkersCostNoResult() {
    let command = program("libConformanceProgram.so", ["pure", "3000"], options: ["--json"])
    var kills = 0
    while command.isRunning {
      usleep(25_000)
      let segment = path(command)
      guard !segment.isEmpty,
        let victim = processes(segment, named: "pto2-worker").randomElement()
      else { continue }
      if kill(victim, SIGKILL) == 0 { kills += 1 }
    }
    let result = command.wait()
    #expect(result.status == 0, "\(kills) kills: \(result.errors)")
    #expect((number("lost_subtasks", in: result.output) ?? 0) > 0, "not exercised")
  }

  /// Nothing to sweep: when the last process is gone, so is the memory.
  @Test func killedSessionLeavesNothing() throws {
    let command = program("libTestProgram.so", ["endless"])
    try #require(command.waitUntil { command.output.contains("running") })
    let segment = path(command)
    let children =
      processes(segment, named: "pto2-worker") + processes(segment, named: "pto2-scheduler")
    for pid in children + [command.pid] { kill(pid, SIGSTOP) }
    for pid in children + [command.pid] { kill(pid, SIGKILL) }
    #expect(command.wait().status == 137)
    expectNoProcess(segment)
    #expect(Command.run("pto2", ["list"]).output.contains("\(command.pid)") == false)
  }

  @Test func byHandThroughThePath() throws {
    let command = program("libTestProgram.so", ["chain", "1000"], options: ["--no-launch"])
    try #require(command.waitUntil { !path(command).isEmpty && command.errors.contains("--cores") })
    let segment = path(command)
    let scheduler = Command("pto2-scheduler", ["--segment", segment])
    let worker = Command("pto2-worker", ["--segment", segment, "--cores", "aic0,aiv0,aiv1"])
    #expect(command.wait().status == 0)
    #expect(scheduler.wait().status == 0)
    #expect(worker.wait().status == 0)
  }

  @Test func nameIsRefused() {
    let result = program("libTestProgram.so", ["chain"], options: ["--segment", "mine"]).wait()
    #expect(result.status == 64)
    #expect(result.errors.contains("--memfd has no name in /dev/shm: leave out --segment mine"))
  }
}
