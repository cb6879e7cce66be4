import CPTO2Segment
import PTO2Protocol
import Testing

/// One buffer, its writer and its reader, in memory of the test.
@Suite struct TraceBufferTests {
  private static let bytes = Int(PTO2_TRACE_BYTES_LEAST)
  private static let capacity = UInt64((bytes - 64) / 16)

  private final class Buffer {
    let base: UnsafeMutableRawPointer
    let taken: UnsafeMutableRawPointer
    var reader: TraceReader

    init() {
      base = .allocate(byteCount: TraceBufferTests.bytes, alignment: 64)
      base.initializeMemory(as: UInt8.self, repeating: 0, count: TraceBufferTests.bytes)
      taken = .allocate(byteCount: 8, alignment: 8)
      taken.storeBytes(of: 0, as: UInt64.self)
      reader = TraceReader(at: base, bytes: UInt64(TraceBufferTests.bytes), taken: taken)
    }
    deinit {
      base.deallocate()
      taken.deallocate()
    }

    func writer() -> TraceWriter {
      TraceWriter(at: base, bytes: UInt64(TraceBufferTests.bytes), taken: taken)
    }
    func take() -> [TraceRecord] {
      var records: [TraceRecord] = []
      reader.take { records += Array($0.bindMemory(to: TraceRecord.self)) }
      return records
    }
  }

  private func write(_ count: UInt64, from first: UInt64 = 0, to writer: TraceWriter) {
    for value in first..<first + count {
      writer.note(.wired, TaskID(ring: 3, local: UInt32(value)), at: value, detail: 7)
    }
  }

  @Test func recordsComeBackInOrderAcrossTheEnd() {
    let buffer = Buffer()
    let writer = buffer.writer()
    defer { writer.deallocate() }
    var next: UInt64 = 0
    for count in [1, 1000, Self.capacity, 3000, 2000, 1] as [UInt64] {
      write(count, from: next, to: writer)
      let records = buffer.take()
      #expect(records.map(\.value) == Array(next..<next + count))
      #expect(records.allSatisfy { $0.event == .wired && $0.taskID.ring == 3 && $0.detail == 7 })
      next += count
    }
    #expect(buffer.reader.dropped == 0 && buffer.take().isEmpty)
  }

  /// A transfer's record has any rank, and enough of its number to tell those under way apart.
  @Test(arguments: [
    TransferOrder(.send, peer: Int(PTO2_MAX_RANKS) - 1, sequence: 1 << 20 | 5, bytes: 1),
    TransferOrder(.receive, peer: 64, sequence: (1 << 19) - 1, bytes: 1),
  ])
  func recordHasTheTransfer(order: TransferOrder) {
    let record = TraceRecord(
      .transferBegun, TaskID(ring: 3, local: .max), 1, detail: TraceRecord.transfer(order))
    #expect(record.taskID == TaskID(ring: 3, local: .max))
    #expect(record.peer == order.peer && record.isSend == (order.direction == .send))
    #expect(record.sequence == UInt32(order.sequence) % (1 << 19))
  }

  /// What finds the buffer full is counted, and what was there stays.
  @Test func fullBufferDropsAndCounts() {
    let buffer = Buffer()
    let writer = buffer.writer()
    defer { writer.deallocate() }
    write(Self.capacity + 10, to: writer)
    #expect(buffer.reader.dropped == 10)
    #expect(buffer.take().map(\.value) == Array(0..<Self.capacity))
    write(5, from: 100, to: writer)
    #expect(buffer.take().map(\.value) == Array(100..<105))
    #expect(buffer.reader.dropped == 10)
  }

  /// The next process in a role goes on behind the last record of the one before.
  @Test func nextWriterGoesOn() {
    let buffer = Buffer()
    let first = buffer.writer()
    write(9, to: first)
    first.deallocate()
    let second = buffer.writer()
    defer { second.deallocate() }
    write(3, from: 9, to: second)
    #expect(buffer.take().map(\.value) == Array(0..<12))
  }

  /// A head that says more than the buffer can have is not followed.
  @Test func overwrittenHeadIsCounted() {
    let buffer = Buffer()
    let writer = buffer.writer()
    defer { writer.deallocate() }
    write(3, to: writer)
    buffer.base.storeBytes(of: UInt64(1) << 60, as: UInt64.self)
    #expect(buffer.take().isEmpty && buffer.reader.damaged == 1)
  }

  @Test func detailsComeBack() {
    let place = TraceRecord(
      .dispatched, TaskID(ring: 7, local: .max), 1 << 55,
      detail: TraceRecord.place(core: 119, lane: 63, subtask: 2, block: 4095))
    #expect(place.core == 119 && place.lane == 63 && place.subtask == 2 && place.block == 4095)
    #expect(place.taskID == TaskID(ring: 7, local: .max) && place.value == 1 << 55)
    let run = TraceRecord(
      .begun, TaskID(ring: 0, local: 1), 2,
      detail: TraceRecord.run(lane: 63, subtask: 2, kernel: 4095))
    #expect(run.runLane == 63 && run.runSubtask == 2 && run.runKernel == 4095)
  }
}
