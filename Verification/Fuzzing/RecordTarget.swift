import CPTO2Segment
import PTO2Protocol
import PTO2Segment
import PTO2System
import PTO2Worker

/// Readers of records that another process writes: error blocks, process
/// records, what runs on a core, kernel names.
final class RecordTarget: FuzzTarget {
  private let segment: SegmentUnderTest
  private let worker: Segment

  init() throws {
    segment = try SegmentUnderTest(
      tinyConfiguration(), images: [try KernelImage(path: fuzzKernelsPath())])
    worker = try segment.attach(.worker)
  }

  func run(_ input: inout Input) throws {
    segment.reset()
    let kind = input.byte()
    switch kind % 4 {
    case 0: errorBlock(&input)
    case 1: processRecord(&input)
    case 2: running(&input)
    default: images(&input)
    }
  }

  private func errorBlock(_ input: inout Input) {
    let block = segment.address(.orchestratorWords) + Int(PTO2_ORCH_ERROR)
    let size = MemoryLayout<pto2_error_block>.stride
    for offset in 0..<size where !input.isEmpty {
      block.storeBytes(of: input.byte(), toByteOffset: offset, as: UInt8.self)
    }
    guard let (error, _) = ErrorBlock(block).read() else { return }
    expect(error.code.exitStatus > 0 && error.code.exitStatus < 64, "status of \(error.code)")
    // What one process reads, it may write as its own error: the same comes back.
    let copy = segment.address(.schedulerWords) + Int(PTO2_SCHED_ERROR)
    ErrorBlock.write(error, core: 1, to: copy)
    guard let (again, _) = ErrorBlock(copy).read() else { broken("no error was written") }
    expect(
      again.code == error.code && again.task == error.task && again.ring == error.ring
        && again.needed == error.needed && again.available == error.available,
      "\(error) comes back as \(again)")
    expect(error.message.hasPrefix(again.message), "the message comes back changed")
  }

  private func processRecord(_ input: inout Input) {
    let record = segment.address(.schedulerWords) + Int(PTO2_SCHED_PROCESS)
    for offset in 0..<MemoryLayout<pto2_process_record>.stride where !input.isEmpty {
      record.storeBytes(of: input.byte(), toByteOffset: offset, as: UInt8.self)
    }
    guard let found = ProcessRecord(record).read() else { return }
    if let handle = ProcessHandle(found.identity) { _ = handle.hasEnded() }
    let before = found.incarnation
    ProcessRecord.announce(isSupervised: true, at: record)
    expect(ProcessRecord(record).read()?.incarnation == before &+ 1, "incarnation after \(before)")
  }

  private func running(_ input: inout Input) {
    let core = input.index(segment.configuration.coreCount)
    let lane = input.index(2)
    for _ in 0..<8 {
      let section = input.byte() & 1 == 0 ? SectionKind.mainRing : .kernels
      let bytes = Int(segment.layout.section(section).bytes)
      segment.address(section).storeBytes(
        of: input.number(UInt32.self),
        toByteOffset: Int(input.number(UInt16.self)) % bytes & ~3, as: UInt32.self)
    }
    let word = input.value(near: 4)
    segment.store(word, .dataMainBase, 64 * core + 4 * lane)
    segment.store(word, .cores, core * Int(segment.layout.coreStride) + 4 * lane)
    if let text = worker.runningTask(core: core) { expect(!text.isEmpty, "no words") }
    _ = worker.kernelName(Int(input.number(UInt16.self)))
  }

  /// The images a worker is told to load.
  private func images(_ input: inout Input) {
    let record = segment.address(.images)
    for _ in 0..<4 {
      // Not the path itself: it could name any file of this machine.
      let offset = Int(input.byte()) % 48
      record.storeBytes(of: input.byte(), toByteOffset: offset, as: UInt8.self)
    }
    switch input.byte() & 7 {
    case 0: record.storeBytes(of: 0, toByteOffset: 48, as: UInt8.self)
    case 1: (record + 48).storeBytes(of: 0xFF, toByteOffset: input.index(64), as: UInt8.self)
    case 2:
      for index in 0..<1024 {
        record.storeBytes(of: 0x2F, toByteOffset: 48 + index, as: UInt8.self)
      }
    default: break
    }
    do {
      let images = try worker.loadImages()
      expect(images.count == Int(segment.configuration.imageCount), "\(images.count) images")
      _ = KernelDirectory(images)
    } catch { expect(!error.description.isEmpty, "an error without words") }
  }

  static let seeds: [[UInt8]] = {
    var seeds: [[UInt8]] = []
    for code in PTO2ErrorCode.allCases {
      var output = Output()
      output.put(0)
      output.number(code.rawValue)
      output.number(UInt32(1))
      for _ in 0..<4 { output.number(UInt64(5)) }
      output.number(UInt32(1))
      output.number(UInt32(5))
      output.number(UInt64(0))
      output.number(UInt64(0))
      output.put(0x68, 0x65, 0xC3, 0xA4, 0xFF)
      seeds.append(output.bytes)
    }
    seeds.append([1, 1, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1])
    seeds.append([2, 0, 0] + [UInt8](repeating: 0, count: 56) + [0, 0])
    for kind in UInt8(0)..<4 { seeds.append([3, 47, 0, 47, 0, 47, 0, 47, 0, kind]) }
    return seeds
  }()
}
