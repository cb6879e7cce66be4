import PTO2Protocol
import PTO2System
import Testing

@testable import PTO2Orchestrator

private func tensor(_ shape: Shape, _ type: DataType = .float32) -> AnyTensor {
  AnyTensor(buffer: 1, generation: 2, shape: shape, dataType: type)
}

private func strides(_ tensor: AnyTensor) -> [Int32] {
  let s = tensor.strides
  return Array([s.0, s.1, s.2, s.3, s.4].prefix(tensor.shape.rank))
}

/// Byte offsets of all elements, in row-major order of the view.
private func offsets(_ tensor: AnyTensor) -> [Int] {
  var result = [Int(tensor.offset)]
  for dimension in 0..<tensor.shape.rank {
    let step = Int(strides(tensor)[dimension]) * tensor.dataType.byteCount
    result = result.flatMap { base in
      (0..<Int(tensor.shape[dimension])).map { base + $0 * step }
    }
  }
  return result
}

@Suite struct ShapeTests {
  @Test func extentsMakeTheElementCount() {
    #expect(Shape().elementCount == 1 && Shape().rank == 0)
    #expect(Shape(7).elementCount == 7)
    #expect(Shape(2, 3, 4, 5, 6).elementCount == 720)
    #expect(Shape(2, 3, 4, 5, 6).rank == 5)
    #expect(Shape(16, 128) == [16, 128])
    #expect("\(Shape(16, 128))" == "[16, 128]")
    #expect(Shape([1, 2].map { $0 * 2 }) == Shape(2, 4))
  }

  @Test func shapeOfUpTo32BitsOfElementsIsCounted() {
    #expect(Shape(65535, 65537).elementCount == 0xFFFF_FFFF)
    #expect(Shape(65536, 65536).elementCount == nil)
    #expect(Shape(0xFFFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF).elementCount == nil)
    #expect(Shape(0).isValid && Shape(0).elementCount == 0)
    #expect(Shape(0xFFFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF, 0).elementCount == 0)
  }

  @Test(arguments: [
    Shape(-1), Shape(3, -1), Shape(1 << 32), Shape(Int.max), Shape(Int.min),
    Shape([1, 1, 1, 1, 1, 1]), [2, 2, 2, 2, 2, 2, 2],
  ])
  func impossibleShapeIsNotValid(shape: Shape) {
    #expect(!shape.isValid)
    #expect(Shape(3).isValid)
  }

  @Test func dataTypesHaveTheirSizes() {
    #expect(DataType.allCases.map(\.byteCount) == [4, 2, 2, 1, 2, 4, 8, 1, 2, 4, 8, 1, 1, 1])
    #expect(DataType.allCases.map(\.rawValue) == Array(0...13))
  }
}

@Suite struct TensorTests {
  @Test func freshTensorIsRowMajorWithoutGaps() {
    #expect(strides(tensor([2, 3, 4])) == [12, 4, 1])
    #expect(tensor([2, 3, 4]).isContiguous)
    #expect(tensor([2, 3, 4]).spanBytes == 96)
    #expect(tensor([], .int64).spanBytes == 8)
    #expect(tensor([5], .int8).spanBytes == 5)
    #expect(offsets(tensor([2, 3, 4], .bfloat16)) == (0..<24).map { $0 * 2 })
  }

  @Test func sliceSeesTheElementsOfItsRectangle() throws {
    let base = tensor([4, 6, 5], .int16)
    let all = offsets(base)
    for (from, extent) in [
      ([0, 0, 0], [4, 6, 5]), ([1, 2, 3], [2, 3, 2]), ([3, 5, 4], [1, 1, 1]),
      ([0, 2, 0], [4, 2, 5]), ([2, 0, 0], [2, 6, 5]),
    ] {
      let view = try base.slice(from: from, shape: Shape(extent))
      var expected: [Int] = []
      for i in from[0]..<from[0] + extent[0] {
        for j in from[1]..<from[1] + extent[1] {
          for k in from[2]..<from[2] + extent[2] { expected.append(all[(i * 6 + j) * 5 + k]) }
        }
      }
      #expect(offsets(view) == expected)
      #expect(view.spanBytes == UInt64(expected.last! - expected[0] + 2))
      #expect(view.buffer == 1 && view.generation == 2)
      let isContiguous = zip(expected, expected.dropFirst()).allSatisfy { $1 - $0 == 2 }
      #expect(view.isContiguous == isContiguous, "\(from) \(extent)")
    }
  }

  @Test func sliceOfASliceCountsFromTheSlice() throws {
    let outer = try tensor([8, 8]).slice(from: [2, 4], shape: [4, 4])
    let inner = try outer.slice(from: [1, 1], shape: [2, 2])
    #expect(offsets(inner) == [29, 30, 37, 38].map { $0 * 4 })
  }

  @Test(arguments: [
    ([-1, 0], Shape(1, 1)), ([0, 0], Shape(5, 6)), ([0, 0], Shape(4, 7)), ([4, 0], Shape(1, 1)),
    ([3, 5], Shape(1, 2)), ([0], Shape(1, 1)), ([0, 0], Shape(1)), ([0, 0, 0], Shape(1, 1, 1)),
    ([5, 0], Shape(0, 1)), ([-1, 0], Shape(0, 1)), ([0, 7], Shape(0, 0)),
    ([Int.max, 0], Shape(1, 1)), ([Int.min, 0], Shape(1, 1)),
    ([Int.max - 3, Int.max], Shape(4, 6)),
  ])
  func sliceBeyondTheTensorIsRefused(offsets: [Int], shape: Shape) {
    let error = #expect(throws: PTO2Error.self) {
      try tensor([4, 6]).slice(from: offsets, shape: shape)
    }
    #expect(error?.code == .invalidArgs)
  }

  @Test func reshapeKeepsTheElementsInOrder() throws {
    let base = tensor([4, 6])
    for shape in [Shape(24), [2, 12], [2, 2, 3, 2], [1, 24, 1], [4, 6]] {
      let view = try base.reshaped(to: shape)
      #expect(view.shape == shape)
      #expect(offsets(view) == offsets(base))
    }
    let rows = try base.slice(from: [1, 0], shape: [2, 6])
    #expect(offsets(try rows.reshaped(to: [12])) == Array(6..<18).map { $0 * 4 })
    #expect(try tensor([1, 1]).reshaped(to: []).shape.rank == 0)
  }

  @Test(arguments: [Shape(23), [5, 5], [], [0, 24], [-4, -6]])
  func reshapeToAnotherCountIsRefused(shape: Shape) {
    let error = #expect(throws: PTO2Error.self) { try tensor([4, 6]).reshaped(to: shape) }
    #expect(error?.code == .invalidArgs)
  }

  @Test func reshapeOfAViewWithGapsIsRefused() throws {
    let columns = try tensor([4, 6]).slice(from: [0, 1], shape: [4, 2])
    #expect(!columns.isContiguous)
    #expect(throws: PTO2Error.self) { try columns.reshaped(to: [8]) }
    // One row of it has no gaps.
    #expect(try columns.slice(from: [2, 0], shape: [1, 2]).reshaped(to: [2]).offset == 52)
  }

  @Test func dimensionsOfOneElementNeverMakeAGap() throws {
    let column = try tensor([4, 6]).slice(from: [2, 3], shape: [1, 1])
    #expect(column.isContiguous)
    #expect(column.spanBytes == 4)
  }

  /// Bytes in the order of the elements.
  private func bytes(_ tensor: AnyTensor) -> [Int] {
    offsets(tensor).flatMap { $0..<$0 + tensor.dataType.byteCount }
  }

  /// No view of one rank has these bytes as elements of so many bytes, each at a multiple.
  private func hasNoCast(_ view: AnyTensor, _ size: Int) -> Bool {
    let inner = view.shape.rank - 1
    if view.shape[inner] > 1 && view.stride(inner) != 1 { return true }
    if Int(view.shape[inner]) * view.dataType.byteCount % size != 0 { return true }
    let all = bytes(view)
    return stride(from: 0, to: all.count, by: size).contains { begin in
      all[begin] % size != 0 || all[begin + size - 1] - all[begin] != size - 1
    }
  }

  /// A cast leaves every byte in its place, and what is refused cannot be.
  @Test(arguments: 1...8) func castKeepsEveryByteInItsPlace(seed: Int) throws {
    var random = SplitMix64(seed: UInt64(seed))
    var (casts, refusals) = (0, 0)
    for _ in 0..<2000 {
      let type = DataType.allCases.randomElement(using: &random)!
      let other = DataType.allCases.randomElement(using: &random)!
      let base = tensor(Shape([4, 6, 8].shuffled(using: &random)), type)
      let view = try SomeViews.view(of: base, using: &random)
      guard let cast = try? view.bitCast(to: other) else {
        refusals += 1
        #expect(hasNoCast(view, other.byteCount))
        continue
      }
      #expect(cast.dataType == other && bytes(cast) == bytes(view))
      #expect(offsets(cast).allSatisfy { $0 % other.byteCount == 0 })
      #expect(cast.shape.rank == view.shape.rank && cast.isPlausible)
      #expect(cast.spanBytes == view.spanBytes)
      if type.byteCount != other.byteCount { casts += 1 }
    }
    #expect(casts > 200 && refusals > 200, "\(casts) and \(refusals)")
  }

  @Test func castOfAScalarKeepsItsSize() throws {
    #expect(try tensor([]).bitCast(to: .uint32).shape == Shape())
    #expect(throws: PTO2Error.self) { try tensor([]).bitCast(to: .uint8) }
    #expect(try tensor([3, 0]).bitCast(to: .int64).shape == [3, 0])
    #expect(throws: PTO2Error.self) { try tensor([1 << 31], .int64).bitCast(to: .int8) }
    // Rows that would lie more than 2^31 elements apart.
    let rows = try tensor([2, 1 << 29], .int64).slice(from: [0, 0], shape: [2, 1])
    #expect(throws: PTO2Error.self) { try rows.bitCast(to: .int8) }
    #expect(try rows.bitCast(to: .int32).shape == [2, 2])
  }
}
