internal import PTO2Faults
internal import PTO2Protocol
internal import PTO2Segment

/// A stretch of one process's instructions, from one store of the protocol to
/// the next.
enum StepPoint: String, CaseIterable {
  case reset, attach
  case resetScheduler = "reset-scheduler"
  case attachScheduler = "attach-scheduler"
  case publish, wire, dispatch, ack, fin, release, consume
  case rebuild

  /// Whose instructions.
  var victim: ProcessRole {
    switch self {
    case .publish: .orchestrator
    case .wire, .dispatch, .release, .consume, .resetScheduler, .attachScheduler, .rebuild:
      .scheduler
    case .ack, .fin, .reset, .attach: .worker(Self.core)
    }
  }

  /// aiv0.
  static let core = 1

  /// A store to words of the protocol.
  private enum Store {
    /// The change of a point's words that is the point.
    case point(ProtocolPoint)
    /// Any change of them: the first thing that is stored by a new process.
    case words(ProtocolPoint)
    /// The incarnation in the process record.
    case incarnation
    /// The first change of the process record, whichever field the compiler stores first.
    case announcement
  }

  private var first: Store {
    switch self {
    case .reset: .words(.ack)
    case .resetScheduler: .words(.dispatch)
    case .attach, .attachScheduler: .announcement
    case .publish: .point(.publish)
    case .wire: .point(.wire)
    case .dispatch: .point(.dispatch)
    case .ack: .point(.fin)
    case .fin: .point(.ack)
    case .release, .consume, .rebuild: .point(.release)
    }
  }

  private var last: Store? {
    switch self {
    case .reset, .resetScheduler: nil
    case .attach, .attachScheduler: .point(.attach)
    case .rebuild: .incarnation
    case .publish: .point(.publish)
    case .wire: .point(.wire)
    case .dispatch: .point(.dispatch)
    case .ack: .point(.ack)
    case .fin: .point(.fin)
    case .release: .point(.release)
    case .consume: .point(.consume)
    }
  }

  /// How long the stretch is when no store ends it.
  var length: Int? { last == nil ? 500 : nil }

  /// How many kills are enough when nobody says, by the length of a stretch.
  /// Between two stores lie some hundreds of instructions; one of thousands has
  /// a wait in it, and that of a rebuild takes ten seconds to step.
  func sample(of instructions: Int) -> Int? {
    if self == .rebuild { return 60 }
    return instructions > 3000 ? 300 : nil
  }

  /// Whether the stretch begins once only in the life of a process.
  var isOnce: Bool {
    switch self {
    case .reset, .resetScheduler, .attach, .attachScheduler: true
    default: false
    }
  }

  /// The victim is the process that takes the place of one that was killed at
  /// the store; the stretch then begins with its own first store, to `parked`.
  var isOfSecondLife: Bool { self == .rebuild }

  /// Whether these words have that one among them. It may store what was there.
  func isSecondStart(_ watches: [WatchedWord], in reader: SegmentReader) -> Bool {
    watches.contains { $0.contains(Self.secondStart(reader)) }
  }

  private static func secondStart(_ reader: SegmentReader) -> UInt64 {
    reader.offset(of: reader.schedulerPage.parked)
  }

  /// In words.
  var stretch: String {
    switch self {
    case .reset: "worker: its first store, and on"
    case .attach: "worker: process record to READY"
    case .resetScheduler: "scheduler: its first store, and on"
    case .attachScheduler: "scheduler: process record to ATTACHED"
    case .publish: "orchestrator: one `submitted` to the next"
    case .wire: "scheduler: one `wired` to the next"
    case .dispatch: "scheduler: one dispatch word to the next"
    case .ack: "worker: FIN to the next ACK"
    case .fin: "worker: ACK to FIN"
    case .release: "scheduler: one RELEASED to the next"
    case .consume: "scheduler: RELEASED to CONSUMED"
    case .rebuild: "scheduler started again: to announced"
    }
  }

  /// The words of a store, in a session with one ring and one cluster.
  private func words(_ store: Store, in reader: SegmentReader) -> [WatchedWord] {
    let isScheduler = victim == .scheduler
    switch store {
    case .incarnation: return [WatchedWord(offset: reader.incarnation(victim), bytes: 4)]
    case .announcement:
      return reader.announcement(victim).map { WatchedWord(offset: $0, bytes: 4) }
    case .words(.dispatch): return ProtocolPoint.dispatch.words(in: reader, core: 0, ring: 0)
    case .point(.dispatch):
      return (0..<reader.configuration.coreCount).flatMap {
        ProtocolPoint.dispatch.words(in: reader, core: $0, ring: 0)
      }
    case .point(let point), .words(let point):
      return point.words(in: reader, core: isScheduler ? nil : Self.core, ring: 0)
    }
  }

  /// All that the victim is watched for.
  func watches(in reader: SegmentReader) -> [WatchedWord] {
    var words = words(first, in: reader)
    if let last {
      for word in self.words(last, in: reader) where !words.contains(word) { words.append(word) }
    }
    if isOfSecondLife { words.append(WatchedWord(offset: Self.secondStart(reader), bytes: 4)) }
    return words
  }

  /// Whether one of these changes is the store at which the stretch begins, or
  /// ends.
  func isReached(
    atEnd: Bool, by changes: [(offset: UInt64, value: UInt32)], in reader: SegmentReader
  ) -> Bool {
    guard let store = atEnd ? last : first else { return false }
    let words = words(store, in: reader)
    return changes.contains { change in
      guard words.contains(where: { $0.contains(change.offset) }) else { return false }
      if case .point(let point) = store { return point.isReached(by: change.value) }
      return true
    }
  }
}

/// One kill.
struct StepCase {
  var point: StepPoint
  /// At which store the stretch begins.
  var hit: Int
  /// Instructions from there to the kill.
  var step: Int
}
