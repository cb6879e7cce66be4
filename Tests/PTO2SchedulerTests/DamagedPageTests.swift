import CPTO2Segment
import Glibc
import PTO2Protocol
import PTO2Segment
import PTO2System
import Testing

@testable import PTO2Orchestrator
@testable import PTO2Scheduler

/// A program half run: of every section of the scheduler, one word or all is overwritten, and
/// the program goes on. It ends with an error, or every kernel has run once, after those that
/// it depends on.
@Suite struct DamagedPageTests {
  /// What is overwritten, and with what.
  struct Damage: Sendable, CustomTestStringConvertible {
    var kind: SectionKind
    var ring: Int
    /// Nil for all of the section.
    var offset: Int?
    var value: UInt32

    var testDescription: String {
      "\(kind).\(ring)+\(offset.map(String.init) ?? "all")=0x\(String(value, radix: 16))"
    }

    func apply(to segment: borrowing Segment) {
      let section = segment.layout.section(kind, ring: ring)
      let words = unsafe UnsafeMutableRawPointer(mutating: segment.read(kind, ring: ring))
        .assumingMemoryBound(to: UInt32.self)
      if let offset {
        unsafe words[offset / 4] = value
      } else {
        for place in 0..<Int(section.bytes / 4) { unsafe words[place] = value }
      }
    }
  }

  /// A session with two rings, so few places that every one of them is used.
  static func session(_ variant: Int) -> Configuration {
    configuration(
      rings: 2, window: 8, consumed: 16, pool: 16, lanes: 2, threads: variant == 1 ? 2 : 1,
      worksAhead: variant == 2)
  }

  /// PTO2_THOROUGH=1: every word with every value.
  static let isThorough = getenv("PTO2_THOROUGH") != nil

  static func damages(_ kind: SectionKind, rings: Range<Int>, bytes: Range<Int>) -> [Damage] {
    let values = [UInt32(0), ~0, 0x7FFF_FFFF]
    var damages: [Damage] = []
    for ring in rings {
      for value in values {
        damages.append(Damage(kind: kind, ring: ring, offset: nil, value: value))
      }
      for offset in stride(from: bytes.lowerBound, to: bytes.upperBound, by: 4) {
        let one = (offset / 4 + offset / 64 + ring) % 3
        for (number, value) in values.enumerated() where isThorough || number == one {
          damages.append(Damage(kind: kind, ring: ring, offset: offset, value: value))
        }
      }
    }
    return damages
  }

  /// What is submitted, which tasks each one needs, and how many dispatches it has.
  fileprivate struct Program {
    var needs: [TaskID: [TaskID]] = [:]
    var dispatches: [TaskID: Int] = [:]

    mutating func add(_ id: TaskID, after: [TaskID], _ count: Int) -> TaskID {
      needs[id] = after
      dispatches[id] = count
      return id
    }
  }

  private func submit(to rig: Rig, _ program: inout Program) throws {
    let data = try rig.external(4)
    let other = try rig.external(4)
    let first = program.add(try rig.submit(aic: true) { $0.inout(data) }, after: [], 1)
    var output: Tensor<Float>?
    try rig.graph.beginScope()
    let second = program.add(
      try rig.submit(aiv0: true) {
        $0.input(data)
        output = $0.output(of: Float.self, Shape(16))
      }, after: [first], 1)
    let mixed = program.add(
      try rig.submit(aic: true, aiv0: true, aiv1: true) {
        $0.input(data)
        $0.input(output!)
      }, after: [first, second], 3)
    let blocks = program.add(
      try rig.submit(aiv0: true) {
        $0.input(output!)
        $0.inout(other)
        $0.blocks(4)
      }, after: [second], 4)
    let dummy = program.add(
      try rig.submit {
        $0.after(blocks)
        $0.after(mixed)
      }, after: [blocks, mixed], 0)
    _ = program.add(try rig.submit(aic: true) { $0.after(dummy) }, after: [dummy], 1)
    try rig.graph.endScope()
    let last = program.add(try rig.submit(aic: true) { $0.inout(data) }, after: [mixed], 1)
    _ = program.add(try rig.submit(aiv0: true) { $0.input(data) }, after: [last], 1)
    while rig.graph.orchestrator.pointee.scopeDepth > 0 {
      try rig.graph.orchestrator.pointee.closeScope()
    }
  }

  /// Finishes what runs, the oldest core first, `limit` kernels at most.
  private func run(
    _ rig: Rig, _ program: Program, _ done: inout [TaskID: Int], limit: Int
  ) -> String? {
    for _ in 0..<limit {
      rig.settle()
      if rig.failure != nil { return nil }
      guard let core = rig.queues.firstIndex(where: { !$0.isEmpty }) else { return nil }
      let task = rig.queues[core][0].task
      for need in program.needs[task] ?? [] where done[need, default: 0] < program.all(need) {
        return "task \(task) runs before task \(need) has ended"
      }
      rig.finish(core: core)
      done[task, default: 0] += 1
    }
    return limit > 50 ? "it runs for ever" : nil
  }

  private func check(_ damage: Damage, variant: Int, restarts: Bool, kernels: Int) throws {
    let rig = try Rig(Self.session(variant))
    var program = Program()
    try submit(to: rig, &program)
    var done: [TaskID: Int] = [:]
    #expect(run(rig, program, &done, limit: kernels) == nil)
    rig.isDamaged = true
    damage.apply(to: rig.shared.segment)
    if restarts { try rig.restartScheduler() }
    let wrong = run(rig, program, &done, limit: 200)
    if rig.failure == nil { rig.auditForSixSeconds() }
    if rig.failure != nil { return }
    if !rig.isDrained && wrong == nil, try isLost(rig) { return }
    let what = "\(damage.testDescription), variant \(variant), after \(kernels), \(restarts)"
    #expect(wrong == nil, "\(what)")
    #expect(rig.isDrained, "\(what): it does not end")
    for (task, count) in program.dispatches {
      #expect(done[task, default: 0] == count, "\(what): task \(task)")
    }
  }

  /// The orchestrator finds that nothing can come any more. (Nobody beats here: the test does.)
  private func isLost(_ rig: Rig) throws -> Bool {
    let shared = rig.shared!
    let beats = try spawnThread("heartbeat") {
      for beat in 1...200 {
        shared.segment.ownSchedulerPage.ownProcess.beat(UInt64(beat))
        sleepNanoseconds(1_000_000)
      }
    }
    defer { beats.join() }
    rig.graph.orchestrator.pointee.waiting.lostLimitMilliseconds = 50
    let error = #expect(throws: PTO2Error.self) {
      _ = try rig.graph.orchestrator.pointee.waitUntilConsumed(
        deadline: Deadline(afterMilliseconds: 20_000))
    }
    return error?.code == .protocolViolation
  }

  /// Some of the many combinations of a word, the moment and the kind of session.
  private func check(_ damages: [Damage]) throws {
    for (number, damage) in damages.enumerated() {
      let whole = damage.offset == nil
      for kernels in whole ? [1, 4, 7] : [(number &* 7 &+ number / 12) % 11] {
        for variant in whole ? [0, 1, 2] : [number % 3] {
          for restarts in whole ? [false, true] : [number / 3 % 2 == 1] {
            try check(damage, variant: variant, restarts: restarts, kernels: kernels)
          }
        }
      }
    }
  }

  @Test func sessionWithoutDamageIsRight() throws {
    let words = Self.session(0)
    // A word that nobody reads.
    let unread = Damage(
      kind: .consumedRing, ring: 1, offset: Int(words.rings[1].consumedWindow - 1) * 64, value: 0)
    for kernels in 0..<12 {
      for variant in 0..<3 {
        try check(unread, variant: variant, restarts: false, kernels: kernels)
        try check(unread, variant: variant, restarts: true, kernels: kernels)
      }
    }
  }

  @Test func consumedRing() throws {
    try check(Self.damages(.consumedRing, rings: 0..<2, bytes: 0..<7 * 64))
  }

  @Test func slotStates() throws {
    try check(Self.damages(.slotStates, rings: 0..<2, bytes: 0..<8 * 8))
  }

  @Test func fanout() throws {
    try check(Self.damages(.fanout, rings: 0..<2, bytes: 0..<12 * 16))
  }

  @Test func dispatchLanes() throws {
    let stride = MemoryLayout<pto2_dispatch_lanes>.stride
    for core in 0..<3 {
      let begin = core * stride
      try check(Self.damages(.dataMainBase, rings: 0..<1, bytes: begin..<begin + 192))
    }
  }

  @Test func schedulerWords() throws {
    // The words that threads go by, and of the rest every eleventh.
    try check(Self.damages(.schedulerWords, rings: 0..<1, bytes: 0..<128))
    let all = 128..<MemoryLayout<pto2_scheduler_page>.stride
    let rest = Self.damages(.schedulerWords, rings: 0..<1, bytes: all).enumerated()
    try check(rest.filter { $0.offset % 11 == 3 && $0.element.offset != nil }.map(\.element))
  }
}

extension DamagedPageTests.Program {
  fileprivate func all(_ task: TaskID) -> Int { dispatches[task] ?? 0 }
}
