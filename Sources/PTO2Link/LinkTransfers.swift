internal import CPTO2Link
internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// What tells a transfer from the others that come from a rank and are under way.
struct TransferKey: Hashable {
  var peer: Int32
  var tag: Int32
}

/// A RECEIVE whose message has not come.
struct WaitingReceive {
  var transfer: Transfer
  var since: UInt64
}

/// Transfers, from their start to their end.
///
/// Arrival comes first: whatever message is at the head is taken out, and looked up among the
/// RECEIVEs that wait. There is no limit to these, nor to SENDs that are under way, and none
/// waits for another: a limit could keep the one transfer back on which all others depend.
extension Link where Transport: ~Copyable {
  func key(_ peer: Int, _ order: TransferOrder) -> TransferKey {
    let tag = UInt64(PTO2_LINK_TAG_TRANSFER) + order.sequence % tagCount
    return TransferKey(peer: Int32(peer), tag: Int32(truncatingIfNeeded: tag))
  }

  /// Begins what the scheduler has started since the last step.
  mutating func takeStarts() throws(PTO2Error) -> Int {
    // What there is to do is read from a segment that was found to be damaged.
    guard failure == nil || isEcho else { return 0 }
    // Acquire: the records; and what their SENDs send.
    let position = scheduler.transfersStarted.loadAcquire()
    let count = position &- started
    if count == 0 { return 0 }
    guard count <= segment.configuration.transferCapacity else {
      fail(TransferReader.garbage("\(count) begin at once", nil))
      return 0
    }
    while started != position {
      let record = segment.transferStarts[started].content
      let transfer: Transfer
      do { transfer = try reader.read(record, in: segment) } catch {
        fail(error)
        break
      }
      started &+= 1
      switch transfer.order.direction {
      case .send: try send(transfer)
      case .receive: try receive(transfer)
      }
    }
    own.taken.storeRelease(started)
    return Int(count)
  }

  // MARK: Sending

  private mutating func send(_ transfer: Transfer) throws(PTO2Error) {
    let peer = transfer.order.peer
    var buffer: MessageBuffer?
    let bytes: UnsafeRawBufferPointer
    if transfer.isCancelled {
      let count = Int(Transfer.cancelledBytes(of: transfer.order.bytes))
      buffer = MessageBuffer(count: count)
      unsafe buffer!.place.initializeMemory(as: UInt8.self, repeating: 0)
      unsafe bytes = buffer!.whole
    } else if let runs = transfer.runs, let place = unsafe contiguous(runs) {
      unsafe bytes = UnsafeRawBufferPointer(place)
    } else if let runs = transfer.runs {
      buffer = MessageBuffer(count: Int(transfer.order.bytes))
      buffer!.gather(runs, of: segment.bytes)
      unsafe bytes = buffer!.whole
    } else {
      unsafe bytes = UnsafeRawBufferPointer(start: nil, count: 0)
    }
    let request: LinkRequest
    do throws(LinkFault) {
      unsafe request = try transport.send(
        bytes, to: peer, tag: Int(key(peer, transfer.order).tag),
        isSynchronous: peers[peer].isFull)
    } catch { throw self.error(error, "sending \(name(transfer))", peer: peer) }
    peers[peer].sent.count += 1
    peers[peer].sent.bytes += UInt64(bytes.count)
    activities.add(
      Activity(purpose: .send(transfer), peer: peer, buffer: buffer, since: now), request)
  }

  /// The elements, when they lie without gaps.
  private func contiguous(_ runs: ByteRuns) -> UnsafeMutableRawBufferPointer? {
    var iterator = runs.makeIterator()
    guard runs.count == 1, let (begin, end) = iterator.next() else { return nil }
    return unsafe UnsafeMutableRawBufferPointer(
      start: segment.bytes.address(begin)!, count: Int(end - begin))
  }

  // MARK: Receiving

  private mutating func receive(_ transfer: Transfer) throws(PTO2Error) {
    let peer = transfer.order.peer
    let key = key(peer, transfer.order)
    if let message = early.removeValue(forKey: key) { return try take(message, for: transfer) }
    guard waiting.updateValue(WaitingReceive(transfer: transfer, since: now), forKey: key) == nil
    else { return fail(TransferReader.garbage("another one has its number", transfer.task)) }
  }

  /// A message of a transfer has come.
  mutating func arrive(_ message: LinkMessage) throws(PTO2Error) {
    let key = TransferKey(
      peer: Int32(message.source), tag: Int32(truncatingIfNeeded: message.tag))
    if let receive = waiting.removeValue(forKey: key) {
      return try take(message, for: receive.transfer)
    }
    guard early.updateValue(message, forKey: key) == nil else {
      throw PTO2Error(
        .protocolViolation,
        "\(peers[message.source].name) has sent two transfers with the tag \(message.tag) at once")
    }
  }

  /// Begins to receive, into the segment if the elements lie there without gaps.
  private mutating func take(_ message: LinkMessage, for transfer: Transfer) throws(PTO2Error) {
    let peer = transfer.order.peer
    let expected = transfer.order.bytes
    let isWhole = message.bytes == expected
    guard isWhole || message.bytes == Transfer.cancelledBytes(of: expected) else {
      return fail(
        PTO2Error(
          .diverged,
          "\(peers[peer].name) has sent \(message.bytes) bytes, and \(name(transfer)) is of \(expected): the programs of rank \(peer) and rank \(rank) differ",
          task: transfer.task, needed: expected, available: message.bytes))
    }
    var transfer = transfer
    if !isWhole { transfer.isCancelled = true }
    var buffer: MessageBuffer?
    let place: UnsafeMutableRawBufferPointer
    if !transfer.isCancelled, let runs = transfer.runs, let elements = unsafe contiguous(runs) {
      unsafe place = elements
    } else {
      buffer = MessageBuffer(count: Int(message.bytes))
      unsafe place = buffer!.place
    }
    let request: LinkRequest
    do throws(LinkFault) { unsafe request = try transport.receive(message, into: place) } catch {
      throw self.error(error, "receiving \(name(transfer))", peer: peer)
    }
    peers[peer].received.count += 1
    peers[peer].received.bytes += message.bytes
    if peers[peer].isUntold && peers[peer].hasLeft == nil {
      try send(word(PTO2_LINK_WORD_TELL), to: peer)
    }
    activities.add(
      Activity(purpose: .receive(transfer), peer: peer, buffer: buffer, since: now), request)
  }

  // MARK: The end

  /// What was sent is free again, or what was received is there.
  mutating func finish(_ transfer: Transfer, _ activity: Activity) {
    let (peer, isSend) = (activity.peer, transfer.order.direction == .send)
    if !isSend, !transfer.isCancelled, let runs = transfer.runs, let buffer = activity.buffer {
      buffer.scatter(runs, to: segment.bytes)
    }
    let bytes = transfer.isCancelled ? 0 : transfer.order.bytes
    if isSend {
      peers[peer].traffic.sent += 1
      peers[peer].traffic.sent_bytes += bytes
    } else {
      peers[peer].traffic.received += 1
      peers[peer].traffic.received_bytes += bytes
    }
    own.setTraffic(peer, peers[peer].traffic)
    // A SEND of nothing has been sent all the same.
    let outcome = transfer.isCancelled ? UInt32(PTO2_OUTCOME_CANCELLED) : 0
    segment.ownTransferEnds[ended].store(
      pto2_transfer_end(task_id: transfer.task.rawValue, outcome: outcome, reserved: 0))
    ended &+= 1
  }

  /// Tells the scheduler what is over.
  func publishEnds() {
    guard ended != own.ended.loadOwn() else { return }
    // Release: the records, and what was received.
    own.ended.storeRelease(ended)
    Publisher.fence()
    if scheduler.parked.loadAcquire() & 1 != 0 { Futex.wake(own.ended.shared) }
  }

  /// In messages.
  func name(_ transfer: Transfer) -> String {
    let order = transfer.order
    let way = order.direction == .send ? "from rank \(rank) to" : "to rank \(rank) from"
    return "transfer \(order.sequence) \(way) rank \(order.peer) (task \(transfer.task))"
  }
}
