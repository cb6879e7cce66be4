import CPTO2Segment
import PTO2Protocol
import PTO2Segment
import PTO2System

/// The orchestrator and the scheduler of a rank, as far as its link sees them: what they store
/// is stored when a test says so.
package final class PlayedRank: @unchecked Sendable {
  // Sendable: a test's threads take turns.

  package let name: String
  package let rank: Int
  package let owner: Segment
  package let scheduler: Segment
  private var local: UInt32 = 0
  private var started: UInt32
  private var taken: UInt32 = 0
  package private(set) var submitted: UInt32 = 0
  private var sequences: [Int: UInt64] = [:]

  /// - Parameters:
  ///   - arenaBytes: that transfers can be of.
  ///   - isUnnamed: whoever is killed leaves nothing.
  package init(
    name: String, rank: Int, of ranks: Int, arenaBytes: UInt64 = 1 << 20,
    images: [KernelImage] = [], isUnnamed: Bool = false
  ) throws {
    self.rank = rank
    var configuration = Configuration(
      rings: [
        Configuration.Ring(
          taskWindow: 1024, consumedWindow: 1024, heapBytes: 4096, dependencyPool: 8)
      ], arenaBytes: arenaBytes)
    configuration.rank = UInt32(rank)
    configuration.ranks = UInt32(ranks)
    owner = try Segment.create(
      name: name, configuration: configuration, images: images, isUnnamed: isUnnamed)
    self.name = owner.name
    owner.publish()
    try owner.reserve(.arena, from: 0, to: arenaBytes, isPopulated: false)
    for kind in [SectionKind.mainRing, .dispatchTable, .payload] {
      let bytes = owner.layout.section(kind).bytes
      try owner.reserve(kind, from: 0, to: bytes, isPopulated: false)
    }
    scheduler = try Segment.attach(name: self.name, role: .scheduler, timeoutMilliseconds: 0)
    started = scheduler.schedulerPage.transfersStarted.loadAcquire()
  }

  deinit { owner.unlink() }

  // MARK: Tensors

  /// Where a byte of the arena lies in the segment.
  package func offset(_ byte: UInt64) -> UInt64 {
    owner.layout.section(.arena).offset + byte
  }

  package subscript(byte: UInt64) -> UInt8 {
    get { owner.bytes.address(offset(byte))!.load(as: UInt8.self) }
    set { owner.bytes.address(offset(byte))!.storeBytes(of: newValue, as: UInt8.self) }
  }

  package func bytes(_ range: Range<UInt64>) -> [UInt8] { range.map { self[$0] } }
  package func fill(_ range: Range<UInt64>, _ value: (UInt64) -> UInt8) {
    for byte in range { self[byte] = value(byte) }
  }

  /// A tensor in the arena; strides of one without gaps if they are left out.
  package func tensor(
    at byte: UInt64, _ shape: [UInt32], strides: [Int32]? = nil, _ type: DataType = .uint8
  ) -> pto2_tensor {
    var tensor = pto2_tensor()
    tensor.offset = offset(byte)
    tensor.dtype = type.rawValue
    tensor.rank = UInt8(shape.count)
    tensor.access = UInt8(PTO2_INPUT.rawValue)
    var dense = [Int32](repeating: 1, count: shape.count)
    for index in shape.indices.dropLast().reversed() {
      dense[index] = dense[index + 1] * Int32(shape[index + 1])
    }
    let extents = shape + [UInt32](repeating: 1, count: 5 - shape.count)
    let steps = (strides ?? dense) + [Int32](repeating: 0, count: 5 - shape.count)
    tensor.shape = (extents[0], extents[1], extents[2], extents[3], extents[4])
    tensor.strides = (steps[0], steps[1], steps[2], steps[3], steps[4])
    tensor.element_count = shape.reduce(1, *)
    return tensor
  }

  // MARK: Transfers

  /// What a test may spoil before it is published.
  package struct Parts {
    package var slot: pto2_main_slot
    package var scalars: (UInt64, UInt64, UInt64)
    package var tensor: pto2_tensor?
    package var payload: UInt64
    package var start: pto2_transfer_start
  }

  /// Submits a transfer and starts it at once. Those between two ranks are numbered in order.
  @discardableResult
  package func start(
    _ direction: TransferOrder.Direction, _ peer: Int, _ tensor: pto2_tensor? = nil,
    isCancelled: Bool = false, sequence: UInt64? = nil, spoil: (inout Parts) -> Void = { _ in }
  ) -> TaskID {
    let id = TaskID(ring: 0, local: local)
    local &+= 1
    let way = direction == .send ? peer : peer + 64
    let number = sequence ?? sequences[way, default: 0]
    sequences[way] = number + 1
    var bytes: UInt64 = 0
    if let tensor {
      bytes =
        UInt64(tensor.element_count) * UInt64(DataType(rawValue: tensor.dtype)?.byteCount ?? 0)
    }
    let order = TransferOrder(direction, peer: peer, sequence: number, bytes: bytes)
    var slot = pto2_main_slot()
    slot.task_id = id.rawValue
    slot.flags = SlotFlags.transfer.rawValue
    slot.tensor_count = tensor == nil ? 0 : 1
    slot.scalar_count = UInt8(PTO2_TRANSFER_SCALARS)
    slot.kernel_ids = (0xFFFF, 0xFFFF, 0xFFFF)
    slot.blocks = 1
    var parts = Parts(
      slot: slot, scalars: order.scalars, tensor: tensor,
      payload: owner.layout.section(.payload).offset + UInt64(id.local % 1024) * 256,
      start: pto2_transfer_start(
        task_id: id.rawValue, outcome: isCancelled ? UInt32(PTO2_OUTCOME_CANCELLED) : 0,
        reserved: 0))
    spoil(&parts)
    owner.ownMainRing(0)[id.local].header = parts.slot
    let descriptor = owner.ownDescriptors(0)[id.local]
    descriptor.setPayload(parts.payload)
    let place = owner.ownPayloads(0) + Int(id.local % 1024) * 256
    if let tensor = parts.tensor { place.storeBytes(of: tensor, as: pto2_tensor.self) }
    let first = parts.tensor == nil ? 0 : 1
    if let tensor = parts.tensor { descriptor.arguments[0] = tensor.offset }
    descriptor.arguments[first] = parts.scalars.0
    descriptor.arguments[first + 1] = parts.scalars.1
    descriptor.arguments[first + 2] = parts.scalars.2
    scheduler.ownTransferStarts[started].store(parts.start)
    started &+= 1
    publish(started, scheduler.ownSchedulerPage.transfersStarted)
    return id
  }

  /// As the scheduler and the orchestrator do.
  private func publish(_ value: UInt32, _ word: OwnedWord) {
    word.storeRelease(value)
    Publisher.fence()
    if owner.linkPage.parked.loadAcquire() != 0 { Futex.wake(word.shared) }
  }

  package struct End: Equatable {
    package var task: TaskID
    package var isCancelled: Bool
    package init(task: TaskID, isCancelled: Bool) {
      self.task = task
      self.isCancelled = isCancelled
    }
  }

  /// Transfers that are over since the last call.
  package func takeEnds() -> [End] {
    let end = owner.linkPage.ended.loadAcquire()
    var ends: [End] = []
    while taken != end {
      let record = owner.transferEnds[taken].content
      ends.append(
        End(
          task: TaskID(rawValue: record.task_id),
          isCancelled: record.outcome == UInt32(PTO2_OUTCOME_CANCELLED)))
      taken &+= 1
    }
    return ends
  }

  /// The scheduler says that it sleeps.
  package func sleep(_ isAsleep: Bool) {
    scheduler.ownSchedulerPage.parked.storeRelease(isAsleep ? 1 : 0)
  }

  // MARK: The program

  /// Comes to the next meeting.
  package func meet(
    code: UInt32 = 0, isEcho: Bool = false, text: String = "", hash: UInt64 = 0,
    spoil: (inout pto2_meeting) -> Void = { _ in }
  ) {
    let number = owner.rankPage.asked.loadAcquire() &+ 1
    var record = Meeting(
      number: number, code: code, isEcho: isEcho, submissions: UInt64(submitted),
      hash: submitted == 0 ? hash : owner.submissions[submitted &- 1].content.hash, text: text
    ).record
    spoil(&record)
    owner.ownRankPage.setMeeting(record)
    publish(number, owner.ownRankPage.asked)
  }

  package var answered: UInt32 { owner.linkPage.answered.loadAcquire() }
  package func met(_ rank: Int) -> Meeting { owner.linkPage.met(rank) }

  /// The program submits a task that runs somewhere.
  package func submit(_ what: UInt64, kernel: UInt16 = 0, on rank: UInt8 = 0) {
    var hash = FNV1a()
    if submitted > 0 { hash.add(owner.submissions[submitted &- 1].content.hash) }
    for value in [what, UInt64(kernel), UInt64(rank)] { hash.add(value) }
    owner.ownSubmissions[submitted].store(
      pto2_submitted_task(
        hash: hash.value, kernel_ids: (kernel, 0xFFFF, 0xFFFF), rank: rank, tensors: 1))
    submitted &+= 1
    owner.ownRankPage.submitted.storeRelease(submitted)
  }

  package func control(_ value: UInt32) {
    publish(value, owner.ownOrchestratorPage.control)
  }

  // MARK: The link

  package var linkControl: UInt32 { owner.linkPage.control.loadAcquire() }
  package var linkError: PTO2Error? { owner.linkPage.error.read()?.error }
  package var isLinkErrorEcho: Bool { owner.linkPage.errorIsEcho.loadAcquire() != 0 }
}
