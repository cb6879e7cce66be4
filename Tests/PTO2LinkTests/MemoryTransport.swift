import CPTO2Link
import PTO2Link

/// Messages between ranks of one process.
final class MemoryNetwork {
  struct Message {
    var source: Int
    var tag: Int
    var bytes: [UInt8]
    /// Of the sender, who waits until it is received; nil when it does not.
    var request: UInt64?
    var number: UInt64
  }
  /// What has come, by receiver.
  var arrived: [[Message]]
  /// Taken out of there, and not received yet.
  var held: [UInt64: Message] = [:]
  private(set) var done: Set<UInt64> = []
  private var numbers: UInt64 = 0
  /// Messages of more bytes wait for their receiver.
  var eagerBytes = 4096
  /// Nothing is delivered from these.
  var cut: Set<Int> = []
  /// Nothing of these arrives: what a network loses that is gone.
  var lost = 0
  /// Requests end only when this is true.
  var finishes = true
  /// So many messages were to wait for their receiver.
  var synchronous = 0
  var failing: Set<Int> = []
  let tagLimit: Int

  init(ranks: Int, tagLimit: Int = 1 << 20) {
    arrived = Array(repeating: [], count: ranks)
    self.tagLimit = tagLimit
  }

  func next() -> UInt64 {
    numbers += 1
    return numbers
  }

  func send(_ bytes: [UInt8], from source: Int, to peer: Int, tag: Int, isSynchronous: Bool)
    -> UInt64
  {
    let request = next()
    let waits = isSynchronous || bytes.count > eagerBytes
    if isSynchronous { synchronous += 1 }
    if !waits { done.insert(request) }
    if cut.contains(source) {
      lost += 1
      done.insert(request)
      return request
    }
    arrived[peer].append(
      Message(
        source: source, tag: tag, bytes: bytes, request: waits ? request : nil, number: next()))
    return request
  }

  func finish(_ request: UInt64) { done.insert(request) }
  func isDone(_ request: UInt64) -> Bool { finishes && done.contains(request) }
}

struct MemoryTransport: LinkTransport {
  let network: MemoryNetwork
  let rank: Int
  var ranks: Int { network.arrived.count }
  var tagLimit: Int { network.tagLimit }
  var hostName: String { "host\(rank)" }

  mutating func send(
    _ data: UnsafeRawBufferPointer, to peer: Int, tag: Int, isSynchronous: Bool
  ) throws(LinkFault) -> LinkRequest {
    if network.failing.contains(peer) { throw LinkFault("no route") }
    precondition((0...tagLimit).contains(tag) && peer != rank)
    return LinkRequest(
      network.send(
        Array(data), from: rank, to: peer, tag: tag, isSynchronous: isSynchronous))
  }

  mutating func probe() throws(LinkFault) -> LinkMessage? {
    guard !network.arrived[rank].isEmpty else { return nil }
    let message = network.arrived[rank].removeFirst()
    network.held[message.number] = message
    return LinkMessage(
      source: message.source, tag: message.tag, bytes: UInt64(message.bytes.count),
      handle: message.number)
  }

  mutating func receive(_ message: LinkMessage, into place: UnsafeMutableRawBufferPointer)
    throws(LinkFault) -> LinkRequest
  {
    let held = network.held.removeValue(forKey: message.handle)!
    precondition(held.bytes.count == place.count)
    place.copyBytes(from: held.bytes)
    if let request = held.request { network.finish(request) }
    let own = network.next()
    network.finish(own)
    return LinkRequest(own)
  }

  mutating func test(_ requests: ArraySlice<LinkRequest>, done: inout [Int])
    throws(LinkFault)
  {
    precondition(requests.count <= LinkRequest.testedAtOnce)
    for (index, request) in requests.enumerated() where network.isDone(request.number) {
      done.append(index)
    }
  }
}
