import PTO2Protocol
import PTO2System
import Testing

@testable import PTO2Orchestrator

/// The dependencies of views by their definition, byte by byte.
private struct ByteReference {
  struct Access {
    var task: Int
    var isWrite: Bool
    var bytes: Set<Int>
    var box: ByteBox
  }
  var accesses: [Access] = []
  var writer: [Int: Int] = [:]
  var readers: [Int: Set<Int>] = [:]

  /// Tasks that an access must wait for, by kind; that it may wait for; and writers of
  /// which nothing is left in what somebody has written since in one piece, in the
  /// access or around it.
  struct Answer {
    var writers: Set<Int> = []
    var others: Set<Int> = []
    var allowed: Set<Int> = []
    var hidden: Set<Int> = []
  }

  func answer(_ view: AnyTensor, isWrite: Bool) -> Answer {
    var answer = Answer()
    let bytes = SomeViews.bytes(of: view)
    let box = StagedArgument(view, .input).box
    for byte in bytes {
      if let task = writer[byte] { answer.writers.insert(task) }
      if isWrite, let tasks = readers[byte] { answer.others.formUnion(tasks) }
    }
    var visible: Set<Int> = []
    for (index, access) in accesses.enumerated() where !access.bytes.isDisjoint(with: bytes) {
      answer.allowed.insert(access.task)
      guard access.isWrite else { continue }
      let isHidden = accesses[(index + 1)...].contains {
        $0.isWrite && $0.task != access.task
          && ($0.box.contains(access.box) || $0.box.contains(box))
      }
      if isHidden { answer.hidden.insert(access.task) } else { visible.insert(access.task) }
    }
    answer.hidden.subtract(visible)
    return answer
  }

  mutating func enter(_ view: AnyTensor, task: Int, isWrite: Bool) {
    let bytes = SomeViews.bytes(of: view)
    let box = StagedArgument(view, .input).box
    accesses.append(Access(task: task, isWrite: isWrite, bytes: bytes, box: box))
    for byte in bytes {
      if isWrite {
        writer[byte] = task
        readers[byte] = []
      } else {
        readers[byte, default: []].insert(task)
      }
    }
  }
}

/// A map with one buffer, as a submission uses it.
private struct Tracker: ~Copyable {
  var map = TensorMap()
  var buffer = BufferRecords()
  var oldestLive = 0

  static func ordinal(_ task: Int) -> TaskOrdinal {
    TaskOrdinal(ring: task % 3, ordinal: 1 << 32 + UInt64(task))
  }
  static func number(_ task: TaskOrdinal) -> Int { Int(task.ordinal - 1 << 32) }

  typealias Found = (writers: Set<Int>, readers: Set<Int>)

  mutating func look(_ view: AnyTensor, isWrite: Bool) -> (found: Found, place: TensorMap.Place) {
    var found: Found = ([], [])
    let argument = StagedArgument(view, isWrite ? .inout : .input)
    let place = map.look(buffer, argument.extent, argument) { task, kind in
      if kind == .writer {
        found.writers.insert(Self.number(task))
      } else {
        found.readers.insert(Self.number(task))
      }
    }
    return (found, place)
  }

  mutating func enter(_ view: AnyTensor, task: Int, isWrite: Bool, at place: UInt32?) {
    let argument = StagedArgument(view, isWrite ? .inout : .input)
    let oldest = oldestLive
    let isLive = { (task: TaskOrdinal) in Self.number(task) >= oldest }
    let ordinal = Self.ordinal(task)
    if isWrite {
      map.enterWrite(&buffer, argument.extent, argument, task: ordinal, at: place, isLive: isLive)
    } else {
      map.enterRead(&buffer, argument.extent, argument, task: ordinal, at: place, isLive: isLive)
    }
  }

  /// A task of one access.
  @discardableResult
  mutating func run(_ view: AnyTensor, task: Int, isWrite: Bool) -> Set<Int> {
    let (found, place) = look(view, isWrite: isWrite)
    map.beginEntering()
    enter(view, task: task, isWrite: isWrite, at: place.record)
    return found.writers.union(found.readers)
  }
}

@Suite struct ViewTests {
  /// Tasks of several accesses, each any view, against the byte reference: nothing
  /// needed is missing, nothing disjoint is there, and no writer that is hidden.
  @Test(arguments: 0..<60)
  func dependenciesAreThoseOfTheBytes(seed: Int) throws {
    var random = SplitMix64(seed: UInt64(seed))
    let shapes: [Shape] = [[6, 8], [4, 5, 6], [2, 3, 4, 5], [40], [3, 2, 2, 3, 2]]
    let base = SomeViews.tensor(shapes[seed % 5])
    // A few views that come again, and ever new ones.
    let known = try (0..<12).map { _ in try SomeViews.view(of: base, using: &random) }
    var tracker = Tracker()
    var reference = ByteReference()
    for task in 1...150 {
      let accesses = try (0..<Int.random(in: 1...3, using: &random)).map { _ in
        let isKnown = Int.random(in: 0..<4, using: &random) != 0
        let view =
          try isKnown
          ? known.randomElement(using: &random)! : SomeViews.view(of: base, using: &random)
        return (view: view, isWrite: Int.random(in: 0..<3, using: &random) == 0)
      }
      let changes = tracker.map.changes
      let places = accesses.map { access in
        let (found, place) = tracker.look(access.view, isWrite: access.isWrite)
        let answer = reference.answer(access.view, isWrite: access.isWrite)
        let text = "task \(task), \(access)"
        #expect(found.writers.isSuperset(of: answer.writers), "\(text)")
        #expect(found.readers.isSuperset(of: answer.others), "\(text)")
        #expect(found.writers.isSubset(of: answer.allowed), "\(text)")
        #expect(found.readers.isSubset(of: answer.allowed), "\(text)")
        #expect(found.writers.isDisjoint(with: answer.hidden), "\(text)")
        return place
      }
      #expect(tracker.map.changes == changes, "a look has changed something")
      let count = tracker.map.count
      tracker.map.beginEntering()
      for (access, place) in zip(accesses, places) {
        let isValid = tracker.map.changes == changes
        tracker.enter(
          access.view, task: task, isWrite: access.isWrite, at: isValid ? place.record : nil)
        reference.enter(access.view, task: task, isWrite: access.isWrite)
      }
      #expect(tracker.map.count <= count + places.reduce(0) { $0 + $1.growth })
    }
    tracker.map.removeAll(&tracker.buffer)
    #expect(tracker.map.count == 0)
  }

  /// What is dropped is RELEASED: what is live is found as if nothing had been dropped.
  @Test(arguments: 0..<20)
  func sweepsKeepWhatIsLive(seed: Int) throws {
    var random = SplitMix64(seed: UInt64(seed))
    let base = SomeViews.tensor([[6, 8], [4, 5, 6], [2, 3, 4, 5]][seed % 3])
    let known = try (0..<12).map { _ in try SomeViews.view(of: base, using: &random) }
    var tracker = Tracker()
    var reference = ByteReference()
    for task in 1...200 {
      let view = known.randomElement(using: &random)!
      let isWrite = Int.random(in: 0..<3, using: &random) == 0
      let answer = reference.answer(view, isWrite: isWrite)
      let found = tracker.run(view, task: task, isWrite: isWrite)
      let oldest = tracker.oldestLive
      let needed = answer.writers.union(answer.others).filter { $0 >= oldest }
      #expect(found.isSuperset(of: needed) && found.isSubset(of: answer.allowed))
      reference.enter(view, task: task, isWrite: isWrite)
      if Int.random(in: 0..<8, using: &random) == 0 {
        let oldest = Int.random(in: max(oldest, task - 20)...task + 1, using: &random)
        tracker.oldestLive = oldest
        tracker.map.sweep(&tracker.buffer) { Tracker.number($0) >= oldest }
        #expect(tracker.map.recordCount(tracker.buffer.views) <= 12)
        if oldest > task { #expect(tracker.map.count == 0) }
      }
    }
  }

  /// Tiles, columns and strided views with any number of runs have nothing to do with
  /// their neighbours, and everything with what they overlap.
  @Test func disjointTilesAreIndependentHoweverManyRunsTheyHave() throws {
    let matrix = SomeViews.tensor([1000, 1000])
    var tracker = Tracker()
    for column in 0..<100 {
      let view = try matrix.slice(from: [0, 10 * column], shape: [1000, 10])
      #expect(tracker.run(view, task: column + 1, isWrite: true) == [])
    }
    let even = try matrix.slice(from: [0, 0], shape: [500, 15], steps: [2, 1])
    let odd = try matrix.slice(from: [1, 0], shape: [500, 15], steps: [2, 1])
    #expect(tracker.run(even, task: 200, isWrite: false) == [1, 2])
    #expect(tracker.run(odd, task: 201, isWrite: true) == [1, 2])
    let turned = try matrix.slice(from: [400, 20], shape: [600, 20]).transposed(0, 1)
    #expect(tracker.run(turned, task: 202, isWrite: true) == [3, 4])
    let row = try matrix.slice(from: [3, 0], shape: [1, 30])
    #expect(tracker.run(row, task: 203, isWrite: true) == [1, 2, 3, 201])
    #expect(tracker.run(even, task: 204, isWrite: true) == [1, 2, 200])
    #expect(tracker.run(matrix, task: 300, isWrite: true) == Set(1...100).union(201...204))
    #expect(tracker.run(row, task: 301, isWrite: false) == [300])
    #expect(tracker.run(turned, task: 302, isWrite: true) == [300])
  }

  /// The same tiles again are found without a comparison, and the map does not grow.
  @Test func sameTilesAgainAreFoundAtOnce() throws {
    let matrix = SomeViews.tensor([256, 256])
    var tracker = Tracker()
    let tiles = try (0..<1024).map {
      try matrix.slice(from: [$0 / 32 * 8, $0 % 32 * 8], shape: [8, 8])
    }
    for (index, tile) in tiles.enumerated() {
      #expect(tracker.run(tile, task: index + 1, isWrite: true) == [])
    }
    let comparisons = tracker.map.comparisons
    for (index, tile) in tiles.enumerated() {
      #expect(tracker.run(tile, task: index + 2000, isWrite: true) == [index + 1])
    }
    #expect(tracker.map.comparisons == comparisons && tracker.map.count == 1024)
    // Nothing of a matrix that is written is left of the tiles.
    #expect(tracker.run(matrix, task: 5000, isWrite: true) == Set(2000..<3024))
    #expect(tracker.run(tiles[7], task: 5001, isWrite: false) == [5000])
    #expect(tracker.run(matrix, task: 5002, isWrite: true) == [5000, 5001])
    #expect(tracker.map.comparisons == comparisons + 2 * 1024 + 2)
  }

  /// Ever new views cost what those in use cost: memory, and comparisons a view.
  @Test func everNewViewsStayBounded() throws {
    let matrix = SomeViews.tensor([4, 200_000])
    var tracker = Tracker()
    var most = 0
    for task in 1...50_000 {
      tracker.oldestLive = max(0, task - 50)
      let column = try matrix.slice(from: [0, 3 * task], shape: [4, 3])
      #expect(tracker.run(column, task: task, isWrite: true) == [])
      most = max(most, tracker.map.count)
    }
    #expect(most < 2000, "\(most) records")
    #expect(tracker.map.views.count < 2000 && tracker.map.overlaps.count < 2000)
    #expect(tracker.map.comparisons < 50_000 * 2000)
  }

  /// More overlaps than a list takes.
  @Test func crowdedViewsAreFound() throws {
    let matrix = SomeViews.tensor([20, 400])
    var tracker = Tracker()
    for width in 1...300 {
      let block = try matrix.slice(from: [0, 0], shape: [20, width])
      let expected: Set<Int> = width == 1 ? [] : Set(1..<width)
      #expect(tracker.run(block, task: width, isWrite: false) == [])
      let (found, _) = tracker.look(block, isWrite: true)
      #expect(found.readers == expected.union([width]) && found.writers == [])
    }
    #expect(tracker.map.overlaps.count < 300 * 129)
    let first = try matrix.slice(from: [0, 0], shape: [20, 1])
    #expect(tracker.run(first, task: 400, isWrite: true) == Set(1...300))
    let all = try matrix.slice(from: [0, 0], shape: [20, 301])
    #expect(tracker.run(all, task: 401, isWrite: true) == Set(2...300).union([400]))
    #expect(tracker.run(first, task: 402, isWrite: false) == [401])
  }

  /// What is transposed or repeated and has no gaps is a range like any other.
  @Test func viewsWithoutGapsAreRanges() throws {
    let matrix = SomeViews.tensor([8, 8])
    let element = try matrix.slice(from: [2, 2], shape: [1, 1])
    let views = [
      matrix, try matrix.transposed(0, 1), try element.broadcast(to: [4, 5]),
      try matrix.slice(from: [3, 0], shape: [2, 8]).transposed(0, 1),
    ]
    for view in views { #expect(!StagedArgument(view, .input).hasGaps, "\(view)") }
    let gaps = try matrix.slice(from: [3, 0], shape: [2, 7])
    #expect(StagedArgument(gaps, .input).hasGaps)
    #expect(StagedArgument(try gaps.broadcast(to: [3, 2, 7]), .input).hasGaps)
  }
}
