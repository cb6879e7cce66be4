import Glibc
import Harness
import Testing

/// Names that programs give scopes and tasks, and what the tools say of them.
@Suite(.serialized) struct ScopeNameTests {
  /// A session whose program has submitted so many tasks and ended its scopes; nobody takes
  /// the tasks.
  private func unwired(
    _ arguments: [String], tasks: Int, _ check: (String) throws -> Void
  ) throws {
    let segment = freshSegment("scope-names")
    let program = Command(
      arguments[0],
      Array(arguments[1...]).map { $0 == "SEGMENT" ? segment : $0 })
    let isSubmitted = program.waitUntil {
      let look = Command.run("pto2", ["stat", segment, "--json"])
      return numbers("main_used", in: look.output).reduce(0, +) == Double(tasks)
        && Command.run("pto2", ["inspect", segment]).output.contains("The program ")
    }
    try #require(isSubmitted, "\(program.errors)")
    try check(segment)
    program.signal(SIGTERM)
    _ = program.wait()
    expectClean(segment)
  }

  private func script(_ graph: String, in folder: String) -> [String] {
    let path = folder + "/script.yaml"
    write("tensors: {x: {type: int32, shape: [64]}}\n" + graph, to: path)
    return ["pto2", "run", path, "--segment", "SEGMENT", "--quiet", "--no-launch"]
  }

  private func json(_ arguments: [String]) -> String {
    let result = Command.run("pto2", arguments + ["--json"])
    #expect(result.status == 0, "\(result.errors)")
    return result.output
  }

  /// Scope i of 8 has i + 1 tasks with an output of 256 bytes each; even ones are called layer
  /// 0 and take 1, 3, 5 and 7. One in it, without a name, is called so, too, and counts in the
  /// ring of its own depth.
  @Test func useOfEachNameIsCounted() throws {
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    let graph = """
      graph:
        - for: i
          below: 8
          do:
            - scope: {name: "layer {i % 2}"}
              do:
                - for: j
                  below: i + 1
                  do: [{task: copy, args: [{in: x}, {out: t}]}]
                - {task: none, args: [{in: t}]}
                - scope: automatic
                  do: [{task: copy, args: [{in: t}, {out: u}]}]
      """
    try unwired(script(graph, in: folder), tasks: 52) {
      let output = json(["stat", $0])
      // Ring 1, then ring 2, each by name.
      #expect(numbers("ended", in: output) == [4, 4, 4, 4], "\(output)")
      // Of layer 0: 2, 4, 6 and 8 tasks; of layer 1: 3, 5, 7 and 9. Between powers of two.
      #expect(numbers("half_tasks", in: output) == [7, 7, 1, 1], "\(output)")
      #expect(numbers("ninety_percent_tasks", in: output) == [8, 9, 1, 1], "\(output)")
      #expect(numbers("peak_tasks", in: output) == [8, 9, 1, 1], "\(output)")
      // 4, 12, 20, 28 and 8, 16, 24, 32 cache lines.
      #expect(numbers("half_heap_bytes", in: output) == [960, 1984, 256, 256], "\(output)")
      let heaps = numbers("peak_heap_bytes", in: output).suffix(4)
      #expect(Array(heaps) == [1792, 2048, 256, 256], "\(output)")
      // Of the task without a kernel, and in the inner scope: who put t out.
      let pools = numbers("peak_dep_pool", in: output).suffix(4)
      #expect(Array(pools) == [1, 1, 1, 1], "\(output)")
      #expect(
        output.contains(
          "--task-window 2 --consumed-window 2,16,2,2 --heap 64,2048,256,64 --dep-pool 4"),
        "\(output)")
      let text = Command.run("pto2", ["stat", $0]).output
      for words in [
        "   1  layer 0      4  tasks ", "\n   2  layer 1 ",
        "\nSizes that hold each of these scopes whole: --task-window 2 ",
      ] { #expect(text.contains(words), "\(text)") }
      let task = Command.run("pto2", ["inspect", $0, "--task", "2:3"]).output
      #expect(task.contains("scope         \"layer 1\", depth 2, "), "\(task)")
      #expect(
        json(["inspect", $0, "--task", "1:0"]).contains("\"scope\":\"layer 0\""))
      let recorded = Command.run("pto2", ["record", $0]).output
      #expect(
        recorded.split(separator: "- scope: {name: \"layer 0\"}").count == 5, "\(recorded)")
      #expect(recorded.split(separator: "- scope: automatic").count == 9, "\(recorded)")
    }
  }

  /// The names that have room are kept, others are none, and are counted; the same of uses.
  @Test func fullTablesAreSaid() throws {
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    let graph = """
      graph:
        - for: i
          below: 600
          do:
            - scope: {name: "{i}"}
              do: [{task: copy, args: [{in: x}, {out: t}]}]
      """
    try unwired(script(graph, in: folder), tasks: 600) {
      let output = json(["stat", $0])
      #expect(numbers("unnamed_scopes", in: output) == [89], "\(output)")
      #expect(numbers("unmeasured_scopes", in: output) == [255], "\(output)")
      #expect(numbers("ended", in: output) == [Double](repeating: 1, count: 256))
      #expect(
        json(["inspect", $0, "--task", "1:510"]).contains("\"scope\":\"510\""))
      #expect(!json(["inspect", $0, "--task", "1:511"]).contains("\"scope\":"))
    }
  }

  /// A name is cut behind a whole character, and what is no letter is not printed as it is.
  @Test func namesAreCutAndPrinted() throws {
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    let long = String(repeating: "x", count: 59)
    let graph = """
      graph:
        - scope: {name: "\(long)\u{e9}"}
          do: [{task: copy, args: [{in: x}, {out: t}]}]
        - scope: {name: "\\e[31mred"}
          do: [{task: copy, args: [{in: x}, {out: t}]}]
      """
    try unwired(script(graph, in: folder), tasks: 2) {
      let text = Command.run("pto2", ["stat", $0]).output
      #expect(text.contains("1  \(long) "), "\(text)")
      #expect(text.contains("[31mred") && !text.contains("\u{1b}"), "\(text)")
    }
  }

  /// A program in C names its scopes by a call of the table.
  @Test func programInCNamesScopes() throws {
    try unwired(
      [
        "pto2-orchestrator", "--program", Command.buildDirectory + "libTestProgram.so", "--quiet",
        "--no-launch", "--segment", "SEGMENT", "--", "outputs", "30",
      ], tasks: 91
    ) {
      let output = json(["stat", $0])
      #expect(output.contains("\"scope\":\"output\""), "\(output)")
      #expect(numbers("ended", in: output) == [30], "\(output)")
    }
  }

  private func names(_ arguments: [String]) -> [String] {
    [
      "pto2-orchestrator", "--program", Command.buildDirectory + "libTestProgram.so", "--quiet",
      "--segment", "SEGMENT",
    ] + arguments
  }

  /// What a task is called, and its scope; empty for none.
  private func namesOf(_ task: String, _ segment: String) -> [String] {
    let output = json(["inspect", segment, "--task", task])
    return ["name", "scope"].map { key in
      output.split(separator: "\"\(key)\":\"").dropFirst().first.map {
        String($0.prefix { $0 != "\"" })
      } ?? ""
    }
  }

  /// Names of tasks in scopes with a name and without, recorded in one and replayed in another,
  /// and none of a program that was compiled before there were names.
  @Test func tasksHaveNames() throws {
    let expected = [
      "0:0": ["first", ""], "1:0": ["gemm", "layer"], "1:1": ["", "layer"], "1:2": ["", "layer"],
      "1:3": ["", "layer"], "1:4": ["gemm", "layer"], "1:5": ["", "layer"],
      "1:6": ["gemm", "other"], "1:7": ["", "other"], "1:8": ["gemm", "other"],
      "1:9": ["", "other"],
    ]
    try unwired(names(["--no-launch", "--", "names"]), tasks: 11) { segment in
      for (task, names) in expected { #expect(namesOf(task, segment) == names, "\(task)") }
      let text = Command.run("pto2", ["inspect", segment, "--task", "1:6"]).output
      #expect(text.contains("task          1:6 \"gemm\"\n"), "\(text)")
      #expect(text.contains("scope         \"other\", depth 1, "), "\(text)")
      let ring = Command.run("pto2", ["inspect", segment, "--ring", "1"]).output
      #expect(ring.split(separator: " \"gemm\" ").count == 5, "\(ring)")
      // Scopes count by their own names alone.
      let stat = json(["stat", segment])
      #expect(stat.split(separator: "\"scope\":").count == 3, "\(stat)")
      #expect(numbers("unnamed_tasks", in: stat) == [0], "\(stat)")
    }
  }

  /// The same tasks run, and a trace has their names.
  @Test(arguments: ["pftrace", "json"]) func traceHasNamesOfTasks(format: String) throws {
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    let (segment, file) = (freshSegment("task-names"), folder + "/run." + format)
    let run = names(["--trace", file, "--", "names"]).map { $0 == "SEGMENT" ? segment : $0 }
    let result = Command.run(run[0], Array(run[1...]))
    #expect(result.status == 0, "\(result.errors)")
    expectClean(segment)
    guard format == "pftrace" else {
      let text = readFile(file)
      #expect(text.split(separator: "\"name\":\"gemm\"").count == 5, "\(text)")
      #expect(text.split(separator: "\"name\":\"first\"").count == 2, "\(text)")
      return
    }
    let trace = Command.run("pto2", ["trace", "--npy", folder, file])
    #expect(trace.status == 0, "\(trace.errors)")
    // The last two bytes of a record of 72, in the order of submission.
    let (tasks, words) = (body(of: folder + "/tasks.npy"), body(of: folder + "/names.npy"))
    let columns = stride(from: 70, to: tasks.count, by: 72).map {
      Int(tasks[$0]) + Int(tasks[$0 + 1]) << 8
    }
    #expect(
      columns.map { $0 == 0 ? "" : String(decoding: words[($0 - 1) * 5..<$0 * 5], as: UTF8.self) }
        == ["first", "gemm\0", "", "", "", "gemm\0", "", "gemm\0", "", "gemm\0", ""],
      "\(columns)")
  }

  /// What is behind the header of an array in NumPy's format.
  private func body(of file: String) -> [UInt8] {
    guard let bytes = readBytes(file), bytes.count > 10 else { return [] }
    return Array(bytes[(10 + Int(bytes[8]) + Int(bytes[9]) << 8)...])
  }

  /// The error of a task that failed says its name, and so does `inspect`.
  @Test func failedTaskIsNamed() {
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    let segment = freshSegment("task-names-failed")
    write(
      """
      tensors: {x: {type: int32, shape: [64]}}
      graph:
        - {task: copy, name: before, args: [{in: x}, {out: t}]}
        - scope: {name: layer}
          do: [{task: crash, name: "row {7}", args: [{inout: x}]}]
      """, to: folder + "/script.yaml")
    let result = Command.run(
      "pto2", ["run", folder + "/script.yaml", "--segment", segment, "--quiet"])
    #expect(result.status == 40, "\(result.errors)")
    #expect(result.errors.contains("task 1:0 \"row 7\" failed: "), "\(result.errors)")
    expectClean(segment)
  }

  /// A task in which a session stands still is said with its name.
  @Test func stuckSaysTheName() throws {
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    let segment = freshSegment("task-names-stuck")
    write(
      """
      graph:
        - {task: sleep, name: "slow one", scalars: 60000000}
        - {task: none, name: "behind it", after: "slow one"}
      """, to: folder + "/script.yaml")
    let run = Command(
      "pto2", ["run", folder + "/script.yaml", "--segment", segment, "--quiet"])
    let isSaid = run.waitUntil {
      let text = Command.run("pto2", ["stuck", segment]).output
      return text.contains("0:0 \"slow one\" (kernel ")
    }
    #expect(isSaid, "\(Command.run("pto2", ["stuck", segment]).output)")
    run.signal(SIGTERM)
    _ = run.wait()
    expectClean(segment)
  }

  /// The names that have room are kept, others are none, and are counted.
  @Test func fullTableOfTaskNamesIsSaid() throws {
    try unwired(names(["--no-launch", "--", "many-names", "600"]), tasks: 600) {
      let output = json(["stat", $0])
      #expect(numbers("unnamed_tasks", in: output) == [89], "\(output)")
      #expect(numbers("unnamed_scopes", in: output) == [0], "\(output)")
      #expect(namesOf("0:510", $0) == ["510", ""])
      #expect(namesOf("0:511", $0) == ["", ""])
      let text = Command.run("pto2", ["stat", $0]).output
      #expect(text.contains("no room for more: 89 tasks\n"), "\(text)")
    }
  }

  /// A trace has the name with each task, in the file and once it is read back.
  @Test(arguments: ["pftrace", "json"]) func traceHasNames(format: String) throws {
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    write(
      """
      tensors: {x: {type: int32, shape: [64]}}
      graph:
        - {task: copy, args: [{in: x}, {out: t}]}
        - for: i
          below: 5
          do:
            - scope: {name: "layer {i % 2}"}
              do: [{task: copy, args: [{in: x}, {out: t}]}, {task: none, args: [{in: t}]}]
      """, to: folder + "/script.yaml")
    let file = folder + "/run." + format
    let run = Command.run("pto2", ["run", folder + "/script.yaml", "--trace", file, "--quiet"])
    #expect(run.status == 0, "\(run.errors)")
    guard format == "pftrace" else {
      let text = readFile(file)
      #expect(text.split(separator: "\"scope\":\"layer 0\"").count == 4, "\(text)")
      return
    }
    let output = json(["trace", file])
    let scopes = output.split(separator: "\"scopes\"").last!.prefix { $0 != "]" }
    #expect(scopes.contains("layer 0") && scopes.contains("layer 1"), "\(scopes)")
    #expect(numbers("tasks", in: String(scopes)).sorted() == [4, 6], "\(scopes)")
    #expect(numbers("kernel_ns", in: String(scopes)).allSatisfy { $0 > 0 }, "\(scopes)")
    #expect(Command.run("pto2", ["trace", file]).output.contains("\nSCOPE    TASKS"))
    #expect(
      Command.run("pto2", ["report", file, "-o", folder + "/page.html"]).status == 0)
    #expect(readFile(folder + "/page.html").contains("\"layer 1\""))
  }
}
