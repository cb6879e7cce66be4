internal import PTO2Protocol

/// Views with gaps: a record each, with the list of those it overlaps.
extension TensorMap {
  /// Overlaps of a view up to which it has a list.
  private static let longestList: UInt32 = 128
  /// Comparisons a view, and in any case, between two looks for views to drop.
  private static let comparisonsPerView: UInt32 = 128
  private static let fewComparisons: UInt32 = 1024

  // MARK: Find

  /// The record that is just the access; null when there is none.
  @inline(__always)
  mutating func find(
    _ buffer: BufferRecords, _ extent: Extent, _ whole: @autoclosure () -> StagedArgument
  ) -> UInt32 {
    if !extent.hasGaps {
      let root = buffer.ranges
      if root == Self.null { return root }
      if records[root].begin == extent.begin && records[root].end == extent.end { return root }
      if records[root].left == Self.null && records[root].right == Self.null { return Self.null }
    } else if buffer.views == Self.null {
      return Self.null
    }
    let place = hash(extent)
    let first = recent[place]
    if first != Self.null && isRecord(first, of: extent, whole()) { return first }
    let second = recent[place ^ 1]
    if second != Self.null && isRecord(second, of: extent, whole()) { return second }
    return search(buffer, whole(), place)
  }

  @inline(__always)
  private func hash(_ extent: Extent) -> Int {
    var bits = extent.begin &* 0x9E37_79B9_7F4A_7C15
    bits ^= (extent.end &+ UInt64(extent.buffer) << 44) &* 0xC2B2_AE3D_27D4_EB4F
    bits ^= bits >> 32
    return Int(truncatingIfNeeded: (bits &* 0x9FB2_1C65_1E98_DF25) >> 32) & (recent.count - 1)
  }

  /// A record that was given back is of no buffer, and so of no access.
  @inline(__always)
  private func isRecord(
    _ index: UInt32, of extent: Extent, _ whole: @autoclosure () -> StagedArgument
  ) -> Bool {
    guard records[index].begin == extent.begin, records[index].end == extent.end,
      records[index].buffer == extent.buffer
    else { return false }
    let view = records[index].view
    if view == Self.null { return !extent.hasGaps }
    return extent.hasGaps && views[view].shape == whole().shape
      && views[view].strides == whole().strides
  }

  /// Looks in the tree, and remembers the place.
  @inline(never)
  private mutating func search(
    _ buffer: BufferRecords, _ access: StagedArgument, _ place: Int
  ) -> UInt32 {
    let record =
      access.hasGaps
      ? exactView(buffer.views, access) : exactRange(buffer.ranges, access.offset, access.end)
    if record != Self.null {
      recent[place ^ 1] = recent[place]
      recent[place] = record
    }
    return record
  }

  private func exactView(_ root: UInt32, _ access: StagedArgument) -> UInt32 {
    if root == Self.null { return root }
    let begin = records[root].begin
    if begin == access.offset && isRecord(root, of: access.extent, access) { return root }
    if begin >= access.offset {
      let left = exactView(records[root].left, access)
      if left != Self.null { return left }
    }
    return begin <= access.offset ? exactView(records[root].right, access) : Self.null
  }

  // MARK: Overlaps

  /// The views with gaps that have a byte in the box, but for `only`, the record of the
  /// box: into `overlapping`. Views of which no task is known may be left out.
  mutating func collectViews(_ buffer: BufferRecords, _ only: UInt32, _ box: ByteBox) {
    if buffer.views == Self.null { return }
    let view = only == Self.null ? Self.null : records[only].view
    if view != Self.null {
      if views[view].epoch != buffer.epoch { renewList(buffer, only) }
      if !views[view].isCrowded {
        var next = views[view].overlaps
        while next != Self.null {
          overlapping.append(overlaps[next])
          next = overlaps[next].next
        }
        return
      }
    }
    compareViews(buffer.views, only, box, UInt64(box.begin + box.span), usedOnly: true)
  }

  /// The same by looking for them. `end` is that of the box.
  private mutating func compareViews(
    _ root: UInt32, _ only: UInt32, _ box: ByteBox, _ end: UInt64, usedOnly: Bool
  ) {
    if root == Self.null { return }
    let record = records[root]
    guard views[record.view].treeEnd > UInt64(box.begin) else { return }
    compareViews(record.left, only, box, end, usedOnly: usedOnly)
    if record.begin >= end { return }
    let isUsed = record.writer != .none || record.readers != Self.null
    if record.end > UInt64(box.begin) && root != only && (isUsed || !usedOnly) {
      compare(root, box)
    }
    compareViews(record.right, only, box, end, usedOnly: usedOnly)
  }

  private mutating func compare(_ other: UInt32, _ box: ByteBox) {
    comparisons &+= 1
    let view = records[other].view
    guard box.meets(views[view].box) else { return }
    overlapping.append(
      Overlap(
        record: other, contains: views[view].box.contains(box),
        isContained: box.contains(views[view].box)))
  }

  /// Makes the list of a view's overlaps anew.
  private mutating func renewList(_ buffer: BufferRecords, _ record: UInt32) {
    let view = records[record].view
    dropList(view)
    views[view].epoch = buffer.epoch
    overlapping.removeAll()
    compareViews(buffer.views, record, views[view].box, records[record].end, usedOnly: false)
    for index in 0..<overlapping.count { addOverlap(view, overlapping[index]) }
    overlapping.removeAll()
  }

  private mutating func addOverlap(_ view: UInt32, _ overlap: Overlap) {
    if views[view].isCrowded { return }
    if views[view].overlapCount == Self.longestList {
      dropList(view)
      views[view].isCrowded = true
      return
    }
    var entry = overlap
    entry.next = views[view].overlaps
    let index: UInt32
    if firstFreeOverlap == Self.null {
      index = UInt32(overlaps.append(entry))
    } else {
      index = firstFreeOverlap
      firstFreeOverlap = overlaps[index].next
      overlaps[index] = entry
    }
    views[view].overlaps = index
    views[view].overlapCount += 1
  }

  private mutating func dropList(_ view: UInt32) {
    var next = views[view].overlaps
    while next != Self.null {
      let entry = next
      next = overlaps[entry].next
      overlaps[entry].next = firstFreeOverlap
      firstFreeOverlap = entry
    }
    views[view].overlaps = Self.null
    views[view].overlapCount = 0
    views[view].isCrowded = false
  }

  // MARK: New views

  /// A record for a view that has none: it is compared with all others whose span
  /// overlaps its own. When that has become much, views of which every task is RELEASED
  /// are dropped, so that ever new views cost no more than those in use.
  @inline(never)
  mutating func enterView(
    _ buffer: inout BufferRecords, _ access: StagedArgument, _ isLive: (TaskOrdinal) -> Bool
  ) -> UInt32 {
    if buffer.compared >= Self.fewComparisons
      && buffer.compared / Self.comparisonsPerView >= buffer.viewCount
    {
      sweepViews(&buffer, isLive)
    }
    let record = makeRecord(access.buffer, access.offset, access.end)
    let box = access.box
    let geometry = ViewGeometry(
      shape: access.shape, strides: access.strides, epoch: buffer.epoch, treeEnd: access.end,
      box: box)
    let view: UInt32
    if firstFreeView == Self.null {
      view = UInt32(views.append(geometry))
    } else {
      view = firstFreeView
      firstFreeView = views[view].overlaps
      views[view] = geometry
    }
    records[record].view = view
    overlapping.removeAll()
    let before = comparisons
    compareViews(buffer.views, Self.null, box, access.end, usedOnly: false)
    buffer.compared &+= comparisons &- before
    for index in 0..<overlapping.count {
      let overlap = overlapping[index]
      addOverlap(view, overlap)
      let other = records[overlap.record].view
      if views[other].epoch == buffer.epoch {
        addOverlap(
          other,
          Overlap(record: record, contains: overlap.isContained, isContained: overlap.contains))
      }
    }
    let (left, right) = split(buffer.views, access.offset)
    buffer.views = merge(merge(left, record), right)
    buffer.viewCount += 1
    return record
  }

  /// Gives back what a record of a view has beside.
  mutating func freeView(_ view: UInt32) {
    dropList(view)
    views[view].overlaps = firstFreeView
    firstFreeView = view
  }
}
