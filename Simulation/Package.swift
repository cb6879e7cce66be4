// swift-tools-version: 6.2
import PackageDescription

// The role modules of ../Sources, compiled once more with PTO2_SIMULATION: each
// shared access first asks the simulator who performs the next one. Nothing of
// this is in the production package. See docs/simulation.md.

let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .define("PTO2_SIMULATION"),
  // The dynamic check keeps a list per thread; here many roles share a thread.
  .unsafeFlags(["-enforce-exclusivity=unchecked"]),
]
/// For roles whose loops the simulator runs: `@testable import` in a release build.
let testable = strict + [.unsafeFlags(["-enable-testing"])]
let cRules: [CSetting] = [.define("_GNU_SOURCE")]

func module(
  _ name: String, _ dependencies: [Target.Dependency], _ settings: [SwiftSetting],
  exclude: [String] = []
) -> Target {
  .target(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}

let package = Package(
  name: "simulation",
  products: [
    .executable(name: "pto2-simulate", targets: ["pto2-simulate"]),
    .library(name: "SimulationKernels", type: .dynamic, targets: ["SimulationKernels"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    .target(name: "CSimulation", cSettings: cRules),
    .target(name: "CPTO2"),
    .target(name: "CPTO2Segment", dependencies: ["CPTO2"]),
    .target(name: "CPTO2Linux", cSettings: cRules),
    module("PTO2Protocol", ["CPTO2Segment", "CSimulation"], strict),
    // Simulation.swift has the simulated ones.
    module(
      "PTO2System", ["CPTO2Linux", "CSimulation", "PTO2Protocol"], strict,
      exclude: ["SharedMemoryObject.swift", "Mapping.swift", "ProcessHandle.swift"]),
    module("PTO2Segment", ["CPTO2Segment", "PTO2Protocol", "PTO2System"], strict),
    module(
      "PTO2Orchestrator", ["CPTO2Segment", "PTO2System", "PTO2Segment", "PTO2Protocol"], testable),
    module("PTO2Scheduler", ["CPTO2Segment", "PTO2System", "PTO2Segment", "PTO2Protocol"], testable),
    module(
      "PTO2Worker", ["CPTO2Segment", "CPTO2Linux", "PTO2System", "PTO2Segment", "PTO2Protocol"],
      testable),
    .target(
      name: "SimulationKernels", dependencies: ["CPTO2"],
      linkerSettings: [.unsafeFlags(["-Xlinker", "--build-id"])]),
    .executableTarget(
      name: "pto2-simulate",
      dependencies: [
        "CSimulation", "CPTO2Segment", "PTO2System", "PTO2Segment", "PTO2Protocol", "PTO2Orchestrator",
        "PTO2Scheduler", "PTO2Worker",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], swiftSettings: strict),
  ]
)
