internal import PTO2Protocol

/// Views without gaps: disjoint ranges of bytes.
extension TensorMap {
  /// The range that is just these bytes, found without cutting anything; null when there
  /// is none.
  func exactRange(_ root: UInt32, _ begin: UInt64, _ end: UInt64) -> UInt32 {
    var node = root
    while node != Self.null {
      if records[node].begin == begin { return records[node].end == end ? node : Self.null }
      node = begin < records[node].begin ? records[node].left : records[node].right
    }
    return Self.null
  }

  /// How far ranges cover an access from its begin on, and the oldest write among them.
  struct Cover {
    var end: UInt64
    var time = UInt64.max
  }

  /// The ranges with a byte in the access, in order: behind what is in `overlapping`.
  mutating func collectRanges(
    _ root: UInt32, _ access: StagedArgument, _ box: ByteBox, _ cover: inout Cover
  ) {
    guard root != Self.null else { return }
    let record = records[root]
    if record.begin > access.offset { collectRanges(record.left, access, box, &cover) }
    if record.begin < access.end && record.end > access.offset {
      if record.begin <= cover.end { cover.end = record.end }
      let range = ByteBox(begin: record.begin, end: record.end)
      if !access.hasGaps || box.meets(range) {
        cover.time = min(cover.time, record.time)
        overlapping.append(
          Overlap(record: root, contains: false, isContained: box.contains(range)))
      }
    }
    if record.end < access.end { collectRanges(record.right, access, box, &cover) }
  }

  /// A read that no single range is just.
  mutating func enterRangeRead(
    _ root: inout UInt32, _ access: StagedArgument, _ task: TaskOrdinal,
    _ isLive: (TaskOrdinal) -> Bool
  ) {
    let (begin, end) = (access.offset, access.end)
    if root == Self.null {
      root = makeRecord(access.buffer, begin, end)
      return addReader(root, task, isLive)
    }
    let (before, inside, after) = cut(root, begin, end)
    var middle = inside
    var position = begin
    var filled = Self.null
    // In order; gaps get a range of their own, so that a later writer finds
    // this reader there too.
    while middle != Self.null {
      let (first, rest) = split(middle, records[leftmost(middle)].begin + 1)
      middle = rest
      let range = records[first]
      if range.begin > position {
        let gap = makeRecord(access.buffer, position, range.begin)
        addReader(gap, task, isLive)
        filled = merge(filled, gap)
      }
      addReader(first, task, isLive)
      filled = merge(filled, first)
      position = range.end
    }
    if position < end {
      let gap = makeRecord(access.buffer, position, end)
      addReader(gap, task, isLive)
      filled = merge(filled, gap)
    }
    root = merge(merge(before, filled), after)
  }

  /// Makes the access one range.
  mutating func enterRangeWrite(_ root: inout UInt32, _ access: StagedArgument) -> UInt32 {
    if root == Self.null {
      root = makeRecord(access.buffer, access.offset, access.end)
      return root
    }
    let (before, middle, after) = cut(root, access.offset, access.end)
    if middle != Self.null { freeTree(middle) }
    let range = makeRecord(access.buffer, access.offset, access.end)
    root = merge(merge(before, range), after)
    return range
  }

  /// Gives the ranges back that lie in a view with gaps.
  mutating func removeRanges(_ root: inout UInt32, _ access: StagedArgument, _ box: ByteBox) {
    overlapping.removeAll()
    var cover = Cover(end: access.offset)
    collectRanges(root, access, box, &cover)
    for index in 0..<overlapping.count where overlapping[index].isContained {
      let begin = records[overlapping[index].record].begin
      let (before, rest) = split(root, begin)
      let (range, after) = split(rest, begin + 1)
      freeTree(range)
      root = merge(before, after)
    }
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
      let range = records[node]
      if at <= range.begin {
        node = range.left
      } else if at >= range.end {
        node = range.right
      } else {
        let half = makeRecord(range.buffer, at, range.end)
        records[half].writer = range.writer
        records[half].time = range.time
        records[node].end = at
        changes &+= 1
        copyReaders(of: node, to: half)
        let (before, after) = split(root, at)
        return merge(merge(before, half), after)
      }
    }
    return root
  }

  private func leftmost(_ root: UInt32) -> UInt32 {
    var node = root
    while records[node].left != Self.null { node = records[node].left }
    return node
  }
}
