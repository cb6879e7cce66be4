import Glibc
import Harness
import PTO2System
import Testing

/// `pto2 test`, `run` and `graph`: scripts that pass, scripts that must fail, and what is left.
@Suite(.serialized, .elsewhereToo) struct ScriptRunTests {
  /// Files of a folder of their own, by name.
  private func withScripts(_ files: [String: String], _ body: (String) throws -> Void) rethrows {
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    for (name, text) in files { write(text, to: folder + "/" + name) }
    try body(folder)
  }

  private func test(_ arguments: [String]) -> Command.Result {
    let command = Command("pto2", ["test"] + arguments)
    let result = command.wait()
    expectNothingLeft(of: command.pid)
    return result
  }

  /// Of a `pto2 test` of this process: its sessions carry its pid.
  private func expectNothingLeft(
    of pid: pid_t, location: SourceLocation = #_sourceLocation
  ) {
    let prefix = "pto2-test-\(pid)-"
    #expect(entries(of: "/dev/shm").filter { $0.hasPrefix(prefix) } == [], sourceLocation: location)
    let words = numbers(in: "/proc").flatMap { commandLine(of: $0) }
    #expect(words.filter { $0.hasPrefix(prefix) } == [], sourceLocation: location)
    #expect(
      entries(of: "/tmp").filter { $0.hasPrefix("pto2-test-") && holds($0, pid) } == [],
      sourceLocation: location)
  }

  /// Whether a folder of /tmp has what this process's runs write.
  private func holds(_ folder: String, _ pid: pid_t) -> Bool {
    readFile("/tmp/\(folder)/orchestrator.err").contains("pto2-test-\(pid)-")
  }

  @Test func everyScriptPasses() {
    let result = test(["--jobs", "2", repositoryRoot + "Tests/Scripts"])
    let lines = result.output.split(separator: "\n")
    let others = lines.filter { !$0.hasPrefix("ok ") }.joined(separator: "\n")
    #expect(result.status == 0, "\(others)\n\(result.errors)")
    let passed = lines.count { $0.hasPrefix("ok ") }
    #expect(passed > 90 && lines.contains("1..\(passed)"), "\(passed)")
    #expect(lines.last == "# \(passed) passed, 0 failed")
  }

  // MARK: Scripts that must fail

  private static let failing: [(name: String, script: String, words: [String])] = [
    (
      "fault-never-fires",
      """
      graph: [{task: spin, scalars: 10}]
      faults: [{at: 60, do: kill, to: scheduler}]
      """,
      ["exit status: expected 0, found 75", "fault 0 (kill scheduler at 60.0 s) never fired"]
    ),
    (
      "wrong-result",
      """
      tensors: {x: {type: int32, shape: [8]}}
      graph: [{task: fill, args: [{overwrite: "x[2:]"}], scalars: 4}]
      expect: {results: {x: [0, 0, 4, 4, 4, 4, 5, 4]}}
      """,
      ["x is wrong in 1 of 8 elements, first element 6: expected 5, found 4"]
    ),
    (
      "wrong-model",
      """
      images: VectorKernels
      kernels: {vec_mul: add}
      tensors: {a: {shape: [4], value: 3}, b: {shape: [4]}}
      graph: [{task: vec_mul, args: [{in: a}, {in: a}, {overwrite: b}]}]
      """,
      ["b is wrong in 4 of 4 elements, first element 0: expected 6.0, found 9.0"]
    ),
    (
      "unknown-model",
      """
      images: VectorKernels
      tensors: {a: {shape: [4], value: 3}, b: {shape: [4]}}
      graph: [{task: vec_mul, args: [{in: a}, {in: a}, {overwrite: b}]}]
      """,
      ["the script does not say what element 0 of b is", "nobody knows what vec_mul computes"]
    ),
    (
      "outside-tolerance",
      """
      tensors: {x: {shape: [2]}}
      graph: [{task: fill, args: [{overwrite: x}], scalars: 1.25}]
      expect: {results: {x: {is: 1, tolerance: 0.2}}}
      """,
      ["x is wrong in 2 of 2 elements"]
    ),
    (
      "wrong-status",
      "graph: [{fail: no luck}]\nexpect: {status: 0}",
      ["exit status: expected 0, found 19", "no luck"]
    ),
    (
      "wrong-error",
      "graph: [{fail: no luck}]\nexpect: {error: 5, message: luckier}",
      ["error: expected 5 INVALID_ARGS, found 9", "message: expected \\\"luckier\\\""]
    ),
    (
      "wrong-report",
      """
      graph: [{task: none}]
      expect:
        report: {tasks: "> 1", session: nowhere, kernls: 0, rings.9.submitted: 0}
        stdout: never said
        seconds: "> 100"
      """,
      [
        "report tasks (line 3): expected > 1, found 1",
        "session (line 3): expected \\\"nowhere\\\"",
        "no \\\"kernls\\\" there: did you mean \\\"kernels\\\"?", "no \\\"9\\\" there",
        "stdout: expected \\\"never said\\\"", "seconds: expected > 100, found 0.",
      ]
    ),
    (
      "never-done",
      """
      graph: [{task: none}]
      actions: [{when: {submitted: 1000}, signal: KILL, to: scheduler}]
      """,
      ["the action of line 2 was never done"]
    ),
    (
      "wrong-helper-status",
      """
      session: {no-launch: true}
      graph: [{task: none}]
      actions:
        - {start: scheduler, status: 3}
        - {start: worker, cores: [aic0, aiv0, aiv1], status: any}
      """,
      ["status of the scheduler of line 4: expected 3, found 0"]
    ),
    (
      "no-leftovers",
      "graph: []\nexpect: {leftovers: segment}",
      ["leftovers: expected a segment, and there is none"]
    ),
    (
      "hangs",
      """
      timeout: 3
      graph: [{task: sleep, scalars: 60000000}]
      """,
      ["it has not ended after 3.0 s (timeout)", "stuck says: stuck: kernel script_sleep"]
    ),
  ]

  @Test func whatDoesNotHoldFails() {
    var files: [String: String] = [:]
    for (name, script, _) in Self.failing { files[name + ".yaml"] = script }
    withScripts(files) { folder in
      let result = test(["--jobs", "4", folder])
      #expect(result.status == 1, "\(result.output)\(result.errors)")
      let blocks = result.output.split(separator: "not ok ").dropFirst()
      #expect(blocks.count == Self.failing.count, "\(result.output)")
      for (name, _, words) in Self.failing {
        let block = blocks.first { $0.contains("/\(name).yaml") } ?? ""
        for words in words { #expect(block.contains(words), "\(name): \(block)") }
      }
    }
  }

  // MARK: Scripts with an error

  @Test(arguments: [
    ("", "1:1: the script is empty"),
    ("# nothing\n", "1:1: the script is empty"),
    ("graph:\n  - {task: add, scalers: 1}\n", "2:17: unknown key \"scalers\" of a task"),
    ("tensors: {x: {type: int23, shape: 4}}\ngraph: []\n", "1:21: no type \"int23\""),
    ("graph:\n  - {repeat: 1000000000, do: [{task: none}]}\n", "2:31: the graph has more than"),
    ("graph: []\nfaults: [{at: 1, do: kill, to: nobody}]\n", "2:32: \"to\": expected"),
    ("graph: [\u{0}]\n", "1:"),
  ])
  func errorsHaveFileLineAndColumn(text: String, words: String) {
    withScripts(["wrong.yaml": text, "right.yaml": "graph: []\n"]) { folder in
      for arguments in [
        ["test", folder], ["run", folder + "/wrong.yaml"], ["graph", folder + "/wrong.yaml"],
      ] {
        let result = Command.run("pto2", arguments)
        #expect(result.status == 65, "\(arguments): \(result.output)\(result.errors)")
        #expect(result.errors.contains("/wrong.yaml:" + words), "\(result.errors)")
        #expect(result.output.isEmpty, "one that is right was run: \(result.output)")
      }
    }
  }

  @Test func pathsWithoutScriptsAreRefused() {
    withScripts(["notes.txt": "graph: []\n"]) { folder in
      let empty = Command.run("pto2", ["test", folder])
      #expect(empty.status == 64 && empty.errors.contains("no file in it ends with .yaml"))
      let missing = Command.run("pto2", ["test", folder + "/none.yaml"])
      #expect(missing.status == 64 && missing.errors.contains("no such file or folder"))
      let binary = Command.run("pto2", ["test", Command.buildDirectory + "pto2"])
      #expect(binary.status == 65 && binary.errors.contains("has more than 1000000 bytes"))
    }
  }

  // MARK: Ends from outside

  @Test(arguments: [SIGINT, SIGTERM])
  func signalsLeaveNothing(signal: Int32) throws {
    let script = "graph: [{task: sleep, scalars: 60000000}]\n"
    try withScripts(["a.yaml": script, "b.yaml": script]) { folder in
      let command = Command("pto2", ["test", "--jobs", "2", folder])
      let prefix = "pto2-test-\(command.pid)-"
      try #require(
        command.waitUntil {
          numbers(in: "/proc").count { pid in
            let words = commandLine(of: pid)
            return words.contains { $0.hasPrefix(prefix) }
              && words.first?.hasSuffix("/pto2-worker") == true
          } == 6
        })
      command.signal(signal)
      let result = command.wait()
      #expect(result.status == 128 + signal, "\(result.errors)")
      #expect(result.output.contains("Bail out! ended by signal \(signal)"))
      expectNothingLeft(of: command.pid)
    }
  }

  // MARK: Output

  @Test func failedSegmentIsKept() {
    let script = """
      tensors: {x: {type: int32, shape: [4]}}
      graph: [{task: fill, args: [{overwrite: x}], scalars: 1}]
      expect: {results: {x: 2}}
      """
    withScripts(["kept.yaml": script]) { folder in
      let command = Command("pto2", ["test", "--keep", "kept.yaml"], workingDirectory: folder)
      let result = command.wait()
      #expect(result.status == 1)
      #expect(result.output.contains("kept: \"./kept.segment\""), "\(result.output)")
      let inspect = Command.run("pto2", ["inspect", folder + "/kept.segment"])
      #expect(inspect.output.contains("orchestrator done, scheduler stopped"), "\(inspect)")
      let stuck = Command.run("pto2", ["stuck", folder + "/kept.segment"])
      #expect(stuck.status == 0, "the run itself has ended well: \(stuck.output)\(stuck.errors)")
    }
  }

  @Test func resultsAreWrittenForPrograms() {
    let right = "description: Goes <well> & ends\ngraph: [{task: none}]\n"
    let wrong = "graph: [{print: \"{seed}]]>\"}]\nexpect: {status: 3}\n"
    withScripts(["right.yaml": right, "wrong.yaml": wrong]) { folder in
      let result = test(
        ["--json", "--repeat", "2", "--seed", "7", "--junit", folder + "/junit.xml", folder])
      #expect(result.status == 1)
      let lines = result.output.split(separator: "\n")
      #expect(lines.count == 4 && lines.allSatisfy { $0.hasPrefix("{\"file\":") })
      #expect(lines.count { $0.contains("\"result\":\"failed\"") } == 2)
      #expect(lines.map { number("seed", in: String($0)) } == [7, 8, 7, 8])
      let xml = readFile(folder + "/junit.xml")
      #expect(xml.contains("tests=\"4\" failures=\"2\" errors=\"0\""), "\(xml)")
      #expect(xml.contains("8]]&gt;") && xml.contains("wrong.yaml (seed 8)"), "\(xml)")
      let list = Command.run("pto2", ["test", "--list", folder])
      #expect(list.output.contains("right.yaml  Goes <well> & ends\n"), "\(list.output)")
    }
  }

  /// A file that cannot be made is told before anything is run.
  @Test func resultsHaveTheirPlaceBeforeAnythingIsRun() {
    withScripts(["right.yaml": "graph: [{task: none}]\n", "wrong.yaml": "graph: 7\n"]) { folder in
      func run(_ junit: String, _ words: String...) -> Command.Result {
        Command.run("pto2", ["test", "--junit", junit] + words)
      }
      for (path, words) in [("/nowhere/x.xml", "No such file"), (folder, "Is a directory")] {
        let lost = run(path, folder + "/right.yaml")
        #expect(lost.status == 74 && lost.output.isEmpty, "\(lost.output)")
        #expect(
          lost.errors.hasPrefix("pto2: error: --junit open \(path): \(words)")
            && lost.errors.contains("No script was run"), "\(lost.errors)")
      }
      // Its old content is lost only to new results.
      let path = folder + "/junit.xml"
      #expect(run(path, folder + "/right.yaml").status == 0)
      let before = readFile(path)
      #expect(before.contains("tests=\"1\" failures=\"0\""), "\(before)")
      #expect(run(path, folder + "/wrong.yaml").status == 65)
      #expect(run(path, "--list", folder + "/right.yaml").status == 0)
      #expect(readFile(path) == before)
    }
  }

  @Test func runPrintsTheReport() {
    let script = """
      session: {clusters: 2, lanes: 3}
      tensors: {x: {type: int32, shape: [4]}}
      graph: [{repeat: 10, do: [{aic: increase, args: [{inout: x}], scalars: 1}]}]
      expect: {status: 77}
      """
    let faults = "{\"faults\": [{\"point\": \"release\", \"hit\": 3, \"do\": \"kill\"}]}"
    withScripts(["run.yaml": script, "faults.json": faults]) { folder in
      let plain = Command.run("pto2", ["run", folder + "/run.yaml"])
      #expect(plain.status == 0 && plain.output.contains("  tasks                   10, "))
      #expect(plain.errors.contains("2 cluster(s) = 6 cores, 3 lane(s)"), "\(plain.errors)")
      let other = Command.run(
        "pto2",
        [
          "run", folder + "/run.yaml", "--clusters", "1", "--json", "--faults",
          folder + "/faults.json",
        ])
      #expect(other.status == 0, "\(other.errors)")
      #expect(number("cores", in: other.output) == 3, "the command line goes first")
      #expect(number("scheduler_restarts", in: other.output) == 1, "\(other.output)")
      let wrong = Command.run("pto2", ["run", folder + "/run.yaml", "--no-such-flag"])
      #expect(wrong.status == 64)
    }
  }

  /// Every example of the page is a script that passes.
  @Test func everyExampleOfThePagePasses() {
    var files: [String: String] = [:]
    var lines: [Substring]?
    for line in readFile(repositoryRoot + "docs/scripts.md")
      .split(separator: "\n", omittingEmptySubsequences: false)
    {
      if line == "```yaml" {
        lines = []
      } else if line.hasPrefix("```"), let script = lines {
        files["example\(files.count).yaml"] = script.joined(separator: "\n") + "\n"
        lines = nil
      } else {
        lines?.append(line)
      }
    }
    #expect(files.count >= 8, "\(files.count)")
    withScripts(files) { folder in
      let result = test(["--jobs", "2", folder])
      #expect(result.status == 0, "\(result.output)\(result.errors)")
      #expect(result.output.contains("\n# \(files.count) passed"), "\(result.output)")
    }
  }
}
