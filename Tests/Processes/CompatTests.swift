import Glibc
import Harness
import PTO2System
import Testing

/// e to the x, where the reference of a scene needs it.
func exponential(_ x: Double) -> Double { exp(x) }

/// Programs as they are written for the original: compiled by `pto2 compile`, run in sessions of
/// real processes, compared with values that are computed here.
@Suite(.elsewhereToo) struct CompatTests {
  private static let bench = CompatBench()

  @Test(arguments: CompatScenes.all)
  func sceneComputesWhatItShould(scene: CompatScene) throws {
    let compiled = Self.bench.compile(scene.name, scene.kernels)
    try #require(compiled.status == 0, "\(compiled.errors)")
    let segment = freshSegment("compat-" + scene.name)
    let (result, values) = Self.bench.run(
      scene.name, scene.arguments, options: scene.options, segment: segment)
    #expect(result.status == 0, "\(result.errors)")
    let difference = scene.check(values)
    #expect(difference == nil)
    if scene.name == "rounds" {
      #expect(result.output.contains("\"tasks\":10,"), "two a round: \(result.output)")
    }
    expectClean(segment)
  }

  /// The same program while workers are killed fifty times, whichever the tasks go to, and
  /// one whose outputs have initial values.
  @Test(
    arguments: [
      (CompatScenes.ringRebase, "ack", ["--heap", "8K", "--task-window", "8"]),
      (CompatScenes.filled, "ack", []),
    ])
  func sceneSurvivesFiftyKills(scene: CompatScene, point: String, options: [String]) throws {
    let name = "killed_\(scene.name)"
    let compiled = Self.bench.compile(scene.name, scene.kernels, ["--name", name])
    try #require(compiled.status == 0, "\(compiled.errors)")
    let script = Self.bench.folder + "/kills-\(scene.name).json"
    write(
      """
      {"faults": [{"point": "\(point)", "hit": 3, "count": 50, "do": "kill"}]}
      """, to: script)
    defer { unlink(script) }
    let segment = freshSegment("compat-kills-\(scene.name)")
    let (result, values) = Self.bench.run(
      name, scene.arguments,
      options: options + ["--faults", script], segment: segment)
    #expect(result.status == 0, "\(result.errors)")
    #expect(scene.check(values) == nil)
    #expect(result.output.contains("\"worker_restarts\":50"), "\(result.output)")
    expectClean(segment)
  }

  /// Mistakes of the program, with the original's codes: those for which pto2 has no call are
  /// a program's own, 1000 and the code.
  @Test(
    arguments: [
      (0, 19, "error 9 EXPLICIT_ORCH_FATAL: no more than 3"),
      (1, 85, "error 1005 PROGRAM: wrong shape 8"),
      (2, 17, "error 7 REQUIRE_SYNC_START_INVALID"),
      (3, 85, "the scope of the tensor has ended"),
      (4, 40, "error 200 WORKER_DIED"),
      (5, 85, "no kernel has func_id 7"),
      (6, 85, "tensors come before scalars"),
      (7, 85, "id 0 is of no task"),
      (8, 85, "an AUTO scope inside of a MANUAL one"),
      (9, 85, "not inside of one of the program's tensors"),
      (10, 19, "an exception left the orchestration: out of luck"),
      (11, 85, "reaches beyond"),
      (12, 85, "has returned inside of a scope"),
      (13, 85, "type FP4E2M1"),
    ] as [(Int, Int32, String)])
  func mistakeHasCodeAndWords(scene: Int, status: Int32, words: String) throws {
    let compiled = Self.errors
    try #require(compiled.status == 0, "\(compiled.errors)")
    let segment = freshSegment("compat-error-\(scene)")
    let (result, _) = Self.bench.run(
      "errors", [.changed(Array(repeating: 1, count: 8), "8"), .word("\(scene)")], options: [],
      segment: segment)
    #expect(result.status == status, "\(result.errors)")
    #expect(result.errors.contains(words), "\(result.errors)")
    expectClean(segment)
  }

  private static let errors = bench.compile("errors", ["0:aiv:crash"])

  @Test(
    arguments: [
      (["in:float32:8"], "takes 2 tensors and scalars; it was given 1"),
      (["in:float64:8", "1"], "no type float64"),
      (["in:float32:8x", "1"], "no shape 8x"),
      (["in:float32:8:/nowhere/x", "1"], "/nowhere/x: No such file"),
      (["in:float32:8:=two", "1"], "=two: no number"),
      (["1", "in:float32:8"], "tensors come before scalars"),
      (["--rounds=0", "1"], "expected 1 to 1000000"),
      (["into:float32:8", "1"], "expected in:TYPE:SHAPE"),
    ])
  func argumentIsRefusedInWords(words: [String], expected: String) throws {
    try #require(Self.errors.status == 0, "\(Self.errors.errors)")
    let segment = freshSegment("compat-words-\(expected.hashValue.magnitude)")
    let (result, _) = Self.bench.run(
      "errors", words.map { .word($0) }, options: [], segment: segment)
    #expect(result.status == 85)
    #expect(result.errors.contains(expected), "\(result.errors)")
  }
}

/// What `pto2 compile` refuses, and how it says so.
@Suite struct CompileTests {
  private static let bench = CompatBench()
  private static let isa = ["--include", CompatBench.sources + "isa"]

  @Test(
    arguments: [
      (["0:aiv:wrong"], 65, "wrong.cpp: the compiler refuses it"),
      (["0:aiv:gemm"], 65, "a kernel of the matrix core"),
      (["0:aiv:dma"], 65, "device DMA (get_dma_workspace) is not in pto2"),
      (["0:aiv:missing"], 66, "missing.cpp: no such source"),
      (["0:aiv:rounded"], 65, "say with -I where its include folder is"),
      (["0:aicpu:half"], 64, "expected ID:aic:SOURCE or ID:aiv:SOURCE"),
      (["0:aiv:half", "0:aic:gemm"], 64, "two have the func_id 0"),
    ] as [([String], Int32, String)])
  func sourceIsRefused(kernels: [String], status: Int32, words: String) {
    let result = Self.bench.compile("mixed", kernels, ["--name", "refused"])
    #expect(result.status == status, "\(result.errors)")
    #expect(result.errors.contains(words), "\(result.errors)")
    #expect(access(Self.bench.folder + "/librefused.so", F_OK) != 0)
  }

  @Test func missingToolsAreNamed() {
    let none = Self.bench.compile("mixed", ["0:aiv:half"], environment: ["CXX": "no-such-c++"])
    #expect(none.status == 69 && none.errors.contains("no compiler no-such-c++: $CXX"))
    let objcopy = Self.bench.compile(
      "mixed", ["0:aiv:half"], environment: ["OBJCOPY": "none-there"])
    #expect(objcopy.status == 69 && objcopy.errors.contains("OBJCOPY=none-there"))
    let json = Self.bench.compile(
      "mixed", ["0:aiv:half"], ["--json"], environment: ["CXX": "no-such-c++"])
    #expect(json.output.contains("\"error\":\"no-tool\"") && json.output.contains(":69}"))
  }

  /// Whatever the parent has ignored or blocked, the end of a compiler and of its own children
  /// is heard of.
  @Test func compilerIsHeardOfWhateverTheParentIgnores() throws {
    let directory = Command.temporaryDirectory()
    let (compiler, signals) = (directory + "/compiler", directory + "/signals")
    defer { for path in [compiler, signals, directory] { remove(path) } }
    // The shell asks first: whoever is asked later has the signals that the shell has set.
    write(
      """
      #!/bin/sh
      while read -r name value; do
        case $name in SigBlk:|SigIgn:) echo "$value" >>\(signals);; esac
      done </proc/$$/status
      exec c++ "$@"
      """, to: compiler)
    chmod(compiler, 0o755)
    let result = Command.$around.withValue(["ignore=17", "block=all"]) {
      Self.bench.compile(
        "mixed", ["4:aiv:half", "7:aic:nothing"], ["--name", "unheard", "--compiler", compiler])
    }
    #expect(result.status == 0, "\(result.errors)")
    // The compiler itself hears everything, too.
    let masks = readFile(signals).split(separator: "\n").map { UInt64($0, radix: 16) }
    #expect(masks.count > 4)
    // posix_spawn(3) ignores the two signals of glibc's own.
    #expect(masks.allSatisfy { $0.map { $0 & ~(3 << 31) } == 0 }, "\(masks)")
  }

  /// bfloat16 is one, or the compiler is refused by its name.
  @Test func bfloat16IsNeverFloat16() throws {
    let refused = Self.bench.compile(
      "round", ["0:aiv:rounded"], Self.isa, environment: ["CXX": "/usr/bin/g++"])
    if refused.status != 0 {
      #expect(refused.status == 69, "\(refused.errors)")
      #expect(
        refused.errors.contains("/usr/bin/g++: it takes float16 for bfloat16, silently"),
        "\(refused.errors)")
    }
    guard Command("clang++", ["--version"], isOnPath: true).wait().status == 0 else { return }
    let compiled = Self.bench.compile(
      "round", ["0:aiv:rounded"], Self.isa + ["--compiler", "clang++"])
    try #require(compiled.status == 0, "\(compiled.errors)")
    let x: [Float] = [0, 1, 1e30, 256, 0.001, -3.3]
    let (result, values) = Self.bench.run(
      "round", [.input(x, "6"), .output("bfloat16 6")], options: [],
      segment: freshSegment("compat-bf16"))
    #expect(result.status == 0, "\(result.errors)")
    // 257 has nine bits: to even. Element 0 is where the kernel ran.
    #expect(values[1].read(UInt16.self) == [0, 0x4000, 0x714A, 0x4380, 0x3F80, 0xC013])
  }

  @Test func pipesBetweenCoresAreRefused() throws {
    guard Command("clang++", ["--version"], isOnPath: true).wait().status == 0 else { return }
    let result = Self.bench.compile("mixed", ["0:aiv:pipes"], Self.isa + ["--compiler", "clang++"])
    #expect(result.status == 65)
    #expect(result.errors.contains("TPUSH and TPOP between the cores"), "\(result.errors)")
  }

  @Test func reportNamesWhatWasMade() throws {
    let result = Self.bench.compile(
      "mixed", ["4:aiv:half", "7:aic:nothing"], ["--json", "--name", "told"])
    try #require(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("\"program\":\"\(Self.bench.folder)/libtold.so\""))
    #expect(result.output.contains("{\"id\":7,\"name\":\"k7_nothing\",\"core_type\":\"aic\""))
    #expect(entries(of: "/tmp").allSatisfy { !$0.hasPrefix("pto2-compile-") || !isOld($0) })
  }

  /// Of no compilation that still runs.
  private func isOld(_ name: String) -> Bool {
    var status = stat()
    guard stat("/tmp/" + name, &status) == 0 else { return false }
    return time(nil) - status.st_mtim.tv_sec > 900
  }
}
