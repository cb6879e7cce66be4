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
    var block = pto2_error_block()
    fill(&block, &input)
    segment.orchestrator.ownError.whole = block
    guard let (error, _) = segment.orchestratorPage.error.read() else { return }
    expect(error.code.exitStatus > 0 && error.code.exitStatus < 64, "status of \(error.code)")
    // What one process reads, it may write as its own error: the same comes back.
    segment.scheduler.ownError.write(error, core: 1)
    guard let (again, _) = segment.schedulerPage.error.read() else {
      broken("no error was written")
    }
    expect(
      again.code == error.code && again.task == error.task && again.ring == error.ring
        && again.needed == error.needed && again.available == error.available,
      "\(error) comes back as \(again)")
    expect(error.message.hasPrefix(again.message), "the message comes back changed")
  }

  private func processRecord(_ input: inout Input) {
    var record = pto2_process_record()
    fill(&record, &input)
    segment.scheduler.ownProcess.whole = record
    guard let found = segment.schedulerPage.process.read() else { return }
    if let handle = ProcessHandle(found.identity) { _ = handle.hasEnded() }
    let before = found.incarnation
    segment.scheduler.ownProcess.announce(isSupervised: true)
    let after = segment.schedulerPage.process.read()?.incarnation
    expect(after == before &+ 1, "incarnation after \(before)")
  }

  /// The bytes of a record, while there are any.
  private func fill<Record>(_ record: inout Record, _ input: inout Input) {
    withElements(&record, of: UInt8.self) { bytes in
      for index in bytes.indices where !input.isEmpty { bytes[index] = input.byte() }
    }
  }

  private func running(_ input: inout Input) {
    let core = input.index(segment.configuration.coreCount)
    let lane = UInt32(input.index(2))
    for _ in 0..<8 {
      let section = input.byte() & 1 == 0 ? SectionKind.mainRing : .kernels
      let value = input.number(UInt32.self)
      segment.damage(
        value, segment.layout.section(section), at: Int(input.number(UInt16.self)))
    }
    let word = input.value(near: 4)
    segment.line(core).word(lane).storeRelease(word)
    segment.worker(core).cond(lane).storeRelease(word)
    if let text = worker.runningTask(core: core) { expect(!text.isEmpty, "no words") }
    _ = worker.kernelName(Int(input.number(UInt16.self)))
  }

  /// The images a worker is told to load.
  private func images(_ input: inout Input) {
    let place = segment.imageRecords[0]
    var record = place.content
    for _ in 0..<4 {
      // Not the path itself: it could name any file of this machine.
      let kept = record.path
      let (offset, byte) = (Int(input.byte()) % 48, input.byte())
      withElements(&record, of: UInt8.self) { $0[offset] = byte }
      record.path = kept
    }
    let choice = input.byte() & 7
    withElements(&record.path, of: UInt8.self) { path in
      switch choice {
      case 0: path[0] = 0
      case 1: path[input.index(64)] = 0xFF
      case 2: path.update(repeating: UInt8(ascii: "/"))
      default: break
      }
    }
    place.content = record
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
