internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

@testable internal import PTO2Link

/// The link of one of several ranks: its own code, on messages in memory.
final class SimulatedLink {
  private var link: Link<SimulatedTransport>
  private let control: SharedWord
  private let network: SimulatedNetwork
  private let rank: Int
  private let engine = Engine.shared
  private var sleeper = Sleeper()
  /// The thread of the orchestrator's process that looks at the link's error.
  private let supervise: (PTO2Error) -> Void
  private var isToldOf = false

  init(
    _ segment: consuming Segment, _ network: SimulatedNetwork, _ rank: Int,
    supervise: @escaping (PTO2Error) -> Void
  ) {
    self.supervise = supervise
    self.network = network
    self.rank = rank
    control = segment.orchestratorPage.control
    link = Link(segment, SimulatedTransport(network: network, rank: rank))
  }

  /// What the process does: serves until its session is over, then leaves with the others.
  /// - Returns: its own error.
  func run() -> PTO2Error? {
    link.announce()
    serve { control.loadAcquire() != PTO2_CONTROL_RUNNING || network.abortion != nil }
    let error = link.segment.orchestratorPage.error.read()?.error ?? link.failure
    link.sayGoodbye(error?.number ?? 0)
    let end = engine.now + 2_000_000_000
    // After an error it gives the others a while, and no more.
    serve {
      link.isAlone || link.isBroken || error != nil && engine.now > end || network.abortion != nil
    }
    if !link.isAlone {
      // MPI_Abort(3): all ranks end, whatever they are doing.
      if let error { network.abortion = network.abortion ?? error }
      if let abortion = network.abortion { link.fail(abortion, isEcho: true) }
      look()
    }
    return link.isEcho ? nil : link.failure
  }

  private func serve(until isOver: () -> Bool) {
    var progressAt = engine.now
    while !isOver() {
      look()
      if link.step() > 0 {
        progressAt = engine.now
        yieldProcessor()
      } else if link.isExpecting || link.hasSaidGoodbye || network.hasMail(for: rank) {
        // There is nothing to sleep on, as with MPI.
        let wait = (engine.now - progressAt) / 16
        engine.sleep(min(max(wait, network.random.among([200, 3_000, 50_000])), 2_000_000))
      } else {
        park()
      }
    }
  }

  private func look() {
    guard !isToldOf, let error = link.failure else { return }
    isToldOf = true
    supervise(error)
  }

  /// As `Link.park`, which is of the process.
  private func park() {
    sleeper.announce(1, in: link.own.parked)
    sleeper.watch(link.scheduler.transfersStarted, while: link.started)
    sleeper.watch(link.orders.asked, while: link.asked)
    sleeper.watch(control, while: PTO2_CONTROL_RUNNING)
    _ = sleeper.sleep(timeoutNanoseconds: 20_000_000)
    sleeper.withdraw(from: link.own.parked)
  }
}

/// Messages on their way between ranks. Those of one rank to another keep their order; others
/// may overtake each other, and each takes as long as it likes.
@safe final class SimulatedNetwork {
  @safe struct Message {
    var source: Int
    var tag: Int
    /// Of a small one a copy was taken; another is where it was until it is received.
    var copy: [UInt8]
    var place: UnsafeRawBufferPointer?
    /// Of the sender, who waits until it is received; nil when it does not.
    var request: UInt64?
    var number: UInt64
    /// Where it is received.
    var target: UnsafeMutableRawBufferPointer?

    var count: Int { unsafe place?.count ?? copy.count }
  }
  /// By receiver and sender.
  private var ways: [[[Message]]]
  /// Taken out of there, and not received yet.
  private var held: [UInt64: Message] = [:]
  /// Being received.
  private var arriving: [UInt64: Message] = [:]
  private var done: Set<UInt64> = []
  private var numbers: UInt64 = 0
  /// The error for which a rank has ended all.
  var abortion: PTO2Error?
  var random: SplitMix64

  init(ranks: Int, seed: UInt64) {
    ways = Array(repeating: Array(repeating: [], count: ranks), count: ranks)
    random = SplitMix64(seed: seed ^ 0x3E7)
  }

  var ranks: Int { ways.count }

  /// Something is to be taken out, or is about to be there.
  func hasMail(for rank: Int) -> Bool { ways[rank].contains { !$0.isEmpty } }

  private func next() -> UInt64 {
    numbers += 1
    return numbers
  }

  func send(
    _ data: UnsafeRawBufferPointer, from source: Int, to peer: Int, tag: Int, isSynchronous: Bool
  ) -> UInt64 {
    let request = next()
    let isCopied = !isSynchronous && random.chance(1, in: 2)
    if isCopied { done.insert(request) }
    ways[peer][source].append(
      unsafe Message(
        source: source, tag: tag, copy: isCopied ? Array(data) : [],
        place: isCopied ? nil : data, request: isCopied ? nil : request, number: next()))
    return request
  }

  /// The oldest of any sender, if it has come.
  func probe(_ rank: Int) -> Message? {
    let senders = ways[rank].indices.filter { !ways[rank][$0].isEmpty }
    guard !senders.isEmpty, random.chance(3, in: 4) else { return nil }
    let message = ways[rank][random.among(senders)].removeFirst()
    held[message.number] = message
    return message
  }

  func receive(_ number: UInt64, into place: UnsafeMutableRawBufferPointer) -> UInt64 {
    var message = held.removeValue(forKey: number)!
    precondition(message.count == place.count)
    unsafe message.target = unsafe place
    let request = next()
    arriving[request] = message
    return request
  }

  /// Whatever is under way may be over now.
  func isDone(_ request: UInt64) -> Bool {
    if let message = arriving[request], random.chance(1, in: 2) {
      if let place = unsafe message.place {
        unsafe message.target?.copyMemory(from: place)
      } else {
        unsafe message.target?.copyBytes(from: message.copy)
      }
      if let sender = message.request { done.insert(sender) }
      arriving[request] = nil
      done.insert(request)
    }
    return done.contains(request) && random.chance(3, in: 4)
  }
}

struct SimulatedTransport: LinkTransport {
  let network: SimulatedNetwork
  let rank: Int
  var ranks: Int { network.ranks }
  var tagLimit: Int { 1 << 20 }
  var hostName: String { "host\(rank)" }

  mutating func send(
    _ data: UnsafeRawBufferPointer, to peer: Int, tag: Int, isSynchronous: Bool
  ) throws(LinkFault) -> LinkRequest {
    LinkRequest(
      unsafe network.send(data, from: rank, to: peer, tag: tag, isSynchronous: isSynchronous))
  }

  mutating func probe() throws(LinkFault) -> LinkMessage? {
    guard let message = network.probe(rank) else { return nil }
    return LinkMessage(
      source: message.source, tag: message.tag, bytes: UInt64(message.count),
      handle: message.number)
  }

  mutating func receive(_ message: LinkMessage, into place: UnsafeMutableRawBufferPointer)
    throws(LinkFault) -> LinkRequest
  { LinkRequest(unsafe network.receive(message.handle, into: place)) }

  mutating func test(_ requests: ArraySlice<LinkRequest>, done: inout [Int]) throws(LinkFault) {
    for (index, request) in requests.enumerated() where network.isDone(request.number) {
      done.append(index)
    }
  }
}
