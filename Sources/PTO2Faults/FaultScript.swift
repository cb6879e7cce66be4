internal import PTO2Protocol
package import PTO2Segment
internal import PTO2System

/// Faults that are done to a session on purpose: when, what and to whom.
/// docs/fault-injection.md describes the file.
package struct FaultScript: Sendable {
  /// From which every dice is made.
  package var seed: UInt64 = 1
  /// Size of a /dev/shm of the session's own; nil: the machine's.
  package var sharedMemoryBytes: UInt64?
  package var faults: [Fault] = []

  /// The most bytes a file may have.
  package static let maximumBytes = 60_000
}

/// One fault.
package struct Fault: Sendable {
  package enum When: Sendable, Equatable {
    /// Seconds since the start of the session.
    case at(Double)
    case every(Double)
    /// Tasks that are RELEASED.
    case after(UInt64)
    /// The `hit`-th time; core nil: of any core, ring nil: of any ring.
    case point(ProtocolPoint, core: Int?, ring: Int?, hit: UInt64)
  }

  package enum What: Sendable, Equatable {
    /// A signal, with what the file calls it.
    case signal(Int32, name: String)
    /// SIGSTOP, and SIGCONT after so many seconds.
    case stop(seconds: Double?)
    /// All threads are kept from running.
    case hang(seconds: Double?)
    /// No thread gets further, and all go on running.
    case loop
    /// So many futex wakes of the victim are left out.
    case dropWake
    case corrupt(Corruption)
    case truncate(bytes: UInt64)
    /// Takes what is free in the session's own /dev/shm but `bytes`.
    case fill(leaving: UInt64, seconds: Double?)

    /// Whether it is done to a process.
    var hasVictim: Bool {
      switch self {
      case .corrupt, .truncate, .fill: false
      default: true
      }
    }

    /// Whether the victim is traced for it.
    var isTraced: Bool {
      switch self {
      case .hang, .loop, .dropWake: true
      default: false
      }
    }
  }

  package struct Corruption: Sendable, Equatable {
    package enum Target: Sendable, Equatable {
      case word(NamedWord, core: Int, ring: Int, lane: Int)
      case section(SectionKind, ring: Int, offset: UInt64)
    }
    package var target: Target
    /// What is stored, or the bits that are flipped.
    package var value: UInt32
    package var isFlip: Bool
  }

  package enum NamedWord: String, CaseIterable, Sendable {
    case submitted, wired, released, consumed, dispatch, cond, ready
  }

  package enum Victim: Sendable, Equatable {
    case role(ProcessRole)
    /// The worker that the dice choose; at a point of a worker, that worker.
    case anyWorker
  }

  package var when: When
  package var what: What
  /// Nil when the fault is not about a process.
  package var victim: Victim?
  /// How often at most; nil: as often as its time comes.
  package var count: UInt64?
  /// Of each chance.
  package var probability = 1.0
  package var place = TextPlace()

  /// In one line, for the report.
  package var summary: String {
    var text: String
    switch what {
    case .signal(_, let name): text = name
    case .stop(let seconds): text = "stop" + (seconds.map { " for \($0) s" } ?? "")
    case .hang(let seconds): text = "hang" + (seconds.map { " for \($0) s" } ?? "")
    case .loop: text = "loop"
    case .dropWake: text = "drop-wake"
    case .corrupt: text = "corrupt"
    case .truncate(let bytes): text = "truncate to \(bytes) bytes"
    case .fill(let bytes, let seconds):
      text = "fill to \(bytes) bytes" + (seconds.map { " for \($0) s" } ?? "")
    }
    switch victim {
    case .role(let role): text += " \(role)"
    case .anyWorker: text += " worker"
    case nil: break
    }
    switch when {
    case .at(let seconds): text += " at \(seconds) s"
    case .every(let seconds): text += " every \(seconds) s"
    case .after(let tasks): text += " after \(tasks) tasks"
    case .point(let point, let core, let ring, let hit):
      text += " at \(point.rawValue)" + (core.map { " of \(coreName($0))" } ?? "")
      text += (ring.map { " of ring \($0)" } ?? "") + (hit > 1 ? ", hit \(hit)" : "")
    }
    return text
  }

  /// Whether processes must be traced for it.
  package var isTraced: Bool {
    if case .point = when { return true }
    return what.isTraced
  }

  /// Words of which it must be told when this role stores them.
  package func watches(_ role: ProcessRole, in reader: SegmentReader) -> [WatchedWord] {
    guard case .point(let point, let core, let ring, _) = when else { return [] }
    let cores = core.map { [$0] } ?? Array(0..<reader.configuration.coreCount)
    switch (point.storer, role) {
    case (.orchestrator, .orchestrator): return point.words(in: reader, core: nil, ring: 0)
    case (.scheduler, .scheduler):
      if point.hasCore {
        return cores.flatMap { point.words(in: reader, core: $0, ring: 0) }
      }
      let rings =
        !point.hasRing ? [0] : ring.map { [$0] } ?? Array(reader.configuration.rings.indices)
      return rings.flatMap { point.words(in: reader, core: nil, ring: $0) }
    case (.worker, .worker(let own)):
      if isOfScheduler { return [] }
      return cores.contains(own) ? point.words(in: reader, core: own, ring: 0) : []
    case (.worker, .scheduler):
      return isOfScheduler ? point.words(in: reader, core: nil, ring: 0) : []
    default: return []
    }
  }

  /// `attach` of the scheduler.
  private var isOfScheduler: Bool {
    if case .point(.attach, nil, _, _) = when { return victim == .role(.scheduler) }
    return false
  }
}

extension FaultScript {
  /// What does not fit a session of this configuration.
  package func check(_ configuration: Configuration) throws(TextError) {
    // By process, the words it must be watched for.
    var words: [ProcessRole: Set<String>] = [:]
    for fault in faults {
      try fault.check(configuration)
      for (role, names) in fault.watchedWords(configuration) {
        words[role, default: []].formUnion(names)
        let count = words[role]!.count
        if count > WatchedWord.maximum {
          throw TextError(
            fault.place,
            "the points need \(count) debug registers of the \(role), and there are \(WatchedWord.maximum): name a \"core\" or a \"ring\", or take fewer --lanes"
          )
        }
      }
    }
  }
}

extension Fault {
  /// Cores, rings and lanes that it names are there.
  fileprivate func check(_ configuration: Configuration) throws(TextError) {
    if case .role(.worker(let core)) = victim { try check(configuration, core: core) }
    if case .point(_, let core, let ring, _) = when {
      try check(configuration, core: core, ring: ring)
    }
    guard case .corrupt(let corruption) = what else { return }
    switch corruption.target {
    case .word(_, let core, let ring, let lane):
      try check(configuration, core: core, ring: ring, lane: lane)
    case .section(_, let ring, _): try check(configuration, ring: ring)
    }
  }

  private func check(
    _ configuration: Configuration, core: Int? = nil, ring: Int? = nil, lane: Int? = nil
  ) throws(TextError) {
    func missing(_ what: String, _ there: String) -> TextError {
      TextError(place, "there is no \(what): this session has \(there)")
    }
    if let core, core >= configuration.coreCount {
      throw missing("core \(CoreID(core))", "\(configuration.clusters) cluster(s)")
    }
    if let ring, ring >= configuration.rings.count {
      throw missing("ring \(ring)", "\(configuration.rings.count)")
    }
    if let lane, lane >= Int(configuration.lanes) {
      throw missing("lane \(lane)", "\(configuration.lanes)")
    }
  }

  /// Names of the debug registers that the point needs, by process.
  fileprivate func watchedWords(_ configuration: Configuration) -> [ProcessRole: [String]] {
    guard case .point(let point, let core, let ring, _) = when else { return [:] }
    let cores = core.map { [$0] } ?? Array(0..<configuration.coreCount)
    // Each lane of DATA_MAIN_BASE has a cache line; those of COND stand side by side.
    let lanes = 0..<Int(configuration.lanes)
    let pairs = 0..<(lanes.count + 1) / 2
    switch point {
    case .publish: return [.orchestrator: ["submitted"]]
    case .wire: return [.scheduler: ["wired"]]
    case .dispatch:
      return [.scheduler: cores.flatMap { core in lanes.map { "dispatch \(core) \($0)" } }]
    case .release, .consume:
      let rings = ring.map { [$0] } ?? Array(configuration.rings.indices)
      return [.scheduler: rings.map { "\(point) \($0)" }]
    case .ack, .fin:
      return Dictionary(
        uniqueKeysWithValues: cores.map { (.worker($0), pairs.map { "cond \($0)" }) })
    case .attach:
      return isOfScheduler
        ? [.scheduler: ["control"]]
        : Dictionary(uniqueKeysWithValues: cores.map { (.worker($0), ["ready"]) })
    }
  }
}

/// Decisions of one fault, the same whenever seed and place are the same.
package struct FaultDice: Sendable {
  private var random: SplitMix64

  package init(seed: UInt64, fault: Int) {
    random = SplitMix64(seed: seed &+ UInt64(fault) &* 0xD1B5_4A32_D192_ED03)
    _ = random.next()
  }

  /// True with this probability.
  package mutating func says(_ probability: Double) -> Bool {
    probability >= 1 || Double(random.next() >> 11) / Double(1 << 53) < probability
  }

  /// 0 to count - 1.
  package mutating func choose(_ count: Int) -> Int {
    Int(random.next().multipliedFullWidth(by: UInt64(count)).high)
  }
}
