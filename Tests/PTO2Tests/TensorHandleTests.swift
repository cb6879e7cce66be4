import CPTO2Segment
import PTO2Orchestrator
import PTO2System
import Testing

@testable import PTO2

private func decode(_ handle: pto2_tensor_handle) throws -> AnyTensor {
  try withUnsafePointer(to: handle) { try TensorHandle.decode($0) }
}

private func expectSame(_ a: AnyTensor, _ b: AnyTensor) {
  #expect(a.buffer == b.buffer && a.generation == b.generation && a.offset == b.offset)
  #expect(a.shape == b.shape && a.dataType == b.dataType && a.strides == b.strides)
}

@Suite struct TensorHandleTests {
  @Test func tensorsOfEveryRankAndTypeRoundTrip() throws {
    let shapes: [Shape] = [[], [7], [2, 3], [2, 3, 4], [2, 3, 4, 5], [2, 3, 4, 5, 6]]
    for type in DataType.allCases {
      for shape in shapes {
        let tensor = AnyTensor(
          buffer: 0xFFFF_FFFE, generation: 0x8000_0001, shape: shape, dataType: type)
        expectSame(try decode(TensorHandle.encode(tensor)), tensor)
      }
    }
  }

  @Test func viewsRoundTrip() throws {
    let base = AnyTensor(buffer: 3, generation: 4, shape: [4, 5, 6, 7, 8], dataType: .int8)
    let view = try base.slice(from: [1, 2, 3, 4, 5], shape: [2, 3, 2, 1, 3])
    expectSame(try decode(TensorHandle.encode(view)), view)
  }

  @Test func handleOfARefusedViewSaysSo() {
    let error = #expect(throws: PTO2Error.self) { try decode(TensorHandle.refused) }
    #expect(error?.message.contains("a view that could not be made") == true)
  }

  @Test func handleThatNobodyFilledIsRefused() {
    #expect(throws: PTO2Error.self) { try TensorHandle.decode(nil) }
    #expect(throws: PTO2Error.self) { try decode(pto2_tensor_handle()) }
    var random = SplitMix64(seed: 5)
    for _ in 0..<1000 {
      var handle = pto2_tensor_handle()
      withUnsafeMutableBytes(of: &handle) { bytes in
        for index in bytes.indices { bytes[index] = .random(in: 0...255, using: &random) }
      }
      let error = #expect(throws: PTO2Error.self) { try decode(handle) }
      #expect(error?.code == .invalidArgs)
    }
  }

  /// Whatever gets past the check must be safe to use.
  @Test func damagedHandleIsRefusedOrHarmless() throws {
    let good = TensorHandle.encode(
      AnyTensor(buffer: 1, generation: 1, shape: [2, 3, 4, 5, 6], dataType: .float32))
    var random = SplitMix64(seed: 6)
    var refused = 0
    for _ in 0..<5000 {
      var handle = good
      withUnsafeMutableBytes(of: &handle) { bytes in
        for _ in 0..<Int.random(in: 1...4, using: &random) {
          bytes[Int.random(in: 8..<72, using: &random)] = .random(in: 0...255, using: &random)
        }
      }
      guard let tensor = try? decode(handle) else {
        refused += 1
        continue
      }
      #expect(tensor.offset &+ tensor.spanBytes >= tensor.offset)
      _ = tensor.elementCount
      _ = try? tensor.slice(from: [0, 0, 0, 0, 0], shape: [1, 1, 1, 1, 1])
    }
    #expect(refused > 0)
  }
}
