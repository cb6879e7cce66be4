internal import CPTO2Link
internal import CPTO2Segment
package import PTO2Protocol
package import PTO2Segment
internal import PTO2System

/// What a link waits for, and how long.
package struct LinkTimes: Sendable {
  /// A rank that is waited for and not heard of for so long is an error.
  package var peerMilliseconds: UInt32 = 30_000
  /// How often a rank that is waited for is asked whether it is there.
  package var askNanoseconds: UInt64 = 1_000_000_000
  /// Waits that last longer: the two programs are compared, and again after so long.
  package var compareNanoseconds: UInt64 = 5_000_000_000
  /// How long this rank's program may take to come to a meeting to which another comes with
  /// an error.
  package var echoNanoseconds: UInt64 = 2_000_000_000
  /// How long a meeting is held up to find where programs differ.
  package var findNanoseconds: UInt64 = 2_000_000_000
  /// How often all of this is looked at.
  package var lookNanoseconds: UInt64 = 50_000_000

  package init() {}
}

/// The link of a rank: carries out the transfers that its scheduler starts, and brings its
/// program together with those of the other ranks. It alone speaks to them.
///
/// Nothing here waits: `step` does what can be done now.
package struct Link<Transport: LinkTransport & ~Copyable>: ~Copyable {
  let segment: Segment
  var transport: Transport
  let times: LinkTimes
  let own: LinkPage<OwnedWord>
  let orders: RankPage<SharedWord>
  let scheduler: SchedulerPage<SharedWord>
  let rank: Int
  let ranks: Int

  var peers: [Peer]
  var activities = Activities()

  // MARK: Transfers

  let reader: TransferReader
  /// Tags of transfers, from PTO2_LINK_TAG_TRANSFER on.
  let tagCount: UInt64
  /// Position in the ring of those that begin, and in that of those that are over.
  var started: UInt32 = 0
  var ended: UInt32 = 0
  /// Messages whose RECEIVE has not begun, and RECEIVEs whose message has not come.
  var early: [TransferKey: LinkMessage] = [:]
  var waiting: [TransferKey: WaitingReceive] = [:]

  // MARK: Meetings

  /// The last one that the program has asked for, and the last that is over.
  var asked: UInt32 = 0
  var answered: UInt32 = 0
  /// What the program has said there, and when.
  var ownMeeting = pto2_meeting()
  var askedAt: UInt64 = 0
  var comparison: Comparison?
  var comparisons: UInt32 = 0
  /// Since when the meeting is held up for a comparison; 0 = it is not.
  var heldSince: UInt64 = 0

  // MARK: Faults

  /// The first error; others are not reported.
  package private(set) var failure: PTO2Error?
  /// It is another rank's.
  package private(set) var isEcho = false
  /// Nothing can be sent or received any more.
  package private(set) var isBroken = false
  /// The error with which this session ends, 0 = none; nil as long as it goes on.
  private var goodbye: UInt32?
  var hasSaidGoodbye: Bool { goodbye != nil }

  var now: UInt64 = 0
  private var nextLook: UInt64 = 0

  /// - Parameter transport: has joined the others.
  package init(
    _ segment: consuming Segment, _ transport: consuming Transport, times: LinkTimes = LinkTimes()
  ) {
    let configuration = segment.configuration
    rank = Int(configuration.rank)
    ranks = Int(configuration.ranks)
    own = segment.ownLinkPage
    orders = segment.rankPage
    scheduler = segment.schedulerPage
    reader = TransferReader(segment)
    self.times = times
    peers = (0..<ranks).map { Peer(rank: $0, timeoutMilliseconds: times.peerMilliseconds) }
    tagCount = UInt64(max(1, transport.tagLimit - Int(PTO2_LINK_TAG_TRANSFER)))
    let (mpiRank, mpiRanks, limit) = (transport.rank, transport.ranks, transport.tagLimit)
    let host = transport.hostName
    self.segment = segment
    self.transport = transport
    guard mpiRank == rank, mpiRanks == ranks else {
      breakDown(
        PTO2Error(
          .linkDied,
          "this is rank \(mpiRank) of \(mpiRanks) to MPI, and rank \(rank) of \(ranks) to its orchestrator: start all ranks with one mpirun, and pto2-link from the orchestrator alone"
        ))
      return
    }
    // No two transfers of a pair that are under way at once have one tag.
    let most = UInt64(configuration.transferCapacity) + 2 * Peer.mostMessages
    guard most < tagCount else {
      breakDown(
        PTO2Error(
          .linkDied,
          "messages of this MPI have tags up to \(limit), and the task windows ask for \(most): make them smaller (--task-window)"
        ))
      return
    }
    var hello = word(PTO2_LINK_WORD_HELLO)
    hello.setText(host)
    do throws(PTO2Error) {
      for peer in 0..<ranks where peer != rank { try send(hello, to: peer) }
    } catch { breakDown(error) }
  }

  /// Tells the orchestrator that the others can be reached.
  package func announce() {
    if failure == nil { own.control.storeRelease(PTO2_LINK_READY) }
  }

  /// Does what there is to do.
  /// - Returns: how much that was: 0 = nothing.
  package mutating func step(_ time: UInt64 = MonotonicClock.now()) -> Int {
    guard !isBroken else { return 0 }
    now = time
    var progress = 0
    do throws(PTO2Error) {
      progress += try takeStarts()
      progress += try takeMessages()
      progress += try finishActivities()
      progress += try takeMeeting()
      if now >= nextLook {
        nextLook = now &+ times.lookNanoseconds
        try look()
      }
    } catch { breakDown(error) }
    publishEnds()
    return progress
  }

  /// Something is to come of what was begun: a look now and then is worth it.
  package var isExpecting: Bool {
    !isBroken
      && (!activities.isEmpty || !waiting.isEmpty || asked != answered || comparison != nil)
  }

  // MARK: Faults

  /// Reports the first error, and goes on for the other ranks' sake.
  mutating func fail(_ error: PTO2Error, isEcho: Bool = false) {
    guard failure == nil else { return }
    failure = error
    self.isEcho = isEcho
    own.errorIsEcho.storeRelaxed(isEcho ? 1 : 0)
    own.ownError.write(error, now: MonotonicClock.now())
    own.control.storeRelease(PTO2_LINK_FATAL)
    fullFence()
    // The orchestrator waits for a meeting; the scheduler, for a transfer.
    for word in [own.control, own.answered, own.ended] { Futex.wake(word.shared) }
  }

  /// The same, and nothing more is sent or received.
  package mutating func breakDown(_ error: PTO2Error) {
    isBroken = true
    fail(error)
  }

  /// The transport has failed while it was asked to do something.
  func error(_ fault: LinkFault, _ what: String, peer: Int? = nil) -> PTO2Error {
    let whose = peer.map { "\(peers[$0].name): " } ?? ""
    return PTO2Error(
      peer == nil ? .linkDied : .rankDied, "\(whose)\(what): \(fault.text)")
  }

  // MARK: The end

  /// Tells the others that nothing more will come.
  /// - Parameter error: with which the session ends.
  package mutating func sayGoodbye(_ error: UInt32) {
    guard !hasSaidGoodbye, !isBroken else { return }
    goodbye = error
    var word = word(PTO2_LINK_WORD_LEAVE)
    word.number = error
    do throws(PTO2Error) {
      for peer in 0..<ranks where peer != rank { try send(word, to: peer) }
    } catch { breakDown(error) }
  }

  /// All have said so, and what was said has arrived: the transport can be left. After an error
  /// no transfer is waited for.
  package var isAlone: Bool {
    guard !isBroken, let goodbye, peers.allSatisfy({ $0.rank == rank || $0.hasLeft != nil })
    else { return false }
    return activities.all.allSatisfy { $0.isTransfer && goodbye != 0 }
  }

  /// Every rank came to the last meeting, and one at least with an error.
  package var hasEveryoneHeardOfError: Bool {
    if answered == asked { return answered != 0 && (0..<ranks).contains { own.met($0).code != 0 } }
    // After an error of this link a meeting has no answer.
    let others = peers.filter { $0.rank != rank }.map { $0.meeting(asked) }
    return others.allSatisfy { $0 != nil }
      && (ownMeeting.code != 0 || others.contains { $0?.code != 0 })
  }
}
