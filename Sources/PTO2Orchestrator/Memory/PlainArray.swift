/// A growing array of plain values with one owner: it counts no references, is never
/// copied, and keeps its memory when it is emptied.
///
/// Indexes are the caller's to keep in range; debug builds check them.
@safe struct PlainArray<Element: BitwiseCopyable>: ~Copyable {
  private var elements: UnsafeMutablePointer<Element>
  private var capacity: Int
  private(set) var count = 0

  init(capacity: Int) {
    self.capacity = capacity
    unsafe elements = .allocate(capacity: capacity)
  }

  /// `count` equal elements.
  init(repeating element: Element, count: Int) {
    self.init(capacity: count)
    unsafe elements.initialize(repeating: element, count: count)
    self.count = count
  }

  deinit { unsafe elements.deallocate() }

  /// - Returns: the element's index.
  @discardableResult @inline(__always)
  mutating func append(_ element: Element) -> Int {
    if count == capacity { grow() }
    unsafe (elements + count).initialize(to: element)
    count += 1
    return count - 1
  }

  @inline(never)
  private mutating func grow() {
    let larger = UnsafeMutablePointer<Element>.allocate(capacity: capacity * 2)
    unsafe larger.moveInitialize(from: elements, count: count)
    unsafe elements.deallocate()
    unsafe elements = unsafe larger
    capacity *= 2
  }

  /// Drops the elements from an index on.
  @inline(__always)
  mutating func removeAll(from index: Int = 0) {
    assert(index <= count)
    count = index
  }

  @inline(__always)
  subscript(index: Int) -> Element {
    get {
      assert(index >= 0 && index < count)
      return unsafe elements[index]
    }
    _modify {
      assert(index >= 0 && index < count)
      yield unsafe &elements[index]
    }
  }

  @inline(__always)
  subscript(index: UInt32) -> Element {
    get { self[Int(index)] }
    _modify { yield &self[Int(index)] }
  }
}
