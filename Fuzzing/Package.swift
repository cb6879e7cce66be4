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
    .target(name: "CPTO2"),
    .target(name: "CPTO2Segment", dependencies: ["CPTO2"]),
    .target(name: "CPTO2Linux", cSettings: [.define("_GNU_SOURCE")]),
    module("PTO2Protocol", ["CPTO2Segment"]),
    module("PTO2System", ["CPTO2Linux", "PTO2Protocol"]),
    module("PTO2Segment", ["CPTO2Segment", "PTO2Protocol", "PTO2System"]),
    module("PTO2Orchestrator", ["CPTO2Segment", "PTO2System", "PTO2Segment", "PTO2Protocol"]),
    module("PTO2Scheduler", ["CPTO2Segment", "PTO2System", "PTO2Segment", "PTO2Protocol"]),
    module("PTO2Worker", ["CPTO2Segment", "CPTO2Linux", "PTO2System", "PTO2Segment", "PTO2Protocol"]),
    .target(name: "CFuzzer"),
    .target(name: "FuzzKernels", dependencies: ["CPTO2"]),
    .executableTarget(
      name: "pto2-fuzz",
      dependencies: [
        "CFuzzer", "CPTO2Segment", "PTO2System", "PTO2Segment", "PTO2Protocol", "PTO2Orchestrator",
        "PTO2Scheduler", "PTO2Worker",
      ],
      swiftSettings: [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error), sanitized],
      linkerSettings: [
        .unsafeFlags(["-sanitize=address", "-use-ld=lld", runtime]), .linkedLibrary("stdc++"),
      ]),
  ]
)
