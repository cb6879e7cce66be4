internal import CPTO2Link
internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// Where all ranks meet: at the start of a session, and at the end of each run.
///
/// Each sends what its program says to every other one, and has an answer once all of it is
/// there. A rank can be one meeting ahead of another, since it needs that one's word for each.
extension Link where Transport: ~Copyable {
  /// Looks whether the program has come to a meeting, and whether all others have.
  mutating func takeMeeting() throws(PTO2Error) -> Int {
    var progress = 0
    // Acquire: what the program says.
    let number = orders.asked.loadAcquire()
    if number != asked {
      let meeting = orders.meeting
      guard number == asked &+ 1, asked == answered, meeting.number == number else {
        throw PTO2Error(
          .protocolViolation,
          "meeting \(number), of which the record says \(meeting.number), comes after \(asked). The segment was overwritten"
        )
      }
      (asked, ownMeeting, askedAt) = (number, meeting, now)
      for peer in 0..<ranks where peer != rank {
        peers[peer].failedSince = nil
        try send(MessageBuffer(meeting), .sendMeeting, to: peer, tag: PTO2_LINK_TAG_MEETING)
      }
      progress += 1
    }
    // The program goes by the error, not by what was said: with both it could end well.
    guard failure == nil, asked != answered,
      peers.allSatisfy({ $0.rank == rank || $0.meeting(asked) != nil })
    else { return progress }
    if try mustCompare() { return progress }
    for peer in 0..<ranks {
      own.setMet(peer, peer == rank ? ownMeeting : peers[peer].meeting(asked)!)
      peers[peer].meetings.removeAll { $0.number == asked }
    }
    (answered, heldSince) = (asked, 0)
    // Release: what they said.
    own.answered.storeRelease(answered)
    Publisher.fence()
    Futex.wake(own.answered.shared)
    return progress + 1
  }

  /// A rank has said what it has to say.
  mutating func noteMeeting(_ meeting: pto2_meeting, from peer: Int) throws(PTO2Error) {
    guard meeting.number == answered &+ 1 || meeting.number == answered &+ 2,
      peers[peer].meeting(meeting.number) == nil
    else {
      throw PTO2Error(
        .protocolViolation,
        "\(peers[peer].name) comes to meeting \(meeting.number), and the last one is \(answered)")
    }
    peers[peer].meetings.append(meeting)
    if meeting.code != 0 && meeting.number == asked &+ 1 { peers[peer].failedSince = now }
  }

  /// Another rank's run has failed, and this one's program does not notice: it may be in a
  /// loop, or wait for what that rank does not send any more. Nor will it, once that has left.
  mutating func lookForEcho() {
    guard failure == nil else { return }
    let late = peers.filter { peer in
      peer.failedSince.map { peer.hasLeft != nil || now &- $0 >= times.echoNanoseconds } ?? false
    }
    let failures = late.compactMap { peer in
      peer.meeting(asked &+ 1).map { (peer, Meeting($0)) }
    }
    // One that has the error itself, before those that have it from others.
    guard let (peer, meeting) = failures.first(where: { !$0.1.isEcho }) ?? failures.first else {
      return
    }
    fail(Self.echo(meeting, of: peer), isEcho: true)
  }

  /// Another rank's error, as this one has it.
  static func echo(_ meeting: Meeting, of peer: Peer) -> PTO2Error {
    let text = meeting.isEcho ? meeting.text : "\(peer.name): \(meeting.text)"
    if let code = PTO2ErrorCode(rawValue: meeting.code) { return PTO2Error(code, text) }
    return PTO2Error(programCode: meeting.code, text)
      ?? PTO2Error(.rankDied, "\(text) (code \(meeting.code))")
  }
}
