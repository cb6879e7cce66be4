import CPTO2Segment
import PTO2Orchestrator
import PTO2Protocol
import PTO2Segment
import Testing

@Suite struct DescriptorTests {
  /// What a core finds behind the dispatch word, and where.
  @Test func descriptorHoldsCallsThenTensorsThenScalars() throws {
    let rig = try Rig(configuration(rings: 2, heap: 4096))
    let external = try rig.graph.externalTensor(of: Float.self, [4, 8])
    let view = try external.slice(from: [1, 2], shape: [2, 3])
    try rig.graph.beginScope()
    let task = try rig.submit(aic: true, aiv1: true) {
      $0.input(view)
      _ = $0.output(of: Int8.self, [5])
      _ = $0.output(of: BFloat16.self, [2, 40])
      $0.scalar(-1)
      $0.scalar(Float(1.5))
    }
    let descriptor = rig.worker.descriptors(1)[task.local]
    let call: UInt64 = 3 << 48 | 2 << 40
    #expect(descriptor.call(0).rawValue == Rig.aic.call | call)
    #expect(descriptor.call(1).rawValue == 0, "no kernel, whatever the arity")
    #expect(descriptor.call(2).rawValue == Rig.aiv.call | call)
    let arena = rig.worker.layout.section(.arena).offset
    let heap = rig.worker.layout.section(.heap, ring: 1).offset
    let payload = try #require(rig.payload(task))
    let arguments = payload.arguments(of: descriptor)
    #expect(arguments[0] == arena + (8 + 2) * 4)
    #expect(arguments[1] == heap)
    #expect(arguments[2] == heap + 64, "every output starts on a cache line")
    #expect(arguments[3] == UInt64.max)
    #expect(arguments[4] == 0x3FC0_0000)

    let slot = rig.slot(task)
    #expect(slot.task_id == task.rawValue && slot.active_mask == 0b101)
    #expect(slot.tensor_count == 3 && slot.scalar_count == 2)
    #expect(slot.output_offset == heap && slot.heap_end - slot.heap_begin == 64 + 192)
    #expect(slot.kernel_ids.0 == 0 && slot.kernel_ids.2 == 1 && slot.scope == 1)
    let tensor = payload.tensor(0)
    #expect(tensor.offset == arena + 40 && tensor.rank == 2 && tensor.dtype == 0)
    #expect(tensor.shape.0 == 2 && tensor.shape.1 == 3 && tensor.shape.2 == 1)
    #expect(tensor.strides.0 == 8 && tensor.strides.1 == 1)
    #expect(tensor.access == UInt8(PTO2_INPUT.rawValue) && tensor.element_count == 6)
    rig.settle()
    #expect(rig.running.map(\.task) == [task, task])
  }

  @Test func argumentsOfAFullTaskAllFit() throws {
    let rig = try Rig(configuration())
    let tensor = try rig.external(4)
    let task = try rig.submit(aic: true) { task in
      for _ in 0..<32 { task.input(tensor) }
      for number in 0..<16 { task.scalar(1000 + number) }
    }
    let payload = try #require(rig.payload(task))
    let arguments = payload.arguments(of: rig.worker.descriptors(0)[task.local])
    let arena = rig.worker.layout.section(.arena).offset
    for index in 0..<32 { #expect(arguments[index] == arena) }
    for index in 0..<16 { #expect(arguments[32 + index] == UInt64(1000 + index)) }
    for index in 0..<32 { #expect(payload.tensor(index).offset == arena) }
  }

  /// Up to four arguments stand beside the calls, in their cache line.
  @Test func fewArgumentsStandInTheDescriptor() throws {
    let rig = try Rig(configuration())
    let tensor = try rig.external(4)
    for scalars in 0...4 {
      let task = try rig.submit(aic: true) { task in
        task.input(tensor)
        for number in 0..<scalars { task.scalar(1000 + number) }
      }
      let descriptor = rig.worker.descriptors(0)[task.local]
      let payload = try #require(rig.payload(task))
      let arguments = payload.arguments(of: descriptor)
      #expect((arguments == descriptor.arguments) == (scalars < 4))
      #expect(arguments[0] == payload.tensor(0).offset)
      for index in 0..<scalars { #expect(arguments[1 + index] == UInt64(1000 + index)) }
    }
  }

  /// Eight rings of the largest window are 512 MiB of descriptors, a quarter of what the
  /// word can say: the core is made to address less.
  @Test func descriptorBeyondTheWordIsError101() throws {
    let rings = [Configuration.Ring](
      repeating: Configuration.Ring(
        taskWindow: 1 << 10, consumedWindow: 1 << 10, heapBytes: 64, dependencyPool: 4), count: 6)
    // The last field of 5 x 2^16 bytes: the next ring's first descriptor is one too far.
    let rig = try Rig(
      Configuration(rings: rings, arenaBytes: 4096, offsetLimit: UInt32(5 * 64 << 10) >> 3))
    let near = try rig.submit(aic: true)
    rig.settle()
    rig.finish(near)
    #expect(rig.failure == nil)
    for _ in 0..<5 { try rig.graph.beginScope() }
    let far = try rig.submit(aic: true)
    #expect(far.ring == 5)
    rig.settle()
    #expect(rig.failure?.code == .encodingOverflow)
    #expect(rig.failure?.task == far)
    #expect(rig.failure?.needed == 5 * 64 << 10)
    #expect(rig.running.isEmpty, "nothing was stored to the core")
    #expect(throws: PTO2Error.self) { try rig.submit(aic: true) }
    #expect(rig.failure?.code.exitStatus == 31)
  }
}
