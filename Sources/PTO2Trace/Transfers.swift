internal import PTO2Protocol

/// Which transfer a task is, between this rank and another.
package struct TraceTransfer: Equatable, Sendable {
  package var isSend: Bool
  /// The other rank.
  package var peer: UInt8
  /// The lower bits of its number among those from the one rank to the other:
  /// `TraceRecord.sequenceBits`.
  package var sequence: UInt32

  package init(isSend: Bool, peer: UInt8, sequence: UInt32) {
    self.isSend = isSend
    self.peer = peer
    self.sequence = sequence
  }

  package var name: String { isSend ? "send to rank \(peer)" : "receive from rank \(peer)" }
}

extension TraceTask {
  /// The link had it, and was through with it.
  var isWholeTransfer: Bool { transfer != nil && dispatched != 0 && completed >= dispatched }
}

/// Transfers that are under way at one time stand on tracks of their own.
struct TransferTracks {
  struct Track {
    var name: String
    /// Places in `Trace.tasks`, one after the other in time.
    var tasks: [Int] = []
  }
  private struct Kind: Hashable {
    var isSend: Bool
    var peer: UInt8
  }
  /// Tracks of one kind, in the order in which they become free.
  private struct Lanes {
    var ends: [(time: UInt64, track: Int)] = []
    /// The whole number of the last transfer, of which records have the lower bits.
    var sequence = 0

    /// - Returns: one that is free by then.
    mutating func take(at time: UInt64) -> Int? {
      guard let first = ends.first, first.time <= time else { return nil }
      return ends.removeFirst().track
    }

    mutating func giveBack(_ track: Int, at time: UInt64) {
      var (low, high) = (0, ends.count)
      while low < high {
        let middle = (low + high) / 2
        if ends[middle].time <= time { low = middle + 1 } else { high = middle }
      }
      ends.insert((time, track), at: low)
    }

    /// Transfers begin about in their order.
    mutating func whole(_ bits: UInt32) -> Int {
      let lap = 1 << TraceRecord.sequenceBits
      let ahead = (Int(bits) - sequence) & (lap - 1)
      sequence += ahead < lap / 2 ? ahead : ahead - lap
      return sequence
    }
  }
  private(set) var tracks: [Track] = []
  /// By place in `Trace.tasks`: the whole number of the transfer.
  private(set) var sequences: [Int: Int] = [:]

  init(_ trace: Trace) {
    let places = trace.tasks.indices.filter { trace.tasks[$0].isWholeTransfer }
      .sorted { trace.tasks[$0].dispatched < trace.tasks[$1].dispatched }
    var kinds: [Kind: Lanes] = [:]
    for place in places {
      let task = trace.tasks[place]
      guard let transfer = task.transfer else { continue }
      let kind = Kind(isSend: transfer.isSend, peer: transfer.peer)
      var lanes = kinds.removeValue(forKey: kind) ?? Lanes()
      sequences[place] = lanes.whole(transfer.sequence)
      let track = lanes.take(at: task.dispatched) ?? tracks.count
      if track == tracks.count { tracks.append(Track(name: transfer.name)) }
      tracks[track].tasks.append(place)
      lanes.giveBack(track, at: task.completed)
      kinds[kind] = lanes
    }
  }
}
