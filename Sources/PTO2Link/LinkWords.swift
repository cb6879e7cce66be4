internal import CPTO2Link
internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// What links tell each other beside transfers and meetings: that they are there, what they
/// have taken, what their programs have submitted, and that they leave.
extension Link where Transport: ~Copyable {
  // MARK: Messages

  /// Takes what has come, from whomever.
  mutating func takeMessages() throws(PTO2Error) -> Int {
    var count = 0
    while count < 64 {
      let found: LinkMessage?
      do throws(LinkFault) { found = try transport.probe() } catch {
        throw self.error(error, "looking for messages")
      }
      guard let message = found else { break }
      count += 1
      guard message.source >= 0, message.source < ranks, message.source != rank else {
        throw PTO2Error(.protocolViolation, "a message from rank \(message.source) of \(ranks)")
      }
      peers[message.source].heard &+= 1
      switch message.tag {
      case Int(PTO2_LINK_TAG_MEETING):
        try takeRecord(message, .receiveMeeting, bytes: MemoryLayout<pto2_meeting>.size)
      case Int(PTO2_LINK_TAG_WORD):
        try takeRecord(message, .receiveWord, bytes: MemoryLayout<pto2_link_word>.size)
      default: try arrive(message)
      }
    }
    return count
  }

  private mutating func takeRecord(
    _ message: LinkMessage, _ purpose: Activity.Purpose, bytes: Int
  ) throws(PTO2Error) {
    let peer = message.source
    guard message.bytes == UInt64(bytes) else {
      throw PTO2Error(
        .protocolViolation,
        "\(peers[peer].name) has sent \(message.bytes) bytes where a record has \(bytes): all ranks must have one version of pto2"
      )
    }
    let buffer = MessageBuffer(count: bytes)
    do throws(LinkFault) {
      let request = unsafe try transport.receive(message, into: buffer.place)
      activities.add(
        Activity(purpose: purpose, peer: peer, buffer: buffer, since: now), request)
    } catch { throw self.error(error, "receiving what it says", peer: peer) }
  }

  /// Takes what is done.
  mutating func finishActivities() throws(PTO2Error) -> Int {
    if activities.isEmpty { return 0 }
    var finished: [Activity] = []
    do throws(LinkFault) { try activities.takeDone(&transport, into: &finished) } catch {
      let peer = activities.place(of: error)?.peer
      throw self.error(error, "a message", peer: peer)
    }
    for activity in finished {
      switch activity.purpose {
      case .send(let transfer), .receive(let transfer): finish(transfer, activity)
      case .sendMeeting, .sendWord: break
      case .receiveMeeting: try noteMeeting(activity.buffer!.meeting, from: activity.peer)
      case .receiveWord: try hear(activity.buffer!.word, from: activity.peer)
      }
      activity.buffer?.free()
    }
    return finished.count
  }

  mutating func send(
    _ buffer: MessageBuffer, _ purpose: Activity.Purpose, to peer: Int, tag: Int32
  ) throws(PTO2Error) {
    do throws(LinkFault) {
      let request = unsafe try transport.send(
        buffer.whole, to: peer, tag: Int(tag), isSynchronous: false)
      activities.add(
        Activity(purpose: purpose, peer: peer, buffer: buffer, since: now), request)
    } catch { throw self.error(error, "speaking to it", peer: peer) }
  }

  // MARK: Words

  /// A word as everyone gets it.
  func word(_ kind: UInt32) -> pto2_link_word {
    var word = pto2_link_word()
    word.version = PTO2_LINK_WORD_VERSION
    word.kind = kind
    word.answered = answered
    word.asked = asked
    word.submitted = orders.submitted.loadAcquire()
    return word
  }

  mutating func send(_ word: pto2_link_word, to peer: Int) throws(PTO2Error) {
    var word = word
    word.taken = peers[peer].received.count
    word.taken_bytes = peers[peer].received.bytes
    peers[peer].told = peers[peer].received
    try send(MessageBuffer(word), .sendWord, to: peer, tag: PTO2_LINK_TAG_WORD)
  }

  private mutating func hear(_ word: pto2_link_word, from peer: Int) throws(PTO2Error) {
    guard word.version == PTO2_LINK_WORD_VERSION else {
      throw PTO2Error(
        .protocolViolation,
        "\(peers[peer].name) speaks version \(word.version) of what links say, and this rank \(PTO2_LINK_WORD_VERSION): all ranks must have one version of pto2"
      )
    }
    peers[peer].taken = (word.taken, word.taken_bytes)
    switch word.kind {
    case PTO2_LINK_WORD_HELLO: peers[peer].hostName = word.words
    case PTO2_LINK_WORD_ASK where !hasSaidGoodbye: try send(answer(word), to: peer)
    case PTO2_LINK_WORD_ASK: break
    case PTO2_LINK_WORD_TELL: try compare(word, from: peer)
    case PTO2_LINK_WORD_FOUND:
      fail(
        PTO2Error(.diverged, word.words),
        isEcho: UInt32(rank) != min(word.ranks.0, word.ranks.1))
    case PTO2_LINK_WORD_LEAVE: peers[peer].hasLeft = word.number
    default: throw PTO2Error(.protocolViolation, "\(peers[peer].name) says \(word.kind)")
    }
  }

  // MARK: Whether they are there

  /// What is to be looked at from time to time.
  mutating func look() throws(PTO2Error) {
    // Before what is missing since: a rank that has failed says so, and leaves.
    lookForEcho()
    let waits = waits()
    for peer in 0..<ranks where peer != rank {
      guard let wait = waits[peer] else {
        peers[peer].silence.rewind(to: 0)
        continue
      }
      if let error = peers[peer].hasLeft {
        fail(leftError(peer, error, wait))
        continue
      }
      if now &- peers[peer].asked >= times.askNanoseconds {
        peers[peer].asked = now
        try send(word(PTO2_LINK_WORD_ASK), to: peer)
      }
      let heard = peers[peer].heard
      if peers[peer].silence.isStalled(progress: heard, now: now) {
        let limit = peers[peer].silence.limitText
        fail(
          PTO2Error(
            .peerSilent,
            "\(peers[peer].name) was not heard of for \(limit) (PTO2_PEER_TIMEOUT); \(name(wait)) waits for it"
          ))
      }
      if now &- wait.since >= times.compareNanoseconds { try beginComparison(with: peer) }
    }
    try lookForDifference()
  }

  /// What waits for a rank the longest, of everything that does.
  struct Wait {
    /// Nil: the meeting.
    var transfer: Transfer?
    var since: UInt64
  }

  private func name(_ wait: Wait) -> String {
    wait.transfer.map { name($0) } ?? "meeting \(asked)"
  }

  /// By rank; nil while nothing does.
  private func waits() -> [Wait?] {
    var waits = [Wait?](repeating: nil, count: ranks)
    if !isExpecting { return waits }
    func note(_ peer: Int, _ transfer: Transfer?, _ since: UInt64) {
      if waits[peer].map({ since < $0.since }) ?? true {
        waits[peer] = Wait(transfer: transfer, since: since)
      }
    }
    if asked != answered {
      for peer in peers where peer.rank != rank && peer.meeting(asked) == nil {
        note(peer.rank, nil, askedAt)
      }
    }
    for receive in waiting.values {
      note(receive.transfer.order.peer, receive.transfer, receive.since)
    }
    for activity in activities.all {
      switch activity.purpose {
      case .send(let transfer), .receive(let transfer):
        note(activity.peer, transfer, activity.since)
      default: break
      }
    }
    return waits
  }

  /// It says that it sends nothing more, and something waits for it.
  private func leftError(_ peer: Int, _ error: UInt32, _ wait: Wait) -> PTO2Error {
    if error != 0 {
      return PTO2Error(
        .rankDied, "\(peers[peer].name) has ended with error \(error); \(name(wait)) waits for it")
    }
    return PTO2Error(
      .diverged,
      "the program of rank \(peer) has ended its session, and that of rank \(rank) goes on: \(name(wait)) waits for it"
    )
  }
}

extension pto2_link_word {
  var words: String {
    var copy = self
    let length = Int(min(text_length, UInt32(PTO2_LINK_TEXT_BYTES)))
    return unsafe withUnsafeBytes(of: &copy.text) {
      unsafe String(decoding: $0.prefix(length), as: UTF8.self)
    }
  }

  mutating func setText(_ text: String) {
    let bytes = Array(text.utf8.prefix(Int(PTO2_LINK_TEXT_BYTES)))
    text_length = UInt32(bytes.count)
    unsafe withUnsafeMutableBytes(of: &self.text) { unsafe $0.copyBytes(from: bytes) }
  }
}
