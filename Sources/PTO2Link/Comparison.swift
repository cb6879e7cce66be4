internal import CPTO2Link
internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// A search for the first submission in which two ranks' programs differ.
///
/// Each submission's hash is of it and all before it: where two are equal, everything before
/// is, and where they differ, the first difference is there or before. So sixteen positions a
/// question narrow 65,536 down in four.
struct Comparison {
  let peer: Int
  /// Of the question that is open.
  var number: UInt32
  /// When it began.
  var since: UInt64
  /// Held up for it: the meeting.
  var isOfMeeting: Bool

  enum Stage {
    /// How much has it submitted?
    case count
    /// Is the last one that both have equal?
    case last(Range)
    /// The first difference is at `first` or later, and not after `last`.
    case between(Range)
    /// What is it there?
    case name(UInt32, Finding)
  }
  var stage: Stage

  enum Finding {
    case difference
    /// The first of those that are still known differs: one that is not may as well.
    case differenceOrEarlier
    /// One program has ended there, the other has not.
    case excess
  }

  /// Positions, which wrap: both ends belong to it.
  struct Range {
    var first: UInt32
    var last: UInt32
    /// `first` is the oldest that is still known.
    var isCut: Bool
    /// So many the two have in common; one has more.
    var excess: UInt32?
    var distance: UInt32 { last &- first }
  }
}

extension Comparison.Range {
  /// At most so many as a question has, the last one always among them.
  var positions: [UInt32] {
    let most = UInt64(PTO2_LINK_POSITIONS)
    let count = min(UInt64(distance) + 1, most)
    return (1...count).map { first &+ UInt32((UInt64(distance) + 1) * $0 / count - 1) }
  }
}

extension Link where Transport: ~Copyable {
  // MARK: What this rank's program has submitted

  private var submitted: UInt32 { orders.submitted.loadAcquire() }

  /// The first submission that is still known while `count` have been made, with some that the
  /// program may be about to overwrite left out.
  private static func oldest(_ count: UInt32, _ kept: UInt32) -> UInt32 {
    count > kept - 1024 ? count &- (kept - 1024) : 0
  }

  /// Nil when it has not been made, or is known no more.
  private func submission(_ position: UInt32) -> pto2_submitted_task? {
    let table = segment.submissions
    guard position < submitted, position >= Self.oldest(submitted, table.count) else { return nil }
    let record = table[position].content
    loadFence()
    // The program goes on while this reads.
    return submitted &- position < table.count ? record : nil
  }

  /// In words.
  private func describe(_ ids: (UInt16, UInt16, UInt16), rank: UInt8) -> String {
    let names = [ids.0, ids.1, ids.2].filter { $0 != 0xFFFF }.map { segment.kernelName(Int($0)) }
    let kernel =
      names.isEmpty
      ? "a task without a kernel"
      : "kernel" + (names.count == 1 ? " " : "s ") + names.joined(separator: "+")
    return "\(kernel) on rank \(rank)"
  }

  private func describe(at position: UInt32) -> String {
    submission(position).map { describe($0.kernel_ids, rank: $0.rank) }
      ?? "something that is known no more"
  }

  /// Answers another rank's question.
  func answer(_ question: pto2_link_word) -> pto2_link_word {
    var answer = word(PTO2_LINK_WORD_TELL)
    answer.number = question.number
    answer.oldest = Self.oldest(answer.submitted, segment.submissions.count)
    let positions = question.askedPositions
    answer.setPositions(positions)
    for (index, position) in positions.enumerated() {
      guard let record = submission(position) else { continue }
      answer.setSubmission(
        index,
        pto2_link_submission(
          hash: record.hash, kernel_ids: record.kernel_ids, rank: record.rank, known: 1))
    }
    if positions.count == 1 { answer.setText(describe(at: positions[0])) }
    return answer
  }

  // MARK: Comparing

  /// The program of a rank may be on another way, if it has not come for so long.
  mutating func beginComparison(with peer: Int) throws(PTO2Error) {
    guard failure == nil, comparison == nil,
      now &- peers[peer].compared >= times.compareNanoseconds
    else { return }
    try begin(with: peer, isOfMeeting: false)
  }

  private mutating func begin(with peer: Int, isOfMeeting: Bool) throws(PTO2Error) {
    peers[peer].compared = now
    comparison = Comparison(
      peer: peer, number: 0, since: now, isOfMeeting: isOfMeeting, stage: .count)
    try ask(.count, [])
  }

  private mutating func ask(_ stage: Comparison.Stage, _ positions: [UInt32]) throws(PTO2Error) {
    guard let peer = comparison?.peer else { return }
    comparisons &+= 1
    comparison?.number = comparisons
    comparison?.stage = stage
    var question = word(PTO2_LINK_WORD_ASK)
    question.number = comparisons
    question.setPositions(positions)
    try send(question, to: peer)
  }

  /// Another rank's answer.
  mutating func compare(_ answer: pto2_link_word, from peer: Int) throws(PTO2Error) {
    guard let comparison, comparison.peer == peer, comparison.number == answer.number else {
      return
    }
    // What was submitted in another run cannot be compared.
    guard answer.answered == answered, failure == nil else { return endComparison() }
    switch comparison.stage {
    case .count: try compareCounts(answer)
    case .last(let range):
      guard let (equal, place) = findDifference(answer) else { return endComparison() }
      if place == nil, let excess = range.excess { return try name(excess, .excess) }
      guard place != nil, equal == nil else { return endComparison() }
      try narrow(range)
    case .between(var range):
      guard let (equal, place) = findDifference(answer), let place else { return endComparison() }
      range.last = place
      if let equal {
        range.first = equal &+ 1
        range.isCut = false
      }
      try narrow(range)
    case .name(let position, let finding): try tell(position, finding, theirs: answer)
    }
  }

  private mutating func endComparison() { comparison = nil }

  private mutating func compareCounts(_ answer: pto2_link_word) throws(PTO2Error) {
    let peer = comparison!.peer
    let (mine, theirs) = (submitted, answer.submitted)
    let lead = Int32(bitPattern: theirs &- mine)
    let common = lead < 0 ? theirs : mine
    // Whose program has ended with fewer than the other has made by now.
    let hasEnded =
      lead > 0 ? hasEndedWell : peers[peer].meeting(answered &+ 1)?.code == 0
    let isTooFew = lead != 0 && hasEnded && answered != 0
    let excess = isTooFew ? common : nil
    let oldest = max(Self.oldest(mine, segment.submissions.count), answer.oldest)
    guard common > oldest else {
      if let excess { return try name(excess, .excess) }
      return endComparison()
    }
    let range = Comparison.Range(
      first: oldest, last: common - 1, isCut: oldest > 0, excess: excess)
    try ask(.last(range), [range.last])
  }

  /// This rank's program waits at the end of its run.
  private var hasEndedWell: Bool { asked != answered && ownMeeting.code == 0 }

  private mutating func narrow(_ range: Comparison.Range) throws(PTO2Error) {
    if range.first == range.last {
      return try name(range.last, range.isCut ? .differenceOrEarlier : .difference)
    }
    try ask(.between(range), range.positions)
  }

  private mutating func name(
    _ position: UInt32, _ finding: Comparison.Finding
  ) throws(PTO2Error) {
    try ask(.name(position, finding), [position])
  }

  /// The last position that is equal, and the first that differs, of those that were asked for;
  /// nil when one is not known any more.
  private func findDifference(_ answer: pto2_link_word) -> (equal: UInt32?, place: UInt32?)? {
    var equal: UInt32?
    for (index, position) in answer.askedPositions.enumerated() {
      let theirs = answer.submission(index)
      guard let mine = submission(position), theirs.known != 0 else { return nil }
      if mine.hash != theirs.hash { return (equal, position) }
      equal = position
    }
    return (equal, nil)
  }

  /// Found: all ranks are told.
  private mutating func tell(
    _ position: UInt32, _ finding: Comparison.Finding, theirs: pto2_link_word
  ) throws(PTO2Error) {
    let peer = comparison!.peer
    let text: String
    if finding == .excess {
      let isMine = submitted > position
      let (short, long) = isMine ? (peer, rank) : (rank, peer)
      text =
        "the program of rank \(short) has ended after \(position) tasks, and that of rank \(long) has submitted more: \(isMine ? describe(at: position) : theirs.words)"
    } else {
      let (mine, other) = (describe(at: position), theirs.words)
      let what =
        mine == other
        ? "\(mine) in both, with other tensors or arguments"
        : "\(mine) in that of rank \(rank), \(other) in that of rank \(peer)"
      text =
        "the programs of rank \(min(rank, peer)) and rank \(max(rank, peer)) differ from submission \(position) on\(finding == .difference ? "" : ", or from an earlier one"): \(what)"
    }
    endComparison()
    var found = word(PTO2_LINK_WORD_FOUND)
    found.ranks = (UInt32(rank), UInt32(peer))
    found.setText(text)
    for other in 0..<ranks where other != rank && peers[other].hasLeft == nil {
      try send(found, to: other)
    }
    // Both may have found it: the lower one says so, if it is still there.
    fail(PTO2Error(.diverged, text), isEcho: peer < rank && peers[peer].hasLeft == nil)
  }

  // MARK: At a meeting

  /// All are there: whether it is held up until it is found where their programs differ.
  mutating func mustCompare() throws(PTO2Error) -> Bool {
    guard failure == nil, ownMeeting.code == 0 else { return false }
    let others = peers.filter { $0.rank != rank }
    let said = others.map { ($0.rank, $0.meeting(asked)!) }
    func differs(_ meeting: pto2_meeting) -> Bool {
      meeting.submissions != ownMeeting.submissions || meeting.hash != ownMeeting.hash
    }
    guard said.allSatisfy({ $0.1.code == 0 }),
      said.contains(where: { differs($0.1) }),
      // At the start of a session it is not submissions that differ.
      ownMeeting.submissions != 0 || said.contains(where: { $0.1.submissions != 0 })
    else { return false }
    if heldSince == 0 { heldSince = now }
    if now &- heldSince >= times.findNanoseconds {
      heldSince = 0
      return false
    }
    // One of each pair that differs asks.
    if comparison == nil, let (peer, _) = said.first(where: { differs($0.1) && $0.0 < rank }),
      now &- peers[peer].compared >= times.findNanoseconds || peers[peer].compared == 0
    {
      try begin(with: peer, isOfMeeting: true)
    }
    return true
  }

  /// A comparison whose answer does not come is given up.
  mutating func lookForDifference() throws(PTO2Error) {
    guard let comparison, now &- comparison.since >= 2 * times.compareNanoseconds else { return }
    endComparison()
  }
}

extension pto2_link_word {
  var askedPositions: [UInt32] {
    var copy = self
    let count = Int(min(positions_count, PTO2_LINK_POSITIONS))
    return unsafe withUnsafeBytes(of: &copy.positions) {
      unsafe Array($0.bindMemory(to: UInt32.self).prefix(count))
    }
  }

  mutating func setPositions(_ values: [UInt32]) {
    positions_count = UInt32(min(values.count, Int(PTO2_LINK_POSITIONS)))
    unsafe withUnsafeMutableBytes(of: &positions) { bytes in
      let places = unsafe bytes.bindMemory(to: UInt32.self)
      for (place, value) in zip(places.indices, values) { unsafe places[place] = value }
    }
  }

  /// - Parameter index: less than PTO2_LINK_POSITIONS.
  func submission(_ index: Int) -> pto2_link_submission {
    var copy = self
    return unsafe withUnsafeBytes(of: &copy.submissions) {
      unsafe $0.bindMemory(to: pto2_link_submission.self)[index]
    }
  }

  mutating func setSubmission(_ index: Int, _ value: pto2_link_submission) {
    unsafe withUnsafeMutableBytes(of: &submissions) {
      unsafe $0.bindMemory(to: pto2_link_submission.self)[index] = value
    }
  }
}
