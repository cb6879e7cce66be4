// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "pto2",
  products: [
    // What a program imports: graphs, tensors, sessions.
    .library(name: "PTO2", targets: ["PTO2"]),
    // The same with a command line: options, report, exit status.
    .library(name: "PTO2CommandLine", targets: ["PTO2CommandLine"]),
    // libpto2.so: the same for programs in C that have a main() of their own.
    .library(name: "PTO2C", type: .dynamic, targets: ["PTO2C"]),
    // What runs beside it. An orchestrator looks for scheduler, worker and fault
    // beside itself, in PTO2_BIN_DIR and on the PATH.
    .executable(name: "pto2-scheduler", targets: ["pto2-scheduler"]),
    .executable(name: "pto2-worker", targets: ["pto2-worker"]),
    // Speaks to the other ranks, where several machines run one program.
    .executable(name: "pto2-link", targets: ["pto2-link"]),
    .executable(name: "pto2-fault", targets: ["pto2-fault"]),
    // Runs a program that is a shared object in C.
    .executable(name: "pto2-orchestrator", targets: ["pto2-orchestrator"]),
    // Shows sessions, live and dead; lists and removes segments.
    .executable(name: "pto2", targets: ["pto2"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: modules + executables + examples + tools + tests
)

// Each target lists all modules it imports, and a module stands below those that
// import it. Kernel images and programs in C are no targets: the Makefile compiles
// them as a user does.

// MARK: Modules, from the bottom up

var modules: [Target] {
  [
    // What kernels and programs in C see.
    .target(name: "CPTO2"),
    // The layout of the segment, asserted.
    .target(name: "CPTO2Segment", dependencies: ["CPTO2"]),
    // System calls that Glibc's module lacks.
    .target(name: "CPTO2Linux", cSettings: Rules.gnu),
    // Words, ids, records and pages: all that the processes tell each other.
    module("PTO2Protocol", ["CPTO2Segment"]),
    // Memory, processes, waiting, text.
    module("PTO2System", ["CPTO2Linux", "PTO2Protocol"]),
    // Creating, attaching and removing segments.
    module("PTO2Segment", ["CPTO2Segment", "PTO2Protocol", "PTO2System"]),
    // The roles. None imports another.
    module(
      "PTO2Orchestrator", ["CPTO2Segment", "PTO2System", "PTO2Segment", "PTO2Protocol"],
      // Spans that views of tensors hand out.
      features: ["Lifetimes"]),
    module("PTO2Scheduler", ["CPTO2Segment", "PTO2System", "PTO2Segment", "PTO2Protocol"]),
    module(
      "PTO2Worker", ["CPTO2Segment", "CPTO2Linux", "PTO2System", "PTO2Segment", "PTO2Protocol"]),
    // What pto2-link asks of MPI. The shared object that does it is no target: `make link`.
    .target(name: "CPTO2Link"),
    module(
      "PTO2Link",
      ["CPTO2Link", "CPTO2Linux", "CPTO2Segment", "PTO2System", "PTO2Segment", "PTO2Protocol"]),
    // What the three have in common of their command lines.
    module("PTO2RoleOptions", ["PTO2System", argumentParser]),
    // Starts and supervises the processes of a session.
    module("PTO2Launcher", ["CPTO2Linux", "PTO2System", "PTO2Segment", "PTO2Protocol"]),
    // Fault scripts, and the tracer that carries them out.
    .target(name: "CPTO2Faults", cSettings: Rules.gnu),
    module(
      "PTO2Faults",
      ["CPTO2Segment", "CPTO2Faults", "PTO2Protocol", "PTO2System", "PTO2Segment"]),
    // What a traced session records: collected, put together, written, read and shown.
    module("PTO2Trace", ["CPTO2Segment", "PTO2Protocol", "PTO2System", "PTO2Segment"]),
    // What programs import.
    module(
      "PTO2",
      [
        "CPTO2", "CPTO2Segment", "PTO2System", "PTO2Segment", "PTO2Protocol", "PTO2Orchestrator",
        "PTO2Launcher", "PTO2Trace",
      ]),
    // The command line of programs that want one.
    module(
      "PTO2CommandLine",
      [
        "PTO2System", "PTO2Segment", "PTO2Protocol", "PTO2Orchestrator", "PTO2Launcher", "PTO2",
        "PTO2Faults", argumentParser,
      ]),
    // What tools tell of a session, from its segment alone.
    module(
      "PTO2Sight",
      ["CPTO2Segment", "CPTO2Linux", "PTO2Protocol", "PTO2System", "PTO2Segment"]),
    // What makes kernel images out of foreign sources, and what is wrong with an image.
    module("PTO2Image", ["CPTO2", "PTO2System", "PTO2Segment", "PTO2Sight"]),
    // Graphs without a program: scripts, and the tests that they are.
    module(
      "PTO2Script",
      [
        "PTO2Protocol", "PTO2System", "PTO2Segment", "PTO2Orchestrator", "PTO2", "PTO2Faults",
        "PTO2CommandLine", "PTO2Sight", argumentParser,
      ]),
    // The calls of pto2_session.h.
    .target(
      name: "PTO2C", dependencies: ["CPTO2", "PTO2", "PTO2Protocol", "PTO2System"],
      exclude: ["pto2.map"], swiftSettings: Rules.strict,
      linkerSettings: [.unsafeFlags(ownRuntime)]),
  ]
}

// MARK: Executables of the runtime

var executables: [Target] {
  [
    executable(
      "pto2-scheduler",
      [
        "PTO2System", "PTO2Segment", "PTO2Protocol", "PTO2Scheduler", "PTO2RoleOptions",
        argumentParser,
      ],
      linking: quickStart),
    executable(
      "pto2-worker",
      [
        "PTO2Protocol", "PTO2System", "PTO2Segment", "PTO2Worker", "PTO2RoleOptions",
        argumentParser,
      ],
      linking: quickStart),
    executable(
      "pto2-link",
      ["PTO2System", "PTO2Segment", "PTO2Protocol", "PTO2Link", "PTO2RoleOptions", argumentParser],
      linking: quickStart),
    executable(
      "pto2-fault", ["PTO2System", "PTO2Segment", "PTO2Faults", argumentParser],
      linking: quickStart),
    executable(
      "pto2-orchestrator", ["PTO2Segment", "PTO2CommandLine", argumentParser],
      linking: quickStart),
    executable(
      "pto2",
      [
        "PTO2Protocol", "PTO2System", "PTO2Segment", "PTO2Sight", "PTO2Trace", "PTO2",
        "PTO2CommandLine", "PTO2Script", "PTO2Image", argumentParser,
      ], linking: quickStart),
  ]
}

// MARK: Examples

var examples: [Target] {
  [
    program(
      "paged-attention", ["PagedAttentionReference"], path: "Examples/PagedAttention/Program"),
    // The same computation in double, to compare with.
    .target(
      name: "PagedAttentionReference", path: "Examples/PagedAttention/Reference",
      swiftSettings: Rules.strict),
    program("vector-example", path: "Examples/Vector/Program"),
    program("bgemm", path: "Examples/BGEMM/Program"),
    // For several ranks: docs/machines.md.
    program("stencil", path: "Examples/Stencil/Program"),
    // The same in C and C++ lies beside it, and is compiled by the Makefile.
    .executableTarget(
      name: "cholesky", dependencies: ["PTO2"], path: "Examples/Cholesky/Swift",
      swiftSettings: Rules.plain),
    // Several graphs in one session, without a command line.
    .executableTarget(
      name: "first-session", dependencies: ["PTO2"], path: "Examples/FirstSession",
      swiftSettings: Rules.plain),
  ]
}

// MARK: Benchmarks and verification

var tools: [Target] {
  [
    program(
      "pto2-bench",
      [
        "CBenchRaw", "CPTO2Segment", "PTO2System", "PTO2Segment", "PTO2Protocol",
        "PTO2Orchestrator", "PTO2Launcher", "BenchSupport",
      ], path: "Benchmarks/Bench"),
    // What the machine itself can do.
    .target(
      name: "CBenchRaw", path: "Benchmarks/Raw", cSettings: Rules.gnu + [.unsafeFlags(["-O2"])]),
    // Instructions that each role takes for a task.
    .executableTarget(
      name: "pto2-instructions", dependencies: ["CPTO2", "CPTO2Segment"],
      path: "Benchmarks/Instructions", cSettings: Rules.gnu),
    // The graphs of Task Bench: what every system that is compared runs, and this one.
    .target(name: "CTaskBench", path: "Benchmarks/TaskBench/Shared", cSettings: Rules.gnu),
    .executableTarget(
      name: "taskbench-pto2", dependencies: ["CTaskBench", "PTO2"],
      path: "Benchmarks/TaskBench/Program", swiftSettings: Rules.plain),

    // Starts programs, waits for them and sees what they leave.
    .target(
      name: "Harness", dependencies: ["CPTO2Linux", "PTO2System"], path: "Verification/Harness",
      swiftSettings: Rules.plain),
    // What benchmarks print and draw with.
    .target(
      name: "BenchSupport", dependencies: ["PTO2System"], path: "Benchmarks/Support",
      swiftSettings: Rules.strict),
    // Task Bench in all systems that are there.
    executable(
      "pto2-taskbench",
      [
        "CTaskBench", "CBenchRaw", "CPTO2Linux", "Harness", "PTO2System", "BenchSupport",
        argumentParser,
      ],
      path: "Benchmarks/TaskBench/Driver"),
    // The real scheduler on cores whose time is simulated.
    .executableTarget(
      name: "pto2-scaling",
      dependencies: [
        "CTaskBench", "CPTO2Segment", "PTO2System", "PTO2Segment", "PTO2Protocol",
        "PTO2Orchestrator", "PTO2Scheduler", "BenchSupport", argumentParser,
      ],
      path: "Benchmarks/Scaling", swiftSettings: Rules.plain),
    executable(
      "pto2-verify", ["Harness", "PTO2Faults", "PTO2System", argumentParser],
      path: "Verification/Verify"),
    executable(
      "pto2-mutants", ["Harness", "PTO2System", argumentParser], path: "Verification/Mutants/Driver"
    ),
    program("pto2-random", ["PTO2System"], path: "Verification/Random"),
    program(
      "pto2-campaign",
      [
        "CPTO2Segment", "CPTO2Linux", "PTO2Protocol", "PTO2System", "PTO2Segment", "PTO2Faults",
        "Harness",
      ],
      path: "Verification/Campaign"),
    executable(
      "pto2-steps",
      [
        "CPTO2Faults", "PTO2Protocol", "PTO2System", "PTO2Segment", "PTO2Faults", "Harness",
        argumentParser,
      ],
      path: "Verification/Steps"),
  ]
}

// MARK: Tests

var tests: [Target] {
  [
    test("PTO2SegmentTests", ["CPTO2Segment", "PTO2Segment"]),
    test("PTO2ProtocolTests", ["CPTO2Segment", "PTO2Segment", "PTO2Protocol"]),
    test(
      "PTO2OrchestratorTests", ["CPTO2Segment", "PTO2Segment", "PTO2Protocol", "PTO2Orchestrator"]),
    test(
      "PTO2SchedulerTests",
      [
        "CPTO2Segment", "PTO2Segment", "PTO2Protocol", "PTO2Orchestrator", "PTO2Scheduler",
        "PTO2Sight",
      ]),
    test(
      "PTO2WorkerTests",
      ["CPTO2Segment", "PTO2Segment", "PTO2Protocol", "PTO2Worker"]),
    // Orchestrator and scheduler of a rank, for tests of its link.
    .target(
      name: "PlayedRank",
      dependencies: ["CPTO2Segment", "PTO2Protocol", "PTO2System", "PTO2Segment"],
      path: "Tests/Fixtures/PlayedRank", swiftSettings: Rules.plain),
    // Such ranks with real links, one for each process that mpirun starts.
    .executableTarget(
      name: "pto2-ranks",
      dependencies: [
        "PlayedRank", "CPTO2Segment", "Harness", "PTO2Protocol", "PTO2System", "PTO2Segment",
      ],
      path: "Tests/Fixtures/Ranks", swiftSettings: Rules.plain),
    test(
      "PTO2LinkTests",
      ["CPTO2Link", "CPTO2Segment", "PTO2Segment", "PTO2Protocol", "PTO2Link", "PlayedRank"]),
    test("PTO2FaultsTests", ["PTO2Faults", "PTO2Segment"]),
    test("PTO2ScriptTests", ["PTO2Faults", "PTO2Protocol", "PTO2Orchestrator", "PTO2Script"]),
    test(
      "PTO2SightTests", ["CPTO2Segment", "PTO2Protocol", "PTO2Segment", "PTO2Sight"],
      exclude: ["Screens"]),
    test(
      "PTO2Tests",
      [
        "CPTO2", "CPTO2Segment", "PTO2Segment", "PTO2Protocol", "PTO2Orchestrator", "PTO2",
        "PTO2CommandLine",
      ]),
    test("PagedAttentionReferenceTests", ["PagedAttentionReference"]),
    // Real processes, from outside.
    test(
      "ProcessTests",
      [
        "CPTO2Linux", "CPTO2Segment", "PTO2Segment", "PTO2Sight", "PTO2Faults", "PTO2Script",
        "PTO2",
      ],
      path: "Tests/Processes", exclude: ["Screens"]),
    // What a parent, a container or an administrator can do: run by ProcessTests.
    .executableTarget(
      name: "pto2-surroundings", path: "Tests/Fixtures/Surroundings", cSettings: Rules.gnu),
    // The Swift interface as a program uses it: run by ProcessTests.
    program("pto2-api-test", path: "Tests/Fixtures/APIProgram"),
    // A program for several ranks: run by ProcessTests.
    program("pto2-machine-test", path: "Tests/Fixtures/MachineProgram"),
    // What the pages show: compiled, and compared by TidyTests.
    program("pto2-snippets", path: "Tests/Fixtures/Snippets"),
    // The tree itself: line lengths, names in the docs, format.
    test("TidyTests", ["CPTO2Segment", "PTO2Segment"]),
  ]
}

// MARK: How targets are built

enum Rules {
  /// Swift 6 mode and no warnings, for every target.
  static let plain: [SwiftSetting] = [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)]

  /// For the library and its executables besides: each unsafe expression marked, each
  /// existential and each import that clients see spelled out.
  static let strict: [SwiftSetting] =
    plain + [
      .strictMemorySafety(),
      .enableUpcomingFeature("ExistentialAny"),
      .enableUpcomingFeature("InternalImportsByDefault"),
      .enableUpcomingFeature("MemberImportVisibility"),
    ]

  static let gnu: [CSetting] = [.define("_GNU_SOURCE")]
}

var argumentParser: Target.Dependency {
  .product(name: "ArgumentParser", package: "swift-argument-parser")
}

func module(_ name: String, _ dependencies: [Target.Dependency], features: [String] = [])
  -> Target
{
  .target(
    name: name, dependencies: dependencies,
    swiftSettings: Rules.strict + features.map { .enableExperimentalFeature($0) })
}

func executable(
  _ name: String, _ dependencies: [Target.Dependency], path: String? = nil,
  linking: [String] = []
) -> Target {
  .executableTarget(
    name: name, dependencies: dependencies, path: path, swiftSettings: Rules.strict,
    linkerSettings: linking.isEmpty ? [] : [.unsafeFlags(linking)])
}

/// A program on top of the library; `dependencies` is empty for one that a user could
/// have written.
func program(_ name: String, _ dependencies: [Target.Dependency] = [], path: String) -> Target {
  .executableTarget(
    name: name, dependencies: ["PTO2", "PTO2CommandLine"] + dependencies, path: path,
    swiftSettings: Rules.plain)
}

func test(
  _ name: String, _ dependencies: [Target.Dependency], path: String? = nil,
  exclude: [String] = []
) -> Target {
  .testTarget(
    name: name, dependencies: ["Harness", "PTO2System"] + dependencies, path: path,
    exclude: exclude, swiftSettings: Rules.plain)
}

/// libpto2.so is loaded by programs that know nothing of Swift: its libraries are linked
/// in, and nothing but the calls of pto2_session.h can be seen.
var ownRuntime: [String] {
  let map = Context.packageDirectory + "/Sources/PTO2C/pto2.map"
  let name = ["-Xlinker", "-soname=libpto2.so.1", "-Xlinker", "--version-script=" + map]
  if Context.environment["PTO2_DYNAMIC_STDLIB"] != nil { return name }
  return name + ["-static-stdlib", "-use-ld=lld", "-Xclang-linker", "-static-libgcc"]
    + ["-L", Context.packageDirectory + "/Scripts/link"]
}

/// What is installed runs where no Swift is: the libraries of Swift and C++ are linked in.
/// Scheduler and workers are started once a core, and again after a crash, so they must start
/// quickly, too: the executable lies at a fixed address, so that the loader has next to nothing
/// to do. The C library stays a shared one, for `dlopen` and LD_PRELOAD. PTO2_DYNAMIC_STDLIB=1
/// links them in the usual way, for toolchains without static libraries and for sanitizers.
var quickStart: [String] {
  if Context.environment["PTO2_DYNAMIC_STDLIB"] != nil { return [] }
  return ["-static-stdlib", "-use-ld=lld", "-Xclang-linker", "-no-pie"]
    + ["-Xclang-linker", "-static-libgcc", "-l_FoundationCollections", "-l_FoundationCShims"]
    // Before the system's directories: has libstdc++ as an archive.
    + ["-L", Context.packageDirectory + "/Scripts/link"]
}
