import PTO2Protocol
import PTO2System
import Testing

/// A heap as a row of lines, each free or owned by one live block: what the
/// ring says is checked against it, whatever the ring's arithmetic is.
private struct LineModel {
  var owner: [Int?]
  /// Live blocks in order of allocation.
  var live: [(number: Int, block: HeapRing.Block, lines: Range<Int>)] = []
  var number = 0

  init(capacity: UInt64) { owner = Array(repeating: nil, count: Int(capacity / 64)) }

  /// Enters a block; false when it straddles the end or covers a live one.
  mutating func take(_ block: HeapRing.Block, bytes: UInt64) -> Bool {
    let first = Int(block.offset / 64)
    let lines = first..<first + Int((bytes + 63) / 64)
    guard block.offset % 64 == 0, lines.upperBound <= owner.count else { return false }
    guard lines.allSatisfy({ owner[$0] == nil }) else { return false }
    for line in lines { owner[line] = number }
    live.append((number, block, lines))
    number += 1
    return true
  }

  /// Frees the oldest block; the position up to which the ring is free then.
  mutating func freeOldest() -> UInt64 {
    let oldest = live.removeFirst()
    for line in oldest.lines { owner[line] = nil }
    return oldest.block.end
  }

  /// Whether some place without a straddle is free, in ring order: behind the
  /// newest block up to the end, or from 0 up to the oldest, whose wrap gap
  /// comes free with it.
  func hasRoom(lines: Int) -> Bool {
    let sized = live.filter { !$0.lines.isEmpty }
    guard let oldest = sized.first, let newest = sized.last else { return lines <= owner.count }
    let head = newest.lines.upperBound
    let tail = Int(oldest.block.begin / 64) % owner.count
    if newest.lines.lowerBound >= tail {
      return head + lines <= owner.count || lines <= tail
    }
    return head + lines <= tail
  }
}

@Suite struct HeapRingTests {
  private func check(_ ring: HeapRing, _ model: LineModel) {
    #expect(ring.tail <= ring.head)
    #expect(ring.used <= ring.capacity)
  }

  /// Every sequence of allocations and frees of a depth, from every state.
  private func explore(_ ring: HeapRing, _ model: LineModel, depth: Int) {
    guard depth > 0 else { return }
    let lines = Int(ring.capacity / 64)
    for size in 0...lines + 1 {
      let bytes = UInt64(size) * 64
      let block = ring.place(bytes: bytes)
      if size == 0 || model.live.allSatisfy(\.lines.isEmpty) {
        #expect((block != nil) == (size <= lines), "an empty ring of \(lines) takes \(size)")
      } else if block != nil {
        #expect(model.hasRoom(lines: size))
      } else {
        #expect(!model.hasRoom(lines: size), "\(size) of \(lines) lines refused, \(model.owner)")
      }
      guard let block else { continue }
      var ring = ring
      var model = model
      ring.take(block)
      if !model.take(block, bytes: bytes) {
        Issue.record("block \(block) of \(bytes) bytes straddles or overlaps: \(model.owner)")
        return
      }
      check(ring, model)
      explore(ring, model, depth: depth - 1)
    }
    if !model.live.isEmpty {
      var ring = ring
      var model = model
      ring.free(upTo: model.freeOldest())
      check(ring, model)
      explore(ring, model, depth: depth - 1)
    }
  }

  @Test(arguments: [(1, 7), (2, 6), (3, 6), (4, 5)])
  func tinyRingIsRightInEverySequence(lines: Int, depth: Int) {
    let ring = HeapRing(capacity: UInt64(lines) * 64)
    explore(ring, LineModel(capacity: ring.capacity), depth: depth)
  }

  @Test(arguments: 0..<40)
  func randomSequenceAgreesWithTheModel(seed: Int) {
    var random = SplitMix64(seed: UInt64(seed))
    let capacity = UInt64.random(in: 1...20, using: &random) * 64
    var ring = HeapRing(capacity: capacity)
    var model = LineModel(capacity: capacity)
    var wraps = 0
    for _ in 0..<2000 {
      if Bool.random(using: &random), !model.live.isEmpty {
        ring.free(upTo: model.freeOldest())
      } else {
        let bytes = UInt64.random(in: 0...capacity, using: &random)
        if let block = ring.place(bytes: bytes) {
          #expect(block.begin >= ring.head || bytes == 0)
          if block.end / capacity > ring.head / capacity { wraps += 1 }
          ring.take(block)
          let isFree = model.take(block, bytes: bytes)
          #expect(isFree, "straddles or overlaps")
        } else {
          #expect(!model.hasRoom(lines: Int((bytes + 63) / 64)))
        }
      }
      check(ring, model)
    }
    #expect(wraps > 10, "the ring never wrapped: not exercised")
  }

  /// Blocks of a run lie where they would be placed one by one.
  @Test(arguments: 0..<6)
  func runOfBlocksIsWhatIsPlacedOneByOne(seed: Int) {
    var random = SplitMix64(seed: UInt64(seed))
    let capacity = UInt64.random(in: 4...40, using: &random) * 64
    var ring = HeapRing(capacity: capacity)
    var model = LineModel(capacity: capacity)
    var (runs, refused) = (0, 0)
    for _ in 0..<2000 {
      if Bool.random(using: &random), !model.live.isEmpty {
        ring.free(upTo: model.freeOldest())
        continue
      }
      let sizes = (0..<Int.random(in: 1...4, using: &random)).map { _ in
        UInt64.random(in: 0...capacity / 4, using: &random)
      }
      guard ring.hasRun(bytes: sizes.reduce(0) { $0 + HeapRing.rounded($1) }) else {
        refused += 1
        continue
      }
      runs += 1
      for bytes in sizes {
        let block = ring.placeInRun(bytes: bytes)
        #expect(block == ring.place(bytes: bytes))
        ring.take(block)
        let isFree = model.take(block, bytes: bytes)
        #expect(isFree, "straddles or overlaps")
      }
      check(ring, model)
    }
    #expect(runs > 100 && refused > 100, "\(runs) runs, \(refused) refused")
  }

  @Test func fullAndEmptyAreToldApart() throws {
    var ring = HeapRing(capacity: 256)
    for lap in 0..<5 {
      #expect(ring.used == 0)
      let block = try #require(ring.place(bytes: 256), "lap \(lap)")
      ring.take(block)
      #expect(ring.used == 256)
      #expect(ring.place(bytes: 1) == nil)
      #expect(ring.place(bytes: 0) != nil)
      ring.free(upTo: block.end)
    }
  }

  @Test func blockOfAnySizeUpToTheCapacityFitsAnEmptyRing() throws {
    for shift in UInt64(0)..<8 {
      for size in UInt64(1)...8 {
        var ring = HeapRing(capacity: 512)
        for _ in 0..<shift {
          let block = try #require(ring.place(bytes: 64))
          ring.take(block)
          ring.free(upTo: block.end)
        }
        #expect(ring.place(bytes: size * 64) != nil, "\(size) lines after \(shift)")
        #expect(ring.place(bytes: 513) == nil)
      }
    }
  }

  @Test func freeingNeverGoesBack() throws {
    var ring = HeapRing(capacity: 256)
    let first = try #require(ring.place(bytes: 64))
    ring.take(first)
    let second = try #require(ring.place(bytes: 64))
    ring.take(second)
    ring.free(upTo: second.end)
    ring.free(upTo: first.end)
    #expect(ring.tail == second.end && ring.used == 0)
  }

  @Test func sizesAreRoundedToWholeLines() {
    #expect(HeapRing.rounded(0) == 0)
    #expect(HeapRing.rounded(1) == 64)
    #expect(HeapRing.rounded(64) == 64)
    #expect(HeapRing.rounded(65) == 128)
  }
}
