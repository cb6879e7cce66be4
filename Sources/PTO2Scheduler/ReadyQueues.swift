internal import CPTO2Segment

/// What a task needs to run, from its active mask.
enum TaskShape: Int, CaseIterable {
  /// No kernel: done as soon as it is ready.
  case dummy = 0
  /// Then the most demanding first: the order in which the queues are served.
  case aicAivX2
  case aicAivX1
  case aivX2
  case aicOnly
  case aivX1

  @inline(__always)
  static func of(mask: UInt8) -> TaskShape {
    switch mask {
    case 0: .dummy
    case 0b001: .aicOnly
    case 0b010, 0b100: .aivX1
    case 0b110: .aivX2
    case 0b011, 0b101: .aicAivX1
    default: .aicAivX2
    }
  }
}

/// One FIFO per shape, linked through one place per main slot: a ready task
/// holds its main slot, so there is room for everything that can be ready.
///
/// The FIFOs belong to the dispatcher. With several threads a task comes to
/// them through the intake, a stack that any thread pushes to (Treiber 1986)
/// and the dispatcher takes as a whole, so no place is ever popped and pushed
/// again while another thread holds its number.
@unsafe struct ReadyQueues {
  static let none = UInt32.max
  /// In `tasks`: the shape, above the id.
  private static let shapeShift: UInt64 = 40

  private let next: UnsafeMutablePointer<UInt32>
  private let tasks: UnsafeMutablePointer<UInt64>
  private let heads: UnsafeMutablePointer<UInt32>
  private let tails: UnsafeMutablePointer<UInt32>

  init(slotCount: Int) {
    unsafe next = .allocate(capacity: slotCount)
    unsafe tasks = .allocate(capacity: slotCount)
    unsafe heads = .allocate(capacity: TaskShape.allCases.count)
    unsafe tails = .allocate(capacity: TaskShape.allCases.count)
    unsafe heads.update(repeating: Self.none, count: TaskShape.allCases.count)
    unsafe tails.update(repeating: Self.none, count: TaskShape.allCases.count)
  }

  func deallocate() {
    unsafe next.deallocate()
    unsafe tasks.deallocate()
    unsafe heads.deallocate()
    unsafe tails.deallocate()
  }

  var hasTasks: Bool {
    TaskShape.allCases.contains { unsafe heads[$0.rawValue] != Self.none }
  }

  /// Puts a task on the intake. Any thread.
  func push<S: Sharing>(
    _ taskID: UInt64, slot: UInt32, shape: TaskShape, on intake: UnsafeMutablePointer<UInt32>,
    _ sharing: S.Type
  ) {
    unsafe tasks[Int(slot)] = taskID | UInt64(shape.rawValue) << Self.shapeShift
    while true {
      let head = unsafe S.load(intake)
      unsafe next[Int(slot)] = head
      // Release: the dispatcher sees the place, and all that the task needs.
      if unsafe S.compareExchange(intake, head, slot) { return }
    }
  }

  /// Appends everything on the intake, oldest first.
  func take<S: Sharing>(_ intake: UnsafeMutablePointer<UInt32>, _ sharing: S.Type) {
    var slot = unsafe S.exchange(intake, Self.none)
    var oldest = unsafe Self.none
    while unsafe slot != Self.none {
      let older = unsafe next[Int(slot)]
      unsafe next[Int(slot)] = oldest
      oldest = slot
      slot = older
    }
    while unsafe oldest != Self.none {
      let newer = unsafe next[Int(oldest)]
      let entry = unsafe tasks[Int(oldest)]
      unsafe append(
        entry & (1 << Self.shapeShift - 1), slot: oldest,
        shape: TaskShape(rawValue: Int(entry >> Self.shapeShift))!)
      oldest = newer
    }
  }

  @inline(__always)
  func append(_ taskID: UInt64, slot: UInt32, shape: TaskShape) {
    unsafe tasks[Int(slot)] = taskID
    unsafe next[Int(slot)] = unsafe Self.none
    let tail = unsafe tails[shape.rawValue]
    if unsafe tail == Self.none {
      unsafe heads[shape.rawValue] = slot
    } else {
      unsafe next[Int(tail)] = slot
    }
    unsafe tails[shape.rawValue] = slot
  }

  @inline(__always)
  func first(_ shape: TaskShape) -> UInt64? {
    let head = unsafe heads[shape.rawValue]
    return unsafe head == Self.none ? nil : tasks[Int(head)]
  }

  @inline(__always)
  func removeFirst(_ shape: TaskShape) {
    let head = unsafe heads[shape.rawValue]
    unsafe heads[shape.rawValue] = unsafe next[Int(head)]
    if unsafe heads[shape.rawValue] == Self.none { unsafe tails[shape.rawValue] = unsafe Self.none }
  }
}
