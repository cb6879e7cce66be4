import PTO2
import PTO2System
import Testing

@testable import PTO2CommandLine
@testable import PTO2Segment

@Suite struct SizeTests {
  static let sizes: [(String, UInt64)] = [
    ("1", 1), ("4096", 4096), ("64K", 65536), ("64k", 65536), ("256M", 268_435_456),
    ("4G", 4_294_967_296), ("007", 7), ("18446744073709551615", UInt64.max),
    ("17179869183G", 0xFFFF_FFFF_C000_0000),
  ]

  @Test(arguments: sizes)
  func sizeIsParsed(text: String, value: UInt64) {
    #expect(parseSize(text) == value)
  }

  @Test(arguments: [
    "", "0", "0K", "K", "-1", "+1", "1.5M", "1 K", " 1", "1 ", "1KB", "1T", "0x10", "1e3", "M1",
    "18446744073709551616", "17179869184G", "٣", "1_000", "1,2",
  ])
  func anythingElseIsNoSize(text: String) {
    #expect(parseSize(text) == nil)
  }

  static let written: [(Int, String)] = [
    (0, "0 B"), (1, "1 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"),
    (1_048_576, "1 MiB"), (268_435_456, "256 MiB"), (4_294_967_296, "4 GiB"),
    (1_610_612_736, "1.5 GiB"), (105_381_888, "100 MiB"), (104_333_312, "99.5 MiB"),
    (4_398_046_511_104, "4096 GiB"),
  ]

  @Test(arguments: written)
  func bytesAreWrittenForPeople(bytes: Int, text: String) {
    #expect(formatBytes(bytes) == text)
  }
}

@Suite struct RingSettingsTests {
  private func rings(
    _ settings: RingSettings = RingSettings(), count: Int = 4, _ environment: [String: String] = [:]
  ) throws -> [PTO2.Configuration.Ring] {
    try settings.rings(count: count) { environment[$0] }
  }

  @Test func defaultsAreTheOriginals() throws {
    let expected = PTO2.Configuration.Ring(
      taskWindow: 16384, consumedWindow: 65536, heapBytes: 256 << 20, dependencyPool: 65536)
    #expect(try rings() == Array(repeating: expected, count: 4))
    #expect(try rings() == PTO2.Configuration().rings)
    let layout = try PTO2.Configuration().segmentConfiguration()
    #expect(layout.rings == PTO2Segment.Configuration().rings)
  }

  @Test func environmentOverridesTheDefaultAndAFlagBoth() throws {
    let environment = [
      "PTO2_RING_TASK_WINDOW": "64", "PTO2_RING_CONSUMED_WINDOW": "512", "PTO2_RING_HEAP": "4M",
      "PTO2_RING_DEP_POOL": "256",
    ]
    #expect(
      try rings(count: 1, environment) == [
        PTO2.Configuration.Ring(
          taskWindow: 64, consumedWindow: 512, heapBytes: 4 << 20, dependencyPool: 256)
      ])
    let settings = RingSettings(
      taskWindow: "32", consumedWindow: "128", heap: "1M", dependencyPool: "8")
    #expect(
      try rings(settings, count: 1, environment) == [
        PTO2.Configuration.Ring(
          taskWindow: 32, consumedWindow: 128, heapBytes: 1 << 20, dependencyPool: 8)
      ])
  }

  @Test func consumedWindowIsFourTimesTheTaskWindowUnlessGiven() throws {
    #expect(
      try rings(["PTO2_RING_TASK_WINDOW": "64"]).map(\.consumedWindow) == [256, 256, 256, 256])
    let perRing = try rings(RingSettings(taskWindow: "4,8,16,32"))
    #expect(perRing.map(\.consumedWindow) == [16, 32, 64, 128])
    let given = try rings(RingSettings(taskWindow: "64", consumedWindow: "64"))
    #expect(given.map(\.consumedWindow) == [64, 64, 64, 64])
  }

  private func rings(_ environment: [String: String]) throws -> [PTO2.Configuration.Ring] {
    try rings(RingSettings(), environment)
  }

  @Test func oneValueCountsForAllRingsAndAListForEach() throws {
    #expect(
      try rings(RingSettings(heap: "1M")).map(\.heapBytes) == Array(repeating: 1 << 20, count: 4))
    #expect(
      try rings(RingSettings(heap: "1K,2K,3K,4K")).map(\.heapBytes) == [1024, 2048, 3072, 4096])
  }

  @Test(arguments: [
    "PTO2_RING_TASK_WINDOW", "PTO2_RING_CONSUMED_WINDOW", "PTO2_RING_HEAP", "PTO2_RING_DEP_POOL",
  ])
  func invalidValueNamesVariableValueAndRange(variable: String) {
    for value in ["", "zero", "0", "-4", "1,2", "1,2,3,4,5", "4,x,4,4", "1,2,3,", ","] {
      let error = #expect(throws: ConfigurationError.self) { try rings([variable: value]) }
      #expect(error?.variable == variable)
      #expect(error?.value == value)
      #expect(error?.range.isEmpty == false)
      #expect(error.map { "\($0)".contains(variable) && "\($0)".contains("expected") } == true)
    }
  }

  @Test func invalidFlagIsNamedAsTheFlag() {
    let all: [(String, RingSettings)] = [
      ("--task-window", RingSettings(taskWindow: "x")),
      ("--consumed-window", RingSettings(consumedWindow: "x")),
      ("--heap", RingSettings(heap: "x")), ("--dep-pool", RingSettings(dependencyPool: "x")),
    ]
    for (flag, settings) in all {
      let error = #expect(throws: ConfigurationError.self) { try rings(settings) }
      #expect(error?.variable == flag && error?.value == "x")
    }
  }

  @Test func valueBeyondTheFieldIsShownAsWritten() throws {
    for text in ["4294967296", "18446744073709551615"] {
      let error = #expect(throws: ConfigurationError.self) {
        try rings(RingSettings(taskWindow: text), count: 1)
      }
      #expect(error?.variable == "--task-window" && error?.value == text)
      #expect(error?.range == "at most 1048576")
    }
  }

  @Test func startUpLineShowsTheValuesThatAreUsed() throws {
    var configuration = PTO2.Configuration()
    configuration.rings = try rings(["PTO2_RING_TASK_WINDOW": "64,64,64,128"])
    configuration.tensorMapRanges = 4096
    let line = configuration.startUpLine(name: "s")
    #expect(line.contains("task window 64,64,64,128"))
    #expect(line.contains("consumed window 256,256,256,512"))
    #expect(line.contains("heap 256 MiB") && line.contains("dep pool 65536"))
    #expect(line.contains("TensorMap 4096"))
  }
}

@Suite struct ConfigurationTests {
  @Test func valueThatIsNotValidIsNamed() {
    func error(_ change: (inout PTO2.Configuration) -> Void) -> ConfigurationError? {
      var configuration = PTO2.Configuration()
      change(&configuration)
      do {
        _ = try configuration.segmentConfiguration()
        return nil
      } catch { return error }
    }
    #expect(error { _ in } == nil)
    #expect(error { $0.clusters = 0 }?.variable == "--clusters")
    #expect(error { $0.clusters = -1 }?.variable == "--clusters")
    #expect(error { $0.lanes = 65 }?.value == "65")
    #expect(error { $0.rings = [] } != nil)
    #expect(error { $0.rings[2].taskWindow = 100 }?.value == "100")
    #expect(error { $0.rings[0].heapBytes = -64 } != nil)
    #expect(error { $0.tensorMapRanges = 0 } != nil)
    #expect(error { $0.addressSpaceBytes = 63 } != nil)
    #expect(error { $0.limits.stallLimit = .zero }?.variable == "--stall-limit")
    #expect(error { $0.limits.attachTimeout = .seconds(86401) }?.variable == "--attach-timeout")
    #expect(error { $0.limits.stopGrace = nil } == nil)
  }

  @Test func timesAreWholeMilliseconds() throws {
    var configuration = PTO2.Configuration()
    configuration.limits.stallLimit = .microseconds(1)
    configuration.limits.kernelDeadline = .milliseconds(1500)
    configuration.limits.stopGrace = nil
    let layout = try configuration.segmentConfiguration()
    #expect(layout.stallLimitMilliseconds == 1)
    #expect(layout.kernelDeadlineMilliseconds == 1500)
    #expect(layout.stopGraceMilliseconds == 0)
    #expect(layout.attachTimeoutMilliseconds == 10_000)
  }
}

/// One rule for times, wherever people write them.
@Test(arguments: [
  ("0", 0), ("2", 2), ("0.5", 0.5), (".5", 0.5), ("3.", 3), ("86400", 86400), ("1.250", 1.25),
])
func secondsAreRead(text: String, value: Double) { #expect(parseSeconds(text) == value) }

@Test(arguments: [
  "", ".", "-1", "+1", "0x10", "1e3", "nan", "NaN", "inf", "infinity", "1s", " 1", "1 ", "1.2.3",
  "1,5", "\u{663}", "99999999999999999999999999999999999",
])
func whatIsNoTimeIsRefused(text: String) { #expect(parseSeconds(text) == nil) }

@Test(arguments: ["", "+1", "-1", "0x10", "1e3", "K", "1KK", " 1", "99999999999999999999", "1.0"])
func whatIsNoNumberIsRefused(text: String) { #expect(parseWhole(text) == nil) }
