internal import PTO2Protocol

extension TensorMap {
  /// The parts of a view that nobody in the map has written as a whole: of a view without
  /// gaps the ranges of bytes that no write without gaps covers, of another one all of it
  /// or nothing. Nobody from before the map matters to the other parts.
  ///
  /// It may be too much where views with gaps overlap in part: whoever is found for those
  /// bytes is a producer of one that is found here.
  mutating func unwritten(_ buffer: BufferRecords, _ access: StagedArgument) -> [StagedArgument] {
    let only = find(buffer, access.extent, access)
    if only != Self.null && records[only].time > 0 { return [] }
    let box = access.box
    overlapping.removeAll()
    collectViews(buffer, only, box)
    for index in 0..<overlapping.count where overlapping[index].contains {
      if records[overlapping[index].record].time > 0 { return [] }
    }
    overlapping.removeAll()
    var cover = Cover(end: access.offset)
    collectRanges(buffer.ranges, access, box, &cover)
    if access.hasGaps {
      return cover.end >= access.end && cover.time > 0 ? [] : [access]
    }
    var parts: [StagedArgument] = []
    var position = access.offset
    func add(until end: UInt64) {
      guard end > position else { return }
      var part = access
      (part.offset, part.end) = (position, end)
      parts.append(part)
    }
    for index in 0..<overlapping.count {
      let range = records[overlapping[index].record]
      guard range.time > 0 else { continue }
      add(until: min(range.begin, access.end))
      position = max(position, range.end)
    }
    add(until: access.end)
    return parts
  }
}
