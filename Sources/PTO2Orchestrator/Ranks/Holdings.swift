/// Bytes of a buffer that the same ranks have, as they are now.
struct HeldSpan: Equatable, BitwiseCopyable {
  var begin: UInt64
  var end: UInt64
  /// Who has the bytes; never empty.
  var holders: RankSet
  /// Who has written them last.
  var writer: UInt8
}

/// Bytes that a rank lacks, and who has them.
struct LackingSpan: Equatable {
  var begin: UInt64
  var end: UInt64
  var source: Int
}

/// Which ranks have which bytes of a buffer. Every rank knows this of every buffer, also of
/// those it has nothing of: it follows from what the program submits.
struct Holding {
  /// Which buffer of this program's it is: the same number on every rank.
  var serial: UInt64
  /// Where tasks that write it run unless something else says so; nil: it does not matter.
  var home: Int?
  /// It is known on this rank alone, which has made it in a scope of its own.
  var isInner = false
  /// Tasks that have not been waited for use it without order: `Ranks.unordered`.
  var isUnordered = false
  /// In order, without gaps, from 0 to the end of the buffer; neighbours differ.
  private(set) var spans: [HeldSpan]

  init(serial: UInt64, bytes: UInt64, home: Int?, holders: RankSet, writer: Int) {
    self.serial = serial
    self.home = home
    spans = [HeldSpan(begin: 0, end: bytes, holders: holders, writer: UInt8(writer))]
  }

  /// A rank has written the bytes.
  mutating func noteWrite(_ begin: UInt64, _ end: UInt64, by rank: Int) {
    change(begin, end) {
      $0.holders = RankSet(rank)
      $0.writer = UInt8(rank)
    }
  }

  /// Every rank has written the same bytes there.
  mutating func noteWriteByAll(_ begin: UInt64, _ end: UInt64, of count: Int, home: Int) {
    change(begin, end) {
      $0.holders = .all(count)
      $0.writer = UInt8(home)
    }
  }

  /// A rank gets the bytes that it lacks.
  /// - Returns: which, and from whom, in order. Copies of one write form a tree: the nth
  ///   one comes from the holder before it that has half its number.
  mutating func bring(_ begin: UInt64, _ end: UInt64, to rank: Int) -> [LackingSpan] {
    if begin >= end { return [] }
    var lacking: [LackingSpan] = []
    var index = firstIndex(endingAfter: begin)
    while index < spans.count, spans[index].begin < end {
      let span = spans[index]
      index += 1
      if span.holders.contains(rank) { continue }
      let (from, to) = (max(begin, span.begin), min(end, span.end))
      let source = span.holders.member((span.holders.count - 1) / 2, from: Int(span.writer))
      if let last = lacking.last, last.end == from, last.source == source {
        lacking[lacking.count - 1].end = to
      } else {
        lacking.append(LackingSpan(begin: from, end: to, source: source))
      }
    }
    if !lacking.isEmpty { change(begin, end) { $0.holders.insert(rank) } }
    return lacking
  }

  /// Adds the bytes that each rank has of a range to a count.
  func count(_ begin: UInt64, _ end: UInt64, into bytes: inout [UInt64]) {
    var index = firstIndex(endingAfter: begin)
    while index < spans.count, spans[index].begin < end {
      let count = min(end, spans[index].end) - max(begin, spans[index].begin)
      spans[index].holders.visit { bytes[$0] += count }
      index += 1
    }
  }

  /// The first span that has bytes from there on.
  private func firstIndex(endingAfter begin: UInt64) -> Int {
    var (low, high) = (0, spans.count)
    while low < high {
      let middle = (low + high) / 2
      if spans[middle].end > begin { high = middle } else { low = middle + 1 }
    }
    return low
  }

  /// Changes what is known of a range, and joins what is then alike.
  private mutating func change(_ begin: UInt64, _ end: UInt64, _ body: (inout HeldSpan) -> Void) {
    if begin >= end { return }
    let first = split(at: begin)
    let last = split(at: end)
    for index in first..<last { body(&spans[index]) }
    // The two neighbours may be like the outermost now, and those inside like each other.
    var kept = max(first - 1, 0)
    let tail = min(last + 1, spans.count)
    for index in (kept + 1)..<tail {
      let span = spans[index]
      if span.holders == spans[kept].holders && span.writer == spans[kept].writer {
        spans[kept].end = span.end
      } else {
        kept += 1
        spans[kept] = span
      }
    }
    if kept + 1 < tail { spans.removeSubrange(kept + 1..<tail) }
  }

  /// - Returns: the index of the span that begins there; the count of spans at the end.
  private mutating func split(at position: UInt64) -> Int {
    let index = firstIndex(endingAfter: position)
    guard index < spans.count, spans[index].begin < position else { return index }
    var rest = spans[index]
    rest.begin = position
    spans[index].end = position
    spans.insert(rest, at: index + 1)
    return index + 1
  }
}
