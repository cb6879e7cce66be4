internal import CPTO2Link
internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2System

/// Another rank, as its link has told of it.
struct Peer {
  let rank: Int
  var hostName = ""
  var traffic = pto2_link_traffic()
  /// What it has said of meetings that are not over here.
  var meetings: [pto2_meeting] = []
  /// Since when one of these, which this rank was not asked for, says that its run has failed.
  var failedSince: UInt64?
  /// It sends nothing more; the error with which its session has ended, 0 = none.
  var hasLeft: UInt32?

  // MARK: Whether it is there

  /// Messages that came from it.
  var heard: UInt64 = 0
  /// How long it was waited for and not heard of.
  var silence: StallTimer
  /// When it was asked last whether it is there, and for what it submitted.
  var asked: UInt64 = 0
  var compared: UInt64 = 0

  // MARK: How much is on the way

  /// Transfers that were sent to it, and what it has said of them.
  var sent: (count: UInt64, bytes: UInt64) = (0, 0)
  var taken: (count: UInt64, bytes: UInt64) = (0, 0)
  /// Its transfers that were taken here, and how many of them it has been told of.
  var received: (count: UInt64, bytes: UInt64) = (0, 0)
  var told: (count: UInt64, bytes: UInt64) = (0, 0)

  init(rank: Int, timeoutMilliseconds: UInt32) {
    self.rank = rank
    silence = StallTimer(limitMilliseconds: timeoutMilliseconds)
  }

  var name: String { hostName.isEmpty ? "rank \(rank)" : "rank \(rank) (\(hostName))" }

  /// What it has said of a meeting.
  func meeting(_ number: UInt32) -> pto2_meeting? { meetings.first { $0.number == number } }

  /// So much lies between the two that no RECEIVE has taken that the next message is to wait
  /// for one: a rank that runs ahead is not to fill the other's memory.
  var isFull: Bool {
    sent.count &- taken.count >= Self.mostMessages || sent.bytes &- taken.bytes >= Self.mostBytes
  }
  /// It has not been told for long what was taken here.
  var isUntold: Bool {
    received.count &- told.count >= Self.mostMessages / 4
      || received.bytes &- told.bytes >= Self.mostBytes / 4
  }
  static let mostMessages: UInt64 = 1024
  static let mostBytes: UInt64 = 8 << 20
}
