import Harness
import Testing

/// Every benchmark runs and prints plausible figures. How good they are is not
/// tested: that depends on what else the machine does.
@Suite(.serialized) struct BenchmarkTests {
  static let names = [
    "register-hop", "submit-first-lap", "independent", "chain-explicit", "chain", "chain-tensor",
    "fan-explicit", "fan", "no-kernel", "no-kernel-chain-explicit", "no-kernel-chain", "views",
    "arguments", "stencil", "replay", "independent-hogs", "chain-hogs", "independent-8", "chain-8",
    "fan-8", "next-run",
    "whole-run",
    "whole-run-8",
  ]

  @Test func quickRunHasEveryBenchmark() throws {
    let result = Command.run("pto2-bench", ["--quick", "--json"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.errors.isEmpty)
    let found = result.output.split(separator: "\"name\":\"").dropFirst()
      .map { String($0.prefix { $0 != "\"" }) }
    #expect(found == Self.names)
    let count = Self.names.count
    for key in ["end_to_end_us", "ping_pong_us", "ping_pong_ratio", "tasks", "runs"] {
      let values = numbers(key, in: result.output).filter { $0 > 0 && $0.isFinite }
      #expect(values.count >= count, "\(key): \(values)")
    }
    // Submits of the register hop, of a run in an open session and of the two whole runs
    // are not timed.
    let submits = numbers("submit_us", in: result.output).filter { $0 > 0 && $0.isFinite }
    #expect(submits.count >= count - 4, "\(submits)")
  }

  @Test func tableAndSelection() {
    let result = Command.run("pto2-bench", ["--quick", "--only", "chain", "--repeat", "2"])
    #expect(result.status == 0, "\(result.errors)")
    let lines = result.output.split(separator: "\n")
    #expect(lines.contains { $0.hasPrefix("chain ") })
    #expect(!lines.contains { $0.hasPrefix("fan ") })
  }

  /// While an early output stays alive, a ring takes as many tasks as it has
  /// consumed entries, however few main slots there are.
  @Test func dualRing() {
    let result = Command.run("pto2-bench", ["--dual-ring", "--quick", "--json"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(numbers("tasks_until_held_up", in: result.output) == [64, 256])
    // A main slot, a descriptor and a slot state for each task that needs none.
    #expect(
      number("saved_bytes", in: result.output) == Double((65536 - 16384) * (64 + 64 + 128 + 8)))
    let table = Command.run("pto2-bench", ["--dual-ring", "--quick"])
    let rows = table.output.split(separator: "\n").map { $0.split(separator: " ") }
    #expect(rows.contains(["dual", "ring", "64", "256", "256"]), "\(table.output)")
  }

  @Test(arguments: ["orchestrator", "scheduler", "worker"])
  func instructionsOfARoleAreCounted(role: String) {
    let result = Command.run(
      "pto2-instructions",
      [
        "--bin", Command.buildDirectory, "--graph", "chain", "--role", role, "--rounds", "1",
        "--steps", role == "scheduler" ? "60000" : "30000", "--json",
      ])
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("\"role\": \"\(role)\""))
    let figure = result.output.split(separator: "\"instructions\": [").last?.prefix { $0 != "]" }
    #expect(figure.flatMap { Double($0) } ?? 0 > 100, "\(result.output)")
  }

  static let patterns = [
    "trivial", "no_comm", "stencil_1d", "stencil_1d_periodic", "dom", "tree", "fft", "nearest",
    "spread", "random_nearest",
  ]

  /// Every graph of Task Bench runs, with every input checked.
  @Test(arguments: ["pto2", "pto2-explicit", "pto2-replay"])
  func taskBenchRunsEveryPattern(system: String) {
    let result = Command("pto2-taskbench", quick(system) + ["--pattern", "all"])
      .wait()
    #expect(result.status == 0, "\(result.errors)")
    #expect(texts("pattern", in: result.output) == Self.patterns)
    #expect(texts("system", in: result.output) == Self.patterns.map { _ in system })
    #expect(!result.output.contains("\"valid\":false"))
    for key in ["peak_flops", "empty_tasks_per_second", "metg_50_us", "metg_75_us"] {
      let values = numbers(key, in: result.output).filter { $0 > 0 && $0.isFinite }
      #expect(values.count == Self.patterns.count, "\(key): \(values)")
    }
  }

  /// One task that puts out something wrong is noticed by those that read it.
  @Test(arguments: ["pto2", "pto2-explicit", "pto2-in-place"])
  func taskBenchNoticesAWrongInput(system: String) {
    let result = Command("pto2-taskbench", quick(system) + ["--pattern", "all", "--break"])
      .wait()
    #expect(result.status == 1)
    #expect(texts("failure", in: result.output).count == Self.patterns.count)
    #expect(
      result.output.ranges(of: "exit status 1: taskbench-pto2: a task had a wrong input").count
        == Self.patterns.count, "\(result.output)")
  }

  /// Patterns at the limits of the width, kernels of different lengths, every number of
  /// workers.
  @Test(arguments: [1, 2, 3, 8, 64])
  func taskBenchRunsEveryWidth(width: Int) {
    for (index, pattern) in Self.patterns.enumerated() {
      let result = Command.run(
        "taskbench-pto2",
        [["--explicit"], ["--snapshots"], []][(index + width) % 3] + [
          "--pattern", pattern, "--width", "\(width)", "--steps", "12", "--radix", "7", "--iter",
          "20", "--imbalance", "1.5", "--seconds", "0", "--workers", "\(min(width, 3))",
        ])
      #expect(result.status == 0, "\(pattern): \(result.errors)")
      #expect(result.output.contains("\"valid\":true}"), "\(pattern): \(result.output)")
    }
  }

  @Test func taskBenchTableAndWrongUsage() {
    let table = Command.run("pto2-taskbench", ["--quick", "--pattern", "tree", "--width", "2"])
    #expect(table.status == 0, "\(table.errors)")
    #expect(table.output.contains("\ntree width 2: 39 tasks, 38 dependencies"))
    #expect(Command.run("pto2-taskbench", ["--pattern", "star"]).status == 64)
    #expect(Command.run("pto2-taskbench", ["--at", "30"]).status == 64)
    #expect(Command.run("taskbench-pto2", ["--width", "65"]).status == 64)
  }

  /// Points in blocks on ranks, every input checked; a wrong one is noticed.
  @Test(arguments: [
    ("pto2", 2, "tree"), ("pto2", 3, "stencil_1d_periodic"), ("pto2-in-place", 2, "fft"),
    ("pto2-one-rank", 2, "spread"),
  ])
  func taskBenchRunsOnSeveralRanks(system: String, ranks: Int, pattern: String) {
    guard MachineTests.isThere else { return }
    let arguments =
      quick(system) + ["--ranks", "\(ranks)", "--pattern", pattern, "--width", "7"]
    let good = Command("pto2-taskbench", arguments).wait()
    #expect(good.status == 0, "\(good.errors)\n\(good.output)")
    #expect(number("ranks", in: good.output) == Double(ranks))
    #expect(texts("system", in: good.output) == [system])
    let bad = Command("pto2-taskbench", arguments + ["--break"]).wait()
    #expect(bad.status == 1)
    #expect(
      bad.output.contains("exit status 1: taskbench-pto2: a task had a wrong input"),
      "\(bad.output)")
  }

  @Test func taskBenchSaysWhatIsForOneRank() {
    for arguments in [
      ["--system", "pto2-replay", "--ranks", "2"], ["--system", "pto2-one-rank"],
      ["--ranks", "2", "--workers", "3"], ["--ranks", "0"],
    ] {
      #expect(Command.run("pto2-taskbench", arguments).status == 64, "\(arguments)")
    }
    let ranks = ["OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"]
    for (arguments, words) in [
      ([], "--runs N says how often"), (["--runs", "2", "--replay", "2"], "--replay is for one"),
      (["--runs", "2", "--explicit"], "--explicit is for one"),
    ] {
      let result = Command.run("taskbench-pto2", arguments, environment: ranks)
      #expect(result.status == 64 && result.errors.contains(words), "\(result.errors)")
    }
  }

  /// A task on another rank is not run here, and is timed.
  @Test func unrolling() {
    let picture = Command.temporaryDirectory() + "/unrolling.svg"
    defer { removeDirectory(String(picture.dropLast("/unrolling.svg".count))) }
    let result = Command.run("pto2-bench", ["--unroll", "--quick", "--json", "--plot", picture])
    #expect(result.status == 0, "\(result.errors)")
    #expect(numbers("ranks", in: result.output) == [2, 4, 8, 16, 32, 64, 128, 256])
    for key in ["no_tensors_us", "one_tile_us", "three_and_one_us"] {
      let values = numbers(key, in: result.output).filter { $0 > 0 && $0.isFinite }
      #expect(values.count == 8, "\(key): \(result.output)")
    }
    // A line of as many points for each.
    let lines = readFile(picture).split(separator: "\n").filter { $0.contains("<polyline") }
    #expect(lines.count == 3 && lines.allSatisfy { $0.count { $0 == "," } == 8 }, "\(lines)")
    #expect(Command.run("pto2-bench", ["--unroll", "--only", "chain"]).status == 64)
    #expect(Command.run("pto2-bench", ["--plot", picture]).status == 64)
  }

  private func quick(_ system: String) -> [String] { ["--quick", "--json", "--system", system] }

  /// All values of a key that are strings.
  private func texts(_ key: String, in json: String) -> [String] {
    json.split(separator: "\"\(key)\":\"").dropFirst().map { String($0.prefix { $0 != "\"" }) }
  }

  @Test func wrongUsage() {
    let result = Command.run("pto2-bench", ["--only", "nothing"])
    #expect(result.status == 64)
    #expect(result.errors.contains("expected one of register-hop"))
    #expect(Command.run("pto2-bench", ["--tasks", "7"]).status == 64)
    #expect(Command.run("pto2-bench", ["--dual-ring", "--tasks", "64"]).status == 64)
  }
}
