internal import PTO2Protocol

/// Who last wrote, and who has read since, each byte range of each buffer.
///
/// A buffer's ranges are disjoint and kept in a treap (Aragon and Seidel 1989)
/// ordered by their first byte, so an access costs O(log n + ranges touched),
/// whatever else the buffer is cut into. Ranges are split where an access
/// begins or ends; a write replaces what it covers by one range.
///
/// A task's accesses are first looked at, which changes nothing, and entered once
/// nothing can fail any more. `look` returns the range that is just the access: as
/// long as `changes` stays the same, `enterRead` and `enterWrite` find it there.
///
/// A strided view is entered as its contiguous runs, up to `maximumRuns`;
/// beyond that as one range from its first to its last byte. That can only add
/// dependencies, never lose one: whoever overwrites a range has waited for
/// everybody in it.
struct TensorMap: ~Copyable {
  static let maximumRuns = 256
  /// No range, or no reader.
  static let null = UInt32.max

  struct Range: BitwiseCopyable {
    var begin: UInt64
    var end: UInt64
    var writer = TaskOrdinal.none
    /// List of the tasks that have read the range since, newest first.
    var readers = TensorMap.null
    var readerCount: UInt32 = 0
    /// Readers at which those already RELEASED are dropped from the list.
    var pruneAt = TensorMap.fewReaders
    var left = TensorMap.null
    var right = TensorMap.null
    var priority: UInt32
  }

  struct Reader: BitwiseCopyable {
    var task: TaskOrdinal
    var next: UInt32
  }

  private static let fewReaders: UInt32 = 16

  /// Ranges that the map may hold between two submissions.
  let limit: Int
  private var ranges = PlainArray<Range>(capacity: 1024)
  private var readers = PlainArray<Reader>(capacity: 1024)
  private var firstFreeRange = TensorMap.null
  private var firstFreeReader = TensorMap.null
  private var random: UInt32 = 0x9E37_79B9
  /// Ranges of all buffers together.
  private(set) var count = 0
  /// Counts the ranges that were cut or given back: what `look` returned before is
  /// nothing to go by.
  private(set) var changes: UInt32 = 0

  init(limit: Int = .max) { self.limit = limit }

  // MARK: Accesses

  /// What a task that writes or reads depends on.
  enum Dependency { case writer, reader }

  struct Place: BitwiseCopyable {
    /// The range that is just the access; null when there is none.
    var range: UInt32
    /// Ranges by which the map grows at most when the task's accesses are entered:
    /// the two ends of this one, and a range for each gap that a reader leaves none.
    var growth: Int
  }

  /// What a task that makes this access depends on: every last writer in the range,
  /// and for a write every reader since. Changes nothing.
  @inline(__always)
  func look(
    _ root: UInt32, _ begin: UInt64, _ end: UInt64, isWrite: Bool,
    found: (TaskOrdinal, Dependency) -> Void
  ) -> Place {
    let only = exact(root, begin, end)
    if only != Self.null {
      report(only, withReaders: isWrite, found)
      return Place(range: only, growth: 0)
    }
    if root == Self.null { return Place(range: only, growth: 2) }
    var position = begin
    var gaps = 0
    visit(root, begin, end) { index in
      if ranges[index].begin > position { gaps += 1 }
      position = ranges[index].end
      report(index, withReaders: isWrite, found)
    }
    return Place(range: only, growth: isWrite ? 2 : 3 + gaps)
  }

  /// `task` has read the range.
  /// - Parameter place: what `look` returned; nil if the map has changed since.
  @inline(__always)
  mutating func enterRead(
    _ root: inout UInt32, _ begin: UInt64, _ end: UInt64, task: TaskOrdinal, at place: UInt32?,
    isLive: (TaskOrdinal) -> Bool
  ) {
    let only = place ?? exact(root, begin, end)
    if only != Self.null { return addReader(only, task, isLive) }
    let (before, inside, after) = cut(root, begin, end)
    var middle = inside
    var position = begin
    var filled = Self.null
    // In order; gaps get a range of their own, so that a later writer finds
    // this reader there too.
    while middle != Self.null {
      let (first, rest) = split(middle, ranges[leftmost(middle)].begin + 1)
      middle = rest
      let range = ranges[first]
      if range.begin > position {
        let gap = makeRange(position, range.begin)
        addReader(gap, task, isLive)
        filled = merge(filled, gap)
      }
      addReader(first, task, isLive)
      filled = merge(filled, first)
      position = range.end
    }
    if position < end {
      let gap = makeRange(position, end)
      addReader(gap, task, isLive)
      filled = merge(filled, gap)
    }
    root = merge(merge(before, filled), after)
  }

  /// `task` is the range's last writer from now on, and nobody has read it since.
  /// - Parameter place: what `look` returned; nil if the map has changed since.
  @inline(__always)
  mutating func enterWrite(
    _ root: inout UInt32, _ begin: UInt64, _ end: UInt64, task: TaskOrdinal, at place: UInt32?
  ) {
    let only = place ?? exact(root, begin, end)
    if only != Self.null {
      dropReaders(only)
      ranges[only].writer = task
      return
    }
    let (before, middle, after) = cut(root, begin, end)
    if middle != Self.null { freeTree(middle) }
    let range = makeRange(begin, end)
    ranges[range].writer = task
    root = merge(merge(before, range), after)
  }

  /// Forgets a buffer.
  mutating func removeAll(_ root: inout UInt32) {
    if root != Self.null { freeTree(root) }
    root = Self.null
  }

  /// Forgets the tasks of a buffer that nobody needs to wait for any more, and
  /// the ranges that have no others.
  mutating func sweep(_ root: inout UInt32, isLive: (TaskOrdinal) -> Bool) {
    if root != Self.null { root = swept(root, isLive) }
  }

  private mutating func swept(_ node: UInt32, _ isLive: (TaskOrdinal) -> Bool) -> UInt32 {
    let range = ranges[node]
    let left = range.left == Self.null ? Self.null : swept(range.left, isLive)
    let right = range.right == Self.null ? Self.null : swept(range.right, isLive)
    pruneReaders(node, isLive)
    let isWriterLive = range.writer != .none && isLive(range.writer)
    if !isWriterLive && ranges[node].readers == Self.null {
      freeRange(node)
      return merge(left, right)
    }
    if !isWriterLive { ranges[node].writer = .none }
    ranges[node].left = left
    ranges[node].right = right
    return node
  }

  /// Ranges in a buffer; for tests.
  func rangeCount(_ root: UInt32) -> Int {
    root == Self.null ? 0 : 1 + rangeCount(ranges[root].left) + rangeCount(ranges[root].right)
  }

  // MARK: Ranges

  /// The most frequent case: a range that is just the access, found without
  /// cutting anything; null when there is none.
  @inline(__always)
  private func exact(_ root: UInt32, _ begin: UInt64, _ end: UInt64) -> UInt32 {
    var node = root
    while node != Self.null {
      if ranges[node].begin == begin { return ranges[node].end == end ? node : Self.null }
      node = begin < ranges[node].begin ? ranges[node].left : ranges[node].right
    }
    return Self.null
  }

  /// Every range with a byte in the access, in order.
  private func visit(
    _ root: UInt32, _ begin: UInt64, _ end: UInt64, _ body: (UInt32) -> Void
  ) {
    guard root != Self.null else { return }
    let range = ranges[root]
    if range.begin > begin { visit(range.left, begin, end, body) }
    if range.begin < end && range.end > begin { body(root) }
    if range.end < end { visit(range.right, begin, end, body) }
  }

  @inline(__always)
  private func report(
    _ index: UInt32, withReaders: Bool, _ found: (TaskOrdinal, Dependency) -> Void
  ) {
    let writer = ranges[index].writer
    if writer != .none { found(writer, .writer) }
    guard withReaders else { return }
    var reader = ranges[index].readers
    while reader != Self.null {
      found(readers[reader].task, .reader)
      reader = readers[reader].next
    }
  }

  private mutating func makeRange(_ begin: UInt64, _ end: UInt64) -> UInt32 {
    random ^= random << 13
    random ^= random >> 17
    random ^= random << 5
    let range = Range(begin: begin, end: end, priority: random)
    count += 1
    guard firstFreeRange != Self.null else { return UInt32(ranges.append(range)) }
    let index = firstFreeRange
    firstFreeRange = ranges[index].left
    ranges[index] = range
    return index
  }

  private mutating func freeTree(_ root: UInt32) {
    let left = ranges[root].left
    let right = ranges[root].right
    if left != Self.null { freeTree(left) }
    if right != Self.null { freeTree(right) }
    dropReaders(root)
    freeRange(root)
  }

  private mutating func freeRange(_ index: UInt32) {
    ranges[index].left = firstFreeRange
    firstFreeRange = index
    count -= 1
    changes &+= 1
  }

  /// The tree cut into what lies before, in and after the access; ranges that
  /// straddle an end are split in two.
  private mutating func cut(_ root: UInt32, _ begin: UInt64, _ end: UInt64) -> (
    UInt32, UInt32, UInt32
  ) {
    let root = splitRange(splitRange(root, at: begin), at: end)
    let (before, rest) = split(root, begin)
    let (middle, after) = split(rest, end)
    return (before, middle, after)
  }

  /// The tree, in which no range contains `at` in its inside.
  private mutating func splitRange(_ root: UInt32, at: UInt64) -> UInt32 {
    var node = root
    while node != Self.null {
      let range = ranges[node]
      if at <= range.begin {
        node = range.left
      } else if at >= range.end {
        node = range.right
      } else {
        let half = makeRange(at, range.end)
        ranges[half].writer = range.writer
        ranges[node].end = at
        changes &+= 1
        var reader = range.readers
        while reader != Self.null {
          pushReader(half, readers[reader].task)
          reader = readers[reader].next
        }
        let (before, after) = split(root, at)
        return merge(merge(before, half), after)
      }
    }
    return root
  }

  // MARK: Treap

  private func leftmost(_ root: UInt32) -> UInt32 {
    var node = root
    while ranges[node].left != Self.null { node = ranges[node].left }
    return node
  }

  /// Ranges that begin before `key`, and the others.
  private mutating func split(_ root: UInt32, _ key: UInt64) -> (UInt32, UInt32) {
    guard root != Self.null else { return (Self.null, Self.null) }
    if ranges[root].begin < key {
      let (a, b) = split(ranges[root].right, key)
      ranges[root].right = a
      return (root, b)
    }
    let (a, b) = split(ranges[root].left, key)
    ranges[root].left = b
    return (a, root)
  }

  private mutating func merge(_ a: UInt32, _ b: UInt32) -> UInt32 {
    if a == Self.null { return b }
    if b == Self.null { return a }
    if ranges[a].priority > ranges[b].priority {
      let right = merge(ranges[a].right, b)
      ranges[a].right = right
      return a
    }
    let left = merge(a, ranges[b].left)
    ranges[b].left = left
    return b
  }

  // MARK: Readers

  private mutating func pushReader(_ range: UInt32, _ task: TaskOrdinal) {
    let entry = Reader(task: task, next: ranges[range].readers)
    let index: UInt32
    if firstFreeReader == Self.null {
      index = UInt32(readers.append(entry))
    } else {
      index = firstFreeReader
      firstFreeReader = readers[index].next
      readers[index] = entry
    }
    ranges[range].readers = index
    ranges[range].readerCount += 1
  }

  private mutating func freeReader(_ index: UInt32) {
    readers[index] = Reader(task: .none, next: firstFreeReader)
    firstFreeReader = index
  }

  /// Adds a reader; when the list has doubled, drops the RELEASED ones first,
  /// so a tensor that is only ever read costs constant time and memory.
  private mutating func addReader(
    _ range: UInt32, _ task: TaskOrdinal, _ isLive: (TaskOrdinal) -> Bool
  ) {
    let head = ranges[range].readers
    if head != Self.null && readers[head].task == task { return }
    if ranges[range].readerCount >= ranges[range].pruneAt {
      pruneReaders(range, isLive)
      ranges[range].pruneAt = max(Self.fewReaders, 2 * ranges[range].readerCount)
    }
    pushReader(range, task)
  }

  private mutating func pruneReaders(_ range: UInt32, _ isLive: (TaskOrdinal) -> Bool) {
    var reader = ranges[range].readers
    ranges[range].readers = Self.null
    ranges[range].readerCount = 0
    while reader != Self.null {
      let entry = readers[reader]
      freeReader(reader)
      if isLive(entry.task) { pushReader(range, entry.task) }
      reader = entry.next
    }
  }

  private mutating func dropReaders(_ range: UInt32) {
    var reader = ranges[range].readers
    while reader != Self.null {
      let next = readers[reader].next
      freeReader(reader)
      reader = next
    }
    ranges[range].readers = Self.null
    ranges[range].readerCount = 0
    ranges[range].pruneAt = Self.fewReaders
  }
}
