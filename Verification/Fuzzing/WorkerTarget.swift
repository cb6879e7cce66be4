import CPTO2Segment
import PTO2Protocol
import PTO2Segment
import PTO2System
import PTO2Worker

/// A core over any words, descriptors and main slots: garbage is said to be
/// garbage, and a kernel gets nothing that lies outside the segment.
final class WorkerTarget: FuzzTarget {
  private let segment: SegmentUnderTest
  private let directory: KernelDirectory
  private let worker: Segment
  private let images: [KernelImage]

  init() throws {
    images = [try KernelImage(path: fuzzKernelsPath())]
    directory = KernelDirectory(images)
    segment = try SegmentUnderTest(tinyConfiguration(), images: images)
    worker = try segment.attach(.worker)
  }

  func run(_ input: inout Input) throws {
    segment.reset()
    let lanes = segment.configuration.lanes
    let index = input.index(segment.configuration.coreCount)
    let line = segment.line(index)
    for lane in 0..<UInt32(PTO2_MAX_LANES) { line.word(lane).storeRelease(PTO2_SCHEDULER_IDLE) }
    var core: Core
    do { core = try Core(worker, core: index, directory: directory) } catch { return }
    core.announce(isSupervised: false)
    var lane: UInt32 = 0
    for _ in 0..<64 where !input.isEmpty {
      switch input.byte() % 9 {
      case 0: dispatch(&input, index, lane)
      case 1: damage(input.byte() & 1 == 0 ? .dispatchTable : .payload, &input)
      case 2: damage(.mainRing, &input)
      case 3:
        let value = input.value()
        line.word(UInt32(input.index(Int(PTO2_MAX_LANES)))).storeRelease(value)
      case 4: damage(.schedulerWords, &input)
      case 5: damage(.orchestratorWords, &input)
      case 6: damage(.dataMainBase, &input)
      case 8: snapshot(&input)
      default:
        let last = line.word(lane).loadOwn()
        switch core.step() {
        case .idle, .gated:
          core.park(timeoutNanoseconds: 1)
        case .ran:
          let cond = segment.corePage(index).cond(lane).loadAcquire()
          expect(cond == last | PTO2_COND_FIN, "FIN is \(cond) for \(last)")
          lane = (lane + 1) % lanes
        case .exited:
          expect(last == PTO2_EXIT_SIGNAL, "left for \(last)")
          return
        case .garbage(let garbage):
          expect(!garbage.text.isEmpty, "garbage without words")
          return core.publish(PTO2Error(.garbageWord, garbage.text))
        }
      }
    }
  }

  /// A good descriptor, perhaps with one wrong argument, and its word.
  private func dispatch(_ input: inout Input, _ index: Int, _ lane: UInt32) {
    let ring = input.index(segment.configuration.rings.count)
    let slot = input.index(Int(segment.configuration.rings[ring].taskWindow))
    let shape = input.byte()
    let tensors = Int(shape & 3)
    let descriptor = segment.calls(ring)[UInt32(slot)]
    let payloadShape = PayloadShape(tensors: tensors, scalars: Int(shape >> 4 & 3))
    let arguments = segment.ownPayload(ring, UInt32(slot), payloadShape).arguments(of: descriptor)
    let subtask = UInt32(shape >> 2 & 1)
    var call = CallWord(image: 0, offset: images[0].kernels[Int(subtask)].offset)
      .with(tensors: tensors, scalars: Int(shape >> 4 & 3)).rawValue
    if shape & 8 != 0 { call |= PTO2_CALL_SPMD }
    if shape & 0x40 != 0 { call ^= 1 << UInt64(input.byte() & 63) }
    descriptor.setCall(subtask, CallWord(rawValue: call))
    for tensor in 0..<tensors {
      let near = input.byte()
      let base = near & 1 == 0 ? segment.layout.section(.arena).offset : segment.layout.totalBytes
      let offset = base &+ UInt64(bitPattern: Int64(Int8(bitPattern: near)))
      arguments[tensor] = offset
    }
    var position =
      segment.layout.section(.dispatchTable, ring: ring).offset - segment.layout.dispatchBase
      + UInt64(slot * Descriptor.stride)
    if shape & 0x80 != 0 { position = UInt64(input.number(UInt16.self)) << 3 }
    let place = segment.line(index).word(lane)
    let before = DispatchWord(rawValue: place.loadOwn())
    guard
      let word = DispatchWord(descriptorOffset: position, slot: subtask, toggle: !before.toggle)
    else { return }
    place.storeRelease(word.rawValue)
  }

  /// A descriptor and a slot get a snapshot of one tensor, perhaps with one thing wrong.
  private func snapshot(_ input: inout Input) {
    let ring = input.index(segment.configuration.rings.count)
    let slot = input.index(Int(segment.configuration.rings[ring].taskWindow))
    let position = UInt32(slot)
    for subtask in UInt32(0)..<2 {
      let old = segment.descriptors(ring)[position].call(subtask)
      segment.calls(ring)[position]
        .setCall(subtask, CallWord(rawValue: old.rawValue | PTO2_CALL_SNAPSHOT))
    }
    let place = segment.slots(ring)[position]
    var main = place.header
    let payload = segment.ownPayload(ring, position, PayloadShape(tensors: 1, scalars: 0))
    var tensor = pto2_tensor()
    defer {
      place.header = main
      payload.setTensor(0, tensor)
    }
    main.flags |= UInt8(PTO2_SLOT_SNAPSHOT)
    main.tensor_count = 1
    main.snapshot_line = UInt32(input.byte() & 3)
    main.output_offset = segment.layout.section(.heap).offset
    tensor.access = UInt8(PTO2_INOUT.rawValue)
    tensor.offset = segment.layout.section(.arena).offset + UInt64(input.byte())
    tensor.rank = input.byte() & 7
    tensor.dtype = input.byte() & 15
    tensor.shape = (UInt32(input.byte()), UInt32(input.byte() & 7), 2, 1, 1)
    tensor.strides = (Int32(input.byte()), Int32(input.byte() & 7), 1, 1, 1)
    switch input.byte() {
    case 0: tensor.offset = input.number(UInt64.self)
    case 1: main.output_offset = input.number(UInt64.self)
    case 2: main.snapshot_line = input.number(UInt32.self)
    case 3: tensor.shape.0 = input.number(UInt32.self)
    case 4: tensor.strides.0 = Int32(bitPattern: input.number(UInt32.self))
    default: break
    }
  }

  private func damage(_ kind: SectionKind, _ input: inout Input) {
    let rings = kind.spec.isPerRing ? segment.configuration.rings.count : 1
    let section = segment.layout.section(kind, ring: input.index(rings))
    let offset = Int(input.number(UInt16.self))
    segment.damage(input.number(UInt64.self), section, at: offset)
  }

  static let seeds: [[UInt8]] = {
    var seeds: [[UInt8]] = []
    for core in UInt8(0)..<3 {
      for shape in stride(from: UInt8(0), to: 64, by: 5) {
        seeds.append([core, 0, shape, shape, shape, 0, 8, 16, 7, 0, 1, 2, shape, 1, 3, 5, 7, 7])
      }
      seeds.append([core, 0, 0, 0, 0x41, 0, 56, 7, 3, 6, 0, 240, 255, 255, 127, 7])
      seeds.append([core, 0, 1, 3, 0x80, 1, 1, 7])
      for wrong in UInt8(0)..<6 {
        let kept: [UInt8] = [8, 0, 1, 1, 8, 2, 6, 3, 2, 8, 2, wrong, 9, 9, 9, 9, 9, 9, 9, 9]
        seeds.append([core, 0, 0, 1, 0x00] + kept + [7, 0, 0, 1, 0x00, 7])
      }
    }
    return seeds
  }()
}
