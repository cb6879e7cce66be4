internal import PTO2Protocol

/// Who last wrote, and who has read since, each byte range of each buffer.
///
/// A buffer's ranges are disjoint and kept in a treap (Aragon and Seidel 1989)
/// ordered by their first byte, so an access costs O(log n + ranges touched),
/// whatever else the buffer is cut into. Ranges are split where an access
/// begins or ends; a write replaces what it covers by one range.
///
/// A strided view is entered as its contiguous runs, up to `maximumRuns`;
/// beyond that as one range from its first to its last byte. That can only add
/// dependencies, never lose one: whoever overwrites a range has waited for
/// everybody in it.
@unsafe struct TensorMap {
  static let maximumRuns = 256
  static let null = UInt32.max

  struct Range: BitwiseCopyable {
    var begin: UInt64
    var end: UInt64
    var writer: UInt64 = 0
    /// List of the tasks that have read the range since, newest first.
    var readers: UInt32 = unsafe TensorMap.null
    var readerCount: UInt32 = 0
    /// Readers at which those already RELEASED are dropped from the list.
    var pruneAt: UInt32 = 16
    var left: UInt32 = unsafe TensorMap.null
    var right: UInt32 = unsafe TensorMap.null
    var priority: UInt32
  }

  struct Reader: BitwiseCopyable {
    var task: UInt64
    var next: UInt32
  }

  private var ranges = unsafe Pool<Range>(capacity: 1024)
  private var readers = unsafe Pool<Reader>(capacity: 1024)
  private var firstFreeRange = unsafe TensorMap.null
  private var freeReader = unsafe TensorMap.null
  private var random: UInt32 = 0x9E37_79B9
  /// Ranges of all buffers together.
  private(set) var count = 0

  func deallocate() {
    unsafe ranges.deallocate()
    unsafe readers.deallocate()
  }

  /// What an access found; `isLive` says which tasks still matter.
  enum Dependency { case writer, reader }

  // MARK: Accesses

  /// `task` reads the range: it depends on every last writer in it.
  mutating func read(
    _ root: inout UInt32, _ begin: UInt64, _ end: UInt64, task: TaskOrdinal,
    isLive: (TaskOrdinal) -> Bool, found: (TaskOrdinal, Dependency) -> Void
  ) {
    if let only = unsafe exact(root, begin, end) {
      let writer = unsafe TaskOrdinal(rawValue: ranges[only].writer)
      if writer != .none && writer != task { found(writer, .writer) }
      unsafe addReader(only, task, isLive)
      return
    }
    var (before, middle, after) = unsafe cut(root, begin, end)
    var position = begin
    var filled = unsafe Self.null
    // In order; gaps get a range of their own, so that a later writer finds
    // this reader there too.
    while unsafe middle != Self.null {
      let (first, rest) = unsafe split(middle, ranges[leftmost(middle)].begin + 1)
      middle = rest
      let range = unsafe ranges[first]
      if range.begin > position {
        let gap = unsafe makeRange(position, range.begin)
        unsafe addReader(gap, task, isLive)
        filled = unsafe merge(filled, gap)
      }
      let writer = TaskOrdinal(rawValue: range.writer)
      if writer != .none && writer != task { found(writer, .writer) }
      unsafe addReader(first, task, isLive)
      filled = unsafe merge(filled, first)
      position = range.end
    }
    if position < end {
      let gap = unsafe makeRange(position, end)
      unsafe addReader(gap, task, isLive)
      filled = unsafe merge(filled, gap)
    }
    before = unsafe merge(before, filled)
    root = unsafe merge(before, after)
    after = unsafe Self.null
  }

  /// `task` writes the range: it depends on every last writer and every reader
  /// since, and is the last writer from now on.
  mutating func write(
    _ root: inout UInt32, _ begin: UInt64, _ end: UInt64, task: TaskOrdinal,
    found: (TaskOrdinal, Dependency) -> Void
  ) {
    if let only = unsafe exact(root, begin, end) {
      unsafe report(only, task, found)
      unsafe dropReaders(only)
      unsafe ranges.elements[Int(only)].writer = task.rawValue
      return
    }
    let (before, middle, after) = unsafe cut(root, begin, end)
    var kept = middle
    if unsafe kept != Self.null {
      unsafe reportAll(kept, task, found)
      unsafe freeTree(kept)
    }
    kept = unsafe makeRange(begin, end)
    unsafe ranges.elements[Int(kept)].writer = task.rawValue
    root = unsafe merge(merge(before, kept), after)
  }

  /// Reports what `write` would, and changes nothing.
  func peek(
    _ root: UInt32, _ begin: UInt64, _ end: UInt64, found: (TaskOrdinal, Dependency) -> Void
  ) {
    guard unsafe root != Self.null else { return }
    let range = unsafe ranges[root]
    if range.begin > begin { unsafe peek(range.left, begin, end, found: found) }
    if range.begin < end && range.end > begin { unsafe report(root, .none, found) }
    if range.end < end { unsafe peek(range.right, begin, end, found: found) }
  }

  /// Forgets a buffer.
  mutating func removeAll(_ root: inout UInt32) {
    if unsafe root != Self.null { unsafe freeTree(root) }
    root = unsafe Self.null
  }

  /// Forgets the tasks of a buffer that nobody needs to wait for any more, and
  /// the ranges that have no others.
  mutating func sweep(_ root: inout UInt32, isLive: (TaskOrdinal) -> Bool) {
    if unsafe root != Self.null { root = unsafe swept(root, isLive) }
  }

  private mutating func swept(_ node: UInt32, _ isLive: (TaskOrdinal) -> Bool) -> UInt32 {
    let range = unsafe ranges[node]
    let left = unsafe range.left == Self.null ? Self.null : swept(range.left, isLive)
    let right = unsafe range.right == Self.null ? Self.null : swept(range.right, isLive)
    unsafe pruneReaders(node, isLive)
    let isWriterLive =
      range.writer != TaskOrdinal.none.rawValue && isLive(TaskOrdinal(rawValue: range.writer))
    if unsafe !isWriterLive && ranges[node].readers == Self.null {
      unsafe freeRange(node)
      return unsafe merge(left, right)
    }
    if !isWriterLive { unsafe ranges.elements[Int(node)].writer = TaskOrdinal.none.rawValue }
    unsafe ranges.elements[Int(node)].left = left
    unsafe ranges.elements[Int(node)].right = right
    return node
  }

  /// Ranges in a buffer; for tests.
  func rangeCount(_ root: UInt32) -> Int {
    unsafe root == Self.null
      ? 0 : 1 + rangeCount(ranges[root].left) + rangeCount(ranges[root].right)
  }

  // MARK: Ranges

  /// The most frequent case: a range that is just the access, found without
  /// cutting anything.
  @inline(__always)
  private func exact(_ root: UInt32, _ begin: UInt64, _ end: UInt64) -> UInt32? {
    var node = root
    while unsafe node != Self.null {
      let range = unsafe ranges.elements + Int(node)
      if unsafe range.pointee.begin == begin { return unsafe range.pointee.end == end ? node : nil }
      node = unsafe begin < range.pointee.begin ? range.pointee.left : range.pointee.right
    }
    return nil
  }

  private mutating func makeRange(_ begin: UInt64, _ end: UInt64) -> UInt32 {
    unsafe random ^= random << 13
    unsafe random ^= random >> 17
    unsafe random ^= random << 5
    let range = unsafe Range(begin: begin, end: end, priority: random)
    unsafe count += 1
    guard unsafe firstFreeRange != Self.null else { return unsafe ranges.append(range) }
    let index = unsafe firstFreeRange
    unsafe firstFreeRange = unsafe ranges[index].left
    unsafe ranges[index] = range
    return index
  }

  private mutating func freeTree(_ root: UInt32) {
    let range = unsafe ranges[root]
    if unsafe range.left != Self.null { unsafe freeTree(range.left) }
    if unsafe range.right != Self.null { unsafe freeTree(range.right) }
    unsafe dropReaders(root)
    unsafe freeRange(root)
  }

  private mutating func freeRange(_ index: UInt32) {
    unsafe ranges.elements[Int(index)].left = unsafe firstFreeRange
    unsafe firstFreeRange = index
    unsafe count -= 1
  }

  private func report(_ index: UInt32, _ task: TaskOrdinal, _ found: (TaskOrdinal, Dependency) -> Void) {
    let range = unsafe ranges[index]
    let writer = TaskOrdinal(rawValue: range.writer)
    if writer != .none && writer != task { found(writer, .writer) }
    var reader = range.readers
    while unsafe reader != Self.null {
      let entry = unsafe readers[reader]
      if entry.task != task.rawValue { found(TaskOrdinal(rawValue: entry.task), .reader) }
      reader = entry.next
    }
  }

  private func reportAll(_ root: UInt32, _ task: TaskOrdinal, _ found: (TaskOrdinal, Dependency) -> Void) {
    unsafe report(root, task, found)
    if unsafe ranges[root].left != Self.null { unsafe reportAll(ranges[root].left, task, found) }
    if unsafe ranges[root].right != Self.null { unsafe reportAll(ranges[root].right, task, found) }
  }

  /// The tree cut into what lies before, in and after the access; ranges that
  /// straddle an end are split in two.
  private mutating func cut(_ root: UInt32, _ begin: UInt64, _ end: UInt64) -> (
    UInt32, UInt32, UInt32
  ) {
    unsafe splitRange(root, at: begin)
    var root = root
    if let added = unsafe pendingHalf { root = unsafe insertHalf(root, added) }
    unsafe splitRange(root, at: end)
    if let added = unsafe pendingHalf { root = unsafe insertHalf(root, added) }
    let (before, rest) = unsafe split(root, begin)
    let (middle, after) = unsafe split(rest, end)
    return (before, middle, after)
  }

  private var pendingHalf: UInt32?

  /// Shortens the range that contains `at` in its inside; its second half
  /// waits in `pendingHalf`.
  private mutating func splitRange(_ root: UInt32, at: UInt64) {
    unsafe pendingHalf = nil
    var node = root
    while unsafe node != Self.null {
      let range = unsafe ranges[node]
      if at <= range.begin {
        node = range.left
      } else if at >= range.end {
        node = range.right
      } else {
        let half = unsafe makeRange(at, range.end)
        unsafe ranges.elements[Int(half)].writer = range.writer
        unsafe ranges.elements[Int(node)].end = at
        var reader = range.readers
        while unsafe reader != Self.null {
          unsafe pushReader(half, readers[reader].task)
          reader = unsafe readers[reader].next
        }
        unsafe pendingHalf = half
        return
      }
    }
  }

  private mutating func insertHalf(_ root: UInt32, _ half: UInt32) -> UInt32 {
    unsafe pendingHalf = nil
    let (before, after) = unsafe split(root, ranges[half].begin)
    return unsafe merge(merge(before, half), after)
  }

  // MARK: Treap

  private func leftmost(_ root: UInt32) -> UInt32 {
    var node = root
    while unsafe ranges[node].left != Self.null { node = unsafe ranges[node].left }
    return node
  }

  /// Ranges that begin before `key`, and the others.
  private mutating func split(_ root: UInt32, _ key: UInt64) -> (UInt32, UInt32) {
    guard unsafe root != Self.null else { return unsafe (Self.null, Self.null) }
    if unsafe ranges[root].begin < key {
      let (a, b) = unsafe split(ranges[root].right, key)
      unsafe ranges.elements[Int(root)].right = a
      return (root, b)
    }
    let (a, b) = unsafe split(ranges[root].left, key)
    unsafe ranges.elements[Int(root)].left = b
    return (a, root)
  }

  private mutating func merge(_ a: UInt32, _ b: UInt32) -> UInt32 {
    if unsafe a == Self.null { return b }
    if unsafe b == Self.null { return a }
    if unsafe ranges[a].priority > ranges[b].priority {
      unsafe ranges.elements[Int(a)].right = unsafe merge(ranges[a].right, b)
      return a
    }
    unsafe ranges.elements[Int(b)].left = unsafe merge(a, ranges[b].left)
    return b
  }

  // MARK: Readers

  private mutating func pushReader(_ range: UInt32, _ task: UInt64) {
    let entry = unsafe Reader(task: task, next: ranges[range].readers)
    let index: UInt32
    if unsafe freeReader == Self.null {
      index = unsafe readers.append(entry)
    } else {
      index = unsafe freeReader
      unsafe freeReader = unsafe readers[index].next
      unsafe readers[index] = entry
    }
    unsafe ranges.elements[Int(range)].readers = index
    unsafe ranges.elements[Int(range)].readerCount += 1
  }

  /// Adds a reader; when the list has doubled, drops the RELEASED ones first,
  /// so a tensor that is only ever read costs constant time and memory.
  private mutating func addReader(_ range: UInt32, _ task: TaskOrdinal, _ isLive: (TaskOrdinal) -> Bool) {
    let head = unsafe ranges[range].readers
    if unsafe head != Self.null && readers[head].task == task.rawValue { return }
    if unsafe ranges[range].readerCount >= ranges[range].pruneAt {
      unsafe pruneReaders(range, isLive)
      unsafe ranges.elements[Int(range)].pruneAt = unsafe max(16, 2 * ranges[range].readerCount)
    }
    unsafe pushReader(range, task.rawValue)
  }

  private mutating func pruneReaders(_ range: UInt32, _ isLive: (TaskOrdinal) -> Bool) {
    var reader = unsafe ranges[range].readers
    unsafe ranges.elements[Int(range)].readers = unsafe Self.null
    unsafe ranges.elements[Int(range)].readerCount = 0
    while unsafe reader != Self.null {
      let entry = unsafe readers[reader]
      unsafe readers[reader] = unsafe Reader(task: 0, next: freeReader)
      unsafe freeReader = reader
      if isLive(TaskOrdinal(rawValue: entry.task)) { unsafe pushReader(range, entry.task) }
      reader = entry.next
    }
  }

  private mutating func dropReaders(_ range: UInt32) {
    var reader = unsafe ranges[range].readers
    while unsafe reader != Self.null {
      let next = unsafe readers[reader].next
      unsafe readers[reader] = unsafe Reader(task: 0, next: freeReader)
      unsafe freeReader = reader
      reader = next
    }
    unsafe ranges.elements[Int(range)].readers = unsafe Self.null
    unsafe ranges.elements[Int(range)].readerCount = 0
    unsafe ranges.elements[Int(range)].pruneAt = 16
  }
}
