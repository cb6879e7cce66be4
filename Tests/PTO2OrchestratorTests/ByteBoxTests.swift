import PTO2Protocol
import PTO2System
import Testing

@testable import PTO2Orchestrator

/// Views of one buffer at random, and their bytes one by one.
enum SomeViews {
  /// A view of a tensor, by any number of slices, steps and transposes; sometimes of a
  /// reshaped one.
  static func view(of base: AnyTensor, using random: inout SplitMix64) throws -> AnyTensor {
    var view = base
    if Int.random(in: 0..<4, using: &random) == 0 {
      let shapes: [Shape] = [[base.elementCount], [2, base.elementCount / 2]]
      view = try view.reshaped(to: shapes.randomElement(using: &random)!)
    }
    for _ in 0..<Int.random(in: 0...2, using: &random) {
      view = try slice(of: view, using: &random)
      if view.shape.rank > 1 && Bool.random(using: &random) {
        view = try view.transposed(
          Int.random(in: 0..<view.shape.rank, using: &random),
          Int.random(in: 0..<view.shape.rank, using: &random))
      }
    }
    return view
  }

  static func slice(of view: AnyTensor, using random: inout SplitMix64) throws -> AnyTensor {
    var (begins, extents, steps): ([Int], [Int], [Int]) = ([], [], [])
    for dimension in 0..<view.shape.rank {
      let extent = Int(view.shape[dimension])
      let begin = Int.random(in: 0..<extent, using: &random)
      let step = [1, 1, 1, 2, 3].randomElement(using: &random)!
      begins.append(begin)
      steps.append(step)
      extents.append(Int.random(in: 1...(extent - begin - 1) / step + 1, using: &random))
    }
    return try view.slice(from: begins, shape: Shape(extents), steps: steps)
  }

  static func bytes(of view: AnyTensor) -> Set<Int> {
    var offsets = [Int(view.offset)]
    let size = view.dataType.byteCount
    for dimension in 0..<view.shape.rank {
      offsets = offsets.flatMap { offset in
        (0..<Int(view.shape[dimension])).map { offset + $0 * Int(view.stride(dimension)) * size }
      }
    }
    return Set(offsets.flatMap { $0..<$0 + size })
  }

  static func tensor(_ shape: Shape, _ type: DataType = .int16) -> AnyTensor {
    AnyTensor(buffer: 0, generation: 0, shape: shape, dataType: type)
  }
}

@Suite struct ByteBoxTests {
  private func box(_ view: AnyTensor) -> ByteBox { StagedArgument(view, .input).box }

  /// For views of one tensor both answers are exact.
  @Test(arguments: 0..<40)
  func viewsOfOneTensorOverlapWhereTheirBytesDo(seed: Int) throws {
    var random = SplitMix64(seed: UInt64(seed))
    let shapes: [Shape] = [[40], [6, 8], [4, 5, 6], [2, 3, 4, 5], [2, 2, 3, 2, 4]]
    let base = SomeViews.tensor(shapes[seed % 5])
    var overlaps = 0
    for _ in 0..<400 {
      let a = try SomeViews.view(of: base, using: &random)
      let b = try SomeViews.view(of: base, using: &random)
      let (bytesA, bytesB) = (SomeViews.bytes(of: a), SomeViews.bytes(of: b))
      let expected = !bytesA.isDisjoint(with: bytesB)
      if expected { overlaps += 1 }
      #expect(box(a).meets(box(b)) == expected, "\(a) and \(b)")
      if box(a).contains(box(b)) { #expect(bytesA.isSuperset(of: bytesB), "\(a) and \(b)") }
      #expect(Int(box(a).span) == bytesA.max()! + 1 - bytesA.min()!)
      #expect(box(a).isRun == (Int(box(a).span) == bytesA.count))
    }
    #expect(overlaps > 40 && overlaps < 360, "not exercised: \(overlaps)")
  }

  /// What a slice of a slice lies in is known to contain it.
  @Test(arguments: 0..<20)
  func slicesLieInWhatTheyAreSlicesOf(seed: Int) throws {
    var random = SplitMix64(seed: UInt64(seed))
    let base = SomeViews.tensor([[6, 8], [4, 5, 6], [2, 3, 4, 5]][seed % 3])
    for _ in 0..<400 {
      let outer = try SomeViews.slice(of: base, using: &random)
      let inner = try SomeViews.slice(of: outer, using: &random)
      #expect(box(outer).contains(box(inner)), "\(outer) and \(inner)")
      #expect(box(base).contains(box(outer)))
    }
  }

  /// Whatever the strides are: never false where there is a byte in common. Small ones
  /// are also never true without one.
  @Test(arguments: 0..<40)
  func anyStridesAreDecidedRightly(seed: Int) {
    var random = SplitMix64(seed: UInt64(seed))
    func some() -> AnyTensor {
      let rank = Int.random(in: 1...4, using: &random)
      let extents = (0..<rank).map { _ in Int.random(in: 1...4, using: &random) }
      func stride() -> Int32 { Int32.random(in: 0...37, using: &random) }
      return AnyTensor(
        buffer: 0, generation: 0, offset: UInt64.random(in: 0...60, using: &random),
        shape: Shape(extents), strides: (stride(), stride(), stride(), stride(), stride()),
        dataType: [.int8, .int16, .int32].randomElement(using: &random)!)
    }
    for _ in 0..<400 {
      let (a, b) = (some(), some())
      let (bytesA, bytesB) = (SomeViews.bytes(of: a), SomeViews.bytes(of: b))
      #expect(box(a).meets(box(b)) == !bytesA.isDisjoint(with: bytesB), "\(a) and \(b)")
      if box(a).contains(box(b)) { #expect(bytesA.isSuperset(of: bytesB), "\(a) and \(b)") }
    }
  }

  /// Rows, columns and tiles of a matrix far too large to go through, and large steps
  /// without a common divisor.
  @Test func largeViewsAreDecidedExactly() throws {
    let matrix = SomeViews.tensor([20_000, 30_000])
    let columns = try matrix.slice(from: [0, 7], shape: [20_000, 5])
    let others = try matrix.slice(from: [0, 12], shape: [20_000, 5])
    let rows = try matrix.slice(from: [70, 0], shape: [5, 30_000])
    let tile = try matrix.slice(from: [66, 12], shape: [8, 1])
    #expect(!box(columns).meets(box(others)))
    #expect(box(columns).meets(box(rows)) && box(others).meets(box(tile)))
    #expect(!box(columns).meets(box(tile)) && box(others).contains(box(tile)))
    let even = try matrix.slice(from: [0, 0], shape: [10_000, 10_000], steps: [2, 3])
    let odd = try matrix.slice(from: [0, 1], shape: [6_000, 10_000], steps: [3, 3])
    let both = try matrix.slice(from: [0, 0], shape: [6_000, 7_000], steps: [3, 4])
    #expect(!box(even).meets(box(odd)) && box(even).meets(box(both)))
    // 1001 x = 1000 y + 500 first at x = y = 500.
    func line(_ offset: UInt64, _ count: Int, _ stride: Int32) -> AnyTensor {
      AnyTensor(
        buffer: 0, generation: 0, offset: offset, shape: Shape(count),
        strides: (stride, 0, 0, 0, 0), dataType: .int8)
    }
    #expect(!box(line(500, 10_000, 1000)).meets(box(line(0, 500, 1001))))
    #expect(box(line(500, 10_000, 1000)).meets(box(line(0, 501, 1001))))
  }
}
