internal import PTO2Protocol

/// Which transfer a task is, between this rank and another.
package struct TraceTransfer: Equatable, Sendable {
  package var isSend: Bool
  /// The other rank.
  package var peer: UInt8
  /// The lower 19 bits of its number among those from the one rank to the other.
  package var sequence: UInt32

  package init(isSend: Bool, peer: UInt8, sequence: UInt32) {
    self.isSend = isSend
    self.peer = peer
    self.sequence = sequence
  }

  package var name: String { isSend ? "send to rank \(peer)" : "receive from rank \(peer)" }
}

/// Transfers that are under way at one time stand on tracks of their own.
struct TransferTracks {
  struct Track {
    var name: String
    /// Places in `Trace.tasks`, one after the other in time.
    var tasks: [Int] = []
    fileprivate var end: UInt64 = 0
  }
  private(set) var tracks: [Track] = []

  init(_ trace: Trace) {
    let places = trace.tasks.indices.filter {
      trace.tasks[$0].transfer != nil && trace.tasks[$0].dispatched != 0
        && trace.tasks[$0].completed != 0
    }.sorted { trace.tasks[$0].dispatched < trace.tasks[$1].dispatched }
    for place in places {
      let task = trace.tasks[place]
      let name = task.transfer?.name ?? ""
      let track =
        tracks.firstIndex { $0.name == name && $0.end <= task.dispatched } ?? tracks.count
      if track == tracks.count { tracks.append(Track(name: name)) }
      tracks[track].tasks.append(place)
      tracks[track].end = task.completed
    }
  }
}
