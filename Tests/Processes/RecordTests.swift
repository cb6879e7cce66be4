import Glibc
import Harness
import PTO2Sight
import PTO2System
import Testing

/// `pto2 record`: what a session has run becomes a script that does the same.
@Suite(.serialized, .elsewhereToo) struct RecordTests {
  /// A run that begins when its segment is open here, so that it can be recorded at its end.
  /// - Parameter check: is given the path under which the segment still is.
  private func afterwards(
    _ name: String, _ arguments: [String], status: Int32 = 0,
    _ check: (String) throws -> Void
  ) throws {
    let segment = freshSegment("record")
    let command = Command(
      name, arguments.map { $0 == "SEGMENT" ? segment : $0 })
    try #require(command.waitUntil { isNamed(segment) }, "\(command.errors)")
    let descriptor = open("/dev/shm/" + segment, O_RDONLY)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    let scheduler = Command("pto2-scheduler", ["--segment", segment])
    let worker = Command("pto2-worker", ["--segment", segment, "--cores", "aic0,aiv0,aiv1"])
    let result = command.wait()
    #expect(result.status == status, "\(result.errors)")
    for other in [scheduler, worker] { _ = other.wait() }
    try check("/proc/\(getpid())/fd/\(descriptor)")
    expectClean(segment)
  }

  private func byHand(_ program: [String], _ rest: [String]) -> [String] {
    program + ["--quiet", "--no-launch", "--segment", "SEGMENT"] + rest
  }

  private func program(_ scene: [String], _ options: [String] = []) -> [String] {
    byHand(
      ["--program", Command.buildDirectory + "libTestProgram.so"] + options, ["--"] + scene)
  }

  private func record(_ place: String) -> String {
    let result = Command.run("pto2", ["record", place])
    #expect(result.status == 0, "\(result.errors)")
    return result.output
  }

  /// Its script has the results that the program checks, and is recorded as itself.
  @Test(
    arguments: [
      ("mixed", "60", "[30, 40, 20]"), ("outputs", "30", "[29]"), ("rounds", "20", ""),
      ("spmd", "7", ""), ("predicates", "", ""),
    ])
  func scriptDoesWhatTheProgramDid(scene: String, count: String, results: String) throws {
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    var first = ""
    try afterwards("pto2-orchestrator", program([scene, count])) { first = record($0) }
    #expect(first.contains("near: 0") == (scene == "spmd"))
    let path = folder + "/recorded.yaml"
    write(first, to: path)
    try afterwards("pto2", byHand(["run", path], [])) { #expect(record($0) == first) }
    // What the program expects of its first tensor.
    var script = first
    if !results.isEmpty {
      #expect(first.contains("x0: any"), "\(first.suffix(500))")
      script = first.replacing("x0: any", with: "x0: \(results)")
    }
    write(script, to: folder + "/checked.yaml")
    let test = Command.run("pto2", ["test", folder + "/checked.yaml"])
    #expect(test.status == 0, "\(test.output)\(test.errors)\n\(script.prefix(3000))")
  }

  /// `pto2 run --record` writes the script of a run however it has ended, and ends as the run.
  @Test(
    arguments: [
      (["--record", "FILE", "SCRIPT", "--quiet"], 0),
      (["SCRIPT", "--quiet", "--record=FILE"], 0),
      (["--record", "FILE", "--", "TOOL", "run", "SCRIPT", "--quiet"], 0),
      (["--record", "FILE", "--", "TOOL", "run", "FAILING", "--quiet"], 19),
    ] as [([String], Int32)])
  func runIsRecorded(words: [String], status: Int32) throws {
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    let script = """
      tensors: {x: {type: int32, shape: [4]}}
      graph:
        - repeat: 5
          do:
            - {task: increase, args: [{inout: x}], scalars: 2}
        - {task: sleep, args: [{in: x}, {out: y}], scalars: 100000}
      """
    write(script, to: folder + "/five.yaml")
    write(script + "\n  - {wait: all}\n  - {fail: enough}\n", to: folder + "/fails.yaml")
    let path = folder + "/recorded.yaml"
    let named = [
      "SCRIPT": folder + "/five.yaml", "FAILING": folder + "/fails.yaml", "FILE": path,
      "--record=FILE": "--record=" + path, "TOOL": Command.buildDirectory + "pto2",
    ]
    let result = Command.run("pto2", ["run"] + words.map { named[$0] ?? $0 })
    #expect(result.status == status, "\(result.errors)")
    let recorded = readFile(path)
    #expect(recorded.ranges(of: "increase").count == 5, "\(recorded)")
    write(recorded.replacing("x0: any", with: "x0: 10"), to: folder + "/checked.yaml")
    let test = Command.run("pto2", ["test", folder + "/checked.yaml"])
    #expect(test.status == 0 && recorded.contains("x0: any"), "\(test.output)\(recorded)")
  }

  /// A signal to who records is the program's, and what it had submitted is recorded.
  @Test func signalsAreThePrograms() {
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    write(
      """
      tensors: {x: {type: int32, shape: [4]}}
      graph:
        - {task: sleep, args: [{in: x}, {out: y}], scalars: 60000000}
      """, to: folder + "/long.yaml")
    let (path, segment) = (folder + "/recorded.yaml", uniqueSegmentName())
    let command = Command(
      "pto2", ["run", "--record", path, folder + "/long.yaml", "--quiet", "--segment", segment])
    var reader: PictureReader?
    let hasBegun = command.waitUntil {
      reader = reader ?? (try? PictureReader(segment))
      return reader?.picture().cores.contains { !$0.outstanding.isEmpty } ?? false
    }
    #expect(hasBegun && !isAccessible(path))
    command.signal(SIGTERM)
    let result = command.wait()
    #expect(result.status == 128 + SIGTERM, "\(result.errors)")
    expectClean(segment)
    #expect(readFile(path).contains("sleep"), "\(result.errors)\(readFile(path))")
  }

  /// What cannot be recorded is said, and a program that cannot be run.
  @Test func runThatCannotBeRecordedIsSaid() {
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    let path = folder + "/recorded.yaml"
    for (words, status, text) in [
      (["--record", path, "--", "/bin/true"], Int32(1), "no segment of /bin/true was seen"),
      (["--record", path, "--", "/bin/false"], 1, "no segment of /bin/false was seen"),
      (["--record", path, "--", "/nowhere/program"], 73, "/nowhere/program"),
      (["--record", "/nowhere/file.yaml", "--", "/bin/true"], 74, "Nothing was run"),
      (["--", "/bin/true"], 64, "a program goes with --record FILE"),
      (["--record", path], 64, "expected a script"),
      (["--record", path, "x.yaml", "--", "/bin/true"], 64, "expected a script"),
    ] {
      let result = Command.run("pto2", ["run"] + words)
      #expect(result.status == status, "\(words): \(result.status) \(result.errors)")
      #expect(result.errors.contains(text), "\(words): \(result.errors)")
    }
  }

  /// A run that has failed is a script that fails in the same way, and only in that.
  @Test func failureBecomesAScript() throws {
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    write(
      """
      tensors: {x: {type: int32, shape: [4]}, y: {type: int32, shape: [4]}}
      graph:
        - scope: automatic
          do:
            - {task: copy, args: [{in: x}, {out: t}]}
            - {task: crash, args: [{inout: x}, {in: "t[1:3]"}]}
        - {task: copy, args: [{in: x}, {overwrite: y}]}
      """, to: folder + "/crash.yaml")
    // The worker by hand is not started again.
    let segment = freshSegment("record-crash")
    let program = Command("pto2", ["run", folder + "/crash.yaml", "--segment", segment, "--quiet"])
    try #require(program.waitUntil { isNamed(segment) })
    let descriptor = open("/dev/shm/" + segment, O_RDONLY)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    #expect(program.wait().status == 40)
    let script = record("/proc/\(getpid())/fd/\(descriptor)")
    #expect(script.contains("  error: WORKER_DIED\n"), "\(script)")
    #expect(script.contains("t0.strided(1, 2, 1)"), "\(script)")
    write(script, to: folder + "/recorded.yaml")
    let test = Command.run("pto2", ["test", folder + "/recorded.yaml"])
    #expect(test.status == 0, "\(test.output)\n\(script)")
    write(script.replacing("script_crash", with: "script_spin"), to: folder + "/tame.yaml")
    #expect(Command.run("pto2", ["test", folder + "/tame.yaml"]).status == 1)
  }

  /// Who waits for whom by id alone, and what is retained so, is in the script: recorded while
  /// nobody has taken a task, so that no producer is done; run on two cores, where the one that
  /// reads would begin too early without it.
  @Test func dependenciesByIDAreKept() throws {
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    write(
      """
      tensors:
        y: {type: int32, shape: [4]}
        z: {type: int32, shape: [4]}
      graph:
        - {task: fill, name: first, args: [{out: t, type: int32, shape: 4}], scalars: 7}
        - {task: sleep, name: late, args: [{in: t}, {unordered: y}], scalars: 300000}
        - {task: copy, args: [{in: y}, {overwrite: z}], after: late}
        - {task: none, retain: [first, late]}
      """, to: folder + "/by-id.yaml")
    let script = try recordUnwired(folder + "/by-id.yaml", tasks: 4)
    for words in ["overwrite: x1}], after: [task_0_1]}", "retain: [task_0_0]"] {
      #expect(script.contains(words), "\(script)")
    }
    write(script, to: folder + "/recorded.yaml")
    #expect(try recordUnwired(folder + "/recorded.yaml", tasks: 4) == script)
    let checked = script.replacing("x0: any", with: "x0: 7").replacing("x1: any", with: "x1: 7")
    write(checked, to: folder + "/checked.yaml")
    let test = Command.run("pto2", ["test", folder + "/checked.yaml"])
    #expect(test.status == 0, "\(test.output)\(test.errors)\n\(checked)")
    write(checked.replacing(", after: [task_0_1]", with: ""), to: folder + "/dropped.yaml")
    let dropped = Command.run("pto2", ["test", folder + "/dropped.yaml"])
    #expect(dropped.status == 1 && dropped.output.contains("x1 is wrong"), "\(dropped.output)")
  }

  /// The script of a session that has submitted so many tasks, and has no scheduler.
  private func recordUnwired(_ path: String, tasks: Int) throws -> String {
    let segment = freshSegment("record-unwired")
    let program = Command("pto2", ["run", path, "--segment", segment, "--quiet", "--no-launch"])
    let isSubmitted = program.waitUntil {
      let look = Command.run("pto2", ["stat", segment, "--json"])
      return number("main_used", in: look.output) == Double(tasks)
    }
    try #require(isSubmitted, "\(program.errors)")
    let script = record(segment)
    program.signal(SIGTERM)
    _ = program.wait()
    expectClean(segment)
    return script
  }

  /// What the rings no longer hold is said, with the option that makes them larger.
  @Test func whatIsGoneIsSaid() throws {
    try afterwards("pto2-orchestrator", program(["chain", "40"], ["--task-window", "16"])) {
      let result = Command.run("pto2", ["record", $0])
      #expect(result.status == 1 && result.output.isEmpty)
      for words in ["ring 0 has had 40 tasks", "a larger --task-window"] {
        #expect(result.errors.contains(words), "\(result.errors)")
      }
    }
    #expect(Command.run("pto2", ["record", "no-such-segment-\(getpid())"]).status == 73)
    #expect(Command.run("pto2", ["record", "x", "--json"]).status == 64)
  }
}
