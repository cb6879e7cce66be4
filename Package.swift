// swift-tools-version: 6.2
import PackageDescription

/// One set of rules for every Swift target: Swift 6 mode, strict memory
/// safety, warnings as errors.
let rules: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]
let cRules: [CSetting] = [.define("_GNU_SOURCE")]

func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: rules)
}

/// What every run starts once per core must start quickly. Scheduler, workers
/// and the kernel images of this package therefore hold what they need of the
/// libraries of Swift and C++ themselves (an image: nothing), and the executables
/// lie at fixed addresses: the loader has next to nothing to do. The C library
/// stays a shared one, for `dlopen` and LD_PRELOAD. PTO2_DYNAMIC_STDLIB=1 links
/// all of them in the usual way, for toolchains without static libraries and for
/// sanitizers.
let isStatic = Context.environment["PTO2_DYNAMIC_STDLIB"] == nil
/// Comes before the system's directories: makes libstdc++ an archive.
let archiveSearch = ["-L", Context.packageDirectory + "/Scripts/link"]
let processLinking =
  isStatic
  ? ["-static-stdlib", "-use-ld=lld", "-Xclang-linker", "-no-pie"]
    + ["-Xclang-linker", "-static-libgcc", "-l_FoundationCollections", "-l_FoundationCShims"]
    + archiveSearch : []
let imageLinking =
  ["-Xlinker", "--build-id"]
  + (isStatic ? ["-static-stdlib", "-nostartfiles"] + archiveSearch : [])

func executable(_ name: String, _ dependencies: [Target.Dependency], linking: [String] = [])
  -> Target
{
  .executableTarget(
    name: name, dependencies: dependencies, swiftSettings: rules,
    linkerSettings: linking.isEmpty ? [] : [.unsafeFlags(linking)])
}

/// C code of a shared object: a kernel image or a program.
func kernels(_ name: String, path: String, knowsSegment: Bool = false) -> Target {
  .target(
    name: name, dependencies: ["CPTO2"], path: path,
    cSettings: cRules + [.unsafeFlags(["-O3"])]
      + (knowsSegment
        ? [.unsafeFlags(["-I", Context.packageDirectory + "/Sources/CPTO2Segment/include"])] : []),
    linkerSettings: [.unsafeFlags(imageLinking)])
}

/// A program on top of PTO2: an example, which imports nothing else, or one of the
/// tools and tests that look inside.
func example(_ name: String, _ dependencies: [Target.Dependency] = [], path: String) -> Target {
  .executableTarget(
    name: name, dependencies: ["PTO2"] + dependencies, path: path,
    swiftSettings: [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)])
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(
    name: name, dependencies: dependencies,
    swiftSettings: [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)])
}

let argumentParser: Target.Dependency = .product(
  name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
  name: "pto2",
  products: [
    .library(name: "PTO2", targets: ["PTO2"]),
    .executable(name: "pto2-orchestrator", targets: ["pto2-orchestrator"]),
    .executable(name: "pto2-scheduler", targets: ["pto2-scheduler"]),
    .executable(name: "pto2-worker", targets: ["pto2-worker"]),
    .executable(name: "pto2-fault", targets: ["pto2-fault"]),
    .executable(name: "pto2-steps", targets: ["pto2-steps"]),
    .executable(name: "pto2", targets: ["pto2"]),
    .executable(name: "paged-attention", targets: ["PagedAttention"]),
    .executable(name: "vector-example", targets: ["VectorExample"]),
    .executable(name: "bgemm", targets: ["BGEMMExample"]),
    .executable(name: "pto2-bench", targets: ["PTO2Bench"]),
    // Shared objects: kernel images, and a program in C.
    .library(
      name: "PagedAttentionKernels", type: .dynamic, targets: ["PagedAttentionKernels"]),
    .library(name: "VectorKernels", type: .dynamic, targets: ["VectorKernels"]),
    .library(name: "VectorProgram", type: .dynamic, targets: ["VectorProgram"]),
    .library(name: "VectorSwiftProgram", type: .dynamic, targets: ["VectorSwiftProgram"]),
    .library(name: "BGEMMKernels", type: .dynamic, targets: ["BGEMMKernels"]),
    .library(name: "BenchKernels", type: .dynamic, targets: ["BenchKernels"]),
    .executable(name: "pto2-random", targets: ["RandomProgram"]),
    .library(name: "RandomKernels", type: .dynamic, targets: ["RandomKernels"]),
    .executable(name: "pto2-campaign", targets: ["Campaign"]),
    .library(name: "CampaignKernels", type: .dynamic, targets: ["CampaignKernels"]),
    .library(name: "TestKernels", type: .dynamic, targets: ["TestKernels"]),
    .library(name: "OddKernels", type: .dynamic, targets: ["OddKernels"]),
    .library(name: "TestProgram", type: .dynamic, targets: ["TestProgram"]),
    .library(name: "ConformanceKernels", type: .dynamic, targets: ["ConformanceKernels"]),
    .library(name: "ConformanceProgram", type: .dynamic, targets: ["ConformanceProgram"]),
    .executable(name: "pto2-api-test", targets: ["APIProgram"]),
    .library(name: "AllocationCounter", type: .dynamic, targets: ["AllocationCounter"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    .target(name: "CPTO2"),
    .target(name: "CPTO2Segment", dependencies: ["CPTO2"]),
    .target(name: "CPTO2Linux", cSettings: cRules),
    module("PTO2Protocol", ["CPTO2Segment"]),
    module("PTO2System", ["CPTO2Linux", "PTO2Protocol"]),
    module("PTO2Segment", ["CPTO2Segment", "PTO2Protocol", "PTO2System"]),
    module("PTO2Orchestrator", ["CPTO2Segment", "PTO2System", "PTO2Segment", "PTO2Protocol"]),
    module("PTO2Scheduler", ["CPTO2Segment", "PTO2System", "PTO2Segment", "PTO2Protocol"]),
    module("PTO2Worker", ["CPTO2Segment", "CPTO2Linux", "PTO2System", "PTO2Segment", "PTO2Protocol"]),
    module("PTO2Launcher", ["CPTO2Linux", "PTO2System", "PTO2Protocol"]),
    .target(name: "CPTO2Faults", cSettings: cRules),
    module(
      "PTO2Faults",
      ["CPTO2Segment", "CPTO2Faults", "PTO2Protocol", "PTO2System", "PTO2Segment"]),
    module(
      "PTO2",
      [
        "CPTO2Segment", "PTO2System", "PTO2Segment", "PTO2Protocol", "PTO2Orchestrator",
        "PTO2Launcher", "PTO2Faults", argumentParser,
      ]),
    executable(
      "pto2-scheduler",
      ["PTO2System", "PTO2Segment", "PTO2Protocol", "PTO2Scheduler", argumentParser],
      linking: processLinking),
    executable(
      "pto2-worker", ["PTO2System", "PTO2Segment", "PTO2Worker", argumentParser],
      linking: processLinking),
    executable("pto2-orchestrator", ["PTO2", argumentParser]),
    executable("pto2-fault", ["PTO2System", "PTO2Faults", argumentParser]),
    executable(
      "pto2-steps",
      [
        "CPTO2Faults", "PTO2System", "PTO2Segment", "PTO2Faults", "PTO2Launcher", argumentParser,
      ]),
    executable("pto2", ["PTO2System", "PTO2Segment", argumentParser]),

    // Examples.
    kernels("PagedAttentionKernels", path: "Examples/PagedAttention/Kernels"),
    .target(
      name: "PagedAttentionReference", path: "Examples/PagedAttention/Reference",
      swiftSettings: rules),
    example(
      "PagedAttention", ["PagedAttentionReference"], path: "Examples/PagedAttention/Program"),
    kernels("VectorKernels", path: "Examples/Vector/Kernels"),
    kernels("VectorProgram", path: "Examples/Vector/SharedObject"),
    .target(
      name: "VectorSwiftProgram", dependencies: ["CPTO2"],
      path: "Examples/Vector/SwiftSharedObject",
      swiftSettings: [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)]),
    example("VectorExample", path: "Examples/Vector/Program"),
    kernels("BGEMMKernels", path: "Examples/BGEMM/Kernels"),
    example("BGEMMExample", path: "Examples/BGEMM/Program"),

    // Benchmarks.
    kernels("BenchKernels", path: "Benchmarks/Kernels"),
    .target(
      name: "CBenchRaw", path: "Benchmarks/Raw",
      cSettings: cRules + [.unsafeFlags(["-O2"])]),
    example(
      "PTO2Bench",
      [
        "CBenchRaw", "CPTO2Segment", "PTO2System", "PTO2Segment", "PTO2Protocol",
        "PTO2Orchestrator", "PTO2Launcher",
      ], path: "Benchmarks/Bench"),

    // Tests.
    kernels("TestKernels", path: "Tests/Support/TestKernels", knowsSegment: true),
    kernels("OddKernels", path: "Tests/Support/OddKernels"),
    kernels("TestProgram", path: "Tests/Support/TestProgram"),
    kernels("ConformanceKernels", path: "Tests/Support/ConformanceKernels"),
    kernels("ConformanceProgram", path: "Tests/Support/ConformanceProgram"),
    example("APIProgram", path: "Tests/Support/APIProgram"),
    kernels("AllocationCounter", path: "Tests/Support/AllocationCounter"),
    kernels("RandomKernels", path: "Tests/Support/RandomKernels"),
    example("RandomProgram", ["TestSupport"], path: "Tests/Support/RandomProgram"),
    kernels("CampaignKernels", path: "Tests/Support/CampaignKernels"),
    example(
      "Campaign", ["CPTO2Segment", "CPTO2Linux", "TestSupport"], path: "Tests/Support/Campaign"),
    tests(
      "PTO2WorkerTests",
      ["CPTO2Segment", "PTO2System", "PTO2Segment", "PTO2Protocol", "PTO2Worker", "TestSupport"]),
    tests("PagedAttentionReferenceTests", ["PagedAttentionReference"]),
    tests("ProcessTests", []),
    .target(
      name: "TestSupport", path: "Tests/Support/TestSupport",
      swiftSettings: [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)]),
    tests("PTO2SegmentTests", ["CPTO2Segment", "PTO2System", "PTO2Segment", "TestSupport"]),
    tests(
      "PTO2ProtocolTests",
      ["CPTO2Segment", "PTO2System", "PTO2Segment", "PTO2Protocol", "TestSupport"]),
    tests("PTO2FaultsTests", ["PTO2Faults", "PTO2Segment"]),
    tests(
      "PTO2OrchestratorTests",
      ["CPTO2Segment", "PTO2Segment", "PTO2Protocol", "PTO2Orchestrator", "TestSupport"]),
    tests(
      "PTO2SchedulerTests",
      [
        "CPTO2Segment", "PTO2System", "PTO2Segment", "PTO2Protocol", "PTO2Orchestrator",
        "PTO2Scheduler", "TestSupport",
      ]),
    tests(
      "PTO2Tests",
      ["CPTO2Segment", "PTO2Segment", "PTO2Protocol", "PTO2Orchestrator", "PTO2", "TestSupport"]),
  ]
)
