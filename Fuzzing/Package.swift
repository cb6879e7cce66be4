// swift-tools-version: 6.2
import PackageDescription

// Fuzzing with the toolchain's libFuzzer and AddressSanitizer: the library's own
// sources (Sources/ has links to them), compiled once more with coverage
// instrumentation. `Scripts/fuzz` builds and runs it.

let rules: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]
let sanitized: SwiftSetting = .unsafeFlags(["-sanitize=fuzzer,address"])

func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: rules + [sanitized])
}

/// libFuzzer without its `main`: libclang_rt.fuzzer_no_main-ARCH.a.
let runtime = Context.environment["PTO2_FUZZER_RUNTIME"] ?? "PTO2_FUZZER_RUNTIME-is-not-set"

let package = Package(
  name: "fuzzing",
  products: [
    .executable(name: "pto2-fuzz", targets: ["pto2-fuzz"]),
    .library(name: "FuzzKernels", type: .dynamic, targets: ["FuzzKernels"]),
  ],
  targets: [
    .target(name: "CPTO2ABI"),
    .target(name: "CPTO2Linux", cSettings: [.define("_GNU_SOURCE")]),
    module("PTO2System", ["CPTO2Linux"]),
    module("PTO2Segment", ["CPTO2ABI", "PTO2System"]),
    module("PTO2Protocol", ["CPTO2ABI", "PTO2System", "PTO2Segment"]),
    module("PTO2Orchestrator", ["CPTO2ABI", "PTO2System", "PTO2Segment", "PTO2Protocol"]),
    module("PTO2Scheduler", ["CPTO2ABI", "PTO2System", "PTO2Segment", "PTO2Protocol"]),
    module("PTO2Worker", ["CPTO2ABI", "CPTO2Linux", "PTO2System", "PTO2Segment", "PTO2Protocol"]),
    .target(name: "CFuzzer"),
    .target(name: "FuzzKernels", dependencies: ["CPTO2ABI"]),
    .executableTarget(
      name: "pto2-fuzz",
      dependencies: [
        "CFuzzer", "CPTO2ABI", "PTO2System", "PTO2Segment", "PTO2Protocol", "PTO2Orchestrator",
        "PTO2Scheduler", "PTO2Worker",
      ],
      swiftSettings: [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error), sanitized],
      linkerSettings: [
        .unsafeFlags(["-sanitize=address", "-use-ld=lld", runtime]), .linkedLibrary("stdc++"),
      ]),
  ]
)
