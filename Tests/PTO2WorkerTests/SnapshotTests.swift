import CPTO2Segment
import Glibc
import Harness
import PTO2Protocol
import PTO2Segment
import PTO2System
import Testing

@testable import PTO2Worker

/// Element positions of a tensor in memory, in bytes, in index order.
private func places(_ tensor: pto2_tensor, elementBytes: Int) -> [Int] {
  let extents = withUnsafeBytes(of: tensor.shape) { Array($0.bindMemory(to: UInt32.self)) }
  let strides = withUnsafeBytes(of: tensor.strides) { Array($0.bindMemory(to: Int32.self)) }
  var offsets = [0]
  for d in 0..<Int(tensor.rank) {
    offsets = offsets.flatMap { base in (0..<Int(extents[d])).map { base + $0 * Int(strides[d]) } }
  }
  return offsets.map { Int(tensor.offset) + $0 * elementBytes }
}

/// One task with a snapshot, and the core that runs it: an empty kernel, so whatever
/// changes is the snapshot's doing.
private final class Bench {
  let name = uniqueSegmentName()
  let owner: Segment
  private let scheduler: Segment
  private let worker: Segment
  private let images: [KernelImage]
  private var toggle = false
  var header: UInt64 { owner.layout.section(.heap).offset + 128 }

  init() throws {
    images = [try KernelImage(path: testImage("libTestKernels.so"))]
    owner = try Segment.create(
      name: name,
      configuration: Configuration(
        rings: [
          Configuration.Ring(
            taskWindow: 4, consumedWindow: 8, heapBytes: 16384, dependencyPool: 8)
        ], lanes: 1, arenaBytes: 16384), images: images)
    owner.publish()
    scheduler = try Segment.attach(name: name, role: .scheduler, timeoutMilliseconds: 0)
    worker = try Segment.attach(name: name, role: .worker, timeoutMilliseconds: 0)
    scheduler.ownDispatchLanes(1).word(0).storeRelease(PTO2_SCHEDULER_IDLE)
  }

  deinit { owner.unlink() }

  var slot: OwnedMainSlot { owner.ownMainRing(0)[0] }
  func payload(tensors: Int) -> OwnedPayload {
    OwnedPayload(at: owner.ownPayloads(0), PayloadShape(tensors: tensors, scalars: 0))
  }

  func fill(_ section: SegmentLayout.Section, _ byte: (Int) -> UInt8) {
    let start = owner.bytes.address(section.offset)!.assumingMemoryBound(to: UInt8.self)
    for index in 0..<Int(section.bytes) { start[index] = byte(index) }
  }

  func core() throws -> Core { try Core(worker, core: 1, directory: KernelDirectory(images)) }

  var condition: UInt32 { worker.corePage(1).cond(0).loadAcquire() }

  /// Publishes the task; the core's next step runs it.
  func dispatch(_ list: [pto2_tensor]) throws {
    let kernel = try #require(images[0].kernels.first { $0.name == "t_empty" })
    let kernelWord = CallWord(image: 0, offset: kernel.offset).rawValue | PTO2_CALL_SNAPSHOT
    let call = CallWord(kernel: kernelWord, tensors: list.count, scalars: 0)
    slot.header.flags = UInt8(PTO2_SLOT_SNAPSHOT | PTO2_SLOT_RERUN)
    slot.header.tensor_count = UInt8(list.count)
    slot.header.output_offset = header - 64
    slot.header.snapshot_line = 1
    let payload = payload(tensors: list.count)
    for (index, tensor) in list.enumerated() { payload.setTensor(index, tensor) }
    owner.ownDescriptors(0)[0].setCalls(.inactive, call, .inactive)
    owner.ownDescriptors(0)[0].setPayload(owner.layout.section(.payload).offset)
    again()
  }

  /// The same task once more.
  func again() {
    toggle.toggle()
    let word = DispatchWord(descriptorOffset: 0, slot: 1, toggle: toggle)!
    scheduler.ownDispatchLanes(1).word(0).storeRelease(word.rawValue)
  }

  func bytes(_ kind: SectionKind) -> [UInt8] {
    let section = owner.layout.section(kind)
    return Array(UnsafeRawBufferPointer(start: owner.read(kind), count: Int(section.bytes)))
  }
}

private func testImage(_ name: String) -> String {
  if let directory = getenv("PTO2_TEST_BIN") { return String(cString: directory) + "/" + name }
  let bundle = CommandLine.arguments.first { $0.contains("/.build/") && $0.hasSuffix(".xctest") }
  if let bundle { return String(bundle[...bundle.lastIndex(of: "/")!]) + name }
  guard let current = getcwd(nil, 0) else { return name }
  defer { free(current) }
  return String(cString: current) + "/.build/debug/" + name
}

@Suite struct SnapshotTests {
  private static let types: [(UInt8, Int)] = [
    (UInt8(PTO2_INT8.rawValue), 1), (UInt8(PTO2_BFLOAT16.rawValue), 2),
    (UInt8(PTO2_FLOAT32.rawValue), 4),
    (UInt8(PTO2_UINT64.rawValue), 8),
  ]

  /// A view with gaps, of any rank, dimensions in any order.
  private func randomTensor(_ bench: Bench, _ random: inout SplitMix64) -> (pto2_tensor, Int) {
    let (type, size) = Self.types.randomElement(using: &random)!
    let rank = Int.random(in: 0...5, using: &random)
    var extents = [UInt32](repeating: 1, count: 5)
    var strides = [Int32](repeating: 0, count: 5)
    var span: Int32 = 1
    for d in (0..<rank).shuffled(using: &random) {
      extents[d] = UInt32.random(in: 1...3, using: &random)
      strides[d] = span * Int32.random(in: 1...2, using: &random)
      span = strides[d] * Int32(extents[d])
      // Of a dimension of one element it means nothing.
      if extents[d] == 1 { strides[d] = Int32.random(in: 1...1 << 30, using: &random) }
    }
    if Int(span) * size > 12000 { return randomTensor(bench, &random) }
    var tensor = pto2_tensor()
    tensor.offset =
      bench.owner.layout.section(.arena).offset + UInt64.random(in: 0...10, using: &random) * 8
    tensor.shape = (extents[0], extents[1], extents[2], extents[3], extents[4])
    tensor.strides = (strides[0], strides[1], strides[2], strides[3], strides[4])
    tensor.dtype = type
    tensor.rank = UInt8(rank)
    tensor.access = UInt8(
      [
        PTO2_INOUT.rawValue, PTO2_INOUT.rawValue, PTO2_INPUT.rawValue,
        PTO2_OUTPUT_EXISTING.rawValue,
      ].randomElement(using: &random)!)
    tensor.element_count = extents.reduce(1, *)
    return (tensor, size)
  }

  /// The first run copies the elements, one after the other; the second puts these
  /// back, whatever the tensors hold by then, and touches nothing else.
  @Test(arguments: 0..<60)
  func elementsComeBack(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let bench = try Bench()
    var core = try bench.core()
    let list = (0..<Int.random(in: 1...4, using: &random)).map { _ in
      randomTensor(bench, &random)
    }
    let arena = bench.owner.layout.section(.arena)
    bench.fill(arena) { _ in UInt8.random(in: 0...255, using: &random) }
    let before = bench.bytes(.arena)
    try bench.dispatch(list.map(\.0))
    #expect(core.step() == .ran)
    #expect(bench.bytes(.arena) == before, "taking it changes nothing")
    let kept = bench.owner.bytes.address(bench.header)!
    #expect(kept.load(as: UInt32.self) == PTO2_SNAPSHOT_TAKEN)
    let elements = kept.assumingMemoryBound(to: UInt8.self)

    var place = 64
    var restored: Set<Int> = []
    for (tensor, size) in list where tensor.access == UInt8(PTO2_INOUT.rawValue) {
      for (index, at) in places(tensor, elementBytes: size).enumerated() {
        for byte in 0..<size {
          let old = before[at + byte - Int(arena.offset)]
          #expect(elements[place + index * size + byte] == old)
          restored.insert(at + byte - Int(arena.offset))
        }
      }
      place += (Int(tensor.element_count) * size + 63) / 64 * 64
    }

    bench.fill(arena) { ~before[$0] }
    let copy = bench.bytes(.heap)
    bench.again()
    #expect(core.step() == .ran)
    let after = bench.bytes(.arena)
    for byte in after.indices {
      #expect(after[byte] == (restored.contains(byte) ? before[byte] : ~before[byte]))
    }
    #expect(bench.bytes(.heap) == copy, "putting it back leaves the copy")
  }

  /// Each damage is one of the slot or its first tensor: said to be garbage before
  /// ACK, with nothing stored.
  @Test(arguments: 0..<14)
  func damagedSlotIsGarbage(kind: Int) throws {
    let bench = try Bench()
    var core = try bench.core()
    var tensor = pto2_tensor()
    tensor.offset = bench.owner.layout.section(.arena).offset
    tensor.shape = (4, 4, 1, 1, 1)
    tensor.strides = (8, 1, 0, 0, 0)
    tensor.dtype = UInt8(PTO2_INT64.rawValue)
    tensor.rank = 2
    tensor.access = UInt8(PTO2_INOUT.rawValue)
    tensor.element_count = 16
    let data = bench.owner.layout.section(.heap).offset
    let total = bench.owner.layout.totalBytes
    try bench.dispatch([tensor])
    switch kind {
    case 0: bench.slot.header.flags = UInt8(PTO2_SLOT_RERUN)
    case 1: bench.slot.header.tensor_count = 33
    case 2: bench.slot.header.output_offset = data - 128
    case 3: bench.slot.header.output_offset = total - 128
    case 4: bench.slot.header.output_offset = UInt64.max - 63
    case 5: bench.slot.header.snapshot_line = UInt32.max
    case 6: bench.slot.header.output_offset += 4
    case 7: tensor.offset = data - 8
    case 8: tensor.offset = total - 8 * 27
    case 9: tensor.offset = UInt64.max - 8
    case 10: tensor.rank = 6
    case 11: tensor.dtype = UInt8(PTO2_DTYPE_COUNT)
    case 12: tensor.strides.0 = -8
    default: tensor.shape = (UInt32.max, UInt32.max, 1, 1, 1)
    }
    bench.payload(tensors: 1).setTensor(0, tensor)
    let (heap, arena, cond) = (bench.bytes(.heap), bench.bytes(.arena), bench.condition)
    guard case .garbage = core.step() else {
      Issue.record("it ran")
      return
    }
    #expect(bench.condition == cond, "not acknowledged")
    #expect(bench.bytes(.heap) == heap && bench.bytes(.arena) == arena)
  }

  @Test func tensorThatEndsWithTheSegmentIsTaken() throws {
    let bench = try Bench()
    var core = try bench.core()
    var tensor = pto2_tensor()
    tensor.offset = bench.owner.layout.totalBytes - 8 * 28
    tensor.shape = (4, 4, 1, 1, 1)
    tensor.strides = (8, 1, 0, 0, 0)
    tensor.dtype = UInt8(PTO2_INT64.rawValue)
    tensor.rank = 2
    tensor.access = UInt8(PTO2_INOUT.rawValue)
    tensor.element_count = 16
    try bench.dispatch([tensor])
    #expect(core.step() == .ran)
  }
}
