import CPTO2Segment
import PTO2Protocol
import PTO2Segment
import PTO2System
import Testing

@testable import PTO2Orchestrator

/// The link of a rig, played through its raw words: a test decides when each transfer is over.
final class PlayedLink: @unchecked Sendable {
  // Sendable: one thread at a time plays it.
  private let segment: Segment
  let page: LinkPage<OwnedWord>
  private let ends: RingTable<TransferEnd>
  /// Starts in the order in which they were read.
  private(set) var started: [Start] = []

  struct Start: Equatable {
    var task: TaskID
    var outcome: UInt32 = 0
  }

  init(_ rig: Rig) throws {
    segment = try Segment.attach(name: rig.name, role: .link, timeoutMilliseconds: 0)
    page = segment.ownLinkPage
    ends = segment.ownTransferEnds
  }

  /// Reads what was started since.
  @discardableResult
  func look() -> [Start] {
    let count = segment.schedulerPage.transfersStarted.loadAcquire()
    var news: [Start] = []
    guard count &- UInt32(started.count) <= segment.configuration.transferCapacity else {
      Issue.record("\(count) starts, of which \(started.count) were seen")
      return news
    }
    while UInt32(started.count) != count {
      let record = segment.transferStarts[UInt32(started.count)].content
      let start = Start(task: TaskID(rawValue: record.task_id), outcome: record.outcome)
      started.append(start)
      news.append(start)
    }
    return news
  }

  /// One is over.
  func end(_ task: TaskID, outcome: UInt32 = 0) {
    let position = page.ended.loadOwn()
    ends[position].store(
      pto2_transfer_end(task_id: task.rawValue, outcome: outcome, reserved: 0))
    page.ended.storeRelease(position &+ 1)
  }

  /// As the link does: whoever sleeps is woken.
  func endAndWake(_ task: TaskID) {
    end(task)
    Publisher.fence()
    if Publisher(to: segment.schedulerPage.parked, bits: 1).isAsleep {
      Futex.wake(page.ended.shared)
    }
  }

  /// Sleeps as the link does, until something is started.
  /// - Returns: false when nobody woke it in time.
  func sleepUntilStarted(milliseconds: UInt64) -> Bool {
    let deadline = Deadline(afterMilliseconds: milliseconds)
    let word = segment.schedulerPage.transfersStarted
    var sleeper = Sleeper()
    sleeper.announce(1, in: page.parked)
    sleeper.watch(word, while: UInt32(started.count))
    _ = sleeper.sleep(timeoutNanoseconds: Int64(milliseconds) * 1_000_000)
    sleeper.withdraw(from: page.parked)
    return !deadline.hasPassed && word.loadAcquire() != UInt32(started.count)
  }
}

/// A rig of one rank of two. The program runs on this one alone, as far as the orchestrator
/// knows: a test submits each transfer.
func rankRig(
  rings: Int = 1, window: UInt32 = 16, lanes: UInt32 = 1, threads: UInt32 = 1,
  stallLimitMilliseconds: UInt32 = 0, worksAhead: Bool = false
) throws -> Rig {
  var parts = configuration(
    rings: rings, window: window, lanes: lanes, threads: threads,
    stallLimitMilliseconds: stallLimitMilliseconds, worksAhead: worksAhead)
  parts.ranks = 2
  let rig = try Rig(parts)
  rig.graph.orchestrator.pointee.ranks.count = 1
  return rig
}

extension Rig {
  @discardableResult
  func send(_ tensor: Tensor<Float>?, sequence: UInt64 = 0) throws -> TaskID {
    try submit(.send, tensor, sequence)
  }

  @discardableResult
  func receive(_ tensor: Tensor<Float>?, sequence: UInt64 = 0) throws -> TaskID {
    try submit(.receive, tensor, sequence)
  }

  private func submit(
    _ direction: TransferOrder.Direction, _ tensor: Tensor<Float>?, _ sequence: UInt64
  ) throws -> TaskID {
    let bytes = UInt64(4 * (tensor?.count ?? 0))
    return try graph.orchestrator.pointee.submitTransfer(
      TransferOrder(direction, peer: 1, sequence: sequence, bytes: bytes),
      tensor: tensor.map { AnyTensor($0) })
  }
}
