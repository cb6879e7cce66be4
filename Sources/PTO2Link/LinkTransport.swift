/// What carries messages between ranks: MPI, or a memory of a test.
///
/// One thread calls all of it. Nothing here waits: what is begun is asked about later.
package protocol LinkTransport: ~Copyable {
  var rank: Int { get }
  var ranks: Int { get }
  /// Tags are 0 to this.
  var tagLimit: Int { get }
  var hostName: String { get }

  /// Begins to send: the bytes stay as they are until the request is done.
  /// - Parameter isSynchronous: it is done when the other rank has begun to receive; else
  ///   maybe earlier.
  mutating func send(
    _ data: UnsafeRawBufferPointer, to peer: Int, tag: Int, isSynchronous: Bool
  ) throws(LinkFault) -> LinkRequest

  /// The oldest message of anybody that has come, taken out; nil when there is none.
  mutating func probe() throws(LinkFault) -> LinkMessage?

  /// Begins to receive it.
  /// - Parameter place: as large as the message.
  mutating func receive(_ message: LinkMessage, into place: UnsafeMutableRawBufferPointer)
    throws(LinkFault) -> LinkRequest

  /// Adds the indices of those that are done, ascending.
  /// - Parameter requests: at most `LinkRequest.testedAtOnce`.
  mutating func test(_ requests: ArraySlice<LinkRequest>, done: inout [Int]) throws(LinkFault)
}

/// Something that was begun, by the transport's own number.
package struct LinkRequest: Equatable, Sendable {
  package var number: UInt64
  package init(_ number: UInt64) { self.number = number }

  package static let testedAtOnce = 64
}

/// A message that has come and is to be received, once.
package struct LinkMessage: Equatable, Sendable {
  package var source: Int
  package var tag: Int
  package var bytes: UInt64
  package var handle: UInt64

  package init(source: Int, tag: Int, bytes: UInt64, handle: UInt64) {
    self.source = source
    self.tag = tag
    self.bytes = bytes
    self.handle = handle
  }
}

/// The transport does not work any more.
package struct LinkFault: Error, Equatable {
  package var text: String
  /// Index of the request among those that were tested, when it is known.
  package var index: Int?

  package init(_ text: String, index: Int? = nil) {
    self.text = text
    self.index = index
  }
}
