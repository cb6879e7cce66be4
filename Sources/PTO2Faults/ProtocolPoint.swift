internal import CPTO2Segment
internal import PTO2Protocol
package import PTO2Segment

/// A step of the protocol, known by the word that it stores.
package enum ProtocolPoint: String, CaseIterable, Sendable {
  /// The orchestrator stores `submitted`.
  case publish
  /// The scheduler stores `wired`.
  case wire
  /// The scheduler stores a task's word to a DATA_MAIN_BASE lane.
  case dispatch
  /// A worker acknowledges a word in COND, before its kernel.
  case ack
  /// A worker says FIN in COND, after its kernel.
  case fin
  /// The scheduler moves a ring's RELEASED watermark, or its CONSUMED one.
  case release, consume
  /// A worker announces READY, or the scheduler ATTACHED.
  case attach

  package var storer: Storer {
    switch self {
    case .publish: .orchestrator
    case .wire, .dispatch, .release, .consume: .scheduler
    case .ack, .fin, .attach: .worker
    }
  }

  /// Which role stores it; of the workers, that of the core it is about.
  package enum Storer { case orchestrator, scheduler, worker }

  /// Whether it is about a core, or about a ring.
  package var hasCore: Bool { self == .dispatch || storer == .worker }
  package var hasRing: Bool { self == .release || self == .consume }

  /// Whether a word that has just changed to this value is the point.
  package func isReached(by value: UInt32) -> Bool {
    switch self {
    case .publish, .wire, .release, .consume: true
    case .dispatch, .ack:
      if case .dispatch = DispatchWord(rawValue: value).content { true } else { false }
    case .fin: value & PTO2_COND_FIN != 0
    case .attach: value != 0
    }
  }

  /// The words to watch.
  /// - Parameters:
  ///   - core: nil for the scheduler's ATTACHED.
  ///   - ring: for RELEASED and CONSUMED.
  package func words(in segment: SegmentReader, core: Int?, ring: Int) -> [WatchedWord] {
    let lanes = segment.configuration.lanes
    /// Of a lane's two neighbours, which one debug register watches.
    func pairs(_ word: (UInt32) -> SharedWord) -> [WatchedWord] {
      stride(from: 0, to: lanes, by: 2).map {
        WatchedWord(offset: segment.offset(of: word($0)), bytes: $0 + 1 < lanes ? 8 : 4)
      }
    }
    func single(_ word: SharedWord) -> [WatchedWord] {
      [WatchedWord(offset: segment.offset(of: word), bytes: 4)]
    }
    let scheduler = segment.schedulerPage
    switch self {
    case .publish: return single(segment.orchestratorPage.submitted)
    case .wire: return single(scheduler.wired)
    case .release: return single(scheduler.released(ring))
    case .consume: return single(scheduler.consumed(ring))
    case .dispatch:
      return (0..<lanes).flatMap { single(segment.dispatchLanes(core ?? 0).word($0)) }
    case .ack, .fin: return pairs(segment.corePage(core ?? 0).cond)
    case .attach: return single(core.map { segment.corePage($0).ready } ?? scheduler.control)
    }
  }
}

/// What watched words held when they were looked at last: which of them has
/// changed, and to what.
package struct WordMemory {
  private var values: [UInt64: UInt32] = [:]

  package init() {}

  /// Forgets the past of these words; call it before they are watched.
  package mutating func remember(_ watches: [WatchedWord], in segment: SegmentReader) {
    _ = changes(watches, in: segment)
  }

  /// The words of these that differ from before: offset and value.
  package mutating func changes(_ watches: [WatchedWord], in segment: SegmentReader)
    -> [(offset: UInt64, value: UInt32)]
  {
    var found: [(offset: UInt64, value: UInt32)] = []
    for watch in watches {
      for offset in stride(from: watch.offset, to: watch.offset + UInt64(watch.bytes), by: 4) {
        guard let value = segment.value(at: offset),
          values.updateValue(value, forKey: offset) != value
        else { continue }
        found.append((offset, value))
      }
    }
    return found
  }
}
