import CPTO2Segment
import Glibc
import Harness
import PTO2Protocol
import PTO2Segment
import PTO2System
import Testing

@testable import PTO2Worker

private func absolute(_ path: String) -> String {
  guard !path.hasPrefix("/"), let current = getcwd(nil, 0) else { return path }
  defer { free(current) }
  return String(cString: current) + "/" + path
}

/// A segment, one core on it, and what a scheduler and an orchestrator store.
private final class Bench {
  let name = uniqueSegmentName()
  let owner: Segment
  let scheduler: Segment
  let worker: Segment
  let images: [KernelImage]

  init() throws {
    // Beside the tests; under swiftpm-testing-helper their bundle is an argument.
    let bundle = CommandLine.arguments.first { $0.contains("/.build/") && $0.hasSuffix(".xctest") }
    let path = bundle.map { $0[...$0.lastIndex(of: "/")!] } ?? ".build/debug/"
    let directory =
      getenv("PTO2_TEST_BIN").map { String(cString: $0) + "/" } ?? absolute(String(path))
    images = [try KernelImage(path: directory + "libTestKernels.so")]
    owner = try Segment.create(
      name: name,
      configuration: Configuration(
        rings: [Configuration.Ring](
          repeating: Configuration.Ring(
            taskWindow: 4, consumedWindow: 8, heapBytes: 1024, dependencyPool: 8), count: 2),
        arenaBytes: 4096), images: images)
    owner.publish()
    scheduler = try Segment.attach(name: name, role: .scheduler, timeoutMilliseconds: 0)
    worker = try Segment.attach(name: name, role: .worker, timeoutMilliseconds: 0)
    store(PTO2_SCHEDULER_IDLE)
  }

  deinit { owner.unlink() }

  func core() throws -> Core {
    try Core(worker, core: 1, directory: KernelDirectory(images))
  }

  func store(_ word: UInt32) {
    scheduler.ownDispatchLanes(1).word(0).storeRelease(word)
  }

  /// Dispatches a descriptor that calls an empty kernel.
  func dispatch(
    offset: UInt64, ring: Int = 0, tensors: [UInt64] = [], payload: UInt64? = nil
  ) throws {
    let kernel = try #require(images[0].kernels.first { $0.name == "t_empty" })
    let call = CallWord(image: 0, offset: kernel.offset).with(tensors: tensors.count, scalars: 0)
    let descriptor = owner.ownDescriptors(ring)[0]
    descriptor.setCalls(.inactive, call, .inactive)
    descriptor.setPayload(payload ?? owner.layout.section(.payload, ring: ring).offset)
    for (index, offset) in tensors.enumerated() { descriptor.arguments[index] = offset }
    store(try #require(DispatchWord(descriptorOffset: offset, slot: 1, toggle: true)).rawValue)
  }
}

extension Core.Outcome {
  fileprivate var garbageText: String? {
    if case .garbage(let garbage) = self { garbage.text } else { nil }
  }
}

@Suite struct CoreGarbageTests {
  @Test func goodDescriptorsOfEachRingRun() throws {
    let bench = try Bench()
    let last = bench.owner.layout.totalBytes - 1
    for ring in 0..<2 {
      var core = try bench.core()
      try bench.dispatch(
        offset: bench.owner.layout.section(.dispatchTable, ring: ring).offset
          - bench.owner.layout.dispatchBase, ring: ring, tensors: [0, last])
      #expect(core.step() == .ran)
    }
  }

  static let offsets: [UInt64] = [8, 56, 256, 4088, 4104, 5888, 8192, 1 << 30]

  /// Between two descriptors, in the unused end of a table, beyond all of them.
  @Test(arguments: offsets)
  func offsetThatIsNoDescriptorIsGarbage(offset: UInt64) throws {
    let bench = try Bench()
    var core = try bench.core()
    try bench.dispatch(offset: offset)
    #expect(core.step().garbageText?.contains("\(offset)") == true)
  }

  @Test func tensorThatBeginsBeyondTheSegmentIsGarbage() throws {
    let bench = try Bench()
    for offset in [bench.owner.layout.totalBytes, UInt64.max] {
      var core = try bench.core()
      try bench.dispatch(offset: 0, tensors: [offset])
      #expect(core.step().garbageText?.contains("beyond the segment") == true)
    }
  }

  /// Off a cache line, or with its end or its start beyond the segment.
  @Test func payloadThatIsNoneIsGarbage() throws {
    let bench = try Bench()
    let end = bench.owner.layout.totalBytes
    for offset in [4, end - 64, end, UInt64.max - 63] {
      var core = try bench.core()
      try bench.dispatch(offset: 0, tensors: [0, 0], payload: offset)
      #expect(core.step().garbageText?.contains("a payload of 128 bytes") == true)
    }
    var core = try bench.core()
    try bench.dispatch(offset: 0, tensors: [0, 0], payload: end - 128)
    #expect(core.step() == .ran)
  }

  /// An empty path is this very program to dlopen, and a name is searched for.
  @Test(arguments: ["", "libTestKernels.so"])
  func imageWithoutAnAbsolutePathIsRefused(path: String) throws {
    let bench = try Bench()
    #expect(try bench.worker.loadImages().count == 1)
    bench.owner.ownImageRecords[0].path = path
    var found: String?
    do { _ = try bench.worker.loadImages() } catch { found = error.description }
    #expect(found?.contains("image record 0 is damaged") == true, "\(found ?? "no error")")
  }
}
