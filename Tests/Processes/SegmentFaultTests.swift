import Glibc
import Harness
import Testing

/// What lies under a name in /dev/shm that is no session of this user, this build, or
/// this life; and two runs that want one name.
@Suite(.serialized, .elsewhereToo) struct SegmentFaultTests {
  private func program(_ segment: String, _ arguments: [String]) -> Command {
    Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libTestProgram.so", "--quiet", "--segment", segment,
        "--",
      ] + arguments)
  }

  private func worker(_ segment: String) -> Command.Result {
    Command.run("pto2-worker", ["--segment", segment, "--core", "aiv0", "--attach-timeout", "0"])
  }

  /// An object of 1 MiB with these bytes.
  private func makeObject(_ segment: String, _ fields: [(offset: Int, value: UInt64)]) {
    let descriptor = shm_open("/" + segment, O_CREAT | O_EXCL | O_RDWR, 0o600)
    #expect(descriptor >= 0 && ftruncate(descriptor, 1 << 20) == 0)
    for var field in fields {
      #expect(pwrite(descriptor, &field.value, 8, off_t(field.offset)) == 8)
    }
    close(descriptor)
  }

  /// "PTO2MADE", where a creator puts it before anything else.
  private static let mark = (offset: 4088, value: UInt64(0x4544_414D_324F_5450))

  /// Everything but the magic may be there: it is stored last.
  @Test(arguments: [[], [(8, 1), (24, 1 << 20)]] as [[(Int, UInt64)]])
  func creatorThatDiedIsSaidAndReplaced(fields: [(Int, UInt64)]) {
    let segment = freshSegment("unfinished-\(fields.count)")
    makeObject(segment, fields.map { (offset: $0.0, value: $0.1) } + [Self.mark])
    let result = worker(segment)
    #expect(result.status == 73)
    #expect(result.errors.contains("its creator died during creation"), "\(result.errors)")
    #expect(program(segment, ["chain", "100"]).wait().status == 0)
    #expect(Leftovers.of(segment) == .none)
  }

  /// What pto2 has not made is nothing that it removes: not a file without its mark, not an
  /// empty one, and nothing that is no file, which is not even opened.
  @Test(arguments: ["text", "empty", "zeros", "fifo", "directory", "link"])
  func whatIsNotOursIsLeftAlone(kind: String) throws {
    let segment = freshSegment("stranger-\(kind)")
    let path = "/dev/shm/" + segment
    switch kind {
    case "text": write("hello", to: path)
    case "empty": write("", to: path)
    case "zeros": makeObject(segment, [])
    case "fifo": #expect(mkfifo(path, 0o600) == 0)
    case "directory": #expect(mkdir(path, 0o700) == 0)
    default: #expect(symlink("/dev/null", path) == 0)
    }
    let before = sharedMemoryMode(segment)
    #expect(before != nil, "not exercised")
    let run = program(segment, ["chain", "100"]).wait()
    #expect(run.status == 73, "\(run.errors)")
    #expect(run.messages.count == 1 && run.errors.contains("it is left alone"), "\(run.errors)")
    let reap = Command.run("pto2", ["reap", segment])
    #expect(reap.status == 1)
    #expect(reap.output.contains("\(segment)  foreign"), "\(reap.output)")
    #expect(worker(segment).status == 73)
    #expect(sharedMemoryMode(segment) == before)
    if kind == "directory" { rmdir(path) } else { unlink(path) }
  }

  @Test func otherVersionIsRefusedWithBoth() {
    let segment = freshSegment("version")
    makeObject(segment, [(0, 0x3147_4553_324F_5450), (8, 9 | 3 << 32)])
    defer { shm_unlink("/" + segment) }
    for name in ["pto2-worker", "pto2-scheduler"] {
      let result = Command.run(
        name, ["--segment", segment] + (name == "pto2-worker" ? ["--core", "aiv0"] : []))
      #expect(result.status == 73)
      #expect(
        result.errors.contains("the segment has ABI 9.3, this program ABI 2.0"), "\(result.errors)")
    }
  }

  /// Started at once: one has the name, the other says so.
  @Test func ofTwoRunsWithOneNameOneWins() throws {
    for round in 0..<10 {
      let segment = freshSegment("pair-\(round)")
      let pair = [program(segment, ["endless"]), program(segment, ["endless"])]
      var winner: Command?
      try #require(
        pair[0].waitUntil {
          winner = pair.first { $0.output.contains("running") }
          return winner != nil && pair.contains { !$0.isRunning }
        }, "\(pair.map(\.errors))")
      let loser = try #require(pair.first { $0 !== winner })
      let result = loser.wait()
      #expect(result.status == 73, "\(result.errors)")
      #expect(result.errors.contains("in use by "), "\(result.errors)")
      #expect(winner?.isRunning == true)
      winner?.signal(SIGINT)
      #expect(winner?.wait().status == 130)
      #expect(Leftovers.of(segment) == .none)
    }
  }

  /// Needs root, to be somebody else.
  @Test(.enabled(if: geteuid() == 0))
  func anotherUserIsRefused() throws {
    let segment = freshSegment("user")
    let command = program(segment, ["endless"])
    try #require(command.waitUntil { command.output.contains("running") })
    // Where that user may read it.
    let directory = Command.temporaryDirectory()
    #expect(chmod(directory, 0o755) == 0)
    for name in ["pto2-worker", "pto2-scheduler"] {
      let copy = Command.run("/usr/bin/cp", [Command.buildDirectory + name, directory])
      #expect(copy.status == 0)
      let result = Command.run(
        "/usr/bin/setpriv",
        [
          "--reuid=65534", "--regid=65534", "--clear-groups", directory + "/" + name, "--segment",
          segment,
        ] + (name == "pto2-worker" ? ["--core", "aiv0"] : []))
      #expect(result.status == 73, "\(result.errors)")
      #expect(
        result.errors.contains("belongs to another user (it has mode 0600): run as that user"),
        "\(result.errors)")
    }
    #expect(Command.run("/usr/bin/rm", ["-r", directory]).status == 0)
    command.signal(SIGINT)
    #expect(command.wait().status == 130)
  }

  /// The dead creator's pid has been given to a stranger: its start time tells them
  /// apart, and the stranger is left alone.
  @Test func strangerWithTheCreatorsPidIsLeftAlone() throws {
    let segment = freshSegment("stranger")
    let command = program(segment, ["endless"])
    try #require(command.waitUntil { command.output.contains("running") })
    try #require(command.waitUntil { processes(segment, named: "pto2-worker").count == 3 })
    let children =
      processes(segment, named: "pto2-worker") + processes(segment, named: "pto2-scheduler")
    for pid in children + [command.pid] { kill(pid, SIGSTOP) }
    for pid in children + [command.pid] { kill(pid, SIGKILL) }
    _ = command.wait()
    let deadline = time(nil) + Command.watchdogSeconds
    while !Leftovers.of(segment).processes.isEmpty && time(nil) < deadline { usleep(2000) }

    let stranger = Command("/usr/bin/sleep", ["600"])
    let descriptor = shm_open("/" + segment, O_RDWR, 0)
    var pid = UInt32(stranger.pid)
    // creator_pid of the header.
    #expect(pwrite(descriptor, &pid, 4, 36) == 4, "not exercised")
    close(descriptor)
    let result = worker(segment)
    #expect(result.status == 73)
    #expect(result.errors.contains("has ended; start a new run"), "\(result.errors)")
    #expect(Command.run("pto2", ["reap", segment]).status == 0)
    #expect(Leftovers.of(segment) == .none)
    #expect(stranger.isRunning)
    stranger.signal(SIGKILL)
    #expect(stranger.wait().status == 137)
  }
}
