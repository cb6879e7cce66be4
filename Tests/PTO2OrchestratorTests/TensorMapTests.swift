import PTO2System
import Testing

@testable import PTO2Orchestrator

/// The TensorMap by its definition: who last wrote each byte, and who has read
/// it since, byte by byte.
private struct ByteModel {
  var writer: [Int]
  var readers: [Set<Int>]
  /// Where the map is expected to cut the buffer.
  var isCovered: [Bool]
  var isStart: [Bool]

  init(bytes: Int) {
    writer = Array(repeating: 0, count: bytes)
    readers = Array(repeating: [], count: bytes)
    isCovered = Array(repeating: false, count: bytes)
    isStart = Array(repeating: false, count: bytes + 1)
  }

  mutating func read(_ range: Range<Int>, task: Int) -> (writers: Set<Int>, readers: Set<Int>) {
    var found: Set<Int> = []
    for byte in range {
      if writer[byte] != 0 { found.insert(writer[byte]) }
      readers[byte].insert(task)
      // A gap becomes a range of its own.
      if !isCovered[byte] && (byte == range.lowerBound || isCovered[byte - 1]) {
        isStart[byte] = true
      }
    }
    cut(range)
    for byte in range { isCovered[byte] = true }
    return (found.subtracting([task]), [])
  }

  mutating func write(_ range: Range<Int>, task: Int) -> (writers: Set<Int>, readers: Set<Int>) {
    var writers: Set<Int> = []
    var others: Set<Int> = []
    for byte in range {
      if writer[byte] != 0 { writers.insert(writer[byte]) }
      others.formUnion(readers[byte])
      writer[byte] = task
      readers[byte] = []
    }
    cut(range)
    for byte in range {
      isCovered[byte] = true
      isStart[byte] = byte == range.lowerBound
    }
    return (writers.subtracting([task]), others.subtracting([task]))
  }

  private mutating func cut(_ range: Range<Int>) {
    if range.lowerBound < isCovered.count, isCovered[range.lowerBound] {
      isStart[range.lowerBound] = true
    }
    if range.upperBound < isCovered.count, isCovered[range.upperBound] {
      isStart[range.upperBound] = true
    }
  }

  var rangeCount: Int { isCovered.indices.filter { isCovered[$0] && isStart[$0] }.count }
}

@Suite struct TensorMapTests {
  private static func ref(_ task: Int) -> TaskOrdinal {
    TaskOrdinal(ring: task % 3, ordinal: 1 << 32 + UInt64(task))
  }
  private static func argument(_ range: Range<Int>, _ isWrite: Bool) -> StagedArgument {
    let bytes = AnyTensor(
      buffer: 0, generation: 0, offset: UInt64(range.lowerBound), shape: Shape(range.count),
      strides: (1, 0, 0, 0, 0), dataType: .uint8)
    return StagedArgument(bytes, isWrite ? .inout : .input)
  }
  private static func number(_ ref: TaskOrdinal) -> Int { Int(ref.ordinal - 1 << 32) }

  /// One access to the map, looked at and entered: its dependencies, by kind.
  private func access(
    _ map: inout TensorMap, _ root: inout BufferRecords, _ range: Range<Int>, task: Int,
    isWrite: Bool,
    isLive: (TaskOrdinal) -> Bool = { _ in true }
  ) -> (writers: Set<Int>, readers: Set<Int>) {
    let changes = map.changes
    let (found, place) = look(&map, root, range, isWrite: isWrite)
    #expect(map.changes == changes, "a look has changed something")
    let count = map.count
    enter(&map, &root, range, task: task, isWrite: isWrite, at: place.record, isLive: isLive)
    #expect(map.count <= count + place.growth)
    return (found.writers.subtracting([task]), found.readers.subtracting([task]))
  }

  private func look(
    _ map: inout TensorMap, _ root: BufferRecords, _ range: Range<Int>, isWrite: Bool
  ) -> (found: (writers: Set<Int>, readers: Set<Int>), place: TensorMap.Place) {
    var writers: Set<Int> = []
    var readers: Set<Int> = []
    let argument = Self.argument(range, isWrite)
    let place = map.look(root, argument.extent, argument) { ref, kind in
      if kind == .writer {
        writers.insert(Self.number(ref))
      } else {
        readers.insert(Self.number(ref))
      }
    }
    return ((writers, readers), place)
  }

  private func enter(
    _ map: inout TensorMap, _ root: inout BufferRecords, _ range: Range<Int>, task: Int,
    isWrite: Bool,
    at place: UInt32?, isLive: (TaskOrdinal) -> Bool = { _ in true }
  ) {
    map.beginEntering()
    let argument = Self.argument(range, isWrite)
    if isWrite {
      map.enterWrite(
        &root, argument.extent, argument, task: Self.ref(task), at: place, isLive: isLive)
    } else {
      map.enterRead(
        &root, argument.extent, argument, task: Self.ref(task), at: place, isLive: isLive)
    }
  }

  @Test(arguments: 0..<60)
  func dependenciesAreThoseOfTheByteModel(seed: Int) {
    var random = SplitMix64(seed: UInt64(seed))
    let bytes = [8, 16, 64, 200][seed % 4]
    var map = TensorMap()
    var root = BufferRecords()
    var model = ByteModel(bytes: bytes)
    // A task makes one to three accesses, so it meets itself as well.
    for task in 1...300 {
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        let begin = Int.random(in: 0..<bytes, using: &random)
        let length =
          Bool.random(using: &random)
          ? Int.random(in: 1...bytes - begin, using: &random) : min(4, bytes - begin)
        let range = begin..<begin + length
        let isWrite = Int.random(in: 0..<3, using: &random) == 0
        let expected =
          isWrite ? model.write(range, task: task) : model.read(range, task: task)
        let found = access(&map, &root, range, task: task, isWrite: isWrite)
        #expect(found == expected, "task \(task), \(isWrite ? "write" : "read") of \(range)")
        #expect(map.recordCount(root.ranges) == model.rangeCount, "after \(range)")
        if found != expected { return }
      }
    }
  }

  /// A sweep forgets exactly what is not live: what is found afterwards is what
  /// the byte model says, less that, and nothing is kept without a reason.
  @Test(arguments: 0..<40)
  func sweepForgetsWhatIsNotLiveAndNothingElse(seed: Int) {
    var random = SplitMix64(seed: UInt64(seed))
    let bytes = [8, 16, 64, 200][seed % 4]
    var map = TensorMap()
    var root = BufferRecords()
    var other = BufferRecords()
    _ = access(&map, &other, 0..<10, task: 1000, isWrite: true)
    var model = ByteModel(bytes: bytes)
    var oldest = 0
    for task in 1...300 {
      let begin = Int.random(in: 0..<bytes, using: &random)
      let range = begin..<Int.random(in: begin + 1...bytes, using: &random)
      let isWrite = Int.random(in: 0..<3, using: &random) == 0
      let expected = isWrite ? model.write(range, task: task) : model.read(range, task: task)
      let found = access(&map, &root, range, task: task, isWrite: isWrite)
      let live = (
        expected.writers.filter { $0 > oldest }, expected.readers.filter { $0 > oldest }
      )
      #expect((found.writers.filter { $0 > oldest }, found.readers.filter { $0 > oldest }) == live)
      #expect(map.count == map.recordCount(root.ranges) + 1)
      if Int.random(in: 0..<10, using: &random) == 0 {
        oldest = Int.random(in: max(oldest, task - 40)...task, using: &random)
        map.sweep(&root) { Self.number($0) > oldest }
        let liveBytes = (0..<bytes).filter { byte in
          model.writer[byte] > oldest || model.readers[byte].contains { $0 > oldest }
        }
        #expect(map.recordCount(root.ranges) <= liveBytes.count)
        #expect(map.recordCount(root.ranges) == 0 || oldest < task)
        #expect(map.count == map.recordCount(root.ranges) + 1)
        let (writers, readers) = look(&map, root, 0..<bytes, isWrite: true).found
        #expect(writers == Set(model.writer.filter { $0 > oldest }))
        #expect(readers == Set(model.readers.joined().filter { $0 > oldest }))
      }
    }
    map.removeAll(&root)
    map.removeAll(&other)
    #expect(map.count == 0)
  }

  /// All accesses of a task are looked at before the first is entered, and entered where
  /// they were found unless the map has changed: that makes no difference to what the
  /// byte model finds, also when a task meets itself.
  @Test(arguments: 0..<60)
  func tasksOfSeveralAccessesAreLookedAtFirst(seed: Int) {
    var random = SplitMix64(seed: UInt64(seed))
    let bytes = [8, 16, 64, 200][seed % 4]
    var map = TensorMap()
    var root = BufferRecords()
    var model = ByteModel(bytes: bytes)
    var atPlace = 0
    for task in 1...300 {
      let accesses = (0..<Int.random(in: 1...4, using: &random)).map { _ in
        let begin = Int.random(in: 0..<bytes / 4, using: &random) * 4
        let length = [4, 4, 4, min(8, bytes - begin), bytes - begin].randomElement(using: &random)!
        return (range: begin..<begin + length, isWrite: Bool.random(using: &random))
      }
      var found: (writers: Set<Int>, readers: Set<Int>) = ([], [])
      var expected = found
      let changes = map.changes
      let places = accesses.map { access in
        let (one, place) = look(&map, root, access.range, isWrite: access.isWrite)
        found.writers.formUnion(one.writers)
        found.readers.formUnion(one.readers)
        return place
      }
      let count = map.count
      for (access, place) in zip(accesses, places) {
        let one =
          access.isWrite
          ? model.write(access.range, task: task) : model.read(access.range, task: task)
        expected.writers.formUnion(one.writers)
        expected.readers.formUnion(one.readers)
        let isValid = map.changes == changes
        if isValid && place.record != TensorMap.null { atPlace += 1 }
        enter(
          &map, &root, access.range, task: task, isWrite: access.isWrite,
          at: isValid ? place.record : nil)
        #expect(map.recordCount(root.ranges) == model.rangeCount, "after \(access.range)")
      }
      #expect(found == expected, "task \(task)")
      #expect(map.count <= count + places.reduce(0) { $0 + $1.growth })
    }
    #expect(atPlace > 0 || bytes > 64, "not exercised")
  }

  @Test func readersAndWriterOfOneWholeBufferAreFound() {
    var map = TensorMap()
    var root = BufferRecords()
    #expect(access(&map, &root, 0..<64, task: 1, isWrite: true) == ([], []))
    for reader in 2...4 {
      #expect(access(&map, &root, 0..<64, task: reader, isWrite: false) == ([1], []))
    }
    #expect(access(&map, &root, 0..<64, task: 5, isWrite: true) == ([1], [2, 3, 4]))
    #expect(access(&map, &root, 0..<64, task: 6, isWrite: true) == ([5], []))
  }

  @Test func disjointHalvesDoNotDependOnEachOther() {
    var map = TensorMap()
    var root = BufferRecords()
    #expect(access(&map, &root, 0..<32, task: 1, isWrite: true) == ([], []))
    #expect(access(&map, &root, 32..<64, task: 2, isWrite: true) == ([], []))
    #expect(access(&map, &root, 31..<33, task: 3, isWrite: false) == ([1, 2], []))
    #expect(access(&map, &root, 0..<31, task: 4, isWrite: true) == ([1], []))
    #expect(access(&map, &root, 0..<64, task: 5, isWrite: true) == ([1, 2, 4], [3]))
    #expect(map.recordCount(root.ranges) == 1)
  }

  @Test func readOfUnwrittenMemoryIsRememberedForTheWriter() {
    var map = TensorMap()
    var root = BufferRecords()
    #expect(access(&map, &root, 10..<20, task: 1, isWrite: false) == ([], []))
    #expect(access(&map, &root, 0..<11, task: 2, isWrite: true) == ([], [1]))
  }

  @Test func releasedReadersArePrunedAndLiveOnesKept() {
    var map = TensorMap()
    var root = BufferRecords()
    _ = access(&map, &root, 0..<64, task: 1, isWrite: true)
    for task in 2...1000 {
      _ = access(&map, &root, 0..<64, task: task, isWrite: false) {
        Self.number($0) == 7 || Self.number($0) > task - 5
      }
    }
    let (writers, readers) = access(&map, &root, 0..<64, task: 2000, isWrite: true)
    #expect(writers == [1])
    #expect(readers.contains(7) && readers.isSuperset(of: 997...1000))
    #expect(readers.count <= 32, "\(readers.count) of 999 readers kept")
  }

  @Test func forgottenBufferIsEmptyAndItsPlacesAreReused() {
    var map = TensorMap()
    for round in 0..<50 {
      var root = BufferRecords()
      for piece in 0..<100 {
        let range = piece * 2..<piece * 2 + 1
        #expect(
          access(&map, &root, range, task: round * 100 + piece + 1, isWrite: true) == ([], []))
      }
      #expect(map.recordCount(root.ranges) == 100)
      map.removeAll(&root)
      #expect(root.ranges == TensorMap.null)
      #expect(map.recordCount(root.ranges) == 0)
    }
  }

  @Test func twoBuffersOfOneMapAreApart() {
    var map = TensorMap()
    var a = BufferRecords()
    var b = BufferRecords()
    _ = access(&map, &a, 0..<10, task: 1, isWrite: true)
    #expect(access(&map, &b, 0..<10, task: 2, isWrite: true) == ([], []))
    #expect(access(&map, &a, 0..<10, task: 3, isWrite: false) == ([1], []))
  }
}

@Suite struct TaskOrdinalTests {
  @Test func ringOrdinalAndIdAreKeptApart() {
    for ring in 0..<8 {
      let ordinals: [UInt64] = [1 << 32, 0x1_FFFF_FFFF, 1 << 33, 1 << 55]
      for ordinal in ordinals {
        let ref = TaskOrdinal(ring: ring, ordinal: ordinal)
        #expect(ref.ring == ring && ref.ordinal == ordinal && ref != .none)
        #expect(ref.id.ring == ring && ref.id.local == UInt32(truncatingIfNeeded: ordinal))
      }
    }
  }
}
