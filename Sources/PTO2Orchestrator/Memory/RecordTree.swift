internal import PTO2Protocol

/// The records' places, the treaps that hold them, and their lists of readers.
extension TensorMap {
  // MARK: Records

  mutating func makeRecord(_ buffer: UInt32, _ begin: UInt64, _ end: UInt64) -> UInt32 {
    random ^= random << 13
    random ^= random >> 17
    random ^= random << 5
    let record = Record(begin: begin, end: end, buffer: buffer, priority: random)
    count += 1
    if count > recent.count / 4 {
      recent = PlainArray(repeating: Self.null, count: 2 * recent.count)
    }
    guard firstFreeRecord != Self.null else { return UInt32(records.append(record)) }
    let index = firstFreeRecord
    firstFreeRecord = records[index].left
    records[index] = record
    return index
  }

  mutating func freeTree(_ root: UInt32) {
    let left = records[root].left
    let right = records[root].right
    if left != Self.null { freeTree(left) }
    if right != Self.null { freeTree(right) }
    dropReaders(root)
    freeRecord(root)
  }

  mutating func freeRecord(_ index: UInt32) {
    if records[index].view != Self.null { freeView(records[index].view) }
    records[index].buffer = Buffer.none
    records[index].left = firstFreeRecord
    firstFreeRecord = index
    count -= 1
    changes &+= 1
  }

  // MARK: Treap

  /// Records that begin before `key`, and the others.
  mutating func split(_ root: UInt32, _ key: UInt64) -> (UInt32, UInt32) {
    guard root != Self.null else { return (Self.null, Self.null) }
    if records[root].begin < key {
      let (a, b) = split(records[root].right, key)
      records[root].right = a
      pull(root)
      return (root, b)
    }
    let (a, b) = split(records[root].left, key)
    records[root].left = b
    pull(root)
    return (a, root)
  }

  mutating func merge(_ a: UInt32, _ b: UInt32) -> UInt32 {
    if a == Self.null { return b }
    if b == Self.null { return a }
    if records[a].priority > records[b].priority {
      let right = merge(records[a].right, b)
      records[a].right = right
      pull(a)
      return a
    }
    let left = merge(a, records[b].left)
    records[b].left = left
    pull(b)
    return b
  }

  /// Works out anew how far the subtree reaches, for a tree of views.
  @inline(__always)
  mutating func pull(_ node: UInt32) {
    let record = records[node]
    if record.view == Self.null { return }
    var end = record.end
    if record.left != Self.null { end = max(end, views[records[record.left].view].treeEnd) }
    if record.right != Self.null { end = max(end, views[records[record.right].view].treeEnd) }
    views[record.view].treeEnd = end
  }

  // MARK: Readers

  private mutating func pushReader(_ record: UInt32, _ task: TaskOrdinal, _ time: UInt64) {
    let entry = Reader(task: task, time: time, next: records[record].readers)
    let index: UInt32
    if firstFreeReader == Self.null {
      index = UInt32(readers.append(entry))
    } else {
      index = firstFreeReader
      firstFreeReader = readers[index].next
      readers[index] = entry
    }
    records[record].readers = index
    records[record].readerCount += 1
  }

  private mutating func freeReader(_ index: UInt32) {
    readers[index] = Reader(task: .none, time: 0, next: firstFreeReader)
    firstFreeReader = index
  }

  /// Adds a reader, in constant time and memory for a tensor that is only ever read: the
  /// newest ones are dropped while they are RELEASED, which is all of them where tasks of
  /// one ring alone read it; when the list has doubled, those behind a live one are, too.
  mutating func addReader(
    _ record: UInt32, _ task: TaskOrdinal, _ isLive: (TaskOrdinal) -> Bool
  ) {
    var head = records[record].readers
    if head != Self.null && readers[head].task == task { return }
    while head != Self.null && !isLive(readers[head].task) {
      let next = readers[head].next
      freeReader(head)
      records[record].readers = next
      records[record].readerCount -= 1
      head = next
    }
    if records[record].readerCount >= records[record].pruneAt {
      pruneReaders(record, isLive)
      records[record].pruneAt = max(Record.fewReaders, 2 * records[record].readerCount)
    }
    pushReader(record, task, now)
  }

  /// Keeps the live ones; their order, newest first, stays.
  mutating func pruneReaders(_ record: UInt32, _ isLive: (TaskOrdinal) -> Bool) {
    var reader = records[record].readers
    records[record].readers = Self.null
    records[record].readerCount = 0
    var last = Self.null
    while reader != Self.null {
      let next = readers[reader].next
      if isLive(readers[reader].task) {
        if last == Self.null {
          records[record].readers = reader
        } else {
          readers[last].next = reader
        }
        last = reader
        records[record].readerCount += 1
      } else {
        freeReader(reader)
      }
      reader = next
    }
    if last != Self.null { readers[last].next = Self.null }
  }

  /// To a record that has none; their order stays.
  mutating func copyReaders(of record: UInt32, to other: UInt32) {
    var reader = records[record].readers
    var last = Self.null
    while reader != Self.null {
      let entry = readers[reader]
      pushReader(other, entry.task, entry.time)
      let copy = records[other].readers
      // `pushReader` puts it in front: move it to the end.
      if last != Self.null {
        records[other].readers = readers[copy].next
        readers[last].next = copy
        readers[copy].next = Self.null
      }
      last = copy
      reader = entry.next
    }
  }

  mutating func dropReaders(_ record: UInt32) {
    var reader = records[record].readers
    while reader != Self.null {
      let next = readers[reader].next
      freeReader(reader)
      reader = next
    }
    records[record].readers = Self.null
    records[record].readerCount = 0
    records[record].pruneAt = Record.fewReaders
  }
}
