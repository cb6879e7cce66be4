import CPTO2Segment
import PTO2Orchestrator
import PTO2Protocol
import PTO2System
import Testing

/// `recovery(.snapshot)` as the orchestrator writes it and the scheduler follows it.
@Suite struct SnapshotTests {
  /// Behind the outputs: one line for the header, then the elements of each INOUT
  /// tensor from a line on.
  @Test func snapshotLiesBehindTheOutputs() throws {
    let rig = try Rig(configuration())
    let x = try rig.graph.externalTensor(of: Int16.self, [8, 8])
    let view = try x.slice(from: [0, 1], shape: [4, 3], steps: [2, 2])
    let task = try rig.submit(aic: true) {
      $0.inout(view)
      _ = $0.output(of: Int64.self, [5])
      $0.input(x)
      $0.inout(x)
      $0.recovery = .snapshot
    }
    let slot = rig.slot(task)
    #expect(slot.flags == UInt8(PTO2_SLOT_SNAPSHOT | PTO2_SLOT_RERUN | PTO2_SLOT_HELD))
    #expect(slot.snapshot_line == 1)
    #expect(slot.heap_end - slot.heap_begin == 64 + 64 + 64 + 128)
    let call = rig.worker.descriptors(0)[task.local].call(0).rawValue
    #expect(call == Rig.aic.call | PTO2_CALL_SNAPSHOT | 4 << 48)
  }

  /// The heap's memory comes back used: each task's header says EMPTY.
  @Test func headerIsEmptyWhenTheTaskIsPublished() throws {
    let rig = try Rig(configuration(heap: 256))
    let x = try rig.external(4)
    for _ in 0..<6 {
      try rig.graph.beginScope()
      let task = try rig.submit(aiv0: true) {
        $0.inout(x)
        $0.recovery = .snapshot
      }
      try rig.graph.endScope()
      let slot = rig.slot(task)
      let address = slot.output_offset + 64 * UInt64(slot.snapshot_line)
      let header = OwnedWord(at: try #require(rig.worker.bytes.address(address)))
      #expect(header.loadOwn() == PTO2_SNAPSHOT_EMPTY)
      rig.settle()
      header.storeRelaxed(PTO2_SNAPSHOT_TAKEN)
      rig.runAll()
    }
    #expect(rig.failure == nil && rig.counts() == [6, 6])
  }

  /// Its worker dies twice while it runs: it comes again, and a third death is its end.
  @Test func taskWithASnapshotComesAgain() throws {
    let rig = try Rig(configuration())
    let x = try rig.external(4)
    let task = try rig.submit(aic: true) {
      $0.inout(x)
      $0.recovery = .snapshot
    }
    let next = try rig.submit(aic: true) { $0.input(x) }
    rig.settle()
    for _ in 0..<2 {
      rig.die(core: 0, hasBegun: true)
      rig.comeAgain(core: 0)
      #expect(rig.runningTasks == [task])
    }
    rig.die(core: 0, hasBegun: true)
    rig.comeAgain(core: 0)
    #expect(rig.state(task) == .consumed && rig.state(next) == .consumed)
    #expect(rig.graph.orchestrator.pointee.failureCounts == (1, 1, 3))
  }

  /// Nothing to keep: no memory is taken, and the rules are those without it.
  @Test func taskThatChangesNothingInPlaceHasNoSnapshot() throws {
    let rig = try Rig(configuration())
    let x = try rig.external(4)
    let pure = try rig.submit(aic: true, aiv0: true) {
      $0.input(x)
      $0.blocks(2)
      $0.recovery = .snapshot
    }
    let dummy = try rig.submit {
      $0.inout(x)
      $0.input(x)
      $0.overwrite(x)
      $0.recovery = .snapshot
    }
    #expect(rig.slot(pure).flags == UInt8(PTO2_SLOT_RERUN))
    for task in [pure, dummy] {
      #expect(rig.slot(task).heap_end == rig.slot(task).heap_begin)
      #expect(rig.slot(task).flags & UInt8(PTO2_SLOT_SNAPSHOT) == 0)
    }
  }

  /// An element that is read as one argument and overwritten as another is not what it
  /// was after half a run. Views whose ends cross share elements or not.
  @Test func taskThatOverwritesItsInputIsNotPure() throws {
    let rig = try Rig(configuration())
    let x = try rig.graph.externalTensor(of: Int32.self, [8, 8])
    let left = try x.slice(from: [0, 0], shape: [8, 4])
    let right = try x.slice(from: [0, 4], shape: [8, 4])
    let middle = try x.slice(from: [0, 3], shape: [8, 2])
    func flags(_ input: Tensor<Int32>, _ output: Tensor<Int32>) throws -> UInt8 {
      rig.slot(
        try rig.submit(aic: true) {
          $0.overwrite(output)
          $0.input(input)
        }
      ).flags
    }
    #expect(try flags(left, right) == UInt8(PTO2_SLOT_RERUN))
    #expect(try flags(left, try x.slice(from: [0, 4], shape: [8, 1])) == UInt8(PTO2_SLOT_RERUN))
    #expect(try flags(left, middle) == 0)
    #expect(try flags(middle, right) == 0)
    #expect(try flags(x, x) == 0)
    #expect(
      try flags(left, rig.graph.externalTensor(of: Int32.self, [4])) == UInt8(PTO2_SLOT_RERUN))
    #expect {
      try rig.submit(aic: true) {
        $0.input(left)
        $0.overwrite(middle)
        $0.recovery = .snapshot
      }
    } throws: {
      ($0 as? PTO2Error)?.message.contains("argument 1 overwrites (PTO2_OUTPUT_EXISTING)") == true
    }
  }

  @Test(arguments: ["kernels", "blocks", "no-dep", "heap"])
  func taskOfWhichNoSnapshotCanBeTakenIsRefused(what: String) throws {
    let rig = try Rig(configuration(heap: 256))
    let x = try rig.external(16)
    let large = try rig.external(64)
    var found: PTO2Error?
    do {
      try rig.submit(aic: true, aiv0: what == "kernels") {
        $0.inout(what == "heap" ? large : x)
        if what == "blocks" { $0.blocks(2) }
        if what == "no-dep" { $0.unordered(x) }
        $0.recovery = .snapshot
      }
    } catch { found = error as? PTO2Error }
    let error = try #require(found)
    #expect(error.code == (what == "heap" ? .heapRingDeadlock : .invalidArgs))
    let text = [
      "kernels": "has 2 kernels and 1 blocks", "blocks": "has 1 kernels and 2 blocks",
      "no-dep": "argument 1 is unordered (PTO2_NO_DEP)",
      "heap": "outputs and snapshot need 320 bytes",
    ]
    #expect(error.message.contains(text[what]!), "\(error.message)")
  }
}
