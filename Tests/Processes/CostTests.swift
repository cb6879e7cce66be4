import Glibc
import Harness
import Testing

/// The cost model: tiny inputs show that it runs, and that what it says is right as far as the
/// speed of the machine does not matter.
@Suite(.serialized) struct CostTests {
  @Test func everyPatternIsSimulated() {
    for pattern in BenchmarkTests.patterns {
      let result = Command.run("pto2-scaling", ["--quick", "--json", "--pattern", pattern])
      #expect(result.status == 0, "\(pattern): \(result.errors)")
      // Two numbers of threads, of clusters, and of kernel lengths.
      let shares = numbers("utilisation", in: result.output).filter { $0 > 0 && $0 <= 1 }
      #expect(shares.count == 8, "\(pattern): \(result.output)")
      #expect(numbers("clusters", in: result.output) == [1, 1, 4, 4, 1, 1, 4, 4])
      let costs = numbers("scheduler_ns_per_task", in: result.output).filter { $0 > 0 }
      #expect(costs.count == 8, "\(pattern): \(result.output)")
    }
  }

  /// Kernels of 10 ms hide whatever the scheduler takes: what is left is arithmetic.
  @Test(arguments: [1, 3])
  func longKernelsUseEveryCore(threads: Int) throws {
    for more in [[], ["--submit"], ["--no-ahead"]] {
      let result = Command.run(
        "pto2-scaling",
        [
          "--pattern", "no_comm", "--clusters", "7", "--threads", "\(threads)", "--kernel", "10ms",
          "--tasks", "420", "--repeat", "1", "--json",
        ] + more)
      #expect(result.status == 0, "\(result.errors)")
      #expect(number("tasks", in: result.output) == 420)
      #expect(number("dependencies", in: result.output) == 378)
      // 420 tasks of 10 ms on 21 cores.
      let elapsed = try #require(number("virtual_us", in: result.output))
      #expect(elapsed > 200_000 && elapsed < 250_000, "\(more): \(result.output)")
    }
  }

  /// The checks can fail: a core says FIN of kernels that go on.
  @Test(arguments: [
    ("stencil_1d", 1, "whose output it reads"), ("no_comm", 2, "whose output it reads"),
    ("trivial", 1, "at once"), ("trivial", 2, "at once"),
  ])
  func wrongOrderIsNoticed(pattern: String, threads: Int, message: String) {
    let result = Command.run(
      "pto2-scaling", ["--quick", "--break", "--pattern", pattern, "--threads", "\(threads)"])
    #expect(result.status == 1)
    #expect(result.errors.contains(message), "\(result.errors)")
  }

  @Test func tablePictureAndWrongUsage() throws {
    let path = "/tmp/pto2-scaling-\(getpid()).svg"
    defer { unlink(path) }
    let result = Command.run("pto2-scaling", ["--quick", "--plot", path])
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("2 scheduler threads\nclusters  cores"), "\(result.output)")
    let picture = readFile(path)
    #expect(picture.hasPrefix("<svg") && picture.hasSuffix("</svg>\n"))
    #expect(picture.ranges(of: "<polyline").count == 4)
    for wrong in [
      ["--clusters", "41"], ["--threads", "0"], ["--kernel", "5"], ["--pattern", "star"],
      ["--line", "fast"], ["--plot", "/nowhere/x.svg", "--quick"],
    ] {
      let result = Command.run("pto2-scaling", wrong)
      #expect(result.status == (wrong.contains("--quick") ? 1 : 64), "\(wrong)")
      #expect(result.errors.contains(wrong[1]), "\(result.errors)")
    }
  }

  /// pto2 with each part that can be switched off, or on, in one table.
  @Test func everyPartIsTakenAway() {
    let result = Command.run("pto2-taskbench", ["--quick", "--ablation", "--json"])
    #expect(result.status == 0, "\(result.errors)")
    let systems = result.output.split(separator: "\"system\":\"").dropFirst()
      .map { String($0.prefix { $0 != "\"" }) }
    #expect(
      systems == [
        "pto2", "pto2-no-ahead", "pto2-lanes-4", "pto2-explicit", "pto2-replay", "pto2-no-moves",
        "pto2-pinned", "pto2-near", "pto2-threads-2", "pto2-in-place", "pto2-snapshots",
        "pto2-trace",
      ])
    #expect(!result.output.contains("\"valid\":false"), "\(result.output)")
    let wrong = Command.run("pto2-taskbench", ["--ablation", "--system", "pto2"])
    #expect(wrong.status == 64 && wrong.errors.contains("--ablation"))
  }

  @Test func costOfATask() {
    let script = repositoryRoot + "Scripts/task-cost"
    func run(_ arguments: [String]) -> Command.Result {
      Command(script, ["--bin", Command.buildDirectory] + arguments).wait()
    }
    #expect(run(["--steps", "5"]).status == 2)
    #expect(run(["--rounds"]).status == 2)
    #expect(run(["--fast"]).errors.contains("--fast"))
    let result = run(["--steps", "200", "--rounds", "1", "--json"])
    #expect(result.status == 0, "\(result.errors)")
    for role in ["orchestrator", "scheduler", "worker"] {
      #expect(result.output.contains("\"role\":\"\(role)\""), "\(result.output)")
    }
    if result.errors.contains("no valgrind") {
      #expect(result.output.contains("\"instructions\":null"))
    } else {
      let instructions = numbers("instructions", in: result.output)
      #expect(instructions.count == 3 && instructions.allSatisfy { $0 > 100 }, "\(instructions)")
    }
    if !result.errors.contains("no wakes") {
      #expect(numbers("futex_waitv", in: result.output).contains { $0 > 0 }, "\(result.output)")
    }
  }
}
