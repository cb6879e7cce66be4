import Harness
import PTO2System
import Testing

/// One map of the segment: the views of PTO2Protocol. Nobody else knows an offset.
@Suite struct OffsetTests {
  /// How an offset by hand looks.
  private static let signs = [
    ".offset(of: \\", "fromByteOffset:", "toByteOffset:", "+ Int(PTO2_", "* Int(PTO2_DESC_STRIDE",
    "PTO2_ORCH_", "PTO2_SCHED_R", "PTO2_SCHED_WIRED", "PTO2_SCHED_PARKED", "PTO2_SCHED_C",
    "PTO2_SCHED_PROCESS", "PTO2_SCHED_ERROR", "PTO2_SCHED_F", "PTO2_SCHED_ADMITTED",
    "PTO2_SCHED_INTENT", "PTO2_SCHED_BYTES", "PTO2_CORE_COND", "PTO2_CORE_PARKED",
    "PTO2_CORE_READY", "PTO2_CORE_PROCESS", "PTO2_CORE_ERROR", "PTO2_CORE_COUNTERS",
    "PTO2_CORE_CRASH", "PTO2_CORE_BYTES",
  ]
  /// Constants that begin like an offset of old.
  private static let constants = ["PTO2_SCHED_FATAL", "PTO2_SCHED_CONTROL_"]

  /// What is no place in the segment, or is meant to be any place in it.
  private static let allowed = [
    // Records of programs in C, whose sizes they tell themselves.
    "Sources/PTO2/CRecord.swift", "Tests/PTO2Tests/CRecordTests.swift",
    // These store anything anywhere.
    "Verification/Fuzzing/SegmentUnderTest.swift",
    "Tests/PTO2SchedulerTests/DamagedPageTests.swift",
    "Tests/TidyTests/OffsetTests.swift",
  ]

  @Test func nobodyAddsOffsetsByHand() {
    var count = 0
    for file in Tree.code where file.isOf(".swift") {
      if file.path.hasPrefix("Sources/PTO2Protocol/") { continue }
      if Self.allowed.contains(where: file.path.hasPrefix) { continue }
      count += 1
      for (index, line) in file.lines.enumerated() {
        var code = String(line)
        for constant in Self.constants { code = code.replacing(constant, with: "") }
        for sign in Self.signs where code.contains(sign) {
          Issue.record("\(file.path):\(index + 1): \(sign): \(line)")
        }
      }
    }
    #expect(count > 100)
  }
}
