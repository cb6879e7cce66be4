// swift-tools-version: 6.2
import PackageDescription

// The role modules of ../Sources (Sources/ has links to them), compiled once more with
// something between the lines. PTO2_FLAVOUR says which; `make simulate` and `make fuzz`
// set it, and keep each in a build folder of its own:
//
//   simulate   PTO2_SIMULATION is defined: each shared access first asks the simulator
//              who performs the next one. See docs/simulation.md.
//   fuzz       libFuzzer's coverage and AddressSanitizer. See docs/fuzzing.md.

let isFuzzing = Context.environment["PTO2_FLAVOUR"] == "fuzz"

let rules: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableExperimentalFeature("Lifetimes"),
]
let sanitized: SwiftSetting = .unsafeFlags(["-sanitize=fuzzer,address"])
let flavour: [SwiftSetting] =
  isFuzzing
  ? [sanitized]
  : [
    .define("PTO2_SIMULATION"),
    // The dynamic check keeps a list per thread; here many roles share a thread.
    .unsafeFlags(["-enforce-exclusivity=unchecked"]),
    // The simulator runs the roles' own loops: `@testable import` in a release build.
    .unsafeFlags(["-enable-testing"]),
  ]
let simulator: [Target.Dependency] = isFuzzing ? [] : ["CSimulation"]
let gnu: [CSetting] = [.define("_GNU_SOURCE")]

func module(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = [])
  -> Target
{
  .target(
    name: name, dependencies: dependencies, exclude: exclude, swiftSettings: rules + flavour)
}

// As in ../Package.swift, from the bottom up.
let modules: [Target] = [
  .target(name: "CPTO2"),
  .target(name: "CPTO2Segment", dependencies: ["CPTO2"]),
  .target(name: "CPTO2Linux", cSettings: gnu),
  module("PTO2Protocol", ["CPTO2Segment"] + simulator),
  // Simulation.swift has the simulated ones of what is left out.
  module(
    "PTO2System", ["CPTO2Linux", "PTO2Protocol"] + simulator,
    exclude: isFuzzing
      ? []
      : ["Memory/SharedMemoryObject.swift", "Memory/Mapping.swift", "Process/ProcessHandle.swift"]),
  module("PTO2Segment", ["CPTO2Segment", "PTO2Protocol", "PTO2System"]),
  module("PTO2Orchestrator", ["CPTO2Segment", "PTO2System", "PTO2Segment", "PTO2Protocol"]),
  module("PTO2Scheduler", ["CPTO2Segment", "PTO2System", "PTO2Segment", "PTO2Protocol"]),
  module(
    "PTO2Worker", ["CPTO2Segment", "CPTO2Linux", "PTO2System", "PTO2Segment", "PTO2Protocol"]),
]
let links: [Target] = [
  .target(name: "CPTO2Link"),
  // The link without its process, and without MPI.
  module(
    "PTO2Link",
    ["CPTO2Link", "CPTO2Segment", "PTO2System", "PTO2Segment", "PTO2Protocol"],
    exclude: ["LinkProcess.swift", "MPITransport.swift"]),
]
let roles: [Target.Dependency] = [
  "CPTO2Segment", "PTO2System", "PTO2Segment", "PTO2Protocol", "PTO2Orchestrator", "PTO2Scheduler",
  "PTO2Worker",
]

let simulation: [Target] = [
  .target(name: "CSimulation", path: "Simulation/Switch", cSettings: gnu),
  .executableTarget(
    name: "pto2-simulate",
    dependencies: roles + [
      "CSimulation", "PTO2Link", .product(name: "ArgumentParser", package: "swift-argument-parser"),
    ], path: "Simulation", exclude: ["Kernels", "Switch"],
    swiftSettings: rules + flavour.dropLast()),
]

/// libFuzzer without its `main`: libclang_rt.fuzzer_no_main-ARCH.a.
let runtime = Context.environment["PTO2_FUZZER_RUNTIME"] ?? "PTO2_FUZZER_RUNTIME-is-not-set"

let fuzzing: [Target] = [
  .target(name: "CFuzzer", path: "Fuzzing/Driver"),
  .executableTarget(
    name: "pto2-fuzz", dependencies: roles + ["CFuzzer"], path: "Fuzzing",
    exclude: ["Kernels", "Driver", "fuzz"],
    swiftSettings: [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error), sanitized],
    linkerSettings: [
      .unsafeFlags(["-sanitize=address", "-use-ld=lld", runtime]), .linkedLibrary("stdc++"),
    ]),
]

let package = Package(
  name: "verification",
  dependencies: isFuzzing
    ? [] : [.package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")],
  targets: modules + (isFuzzing ? fuzzing : links + simulation)
)
