internal import CPTO2Segment
internal import PTO2Protocol

/// A task as the orchestrator remembers it: ring and a 64-bit ordinal, which
/// never wraps within a run. Its low 32 bits are the local id.
struct TaskOrdinal: Equatable {
  let rawValue: UInt64

  /// No task. Ordinals start above 2^32, so no task looks like it.
  static let none = TaskOrdinal(rawValue: 0)

  init(rawValue: UInt64) { self.rawValue = rawValue }

  @inline(__always)
  init(ring: Int, ordinal: UInt64) {
    rawValue = UInt64(truncatingIfNeeded: ring) << 56 | ordinal
  }

  @inline(__always)
  var ring: Int { Int(truncatingIfNeeded: rawValue >> 56) }
  @inline(__always)
  var ordinal: UInt64 { rawValue & 0x00FF_FFFF_FFFF_FFFF }
  @inline(__always)
  var id: TaskID { TaskID(ring: ring, local: UInt32(truncatingIfNeeded: ordinal)) }
}

/// A growing array of plain values that never counts references: storage of
/// the TensorMap and the buffer table. Freed places are reused.
@unsafe struct Pool<Element: BitwiseCopyable> {
  private(set) var elements: UnsafeMutablePointer<Element>
  private var capacity: Int
  private(set) var count = 0

  init(capacity: Int) {
    unsafe self.capacity = capacity
    unsafe elements = .allocate(capacity: capacity)
  }

  func deallocate() { unsafe elements.deallocate() }

  @inline(__always)
  mutating func append(_ element: Element) -> UInt32 {
    if unsafe count == capacity { unsafe grow() }
    unsafe (elements + count).initialize(to: element)
    unsafe count += 1
    return unsafe UInt32(count - 1)
  }

  private mutating func grow() {
    let larger = unsafe UnsafeMutablePointer<Element>.allocate(capacity: capacity * 2)
    unsafe larger.moveInitialize(from: elements, count: count)
    unsafe elements.deallocate()
    unsafe elements = unsafe larger
    unsafe capacity *= 2
  }

  mutating func removeAll() { unsafe count = 0 }

  @inline(__always)
  subscript(_ index: UInt32) -> Element {
    get { unsafe elements[Int(index)] }
    nonmutating set { unsafe elements[Int(index)] = newValue }
  }
}

/// The producers a task waits for, without duplicates.
@unsafe struct FaninList {
  private(set) var elements: UnsafeMutablePointer<UInt64>
  private(set) var count = 0
  private var capacity = 64

  init() { unsafe elements = unsafe .allocate(capacity: capacity) }

  func deallocate() { unsafe elements.deallocate() }

  mutating func removeAll() { unsafe count = 0 }

  @inline(__always)
  mutating func append(_ entry: UInt64) -> Int {
    if unsafe count == capacity {
      let larger = unsafe UnsafeMutablePointer<UInt64>.allocate(capacity: capacity * 2)
      unsafe larger.update(from: elements, count: count)
      unsafe elements.deallocate()
      unsafe elements = unsafe larger
      unsafe capacity *= 2
    }
    unsafe elements[count] = entry
    unsafe count += 1
    return unsafe count - 1
  }

  @inline(__always)
  func addFlags(_ index: Int, _ flags: UInt64) { unsafe elements[index] |= flags }
}
