import PTO2Segment
import Testing

@testable import PTO2Faults

struct FaultScriptTests {
  private func fault(_ text: String) throws -> Fault {
    try FaultScript("{\"faults\": [\(text)]}").faults[0]
  }

  private func failure(_ text: String) -> String? {
    do {
      _ = try FaultScript(text)
      return nil
    } catch { return error.description }
  }

  @Test func readsWhenWhatAndWhom() throws {
    let script = try FaultScript(
      """
      {"seed": 7, "shm_bytes": 1048576, "faults": [
        {"at": 0.5, "do": "kill", "to": "scheduler"},
        {"every": 0.1, "count": 3, "do": "stop", "for": 0.02, "to": "worker", "probability": 0.5},
        {"after": 100, "do": "truncate", "bytes": 4096},
        {"point": "ack", "core": "aiv1", "hit": 4, "do": "segv"},
        {"point": "release", "ring": 2, "do": "hang", "for": 1, "to": "orchestrator"},
        {"after": 0, "do": "corrupt", "word": "cond", "core": "aic1", "lane": 1, "value": "0xFFFFFFFF"},
        {"at": 0, "do": "corrupt", "section": "dispatchTable", "offset": 8, "flip": 1},
        {"at": 0, "do": "fill", "bytes": 4096, "for": 0.5}]}
      """)
    #expect(script.seed == 7 && script.sharedMemoryBytes == 1 << 20)
    let faults = script.faults
    #expect(faults[0].when == .at(0.5) && faults[0].victim == .role(.scheduler))
    #expect(faults[0].what == .signal(9, name: "kill") && faults[0].count == 1)
    #expect(faults[1].when == .every(0.1) && faults[1].count == 3)
    #expect(faults[1].what == .stop(seconds: 0.02) && faults[1].probability == 0.5)
    #expect(faults[1].victim == .anyWorker)
    #expect(faults[2].what == .truncate(bytes: 4096) && faults[2].victim == nil)
    // Without "to": whoever stores the word.
    #expect(faults[3].when == .point(.ack, core: 4 - 2, ring: nil, hit: 4))
    #expect(faults[3].victim == .role(.worker(2)))
    #expect(faults[4].when == .point(.release, core: nil, ring: 2, hit: 1))
    #expect(
      faults[5].what
        == .corrupt(
          .init(
            target: .word(.cond, core: 3, ring: 0, lane: 1), value: 0xFFFF_FFFF, isFlip: false)))
    #expect(
      faults[6].what
        == .corrupt(
          .init(target: .section(.dispatchTable, ring: 0, offset: 8), value: 1, isFlip: true)))
    #expect(faults[7].what == .fill(leaving: 4096, seconds: 0.5) && faults[7].victim == nil)
  }

  /// The place is that of the wrong key or value.
  @Test(arguments: [
    ("[]", "1:1: the script: expected an object, found an array"),
    ("{}", "1:1: the script has no \"faults\""),
    ("{\"faults\": []}", "1:12: \"faults\" is empty"),
    (
      "{\"faults\": [], \"x\": 1}",
      "1:16: unknown key \"x\"; the script may have seed, shm_bytes, faults"
    ),
    (
      "{\"faults\": [{\"at\": 1, \"do\": \"fill\"}]}",
      "1:13: \"fill\" needs \"shm_bytes\" beside \"faults\": the size of a /dev/shm of the session's own, so that nobody else's is filled"
    ),
    (
      "{\"seed\": -1, \"faults\": []}",
      "1:10: \"seed\": expected a whole number from 0 to 9007199254740992, found -1"
    ),
    (
      "{\"faults\": [\n{\"do\": \"kill\"}]}",
      "2:1: a fault needs one of \"at\", \"every\", \"after\" or \"point\""
    ),
    (
      "{\"faults\": [{\"at\": 1, \"after\": 1, \"do\": \"kill\", \"to\": \"scheduler\"}]}",
      "1:13: a fault has only one of \"at\", \"every\", \"after\" and \"point\""
    ),
    (
      "{\"faults\": [{\"at\": 1, \"do\": \"kill\"}]}",
      "1:13: the fault needs \"to\": whom it is done to"
    ),
    (
      "{\"faults\": [{\"at\": -1, \"do\": \"kill\", \"to\": \"scheduler\"}]}",
      "1:20: \"at\": expected seconds, 0 to 1000000, found -1"
    ),
    (
      "{\"faults\": [{\"at\": 1, \"do\": \"kill\", \"to\": \"worker aiw0\"}]}",
      "1:43: \"to\": expected \"orchestrator\", \"scheduler\", \"worker\" or such as \"worker aiv0\", found \"worker aiw0\""
    ),
    (
      "{\"faults\": [{\"at\": 1, \"do\": \"kill\", \"to\": \"scheduler\", \"for\": 1}]}",
      "1:56: \"for\" has no meaning in a fault"
    ),
    (
      "{\"faults\": [{\"at\": 1, \"count\": 2, \"do\": \"kill\", \"to\": \"scheduler\"}]}",
      "1:32: \"count\" goes with \"every\" or \"point\""
    ),
    (
      "{\"faults\": [{\"at\": 1, \"do\": \"stop\", \"to\": \"orchestrator\"}]}",
      "1:13: nobody could end the run: say how long the orchestrator stands, with \"for\""
    ),
    (
      "{\"faults\": [{\"point\": \"fin\", \"ring\": 1, \"do\": \"kill\"}]}",
      "1:30: \"ring\" has no meaning in a fault"
    ),
    (
      "{\"faults\": [{\"at\": 1, \"do\": \"corrupt\", \"word\": \"cond\", \"core\": \"aiv0\"}]}",
      "1:29: \"corrupt\" needs either \"value\" or \"flip\""
    ),
    (
      "{\"faults\": [{\"at\": 1, \"do\": \"truncate\", \"bytes\": 0, \"to\": \"scheduler\"}]}",
      "1:59: \"to\" has no meaning: the fault is done to the segment"
    ),
  ])
  func saysWhatIsWrongAndWhere(text: String, message: String) {
    #expect(failure(text) == message)
  }

  @Test func unknownNamesAreListed() {
    let message = failure("{\"faults\": [{\"point\": \"fine\", \"do\": \"kill\"}]}")
    #expect(
      message
        == "1:23: \"point\": expected one of publish, wire, dispatch, ack, fin, release, consume, attach, found \"fine\""
    )
    let action = failure("{\"faults\": [{\"at\": 1, \"do\": \"explode\", \"to\": \"worker\"}]}")
    #expect(action?.hasPrefix("1:29: \"do\": expected one of kill, stop, continue") == true)
  }

  /// What is well written may still not fit the session.
  @Test(arguments: [
    ("{\"at\": 1, \"do\": \"kill\", \"to\": \"worker aiv2\"}", "there is no core aiv2"),
    ("{\"point\": \"consume\", \"ring\": 2, \"do\": \"kill\"}", "there is no ring 2"),
    ("{\"point\": \"ack\", \"core\": \"aic1\", \"do\": \"kill\"}", "there is no core aic1"),
    (
      "{\"at\": 1, \"do\": \"corrupt\", \"word\": \"cond\", \"core\": \"aiv0\", \"lane\": 2, \"value\": 0}",
      "there is no lane 2"
    ),
    (
      "{\"point\": \"dispatch\", \"do\": \"kill\"}, {\"point\": \"release\", \"do\": \"kill\"}",
      "the points need 6 debug registers of the scheduler, and there are 4"
    ),
  ])
  func fitsTheSessionOrSaysWhy(faults: String, message: String) throws {
    let script = try FaultScript("{\"faults\": [\(faults)]}")
    let rings = Array(Configuration().rings.prefix(2))
    let configuration = Configuration(rings: rings, clusters: 1, lanes: 2)
    let error = #expect(throws: TextError.self) { try script.check(configuration) }
    #expect(error?.message.contains(message) == true, "\(String(describing: error))")
  }

  /// As many words as there are debug registers.
  @Test func fourWordsFit() throws {
    let script = try FaultScript(
      "{\"faults\": [{\"point\": \"dispatch\", \"core\": \"aic0\", \"do\": \"kill\"}, {\"point\": \"release\", \"do\": \"kill\"}]}"
    )
    let rings = Array(Configuration().rings.prefix(2))
    try script.check(Configuration(rings: rings, clusters: 1, lanes: 2))
  }

  @Test func diceFollowTheSeedAndTheFault() {
    func throwsOf(_ seed: UInt64, _ fault: Int) -> [Bool] {
      var dice = FaultDice(seed: seed, fault: fault)
      return (0..<200).map { _ in dice.says(0.3) }
    }
    #expect(throwsOf(1, 0) == throwsOf(1, 0))
    #expect(throwsOf(1, 0) != throwsOf(2, 0))
    #expect(throwsOf(1, 0) != throwsOf(1, 1))
    let share = throwsOf(1, 0).filter { $0 }.count
    #expect((30...90).contains(share))
    var dice = FaultDice(seed: 3, fault: 0)
    #expect(Set((0..<100).map { _ in dice.choose(3) }) == [0, 1, 2])
  }
}
