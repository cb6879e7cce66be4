internal import PTO2Protocol

/// Who last wrote, and who has read since, the bytes of each buffer.
///
/// Two kinds of records. Views without gaps are *ranges*: disjoint, in a treap (Aragon
/// and Seidel 1989) by their first byte, cut where an access begins or ends; a write
/// replaces what it covers by one range. A view with gaps is *one* record however many
/// runs of bytes it is, in a second treap that is an interval tree on first byte and
/// end; which of them overlap is found once per pair and kept as a list.
///
/// What an access V depends on: of every record that overlaps it, the writer, and for a
/// write the readers since. Let m be the newest write among the views that contain V,
/// V itself included, or the oldest among the ranges that together do. All that is older
/// than m is hidden: whoever wrote at m or later has waited for it, and nothing of its
/// result is left in V. A write of V empties the records that V contains, for the same
/// reason. What overlaps V and is not older than m counts, though newer views together
/// may cover it: that can only add a dependency.
///
/// A task's accesses are first looked at, which changes nothing of that, and entered once
/// nothing can fail any more. `look` returns the record that is just the access: as
/// long as `changes` stays the same, `enterRead` and `enterWrite` find it there.
struct TensorMap: ~Copyable {
  /// No record, or the end of a list.
  static let null = UInt32.max

  /// Records that the map may hold between two submissions.
  let limit: Int
  var records = PlainArray<Record>(capacity: 1024)
  var views = PlainArray<ViewGeometry>(capacity: 64)
  var readers = PlainArray<Reader>(capacity: 1024)
  var overlaps = PlainArray<Overlap>(capacity: 64)
  var firstFreeRecord = TensorMap.null
  var firstFreeView = TensorMap.null
  var firstFreeReader = TensorMap.null
  var firstFreeOverlap = TensorMap.null
  var random: UInt32 = 0x9E37_79B9
  /// Records of all buffers together.
  var count = 0
  /// Counts the records that were cut or given back: what `look` returned before is
  /// nothing to go by.
  var changes: UInt32 = 0
  /// Number of the task that is entered, from 1 on: what is newer than what.
  private(set) var now: UInt64 = 0
  /// Where records were last found, by buffer, begin and end: two places for each.
  var recent = PlainArray<UInt32>(repeating: TensorMap.null, count: 2048)
  /// Of the access in hand: the records it overlaps, views before ranges, and the tasks
  /// it depends on.
  var overlapping = PlainArray<Overlap>(capacity: 64)
  /// Counts the pairs of views that were compared.
  var comparisons: UInt32 = 0
  private var dependencies = PlainArray<(task: TaskOrdinal, kind: Dependency)>(capacity: 64)

  init(limit: Int = .max) { self.limit = limit }

  // MARK: Look

  /// What a task that writes or reads depends on.
  enum Dependency: UInt8 { case writer, reader }

  struct Place: BitwiseCopyable {
    /// The record that is just the access; null when there is none.
    var record: UInt32
    /// Records by which the map grows at most when the task's accesses are entered.
    var growth: Int
  }

  /// What a task that makes this access depends on: every last writer in the view,
  /// and for a write every reader since.
  /// - Parameter whole: the access of that extent; where the extent is enough it is not
  ///   copied.
  @inline(__always)
  mutating func look(
    _ buffer: BufferRecords, _ extent: Extent, _ whole: @autoclosure () -> StagedArgument,
    found: (TaskOrdinal, Dependency) -> Void
  ) -> Place {
    let only = find(buffer, extent, whole())
    if only != Self.null && isAlone(only, buffer) {
      let writer = records[only].writer
      if writer != .none { found(writer, .writer) }
      if extent.isWrite {
        var reader = records[only].readers
        while reader != Self.null {
          found(readers[reader].task, .reader)
          reader = readers[reader].next
        }
      }
      return Place(record: only, growth: 0)
    }
    if buffer.ranges == Self.null && buffer.views == Self.null {
      return Place(record: only, growth: extent.hasGaps ? 1 : 2)
    }
    let growth = lookAround(buffer, whole(), only)
    for index in 0..<dependencies.count {
      found(dependencies[index].task, dependencies[index].kind)
    }
    return Place(record: only, growth: growth)
  }

  /// Whatever else overlaps the record is hidden by it.
  @inline(__always)
  private func isAlone(_ only: UInt32, _ buffer: BufferRecords) -> Bool {
    let view = records[only].view
    if view == Self.null {
      return buffer.views == Self.null || buffer.viewsTime < records[only].time
    }
    return views[view].overlaps == Self.null && !views[view].isCrowded
      && views[view].epoch == buffer.epoch
      && (buffer.ranges == Self.null || buffer.rangesTime < records[only].time)
  }

  /// Collects the dependencies of an access that more than one record may tell.
  /// - Returns: records by which the map grows at most.
  @inline(never)
  private mutating func lookAround(
    _ buffer: BufferRecords, _ access: StagedArgument, _ only: UInt32
  ) -> Int {
    let box = box(of: access, only)
    overlapping.removeAll()
    collectViews(buffer, only, box)
    let firstRange = overlapping.count
    var newest = only == Self.null ? 0 : records[only].time
    if only == Self.null || access.hasGaps {
      var cover = Cover(end: access.offset)
      collectRanges(buffer.ranges, access, box, &cover)
      if cover.end >= access.end { newest = max(newest, cover.time) }
    }
    for index in 0..<overlapping.count where overlapping[index].contains {
      newest = max(newest, records[overlapping[index].record].time)
    }
    dependencies.removeAll()
    let isWrite = access.access.isWrite
    for index in 0..<overlapping.count {
      depend(on: overlapping[index].record, since: newest, withReaders: isWrite)
    }
    if only != Self.null {
      depend(on: only, since: newest, withReaders: isWrite)
      return 0
    }
    if access.hasGaps { return 1 }
    // The two ends, and for a read a range for each gap.
    if isWrite { return 2 }
    var position = access.offset
    var gaps = 0
    for index in firstRange..<overlapping.count {
      let range = records[overlapping[index].record]
      if range.begin > position { gaps += 1 }
      position = range.end
    }
    return 3 + gaps
  }

  /// The bytes of an access.
  private func box(of access: StagedArgument, _ only: UInt32) -> ByteBox {
    only != Self.null && access.hasGaps ? views[records[only].view].box : access.box
  }

  /// What is not older than `newest` of a record's writer and readers.
  private mutating func depend(on record: UInt32, since newest: UInt64, withReaders: Bool) {
    let writer = records[record].writer
    if writer != .none && records[record].time >= newest { dependencies.append((writer, .writer)) }
    guard withReaders else { return }
    var reader = records[record].readers
    while reader != Self.null && readers[reader].time >= newest {
      dependencies.append((readers[reader].task, .reader))
      reader = readers[reader].next
    }
  }

  // MARK: Enter

  /// What is entered from here on is newer than what was before.
  @inline(__always)
  mutating func beginEntering() { now += 1 }

  /// `task` has read the view.
  /// - Parameters:
  ///   - whole: as for `look`.
  ///   - place: what `look` returned; nil if the map has changed since.
  @inline(__always)
  mutating func enterRead(
    _ buffer: inout BufferRecords, _ extent: Extent, _ whole: @autoclosure () -> StagedArgument,
    task: TaskOrdinal, at place: UInt32?, isLive: (TaskOrdinal) -> Bool
  ) {
    var only = place ?? find(buffer, extent, whole())
    if extent.hasGaps {
      buffer.viewsTime = now
      if only == Self.null { only = enterView(&buffer, whole(), isLive) }
    } else {
      buffer.rangesTime = now
      if only == Self.null { return enterRangeRead(&buffer.ranges, whole(), task, isLive) }
    }
    addReader(only, task, isLive)
  }

  /// `task` is the view's last writer from now on, and nobody has read it since.
  /// Parameters as for `enterRead`.
  @inline(__always)
  mutating func enterWrite(
    _ buffer: inout BufferRecords, _ extent: Extent, _ whole: @autoclosure () -> StagedArgument,
    task: TaskOrdinal, at place: UInt32?, isLive: (TaskOrdinal) -> Bool
  ) {
    var only = place ?? find(buffer, extent, whole())
    if only == Self.null || !isAlone(only, buffer) {
      emptyContained(&buffer, whole(), only)
      if only == Self.null {
        only =
          extent.hasGaps
          ? enterView(&buffer, whole(), isLive) : enterRangeWrite(&buffer.ranges, whole())
      }
    }
    if records[only].readers != Self.null { dropReaders(only) }
    records[only].writer = task
    records[only].time = now
    if extent.hasGaps { buffer.viewsTime = now } else { buffer.rangesTime = now }
  }

  /// What lies wholly in a view that is written says nothing any more: views are
  /// emptied, and ranges given back.
  @inline(never)
  private mutating func emptyContained(
    _ buffer: inout BufferRecords, _ access: StagedArgument, _ only: UInt32
  ) {
    let box = box(of: access, only)
    overlapping.removeAll()
    collectViews(buffer, only, box)
    for index in 0..<overlapping.count where overlapping[index].isContained {
      let record = overlapping[index].record
      records[record].writer = .none
      records[record].time = 0
      dropReaders(record)
    }
    // A range that is written takes the place of those in it.
    if access.hasGaps { removeRanges(&buffer.ranges, access, box) }
  }

  // MARK: Forget

  /// Forgets a buffer.
  mutating func removeAll(_ buffer: inout BufferRecords) {
    if buffer.ranges != Self.null { freeTree(buffer.ranges) }
    if buffer.views != Self.null { freeTree(buffer.views) }
    buffer = BufferRecords()
  }

  /// Forgets the tasks of a buffer that nobody needs to wait for any more, and
  /// the records that have no others.
  mutating func sweep(_ buffer: inout BufferRecords, isLive: (TaskOrdinal) -> Bool) {
    if buffer.ranges != Self.null { buffer.ranges = swept(buffer.ranges, isLive) }
    sweepViews(&buffer, isLive)
  }

  mutating func sweepViews(_ buffer: inout BufferRecords, _ isLive: (TaskOrdinal) -> Bool) {
    guard buffer.views != Self.null else { return }
    let before = count
    buffer.views = swept(buffer.views, isLive)
    buffer.viewCount -= UInt32(before - count)
    // Lists may name what is gone.
    if count != before { buffer.epoch &+= 1 }
    buffer.compared = 0
  }

  private mutating func swept(_ node: UInt32, _ isLive: (TaskOrdinal) -> Bool) -> UInt32 {
    let record = records[node]
    let left = record.left == Self.null ? Self.null : swept(record.left, isLive)
    let right = record.right == Self.null ? Self.null : swept(record.right, isLive)
    pruneReaders(node, isLive)
    let isWriterLive = record.writer != .none && isLive(record.writer)
    if !isWriterLive && records[node].readers == Self.null {
      freeRecord(node)
      return merge(left, right)
    }
    if !isWriterLive { records[node].writer = .none }
    records[node].left = left
    records[node].right = right
    pull(node)
    return node
  }

  /// Records in a tree; for tests.
  func recordCount(_ root: UInt32) -> Int {
    root == Self.null
      ? 0 : 1 + recordCount(records[root].left) + recordCount(records[root].right)
  }
}
