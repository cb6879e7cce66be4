import CPTO2Segment
import Glibc
import Harness
import PTO2System
import Testing

/// What stays when every process of a session is killed, and who removes it.
@Suite(.serialized, .elsewhereToo) struct ReapTests {
  /// A session of which every process has been killed at once. Its name stays,
  /// unless it has the prefix of default names and some other run was quicker.
  private func deadSession(_ segment: String) throws {
    let command = Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libTestProgram.so", "--quiet", "--segment", segment,
        "--", "endless",
      ])
    try #require(command.waitUntil { command.output.contains("running") })
    let children =
      processes(segment, named: "pto2-worker")
      + processes(segment, named: "pto2-scheduler")
    // The scheduler would remove the name: it must not see the others die.
    for pid in children + [command.pid] { kill(pid, SIGSTOP) }
    for pid in children + [command.pid] { kill(pid, SIGKILL) }
    _ = command.wait()
    try #require(
      waitFor { Leftovers.of(segment).processes.isEmpty }, "a process outlived SIGKILL")
    if segment.hasPrefix("pto2-") { return }
    try #require(Leftovers.of(segment).segments == [segment], "not exercised: nothing is left")
  }

  private func waitFor(_ condition: () -> Bool) -> Bool {
    let deadline = time(nil) + Command.watchdogSeconds
    while !condition() {
      if time(nil) > deadline { return false }
      usleep(2000)
    }
    return true
  }

  @Test func deadSessionIsReapedAndALiveOneIsNot() throws {
    let dead = freshSegment("dead")
    let live = freshSegment("live")
    let command = Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libTestProgram.so", "--quiet", "--segment", live,
        "--", "endless",
      ])
    try #require(command.waitUntil { command.output.contains("running") })
    try deadSession(dead)

    let list = Command.run("pto2", ["list", "--json"])
    #expect(list.output.contains("{\"name\":\"\(dead)\",\"state\":\"stale\""))
    #expect(list.output.contains("{\"name\":\"\(live)\",\"state\":\"live\""))
    #expect(Command.run("pto2", ["reap", "--dry-run", dead]).status == 0)
    #expect(Leftovers.of(dead).segments == [dead], "a dry run removes nothing")
    let reap = Command.run("pto2", ["reap", dead, live])
    #expect(reap.status == 1, "the live one stays")
    #expect(reap.output.contains("\(dead)  removed"))
    #expect(reap.output.contains("\(live)  live  process \(command.pid)"))
    #expect(Leftovers.of(dead) == .none)
    #expect(Leftovers.of(live).segments == [live])

    command.signal(SIGINT)
    #expect(command.wait().status == 130)
  }

  @Test func nextSessionOfTheNameReplacesADeadOne() throws {
    let segment = freshSegment("again")
    try deadSession(segment)
    let result = Command.run(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libTestProgram.so", "--quiet", "--segment", segment,
        "--", "chain", "100",
      ])
    #expect(result.status == 0, "\(result.errors)")
    #expect(Leftovers.of(segment) == .none)
  }

  /// A run without a name looks for what others without a name have left.
  @Test func namelessRunSweepsDeadSessions() throws {
    let segment = "pto2-sweep-\(getpid())"
    try deadSession(segment)
    let result = Command.run("vector-example", ["--elements", "1000", "-q"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(Leftovers.of(segment) == .none)
  }

  /// What a creator leaves that is killed after it has named its object and before it has done
  /// anything more.
  private func leaveHalfMade(_ name: String, age: Int = 0) throws {
    _ = try SharedMemoryObject.create(
      name: "/" + name, mark: UInt64(PTO2_CREATION_MARK), at: UInt64(PTO2_CREATION_MARK_OFFSET))
    let then = timespec(tv_sec: time(nil) - age, tv_nsec: 0)
    try #require(utimensat(AT_FDCWD, "/dev/shm/" + name, [then, then], 0) == 0)
    try #require(Leftovers.of(name).segments == [name])
  }

  @Test func halfMadeNameIsReaped() throws {
    let name = freshSegment("half")
    try leaveHalfMade(name)
    let list = Command.run("pto2", ["list", "--json"])
    #expect(list.output.contains("{\"name\":\"\(name)\",\"state\":\"unfinished\""))
    let reap = Command.run("pto2", ["reap", name])
    #expect(reap.status == 0, "\(reap.output) \(reap.errors)")
    #expect(Leftovers.of(name) == .none)
  }

  @Test func namelessRunSweepsHalfMadeNamesThatAreOld() throws {
    let old = "pto2-half-old-\(getpid())"
    let new = "pto2-half-new-\(getpid())"
    try leaveHalfMade(old, age: 90)
    try leaveHalfMade(new)
    defer { shm_unlink("/" + new) }
    let result = Command.run("vector-example", ["--elements", "1000", "-q"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(Leftovers.of(old) == .none)
    #expect(Leftovers.of(new).segments == [new], "its creator may be at work")
  }

  /// Other programs' objects are left alone, whatever they are called.
  @Test func foreignObjectIsLeftAlone() {
    let name = "/pto2-foreign-\(getpid())"
    let descriptor = shm_open(name, O_CREAT | O_RDWR, 0o600)
    defer {
      close(descriptor)
      shm_unlink(name)
    }
    let text = "not a segment of pto2 at all"
    #expect(write(descriptor, text, text.utf8.count) == text.utf8.count)
    let result = Command.run("pto2", ["reap", String(name.dropFirst())])
    #expect(result.status == 1, "\(result.output)")
    let reopened = shm_open(name, O_RDONLY, 0)
    #expect(reopened >= 0, "it is gone")
    close(reopened)
  }
}
